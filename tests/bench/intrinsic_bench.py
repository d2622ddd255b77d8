"""The table of `scripts/bench intrinsic`: what the measures add to the frames that they are taken of."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
RATE = 16000
MOST = 1.2  # times the extraction


def aligned_rows(corpus, alignments):
    """Lines of the corpus that are aligned, and what is aligned of them: id -> lines of the CTM file, without the id."""
    phones = {}
    for line in alignments.read_text().splitlines():
        if not line.startswith(";;"):
            utterance, rest = line.split(maxsplit=1)
            phones.setdefault(utterance, []).append(rest)
    rows = [row for row in map(json.loads, corpus.read_text().splitlines()) if row["id"] in phones]
    return rows, phones


def repeat_corpus(options, folder):
    """Writes the aligned utterances as often as make up the hours, each time as another speaker; says how many hours and speakers."""
    rows, phones = aligned_rows(options.corpus, options.alignments)
    if not rows:
        sys.exit(f"bench: {options.alignments}: none of the utterances of {options.corpus} is aligned in it")
    seconds = sum(row["samples"] / row["rate"] for row in rows)
    speakers = max(1, round(options.hours * 3600 / seconds))
    with open(folder / "corpus.jsonl", "w") as corpus, open(folder / "phones.ctm", "w") as ctm:
        for speaker in range(speakers):
            for row in rows:
                name = f"s{speaker:03}-{row['id']}"
                path = os.path.relpath(options.corpus.parent / row["path"], folder)
                corpus.write(json.dumps({**row, "id": name, "path": path, "speaker": f"s{speaker:03}"}) + "\n")
                ctm.writelines(f"{name} {rest}\n" for rest in phones[row["id"]])
    subprocess.run([sys.executable, "-B", ROOT / "data/common/items.py", "--alignments", folder / "phones.ctm",
                    "--corpus", folder / "corpus.jsonl", "-o", folder / "triphone.item"], check=True)
    return seconds * speakers / 3600, speakers


def timed(command):
    """Seconds on the clock, and of the processor, that a program takes."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    if subprocess.run(list(map(str, command))).returncode != 0:
        sys.exit(f"bench: {Path(command[0]).name} failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - start, sum(getattr(after, key) - getattr(before, key) for key in ("ru_utime", "ru_stime"))


class IntrinsicBench:
    def __init__(self, options, folder, find_model):
        self.options, self.folder = options, folder
        build = Path(options.build)
        self.bin = build / "bin"
        self.model, self.teacher = (name and find_model(build, name, folder / "models") for name in (options.model, options.teacher))

    def common(self):
        return ["--threads", self.options.threads, "--log-level", "error"]

    def extract(self, model):
        """Its last layer, to a store that is thrown away."""
        found = timed([self.bin / "retort-extract", "--model", model, self.folder / "corpus.jsonl", "--layer", "final", "-o", self.folder / "features",
                       "--overwrite", *self.common()])
        subprocess.run(["rm", "-rf", self.folder / "features"], check=True)
        return found

    def measure(self):
        result = self.folder / "intrinsic.json"
        command = [self.bin / "retort-evaluate", "intrinsic", "--model", self.model, "--corpus", self.folder / "corpus.jsonl",
                   "--alignments", self.folder / "phones.ctm", "--items", self.folder / "triphone.item", "-o", result, *self.common()]
        if self.teacher:
            command += ["--teacher", self.teacher]
        if self.options.most_items:
            command += ["--most-items", self.options.most_items]
        return *timed(command), json.loads(result.read_text())

    def run(self):
        print("| | s | of the processor |\n|---|---:|---:|", flush=True)
        extraction = 0
        for name, model in (("model", self.model), ("teacher", self.teacher)):
            if model:
                clock, processor = self.extract(model)
                extraction += processor
                print(f"| retort-extract, {name} | {clock:.1f} | {processor:.1f} |", flush=True)
        clock, processor, result = self.measure()
        parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in result["seconds_by_part"].items())
        print(f"| retort-evaluate intrinsic | {clock:.1f} | {processor:.1f} |\n\n{parts}\n"
              f"{processor / extraction:.2f} of the extraction (at most {MOST})")


def bench_intrinsic(options, find_model, cpu_features):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        hours, speakers = repeat_corpus(options, folder)
        print(f"intrinsic: {options.model}{f' with teacher {options.teacher}' if options.teacher else ''}, {hours:.2f} h as {speakers} "
              f"speakers, {options.threads} threads; CPU has {cpu_features()}; load average {os.getloadavg()[0]:.2f}\n")
        IntrinsicBench(options, folder, find_model).run()
