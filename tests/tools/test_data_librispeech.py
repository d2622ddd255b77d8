"""data/librispeech/prepare on a tree laid out as LibriSpeech is."""

import json
import os
import subprocess
import unittest
from pathlib import Path

from harness import BIN, ToolTest, tone, write_wav

PREPARE = Path(__file__).resolve().parents[2] / "data/librispeech/prepare"


class LibriSpeech(ToolTest):
    def prepare(self, *args):
        return subprocess.run([str(PREPARE), *map(str, args)], cwd=self.folder, text=True, capture_output=True,
                              env={**os.environ, "RETORT_BIN": str(BIN)}, timeout=300)

    def add_chapter(self, split, speaker, chapter, texts):
        folder = self.folder / f"LibriSpeech/{split}/{speaker}/{chapter}"
        lines = []
        for number, text in enumerate(texts):
            name = f"{speaker}-{chapter}-{number:04d}"
            write_wav(folder / f"{name}.wav", tone(0.3 + 0.1 * number))
            lines.append(f"{name} {text}\n")
        (folder / f"{speaker}-{chapter}.trans.txt").write_text("".join(lines))

    def corpus(self, split):
        lines = (self.folder / f"out/{split}.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def setUp(self):
        super().setUp()
        self.add_chapter("dev-clean", 84, 121123, ["GO DO YOU HEAR", "BUT IN LESS THAN FIVE MINUTES"])
        self.add_chapter("dev-clean", 174, 50561, ["FORGOTTEN TOO"])
        self.add_chapter("train-clean-100", 19, 198, ["NORTHANGER ABBEY"])

    def test_a_corpus_file_per_split(self):
        done = self.prepare("LibriSpeech", "-o", "out")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(p.name for p in (self.folder / "out").iterdir()),
                         ["dev-clean.jsonl", "train-clean-100.jsonl"])
        found = {line["id"]: (line["speaker"], line["chapter"], line["lang"], line["text"], line["samples"])
                 for line in self.corpus("dev-clean")}
        self.assertEqual(found, {"84-121123-0000": ("84", "121123", "en", "GO DO YOU HEAR", 4800),
                                 "84-121123-0001": ("84", "121123", "en", "BUT IN LESS THAN FIVE MINUTES", 6400),
                                 "174-50561-0000": ("174", "50561", "en", "FORGOTTEN TOO", 4800)})
        self.assertTrue((self.folder / "out" / self.corpus("train-clean-100")[0]["path"]).is_file())

    def test_a_single_split(self):
        done = self.prepare("LibriSpeech/train-clean-100", "-o", "out")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([line["id"] for line in self.corpus("train-clean-100")], ["19-198-0000"])

    def test_again_changes_nothing(self):
        self.assertEqual(self.prepare("LibriSpeech", "-o", "out").returncode, 0)
        before = self.bytes_of("out")
        self.assertEqual(self.prepare("LibriSpeech", "-o", "out").returncode, 0)
        self.assertEqual(self.bytes_of("out"), before)

    def test_a_folder_of_something_else(self):
        (self.folder / "music").mkdir()
        done = self.prepare("music", "-o", "out")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr, "librispeech: music holds no split of LibriSpeech "
                                      "(no SPLIT/SPEAKER/CHAPTER/*.trans.txt below it)\n")
        self.leaves_nothing("out")

    def test_wrong_usage(self):
        for args in ([], ["a", "b"], ["--fast", "LibriSpeech"]):
            done = self.prepare(*args)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1), done.stderr)


if __name__ == "__main__":
    unittest.main()
