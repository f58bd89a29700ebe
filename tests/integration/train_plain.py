#!/usr/bin/python3
"""mpirun and a job file are all it takes: 1, 2 and 4 ranks, every model and option of the loop, files, output, usage errors."""
import json
import os

from harness import check, finish, scratch
from train_support import GPT, JOB, N_STEPS, checkpoints, ours, outcome, result, rows, worker, write_text


def ranks(folder):
    losses = {}
    for n in (1, 2, 4):
        where = os.path.join(folder, "ranks-%d" % n)
        code, out, err = worker(n, *JOB, "--set", "model.dropout=0", run_dir=where)
        if not check(code == 0, "%d ranks: exit %s %s" % (n, code, err[-800:])):
            continue
        check("done: 60 steps" in out and result(where)["weights_sha256"] in out, "the summary: %s" % out[-400:])
        check("\r" not in out and "\033" not in out, "no rewritten lines where no terminal is")
        table = rows(where)
        check([int(row["step"]) for row in table] == list(range(1, N_STEPS + 1)), "one row a step")
        check([row["step"] for row in table if row["test_accuracy"]] == ["30", "60"], "evaluated at the end of each epoch")
        check(all(float(row["train_loss"]) > 0 for row in table), "losses")
        check(all(outcome(where, rank)["state"] == "SUCCEEDED" for rank in range(n)), "an outcome of every rank")
        check(checkpoints(where) == ["step-00000020", "step-00000040", "step-00000060"], "checkpoints: %s" % checkpoints(where))
        check(set(os.listdir(where)) >= {"job.yaml", "logs", "metrics.csv", "model.safetensors", "result.json"}, "files")
        check(os.path.exists(os.path.join(where, "logs", "rank-%d.log" % (n - 1))), "a log of every rank")
        losses[n] = [float(row["train_loss"]) for row in table]
        r = result(where)
        check(0 < r["metrics"]["test_accuracy"] <= 1 and r["steps"] == N_STEPS and r["samples_per_s"] > 0, "result: %s" % r)
    # Other ranks, the same training: the sums are only rounded in another order.
    for n in (2, 4):
        worst = max(abs(a - b) for a, b in zip(losses[1], losses[n]))
        check(worst < 1e-3, "the curve of %d ranks is that of one, worst difference %g" % (n, worst))
        check(len(losses[n]) == N_STEPS, "all steps")


def repeatable(folder):
    digests = set()
    for i in range(2):
        where = os.path.join(folder, "repeat-%d" % i)
        code, out, err = worker(2, *JOB, "--json", run_dir=where)
        check(code == 0, "exit %s: %s" % (code, err[-500:]))
        digests.add(json.loads(out)["weights_sha256"])
    check(len(digests) == 1, "the same job gives the same bits: %s" % digests)


def options(folder):
    text = write_text(folder)
    small = ["--set", "train.epochs=0", "--set", "train.max_steps=6", "--set", "threads=1"]
    gpt = [GPT, "--set", "data.path=" + text, "--set", "model.block=16", "--set", "model.width=32", "--set", "model.n_layers=2", "--set",
           "model.n_heads=2", "--set", "train.batch_size=8", "--set", "train.eval_batches=2", *small]
    few = [*JOB, *small]
    for name, n, words in (
            ("a text", 2, gpt),
            ("a batch smaller than the ranks", 4, [*few, "--set", "train.batch_size=3", "--set", "train.accumulate=2"]),
            ("micro-batches", 2, [*few, "--set", "train.accumulate=4"]),
            ("f64", 2, [*few, "--set", "dtype=f64"]),
            ("clipping and momentum", 2, [*few, "--set", "train.clip_norm=0.1", "--set", "optimizer.kind=sgd", "--set",
                                          "optimizer.momentum=0.9", "--set", "optimizer.lr=0.1"]),
            ("a schedule", 2, [*few, "--set", "schedule.kind=cosine", "--set", "schedule.warmup_steps=2"]),
            ("no overlap, small buckets", 2, [*few, "--set", "parallel.overlap=false", "--set", "parallel.bucket_mb=0.01"]),
            ("one thing at a time", 1, [*few, "--set", "train.eval_every_steps=2"])):
        where = os.path.join(folder, "option-" + name.replace(" ", "-"))
        code, out, err = worker(n, *words, run_dir=where)
        if check(code == 0, "%s: exit %s %s" % (name, code, err[-600:])):
            check(len(rows(where)) == 6, "%s: %d rows" % (name, len(rows(where))))
            wanted = "val_loss" if name == "a text" else "test_accuracy"
            check(wanted in result(where)["metrics"], "%s: metrics %s" % (name, result(where)["metrics"]))
    # Micro-batches are the same batch: the first loss is that of the batch at once, but for rounding and dropout, which is off here.
    losses = []
    for accumulate in (1, 4):
        where = os.path.join(folder, "accumulate-%d" % accumulate)
        worker(2, *few, "--set", "model.dropout=0", "--set", "train.accumulate=%d" % accumulate, run_dir=where)
        losses.append([float(row["train_loss"]) for row in rows(where)])
    check(max(abs(a - b) for a, b in zip(*losses)) < 1e-4, "accumulation changes nothing: %s" % losses)


def usage(folder):
    bad = os.path.join(folder, "bad.yaml")
    with open(bad, "w") as out:
        out.write("name: bad\nmodel: {kind: mlp}\ntrian: {epochs: 1}\n")
    taken = os.path.join(folder, "ranks-1")
    for words, text in (((), "a job file is missing"),
                        (("--nonsense",), "there is no option '--nonsense'"),
                        ((JOB[0], "--set", "train.epochs"), "KEY=VALUE"),
                        (("--job", "x", "--epoch", "1", "--attempt", "1"), "need --coordinator"),
                        (("--coordinator", "unix:///x", JOB[0]), "no job file"),
                        ((bad,), "trian"),
                        ((JOB[0], "--set", "train.epoch=1"), "train.epoch"),
                        ((os.path.join(folder, "none.yaml"),), "none.yaml"),
                        (("--resume", os.path.join(taken, "checkpoints")), "it has no job.yaml"),
                        ((*JOB, "--run-dir", taken), "already holds a run")):
        code, out, err = worker(2, *words)
        lines = ours(err)
        check(code == 2, "%s: exit %s" % (words, code))
        check(len(lines) == 1 and text in err, "%s: one sentence with %r: %s" % (words, text, lines or err[:300]))
    code, out, err = worker(2, "--help")
    check(code == 0 and out.count("usage:") == 1, "--help once: %s" % out)
    code, out, err = worker(1, "--version")
    check(code == 0 and out.startswith("syncline-worker "), "--version: %s" % out)


def main():
    folder = scratch()
    ranks(folder)
    repeatable(folder)
    options(folder)
    usage(folder)
    finish(folder)


if __name__ == "__main__":
    main()
