"""Fault injection: every stage is killed, starved of disk, given unreadable audio, run with a clock that jumps, and started
twice on one output. After each fault nothing half-made may look whole, and the same command again must end with the bytes
of an undisturbed run and leave no temporary file."""

import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tools"))

from harness import FIXTURES, WITH_TORCH, tone, write_wav  # noqa: E402

SMALL_MODEL = ["student.conv_channels=[8,8,8,8,8,8,8]", "student.hidden=16", "student.layers=2", "student.heads=2",
               "student.ffn=32", "student.pos_kernel=8", "student.pos_groups=2", "student.final_dim=8", "batch.seconds=4",
               "batch.micro_seconds=2", "batch.min_seconds=1", "batch.max_seconds=2", "schedule.warmup_steps=4",
               "optimizer.lr=0.002", "report_every=5", "checkpoint_every=5", "loss.unmasked=1"]
PARITY = FIXTURES / "parity"
TIME_LIMIT = 300


def build_shim(folder):
    """The library that makes calls fail (failing_calls.c); None where there is no compiler."""
    if not shutil.which("cc"):
        return None
    library = Path(folder) / "failing_calls.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, HERE / "failing_calls.c", "-ldl"], check=True)
    return library


def without_seconds(result):
    """A result of retort-evaluate but for the times that it took, which are all that its runs do not share."""
    return re.sub(rb'"seconds(_by_part)?": ([-+.e0-9]+|{[^}]*})', b'"seconds": 0', result)


class Stage:
    """A command that makes `output`, which of its files are the same in every run, and what of their bytes."""

    def __init__(self, name, command, output, same=lambda path: True, compared=lambda data: data, reads_audio=False, again=(),
                 begun=None):
        self.again = list(again)  # what the same command needs to run over what it made itself
        self.begun = begun  # a folder that the output is a copy of before the command
        self.name = name
        self.command = [str(part) for part in command]
        self.output = output
        self.same = same
        self.compared = compared
        self.reads_audio = reads_audio


class Workshop:
    """A folder with inputs for every stage, which stages leave as they are."""

    def __init__(self, folder, bin_folder, utterances=60, seconds=1.0, with_torch=True):
        self.folder = Path(folder)
        self.bin = Path(bin_folder)
        self.shim = build_shim(folder)
        draw = random.Random(1)
        for i in range(utterances):
            write_wav(self.folder / "wav" / f"u{i:04}.wav", tone(seconds * draw.uniform(1.1, 1.6), draw.uniform(100, 900)))
        self.run("prepare", "wav", "-o", "corpus.jsonl")
        self.run("extract", "--model", "mfcc", "corpus.jsonl", "-o", "feats")
        self.run("cluster", "-k", 20, "feats", "-o", "codebook")
        self.run("label", "--codebook", "codebook", "feats", "-o", "labels")
        self.make_passes()
        self.make_alignments(utterances)
        self.make_runs()
        if with_torch:
            self.run("distill", *self.training(1), "-o", "model")

    def program(self, name):
        return str(self.bin / f"retort-{name}")

    def run(self, name, *options):
        subprocess.run([self.program(name), *map(str, options)], cwd=self.folder, check=True, capture_output=True)

    def passes(self, output):
        return ["-k", 60, "feats", "--iterations", 1, "-o", output]

    def make_passes(self):
        """K-means by steps, as it lies between them: before a pass, with the parts of it, and with those of the last one."""
        self.run("cluster", *self.passes("begun"), "--step", "update")
        shutil.copytree(self.folder / "begun", self.folder / "gathered")
        self.assign("gathered")
        shutil.copytree(self.folder / "gathered", self.folder / "last")
        self.run("cluster", *self.passes("last"), "--step", "update")
        self.assign("last")

    def assign(self, output):
        for shard in ("0/2", "1/2"):
            self.run("cluster", *self.passes(output), "--step", "assign", "--shard", shard)

    def make_alignments(self, utterances):
        """Five phones of 0.2 s in each utterance."""
        (self.folder / "phones.ctm").write_text("".join(
            f"u{i:04} 1 {0.2 * j:.1f} 0.2 {'ABCD'[(i + j) % 4]}\n" for i in range(utterances) for j in range(5)))

    def make_runs(self, reports=2000):
        """Two trainings, as far as retort-report reads them."""
        for name in ("first", "second"):
            run = self.folder / "runs" / name
            run.mkdir(parents=True)
            config = {"format": "retort-run-1", "seed": 0,
                      "recipe": {"name": "hubert", "student": {"layers": 3, "hidden": 144}, "schedule": {"steps": reports}}}
            (run / "config.json").write_text(json.dumps(config))
            (run / "log.jsonl").write_text("".join(
                json.dumps({"step": step, "epoch": 0, "lr": 0.002, "masked": {"loss": 4.5 / (step + len(name))}}) + "\n"
                for step in range(1, reports + 1)))

    def training(self, steps):
        values = [word for value in SMALL_MODEL for word in ("--set", value)]
        return ["--recipe", "hubert", "--labels", "labels", "corpus.jsonl", "--steps", str(steps), "--threads", "1", *values]

    def stages(self, with_torch=True):
        out = "out"
        stages = [
            Stage("prepare", [self.program("prepare"), "wav", "-o", f"{out}/corpus.jsonl"], out, reads_audio=True),
            Stage("extract (MFCC)", [self.program("extract"), "--model", "mfcc", "corpus.jsonl", "-o", out], out,
                  reads_audio=True),
            Stage("cluster", [self.program("cluster"), "-k", 60, "feats", "-o", out, "--seed", 1, "--iterations", 200], out),
            Stage("cluster (audio)", [self.program("cluster"), "-k", 20, "--model", "mfcc", "corpus.jsonl", "-o", out], out,
                  reads_audio=True),
            Stage("label", [self.program("label"), "--codebook", "codebook", "feats", "-o", out], out),
            Stage("label (audio)", [self.program("label"), "--codebook", "codebook", "--model", "mfcc", "corpus.jsonl",
                                    "-o", out], out, reads_audio=True),
            Stage("copy", [self.program("copy"), "feats", out, "--dtype", "f16"], out, again=["--overwrite"]),
            Stage("cluster --step assign", [self.program("cluster"), *self.passes(out), "--step", "assign", "--shard", "0/2"],
                  out, begun="begun"),
            Stage("cluster --step update", [self.program("cluster"), *self.passes(out), "--step", "update"], out,
                  begun="gathered"),
            Stage("cluster --step update, the last", [self.program("cluster"), *self.passes(out), "--step", "update"], out,
                  begun="last"),
            Stage("import (fairseq)", [self.program("import"), PARITY / "fairseq-hubert-args/hubert.pt", "-o", out], out),
            Stage("import (transformers)", [self.program("import"), PARITY / "hf-hubert-ctc-sharded", "-o", out], out),
            Stage("evaluate (units)", [self.program("evaluate"), "units", "--labels", "labels", "--alignments", "phones.ctm",
                                       "--hop", 320, "-o", f"{out}/units.json"], out, compared=without_seconds),
            Stage("evaluate (intrinsic)", [self.program("evaluate"), "intrinsic", "--model", "mfcc", "--corpus", "corpus.jsonl",
                                           "--alignments", "phones.ctm", "-k", 20, "-o", f"{out}/intrinsic.json"], out,
                  compared=without_seconds, reads_audio=True),
            Stage("report", [self.program("report"), "runs", "-o", f"{out}/report.html"], out, again=["--overwrite"]),
        ]
        if with_torch:
            stages += [
                Stage("extract (model)", [self.program("extract"), "--model", "model/student", "--layer", "enc1,enc2",
                                          "corpus.jsonl", "-o", out], out, reads_audio=True),
                # The log holds times, and checkpoints come and go; the student is what a run is for.
                Stage("distill", [self.program("distill"), *self.training(20), "-o", out], out,
                      same=lambda path: path.startswith("student/"), reads_audio=True),
                Stage("export", [self.program("export"), "--to", "hf", "model/student", "-o", out], out,
                      again=["--overwrite"]),
            ]
        return stages

    def start(self, stage, *more, **variables):
        environment = {**os.environ, **{key: str(value) for key, value in variables.items()}}
        if variables:
            environment["LD_PRELOAD"] = str(self.shim)
            # A sanitizer's runtime wants to be the first library; the shim's calls go on to its own.
            environment["ASAN_OPTIONS"] = ":".join([os.environ.get("ASAN_OPTIONS", ""), "verify_asan_link_order=0"])
        return subprocess.Popen([*stage.command, *more], cwd=self.folder, env=environment, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)

    def finish(self, process):
        error = process.communicate(timeout=TIME_LIMIT)[1]
        return process.returncode, (error.strip().splitlines() or [""])[-1]

    def clear(self, stage):
        shutil.rmtree(self.folder / stage.output, ignore_errors=True)
        if stage.begun:
            shutil.copytree(self.folder / stage.begun, self.folder / stage.output)

    def files(self, stage):
        """The files that are the same in every run: name -> what of their bytes is."""
        root = self.folder / stage.output
        found = {str(path.relative_to(root)): path for path in sorted(root.rglob("*")) if path.is_file()}
        return {name: stage.compared(path.read_bytes()) for name, path in found.items()
                if stage.same(name) and not name.endswith(".tmp") and "/.tmp" not in name}

    def temporaries(self, stage):
        return [str(path) for path in (self.folder / stage.output).rglob("*") if ".tmp" in path.name]


class Proof:
    """A stage under faults: counts what was done and throws where something is not as it must be."""

    def __init__(self, workshop, stage, draw):
        self.workshop, self.stage, self.draw = workshop, stage, draw
        workshop.clear(stage)
        self.begun = workshop.files(stage)
        begin = time.monotonic()
        self.expect(workshop.finish(workshop.start(stage)), 0, "an undisturbed run")
        self.seconds = time.monotonic() - begin
        self.reference = workshop.files(stage)
        self.bytes = sum(len(data) for name, data in self.reference.items() if self.begun.get(name) != data)
        assert self.bytes, f"{stage.name}: makes nothing"

    def expect(self, result, code, what):
        assert result[0] == code, f"{self.stage.name}: {what} ended with {result[0]}: {result[1]}"

    def nothing_half_made(self, what):
        """Whatever has its final name is what an undisturbed run makes, or what it begins with."""
        for name, data in self.workshop.files(self.stage).items():
            assert data in (self.reference.get(name), self.begun.get(name)), (
                f"{self.stage.name}: {what} left {name}, which is not whole")

    def runs_to_its_end(self, what):
        self.nothing_half_made(what)
        self.expect(self.workshop.finish(self.workshop.start(self.stage, *self.stage.again)), 0, f"the run after {what}")
        assert self.workshop.files(self.stage) == self.reference, f"{self.stage.name}: other bytes after {what}"
        assert not self.workshop.temporaries(self.stage), f"{self.stage.name}: temporary files after {what}"

    def kills(self, count):
        """SIGKILL at random moments of a run. How many were hit while they ran."""
        hit = 0
        for _ in range(20 * count):
            self.workshop.clear(self.stage)
            process = self.workshop.start(self.stage)
            time.sleep(self.draw.uniform(0, self.seconds))
            process.send_signal(signal.SIGKILL)
            code = self.workshop.finish(process)[0]
            if code != -signal.SIGKILL:
                continue
            hit += 1
            self.runs_to_its_end("SIGKILL")
            if hit == count:
                break
        assert hit == count, f"{self.stage.name}: only {hit} kills came in time"
        return hit

    def full_disks(self, count):
        """No room after a random number of bytes. How many runs that stopped."""
        failed = 0
        for _ in range(count):
            self.workshop.clear(self.stage)
            code, line = self.workshop.finish(self.workshop.start(
                self.stage, RETORT_FAULT_WRITE=self.draw.randrange(self.bytes)))
            self.expect((code, line), 1, "a full disk")
            assert "No space left" in line, f"{self.stage.name}: a full disk is called {line}"
            assert not self.workshop.temporaries(self.stage), f"{self.stage.name}: a full disk left temporary files"
            failed += 1
            self.runs_to_its_end("a full disk")
        return failed

    def unreadable_audio(self, count):
        """Audio that cannot be read beyond a random byte. How many runs refused to go on without it."""
        failed = 0
        audio = sum(path.stat().st_size for path in (self.workshop.folder / "wav").iterdir())
        for _ in range(count if self.stage.reads_audio else 0):
            self.workshop.clear(self.stage)
            code, line = self.workshop.finish(self.workshop.start(
                self.stage, RETORT_FAULT_READ=self.draw.randrange(audio)))
            assert code in (0, 1), f"{self.stage.name}: unreadable audio ended with {code}: {line}"
            if code == 0:
                assert self.workshop.files(self.stage) == self.reference, f"{self.stage.name}: unreadable audio was ignored"
            failed += code
            if self.stage.name == "prepare":  # it writes what it could read, for a look at what it rejected
                self.workshop.clear(self.stage)
            self.runs_to_its_end("unreadable audio")
        return failed

    def jumping_clocks(self, count):
        for _ in range(count):
            self.workshop.clear(self.stage)
            self.expect(self.workshop.finish(self.workshop.start(self.stage, RETORT_FAULT_CLOCK=10 ** 7)), 0, "a jumping clock")
            self.runs_to_its_end("a jumping clock")
        return count

    def two_writers(self, count):
        """Two of the same command at once. In how many cases one was refused."""
        refused = 0
        for _ in range(count):
            self.workshop.clear(self.stage)
            first = self.workshop.start(self.stage)
            time.sleep(self.draw.uniform(0, self.seconds / 4))
            second = self.workshop.start(self.stage)
            codes = [self.workshop.finish(process) for process in (first, second)]
            assert min(code for code, _ in codes) == 0, f"{self.stage.name}: both writers failed: {codes}"
            assert max(code for code, _ in codes) <= 1, f"{self.stage.name}: a writer ended with {codes}"
            refused += sum(code for code, _ in codes)
            self.runs_to_its_end("two writers")
        return refused


def inject(bin_folder, kills=25, errors=25, others=5, with_torch=True, names=None, seed=1, **sizes):
    """Rows (stage, kills, full disks, unreadable audio, clocks, refused of two writers)."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="retort-faults-") as folder:
        workshop = Workshop(folder, bin_folder, with_torch=with_torch, **sizes)
        stages = workshop.stages(with_torch)
        unknown = set(names or []) - {stage.name for stage in stages}
        if unknown:
            raise ValueError(f"no such stage: {', '.join(unknown)}; there are {', '.join(stage.name for stage in stages)}")
        for stage in stages:
            if names and stage.name not in names:
                continue
            begin = time.monotonic()
            proof = Proof(workshop, stage, draw)
            hits = proof.kills(kills)
            shim = workshop.shim is not None
            full = proof.full_disks(errors) if shim else 0
            unread = proof.unreadable_audio(errors) if shim else 0
            clocks = proof.jumping_clocks(others) if shim else 0
            refused = proof.two_writers(others)
            yield stage, proof, hits, full, unread, clocks, refused, time.monotonic() - begin


def table(bin_folder, stage=None, **options):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print("| stage | s, undisturbed | SIGKILL | full disk | unreadable audio: refused | clock jumps | two writers: one refused |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    errors, others = options.get("errors", 25), options.get("others", 5)
    rows = inject(bin_folder, names=stage, with_torch=WITH_TORCH, **options)
    for one, proof, hits, full, unread, clocks, refused, _ in rows:
        audio = f"{unread} of {errors}" if one.reads_audio else "-"
        print(f"| {one.name} | {proof.seconds:.2f} | {hits} | {full} | {audio} | {clocks} | {refused} of {others} |", flush=True)
