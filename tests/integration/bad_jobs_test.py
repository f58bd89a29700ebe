#!/usr/bin/python3
"""Ten bad requests: each gives one clear sentence that names the value and the place, and a non-zero exit code."""
import gzip
import os
import socket
import struct
import subprocess

from harness import DIGITS, SMALL, SOURCE, SYNCLINE, Coordinator, check, cli, finish, scratch

MLP = os.path.join(SOURCE, "docs/examples/mnist-mlp.yaml")


def write_idx(folder, n_train=200, n_test=50, cut=0, dtype=8):
    """A small data set in MNIST's four files; `cut` bytes are missing at the end of the training images."""
    os.makedirs(folder, exist_ok=True)
    for prefix, n in (("train", n_train), ("t10k", n_test)):
        images = struct.pack(">HBBIII", 0, dtype, 3, n, 28, 28) + bytes(n * 784)
        labels = struct.pack(">HBBI", 0, 8, 1, n) + bytes(i % 10 for i in range(n))
        if prefix == "train" and cut:
            images = images[:-cut]
        gzip.open(os.path.join(folder, prefix + "-images-idx3-ubyte.gz"), "wb").write(images)
        gzip.open(os.path.join(folder, prefix + "-labels-idx1-ubyte.gz"), "wb").write(labels)
    return folder


def expect(name, done, *words, code=None):
    """One sentence on standard error with these words, and a non-zero exit code."""
    text = done.stderr.strip()
    first = text.splitlines()[0] if text else ""
    check(done.returncode != 0 and (code is None or done.returncode == code), "%s: exit code %d" % (name, done.returncode))
    for word in words:
        check(word in text, "%s: %r is not in %r" % (name, word, text))
    errors = [line for line in text.splitlines() if line.startswith("syncline")]
    check(len(errors) == 1, "%s: one sentence, not %r" % (name, text))
    check("mpirun" not in text and "----" not in text, "%s: no noise of the launcher: %r" % (name, text))
    print("%-22s exit %d  %s" % (name, done.returncode, first))


def main():
    folder = scratch()
    job = os.path.join(folder, "job.yaml")

    def run(*words, text=None, **more):
        if text is not None:
            open(job, "w").write(text)
        return cli("run", *words, "--quiet", "--run-dir", os.path.join(folder, "run"), **more)

    digits = open(DIGITS).read()
    expect("unknown key", run(job, text=digits + "\nbatchsize: 3\n"), "job.yaml:", "batchsize", code=2)
    expect("wrong type", run(DIGITS, "--set", "train.batch_size=many"), "train.batch_size", "many", code=2)
    expect("impossible value", run(DIGITS, "--set", "train.batch_size=-3"), "train.batch_size", "-3", code=2)
    missing = os.path.join(folder, "nowhere")
    expect("missing data", run(MLP, "-n", "2", "--set", "data.path=" + missing), missing)
    truncated = write_idx(os.path.join(folder, "truncated"), cut=1000)
    expect("truncated IDX", run(MLP, "-n", "2", "--set", "data.path=" + truncated), "train-images-idx3-ubyte")
    floats = write_idx(os.path.join(folder, "floats"), dtype=13)
    expect("wrong dtype", run(MLP, "-n", "2", "--set", "data.path=" + floats), "train-images-idx3-ubyte")
    small = write_idx(os.path.join(folder, "small"))
    expect("batch larger than data", run(MLP, "-n", "2", "--set", "data.path=" + small, "--set", "train.batch_size=500"), "500", "200")
    expect("more ranks than slots", run(DIGITS, "-n", "4000"), "4000")
    # Root may read everything: a folder that is a file, and a file that is a folder, are unreadable for everybody.
    blocked = os.path.join(folder, "blocked")
    open(blocked, "w").close()
    expect("unreadable directory", run(MLP, "--set", "data.path=" + os.path.join(blocked, "mnist")), blocked)
    expect("run dir is a file", cli("run", DIGITS, "--run-dir", blocked), blocked)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        expect("port in use", cli("serve", "--state-dir", os.path.join(folder, "state2"), "--listen", "127.0.0.1:%d" % port,
                                  "--http", "none"), "127.0.0.1:%d" % port)
        expect("HTTP port in use", cli("serve", "--state-dir", os.path.join(folder, "state3"), "--listen",
                                       "unix://" + os.path.join(folder, "s3"), "--http", "127.0.0.1:%d" % port), "127.0.0.1:%d" % port)

    # A real full disk: a small tmpfs when we may mount one, else a file size limit.
    disk = os.path.join(folder, "disk")
    os.mkdir(disk)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", disk], capture_output=True).returncode == 0
    if mounted:
        try:
            done = cli("run", DIGITS, *SMALL, "--set", "model.hidden=[2048, 512]", "--set", "checkpoint.every_steps=10", "--quiet",
                       "--run-dir", os.path.join(disk, "run"))
            expect("disk full", done, "No space left on device")
        finally:
            subprocess.run(["umount", "-l", disk])
    else:
        print("disk full: skipped, this user may not mount a tmpfs")

    coordinator = Coordinator(folder, "--slots", "2")
    try:
        address = coordinator.address
        expect("submit: too many ranks", cli("submit", DIGITS, "-n", "3", address=address), "3", "2", code=2)
        expect("submit: bad key", cli("submit", job, address=address), "batchsize", code=2)
        expect("show: no such job", cli("show", "j-999999", address=address), "j-999999", code=3)
        expect("second coordinator", cli("serve", "--state-dir", coordinator.state_dir, "--listen",
                                         "unix://" + os.path.join(folder, "other"), "--http", "none"), coordinator.state_dir)
        nan = coordinator.submit(DIGITS, "-n", "2", *SMALL, "--set", "optimizer.lr=1e30", "--set", "optimizer.kind=sgd")
        code, shown = coordinator.wait(nan)
        check(code == 1 and shown["state"] == "FAILED" and "step" in shown["reason_text"] and "nan" in shown["reason_text"].lower(),
              "a loss that is not a number ends the job with a sentence: %s %s" % (shown["state"], shown["reason_text"]))
        check(shown["attempt"] == 1, "and is not tried again")
    finally:
        coordinator.stop()
    expect("no coordinator", cli("list", address="unix://" + os.path.join(folder, "gone")), folder, code=5)
    finish(folder)


if __name__ == "__main__":
    main()
