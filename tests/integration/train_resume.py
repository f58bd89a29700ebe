#!/usr/bin/python3
"""Resuming gives the bits of the run that was never interrupted: from a checkpoint, after SIGKILL, past a damaged checkpoint."""
import json
import os
import shutil

from harness import check, finish, scratch
from train_support import GPT, JOB, checkpoints, curve, ours, outcome, result, worker, write_text


def from_a_checkpoint(folder, whole):
    for step in (20, 40):
        where = os.path.join(folder, "from-%d" % step)
        source = os.path.join(whole, "checkpoints", "step-%08d" % step)
        code, out, err = worker(2, *JOB, "--resume", source, run_dir=where)
        check(code == 0 and "step %d" % step in out, "resuming from step %d: exit %s %s" % (step, code, err[-500:]))
        check(result(where)["weights_sha256"] == result(whole)["weights_sha256"], "the same bits from step %d" % step)
        check(curve(where) == curve(whole)[step:], "and the same curve")
    for kind in (["--set", "optimizer.kind=sgd", "--set", "optimizer.momentum=0.9", "--set", "schedule.kind=cosine"],
                 ["--set", "optimizer.kind=adamw", "--set", "train.accumulate=3", "--set", "dtype=f64"]):
        straight, split = os.path.join(folder, "straight"), os.path.join(folder, "split")
        code, out, err = worker(2, *JOB, *kind, run_dir=straight)
        check(code == 0, "%s: exit %s %s" % (kind, code, err[-500:]))
        code, out, err = worker(2, *JOB, *kind, "--resume", os.path.join(straight, "checkpoints/step-00000020"), run_dir=split)
        check(code == 0 and result(split)["weights_sha256"] == result(straight)["weights_sha256"], "the same bits with %s" % kind)
        shutil.rmtree(straight), shutil.rmtree(split)


def a_text(folder):
    words = [GPT, "--set", "data.path=" + write_text(folder), "--set", "model.block=16", "--set", "model.width=32", "--set", "model.n_layers=2",
             "--set", "model.n_heads=2", "--set", "model.dropout=0.1", "--set", "train.batch_size=6", "--set", "train.eval_batches=2", "--set",
             "train.max_steps=20", "--set", "checkpoint.every_steps=8", "--set", "checkpoint.keep=0", "--set",
             "threads=1"]
    straight, split = os.path.join(folder, "gpt"), os.path.join(folder, "gpt-split")
    code, out, err = worker(2, *words, run_dir=straight)
    check(code == 0, "gpt: exit %s %s" % (code, err[-500:]))
    code, out, err = worker(2, *words, "--resume", os.path.join(straight, "checkpoints/step-00000008"), run_dir=split)
    check(code == 0 and result(split)["weights_sha256"] == result(straight)["weights_sha256"], "a transformer resumes with the same bits")


def after_a_kill(folder, whole):
    where = os.path.join(folder, "killed")
    code, out, err = worker(2, *JOB, run_dir=where, env={"SYNCLINE_TEST_KILL_RANK": "1", "SYNCLINE_TEST_KILL_STEP": "50"})
    check(code not in (0, "timeout"), "a killed rank ends the launch: exit %s" % code)
    check("step-00000040" in checkpoints(where), "what was committed is there: %s" % checkpoints(where))
    check(not os.path.exists(os.path.join(where, "result.json")), "there is no result")
    # The run directory alone says all: no job file, no --run-dir.
    code, out, err = worker(2, "--resume", where)
    check(code == 0 and "resumed from" in out, "resuming the run: exit %s %s" % (code, err[-500:]))
    check(result(where)["weights_sha256"] == result(whole)["weights_sha256"], "the same bits as undisturbed")
    check(curve(where) == curve(whole), "one row a step, as undisturbed")


def past_a_damaged_one(folder, whole):
    where = os.path.join(folder, "damaged")
    shutil.copytree(whole, where)
    with open(os.path.join(where, "checkpoints/step-00000060/model.safetensors"), "r+b") as out:
        out.seek(-1, 2)
        last = out.read(1)
        out.seek(-1, 2)
        out.write(bytes([last[0] ^ 1]))
    code, out, err = worker(2, "--resume", where)
    check(code == 0 and "step-00000060/model.safetensors is damaged" in out and "step-00000040 instead" in out,
          "the damaged one is named and the one before taken: exit %s %s %s" % (code, out[:400], err[-300:]))
    check(result(where)["weights_sha256"] == result(whole)["weights_sha256"], "the same bits again")
    named = os.path.join(where, "checkpoints/step-00000020")
    os.remove(os.path.join(named, "optimizer.safetensors"))
    code, out, err = worker(2, *JOB, "--resume", named, run_dir=os.path.join(folder, "from-damaged"))
    check(code == 1 and len(ours(err)) == 1 and "optimizer.safetensors is missing" in err, "a named one is refused: %s %s" % (code, err[:300]))


def refusals(folder, whole):
    for words, text in ((["--set", "model.hidden=[32]"], "of another model"),
                        (["--set", "optimizer.kind=sgd"], "optimizer"),
                        (["--set", "train.epochs=1"], "past the job's last step"),
                        (["--set", "dtype=f64"], "of another model")):
        where = os.path.join(folder, "refused")
        code, out, err = worker(2, *JOB, *words, "--resume", os.path.join(whole, "checkpoints/step-00000040"), run_dir=where)
        check(code == 1 and len(ours(err)) == 1 and text in err, "%s: exit %s, one sentence: %s" % (words, code, err[:400]))
        check(outcome(where, 1)["failure"]["rank"] == 0, "every rank knows who failed")
    code, out, err = worker(2, *JOB, "--resume", os.path.join(folder, "nowhere"), run_dir=os.path.join(folder, "nothing"))
    check(code == 1 and "there is no such folder" in err, "nothing to resume from: %s %s" % (code, err[:300]))


def another_job(folder, whole):
    """A job that does not fit leaves the run as it was; what makes the coming steps others is said."""
    where = os.path.join(folder, "another")
    shutil.copytree(whole, where)
    before = open(os.path.join(where, "job.yaml")).read()
    code, out, err = worker(2, "--resume", where, "--set", "model.hidden=[32]")
    check(code == 1 and "of another model" in err, "another model is refused: %s %s" % (code, err[:300]))
    check(open(os.path.join(where, "job.yaml")).read() == before, "and the run keeps its job")
    code, out, err = worker(2, "--resume", where, "--set", "train.epochs=3", "--set", "train.batch_size=59", "--set", "schedule.kind=cosine",
                            "--set", "data.augment_shift=2")
    check(code == 0, "another batch: exit %s %s" % (code, err[-300:]))
    for text in ("train.batch_size 64, this job has 59: its step 61 is in epoch 2", "was to end at step 60, now at 96", "schedule.decay_steps 60"):
        check(text in out, "%r is said: %s" % (text, out[:600]))
    manifest = json.load(open(os.path.join(whole, "checkpoints/step-00000060/manifest.json")))
    check(manifest["epoch"] == 2 and manifest["batch_size"] == 64 and manifest["total_steps"] == 60, "the manifest: %s" % manifest)
    # A folder with another run's checkpoints: a relaunch would go on from those.
    code, out, err = worker(2, *JOB, "--resume", whole, run_dir=where)
    check(code == 1 and len(ours(err)) == 1 and "of another run" in err, "two runs are not mixed: %s %s" % (code, err[:300]))


def more_epochs(folder, whole):
    """A finished run goes on when the job is made longer; a run that has ended already is evaluated and told again."""
    where = os.path.join(folder, "longer")
    code, out, err = worker(2, *JOB, "--set", "train.epochs=3", "--resume", whole, run_dir=where)
    check(code == 0 and result(where)["steps"] == 90, "one more epoch: exit %s %s" % (code, err[-300:]))
    for n in (1, 2, 3):
        again = os.path.join(folder, "ended-%d" % n)
        code, out, err = worker(n, *JOB, "--resume", whole, run_dir=again)
        check(code == 0 and result(again)["weights_sha256"] == result(whole)["weights_sha256"], "nothing left to do: exit %s %s" % (code, err[-300:]))
        for name in ("test_accuracy", "test_loss"):
            check(result(again)["metrics"][name] == result(whole)["metrics"][name], "%s on %d ranks has the same bits" % (name, n))


def main():
    folder = scratch()
    whole = os.path.join(folder, "whole")
    code, out, err = worker(2, *JOB, run_dir=whole)
    check(code == 0, "the whole run: exit %s %s" % (code, err[-800:]))
    from_a_checkpoint(folder, whole)
    a_text(folder)
    after_a_kill(folder, whole)
    past_a_damaged_one(folder, whole)
    refusals(folder, whole)
    another_job(folder, whole)
    more_epochs(folder, whole)
    finish(folder)


if __name__ == "__main__":
    main()
