"""Runs retort-import and retort-extract on a variant of tests/fixtures/parity and compares every layer with the reference.

Shared by scripts/parity, which writes a table, and test_parity.py. Python's standard library only.
"""

import array
import ast
import json
import math
import operator
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

# Largest difference of a layer allowed, over the RMS of the reference's.
BOUND = 1e-4
PART = "part-00000-of-00001"


class ParityError(Exception):
    """A tool failed, or gave other layers, clips, frames or dimensions than the reference; one line."""


class Frames(NamedTuple):
    frames: int
    dim: int
    values: array.array  # frames * dim, f32


class LayerResult(NamedTuple):
    layer: str
    difference: float  # largest over all clips, over the layer's RMS over all clips
    frames: int


def _floats(data):
    values = array.array("f")
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def read_expected(path) -> Dict[str, Dict[str, Frames]]:
    """layer -> clip -> frames of an expected.safetensors."""
    data = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    layers: Dict[str, Dict[str, Frames]] = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name == "__metadata__":
            continue
        clip, layer = name.split("/")
        begin, end = entry["data_offsets"]
        frames, dim = entry["shape"]
        layers.setdefault(layer, {})[clip] = Frames(frames, dim, _floats(data[8 + length + begin:8 + length + end]))
    return layers


def read_array(path) -> Frames:
    """A (frames, dim) .npy of f32."""
    data = Path(path).read_bytes()
    (length,) = struct.unpack("<H", data[8:10])
    header = ast.literal_eval(data[10:10 + length].decode())
    if header["descr"] != "<f4" or header["fortran_order"]:
        raise ParityError(f"{path}: not rows of f32")
    return Frames(*header["shape"], _floats(data[10 + length:]))


def read_store(folder) -> Dict[str, Frames]:
    """clip -> frames of a store of one part."""
    _, dim, values = read_array(Path(folder) / f"{PART}.npy")
    found = {}
    for line in (Path(folder) / f"{PART}.jsonl").read_text().splitlines():
        entry = json.loads(line)
        begin = entry["start"] * dim
        found[entry["id"]] = Frames(entry["frames"], dim, values[begin:begin + entry["frames"] * dim])
    return found


def compare_layer(layer, ours: Dict[str, Frames], theirs: Dict[str, Frames]) -> LayerResult:
    if sorted(ours) != sorted(theirs):
        raise ParityError(f"{layer}: clips {', '.join(sorted(ours))} instead of {', '.join(sorted(theirs))}")
    largest, squares, count, frames = 0.0, 0.0, 0, 0
    for clip, reference in theirs.items():
        mine = ours[clip]
        if (mine.frames, mine.dim) != (reference.frames, reference.dim):
            raise ParityError(f"{layer} of {clip}: {mine.frames} frames of {mine.dim} values instead of "
                              f"{reference.frames} of {reference.dim}")
        if not math.isfinite(sum(mine.values)):
            raise ParityError(f"{layer} of {clip}: a value is not finite")
        largest = max(largest, max(map(abs, map(operator.sub, mine.values, reference.values))))
        squares += sum(map(operator.mul, reference.values, reference.values))
        count += len(reference.values)
        frames += reference.frames
    return LayerResult(layer, largest / math.sqrt(squares / count), frames)


class Variant:
    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        self.name = self.folder.name
        self.about = json.loads((self.folder / "variant.json").read_text())
        self.checkpoint = self.folder / self.about["checkpoint"]
        self.config: Optional[Path] = self.folder / self.about["config"] if "config" in self.about else None
        self.expected = self.folder / self.about.get("expected", "expected.safetensors")

    def is_model_folder(self):
        return self.about["checkpoint"] == "."


def find_variants(folder) -> List[Variant]:
    return [Variant(file.parent) for file in sorted(Path(folder).glob("*/variant.json"))]


class Tools:
    """The built programs."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def run(self, name, *args):
        done = subprocess.run([str(self.folder / name), *map(str, args)], capture_output=True, text=True)
        if done.returncode != 0:
            raise ParityError((done.stderr.strip().splitlines() or [f"{name}: exit code {done.returncode}"])[-1])
        return done.stdout

    def import_model(self, variant: Variant, output):
        config = ["--config", variant.config] if variant.config else []
        self.run("retort-import", variant.checkpoint, "-o", output, *config)
        return output

    def extract(self, variant: Variant, model, clips, output, threads):
        files = [variant.folder / variant.about["clips"] / f"{clip}.wav" for clip in clips]
        self.run("retort-extract", "--model", model, "--layer", ",".join(variant.about["layers"]), "--threads", threads, *files,
                 "-o", output)

    def content_hash(self, model):
        return json.loads(self.run("retort-inspect", "--json", model))["hash"]


def compare_model(tools: Tools, variant: Variant, model, scratch, together=False) -> List[LayerResult]:
    """Every layer of a model, given as --model, against the variant's reference, clip by clip or in one padded batch."""
    expected = read_expected(variant.expected)
    clips = sorted(next(iter(expected.values())))
    # On a CPU, clips that outnumber the threads are computed one by one, fewer ones in a batch.
    tools.extract(variant, model, clips, scratch, len(clips) + 1 if together else 1)
    results = []
    for layer in variant.about["layers"]:
        sidecar = json.loads((Path(scratch) / layer / f"{PART}.json").read_text())
        if sidecar["origin"]["wave_norm"] != variant.about["wave_norm"]:
            raise ParityError(f"waveform norm {sidecar['origin']['wave_norm']} instead of {variant.about['wave_norm']}")
        results.append(compare_layer(layer, read_store(Path(scratch) / layer), expected[layer]))
    return results


def compare_variant(tools: Tools, variant: Variant, scratch, together=False) -> List[LayerResult]:
    """Imports and compares; a model folder of transformers is also given to --model as it is, with the same outcome."""
    scratch = Path(scratch)
    model = tools.import_model(variant, scratch / "model")
    results = compare_model(tools, variant, model, scratch / "frames", together)
    if variant.is_model_folder():
        direct = compare_model(tools, variant, variant.folder, scratch / "direct", together)
        if direct != results:
            raise ParityError("the folder itself and its import differ")
    shutil.rmtree(scratch)
    return results
