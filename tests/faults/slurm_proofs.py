"""What a real SLURM does to jobs, and what comes of them: arrays whose tasks, nodes and daemons die, trainings that are
stopped and requeued, k-means by steps and by processes. Each proof compares with a run that nothing disturbed."""

import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tools"))

from injection import SMALL_MODEL, without_seconds  # noqa: E402
from harness import tone, write_wav  # noqa: E402
from slurm_machine import SlurmMachine  # noqa: E402

SUBMIT = HERE.parent.parent / "scripts" / "cluster" / "submit"


class Site:
    """A folder with a corpus, the programs, and a SLURM of two nodes."""

    def __init__(self, folder, bin_folder, slurm, utterances, seconds=1.3):
        self.folder = Path(folder)
        self.bin = Path(bin_folder)
        self.slurm = slurm
        # Emulated nodes have names that nobody resolves.
        self.environment = {**slurm.environment, "MASTER_ADDR": "127.0.0.1"}
        draw = random.Random(1)
        for i in range(utterances):
            write_wav(self.folder / "wav" / f"u{i:05}.wav", tone(seconds * draw.uniform(0.9, 1.4), draw.uniform(100, 900)))
        self.run("prepare", "wav", "-o", "corpus.jsonl")

    def program(self, name):
        return str(self.bin / f"retort-{name}")

    def run(self, name, *options):
        return subprocess.run([self.program(name), *map(str, options)], cwd=self.folder, check=True, text=True,
                              capture_output=True).stdout

    def submit(self, *options):
        return subprocess.run([str(SUBMIT), "--backend", "slurm", *map(str, options)], cwd=self.folder, text=True,
                              capture_output=True, env=self.environment, check=False)

    def begin(self, *options):
        """The same, without waiting for its end; the SLURM job's id."""
        done = self.submit("--no-wait", *options)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def bytes_of(self, folder):
        root = self.folder / folder
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}

    def ends(self, job, seconds=600):
        """Waits until a job is no longer in the queue."""
        deadline = time.monotonic() + seconds
        while any(state not in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
                  for state in self.slurm.command("squeue", "-h", "-r", "-t", "all", "-j", job, "-o", "%T").split()):
            assert time.monotonic() < deadline, f"job {job} does not end"
            time.sleep(0.3)


def tasks_running(folder):
    """(task number, process id) of the tools that run in `folder` as tasks of an array."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if (entry / "cwd").resolve() != Path(folder).resolve() or not (entry / "exe").resolve().name.startswith("retort-"):
                continue
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        for variable in variables:
            if variable.startswith(b"RETORT_SHARD="):
                found.append((int(variable[13:].split(b"/")[0]), int(entry.name)))
    return found


class Killer(threading.Thread):
    """Kills the tools of some of the chosen tasks, each once and at a random moment of its run."""

    def __init__(self, folder, chosen, count, draw, longest):
        super().__init__(daemon=True)
        self.folder, self.chosen, self.count, self.draw, self.longest = folder, set(chosen), count, draw, longest
        self.killed, self.over = [], threading.Event()

    def run(self):
        while not self.over.is_set():
            for task, process in tasks_running(self.folder):
                if task not in self.chosen or len(self.killed) == self.count:
                    continue
                time.sleep(self.draw.uniform(0, self.longest))
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    continue  # it was done: another attempt may still come
                self.chosen.discard(task)
                self.killed.append(task)
            time.sleep(0.005)


def array(site, tasks=200, share=0.1, seed=1):
    """An array of which tasks are killed, two requeued, and a node's daemon dies midway; then the line that was named."""
    draw = random.Random(seed)
    extract = [site.program("extract"), "--model", "mfcc", "corpus.jsonl", "--threads", "1"]
    for index in range(tasks):
        site.run("extract", *extract[1:], "-o", "undisturbed", "--shard", f"{index}/{tasks}")
    # A task lasts long enough to be killed in it: the tool is stopped for a moment by its own start.
    slow = ["bash", "-c", 'sleep 0.3; exec "$@"', "task", *extract, "-o", "feats"]
    # Not every one is caught while it runs, so more are chosen than are to be killed.
    killer = Killer(site.folder, draw.sample(range(tasks), round(4 * share * tasks)), round(share * tasks), draw, 0.03)
    killer.start()
    begin = time.monotonic()
    job = site.begin("--tasks", tasks, "--logs", "logs", "--", *slow)

    def done():
        return len(list((site.folder / "feats").glob("part-*.json"))) if (site.folder / "feats").exists() else 0

    while done() < tasks // 4:
        time.sleep(0.05)
    for line in site.slurm.command("squeue", "-h", "-r", "-t", "running", "-j", job, "-o", "%i").split()[:2]:
        site.slurm.command("scontrol", "requeue", line)
    while done() < tasks // 2:
        time.sleep(0.05)
    site.slurm.kill_node("n1")
    while done() < 0.75 * tasks:
        time.sleep(0.1)
    site.slurm.start_node("n1")
    site.ends(job)
    killer.over.set()
    summary = subprocess.run([str(SUBMIT), "--summary", "--logs", "logs"], cwd=site.folder, text=True, capture_output=True,
                             check=False)
    failed = re.findall(r"task (\d+) failed", summary.stderr)
    first_seconds = time.monotonic() - begin
    if failed:
        line = shlex.split(re.search("failed again: (.*)", summary.stderr).group(1))
        line.remove("--no-wait")  # which the job was begun with
        again = subprocess.run(line, cwd=site.folder, text=True, capture_output=True, env=site.environment, check=False)
        assert again.returncode == 0, again.stderr
    assert site.bytes_of("feats") == site.bytes_of("undisturbed"), "the store differs from the undisturbed one"
    written = [len(re.findall("utterances written", (site.folder / f"logs/task-{i:05}.log").read_text())) for i in range(tasks)]
    assert written == [1] * tasks, f"parts computed not once: {[i for i, n in enumerate(written) if n != 1]}"
    site.run("inspect", "--check", "feats")
    return {"tasks": tasks, "killed": len(killer.killed), "requeued": 2, "failed and named": len(failed),
            "seconds until the summary": round(first_seconds), "parts computed to their end": sum(written)}


def training(site, steps=150):
    """A training by two processes on two nodes that is signalled, requeued, and ends as an unbroken one."""
    values = [word for value in SMALL_MODEL for word in ("--set", value)]
    site.run("cluster", "-k", 8, "--model", "mfcc", "corpus.jsonl", "-o", "mfcc-codebook")
    site.run("label", "--codebook", "mfcc-codebook", "--model", "mfcc", "corpus.jsonl", "-o", "labels")
    train = [site.program("distill"), "--recipe", "hubert", "--labels", "labels", "corpus.jsonl", "--threads", "1",
             "--steps", steps, *values]
    two_nodes = ["--processes", 2, "--sbatch=--nodes=2", "--sbatch=--ntasks-per-node=1"]
    whole = site.submit(*two_nodes, "--logs", "whole-logs", "--", *train, "-o", "whole")
    assert whole.returncode == 0, whole.stderr
    signalled = 0
    job = site.begin(*two_nodes, "--logs", "logs", "--", *train, "-o", "run")
    while signalled < 2 and not (site.folder / "run/student").exists():
        before = sorted((site.folder / "run/checkpoints").glob("step-*")) if (site.folder / "run").exists() else []
        time.sleep(0.05)
        after = sorted((site.folder / "run/checkpoints").glob("step-*")) if (site.folder / "run").exists() else []
        if after and after != before and len(after) >= 1:
            site.slurm.command("scancel", "--signal=USR1", "--batch", job)
            signalled += 1
            log = site.folder / "logs/task-00000.log"
            while log.read_text().count("stopped by signal") < signalled and not (site.folder / "run/student").exists():
                time.sleep(0.05)
    site.ends(job)
    summary = subprocess.run([str(SUBMIT), "--summary", "--logs", "logs"], cwd=site.folder, text=True, capture_output=True,
                             check=False)
    assert summary.returncode == 0, summary.stderr
    stops = (site.folder / "logs/task-00000.log").read_text().count("stopped by signal 10")
    assert stops >= 1, "the training was over before the signal"
    assert site.bytes_of("run/student") == site.bytes_of("whole/student"), "the weights differ from those of an unbroken run"
    return {"steps": steps, "processes": 2, "nodes": 2, "signals": signalled,
            "weights": "those of the unbroken run, byte for byte"}


def kmeans(site, tasks=5, with_torch=True):
    """K-means by an array's steps, and by processes under one srun: the codebook of one process."""
    site.run("extract", "--model", "mfcc", "corpus.jsonl", "-o", "mfcc")
    job = [site.program("cluster"), "-k", 30, "mfcc", "--iterations", 6]
    site.run("cluster", *job[1:], "-o", "one")
    passes = 0
    while True:
        site.run("cluster", *job[1:], "-o", "steps", "--step", "update")
        if (site.folder / "steps/codebook.json").exists():
            break
        done = site.submit("--tasks", tasks, "--logs", f"pass-{passes}", "--", *job, "-o", "steps", "--step", "assign")
        assert done.returncode == 0, done.stderr
        passes += 1
    assert site.bytes_of("steps") == site.bytes_of("one"), "the codebook by steps differs"
    found = {"array passes": passes, "tasks each": tasks, "codebook by steps": "that of one process, byte for byte"}
    if with_torch:
        done = site.submit("--processes", 2, "--sbatch=--nodes=2", "--sbatch=--ntasks-per-node=1", "--logs", "together-logs",
                           "--", *job, "-o", "together", "--threads", 1)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["processes"] == 2
        assert site.bytes_of("together") == site.bytes_of("one"), "the codebook by processes differs"
        found["codebook by srun -n2"] = "that of one process, byte for byte"
    return found


def on_slurm(bin_folder, proof, utterances, **options):
    """Runs a proof in a fresh folder on a fresh SLURM."""
    with tempfile.TemporaryDirectory(prefix="retort-slurm-") as folder:
        for name in ("slurm", "work"):
            (Path(folder) / name).mkdir()
        Path(folder).chmod(0o755)
        with SlurmMachine(Path(folder) / "slurm") as slurm:
            return proof(Site(Path(folder) / "work", bin_folder, slurm, utterances), **options)


# What a recipe's run holds besides what it makes: logs, and how fast its models are on this machine.
MEASURED = ("results.log", "table.md", "scores/profile.json")
TIMES_OF_REPORTS = ("seconds", "audio_per_second", "data_wait_share")


def without_times(name, data):
    """A file but for the times in it, which no two runs share."""
    if name.endswith("log.jsonl"):
        reports = [json.loads(line) for line in data.splitlines()]
        return [{key: value for key, value in report.items() if key not in TIMES_OF_REPORTS} for report in reports]
    return without_seconds(data) if name.endswith(("units.json", "probe.json")) else data


def recipe(site, corpus="corpus.jsonl", alignments=None, steps=30, clusters=20, tasks=4):
    """A recipe, and the features of its teacher, on this machine and on SLURM: the same files, byte for byte but for times."""
    run = HERE.parent.parent / "scripts" / "recipes" / "dicehubert" / "run.sh"
    values = [word for who in ("teacher", "student") for value in SMALL_MODEL for word in (f"--{who}-set", value)]
    options = ["--corpus", corpus, "-k", clusters, "--teacher-steps", steps, "--student-steps", steps, "--threads", 1,
               "--tasks", tasks, *(["--alignments", alignments] if alignments else []), *values]
    environment = {**site.environment, "RETORT_BIN": str(site.bin)}
    for backend in ("local", "slurm"):
        done = subprocess.run([str(part) for part in [run, "--work", backend, "--backend", backend, *options]], cwd=site.folder,
                              text=True, capture_output=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        extract = ["--tasks", tasks, "--logs", f"{backend}/logs/features", "--", site.program("extract"), "--model",
                   f"{backend}/teacher-1/student", "--layer", "enc1,enc2", corpus, "-o", f"{backend}/features"]
        done = subprocess.run([str(part) for part in [SUBMIT, "--backend", backend, *extract]], cwd=site.folder, text=True,
                              capture_output=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr[-2000:]

    local, slurm = ({name: data for name, data in site.bytes_of(backend).items()
                     if name not in MEASURED and not name.startswith("logs/")} for backend in ("local", "slurm"))
    different = sorted(name for name in {*local, *slurm} if name not in local or name not in slurm
                       or without_times(name, local[name]) != without_times(name, slurm[name]))
    assert not different, f"files that differ: {different}"
    assert any(name.startswith("features/") for name in local), "no features were compared"
    timed = {name for name in local if without_times(name, local[name]) != local[name]}

    def count(*parts):
        files = [name for name in local if name not in timed and any(part in f"/{name}" for part in parts)]
        return f"{len(files)} files, {sum(len(local[name]) for name in files)} bytes"

    return {"features": count("/features/"), "labels": count("/labels/"), "codebooks": count("/codebook/"),
            "models and checkpoints": count("model.safetensors", "/checkpoints/"),
            "all, byte for byte": len(local) - len(timed), "all but for the times in them": len(timed)}


def print_table(found):
    print("| | |\n| --- | ---: |")
    for key, value in found.items():
        print(f"| {key} | {value} |")
    sys.stdout.flush()


def array_table(bin_folder):
    print_table(on_slurm(bin_folder, array, 600))


def training_table(bin_folder):
    print_table(on_slurm(bin_folder, training, 12))


def kmeans_table(bin_folder):
    print_table(on_slurm(bin_folder, kmeans, 40))


def recipe_table(bin_folder, corpus=None, **options):
    files = {name: str(Path(file).resolve()) for name, file in {"corpus": corpus, **options}.items() if file}
    sizes = {"steps": 60, "clusters": 100} if corpus else {}
    print_table(on_slurm(bin_folder, recipe, 24, **files, **sizes))
