#!/usr/bin/env python3
"""Writes the small seed corpora under tests/fuzz/corpus; inputs that once broke something are kept in REGRESSIONS."""
import gzip
import json
import struct
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent.parent / "docs" / "examples"


def safetensors(header, data=b"", pad=True):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    if pad:
        text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    """One protobuf field: int as varint, float as 64-bit, bytes or str as length-delimited."""
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value & 0xFFFFFFFFFFFFFFFF)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def frame(message, compressed=0):
    return bytes([compressed]) + struct.pack(">I", len(message)) + message


SMALL = "model: {kind: mlp}\ndata: {kind: digits}\ntrain: {epochs: 1}\n"
JOBS = {path.name: path.read_bytes() for path in sorted(EXAMPLES.glob("*.yaml"))} | {
    "small.yaml": SMALL,
    "gpt.json": '{"name": "\\u00e4\\ud83d\\ude00", "seed": 18446744073709551615, "model": {"kind": "gpt"},\n'
                ' "data": {"kind": "text", "path": "/t"}, "train": {"max_steps": 10}, "optimizer": {"betas": [0, 0.5]}}',
    "every-section.yaml": SMALL + "dtype: f64\noptimizer: {kind: sgd, lr: 1e-3, momentum: .9, nesterov: true}\n"
                          "schedule: {kind: step, gamma: 0.5, step_size: 3}\ncheckpoint: {every_steps: 5, resume: a/b}\n"
                          "parallel: {bucket_mb: 0.5, overlap: false}\n",
    "block-list.yaml": "model:\n  kind: mlp\n  hidden:\n  - 3\n  - 4\ndata:\n  kind: idx\n  path: >-\n    a b\n    c\n"
                       "train: {epochs: 1}\n",
    "unknown.yaml": SMALL + "optimizer:\n  learning_rate: 1\n",
    "anchor.yaml": "a: &x [1]\nb: *x\n",
    "tag.yaml": "a: !!int 1\n",
    "documents.yaml": "a: 1\n---\nb: 2\n",
    "deep.yaml": "[" * 40,
    "deep.json": '{"a":' + "[" * 40 + "]" * 40 + "}",
    "tab.yaml": "train:\n\tepochs: 1\n",
    "complex-key.yaml": "? [a, b]\n: 1\n",
    "nul.yaml": 'name: "a\\0b"\n',
    "mark.yaml": b"\xef\xbb\xbf" + SMALL.encode(),
    "not-utf8.yaml": b"name: \xff\n",
    "override": "train.batch_size=16",
    "override-list": "model.hidden=[1, 2, 3]",
    "override-unknown": "train.batchsize=16",
}
SAFETENSORS = {
    "empty": safetensors({}),
    "two": safetensors({"__metadata__": {"format": "pt"}, "w": entry("F32", [2, 2], 0, 16), "b": entry("U8", [3], 16, 19)},
                       bytes(range(19))),
    "scalar-and-none": safetensors({"s": entry("BF16", [], 0, 2), "n": entry("F64", [0, 5], 0, 0)}, b"ab"),
    "hole": safetensors({"w": entry("U8", [2], 1, 3)}, b"abc"),
    "overlap": safetensors({"v": entry("U8", [2], 0, 2), "w": entry("U8", [2], 1, 3)}, b"abc"),
    "too-large": safetensors({"w": entry("F64", [1 << 62], 0, 8)}, b"8 bytes."),
    "duplicate": safetensors(b'{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{}}', b"a"),
    "header-beyond-file": struct.pack("<Q", 1000) + b"{}",
    "header-absurd": struct.pack("<Q", (1 << 64) - 1) + b"{}",
    "no-json": safetensors(b"{nonsense}"),
}
PROGRESS = field(1, 7) + field(2, 100) + field(5, 0.5) + field(11, 1)
JOB = field(1, "j-000001") + field(2, "name") + field(3, 5) + field(13, PROGRESS) + field(15, field(1, "loss") + field(2, 0.25))
WIRE = {
    "submit": b"\x00" + field(1, "id") + field(2, SMALL) + field(3, "job.yaml") + field(4, "seed=1") + field(4, "ranks=2"),
    "job": b"\x01" + field(1, JOB) + field(2, b""),
    "logs-rank": b"\x02" + field(1, "j-000001") + field(2, 3) + field(4, 1 << 40),
    "logs-both": b"\x02" + field(1, "j-000001") + field(2, 3) + field(3, 1),
    "register": b"\x03" + field(1, "w") + field(2, "p") + field(3, 1),
    "report": b"\x04" + field(1, "w") + field(4, 9) + field(6, field(1, 1)) + field(7, PROGRESS),
    "stop": b"\x05" + field(2, field(1, "j") + field(2, 1) + field(4, "why")),
    "outcome": b"\x06" + field(1, "j-000001") + field(2, 1),
    "event": b"\x07" + field(1, 1.5) + field(2, -1) + field(3, "brain.Event:2"),
    "not-utf8": b"\x00" + field(1, b"\xff"),
    "cut": b"\x00\x0a\x7f",
    "long-varint": b"\x00\x28" + b"\xff" * 12,
    "group": b"\x00\x0b\x0c",
    "field-zero": b"\x00\x02\x00",
    "unknown-fields": b"\x05" + field(100, b"x" * 20) + field(101, 5),
    "nested": b"\x01" + field(1, field(13, PROGRESS * 20)),
}
FRAMING = {
    "one": b"\x3f" + frame(b"hello"),
    "bytewise": b"\x00" + frame(b"hello") + frame(b"") + frame(b"again"),
    "compressed": b"\x10" + frame(b"hello", 1),
    "announced": b"\x10" + b"\x00\xff\xff\xff\xff" + b"abc",
    "cut": b"\x02" + frame(b"hello")[:7],
}
IDX_IMAGES = b"\0\0\x08\x03" + struct.pack(">3I", 4, 3, 2) + bytes(range(24))
IDX_LABELS = b"\0\0\x08\x01" + struct.pack(">I", 4) + bytes(range(4))
IDX = {
    "images": IDX_IMAGES,
    "labels": IDX_LABELS,
    "images.gz": gzip.compress(IDX_IMAGES, mtime=0),
    "labels.gz": gzip.compress(IDX_LABELS, mtime=0),
    "truncated": IDX_IMAGES[:-1],
    "longer.gz": gzip.compress(IDX_LABELS + b"x", mtime=0),
    "cut.gz": gzip.compress(IDX_IMAGES, mtime=0)[:-9],
    "floats": b"\0\0\x0d\x01" + struct.pack(">I", 1) + bytes(4),
    "terabytes": b"\0\0\x08\x03" + b"\xff\xff\xff\xff" + struct.pack(">2I", 4096, 4096),
    "terabytes.gz": gzip.compress(b"\0\0\x08\x03" + b"\xff\xff\xff\xff" + struct.pack(">2I", 4096, 4096), mtime=0),
    "none": b"\0\0\x08\x01" + bytes(4),
    "empty": b"",
}
REGRESSIONS = {}


def main():
    groups = {"job": JOBS, "safetensors": SAFETENSORS, "wire": WIRE, "framing": FRAMING, "idx": IDX}
    for group, files in groups.items():
        folder = HERE / "corpus" / group
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name, content in (files | REGRESSIONS.get(group, {})).items():
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


if __name__ == "__main__":
    main()
