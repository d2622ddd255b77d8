"""Golden runs of retort-prepare."""

import json
import math
import unittest

from harness import ToolTest, tone, write_wav


class PrepareTest(ToolTest):
    def audio(self, name, seconds=0.5, rate=16000, **options):
        write_wav(self.folder / name, tone(seconds, rate=rate), rate=rate, **options)
        return name

    def lines(self, name="corpus.jsonl"):
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]

    def prepare(self, *inputs):
        return ["retort-prepare", *inputs, "-o", "corpus.jsonl"]


class Sources(PrepareTest):
    def test_a_folder(self):
        self.audio("speech/b/two.wav")
        self.audio("speech/a/one.wav", 0.25)
        (self.folder / "speech/notes.txt").write_text("no audio")
        result = self.succeeds(*self.prepare("speech"))
        self.assertEqual(result.out, "")
        self.assertEqual(self.lines(), [
            {"id": "one", "path": "speech/a/one.wav", "start": 0, "samples": 4000, "rate": 16000, "channel": -1},
            {"id": "two", "path": "speech/b/two.wav", "start": 0, "samples": 8000, "rate": 16000, "channel": -1}])
        self.assertIn("2 utterances", result.err)
        self.leaves_nothing("corpus.rejected.jsonl")

    def test_paths_are_relative_to_the_corpus_file(self):
        self.audio("speech/one.wav")
        (self.folder / "made").mkdir()
        self.succeeds("retort-prepare", "speech", "-o", "made/corpus.jsonl")
        self.assertEqual(self.lines("made/corpus.jsonl")[0]["path"], "../speech/one.wav")
        self.succeeds("retort-extract", "--model", "mfcc", "made/corpus.jsonl", "-o", "feats")

    def test_a_list_of_files_and_standard_input(self):
        for name in ("one.wav", "two.wav"):
            self.audio(name)
        (self.folder / "files.txt").write_text("two.wav\none.wav\n")
        self.succeeds(*self.prepare("files.txt"))
        self.assertEqual([line["id"] for line in self.lines()], ["two", "one"])
        self.succeeds("retort-prepare", "-", "-o", "piped.jsonl", stdin="two.wav\none.wav\n")
        self.assertEqual(self.lines("piped.jsonl"), self.lines())

    def test_standard_output(self):
        self.audio("one.wav")
        self.assertEqual(json.loads(self.succeeds("retort-prepare", "one.wav", "-o", "-").out)["id"], "one")

    def test_a_fairseq_manifest(self):
        self.audio("speech/one.wav")
        (self.folder / "train.tsv").write_text("speech\none.wav\t8000\n")
        self.succeeds(*self.prepare("train.tsv"))
        self.assertEqual([(line["id"], line["samples"]) for line in self.lines()], [("one", 8000)])
        (self.folder / "train.tsv").write_text("speech\none.wav\t8001\n")
        self.fails(1, "wrong-length", *self.prepare("train.tsv"), "--overwrite")
        (self.folder / "train.tsv").write_text("speech\none.wav 8000\n")
        self.fails(1, "train.tsv line 2: should be PATH<TAB>SAMPLES", *self.prepare("train.tsv"))

    def test_a_kaldi_data_directory(self):
        self.audio("rec.wav", 3)
        data = self.folder / "data"
        data.mkdir()
        (data / "wav.scp").write_text("rec rec.wav\n")
        (data / "segments").write_text("a rec 0.5 1.5\nb rec 2.0 3.0\n")
        (data / "utt2spk").write_text("a anna\nb ben\n")
        (data / "text").write_text("a HELLO THERE\nb GOOD BYE\n")
        self.succeeds(*self.prepare("data"))
        self.assertEqual([(line["id"], line["start"], line["samples"], line["speaker"], line["text"])
                          for line in self.lines()],
                         [("a", 8000, 16000, "anna", "HELLO THERE"), ("b", 32000, 16000, "ben", "GOOD BYE")])
        self.succeeds("retort-prepare", "data/wav.scp", "-o", "whole.jsonl")
        self.assertEqual([(line["id"], line["samples"]) for line in self.lines("whole.jsonl")], [("rec", 48000)])

    def test_kaldi_tables_that_do_not_fit(self):
        self.audio("rec.wav", 3)
        data = self.folder / "data"
        data.mkdir()
        (data / "wav.scp").write_text("rec rec.wav\n")
        for text, message in (("a other 0 1\n", "recording other is not in wav.scp"), ("a rec 0\n", "should be UTTERANCE"),
                              ("a rec 0 x\n", "x is not a number")):
            (data / "segments").write_text(text)
            self.fails(1, message, *self.prepare("data"))
        (data / "segments").unlink()
        (data / "wav.scp").write_text("rec exit 5 |\n")
        self.fails(1, "1 command-failed", *self.prepare("data"))
        self.leaves_nothing("corpus.jsonl")

    def test_metadata(self):
        for name in ("one.wav", "two.wav"):
            self.audio(name)
        (self.folder / "meta.jsonl").write_text('{"id": "one", "speaker": "anna", "lang": "en"}\n')
        result = self.succeeds(*self.prepare("one.wav", "two.wav"), "--metadata", "meta.jsonl")
        self.assertIn("1 of 2 utterances are not in meta.jsonl", result.err)
        self.assertEqual([line.get("speaker") for line in self.lines()], ["anna", None])
        (self.folder / "meta.jsonl").write_text('{"id": "three", "speaker": "anna"}\n')
        self.fails(1, "none of its ids is in the corpus", *self.prepare("one.wav"), "--metadata", "meta.jsonl")
        (self.folder / "meta.jsonl").write_text("not json\n")
        self.fails(1, "meta.jsonl", *self.prepare("one.wav"), "--metadata", "meta.jsonl")


class Ids(PrepareTest):
    def test_paths_where_stems_repeat(self):
        self.audio("speech/a/one.wav")
        self.audio("speech/b/one.wav")
        self.succeeds(*self.prepare("speech"))
        self.assertEqual([line["id"] for line in self.lines()], ["a/one", "b/one"])

    def test_ids_that_repeat(self):
        self.audio("one.wav")
        self.fails(1, "would be that of both one.wav and one.wav", "retort-prepare", "one.wav", "one.wav", "-o",
                   "corpus.jsonl")
        data = self.folder / "data"
        data.mkdir()
        (data / "wav.scp").write_text("rec one.wav\nrec one.wav\n")
        self.fails(1, "rec", *self.prepare("data"))
        self.leaves_nothing("corpus.jsonl")


class BadAudio(PrepareTest):
    def test_every_kind_is_rejected_with_its_reason(self):
        for i in range(4):
            self.audio(f"speech/good{i}.wav")
        (self.folder / "speech/text.wav").write_text("this is no audio")
        (self.folder / "speech/empty.wav").write_bytes(b"")
        self.audio("speech/none.wav", 0)
        self.audio("speech/short.wav", 399 / 16000)
        self.audio("speech/enough.wav", 400 / 16000 + 1e-6)
        write_wav(self.folder / "speech/nan.wav", [0.1] * 4000 + [math.nan] + [0.1] * 4000, floats=True)
        whole = self.folder / self.audio("speech/cut.wav")
        whole.write_bytes(whole.read_bytes()[:8000])
        command = self.prepare("speech")
        result = self.fails(1, "of 11 utterances were bad", *command)
        reasons = {line["id"]: line["reason"] for line in self.lines("corpus.rejected.jsonl")}
        self.assertEqual(reasons, {"text": "not-audio", "empty": "empty", "none": "empty", "short": "too-short",
                                   "nan": "not-finite", "cut": "truncated"})
        for name in reasons:
            self.assertIn(name, result.err)
        for line in self.lines("corpus.rejected.jsonl"):
            self.assertTrue(line["message"])
        self.assertEqual([line["id"] for line in self.lines()], ["enough", "good0", "good1", "good2", "good3"])
        self.succeeds(*command, "--max-bad", 0.6)
        self.fails(1, "6 of 11", *command, "--max-bad", 0.5)

    def test_a_missing_file_in_a_list(self):
        self.audio("one.wav")
        (self.folder / "files.lst").write_text("one.wav\ngone.wav\n")
        self.fails(1, "1 of 2 utterances were bad (1 missing)", *self.prepare("files.lst"))
        self.assertEqual(self.lines("corpus.rejected.jsonl")[0]["id"], "gone")

    def test_other_rates_and_channels_are_counted(self):
        for rate in (8000, 44100, 48000):
            self.audio(f"speech/r{rate}.wav", rate=rate)
        write_wav(self.folder / "speech/stereo.wav", [s for s in tone(0.5) for _ in (0, 1)], channels=2)
        err = self.succeeds(*self.prepare("speech")).err
        self.assertIn("3 files are not at 16 kHz and will be resampled when read", err)
        self.assertIn("1 files have several channels and will be mixed down when read", err)
        self.assertEqual([(line["rate"], line["samples"]) for line in self.lines()],
                         [(44100, 22050), (48000, 24000), (8000, 4000), (16000, 8000)])

    def test_limits_of_length_are_no_fault(self):
        for i, seconds in enumerate((0.3, 0.6, 0.9)):
            self.audio(f"speech/u{i}.wav", seconds)
        command = self.prepare("speech")
        self.succeeds(*command, "--min-seconds", 0.5, "--max-seconds", 0.8)
        self.assertEqual([line["id"] for line in self.lines()], ["u1"])
        self.assertEqual([line["reason"] for line in self.lines("corpus.rejected.jsonl")], ["too-short", "too-long"])
        self.fails(1, "nothing is left", *command, "--min-seconds", 2, "--overwrite")


class Outputs(PrepareTest):
    def test_a_rerun_has_nothing_to_do_and_another_corpus_is_refused(self):
        self.audio("speech/one.wav")
        command = self.prepare("speech")
        self.succeeds(*command)
        before = (self.folder / "corpus.jsonl").read_bytes()
        self.assertIn("nothing to do", self.succeeds(*command).err)
        self.audio("speech/two.wav")
        self.fails(1, "corpus.jsonl: exists and would change", *command)
        self.assertEqual((self.folder / "corpus.jsonl").read_bytes(), before)
        self.succeeds(*command, "--overwrite")
        self.assertEqual(len(self.lines()), 2)

    def test_a_full_disk_leaves_nothing(self):
        for i in range(40):
            self.audio(f"speech/u{i}.wav", 0.05)

        self.fails_on_a_full_disk(1024, "corpus.jsonl", *self.prepare("speech"))
        self.leaves_nothing("corpus.jsonl")

    def test_wrong_input(self):
        self.fails(1, "nowhere: no such file or folder", *self.prepare("nowhere"))
        (self.folder / "empty").mkdir()
        self.fails(1, "no audio files in this folder", *self.prepare("empty"))
        (self.folder / "empty.txt").write_text("")
        self.fails(1, "empty.txt: names no audio", *self.prepare("empty.txt"))
        self.leaves_nothing("corpus.jsonl")

    def test_wrong_usage(self):
        self.audio("one.wav")
        self.fails(2, "ends in .jsonl", "retort-prepare", "one.wav", "-o", "corpus.txt")
        self.succeeds(*self.prepare("one.wav"))
        self.fails(2, "is a corpus file already", *self.prepare("corpus.jsonl"))
        self.fails(2, "--max-seconds 1 is less", *self.prepare("one.wav"), "--min-seconds", 2, "--max-seconds", 1)
        self.fails(2, "--min-seconds", *self.prepare("one.wav"), "--min-seconds", -1)
        self.fails(2, "--speaker", *self.prepare("one.wav"), "--speaker", "anna")
        self.fails(2, "INPUT is required", "retort-prepare", "-o", "corpus.jsonl")
        self.fails(2, "--output is required", "retort-prepare", "one.wav")


if __name__ == "__main__":
    unittest.main()
