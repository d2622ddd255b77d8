"""What large corpora cost: the start of one task of an array, memory and open files over a million utterances, and two
processes against two threads."""

import array
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

RATE = 16000


def samples_of(utterance, shortest=480, longest=1280):
    """Samples of an utterance of write_corpus(): all lengths are about as frequent."""
    return shortest + utterance * 7919 % (longest - shortest)


def write_corpus(folder, lines, shortest=480, longest=1280, audio_seconds=180):
    """A corpus whose utterances are pieces of so many samples of one file of noise; its path."""
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
            file.write(f'{{"id":"spk{i % 997:04}-utt{i:07}","path":"long.wav","start":{i * 160 % (samples - longest)},"samples":'
                       f'{samples_of(i, shortest, longest)},"rate":16000,"channel":-1,"speaker":"s{i % 997}","text":"one of a million {i}"}}\n')
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
        total = sum((samples_of(i) - 400) // 160 + 1 for i in range(lines)) * 39 * 4

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


def scaling(bin_folder, model="mfcc", utterances=3000, pairs=3):
    """Pairs of times in s over the same utterances: (one process with two threads, two processes with one each)."""
    extract = [str(Path(bin_folder) / "retort-extract"), "--model", model]
    with tempfile.TemporaryDirectory(prefix="retort-scale-") as folder:
        corpus = write_corpus(folder, utterances, 2 * RATE, 12 * RATE + 1)

        def run(processes):
            """Time until the last process is done, its start included."""
            output = tempfile.mkdtemp(dir=folder)
            begin = time.monotonic()
            running = [subprocess.Popen([*extract, str(corpus), "-o", f"{output}/feats", "--threads", str(2 // processes),
                                         "--shard", f"{part}/{processes}"], stderr=subprocess.DEVNULL) for part in range(processes)]
            codes = [process.wait() for process in running]
            seconds = time.monotonic() - begin
            assert not any(codes), f"retort-extract ended with {codes}"
            shutil.rmtree(output)
            return seconds

        run(1)  # which reads programs, model and audio from the disk
        times = []
        for i in range(pairs):
            order = (1, 2) if i % 2 == 0 else (2, 1)  # so that a machine that grows busier favours neither
            seconds = {processes: run(processes) for processes in order}
            times.append((seconds[1], seconds[2]))
    return times


def scaling_table(bin_folder, model=None):
    print(f"2 threads of 1 process against 2 processes of 1 thread, the same utterances; medians of 3; {load()}\n")
    print("| | s, 1 process | s, 2 processes | ratio, median (least to greatest) |\n| --- | ---: | ---: | ---: |", flush=True)
    for one, utterances in (("mfcc", 3000), *([(model, 60)] if model else [])):
        times = scaling(bin_folder, str(one), utterances)
        ratios = sorted(together / apart for together, apart in times)
        alone, apart = (statistics.median(column) for column in zip(*times))
        print(f"| {Path(one).name}, {7 * utterances} s of audio | {alone:.2f} | {apart:.2f} | "
              f"{statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}) |", flush=True)
