"""Copies of the model fixtures, spoiled as a test needs, and plain readers of .npy and .safetensors."""

import ast
import json
import shutil
import struct

from harness import FIXTURES

MODELS = FIXTURES / "model"
LSTM_MODELS = FIXTURES / "lstm"


def copy_model(name, folder):
    """Copies a fixture's config and weights (without the golden states) into `folder`."""
    folder.mkdir(parents=True)
    for file in ("config.json", "preprocessor_config.json", "model.safetensors"):
        shutil.copy(MODELS / name / file, folder / file)
    return folder


def read_tensors(path):
    """name -> (dtype, shape, bytes)."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    body = data[8 + length:]
    return {name: (entry["dtype"], entry["shape"], body[slice(*entry["data_offsets"])])
            for name, entry in header.items()}


def write_tensors(path, tensors):
    header, body = {}, b""
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def read_npy(path):
    """(shape, payload bytes) of a C-ordered version 1 array."""
    data = path.read_bytes()
    (length,) = struct.unpack("<H", data[8:10])
    header = ast.literal_eval(data[10:10 + length].decode())
    assert not header["fortran_order"]
    return header["shape"], data[10 + length:]


def floats(payload):
    return struct.unpack(f"<{len(payload) // 4}f", payload)


def relative_distance(ours, theirs):
    """Largest distance of two sequences over the RMS of the second."""
    rms = (sum(value * value for value in theirs) / len(theirs)) ** 0.5
    return max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) / rms
