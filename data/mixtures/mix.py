"""Two-voice mixtures of a corpus's utterances: WAV files, a corpus file with splits, and an RTTM file of who speaks when.

The voices of a mixture take turns, two each; every turn begins somewhere between the middle of the one before and a bit after
its end. No utterance is in mixtures of two splits.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import wave
from array import array
from pathlib import Path

RATE = 16000
SPLITS = (("train", 0.8), ("dev", 0.1), ("test", 0.1))
SHORTEST, LONGEST = 1.0, 6.0   # seconds of an utterance that is used
BLOCK = RATE // 100            # samples by which ends of speech are found
SPEECH = 0.02                  # of the loudest block's level: what counts as speech


def fail(message):
    raise SystemExit(f"mixtures: {message}")


def read_corpus(path):
    """Utterances of usable length that have a speaker, by split and speaker."""
    found = {name: {} for name, _ in SPLITS}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            known = json.loads(line)
            seconds = known["samples"] / known["rate"]
        except (ValueError, KeyError, TypeError):
            fail(f"{path}:{number}: is no utterance")
        if "speaker" not in known or not SHORTEST <= seconds <= LONGEST:
            continue
        tenth = int(hashlib.sha256(known["id"].encode()).hexdigest(), 16) % 10
        split = "train" if tenth < 8 else "dev" if tenth == 8 else "test"
        found[split].setdefault(known["speaker"], []).append(known)
    for split, speakers in found.items():
        usable = [name for name, known in speakers.items() if len(known) >= 2]
        if len(usable) < 2:
            fail(f"{path}: {split} would have {len(usable)} speakers with two utterances of {SHORTEST:g} to {LONGEST:g} s; "
                 "two are needed")
    return found


def decode(folder, known):
    """The utterance's samples at 16 kHz."""
    start, seconds = known["start"] / known["rate"], known["samples"] / known["rate"]
    done = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-ss", f"{start:.6f}", "-t", f"{seconds:.6f}", "-i",
                           str(folder / known["path"]), "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-"], capture_output=True,
                          check=False)
    if done.returncode != 0 or not done.stdout:
        fail(f"{known['id']}: ffmpeg cannot decode {known['path']}")
    return array("h", done.stdout)


def speech_of(samples):
    """Begin and end of what is not silence, in samples."""
    levels = [sum(abs(s) for s in samples[at:at + BLOCK]) for at in range(0, len(samples), BLOCK)]
    loud = [i for i, level in enumerate(levels) if level > SPEECH * max(levels)] or [0]
    return loud[0] * BLOCK, min((loud[-1] + 1) * BLOCK, len(samples))


def mix(draw, folder, speakers):
    """Samples of a mixture, and its turns (speaker, begin, end)."""
    voices = draw.sample(sorted(name for name, known in speakers.items() if len(known) >= 2), 2)
    utterances = {voice: draw.sample(speakers[voice], 2) for voice in voices}
    mixture, turns, at = array("i"), [], 0
    for turn in range(4):
        voice = voices[turn % 2]
        samples = decode(folder, utterances[voice][turn // 2])
        begin, end = speech_of(samples)
        mixture.extend([0] * (at + len(samples) - len(mixture)))
        for i, sample in enumerate(samples, at):
            mixture[i] += sample
        turns.append((voice, at + begin, at + end))
        at += int(len(samples) * draw.uniform(0.5, 1.1))
    return mixture, turns


def write_wav(path, mixture):
    peak = max(1, max(abs(s) for s in mixture))
    scale = min(1.0, 32767 / peak)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(array("h", (int(s * scale) for s in mixture)).tobytes())


def write(path, lines):
    temporary = Path(f"{path}.tmp")
    temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    os.replace(temporary, path)


def main():
    parser = argparse.ArgumentParser(prog="mixtures", description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("exp/data/mixtures"))
    parser.add_argument("--count", type=int, default=200, help="mixtures in all (200)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.count < 10:
        parser.error("--count: at least 10, so that every split has one")
    found = read_corpus(options.corpus)
    (options.output / "audio").mkdir(parents=True, exist_ok=True)
    lines, rttm = [], []
    for split, share in SPLITS:
        for number in range(round(options.count * share)):
            name = f"{split}-{number:04d}"
            # Seeded by its name: a mixture is the same however many there are.
            mixture, turns = mix(random.Random(f"{options.seed} {name}"), options.corpus.parent, found[split])
            write_wav(options.output / "audio" / f"{name}.wav", mixture)
            lines.append(json.dumps({"id": name, "path": f"audio/{name}.wav", "start": 0, "samples": len(mixture), "rate": RATE,
                                     "channel": -1, "split": split}))
            rttm += [f"SPEAKER {name} 1 {begin / RATE:.6f} {(end - begin) / RATE:.6f} <NA> <NA> {speaker} <NA> <NA>"
                     for speaker, begin, end in turns]
    write(options.output / "turns.rttm", rttm)
    write(options.output / "corpus.jsonl", lines)


if __name__ == "__main__":
    main()
