#!/usr/bin/env python3
"""Exports models for transformers, loads them with it, and compares every layer with what the native engine gives.

    tests/tools/hf_exports.py --build DIR [--heads] MODEL... CLIP.wav...

MODEL: model folders or checkpoints of Retort's own. Prints a row of a table for each: the class that loaded it, and the largest difference of
a layer over its RMS, with each clip alone, and with all of them in one padded batch where the export carries the class (transformers'
own HuBERT lets padding into its norms). Exits 1 where a key is missing or unexpected, or a layer is further than 1e-4 away. Needs torch,
transformers and numpy.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from oracle_exports import load_hf, samples_of  # noqa: E402
from parity import BOUND, Tools, read_store  # noqa: E402


def layers_of(config):
    heads = getattr(config, "prediction_heads", None) or {"layers": []}
    blocks = [f"enc{i}" for i in range(config.num_hidden_layers)]  # the last one is normalised in some, and then is not enc
    return [*blocks, "final", *(f"head{layer}" for layer in heads["layers"])]


def theirs_of(model, inputs):
    """(layer, clip) -> (frames, dim), frames of padding included."""
    output = model(**inputs, output_hidden_states=True)
    heads = getattr(output, "head_states", None) or ()
    states = (*output.hidden_states[:-1], output.last_hidden_state, *heads)
    return [[clip.numpy() for clip in state] for state in states]


def ours_of(tools, export, layers, clips, folder):
    tools.run("retort-extract", "--model", export, "--layer", ",".join(layers), *clips, "-o", folder)
    stores = [read_store(Path(folder) / layer) for layer in layers]
    return [[np.array(store[clip.stem].values).reshape(-1, store[clip.stem].dim) for clip in clips] for store in stores]


def largest_difference(ours, theirs):
    """Over layers, of the largest difference over the RMS. Frames behind an utterance have to be zeros."""
    worst = 0.0
    for one, other in zip(ours, theirs, strict=True):
        rms = np.sqrt(np.mean(np.concatenate(one) ** 2))
        for mine, whole in zip(one, other, strict=True):
            assert len(whole) >= len(mine), f"{len(whole)} frames instead of {len(mine)}"
            padded = np.zeros_like(whole)
            padded[:len(mine)] = mine
            worst = max(worst, float(np.max(np.abs(padded - whole), initial=0.0) / rms))
    return worst


def compare(tools, model_path, heads, clips, scratch):
    export = scratch / "export"
    tools.run("retort-export", "--to", "hf", *(["--heads"] if heads else []), model_path, "-o", export)
    model, extractor = load_hf(str(export))
    ours = ours_of(tools, export, layers_of(model.config), clips, scratch / "feats")
    waves = [samples_of(clip) for clip in clips]
    alone = [theirs_of(model, extractor(one, sampling_rate=16000, return_tensors="pt", return_attention_mask=False)) for one in waves]
    by_layer = [[clip[0] for clip in layer] for layer in zip(*alone)]
    assert all(len(mine) == len(other) for one, layer in zip(ours, by_layer) for mine, other in zip(one, layer)), "other frame counts"
    differences = [largest_difference(ours, by_layer)]
    if type(model).__module__.endswith("modeling_retort"):
        batch = extractor(waves, sampling_rate=16000, return_tensors="pt", padding=True, return_attention_mask=True)
        differences.append(largest_difference(ours, theirs_of(model, batch)))
    return type(model).__name__, len(model.state_dict()), differences


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True, help="folder of the built programs")
    parser.add_argument("--heads", action="store_true", help="keep prediction heads")
    parser.add_argument("paths", nargs="+", type=Path, metavar="MODEL... CLIP")
    options = parser.parse_args()
    clips = [path.resolve() for path in options.paths if path.suffix == ".wav"]
    models = [path for path in options.paths if path.suffix != ".wav"]
    if not clips or not models:
        parser.error("name models and clips")
    tools, failed = Tools(options.build), False
    seconds = [len(samples_of(clip)) / 16000 for clip in clips]
    print(f"{len(clips)} clips of {min(seconds):.3g} to {max(seconds):.3g} s\n")
    print("| student | class | tensors | alone | in a batch |\n|---|---|---|---|---|")
    for model in models:
        with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
            name, tensors, differences = compare(tools, model.resolve(), options.heads, clips, Path(scratch))
        failed |= not all(difference <= BOUND for difference in differences)
        label = f"{model.name} with heads" if options.heads else model.name
        print(f"| {label} | {name} | {tensors} | {' | '.join(f'{difference:.1e}' for difference in differences)} |"
              + (" - |" if len(differences) == 1 else ""), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    os.environ.setdefault("HF_MODULES_CACHE", tempfile.mkdtemp())  # where transformers copies the code that exports carry
    main()
