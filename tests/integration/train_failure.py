#!/usr/bin/python3
"""A rank that fails is named in one sentence and takes the others with it; signals end a run orderly; a full disk loses nothing."""
import os
import re
import signal
import time

from harness import check, finish, scratch, wait_until
from train_support import JOB, checkpoints, ours, outcome, rows, start, worker

ENDLESS = [*JOB, "--set", "train.epochs=0", "--set", "train.max_steps=1000000"]


def a_failing_rank(folder):
    for fault, n, rank, text in (("nan", 2, 1, "the training loss became nan in step 8"),
                                 ("fail", 4, 2, "a failure made by SYNCLINE_TEST_FAULT in step 7"),
                                 ("fail", 2, 0, "a failure made by SYNCLINE_TEST_FAULT in step 7")):
        where = os.path.join(folder, "%s-%d-%d" % (fault, n, rank))
        began = time.monotonic()
        code, out, err = worker(n, *JOB, run_dir=where, timeout=60,
                                env={"SYNCLINE_TEST_KILL_RANK": str(rank), "SYNCLINE_TEST_KILL_STEP": "7", "SYNCLINE_TEST_FAULT": fault})
        check(code == 1, "%s on rank %d of %d: exit %s after %.1f s" % (fault, rank, n, code, time.monotonic() - began))
        lines = ours(err)
        check(len(lines) == 1 and re.match(r"syncline-worker: rank %d \(\S+\), \w+ after step 7: " % rank, lines[0]) and text in lines[0],
              "one sentence: %s" % lines)
        check(len(err.splitlines()) < 20, "and little noise around it: %d lines" % len(err.splitlines()))
        for r in range(n):
            ended = outcome(where, r)
            check(ended["state"] == "FAILED" and ended["failure"]["rank"] == rank and text in ended["failure"]["message"] and
                  ended["failure"]["step"] == 7, "rank %d knows: %s" % (r, ended["failure"]))
        check(not os.path.exists(os.path.join(where, "model.safetensors")), "there are no weights of a failed run")
    where = os.path.join(folder, "nan-goes-on")
    code, out, err = worker(2, *JOB, "--set", "train.stop_on_nan=false", run_dir=where, timeout=60,
                            env={"SYNCLINE_TEST_KILL_RANK": "1", "SYNCLINE_TEST_KILL_STEP": "7", "SYNCLINE_TEST_FAULT": "nan"})
    check(code == 0 and rows(where)[7]["train_loss"] == "nan" and rows(where)[8]["train_loss"] != "nan", "unless it is told to go on: %s" % code)


def bad_data(folder):
    where = os.path.join(folder, "bad-data")
    code, out, err = worker(2, *JOB, "--set", "data.kind=idx", "--set", "data.path=" + folder, run_dir=where)
    check(code == 1 and len(ours(err)) == 1 and folder in err, "a folder without the files: %s %s" % (code, err[:300]))
    code, out, err = worker(2, *JOB, "--set", "train.batch_size=100000", run_dir=where + "2")
    check(code == 1 and len(ours(err)) == 1, "a batch larger than the data: %s %s" % (code, err[:300]))
    code, out, err = worker(2, *JOB, run_dir="/proc/nothing")
    check(code == 1 and len(ours(err)) == 1 and "/proc/nothing" in err, "a run directory that cannot be made: %s %s" % (code, err[:300]))


def signals(folder):
    for name, words, left in (("sigterm", [], 1), ("sigterm-without-checkpoints", ["--set", "checkpoint.every_steps=0"], 0)):
        where = os.path.join(folder, name)
        run = start(2, *ENDLESS, *words, run_dir=where)
        wait_until(lambda: os.path.exists(os.path.join(where, "metrics.csv")) and len(rows(where)) > 9, "the job trains", 60)
        run.send_signal(signal.SIGTERM)
        out, err = run.communicate(timeout=30)
        check(not ours(err), "%s: no complaint: %s" % (name, err[:300]))
        for rank in range(2):
            ended = outcome(where, rank)
            check(ended["state"] == "CANCELLED", "%s: rank %d: %s" % (name, rank, ended))
        last = "step-%08d" % outcome(where, 0)["steps"]
        check((last in checkpoints(where)) == bool(left), "%s: checkpoint of the last step: %s" % (name, checkpoints(where)))


def a_full_disk(folder):
    """A limit on the size of files stands for it: the write fails just so."""
    where = os.path.join(folder, "full")
    code, out, err = worker(1, *JOB, "--set", "train.epochs=1", "--set", "checkpoint.every_steps=20", run_dir=where)
    before = checkpoints(where)
    limited = ["sh", "-c", 'trap "" XFSZ; ulimit -f 200; exec "$@"', "sh"]
    code, out, err = worker(1, *JOB, "--resume", where, "--run-dir", where, prefix=limited)
    check(code == 1 and len(ours(err)) == 1 and "File too large" in err, "one sentence: exit %s %s" % (code, err[:400]))
    check(before and checkpoints(where) == before, "the checkpoints of before, and nothing half: %s" % checkpoints(where))
    code, out, err = worker(1, *JOB, "--resume", where, "--run-dir", where)
    check(code == 0, "with room again it goes on: %s" % err[-300:])


def main():
    folder = scratch()
    a_failing_rank(folder)
    bad_data(folder)
    signals(folder)
    a_full_disk(folder)
    finish(folder)


if __name__ == "__main__":
    main()
