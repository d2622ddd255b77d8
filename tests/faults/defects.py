"""A corpus with twelve kinds of defects at known places: each is found, named and has its reason, and what is made of the
good files is what a corpus without the bad ones gives, bit for bit."""

import json
import random
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tools"))

from harness import tone, write_wav  # noqa: E402

NOT_A_NUMBER, INFINITE = b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f"


def with_float(file, value, draw):
    """A WAV of floats of which one is not finite."""
    write_wav(file, tone(0.4, 300), floats=True)
    data = bytearray(file.read_bytes())
    place = 44 + 4 * draw.randrange((len(data) - 44) // 4)
    data[place:place + 4] = value
    file.write_bytes(data)


def cut(file, draw):
    data = file.read_bytes()
    file.write_bytes(data[:draw.randrange(60, len(data) - 100) // 2 * 2])


# Kind -> reason code, and what is done to a good file, its wav.scp entry or its segment (recording start end channel).
DEFECTS = {
    "no such file": ("missing", lambda file, draw: file.unlink()),
    "no byte": ("empty", lambda file, draw: file.write_bytes(b"")),
    "a header and no sample": ("empty", lambda file, draw: write_wav(file, [])),
    "a text": ("not-audio", lambda file, draw: file.write_text("<html>404 not found</html>\n" * 40)),
    "random bytes": ("not-audio", lambda file, draw: file.write_bytes(draw.randbytes(5000))),
    "cut within the samples": ("truncated", cut),
    "cut within the header": ("not-audio", lambda file, draw: file.write_bytes(file.read_bytes()[:draw.randrange(1, 20)])),
    "a NaN": ("not-finite", lambda file, draw: with_float(file, NOT_A_NUMBER, draw)),
    "an infinity": ("not-finite", lambda file, draw: with_float(file, INFINITE, draw)),
    "shorter than a frame": ("too-short", lambda file, draw: write_wav(file, tone(0.02, 300))),
    "a segment behind the end": ("bad-segment", None),
    "a channel that is not there": ("no-such-channel", None),
}


def make_corpus(folder, files, each, draw):
    """A Kaldi data directory; {utterance: kind} of the bad ones."""
    folder.mkdir()
    places = draw.sample(range(files), each * len(DEFECTS))
    bad = {f"u{place:05}": list(DEFECTS)[i // each] for i, place in enumerate(places)}
    scp, segments = [], []
    for i in range(files):
        name = f"u{i:05}"
        file = folder / f"{name}.wav"
        rate = draw.choice([16000, 16000, 8000, 44100])
        write_wav(file, tone(draw.uniform(0.2, 0.5), draw.uniform(100, 900), rate=rate), rate=rate)
        scp.append(f"{name} {file.name}\n")
        segment = f"{name} {name} 0 -1\n"
        if name in bad:
            kind = bad[name]
            if kind == "a segment behind the end":
                segment = f"{name} {name} 7 9\n"
            elif kind == "a channel that is not there":
                segment = f"{name} {name} 0 -1 1\n"
            else:
                DEFECTS[kind][1](file, draw)
        segments.append(segment)
    (folder / "wav.scp").write_text("".join(scp))
    (folder / "segments").write_text("".join(segments))
    return bad


def without(folder, bad, clean):
    """The same directory without the bad utterances."""
    clean.mkdir()
    for name in ("wav.scp", "segments"):
        lines = (folder / name).read_text().splitlines(keepends=True)
        kept = [line for line in lines if line.split()[0] not in bad]
        if name == "wav.scp":
            kept = [f"{line.split()[0]} ../{folder.name}/{line.split()[1]}\n" for line in kept]
        (clean / name).write_text("".join(kept))


def find_defects(bin_folder, files=2000, each=5, seed=1):
    """{kind: (reason, how many)}; an AssertionError where something is missed, wrongly named or spoils another one."""
    draw = random.Random(seed)

    def run(name, *options):
        return subprocess.run([str(Path(bin_folder) / f"retort-{name}"), *map(str, options)], cwd=work, text=True,
                              capture_output=True, check=False)

    with tempfile.TemporaryDirectory(prefix="retort-defects-") as folder:
        work = Path(folder)
        bad = make_corpus(work / "data", files, each, draw)
        without(work / "data", bad, work / "clean")
        strict = run("prepare", "data", "-o", "corpus.jsonl")
        assert strict.returncode == 1 and "max-bad" in strict.stderr, strict.stderr
        rejected = {entry["id"]: entry["reason"] for entry in
                    map(json.loads, (work / "corpus.rejected.jsonl").read_text().splitlines())}
        wanted = {name: DEFECTS[kind][0] for name, kind in bad.items()}
        assert rejected == wanted, {name: (rejected.get(name), wanted.get(name), bad.get(name))
                                    for name in {*rejected, *wanted} if rejected.get(name) != wanted.get(name)}
        lenient = run("prepare", "data", "-o", "corpus.jsonl", "--max-bad", 0.5)
        assert lenient.returncode == 0, lenient.stderr[-600:]
        assert run("prepare", "clean", "-o", "clean.jsonl").returncode == 0
        for corpus in ("corpus", "clean"):
            done = run("extract", "--model", "mfcc", f"{corpus}.jsonl", "-o", f"feats-{corpus}")
            assert done.returncode == 0, done.stderr
        ours, theirs = ({path.name: path.read_bytes() for path in (work / f"feats-{corpus}").iterdir()}
                        for corpus in ("corpus", "clean"))
        assert ours == theirs, (
            f"features of the good files differ: {[name for name in ours if ours[name] != theirs.get(name)]}")
        # Files that go bad after the corpus was prepared: found again, by the stage that reads them.
        late = late_defects(work, bad, draw, each)
        done = run("extract", "--model", "mfcc", "corpus.jsonl", "-o", "late", "--max-bad", 0.5)
        assert done.returncode == 0, done.stderr
        counted = json.loads((work / "late/part-00000-of-00001.json").read_text())["bad"]
        assert counted == late, (counted, late)
    return {kind: (reason, each) for kind, (reason, _) in DEFECTS.items()}, late


def late_defects(work, bad, draw, each):
    """Breaks good files of a corpus that is prepared; reason -> how many."""
    good = [line.split()[0] for line in (work / "data/wav.scp").read_text().splitlines() if line.split()[0] not in bad]
    chosen = draw.sample(good, 3 * each)
    for i, name in enumerate(chosen):
        file = work / "data" / f"{name}.wav"
        if i % 3 == 0:
            file.unlink()
        elif i % 3 == 1:
            cut(file, draw)
        else:
            file.write_text("gone")
    return {"missing": each, "not-audio": each, "truncated": each}


def table(bin_folder):
    found, late = find_defects(bin_folder)
    print("| defect | files | reason, named for each |\n| --- | ---: | --- |")
    for kind, (reason, count) in found.items():
        print(f"| {kind} | {count} | {reason} |")
    print("\nMade bad after the corpus was prepared, and found by `retort-extract`: "
          + ", ".join(f"{count} {reason}" for reason, count in late.items()), flush=True)
