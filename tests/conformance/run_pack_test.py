#!/usr/bin/env python3
"""Runs syn-conform over one pack of reference cases and holds it to the number that passed before.

The packs lie beside the source tree (../shared) or where SYNCLINE_SHARED says; without them, or without a
Python that has NumPy (which the judge needs), the test says so and is skipped. ratchet.json holds the number
of cases that pass; it only ever goes up."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

SKIP = 77
# Batch statistics depend on how a batch is divided, so these are compared on one rank only.
ONE_RANK_ONLY = r"^(?!cnn/resbn)"


def find_shared(source):
    """The folder that holds suites/, or None."""
    for folder in (os.environ.get("SYNCLINE_SHARED"), os.path.join(source, "..", "shared")):
        if folder and os.path.isdir(os.path.join(folder, "suites")):
            return os.path.abspath(folder)
    return None


def find_python():
    """A Python that can import NumPy, or None."""
    for python in (sys.executable, "/usr/bin/python3", "python3"):
        if shutil.which(python) and subprocess.run(
                [python, "-c", "import numpy"], capture_output=True, check=False).returncode == 0:
            return python
    return None


def skip(reason):
    print("skipped:", reason)
    sys.exit(SKIP)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--conform", required=True)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--mode", default="train", choices=["train", "ops"])
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--filter", default="", help="only cases whose id matches")
    parser.add_argument("--source", required=True)
    options = parser.parse_args()

    shared = find_shared(options.source)
    if not shared:
        skip("the reference cases are not there (SYNCLINE_SHARED or ../shared)")
    suites = os.path.join(shared, "suites")
    pack = os.path.join(suites, options.pack)
    if not os.path.isdir(pack):
        skip(f"{pack} is not there")
    python = find_python()
    if not python:
        skip("no Python with NumPy, which the judge needs")

    command = f"{options.conform} {options.mode}"
    if options.ranks > 1:
        command = f"mpirun -np {options.ranks} --oversubscribe --bind-to none {command}"
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "ratchet.json"),
              encoding="utf-8") as file:
        expected = json.load(file)[options.pack][options.filter or str(options.ranks)]
    with tempfile.TemporaryDirectory() as folder:
        summary = os.path.join(folder, "summary.json")
        run = [python, os.path.join(suites, "common", "run_pack.py"), "--cmd", command, "--jobs", "1",
               "--timeout", "200", "--out", summary, pack]
        if options.filter or options.ranks > 1:
            run += ["--filter", options.filter or ONE_RANK_ONLY]
        result = subprocess.run(run, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                check=False)
        print(result.stdout)
        if not os.path.exists(summary):
            print("the judge gave no summary")
            sys.exit(1)
        with open(summary, encoding="utf-8") as file:
            passed = json.load(file)["passed"]
    if re.search(r"[1-9]\d* crashed or hung", result.stdout):
        print("syn-conform crashed or hung")
        sys.exit(1)
    if passed < expected:
        print(f"{passed} cases pass, but {expected} did before")
        sys.exit(1)
    if passed > expected:
        print(f"{passed} cases pass, {expected} did before: raise the number in ratchet.json")
        sys.exit(1)
    print(f"{passed} cases pass")


if __name__ == "__main__":
    main()
