"""Label stores of any size, written by Python as docs/formats.md has them, and ways to break their parts."""

import ctypes
import ctypes.util
import json
import random
import struct
from pathlib import Path


class _Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def _load_xxhash():
    name = ctypes.util.find_library("xxhash")
    if not name:
        return None
    library = ctypes.CDLL(name)
    library.XXH3_128bits.restype = _Hash128
    library.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return library


XXHASH = _load_xxhash()


def hash_of(data):
    value = XXHASH.XXH3_128bits(data, len(data))
    return f"{value.high:016x}{value.low:016x}"


def _npy_header(rows):
    text = f"{{'descr': '<u2', 'fortran_order': False, 'shape': ({rows},), }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def stem(index, count):
    return f"part-{index:05}-of-{count:05}"


def write_part(folder, index, count, utterances, frames, corpus="c0ffee", first=None):
    """Part `index`: utterances u<first>..., each with `frames` labels that differ from part to part."""
    draw = random.Random(f"{corpus} {index}")
    first = index * utterances if first is None else first
    start, values, lines = 0, [], []
    for i in range(utterances):
        data = draw.randbytes(frames).translate(_BELOW_100).ljust(2 * frames, b"\0")
        values.append(data)
        lines.append(f'{{"id":"u{first + i:07}","start":{start},"frames":{frames},"samples":{320 * frames + 80},'
                     f'"hash":"{hash_of(data)}"}}\n')
        start += frames
    rows, listing = b"".join(values), "".join(lines).encode()
    base = Path(folder) / stem(index, count)
    base.with_suffix(".npy").write_bytes(_npy_header(start) + rows)
    base.with_suffix(".jsonl").write_bytes(listing)
    sidecar = {"format": "retort-frames-1", "version": "0.1.0", "kind": "labels", "dtype": "u16", "dim": 1, "rate": 16000,
               "origin": {"corpus": corpus, "model": "model", "layer": "enc9", "wave_norm": "none", "batching": "exact",
                          "hop": 320},
               "codebook": "codebook", "clusters": 100, "dedup": False, "shard": f"{index}/{count}",
               "utterances": utterances, "frames": start, "bad": {},
               "hashes": {"npy": hash_of(rows), "jsonl": hash_of(listing)}}
    base.with_suffix(".json").write_text(json.dumps(sidecar, indent=2) + "\n")


_BELOW_100 = bytes(i % 100 for i in range(256))


def write_store(folder, parts, utterances, frames):
    Path(folder).mkdir(parents=True, exist_ok=True)
    for index in range(parts):
        write_part(folder, index, parts, utterances, frames)


def break_parts(folder, parts, utterances, frames, draw, each):
    """Breaks `each` parts in each of five ways; {way: sorted numbers of the parts}."""
    folder = Path(folder)
    chosen = draw.sample(range(parts), 5 * each)
    ways = {way: sorted(chosen[i * each:(i + 1) * each])
            for i, way in enumerate(("missing", "cut", "altered", "doubled", "of another run"))}
    for index in ways["missing"]:
        draw.choice([folder / (stem(index, parts) + ending) for ending in (".npy", ".jsonl", ".json")]).unlink()
    for index in ways["cut"]:
        file = folder / (stem(index, parts) + draw.choice([".npy", ".jsonl", ".json"]))
        data = file.read_bytes()
        file.write_bytes(data[:draw.randrange(len(data))])
    for index in ways["altered"]:
        file = folder / (stem(index, parts) + draw.choice([".npy", ".jsonl"]))
        data = bytearray(file.read_bytes())
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        file.write_bytes(data)
    sound = sorted(set(range(parts)) - set(chosen))
    for index in ways["doubled"]:  # another part's files, under this part's name
        other = draw.choice(sound)
        for ending in (".npy", ".jsonl"):
            (folder / (stem(index, parts) + ending)).write_bytes((folder / (stem(other, parts) + ending)).read_bytes())
    for index in ways["of another run"]:
        write_part(folder, index, parts, utterances, frames, corpus="another corpus")
    return ways
