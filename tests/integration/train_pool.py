#!/usr/bin/python3
"""A pool outlives its jobs: one that fails, one that cannot begin, one that is cancelled; no rank is restarted, SIGTERM ends it orderly."""
import os
import re
import signal

from harness import DIGITS, SMALL, Coordinator, Pool, check, cli, finish, scratch, wait_until
from train_support import checkpoints, outcome


def pids_of(job):
    """Each rank's process, from the first line of its log."""
    logs = [open(os.path.join(job["run_dir"], "logs", "rank-%d.log" % rank)).read() for rank in range(2)]
    return [re.search(r"process (\d+)", log).group(1) for log in logs]


def failing(coordinator, log_path):
    """The failure is told in the culprit's words, by every rank's outcome."""
    job_id = coordinator.submit(DIGITS, "-n", "2", *SMALL, "--set", "optimizer.kind=sgd", "--set", "optimizer.lr=1e30")
    code, job = coordinator.wait(job_id, 60)
    failure = job["first_failure"] or {}
    check(code == 1 and job["state"] == "FAILED" and job["attempt"] == 1, "a loss of nan fails at once: %s %s" % (code, job["reason_text"]))
    check("training loss became" in failure.get("message", ""), "and says so: %s" % failure)
    check(all(outcome(job["run_dir"], rank)["state"] == "FAILED" for rank in range(2)), "both ranks know")
    check("training loss became" in open(os.path.join(job["run_dir"], "logs", "rank-0.log")).read(), "it is in the job's log")
    check("training loss became" not in open(log_path).read(), "and not in the pool's")
    return job


def cannot_begin(coordinator):
    job_id = coordinator.submit(DIGITS, "-n", "2", *SMALL, "--set", "data.kind=idx", "--set", "data.path=/nonexistent")
    code, job = coordinator.wait(job_id, 60)
    check(code == 1 and "/nonexistent" in (job["first_failure"] or {}).get("message", ""), "data that is not there: %s %s" % (code, job["reason_text"]))


def cancelled(coordinator):
    job_id = coordinator.submit(DIGITS, "-n", "2", *SMALL, "--set", "train.max_steps=1000000", "--set", "checkpoint.every_steps=1000000")
    wait_until(lambda: (coordinator.job(job_id)["progress"] or {}).get("step", 0) > 10, "the endless job trains")
    check(cli("cancel", job_id, address=coordinator.address).returncode == 0, "it is cancelled")
    code, job = coordinator.wait(job_id, 60)
    check(code == 6 and job["state"] == "CANCELLED", "it ends cancelled: %s %s" % (code, job["state"]))
    ended = outcome(job["run_dir"], 0)
    check(ended["state"] == "CANCELLED" and "step-%08d" % ended["steps"] in checkpoints(job["run_dir"]),
          "with a checkpoint of its last step: %s %s" % (ended["steps"], checkpoints(job["run_dir"])))


def good(coordinator):
    job_id = coordinator.submit(DIGITS, "-n", "2", *SMALL)
    code, job = coordinator.wait(job_id, 60)
    check(code == 0 and job["state"] == "SUCCEEDED", "a good job: %s %s" % (job["state"], job["reason_text"]))
    return job


def main():
    folder = scratch()
    coordinator = Coordinator(folder, "--slots", "0")
    pool = Pool(folder, 2, coordinator.address)
    try:
        first = good(coordinator)
        failing(coordinator, pool.log_path)
        second = good(coordinator)
        cannot_begin(coordinator)
        cancelled(coordinator)
        third = good(coordinator)
        check(first["weights_sha256"] == second["weights_sha256"] == third["weights_sha256"] != "", "each as if it were the first")
        check(pids_of(first) == pids_of(second) == pids_of(third), "no rank was restarted: %s %s" % (pids_of(first), pids_of(third)))
        check(pool.process.poll() is None, "the pool lives")
        pool.process.send_signal(signal.SIGTERM)
        pool.process.wait(timeout=20)
    finally:
        pool.stop()
        coordinator.stop()
    finish(folder)


if __name__ == "__main__":
    main()
