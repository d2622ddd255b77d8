"""Golden runs of retort-evaluate."""

import json
import math
from collections import Counter

from harness import FIXTURES, ToolTest, needs_torch, tone, write_wav

MODEL = FIXTURES / "model" / "post"
HEX = r"[0-9a-f]{32}"


def scores(pairs):
    """PNMI, phone purity and cluster purity of (phone, unit) pairs, straight from their definitions."""
    total = len(pairs)
    both, phones, units = Counter(pairs), Counter(p for p, _ in pairs), Counter(u for _, u in pairs)
    information = sum(n / total * math.log(n * total / (phones[p] * units[u])) for (p, u), n in both.items())
    entropy = -sum(n / total * math.log(n / total) for n in phones.values())
    best_phone = sum(max(n for (_, u), n in both.items() if u == unit) for unit in units)
    best_unit = sum(max(n for (p, _), n in both.items() if p == phone) for phone in phones)
    return information / entropy, best_phone / total, best_unit / total


class UnitsTest(ToolTest):
    # Frame t of a model is at 12.5 + 20 t ms. Three utterances, the last of them without alignment.
    LABELS = {"one": [4, 4, 1, 1, 1, 2, 2, 0], "two": [4, 1, 2, 2, 2], "three": [5, 5]}
    ALIGNMENTS = ["one 1 0.00 0.05 AH", "one 1 0.05 0.05 T", "one 1 0.10 0.04 S", "one 1 0.14 0.02 SIL",
                  "two 1 0.00 0.02 AH", "two 1 0.02 0.03 AH", "two 1 0.05 0.04 S"]
    PAIRS = [("AH", 4), ("AH", 4), ("T", 1), ("T", 1), ("T", 1), ("S", 2), ("S", 2),
             ("AH", 4), ("AH", 1), ("S", 2), ("S", 2)]

    def setUp(self):
        super().setUp()
        self.write_labels(self.LABELS)
        self.write("phones.ctm", self.ALIGNMENTS)

    def write(self, name, lines):
        (self.folder / name).write_text("".join(line + "\n" for line in lines))

    def write_labels(self, labels, name="labels"):
        self.write(f"{name}.km", [" ".join(map(str, units)) for units in labels.values()])
        self.write(f"{name}.jsonl", [json.dumps({"id": key, "path": f"{key}.wav", "start": 0, "rate": 16000,
                                                 "channel": 0, "samples": 320 * len(units) + 80})
                                     for key, units in labels.items()])
        self.succeeds("retort-copy", f"{name}.km", name, "--corpus", f"{name}.jsonl", "--clusters", 7, "--layer",
                      "enc9")

    def units(self, *more, labels="labels"):
        return ["retort-evaluate", "units", "--labels", labels, "--alignments", "phones.ctm", "-o", "result.json", *more]

    def test_units_are_scored(self):
        run = self.succeeds(*self.units("--corpus", "labels.jsonl"))
        pnmi, phone_purity, cluster_purity = scores(self.PAIRS)
        self.assertEqual(run.out, f"units pnmi {pnmi:.4f} phone_purity {phone_purity:.4f} cluster_purity "
                                  f"{cluster_purity:.4f} units_used 3 units 7 perplexity 3.0 frames 11\n")
        result = self.read_json("result.json")
        self.assertEqual((result["task"], result["protocol"]), ("units", "units-1"))
        self.assertEqual(result["inputs"]["layer"], "enc9")
        for key in ("labels", "alignments", "corpus"):
            self.assertRegex(result["inputs"][key], rf"\A{HEX}\Z")
        self.assertEqual(result["options"], {"hop": 320, "keep_silence": False})
        for key, expected in (("pnmi", pnmi), ("phone_purity", phone_purity), ("cluster_purity", cluster_purity)):
            self.assertAlmostEqual(result["metrics"][key], expected, places=12)
        self.assertEqual(result["counts"], {
            "frames": 11, "phone_hits": 10, "cluster_hits": 10, "phones": 3, "units_used": 3, "units": 7,
            "frames_of_silence": 1, "frames_outside_phones": 1, "utterances": 2, "utterances_without_alignment": 1,
            "alignments_without_labels": 0})
        self.assertGreaterEqual(result["seconds"], 0)
        self.assertNotIn(str(self.folder), (self.folder / "result.json").read_text())

    def test_silence_is_scored_where_asked_for(self):
        self.succeeds(*self.units("--keep-silence"))
        result = self.read_json("result.json")
        self.assertAlmostEqual(result["metrics"]["pnmi"], scores([*self.PAIRS, ("SIL", 0)])[0], places=12)

    def test_a_rerun_has_nothing_to_do_and_another_job_is_refused(self):
        first = self.succeeds(*self.units())
        written = (self.folder / "result.json").read_bytes()
        again = self.succeeds(*self.units())
        self.assertEqual(again.out, first.out)
        self.assertIn("nothing to do", again.err)
        self.fails(1, "options keep_silence true against false", *self.units("--keep-silence"))
        self.assertEqual((self.folder / "result.json").read_bytes(), written)
        self.succeeds(*self.units("--keep-silence", "--overwrite"))
        self.assertNotEqual((self.folder / "result.json").read_bytes(), written)

    def test_an_output_that_is_no_result_is_kept(self):
        (self.folder / "result.json").write_text("{}")
        self.fails(1, "result.json: exists and is no result", *self.units())
        self.assertEqual((self.folder / "result.json").read_text(), "{}")

    def test_a_full_disk_leaves_nothing(self):
        self.fails_on_a_full_disk(64, "result.json", *self.units())
        self.leaves_nothing("result.json")

    def test_missing_inputs(self):
        (self.folder / "phones.ctm").unlink()
        self.fails(1, "phones.ctm: no such file", *self.units())
        self.write("phones.ctm", self.ALIGNMENTS)
        self.fails(1, "none", *self.units(labels="none"))
        self.fails(1, "none.jsonl", *self.units("--corpus", "none.jsonl"))
        self.leaves_nothing("result.json")

    def test_a_bad_line_of_alignments_is_named(self):
        self.write("phones.ctm", [*self.ALIGNMENTS, "two 1 AH"])
        self.fails(1, "phones.ctm:8: 3 fields; a line should be: id channel start duration phone", *self.units())
        self.write("phones.ctm", [])
        self.fails(1, "phones.ctm: holds no alignments", *self.units())
        self.leaves_nothing("result.json")

    def test_inputs_of_different_corpora_are_refused(self):
        self.write_labels({"four": [1, 2]}, "other")
        self.fails(1, "none of its 1 utterances is aligned", *self.units(labels="other"))
        self.fails(1, "labels: labels of corpus", *self.units("--corpus", "other.jsonl"))
        self.write("phones.ctm", ["two 1 0 0.02 AH", "two 1 7 0.02 S"])
        self.fails(1, "utterance two is aligned to 7.02 s", *self.units())
        self.leaves_nothing("result.json")

    def test_what_is_no_label_store_is_refused(self):
        write_wav(self.folder / "a.wav", tone(0.5))
        self.succeeds("retort-extract", "--model", "mfcc", "a.wav", "-o", "feats")
        self.fails(1, "feats: holds features, labels were expected", *self.units(labels="feats"))
        next((self.folder / "labels").glob("*.json")).unlink()
        self.fails(1, "labels", *self.units())

    def test_wrong_usage(self):
        self.fails(2, "nonsense", "retort-evaluate", "nonsense", "-o", "result.json")
        self.fails(2, "TASK is required", "retort-evaluate")
        self.fails(2, "the task comes before its options", "retort-evaluate", "--log-level", "info", "units")
        self.fails(2, "--labels is required", "retort-evaluate", "units", "--alignments", "phones.ctm", "-o", "r.json")
        self.fails(2, "--output is required", "retort-evaluate", "units", "--labels", "labels", "--alignments",
                   "phones.ctm")
        self.fails(2, "--hop 200: labels has a frame every 320 samples", *self.units("--hop", 200))
        self.fails(2, "--model", *self.units("--model", "mfcc"))
        self.leaves_nothing("result.json")


class ProbeTest(ToolTest):
    def setUp(self):
        super().setUp()
        lines = []
        for i in range(60):
            kind = "low" if i % 2 else "high"
            write_wav(self.folder / "wav" / f"{i}.wav", tone(0.2 + 0.002 * i, (150 if i % 2 else 1500) + i))
            lines.append({"id": f"u{i}", "path": f"wav/{i}.wav", "start": 0, "rate": 16000, "channel": 0,
                          "samples": int((0.2 + 0.002 * i) * 16000), "kind": kind, "speaker": f"s{i % 7}", "one": 1})
        lines.append({**lines[0], "id": "unlabelled", "kind": None})
        del lines[-1]["kind"]
        self.lines = lines
        self.write_corpus(lines)

    def write_corpus(self, lines):
        (self.folder / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def probe(self, *more, key="kind", seeds=2):
        return ["retort-evaluate", "probe", "--corpus", "corpus.jsonl", "--label-key", key, "--epochs", 30, "--seeds",
                seeds, "-o", "probe.json", "--threads", 1, *more]

    @needs_torch
    def test_classes_are_told_apart(self):
        run = self.succeeds(*self.probe("--model", "mfcc"))
        result = self.read_json("probe.json")
        counts = result["counts"]
        self.assertRegex(run.out, r"\Aprobe accuracy 1\.0000 deviation 0\.0000 majority 0\.\d{4} chance 0\.5000 classes 2 "
                                  rf"test {counts['test']}\n\Z")
        self.assertEqual(result["classes"], ["high", "low"])
        self.assertEqual(counts["train"] + counts["dev"] + counts["test"], 60)
        self.assertEqual(counts["test_correct"], [counts["test"]] * 2)
        self.assertEqual(counts["without_label"], 1)
        self.assertEqual(counts["bad"], {})
        self.assertIn(result["lr"], [1e-3, 1e-2, 1e-1])
        for split in ("train", "dev", "test"):
            self.assertRegex(result["splits"][split], rf"\A{HEX}\Z")

    @needs_torch
    def test_all_layers_of_a_model_are_mixed(self):
        self.succeeds(*self.probe("--model", MODEL, "--probe", "mlp"))
        result = self.read_json("probe.json")
        self.assertEqual(result["layers"], "enc0,enc1,enc2,enc3")
        for weights in result["layer_weights"]:
            self.assertEqual(len(weights), 4)
            self.assertAlmostEqual(sum(weights), 1, places=5)

    @needs_torch
    def test_layers_of_another_width_are_not_mixed(self):
        model = FIXTURES / "lstm" / "both"
        self.succeeds(*self.probe("--model", model))
        self.assertEqual(self.read_json("probe.json")["layers"], "enc1,enc2,enc3")
        self.fails(2, "different width", *self.probe("--model", model, "--layer", "enc0,enc1", "--overwrite"))

    @needs_torch
    def test_the_same_command_gives_the_same_numbers(self):
        self.succeeds(*self.probe("--model", MODEL, "--layer", "enc1"))
        first = self.read_json("probe.json")
        again = self.succeeds(*self.probe("--model", MODEL, "--layer", "enc1"))
        self.assertIn("nothing to do", again.err)
        self.succeeds(*self.probe("--model", MODEL, "--layer", "enc1", "--overwrite"))
        second = self.read_json("probe.json")
        del first["seconds"], second["seconds"]
        self.assertEqual(first, second)
        self.fails(1, "another job (layers", *self.probe("--model", MODEL, "--layer", "enc2"))

    @needs_torch
    def test_bad_audio_is_skipped_up_to_max_bad(self):
        (self.folder / "wav" / "7.wav").write_bytes(b"RIFFnot really audio")
        self.fails(1, "more than --max-bad 0.001 allows", *self.probe("--model", "mfcc"))
        self.leaves_nothing("probe.json")
        run = self.succeeds(*self.probe("--model", "mfcc", "--max-bad", 0.1))
        self.assertIn("u7", run.err)
        self.assertEqual(sum(self.read_json("probe.json")["counts"]["bad"].values()), 1)

    @needs_torch
    def test_wrong_input(self):
        self.fails(1, "a probe needs two classes", *self.probe("--model", "mfcc", key="one"))
        self.fails(1, "0 utterances have a \"nothing\"", *self.probe("--model", "mfcc", key="nothing"))
        self.fails(1, "has no \"nothing\" to split by", *self.probe("--model", "mfcc", "--split-by", "nothing"))
        self.fails(1, "none", *self.probe("--model", "none"))
        self.fails(2, "enc9", *self.probe("--model", MODEL, "--layer", "enc9"))
        self.write_corpus(self.lines[:3])
        self.fails(1, "too few to be split", *self.probe("--model", "mfcc"))
        self.write_corpus([])
        self.fails(1, "corpus.jsonl", *self.probe("--model", "mfcc"))
        self.leaves_nothing("probe.json")

    def test_wrong_usage(self):
        self.fails(2, "--model is required", *self.probe())
        self.fails(2, "--probe", *self.probe("--model", "mfcc", "--probe", "deep"))
        self.fails(2, "--seeds", *self.probe("--model", "mfcc", seeds=0))
        self.fails(2, "--labels", *self.probe("--model", "mfcc", "--labels", "labels"))


class ProfileTest(ToolTest):
    def profile(self, *more, seconds=1):
        return ["retort-evaluate", "profile", "--seconds", seconds, "--repeats", 2, "-o", "profile.json", *more]

    def test_models_are_profiled(self):
        run = self.succeeds(*self.profile("--model", f"{MODEL}/", "--model", FIXTURES / "model" / "pre", "--model",
                                          FIXTURES / "lstm" / "both", "--threads", 2))
        lines = run.out.splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["model", "post", "pre", "both"])
        result = self.read_json("profile.json")
        self.assertEqual(len(result["metrics"]), 3)
        self.assertEqual(sorted(result["metrics"][2]["macs_per_second"]["by_component"]), ["conv", "lstm"])
        for model, row in zip(result["model"], result["metrics"]):
            self.assertEqual(row["model"], model)
            self.assertEqual(sum(row["parameters"]["by_role"].values()), row["parameters"]["total"])
            self.assertEqual(row["bytes"]["f32"], 4 * row["parameters"]["backbone"])
            macs = row["macs_per_second"]
            self.assertAlmostEqual(sum(macs["by_component"].values()), macs["total"])
            self.assertEqual([(speed["threads"], speed["batch"]) for speed in row["speed"]],
                             [(1, 1), (1, 8), (2, 1), (2, 8)])
            for speed in row["speed"]:
                self.assertAlmostEqual(speed["real_time_factor"] * speed["times_real_time"], 1)
            self.assertGreater(row["peak_memory_bytes"], 1 << 20)
        # The first block of the conv stack, by hand: 16 kernels of 10 samples at floor((16000 - 10) / 5) + 1 places.
        self.assertGreater(result["metrics"][0]["macs_per_second"]["by_component"]["conv"], 3199 * 16 * 10)
        self.assertNotIn(str(FIXTURES), (self.folder / "profile.json").read_text())

    def test_wrong_input_and_usage(self):
        self.fails(1, "none", *self.profile("--model", "none"))
        self.fails(2, "--model is required", *self.profile())
        self.fails(2, "--seconds", *self.profile("--model", MODEL, seconds=0))
        self.leaves_nothing("profile.json")
