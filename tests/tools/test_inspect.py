"""Golden runs of retort-inspect and retort-copy."""

import json

from harness import FIXTURES, ROOT, ToolTest, tone, write_wav


class StoreTest(ToolTest):
    """Eight utterances and their MFCC in four parts."""

    def setUp(self):
        super().setUp()
        for i in range(8):
            write_wav(self.folder / "wav" / f"u{i}.wav", tone(0.5 + 0.2 * i, 150 + 60 * i))
        self.succeeds("retort-prepare", "wav", "-o", "corpus.jsonl")
        for part in range(4):
            self.succeeds("retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "feats", "--shard", f"{part}/4")

    def label(self, *more):
        self.succeeds("retort-cluster", "-k", 5, "feats", "-o", "codebook")
        self.succeeds("retort-label", "--codebook", "codebook", "feats", "-o", "labels", *more)


class InspectTest(StoreTest):
    def part(self, index, ending):
        return self.folder / "feats" / f"part-0000{index}-of-00004.{ending}"

    def finds(self, *texts):
        """A check fails with one line on stderr; its report on stdout has each text."""
        result = self.tool("retort-inspect", "--check", "feats", "--json")
        self.assertEqual(result.code, 1)
        self.assertEqual(len(result.err.splitlines()), 1, result.err)
        self.assertTrue(result.err.startswith("retort-inspect: feats: "), result.err)
        problems = json.loads(result.out)["problems"]
        for text in texts:
            self.assertTrue(any(text in problem for problem in problems), (text, problems))

    def test_a_sound_store(self):
        result = json.loads(self.succeeds("retort-inspect", "--check", "--lineage", "--json", "feats").out)
        self.assertEqual((result["kind"], result["utterances"], result["dim"]), ("frame store", 8, 39))
        self.assertEqual(result["problems"], [])
        corpus = json.loads(self.succeeds("retort-inspect", "--json", "corpus.jsonl").out)
        self.assertEqual(result["made_from"]["corpus"], corpus["hash"])

    def test_every_kind(self):
        self.label()
        for path, kind in [("corpus.jsonl", "corpus"), ("feats", "frame store"), ("labels", "frame store"),
                           ("codebook", "codebook"), ("codebook/centroids.npy", "npy array")]:
            result = self.succeeds("retort-inspect", "--check", path)
            self.assertIn(kind, result.out.splitlines()[0])
            self.assertEqual(result.err, "")

    def test_an_lstm_student(self):
        result = json.loads(self.succeeds("retort-inspect", "--check", "--json", FIXTURES / "lstm" / "both").out)
        conv = 10 * 10 + 2 * 10 + 4 * 3 * 10 * 10 + 2 * 2 * 10 * 10
        lstm = 2 * 44 * (10 + 11 + 2) + 2 * 2 * 44 * (22 + 11 + 2)  # 4 gates of 11 units, both ways, two biases
        self.assertEqual(result["by_role"], {"conv": conv, "encoder": lstm, "head": 7 * 22 + 7, "projection": 2 * 10})
        self.assertEqual((result["parameters"], result["hidden"], result["classes"]), (conv + lstm + 20, 22, 7))

    def test_what_streams(self):
        def told(path):
            return json.loads(self.succeeds("retort-inspect", "--json", path).out)

        self.assertEqual(told(FIXTURES / "lstm" / "forward")["latency"], 400)
        self.assertEqual(told(ROOT / "data" / "recipes" / "dkd-lstm-streaming.json")["latency"], 400)
        self.assertEqual(told(FIXTURES / "lstm" / "both")["cannot_stream"],
                         "its conv stack has a norm over time (GroupNorm); its LSTM layers go backwards too")
        self.assertIn("attend to all frames", told(ROOT / "data" / "recipes" / "distilhubert.json")["cannot_stream"])

    def test_recipes_have_the_published_sizes(self):
        recipes = ROOT / "data" / "recipes"
        for name, backbone, total in [("hubert", 94371712, 94371712 + 196864 + 500 * 256),
                                      ("dicehubert", 26873344, 26873344 + 49280 + 500 * 128),
                                      ("distilhubert", 23491200, 27034752), ("fithubert", 21200096, 31168352),
                                      ("dkd-lstm", 17595392, 17595392 + 384500)]:
            result = json.loads(self.succeeds("retort-inspect", "--check", "--json", recipes / f"{name}.json").out)
            self.assertEqual((result["kind"], result["name"], result["parameters"], result["parameters_with_heads"]),
                             ("recipe", name, backbone, total))
        (self.folder / "bad.json").write_text('{"student": {"layers": 2}, "objective": "masked_prediction"}')
        self.fails(1, 'no "conv_channels" in it', "retort-inspect", "bad.json")

    def test_missing(self):
        self.part(2, "json").unlink()
        self.finds("part 2 of 4 is missing")

    def test_missing_rows(self):
        self.part(1, "npy").unlink()
        self.finds("part-00001-of-00004.npy: is missing")

    def test_cut(self):
        self.part(1, "npy").write_bytes(self.part(1, "npy").read_bytes()[:-2])
        self.finds("part-00001-of-00004.npy: is cut short")

    def test_altered(self):
        data = bytearray(self.part(3, "npy").read_bytes())
        data[-1] ^= 4
        self.part(3, "npy").write_bytes(data)
        self.finds("part-00003-of-00004.npy: was altered, first in utterance u7")

    def test_swapped(self):
        first, second = self.part(0, "npy").read_bytes(), self.part(1, "npy").read_bytes()
        self.part(0, "npy").write_bytes(second)
        self.part(1, "npy").write_bytes(first)
        self.finds("part-00000-of-00004.npy", "part-00001-of-00004.npy")

    def test_repairs(self):
        """The list names the shards whose jobs mend the store, which they do without a hint or with --overwrite."""
        whole = self.bytes_of("feats")
        self.assertEqual(self.succeeds("retort-inspect", "--repair-list", "feats").out, "")
        self.part(0, "json").unlink()
        self.part(1, "npy").write_bytes(b"")
        data = bytearray(self.part(3, "npy").read_bytes())
        data[-1] ^= 4
        self.part(3, "npy").write_bytes(data)
        self.assertEqual(self.succeeds("retort-inspect", "--repair-list", "feats").out, "0-1,3\n")
        extract = ["retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "feats", "--shard"]
        for part in (0, 1, 2):
            self.succeeds(*extract, f"{part}/4")
        self.assertEqual(self.succeeds("retort-inspect", "--repair-list", "feats").out, "3\n")
        self.succeeds(*extract, "3/4", "--overwrite")
        self.assertEqual(self.bytes_of("feats"), whole)
        (self.folder / "feats/part-00001-of-00009.json").write_bytes(self.part(1, "json").read_bytes())
        self.fails(1, "9 parts instead of 4", "retort-inspect", "--repair-list", "feats")

    def test_altered_codebook(self):
        self.label()
        path = self.folder / "codebook/centroids.npy"
        data = bytearray(path.read_bytes())
        data[-2] ^= 1
        path.write_bytes(data)
        result = self.tool("retort-inspect", "--check", "codebook")
        self.assertEqual(result.code, 1)
        self.assertIn("centroids.npy is not the one", result.err)

    def test_cpu(self):
        """Every path that this CPU has can be asked for, and is then the one that runs; others are refused."""
        found = json.loads(self.tool("retort-inspect", "--cpu", "--json").out)
        self.assertEqual(found["paths"][0], "portable")
        self.assertEqual(found["runs"], found["paths"][-1])
        self.assertIn("f32", found["precisions"])
        for path in found["paths"]:
            chosen = self.tool("retort-inspect", "--cpu", "--json", env={"RETORT_ISA": path})
            self.assertEqual(json.loads(chosen.out)["runs"], path)
        result = self.tool("retort-inspect", "--cpu", env={"RETORT_ISA": "abacus"})
        self.assertEqual(result.code, 2)
        self.assertIn("RETORT_ISA is abacus: this machine has portable", result.err)

    def test_wrong_input_and_usage(self):
        self.fails(1, "no such file or folder", "retort-inspect", "none")
        (self.folder / "odd").mkdir()
        self.fails(1, "no artifact that is known", "retort-inspect", "odd")
        self.fails(2, "either PATH or --cpu is required", "retort-inspect")
        self.fails(2, "either PATH or --cpu is required", "retort-inspect", "--cpu", "feats")
        self.fails(2, "--check and --lineage are of artifacts", "retort-inspect", "--cpu", "--check")
        self.fails(2, "prints one list and nothing else", "retort-inspect", "--repair-list", "--check", "feats")
        self.fails(1, "is no frame store", "retort-inspect", "--repair-list", "odd")
        self.fails(2, "--chek", "retort-inspect", "--chek", "feats")


class CopyTest(StoreTest):
    def test_features_to_npy_and_back(self):
        self.succeeds("retort-copy", "feats", "f.npy")
        lengths = [int(line) for line in (self.folder / "f.len").read_text().split()]
        self.assertEqual(len(lengths), 8)
        self.succeeds("retort-copy", "f.npy", "again", "--corpus", "corpus.jsonl", "--layer", "mfcc", "--hop", 160)
        self.succeeds("retort-copy", "again", "g.npy")
        self.assertEqual((self.folder / "f.npy").read_bytes(), (self.folder / "g.npy").read_bytes())
        self.assertEqual((self.folder / "f.len").read_text(), (self.folder / "g.len").read_text())

    def test_labels_to_km_and_back(self):
        self.label()
        self.succeeds("retort-copy", "labels", "l.km")
        self.succeeds("retort-copy", "l.km", "again", "--corpus", "corpus.jsonl", "--layer", "mfcc", "--hop", 160,
                      "--clusters", 5)
        self.succeeds("retort-copy", "again", "m.km")
        self.assertEqual((self.folder / "l.km").read_text(), (self.folder / "m.km").read_text())
        text = self.succeeds("retort-copy", "labels", "-").out.splitlines()
        self.assertEqual([line.split()[0] for line in text], [f"u{i}" for i in range(8)])
        self.assertEqual([line.split(" ", 1)[1] for line in text], (self.folder / "l.km").read_text().splitlines())

    def test_to_half_precision(self):
        self.succeeds("retort-copy", "feats", "half", "--dtype", "f16")
        self.assertEqual(json.loads(self.succeeds("retort-inspect", "--json", "--check", "half").out)["dtype"], "f16")

    def test_wrong_input(self):
        self.fails(1, "no such frame store", "retort-copy", "none", "out")
        (self.folder / "bad.km").write_text("1 2\n3 x\n")
        self.fails(1, "bad.km:2: is no list of labels", "retort-copy", "bad.km", "out", "--corpus", "corpus.jsonl")
        (self.folder / "few.km").write_text("1 2\n")
        self.fails(1, "has 1 utterances, corpus.jsonl has 8", "retort-copy", "few.km", "out", "--corpus", "corpus.jsonl")
        self.fails(2, "give --corpus", "retort-copy", "few.km", "out")
        self.fails(1, "out.km is for labels", "retort-copy", "feats", "out.km")
        self.fails(1, "exists", "retort-copy", "feats", "feats")
        self.leaves_nothing("out", "out.km")

    def test_wrong_usage(self):
        self.fails(2, "OUTPUT is required", "retort-copy", "feats")
        self.fails(2, "--dtype", "retort-copy", "feats", "out", "--dtype", "f8")

    def test_a_full_disk_leaves_nothing(self):
        self.fails_on_a_full_disk(4096, "writing failed", "retort-copy", "feats", "out")
        self.leaves_nothing("out/part-00000-of-00001.json", "out/part-00000-of-00001.npy")


if __name__ == "__main__":
    import unittest
    unittest.main()
