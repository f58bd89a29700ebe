#!/usr/bin/python3
"""The main job: `syncline run --json` keeps its contract, resuming reproduces the uninterrupted run, Ctrl-C explains, then cancels."""
import json
import os
import re
import signal
import subprocess
import time

from harness import DIGITS, SMALL, SOURCE, SYNCLINE, check, cli, cli_json, finish, scratch, wait_until

GPT = os.path.join(SOURCE, "docs/examples/gpt-char.yaml")
LENET = os.path.join(SOURCE, "docs/examples/mnist-lenet.yaml")


def contract(folder):
    result = cli_json("run", DIGITS, "-n", "2", *SMALL, "--run-dir", os.path.join(folder, "contract"))
    check(result["state"] == "SUCCEEDED" and result["ranks"] == 2 and result["steps"] == 60, "state, ranks, steps: %s" % result)
    check(0 < result["metrics"]["test_accuracy"] <= 1 and "train_loss" in result["metrics"], "metrics: %s" % result["metrics"])
    check(result["samples_per_s"] > 0 and result["elapsed_s"] > 0, "speed and time")
    check(set(result["comm"]) == {"hidden_ms", "exposed_ms"}, "communication: %s" % result["comm"])
    check(re.fullmatch("[0-9a-f]{64}", result["weights_sha256"] or ""), "digest of the weights")
    names = set(os.listdir(result["run_dir"]))
    check({"job.yaml", "logs", "metrics.csv", "model.safetensors", "result.json", "attempt-1"} <= names, "files: %s" % sorted(names))
    check(any(name.startswith("events.out.tfevents.") for name in names), "TensorBoard events")
    again = cli_json("run", DIGITS, "-n", "2", *SMALL, "--run-dir", os.path.join(folder, "again"))
    check(again["weights_sha256"] == result["weights_sha256"], "the same job gives the same bits")
    other = cli_json("run", DIGITS, "-n", "2", *SMALL, "--set", "seed=77", "--run-dir", os.path.join(folder, "other"))
    check(other["weights_sha256"] != result["weights_sha256"], "another seed gives others")


def resume(folder):
    for name, job, extra in (("mlp", DIGITS, SMALL), ("gpt", GPT, ["--set", "data.path=" + write_text(folder), "--set",
                                                                    "train.max_steps=40", "--set", "model.dropout=0.1"])):
        whole = cli_json("run", job, "-n", "2", *extra, "--set", "train.max_steps=40", "--set", "checkpoint.every_steps=10",
                         "--run-dir", os.path.join(folder, name + "-whole"))
        kept = os.path.join(whole["run_dir"], "checkpoints")
        steps = sorted(os.listdir(kept))
        check(steps, "checkpoints of %s: %s" % (name, steps))
        resumed = cli_json("run", job, "-n", "2", *extra, "--set", "train.max_steps=40", "--set", "checkpoint.every_steps=10",
                           "--resume", os.path.join(kept, steps[0]), "--run-dir", os.path.join(folder, name + "-resumed"))
        check(resumed["weights_sha256"] == whole["weights_sha256"], "%s resumed from %s gives the same bits" % (name, steps[0]))


def refusals(folder):
    """Mistakes that are told before anything is launched; `contract` has made a run."""
    used = os.path.join(folder, "contract")
    done = cli("run", DIGITS, *SMALL, "--run-dir", used)
    check(done.returncode == 2 and "already holds a run" in done.stderr, "a used folder: %d %s" % (done.returncode, done.stderr))
    done = cli("run", DIGITS, *SMALL, "--resume", os.path.join(folder, "nowhere"))
    check(done.returncode == 2 and "there is no such folder" in done.stderr, "nothing to resume: %d %s" % (done.returncode, done.stderr))
    done = cli("run", DIGITS, *SMALL, "--run-dir", DIGITS)
    check(done.returncode == 2, "a file as run directory: %d" % done.returncode)
    nobody = "unix://" + os.path.join(folder, "nobody")
    for words in (("wait", "j-000001"), ("logs", "-f", "j-000001"), ("list",)):
        done = cli(*words, address=nobody, timeout=20)
        check(done.returncode == 5 and "cannot reach" in done.stderr, "%s without a coordinator: %d %s" % (words[0], done.returncode, done.stderr))
    done = cli("wait", "j-000001", "--timeout", "inf", address=nobody)
    check(done.returncode == 2, "an endless timeout: %d" % done.returncode)


def write_text(folder):
    path = os.path.join(folder, "text.txt")
    with open(path, "w") as out:
        for i in range(4000):
            out.write("the %d-th line of a text that repeats itself, but not quite %d\n" % (i, i * i % 97))
    return path


def interrupt(folder):
    log = open(os.path.join(folder, "interrupt.log"), "w+")
    run = subprocess.Popen([SYNCLINE, "run", DIGITS, "-n", "2", *SMALL, "--set", "train.max_steps=1000000", "--run-dir",
                            os.path.join(folder, "interrupted")], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    metrics = os.path.join(folder, "interrupted", "metrics.csv")
    wait_until(lambda: os.path.exists(metrics) and len(open(metrics).readlines()) > 1, "the job trains")
    run.send_signal(signal.SIGINT)
    time.sleep(1)
    check(run.poll() is None, "one Ctrl-C ends nothing")
    check("once more" in open(log.name).read(), "it explains")
    run.send_signal(signal.SIGINT)
    check(run.wait(timeout=40) == 6, "two cancel: exit code %s" % run.returncode)
    check("CANCELLED" in open(log.name).read(), "and it says so")
    check("\033" not in open(log.name).read() and "\r" not in open(log.name).read(), "no progress line in a piped log")
    left = subprocess.run(["pgrep", "-f", os.path.join(folder, "interrupted")], capture_output=True, text=True).stdout
    check(not left, "no process is left: %s" % left)


def killed_run_leaves_nothing(folder):
    where = os.path.join(folder, "killed")
    run = subprocess.Popen([SYNCLINE, "run", DIGITS, "-n", "2", *SMALL, "--set", "train.max_steps=1000000", "--run-dir", where],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    metrics = os.path.join(where, "metrics.csv")
    wait_until(lambda: os.path.exists(metrics) and len(open(metrics).readlines()) > 1, "the job trains")
    run.kill()
    run.wait()
    wait_until(lambda: not subprocess.run(["pgrep", "-f", where], capture_output=True).stdout, "the ranks end with `run`", 20)


def plain_mpirun(folder):
    """The same job without a coordinator, on 4 ranks of this machine."""
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    for name, job, extra in (("digits", DIGITS, SMALL), ("gpt", GPT, ["--set", "data.path=" + write_text(folder), "--set", "train.max_steps=10"])):
        done = subprocess.run(["mpirun", "-np", "4", "--oversubscribe", os.path.join(os.path.dirname(SYNCLINE), "syncline-worker"), job,
                               *extra, "--run-dir", os.path.join(folder, "plain-" + name)], env=env, capture_output=True, text=True,
                              timeout=200, stdin=subprocess.DEVNULL)
        check(done.returncode == 0, "%s under plain mpirun: exit %d %s" % (name, done.returncode, done.stderr[-500:]))
        path = os.path.join(folder, "plain-" + name, "result.json")
        check(os.path.exists(path) and json.load(open(path))["state"] == "SUCCEEDED", "its result is there")


def verbs():
    for verb in ("run", "serve", "submit", "list", "show", "logs", "cancel", "wait", "nodes", "version"):
        done = cli("help", verb)
        check(done.returncode == 0 and "sage:" in done.stdout, "help %s" % verb)
    done = cli("rum")
    check(done.returncode == 2 and 'did you mean "run"' in done.stderr, "an unknown verb: %s" % done.stderr)
    done = cli("submit", LENET, "--dry-run", "--json", "--set", "data.path=x", "--set", "train.batch_size=32")
    spec = json.loads(done.stdout)
    check(spec["train"]["batch_size"] == 32 and spec["data"]["path"] == os.path.join(os.getcwd(), "x"), "dry run: %s" % spec)


def main():
    folder = scratch()
    verbs()
    contract(folder)
    refusals(folder)
    resume(folder)
    interrupt(folder)
    killed_run_leaves_nothing(folder)
    plain_mpirun(folder)
    finish(folder)


if __name__ == "__main__":
    main()
