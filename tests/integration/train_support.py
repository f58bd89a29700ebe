"""Jobs under plain `mpirun syncline-worker`, for the train_* tests."""
import glob
import json
import os
import subprocess

from harness import DIGITS, MPIRUN, SOURCE, WORKER

GPT = os.path.join(SOURCE, "docs/examples/gpt-char.yaml")
# 30 steps of 64 in an epoch of which the last has 32 samples; dropout and augmentation, so that their randomness counts.
JOB = [DIGITS, "--set", "data.n_train=1888", "--set", "data.n_test=300", "--set", "train.batch_size=64", "--set", "train.epochs=2",
       "--set", "model.dropout=0.2", "--set", "data.augment_shift=1", "--set", "checkpoint.every_steps=20", "--set", "checkpoint.keep=0",
       "--set", "threads=1", "--set", "train.log_every_steps=10"]
N_STEPS = 60


def start(n, *words, run_dir=None, env=None, prefix=(), **more):
    command = [*MPIRUN, "-np", str(n), *prefix, WORKER, *map(str, words)]
    if run_dir:
        command += ["--run-dir", run_dir]
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", **(env or {}))
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=env, **more)


def worker(n, *words, timeout=240, **more):
    """Runs to the end; returns (exit code, stdout, stderr)."""
    run = start(n, *words, **more)
    try:
        out, err = run.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        run.kill()
        out, err = run.communicate()
        return "timeout", out, err
    return run.returncode, out, err


def ours(err):
    """The lines of standard error that the worker wrote; mpirun adds a block of its own when a rank fails."""
    return [line for line in err.splitlines() if line.startswith("syncline-worker:")]


def result(run_dir):
    return json.load(open(os.path.join(run_dir, "result.json")))


def outcome(run_dir, rank, attempt=1):
    return json.load(open(os.path.join(run_dir, "attempt-%d" % attempt, "outcome-rank%d.json" % rank)))


def checkpoints(run_dir):
    return sorted(os.path.basename(path) for path in glob.glob(os.path.join(run_dir, "checkpoints", "*")))


def rows(run_dir):
    """metrics.csv as a list of dictionaries of text."""
    lines = open(os.path.join(run_dir, "metrics.csv")).read().splitlines()
    names = lines[0].split(",")
    return [dict(zip(names, line.split(","))) for line in lines[1:]]


def curve(run_dir):
    """What of metrics.csv does not depend on time."""
    return [(row["step"], row["epoch"], row["lr"], row["train_loss"], row["test_accuracy"], row["val_loss"]) for row in rows(run_dir)]


def write_text(folder):
    path = os.path.join(folder, "text.txt")
    with open(path, "w") as out:
        for i in range(2000):
            out.write("the %d-th line of a text that repeats itself, but not quite %d\n" % (i, i * i % 97))
    return path
