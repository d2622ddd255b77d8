"""The table of `scripts/bench export`: every form and type of a model's export, how near it is, how large, how fast."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "tools"))
import parity  # noqa: E402

# Other architectures, small ones with random weights: no figures of size or speed.
SMALL = ["hf-hubert-pre", "hf-hubert-batchnorm", "hf-wav2vec2-post", "hf-wav2vec2-stable", "hf-wavlm-post", "hf-wavlm-stable",
         "hf-data2vec", "distilhubert", "fithubert", "fithubert-fc1"]
ONNX_TYPES = ["f32", "f16", "int8"]
UNITS = 100


class ExportBench:
    """Exports of one model."""

    def __init__(self, options, model, name, folder, run_json):
        self.options, self.model, self.name, self.folder, self.run_json = options, model, name, folder, run_json
        self.build = Path(options.build)
        self.bench = self.build / "tests" / "bench"
        self.f32_bytes = None

    def export(self, out, *arguments):
        """(Error line or None, log)."""
        shutil.rmtree(out, ignore_errors=True)
        done = subprocess.run([self.build / "bin/retort-export", self.model, "-o", out, "--threads", str(self.options.threads),
                               *map(str, arguments)], capture_output=True, text=True)
        lines = done.stderr.strip().splitlines()
        return (lines[-1] if done.returncode else None), done.stderr

    def row(self, form, dtype, size, difference, *rest):
        print("| " + " | ".join([self.name, form, dtype, size, difference, *rest]) + " |", flush=True)

    def refused(self, form, dtype, line):
        self.row(form, dtype, "", "refused: " + re.sub(r"^retort-export: .*?: ", "", line), "", "", "")

    def size(self, path):
        count = sum(file.stat().st_size for file in ([path] if path.is_file() else path.glob("model*")))
        self.f32_bytes = self.f32_bytes or count
        return f"{count / 1e6:.1f} MB ({100 * count / self.f32_bytes:.0f} %)"

    def runtime(self, out):
        """What ONNX Runtime makes of the test data: its version's agreement, or SKIPPED."""
        if not self.options.python:
            return "SKIPPED"
        done = subprocess.run([self.options.python, ROOT / "scripts/check-onnx", out], capture_output=True, text=True)
        if not done.stdout:
            return "SKIPPED"
        rows = [line.split("\t") for line in done.stdout.splitlines()]
        worst = max(float(row[3]) for row in rows)
        return f"{'agrees' if done.returncode == 0 else 'DIFFERS'} ({worst:.1g}; cosine {min(float(row[4]) for row in rows):.5f})"

    def speed(self, out, dtype):
        if not self.options.python:
            return "", ""
        rest = [str(self.options.threads), str(self.options.runs), self.options.lengths]
        theirs = self.run_json([self.options.python, str(ROOT / "tests/bench/onnx_peer.py"), str(out / "model.onnx"), *rest])
        ours = self.run_json([str(self.bench / "bench_encode"), self.model, "native", "int8" if dtype == "int8" else "f32", *rest])
        if theirs is None or ours is None:
            return "", ""
        return f"{theirs['seconds']:.3f} s", f"{ours['seconds']:.3f} s, {theirs['seconds'] / ours['seconds']:.2f}x"

    def onnx(self, timed):
        for dtype in ONNX_TYPES:
            out = self.folder / f"onnx-{dtype}"
            failed, _ = self.export(out, "--to", "onnx", "--dtype", dtype, "--lengths", *self.audio())
            if failed:
                self.refused("onnx", dtype, failed)
                continue
            found = json.loads((out / "check.json").read_text())["outputs"]["final"]
            nearness = f"{found['relative']:.1g} of RMS; cosine {found['cosine']:.6f}"
            if timed:
                # Without lengths, as the peer has none to give.
                self.export(out.with_suffix(".plain"), "--to", "onnx", "--dtype", dtype, *self.audio())
            speed = self.speed(out.with_suffix(".plain"), dtype) if timed else ("", "")
            self.row("onnx", dtype, self.size(out / "model.onnx") if timed else "", nearness, self.runtime(out), *speed)

    def audio(self):
        return ["--audio", *self.options.audio] if self.options.audio else []

    def units(self):
        """Labels out of the graph, by a codebook of the last layer."""
        codebook = self.folder / "codebook"
        done = subprocess.run([self.build / "bin/retort-cluster", "-k", str(UNITS), "--model", self.model, "--layer", "final",
                               *self.options.audio, "-o", codebook, "--overwrite"], capture_output=True, text=True)
        if done.returncode:
            return
        for dtype in ONNX_TYPES:
            out = self.folder / f"units-{dtype}"
            failed, _ = self.export(out, "--to", "onnx", "--dtype", dtype, "--codebook", codebook, *self.audio())
            if failed:
                self.refused(f"onnx, {UNITS} units", dtype, failed)
                continue
            found = json.loads((out / "check.json").read_text())["outputs"]["units"]
            self.row(f"onnx, {UNITS} units", dtype, "", f"{100 * found['equal_units']:.2f} % equal", self.runtime(out), "", "")

    def folders(self):
        for form, dtype in (("hf", "f32"), ("hf", "f16"), ("fairseq", "f32"), ("s3prl", "f32")):
            out = self.folder / f"{form}-{dtype}{'' if form == 'hf' else '.pt'}"
            failed, log = self.export(out, "--to", form, "--dtype", dtype)
            if failed:
                self.refused(form, dtype, failed)
                continue
            distance = re.search(r"at most (\S+) of their RMS", log)
            self.row(form, dtype, self.size(out), f"{distance.group(1)} of RMS" if distance else "", "", "", "")


def bench_export(options, find_model, run_json, cpu_features):
    build = Path(options.build)
    print(f"export: checked on {'real speech' if options.audio else 'a sound made up'}; timed on clips of {options.lengths} s, "
          f"{options.threads} threads, median of {options.runs} runs; CPU has {cpu_features()}; load average {os.getloadavg()[0]:.2f}\n")
    print("| model | form | type | size (of f32) | from the native engine in f32 | ONNX Runtime on the test data | ONNX Runtime | native |")
    print("|---|---|---|---:|---|---|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name in options.models.split(","):
            model = find_model(build, name, folder / "model")
            bench = ExportBench(options, str(model), name, folder, run_json)
            bench.onnx(timed=True)
            if options.audio:
                bench.units()
            bench.folders()
        for name in SMALL if options.small else []:
            model = parity.Tools(build / "bin").import_model(parity.Variant(ROOT / "tests/fixtures/parity" / name), folder / f"small-{name}")
            ExportBench(options, str(model), f"small {name}", folder, run_json).onnx(timed=False)
