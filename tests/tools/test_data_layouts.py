"""data/*/prepare on trees laid out as the published data sets are, and data/mixtures."""

import json
import os
import shutil
import subprocess
import unittest
from pathlib import Path

from harness import BIN, ToolTest, tone, write_wav

DATA = Path(__file__).resolve().parents[2] / "data"


class Layouts(ToolTest):
    def run_script(self, corpus, *args):
        return subprocess.run([str(DATA / corpus / "prepare"), *map(str, args)], cwd=self.folder, text=True,
                              capture_output=True, env={**os.environ, "RETORT_BIN": str(BIN)}, timeout=300)

    def prepare(self, corpus, layout=None):
        done = self.run_script(corpus, "set", "-o", "out")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [json.loads(line) for line in (self.folder / f"out/{layout or corpus}.jsonl").read_text().splitlines()]
        for line in lines:
            self.assertTrue((self.folder / "out" / line["path"]).is_file(), line)
        return {line["id"]: line for line in lines}

    def wav(self, name, seconds=0.2):
        write_wav(self.folder / "set" / name, tone(seconds))

    def text(self, name, *lines):
        path = self.folder / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(line + "\n" for line in lines))

    def test_speech_commands(self):
        for name in ("yes/aa_nohash_0.wav", "bed/aa_nohash_0.wav", "yes/bb_nohash_0.wav", "go/cc_nohash_1.wav"):
            self.wav(name)
        self.wav("_background_noise_/hum.wav", 3.5)
        self.text("validation_list.txt", "yes/bb_nohash_0.wav")
        self.text("testing_list.txt", "go/cc_nohash_1.wav")
        found = self.prepare("speech-commands")
        self.assertEqual({key: (line["keyword"], line["split"]) for key, line in found.items() if "silence" not in key},
                         {"yes-aa_nohash_0": ("yes", "train"), "bed-aa_nohash_0": ("_unknown_", "train"),
                          "yes-bb_nohash_0": ("yes", "dev"), "go-cc_nohash_1": ("go", "test")})
        silence = [line for line in found.values() if line["keyword"] == "_silence_"]
        self.assertEqual([(line["start"], line["samples"]) for line in silence], [(0, 16000), (16000, 16000), (32000, 16000)])
        self.assertEqual(found["bed-aa_nohash_0"]["speaker"], "aa")

    def test_fluent_speech_commands(self):
        for split in ("train", "valid", "test"):
            self.wav(f"wavs/speakers/s1/{split}1.wav")
            self.text(f"data/{split}_data.csv", ",path,speakerId,transcription,action,object,location",
                      f'0,wavs/speakers/s1/{split}1.wav,s1,"Turn on, please",activate,lights,none')
        found = self.prepare("fluent-speech-commands")
        self.assertEqual({key: line["split"] for key, line in found.items()},
                         {"train1": "train", "valid1": "dev", "test1": "test"})
        one = found["test1"]
        self.assertEqual([one[key] for key in ("speaker", "text", "action", "object", "location")],
                         ["s1", "Turn on, please", "activate", "lights", "none"])

    def test_voxceleb1(self):
        for name in ("id1/v/1.wav", "id1/v/2.wav", "id2/v/1.wav", "id3/v/1.wav"):
            self.wav("wav/" + name)
        self.text("iden_split.txt", "1 id1/v/1.wav", "2 id2/v/1.wav", "3 id1/v/2.wav")
        self.text("veri_test.txt", "1 id1/v/1.wav id1/v/2.wav", "0 id1/v/1.wav id3/v/1.wav")
        found = self.prepare("voxceleb1", "voxceleb1-sid")
        self.assertEqual({key: (line["speaker"], line["split"]) for key, line in found.items()},
                         {"id1-v-1": ("id1", "train"), "id2-v-1": ("id2", "dev"), "id1-v-2": ("id1", "test")})
        lines = (self.folder / "out/voxceleb1-asv.jsonl").read_text().splitlines()
        splits = {line["id"]: line["split"] for line in map(json.loads, lines)}
        self.assertEqual([splits[key] for key in ("id1-v-1", "id1-v-2", "id3-v-1")], ["test"] * 3)
        self.assertIn(splits["id2-v-1"], ("train", "dev"))
        self.assertEqual((self.folder / "out/trials.txt").read_text(), "1 id1-v-1 id1-v-2\n0 id1-v-1 id3-v-1\n")

    def test_iemocap(self):
        for session, label in ((1, "neu"), (2, "exc"), (3, "fru")):
            name = f"Ses0{session}F_impro01_M000"
            self.wav(f"Session{session}/sentences/wav/Ses0{session}F_impro01/{name}.wav")
            self.text(f"Session{session}/dialog/EmoEvaluation/Ses0{session}F_impro01.txt", "% [START_TIME - END_TIME] TURN_NAME",
                      f"[6.2 - 8.2]\t{name}\t{label}\t[2.5, 2.5, 2.5]", "C-E1:\tNeutral;")
        found = self.prepare("iemocap")
        self.assertEqual({key: (line["emotion"], line["session"], line["speaker"]) for key, line in found.items()},
                         {"Ses01F_impro01_M000": ("neutral", "Session1", "Ses01M"),
                          "Ses02F_impro01_M000": ("happy", "Session2", "Ses02M")})

    def test_snips(self):
        names = [f"Ivy-snips-{split}-0" for split in ("train", "valid", "test")]
        for name in names:
            self.wav(f"{name.split('-')[2]}/{name}.wav")
        self.text("all.iob.snips.txt", *(f"{name} BOS play the beatles & more . EOS\tO O artist artist genre genre O PlayMusic"
                                         for name in [*names, "Joey-snips-train-9"]))
        found = self.prepare("snips")
        self.assertEqual({key: line["split"] for key, line in found.items()}, dict(zip(names, ("train", "dev", "test"))))
        self.assertEqual(found[names[0]]["text"], "play B-artist the beatles E-artist B-genre AND more E-genre")
        self.assertEqual(found[names[0]]["speaker"], "Ivy")
        self.text("all.iob.snips.txt", f"{names[0]} BOS play it EOS\tO O PlayMusic")
        done = self.run_script("snips", "set", "-o", "other")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{names[0]} has 2 words and 1 slots", done.stderr)

    def test_librimix(self):
        for split in ("train", "dev", "test"):
            self.wav(f"audio/{split}.wav", 2.0)
            self.text(f"{split}/wav.scp", f"mix-{split} {self.folder / 'set/audio' / split}.wav")
            self.text(f"{split}/segments", f"a-{split} mix-{split} 0.25 1.50", f"b-{split} mix-{split} 0.75 2.00")
            self.text(f"{split}/utt2spk", f"a-{split} 19", f"b-{split} 26")
        found = self.prepare("librimix")
        self.assertEqual({key: line["split"] for key, line in found.items()},
                         {"mix-train": "train", "mix-dev": "dev", "mix-test": "test"})
        turns = (self.folder / "out/turns.rttm").read_text().splitlines()
        self.assertEqual(turns[:2], ["SPEAKER mix-train 1 0.250 1.250 <NA> <NA> 19 <NA> <NA>",
                                     "SPEAKER mix-train 1 0.750 1.250 <NA> <NA> 26 <NA> <NA>"])
        self.assertEqual(len(turns), 6)

    def test_quesst14(self):
        for name in ("Audio/quesst14_1", "Audio/quesst14_2", "dev_queries/quesst14_dev_1", "eval_queries/quesst14_eval_1"):
            self.wav(name + ".wav")
        base = "quesst14Database"
        self.text("scoring/language_key_utterances.lst", f"{base}/Audio/quesst14_1.wav nnenglish",
                  f"{base}/Audio/quesst14_2.wav nnenglish", f"{base}/Audio/quesst14_3.wav czech")
        self.text("scoring/language_key_dev.lst", f"{base}/dev_queries/quesst14_dev_1.wav nnenglish")
        self.text("scoring/language_key_eval.lst", f"{base}/eval_queries/quesst14_eval_1.wav nnenglish")
        for name in ("dev", "eval"):
            lexemes = (f"LEXEME quesst14_{k} 1 0 10 quesst14_{name}_{q} lex 1 NA" for k, q in ((2, 1), (1, 1), (3, 1), (1, 7)))
            self.text(f"scoring/groundtruth_quesst14_{name}/quesst14_{name}.rttm", *lexemes, ";; a comment")
        found = self.prepare("quesst14", "quesst14-queries")
        both = ["quesst14_1", "quesst14_2"]
        self.assertEqual({key: (line["split"], line["documents"]) for key, line in found.items()},
                         {"quesst14_dev_1": ("dev", both), "quesst14_eval_1": ("test", both)})
        self.assertEqual(sorted(self.prepare("quesst14", "quesst14-documents")), both)

    def test_a_folder_of_something_else(self):
        (self.folder / "set").mkdir()
        done = self.run_script("iemocap", "set", "-o", "out")
        self.assertEqual((done.returncode, done.stderr), (1, "layouts: set holds no iemocap\n"))
        done = self.run_script("speech-commands", "set", "-o", "out")
        self.assertEqual(done.returncode, 1)
        self.assertIn("validation_list.txt", done.stderr)
        self.assertEqual(self.run_script("iemocap", "none").returncode, 1)
        self.assertEqual(self.run_script("iemocap").returncode, 2)

    @unittest.skipUnless(shutil.which("ffmpeg"), "needs ffmpeg")
    def test_mixtures(self):
        lines = []
        for i in range(90):
            write_wav(self.folder / "wav" / f"{i}.wav", tone(1.1, 200 + 10 * i))
            lines.append({"id": f"u{i}", "path": f"wav/{i}.wav", "start": 0, "samples": 17600, "rate": 16000, "channel": -1,
                          "speaker": f"s{i % 2}"})
        (self.folder / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        for out in ("one", "two"):
            done = self.run_script("mixtures", "corpus.jsonl", "-o", out, "--count", 10)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.bytes_of("one"), self.bytes_of("two"))
        found = [json.loads(line) for line in (self.folder / "one/corpus.jsonl").read_text().splitlines()]
        self.assertEqual([line["split"] for line in found], ["train"] * 8 + ["dev", "test"])
        lengths = {line["id"]: line["samples"] for line in found}
        turns = [line.split() for line in (self.folder / "one/turns.rttm").read_text().splitlines()]
        self.assertEqual(len(turns), 40)
        for turn in turns:
            self.assertLessEqual((float(turn[3]) + float(turn[4])) * 16000, lengths[turn[1]] + 1)
            self.assertIn(turn[7], ("s0", "s1"))
        (self.folder / "corpus.jsonl").write_text("".join(json.dumps({**line, "speaker": "s"}) + "\n" for line in lines))
        done = self.run_script("mixtures", "corpus.jsonl", "-o", "three")
        self.assertEqual(done.returncode, 1)
        self.assertIn("train would have 1 speakers", done.stderr)


if __name__ == "__main__":
    unittest.main()
