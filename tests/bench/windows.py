"""How far windowed features are from those of one pass over the whole file. Prints rows of docs/results/windows.md.

    windows.py --build DIR --model MODEL --codebooks FOLDER --corpus corpus.jsonl --speaker NAME --minutes 3,10 --windows 15,30

The speaker's utterances follow each other, in the corpus' order, until the file is long enough. Per layer: the largest
difference and the RMS of the differences, over the layer's RMS, and the share of frames that another centroid is nearest to
(FOLDER/LAYER/codebook; none, where there is no codebook of a layer). Needs numpy and soundfile.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000
PART = "part-00000-of-00001.npy"


def long_file(corpus, speaker, minutes, path):
    pieces, samples = [], 0
    for line in corpus.read_text().splitlines():
        utterance = json.loads(line)
        if utterance["speaker"] != speaker or samples >= minutes * 60 * RATE:
            continue
        audio, rate = soundfile.read(corpus.parent / utterance["path"], dtype="int16")
        assert rate == RATE and audio.ndim == 1, utterance
        pieces.append(audio)
        samples += len(audio)
    assert samples >= minutes * 60 * RATE, f"{speaker} says {samples / RATE / 60:.1f} minutes"
    soundfile.write(path, np.concatenate(pieces)[:int(minutes * 60 * RATE)], RATE)


def extract(args, audio, window, output):
    """Layer -> frames."""
    subprocess.run([args.build / "bin/retort-extract", "--model", args.model, "--layer", "all", "--window", window, audio,
                    "-o", output, "--log-level", "error"], check=True)
    return {store.name: np.load(store / PART) for store in sorted(output.iterdir())}


def labels(frames, centroids):
    frames, centroids = frames.astype(np.float64), centroids.astype(np.float64)
    return np.argmin((centroids ** 2).sum(1) - 2 * frames @ centroids.T, axis=1)


def moved_labels(args, layer, whole, windowed):
    file = args.codebooks / layer / "codebook/centroids.npy"
    if not file.exists():
        return "-"
    centroids = np.load(file)
    return f"{100 * np.mean(labels(whole, centroids) != labels(windowed, centroids)):.2f} %"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("build", "model", "codebooks", "corpus"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("speaker", "minutes", "windows"):
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    for minutes in args.minutes.split(","):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            audio = folder / "long.wav"
            long_file(args.corpus, args.speaker, float(minutes), audio)
            whole = extract(args, audio, "0", folder / "whole")
            for window in args.windows.split(","):
                windowed = extract(args, audio, window, folder / window)
                for layer, frames in whole.items():
                    assert frames.shape == windowed[layer].shape
                    difference = windowed[layer].astype(np.float64) - frames
                    rms = np.sqrt(np.mean(frames.astype(np.float64) ** 2))
                    print(f"| {minutes} | {window} | `{layer}` | {np.abs(difference).max() / rms:.2g} | "
                          f"{np.sqrt(np.mean(difference ** 2)) / rms:.2g} | "
                          f"{moved_labels(args, layer, frames, windowed[layer])} |", flush=True)


if __name__ == "__main__":
    main()
