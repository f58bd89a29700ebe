#!/usr/bin/env python3
"""syn-conform's edges: wrong arguments, missing files and broken cases are sentences, never crashes."""

import json
import os
import struct
import subprocess
import sys
import tempfile

CONFORM = sys.argv[1]


def run(*arguments):
    return subprocess.run([CONFORM, *arguments], capture_output=True, text=True, check=False,
                          timeout=60)


def expect(result, code, text):
    output = result.stdout + result.stderr
    if result.returncode != code or text not in output:
        sys.exit(f"exit {result.returncode} and {output!r}, expected {code} and {text!r}")


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def main():
    with tempfile.TemporaryDirectory() as folder:
        empty = os.path.join(folder, "in.safetensors")
        with open(empty, "wb") as file:
            file.write(struct.pack("<Q", 2) + b"{}")
        out = os.path.join(folder, "out.safetensors")
        cases = os.path.join(folder, "cases.jsonl")

        expect(run(), 2, "usage: syn-conform train")
        expect(run("--help"), 0, "usage: syn-conform train")
        for mode in ("opt", "onnx"):
            expect(run(mode, cases, empty, out), 2, f"there is no mode {mode}, only train and ops")
        expect(run("train", cases, empty, out), 1, "cases.jsonl")
        write(cases, "\n{\"id\":\n")
        expect(run("train", cases, empty, out), 1, "cases.jsonl: line 2: column")
        write(cases, "{}\n")
        expect(run("train", cases, empty, out), 1, "line 1: a case without id")

        layer = {"op": "warp", "p": "w"}
        config = {"task": "xy", "layers": [layer], "loss": "mse", "optim": "SGD", "hp": {}, "steps": 1}
        unknown = {"id": "a", "kind": "train", "dtype": "f32", "cfg": config, "init": {}, "data": {}}
        broken = dict(unknown, id="b", cfg=dict(config, layers=[]), data={"x": "k", "order": "k"})
        other = {"id": "c", "kind": "module"}
        write(cases, "".join(json.dumps(case) + "\n" for case in (unknown, broken, other)))
        result = run("train", cases, empty, out)
        expect(result, 0, "a: there is no layer warp")
        expect(result, 0, "b: there is no input k (x)")
        with open(out, "rb") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            metadata = json.loads(file.read(size))["__metadata__"]
        if json.loads(metadata["unsupported"]) != ["a", "c"] or json.loads(metadata["errors"]) != ["b"]:
            sys.exit(f"wrong lists: {metadata}")


if __name__ == "__main__":
    main()
