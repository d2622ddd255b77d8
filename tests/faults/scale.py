"""What large corpora cost: the start of one task of an array, memory and open files over a million utterances, and two
processes against two threads."""

import array
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

RATE = 16000


def write_corpus(folder, lines, audio_seconds=180):
    """A corpus whose utterances are short pieces of one file of noise; its path."""
    folder = Path(folder)
    draw = random.Random(1)
    samples = audio_seconds * RATE
    with wave.open(str(folder / "long.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(array.array("h", [draw.randrange(-9000, 9000) for _ in range(samples)]).tobytes())
    corpus = folder / "corpus.jsonl"
    with corpus.open("w") as file:
        for i in range(lines):
            file.write(f'{{"id":"spk{i % 997:04}-utt{i:07}","path":"long.wav","start":{i * 160 % (samples - 2000)},"samples":'
                       f'{480 + i * 37 % 800},"rate":16000,"channel":-1,"speaker":"s{i % 997}","text":"one of a million {i}"}}\n')
    return corpus


def timed(command):
    """(wall time, CPU time) of a program in s."""
    begin = time.monotonic()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"{command[0]} ended with status {status}"
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime


def load():
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"


def startup(bin_folder, lines=1000000, tasks=10000, runs=5):
    """Medians of (wall, CPU) in s of an empty start, a task, and the task again that finds its part; bytes of the corpus."""
    extract = Path(bin_folder) / "retort-extract"
    with tempfile.TemporaryDirectory(prefix="retort-scale-") as folder:
        corpus = write_corpus(folder, lines)
        one = Path(folder) / "one.jsonl"
        one.write_text(corpus.read_text().split("\n", 1)[0] + "\n")
        alone = [timed([extract, "--model", "mfcc", one, "-o", f"{folder}/alone{i}"]) for i in range(runs)]
        times = {"first": [], "again": []}
        for i in range(runs):
            for which in ("first", "again"):
                times[which].append(timed([extract, "--model", "mfcc", corpus, "-o", f"{folder}/feats{i}", "--shard",
                                           f"{tasks // 20}/{tasks}"]))
        medians = [tuple(statistics.median(column) for column in zip(*rows)) for rows in (alone, times["first"], times["again"])]
        return medians, corpus.stat().st_size


def startup_table(bin_folder):
    medians, size = startup(bin_folder)
    print(f"A corpus of 1,000,000 lines ({size / 1e6:.0f} MB), one of 10,000 tasks of 100 utterances, MFCC; medians of 5; {load()}\n")
    print("| | s | s of CPU |\n| --- | ---: | ---: |")
    for what, (wall, cpu) in zip(("the tool on a corpus of one utterance", "a task", "the same again, its part is whole"),
                                 medians):
        print(f"| {what} | {wall:.2f} | {cpu:.2f} |")
    sys.stdout.flush()


def watch(command, written):
    """Runs a command; [(share of `written` done, resident MiB, open files)] every half second."""
    seen = []
    with subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
                resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
                files = len(os.listdir(f"/proc/{process.pid}/fd"))
            except (OSError, StopIteration):
                break
            seen.append((written(), resident / 1024, files))
            time.sleep(0.5)
    assert process.returncode == 0, f"{command[0]} ended with {process.returncode}"
    return seen


def flat(bin_folder, lines=1000000):
    """What a job over all of the corpus holds as it goes on."""
    with tempfile.TemporaryDirectory(prefix="retort-scale-") as folder:
        corpus = write_corpus(folder, lines)
        temporary = Path(folder) / "feats" / "part-00000-of-00001.npy.tmp"
        total = sum((480 + i * 37 % 800 - 400) // 160 + 1 for i in range(lines)) * 39 * 4

        def done():
            try:
                return temporary.stat().st_size / total
            except OSError:
                return 0.0

        return watch([Path(bin_folder) / "retort-extract", "--model", "mfcc", corpus, "-o", f"{folder}/feats"], done)


def flat_table(bin_folder):
    seen = [one for one in flat(bin_folder) if one[0] > 0]
    print("`retort-extract --model mfcc` over 1,000,000 utterances in one process\n")
    print("| done | resident MiB | open files |\n| ---: | ---: | ---: |")
    for share in (0.01, 0.25, 0.5, 0.75, 0.98):
        done, resident, files = min(seen, key=lambda one: abs(one[0] - share))
        print(f"| {100 * done:.0f} % | {resident:.0f} | {files} |")
    print(f"\nMost open files: {max(files for _, _, files in seen)}", flush=True)


def scaling(bin_folder, model="mfcc", utterances=200, runs=5):
    """Times of one process with two threads over those of two processes with one each, per run."""
    extract = [str(Path(bin_folder) / "retort-extract"), "--model", model]
    ratios = []
    with tempfile.TemporaryDirectory(prefix="retort-scale-") as folder:
        corpus = write_corpus(folder, utterances)
        text = corpus.read_text().splitlines()
        corpus.write_text("".join(line.replace('"samples":', '"samples":9') + "\n" for line in text))  # longer ones
        for i in range(runs):
            begin = time.monotonic()
            both = [subprocess.Popen([*extract, str(corpus), "-o", f"{folder}/two{i}", "--threads", "1", "--shard", f"{part}/2"],
                                     stderr=subprocess.DEVNULL) for part in range(2)]
            for process in both:
                assert process.wait() == 0
            two = time.monotonic() - begin
            one = timed([*extract, corpus, "-o", f"{folder}/one{i}", "--threads", "2"])[0]
            ratios.append(one / two)
    return ratios


def scaling_table(bin_folder, model="mfcc"):
    ratios = scaling(bin_folder, model)
    print(f"`retort-extract --model {Path(model).name}`: time of 1 process with 2 threads over that of 2 processes with 1 each, "
          f"{len(ratios)} runs: median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); {load()}")
    sys.stdout.flush()
