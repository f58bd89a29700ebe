#!/usr/bin/python3
"""The three example jobs on real data reach what they must, on 1 and on 2 ranks: MNIST with an MLP and LeNet-5, characters with a GPT."""
import os

from harness import SOURCE, check, cli_json, finish, scratch, shared, skip

JOBS = (  # job, data, metric, bound, better when higher
    ("mnist-mlp", "mnist", "test_accuracy", 0.975, True),
    ("mnist-lenet", "mnist", "test_accuracy", 0.990, True),
    ("gpt-char", "shakespeare/input.txt", "val_loss", 1.92, False),
)


def main():
    data = shared()
    if not data:
        skip("the data sets are neither in ../shared nor in $SYNCLINE_SHARED")
    folder = scratch()
    for job, path, metric, bound, is_higher in JOBS:
        for ranks in (1, 2):
            result = cli_json("run", os.path.join(SOURCE, "docs/examples", job + ".yaml"), "-n", ranks, "--quiet", "--set", "threads=1",
                              "--set", "data.path=" + os.path.join(data, "data", path), "--run-dir",
                              os.path.join(folder, "%s-%d" % (job, ranks)), timeout=900)
            value = result["metrics"].get(metric)
            print("%-12s %d rank(s)  %s %.4f  %.0f samples/s  %.1f s  hidden %.2f ms exposed %.2f ms" % (
                job, ranks, metric, value or 0, result["samples_per_s"], result["elapsed_s"], result["comm"]["hidden_ms"],
                result["comm"]["exposed_ms"]), flush=True)
            check(value is not None and (value >= bound if is_higher else value <= bound),
                  "%s on %d rank(s): %s is %s, the bound is %s" % (job, ranks, metric, value, bound))
    finish(folder)


if __name__ == "__main__":
    main()
