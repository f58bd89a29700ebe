#!/usr/bin/python3
"""Times the three example jobs in PyTorch and in Syncline, in alternation on this machine, and prints medians and their ratios.

usage: pytorch.py --mnist DIR --text FILE [--bin DIR] [--rounds 3] [--steps 200] [--only mlp,lenet,gpt]

Both use one process and one thread. Figures are milliseconds a training step (forward, loss, backward, optimizer); an epoch of
MNIST is 469 steps of the MLP (batch 128) and 938 of LeNet-5 (batch 64). Needs Debian's python3-torch; prints only, asserts nothing.
"""
import argparse
import gzip
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "..", "..", "docs", "examples")


def read_idx(path):
    raw = gzip.open(path).read()
    n_dims = raw[3]
    shape = np.frombuffer(raw, ">u4", n_dims, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * n_dims).reshape(shape)


def torch_steps(name, args):
    """One timed run of `steps` steps; returns milliseconds per step (median)."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.set_num_threads(1)
    torch.manual_seed(1)
    if name == "gpt":
        text = np.frombuffer(open(args.text, "rb").read(), np.uint8)
        vocabulary = np.unique(text)
        data = torch.from_numpy(np.searchsorted(vocabulary, text)).long()
        net, block, batch = Gpt(torch, nn, F, len(vocabulary)), 64, 12
        opt = torch.optim.AdamW(net.parameters(), lr=1e-3, betas=(.9, .99), weight_decay=.1, foreach=True)

        def draw():
            at = torch.randint(len(data) - block - 1, (batch,))
            rows = torch.stack([data[i:i + block + 1] for i in at])
            return rows[:, :-1], rows[:, 1:]

        def loss_of(x, y):
            return F.cross_entropy(net(x).flatten(0, 1), y.flatten())
    else:
        images = read_idx(os.path.join(args.mnist, "train-images-idx3-ubyte.gz"))
        labels = torch.from_numpy(read_idx(os.path.join(args.mnist, "train-labels-idx1-ubyte.gz")).copy()).long()
        images = torch.from_numpy(images.astype(np.float32) / 255).unsqueeze(1)
        if name == "mlp":
            batch = 128
            net = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
            opt = torch.optim.Adam(net.parameters(), lr=1e-3, foreach=True)
        else:
            batch = 64
            net = nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
                                nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
                                nn.Linear(84, 10))
            opt = torch.optim.SGD(net.parameters(), lr=.05, momentum=.9, weight_decay=5e-4, foreach=True)

        def draw():
            rows = torch.randint(len(images), (batch,))
            return images[rows], labels[rows]

        def loss_of(x, y):
            return F.cross_entropy(net(x), y)
    times = []
    for _ in range(args.steps):
        start = time.perf_counter()
        x, y = draw()
        loss = loss_of(x, y)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        if name == "gpt":
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times[args.steps // 10:])


def Gpt(torch, nn, F, vocabulary, layers=4, heads=4, width=128, block=64):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attn, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
            self.register_buffer("mask", torch.tril(torch.ones(block, block)).bool())

        def forward(self, x):
            b, t, c = x.shape
            q, k, v = (z.view(b, t, heads, c // heads).transpose(1, 2) for z in self.attn(self.ln1(x)).split(width, 2))
            a = (q @ k.transpose(-2, -1)) / math.sqrt(c // heads)
            a = a.masked_fill(~self.mask[:t, :t], float("-inf")).softmax(-1)
            x = x + self.proj((a @ v).transpose(1, 2).reshape(b, t, c))
            return x + self.down(F.gelu(self.up(self.ln2(x))))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(block, width)
            self.h = nn.Sequential(*[Block() for _ in range(layers)])
            self.ln = nn.LayerNorm(width)

        def forward(self, x):
            x = self.wte(x) + self.wpe.weight[:x.shape[1]]
            return self.ln(self.h(x)) @ self.wte.weight.T
    return Net()


def syncline_steps(name, args):
    job = {"mlp": "mnist-mlp", "lenet": "mnist-lenet", "gpt": "gpt-char"}[name]
    batch = {"mlp": 128, "lenet": 64, "gpt": 12}[name]
    with tempfile.TemporaryDirectory() as folder:
        out = subprocess.run(
            [os.path.join(args.bin, "syncline"), "run", os.path.join(EXAMPLES, job + ".yaml"), "-n", "1", "--json", "--quiet",
             "--run-dir", os.path.join(folder, "run"), "--set", "train.max_steps=%d" % args.steps, "--set", "threads=1",
             "--set", "data.path=" + (args.text if name == "gpt" else args.mnist)],
            capture_output=True, text=True)
    if out.returncode != 0:
        sys.exit("syncline run failed: " + out.stderr)
    return 1e3 * batch / json.loads(out.stdout.splitlines()[-1])["samples_per_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--bin", default=os.path.join(HERE, "..", "..", "build", "release", "bin"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--only", default="mlp,lenet,gpt")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    args.mnist, args.text = os.path.abspath(args.mnist), os.path.abspath(args.text)
    print("%-6s %12s %12s %8s" % ("job", "PyTorch ms", "Syncline ms", "ratio"))
    for name in args.only.split(","):
        pairs = [(torch_steps(name, args), syncline_steps(name, args)) for _ in range(args.rounds)]
        ratio = statistics.median(p / s for p, s in pairs)
        print("%-6s %12.2f %12.2f %8.2f" % (name, statistics.median(p for p, _ in pairs),
                                            statistics.median(s for _, s in pairs), ratio), flush=True)


if __name__ == "__main__":
    main()
