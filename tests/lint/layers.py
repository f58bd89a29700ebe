#!/usr/bin/env python3
"""Holds the code to tests/lint/layers.txt and to the rules of docs/architecture.md about who may see which library."""
import os
import re
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))

# header pattern -> rooms that may include it
LIBRARIES = {
    r"^mpi\.h$": ["worker/comm"],
    r"^nghttp2/": ["common/rpc"],
    r"^sqlite3\.h$": ["server/store"],
    r"^(cblas|lapacke|openblas)": ["worker/kernels"],
    r"^(oneapi/)?dnnl": ["worker/kernels"],
    r"^microhttpd\.h$": ["server/http"],
    r"^yaml\.h$": ["common/format"],
    r"\.pb-c\.h$": ["server/rpc", "server/cli", "worker/agent", "common/rpc", "common/format"],
}
MAX_LINES = 800


def read_layers():
    layers = {}
    for line in open(os.path.join(ROOT, "tests/lint/layers.txt")):
        line = line.split("#")[0].strip()
        if line:
            room, _, below = line.partition(":")
            layers[room.strip()] = below.split()
    return layers


def room_of(path, layers):
    folder = os.path.dirname(path)
    while folder and folder not in layers:
        folder = os.path.dirname(folder)
    return folder or None


def check_include(room, header, layers):
    """None, or what is wrong with `room` including `header`."""
    for pattern, rooms in LIBRARIES.items():
        if re.search(pattern, header):
            return None if any(room == r or room.startswith(r + "/") for r in rooms) else \
                "only %s may include it" % ", ".join(rooms)
    if header.startswith("syncline/"):
        name = header[len("syncline/"):]
        if os.path.exists(os.path.join(ROOT, "common/include", header)):
            return None
        if room.startswith("worker") or name.startswith("v1/"):
            return None
        return "%s is the worker's" % header
    if not re.match(r"^(common|server|worker)/", header):
        return None
    target = room_of(header, layers)
    if target == room or target == "common/base" or target is None:
        return None
    allowed = layers[room]
    if target in allowed:
        return None
    return "layers.txt does not let %s include %s" % (room, target)


def main():
    layers = read_layers()
    files = subprocess.run(["git", "ls-files", "common/*.[ch]", "server/*.[ch]", "worker/*.[ch]"], cwd=ROOT,
                           capture_output=True, text=True, check=True).stdout.split()
    problems = []
    for path in files:
        full = os.path.join(ROOT, path)
        if not os.path.exists(full) or "/include/syncline/" in path:
            continue
        room = room_of(path, layers)
        if room is None:
            problems.append("%s: its folder is not in layers.txt" % path)
            continue
        lines = open(full, encoding="utf-8").read().splitlines()
        if len(lines) > MAX_LINES:
            problems.append("%s: %d lines, the limit is %d" % (path, len(lines), MAX_LINES))
        if not lines or not lines[0].startswith("/*"):
            problems.append("%s:1: the first line must be a comment that says what lives here" % path)
        for number, line in enumerate(lines, 1):
            match = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
            wrong = match and check_include(room, match.group(1), layers)
            if wrong:
                problems.append("%s:%d: includes %s: %s" % (path, number, match.group(1), wrong))
    for problem in problems:
        print(problem)
    print("%d files, %d problems" % (len(files), len(problems)))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
