"""Golden runs of retort-evaluate."""

import json
import math
import shutil
import subprocess
import sys
from collections import Counter

from harness import FIXTURES, ROOT, WITH_TORCH, ToolTest, needs_torch, tone, write_wav

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


class AgreementTest(ToolTest):
    def write_labels(self, name, labels):
        (self.folder / f"{name}.km").write_text("".join(" ".join(map(str, units)) + "\n" for units in labels.values()))
        (self.folder / f"{name}.jsonl").write_text("".join(
            json.dumps({"id": key, "path": f"{key}.wav", "start": 0, "rate": 16000, "channel": 0,
                        "samples": 320 * len(units) + 80}) + "\n" for key, units in labels.items()))
        self.succeeds("retort-copy", f"{name}.km", name, "--corpus", f"{name}.jsonl", "--clusters", 7, "--layer", "enc9")

    def agreement(self, labels, reference, *more):
        return ["retort-evaluate", "agreement", "--labels", labels, "--reference", reference, "-o", "result.json", *more]

    def test_the_same_partition_under_other_names_agrees(self):
        self.write_labels("ours", {"one": [1, 1, 2, 3], "two": [3, 3]})
        self.write_labels("theirs", {"two": [0, 0], "one": [5, 5, 4, 0]})
        run = self.succeeds(*self.agreement("ours", "theirs"))
        self.assertEqual(run.out, "agreement information 1.0000 rand 1.0000 frames 6\n")
        result = self.read_json("result.json")
        self.assertFalse(result["partial"])
        self.assertEqual(result["counts"], {"frames": 6, "units_used": 3, "reference_units_used": 3, "utterances": 2,
                                            "utterances_of_one_side": 0})
        self.assertEqual(self.succeeds(*self.agreement("ours", "theirs")).out, run.out)

    def test_utterances_of_one_side_are_refused_or_marked(self):
        self.write_labels("ours", {"one": [1, 1, 2, 3], "two": [3, 3], "three": [1]})
        self.write_labels("theirs", {"one": [5, 5, 4, 0], "four": [1]})
        self.fails(1, "ours: has utterance two, which theirs lacks", *self.agreement("ours", "theirs"))
        self.fails(1, "theirs: has utterance four, which", *self.agreement("theirs", "ours"))
        run = self.succeeds(*self.agreement("ours", "theirs", "--partial"))
        self.assertEqual(run.out, "agreement partial information 1.0000 rand 1.0000 frames 4\n")
        self.assertEqual(self.read_json("result.json")["counts"]["utterances_of_one_side"], 3)

    def test_wrong_input(self):
        self.write_labels("ours", {"one": [1, 1, 2, 3]})
        self.write_labels("short", {"one": [1, 2]})
        self.write_labels("same", {"one": [2, 2, 2, 2]})
        self.fails(1, "utterance one has 4 frames, but 2 in short", *self.agreement("ours", "short"))
        self.fails(1, "all 4 frames have the same label", *self.agreement("same", "ours"))
        write_wav(self.folder / "a.wav", tone(0.5))
        self.succeeds("retort-extract", "--model", "mfcc", "a.wav", "-o", "feats")
        self.fails(1, "feats: holds features", *self.agreement("feats", "ours"))
        self.fails(2, "--reference is required", "retort-evaluate", "agreement", "--labels", "ours", "-o", "r.json")
        self.leaves_nothing("result.json")


class IntrinsicTest(ToolTest):
    """Utterances of three tones in turn, which are the phones."""

    PHONES = {"A": 250.0, "B": 900.0, "C": 2600.0}
    ORDERS = ("ABACA", "BCBAB", "CACBC", "ACABA")

    def setUp(self):
        super().setUp()
        lines, self.ctm = [], []
        for i in range(16):
            samples = []
            for place, phone in enumerate(self.ORDERS[i % 4]):
                samples += tone(0.12, self.PHONES[phone] * (1 + 0.01 * i))
                self.ctm.append(f"u{i} 1 {0.12 * place:.2f} 0.12 {phone}")
            write_wav(self.folder / "wav" / f"{i}.wav", samples)
            lines.append({"id": f"u{i}", "path": f"wav/{i}.wav", "start": 0, "rate": 16000, "channel": 0,
                          "samples": len(samples), "speaker": f"s{i // 8}"})
        self.write("corpus.jsonl", [json.dumps(line) for line in lines])
        self.write("phones.ctm", self.ctm)
        self.make_items("test.item")

    def write(self, name, lines):
        (self.folder / name).write_text("".join(line + "\n" for line in lines))

    def make_items(self, name, *more):
        done = subprocess.run([sys.executable, "-B", ROOT / "data" / "common" / "items.py", "--alignments", "phones.ctm",
                               "--corpus", "corpus.jsonl", "-o", name, *more], cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def task(self, task, *more, overwrite=True, threads=2):
        return ["retort-evaluate", task, "-o", "result.json", "--threads", threads, *(["--overwrite"] if overwrite else []),
                *more]

    def measure(self, *more, threads=2):
        return self.task("intrinsic", "--corpus", "corpus.jsonl", "--alignments", "phones.ctm", "--items", "test.item",
                         "-k", 6, *more, threads=threads)

    def test_the_whole_set_in_one_pass(self):
        run = self.succeeds(*self.measure("--model", MODEL, "--layer", "enc1,enc3", "--teacher", FIXTURES / "model" / "pre"))
        number = r"-?\d\.\d{4}"
        pattern = (rf"pnmi {number} phone_purity {number} cluster_purity {number} units_used \d phone_accuracy {number} "
                   rf"abx_within {number} abx_across {number}\n")
        self.assertRegex(run.out, rf"\Aintrinsic model enc1 {pattern}intrinsic model enc3 {pattern}"
                                  rf"intrinsic teacher final {pattern}"
                                  rf"intrinsic agreement enc1 teacher final information {number} rand {number}\n"
                                  rf"intrinsic agreement enc3 teacher final information {number} rand {number}\n"
                                  rf"(intrinsic similarity enc[123] teacher enc\d cka {number} cosine -\n){{3}}\Z")
        result = self.read_json("result.json")
        self.assertFalse(result["partial"])
        self.assertEqual(result["layers"]["model"], ["enc1", "enc2", "enc3"])
        self.assertEqual(result["counts"]["abx"]["items"], 48)
        self.assertEqual(result["counts"]["phones"]["phones"], 3)
        self.assertEqual(result["counts"]["phones"]["test_frames_of_unseen_phones"], 0)
        for layer in result["metrics"]["layers"]:
            self.assertTrue(layer["phone_probe"]["converged"])

    def test_a_model_is_like_itself(self):
        run = self.succeeds(*self.task("similarity", "--corpus", "corpus.jsonl", "--model", MODEL, "--teacher", MODEL,
                                       "--compare", "enc2", "--compare-teacher", "enc1,enc2"))
        self.assertEqual(run.out, "similarity enc2 teacher enc2 cka 1.0000 cosine 1.0000\n")

    def test_tones_are_told_apart_by_mfcc(self):
        run = self.succeeds(*self.measure("--model", "mfcc"))
        self.assertRegex(run.out, r"phone_accuracy (1\.0000|0\.9\d*) abx_within 0\.0\d* abx_across 0\.0")
        first = self.read_json("result.json")
        self.succeeds(*self.measure("--model", "mfcc", threads=1))
        second = self.read_json("result.json")
        for result in (first, second):
            del result["seconds"], result["seconds_by_part"]
        self.assertEqual(first, second)

    def test_stores_score_as_audio_does(self):
        self.succeeds("retort-extract", "--model", MODEL, "--layer", "enc2", "corpus.jsonl", "-o", "ours")
        audio = self.succeeds(*self.task("abx", "--corpus", "corpus.jsonl", "--model", MODEL, "--layer", "enc2", "--items",
                                         "test.item"))
        from_audio = self.read_json("result.json")
        stored = self.succeeds(*self.task("abx", "--features", "ours", "--items", "test.item"))
        self.assertEqual(stored.out, audio.out)
        self.assertEqual(self.read_json("result.json")["metrics"], from_audio["metrics"])
        self.assertEqual(self.read_json("result.json")["model"], from_audio["model"])
        again = self.succeeds(*self.task("abx", "--features", "ours", "--items", "test.item", overwrite=False))
        self.assertIn("nothing to do", again.err)
        self.assertEqual(again.out, stored.out)

    def test_items_of_any_context_can_be_thinned_out(self):
        self.make_items("phone.item", "--span", "phone")
        self.succeeds(*self.task("abx", "--corpus", "corpus.jsonl", "--model", "mfcc", "--items", "phone.item",
                                 "--context", "any"))
        self.assertEqual(self.read_json("result.json")["counts"]["abx"]["within"]["phone_pairs"], 6)
        self.succeeds(*self.task("abx", "--corpus", "corpus.jsonl", "--model", "mfcc", "--items", "phone.item",
                                 "--context", "any", "--most-items", 4))
        self.assertEqual(self.read_json("result.json")["counts"]["abx"]["items"], 4 * 2 * 3)

    def test_what_one_side_lacks_is_refused_or_marked(self):
        self.write("fewer.jsonl", (self.folder / "corpus.jsonl").read_text().splitlines()[:12])
        self.succeeds("retort-extract", "--model", "mfcc", "fewer.jsonl", "-o", "ours")
        self.succeeds("retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "theirs")
        compare = self.task("similarity", "--features", "ours", "--teacher-features", "theirs")
        self.fails(1, "theirs: 4 of its 16 utterances (the first is u12) are missing elsewhere", *compare)
        run = self.succeeds(*compare, "--partial")
        self.assertIn("similarity partial mfcc teacher mfcc cka 1.0000", run.out)
        abx = self.task("abx", "--corpus", "fewer.jsonl", "--model", "mfcc", "--items", "test.item")
        self.fails(1, "test.item: 12 items are of utterances that are not there (the first is u12)", *abx)
        self.succeeds(*abx, "--partial")
        self.assertTrue(self.read_json("result.json")["partial"])

    def test_wrong_input(self):
        self.write("phones.ctm", [line.replace("B", "A").replace("C", "A") for line in self.ctm])
        self.fails(1, "all 464 frames lie in the same phone", *self.measure("--model", "mfcc", "--hop", 320))
        self.write("phones.ctm", [line.replace("u", "x") for line in self.ctm])
        self.fails(1, "none of the 16 utterances is aligned", *self.measure("--model", "mfcc"))
        self.write("phones.ctm", self.ctm)
        self.fails(1, "test.item:1: names no column onset", *self.bad_items("#file #phone"))
        self.fails(1, "is no onset and offset", *self.bad_items(*self.items()[:1], "u0 0.2 0.1 A B C s"))
        self.fails(1, "an item of u0 ends at 7.00 s", *self.bad_items(*self.items(), "u0 0.2 7 A B C s0"))
        self.fails(1, "no two phones share a speaker and a context", *self.bad_items(*self.items()[:2]))
        self.fails(1, "none of its utterances (the first is x) is there",
                   *self.bad_items(*self.items()[:1], "x 0 0.1 A B C s"))
        self.leaves_nothing("result.json")

    def items(self):
        self.make_items("test.item")
        return (self.folder / "test.item").read_text().splitlines()

    def bad_items(self, *lines):
        self.write("test.item", lines)
        return self.task("abx", "--corpus", "corpus.jsonl", "--model", "mfcc", "--items", "test.item")

    def test_a_model_of_another_sample_rate_is_refused(self):
        model = self.folder / "model"
        shutil.copytree(MODEL, model)
        config = json.loads((model / "preprocessor_config.json").read_text())
        (model / "preprocessor_config.json").write_text(json.dumps({**config, "sampling_rate": 8000}))
        self.fails(1, "8000", *self.measure("--model", model))

    def test_wrong_usage(self):
        self.fails(2, "one of them says what to measure", *self.task("intrinsic", "--model", "mfcc", "--corpus", "c"))
        self.fails(2, "one of them says what is measured", *self.task("abx", "--items", "test.item"))
        self.fails(2, "--model needs the audio", *self.task("abx", "--items", "test.item", "--model", "mfcc"))
        self.fails(2, "--items is required", *self.task("abx", "--model", "mfcc", "--corpus", "corpus.jsonl"))
        self.fails(2, "is required", *self.task("similarity", "--model", "mfcc", "--corpus", "corpus.jsonl"))
        self.fails(2, "mfcc has none", *self.measure("--model", "mfcc", "--layer", "enc1"))
        self.fails(2, "enc9", *self.measure("--model", MODEL, "--layer", "enc9"))
        self.fails(2, "--clusters", *self.measure("--model", "mfcc", "-k", 1))
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
    def test_several_slots_and_folds(self):
        lines = [{**line, "size": "long" if i >= 30 else "short", "session": f"f{i // 2 % 3}"}
                 for i, line in enumerate(self.lines[:60])]
        self.write_corpus(lines)
        run = self.succeeds(*self.probe("--model", "mfcc", "--folds-by", "session", key="kind,size"))
        self.assertRegex(run.out, r"chance 0\.2500 classes 2,2 test 60\n\Z")
        result = self.read_json("probe.json")
        self.assertEqual(result["classes"], {"kind": ["high", "low"], "size": ["long", "short"]})
        self.assertEqual(sorted(result["folds"]), ["f0", "f1", "f2"])
        accuracies = [sum(fold["counts"]["test_correct"]) / 2 / fold["counts"]["test"] for fold in result["folds"].values()]
        self.assertAlmostEqual(result["metrics"]["accuracy"], sum(accuracies) / 3, places=9)
        again = self.succeeds("retort-evaluate", "rerun", "probe.json")
        self.assertTrue(again.out.startswith("rerun reproduced 4 metrics, greatest difference 0.0e+00: probe"), again.out)
        self.succeeds(*self.task("superb-style-er", "--label-key", "kind"))
        er = self.read_json("er.json")
        self.assertEqual((er["protocol"], sorted(er["folds"])), ("superb-style-er-1", ["f0", "f1", "f2"]))
        self.fails(1, "folds need two values", *self.probe("--model", "mfcc", "--folds-by", "one", "--overwrite"))
        self.fails(2, "exclude each other", *self.probe("--model", "mfcc", "--folds-by", "session", "--split-by", "speaker"))

    def task(self, protocol, *more):
        return ["retort-evaluate", "probe", "--protocol", protocol, "--model", "mfcc", "--corpus", "corpus.jsonl", "--threads", 1,
                "--epochs", 200, "--lr", 0.01, "-o", f"{protocol.split('-')[-1]}.json", *more]

    @needs_torch
    def test_given_splits(self):
        lines = [{**line, "split": ("train", "train", "dev", "test")[i // 2 % 4], "keyword": line["kind"], "voice": f"v{i // 2 % 4}"}
                 for i, line in enumerate(self.lines[:60])]
        self.write_corpus(lines)
        self.succeeds(*self.task("superb-style-ks"))
        result = self.read_json("ks.json")
        self.assertEqual([result["counts"][split] for split in ("train", "dev", "test")], [32, 14, 14])
        self.assertEqual(result["settings"]["optimiser"]["batch"], 32)
        self.assertEqual(result["metrics"]["accuracy"], 1)
        alone = [*self.task("superb-style-ks", "--overwrite"), "--set"]
        self.succeeds(*alone, 'splits.disjoint=["voice"]')
        self.fails(1, 'splits share 7 values of "speaker": s0 (train and test), s4', *alone, 'splits.disjoint=["speaker"]')
        self.fails(1, "its test split has hash 00", *alone, "splits.hashes.test=00")
        self.fails(1, "splits.kind should be hashed or given", *alone, "splits.kind=odd")

    @needs_torch
    def test_stores_score_as_audio_does(self):
        self.succeeds("retort-extract", "--model", MODEL, "--layer", "enc1,enc2", "corpus.jsonl", "-o", "feats")
        audio = self.succeeds(*self.probe("--model", MODEL, "--layer", "enc1,enc2"))
        stored = ["retort-evaluate", "probe", "--corpus", "corpus.jsonl", "--label-key", "kind", "--epochs", 30, "--seeds", 2,
                  "-o", "stored.json", "--threads", 1, "--features", "feats/enc1", "feats/enc2"]
        run = self.succeeds(*stored)
        self.assertEqual(run.out, audio.out)
        one, other = self.read_json("probe.json"), self.read_json("stored.json")
        for key in ("model", "layers", "metrics", "splits", "layer_weights"):
            self.assertEqual(one[key], other[key])
        self.assertEqual(len(other["inputs"]["features"]), 2)
        again = self.succeeds("retort-evaluate", "rerun", "stored.json")
        self.assertIn("greatest difference 0.0e+00", again.out)
        self.fails(2, "was made of feature stores", "retort-evaluate", "rerun", "stored.json", "--model", MODEL)
        self.fails(2, "one of them says", *stored, "--model", "mfcc")
        self.fails(2, "--layer: goes with --model", *stored, "--layer", "enc1")
        self.write_corpus([*self.lines, {**self.lines[0], "id": "other", "path": "wav/none.wav"}])
        self.fails(1, "more than --max-bad", *stored, "--overwrite")
        more = self.succeeds(*stored, "--overwrite", "--max-bad", 0.1)
        self.assertIn("other: has no features in feats/enc1", more.err)

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
        self.fails(1, "has no \"nothing\" in its corpus line", *self.probe("--model", "mfcc", "--split-by", "nothing"))
        self.fails(1, "none", *self.probe("--model", "none"))
        self.fails(2, "enc9", *self.probe("--model", MODEL, "--layer", "enc9"))
        self.write_corpus(self.lines[:3])
        self.fails(1, "too few to be split", *self.probe("--model", "mfcc"))
        self.write_corpus([])
        self.fails(1, "corpus.jsonl", *self.probe("--model", "mfcc"))
        self.leaves_nothing("probe.json")

    def test_wrong_usage(self):
        self.fails(2, "--model is required", *self.probe())
        self.fails(2, "--label-key is required", "retort-evaluate", "probe", "--model", "mfcc", "--corpus", "corpus.jsonl", "-o", "x.json")
        self.fails(2, "--probe", *self.probe("--model", "mfcc", "--probe", "deep"))
        self.fails(2, "--seeds", *self.probe("--model", "mfcc", seeds=0))
        self.fails(2, "--labels", *self.probe("--model", "mfcc", "--labels", "labels"))


class CtcTest(ToolTest):
    """Tunes of two tones, each a phone, so that a linear probe on MFCC can write them."""

    def setUp(self):
        super().setUp()
        self.lines = []
        for i in range(80):
            tune = [("LOW", "HIGH")[(i >> bit) & 1] for bit in range(2 + i % 2)]
            samples = []
            for note in tune:
                samples += tone(0.12, 300 if note == "LOW" else 2000) + [0.0] * 1600
            write_wav(self.folder / "wav" / f"{i}.wav", samples)
            self.lines.append({"id": f"u{i}", "path": f"wav/{i}.wav", "start": 0, "rate": 16000, "channel": 0,
                               "samples": len(samples), "phones": " ".join(tune), "speaker": f"s{i % 9}"})
        self.write_corpus(self.lines)

    def write_corpus(self, lines):
        (self.folder / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def ctc(self, *more, model="mfcc", steps=120):
        return ["retort-evaluate", "ctc", "--protocol", "asterisk-pr", "--set", "data.target=phones", "--set",
                f"optimiser.steps={steps}", "--set", "sweep.lr=[0.03,0.1]", "--set", "seeds=2", "--model", model,
                "--corpus", "corpus.jsonl", "-o", "ctc.json", "--threads", 1, *more]

    @needs_torch
    def test_phones_are_recognised_and_a_rerun_reproduces_it(self):
        run = self.succeeds(*self.ctc())
        result = self.read_json("ctc.json")
        self.assertRegex(run.out, r"\Actc per 0\.\d{4} deviation 0\.\d{4} per_beam 0\.\d{4} deviation 0\.\d{4} test \d+\n\Z")
        self.assertLess(result["metrics"]["per"], 0.2)
        self.assertEqual((result["task"], result["protocol"]), ("ctc", "asterisk-pr-1"))
        self.assertEqual(result["settings"]["optimiser"]["steps"], 120)
        self.assertEqual(result["counts"]["classes"], 3)
        self.assertEqual([tried["lr"] for tried in result["lr_sweep"]], [0.03, 0.1])
        first = result["counts"]["by_seed"][0]
        self.assertEqual(first["decoder"], "greedy")
        self.assertEqual(result["repeat"]["corpus"], "corpus.jsonl")
        self.assertNotIn(str(self.folder), (self.folder / "ctc.json").read_text())
        self.assertIn("nothing to do", self.succeeds(*self.ctc()).err)
        self.fails(1, "another job (settings optimiser steps", *self.ctc(steps=60))

        again = self.succeeds("retort-evaluate", "rerun", "ctc.json", "-o", "again.json")
        self.assertTrue(again.out.startswith("rerun reproduced 4 metrics, greatest difference 0.0e+00: ctc per"), again.out)
        self.assertEqual(self.read_json("again.json")["metrics"], result["metrics"])
        result["metrics"]["per"] += 0.01
        (self.folder / "ctc.json").write_text(json.dumps(result))
        self.fails(1, "was not reproduced: per was", "retort-evaluate", "rerun", "ctc.json")
        self.write_corpus(self.lines[1:])
        self.fails(1, "cannot be repeated with these inputs: inputs corpus", "retort-evaluate", "rerun", "ctc.json")
        (self.folder / "units.json").write_text('{"task": "units"}')
        self.fails(1, "units.json: is no result of a trained task", "retort-evaluate", "rerun", "units.json")

    @needs_torch
    def test_wrong_input(self):
        short = ["--set", "sweep.lr=[0.1]", "--set", "seeds=1"]
        self.fails(1, 'none of its 80 utterances has a text (key "text")', *self.ctc("--set", "data.target=text"))
        self.fails(2, "--alignments: protocol asterisk-pr-1 takes phones from there",
                   *self.ctc("--set", "data.target=alignments"))
        leaking = [{**line, "split": "test" if i % 5 == 0 else "dev" if i % 5 == 1 else "train"}
                   for i, line in enumerate(self.lines)]
        self.write_corpus(leaking)
        given = [*short, "--set", "splits.kind=given", "--set", "splits.key=split"]
        self.fails(1, 'splits share 9 values of "speaker": ',
                   *self.ctc(*given, "--set", 'splits.disjoint=["speaker"]'))
        unknown = [{**line, "phones": "LOW BEEP"} if line["split"] == "test" else line for line in leaking]
        self.write_corpus(unknown)
        self.fails(1, '"BEEP" is in its text, but not among the 2 tokens', *self.ctc(*given))
        self.write_corpus([{**line, "split": "train"} for line in leaking])
        self.fails(1, "too few to be split (80 train, 0 dev, 0 test)", *self.ctc(*given))
        self.leaves_nothing("ctc.json")

    def test_wrong_usage(self):
        self.fails(2, "--model is required", "retort-evaluate", "ctc", "--protocol", "asterisk-pr", "--corpus", "c", "-o", "r")
        if WITH_TORCH:
            self.fails(2, "no such protocol (built in: ", "retort-evaluate", "ctc", "--protocol", "superb", "--model",
                       "mfcc", "--corpus", "corpus.jsonl", "-o", "ctc.json")
            self.fails(2, "no value called probe.depth", *self.ctc("--set", "probe.depth=3"))
            self.fails(1, "metric.name per for phones", *self.ctc("--set", "metric.name=wer"))


class SpokenTasksTest(ToolTest):
    """asv, sd and qbe, on tones: a voice is a pitch, a word too."""

    def corpus(self, name, lines):
        (self.folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))

    def say(self, name, pieces, **known):
        """Writes (pitch, seconds) one after the other; pitch 0 is silence."""
        samples = []
        for pitch, seconds in pieces:
            samples += tone(seconds, pitch) if pitch else [0.0] * int(16000 * seconds)
        write_wav(self.folder / "wav" / f"{name}.wav", samples)
        return {"id": name, "path": f"wav/{name}.wav", "start": 0, "rate": 16000, "channel": 0, "samples": len(samples), **known}

    def task(self, task, *more, protocol=None):
        return ["retort-evaluate", task, "--protocol", protocol or f"asterisk-{task}", "--model", "mfcc", "--corpus",
                "corpus.jsonl", "-o", f"{task}.json", "--threads", 1, *more]

    SHORT = ["--set", "optimiser.steps=40", "--set", "optimiser.dev_every=20", "--set", "sweep.lr=[0.01]", "--set", "seeds=1"]

    @needs_torch
    def test_speakers_are_verified(self):
        pitches = (200, 900, 2500)
        lines = [self.say(f"u{i}", [(pitches[i % 3] + i, 0.3 + 0.01 * (i % 7))], speaker=f"s{i % 3}") for i in range(90)]
        self.corpus("corpus.jsonl", [*lines, {**lines[0], "id": "nobody", "speaker": None}][:90])
        run = self.succeeds(*self.task("asv", *self.SHORT))
        self.assertRegex(run.out, r"\Aasv eer 0\.\d{4} deviation 0\.0000 min_dcf \d\.\d{4} deviation 0\.0000 test \d+\n\Z")
        result = self.read_json("asv.json")
        self.assertLess(result["metrics"]["eer"], 0.15)
        counts = result["counts"]
        self.assertEqual(counts["training_speakers"], 3)
        self.assertEqual(counts["target_trials"] + counts["other_trials"], counts["test"] * (counts["test"] - 1) // 2)
        again = self.succeeds("retort-evaluate", "rerun", "asv.json")
        self.assertIn("greatest difference 0.0e+00", again.out)
        listed = [*self.SHORT, "--set", "data.trials=file", "--overwrite"]
        self.fails(2, "--trials: protocol asterisk-asv-1 takes pairs from there", *self.task("asv", *listed))
        (self.folder / "trials").write_text("1 u0 nobody\n")
        self.fails(1, "is not in the test split", *self.task("asv", *listed, "--trials", "trials"))
        self.corpus("corpus.jsonl", [{**line, "speaker": "s0"} for line in lines])
        self.fails(1, "its training split is of one speaker (s0)", *self.task("asv", *self.SHORT, "--overwrite"))
        self.fails(1, 'has a "voice"', *self.task("asv", *self.SHORT, "--set", "data.target=voice", "--overwrite"))

    @needs_torch
    def test_turns_are_found(self):
        lines, rttm = [], []
        for i in range(30):
            split = "train" if i < 20 else "dev" if i < 25 else "test"
            first, second = 0.4 + 0.02 * (i % 5), 0.5
            lines.append(self.say(f"m{i}", [(250, first), (2000, second), (0, 0.2), (250, 0.3)], split=split))
            for begin, seconds, voice in ((0, first, "a"), (first, second, "b"), (first + second + 0.2, 0.3, "a")):
                rttm.append(f"SPEAKER m{i} 1 {begin:.3f} {seconds:.3f} <NA> <NA> {voice} <NA> <NA>\n")
        self.corpus("corpus.jsonl", lines)
        (self.folder / "turns").write_text("".join(rttm))
        short = [*self.SHORT, "--set", "optimiser.steps=120", "--rttm", "turns"]
        run = self.succeeds(*self.task("sd", *short))
        self.assertRegex(run.out, r"\Asd der 0\.\d{4} deviation 0\.0000 test 5\n\Z")
        result = self.read_json("sd.json")
        metrics = result["metrics"]
        self.assertLess(metrics["der"], 0.25)
        self.assertAlmostEqual(metrics["der"], metrics["missed"] + metrics["false_alarm"] + metrics["confusion"], places=9)
        self.fails(2, "--rttm is required", *self.task("sd", *self.SHORT, "--overwrite"))
        self.fails(1, "m0: 2 speakers, but the protocol's data.voices is 1",
                   *self.task("sd", *short, "--set", "data.voices=1", "--overwrite"))
        self.fails(1, "metric.median should be an odd number",
                   *self.task("sd", *short, "--set", "metric.median=4", "--overwrite"))
        self.corpus("corpus.jsonl", [{**line, "id": "x" + line["id"]} for line in lines])
        self.fails(1, "none of its 30 utterances is in turns", *self.task("sd", *short, "--overwrite"))

    def test_queries_are_found(self):
        words = {f"w{i}": [(300 + 450 * i, 0.15), (1000 + 230 * i, 0.1)] for i in range(8)}
        names = list(words)
        documents = [self.say(f"d{i}", [piece for k in range(3) for piece in words[names[(i + k * k) % 8]]],
                              text=" ".join(names[(i + k * k) % 8] for k in range(3))) for i in range(16)]
        queries = [self.say(f"q{name}", words[name], text=f"{name.upper()}.") for name in names]
        self.corpus("corpus.jsonl", documents)
        self.corpus("queries.jsonl", queries)
        run = self.succeeds(*self.task("qbe", "--queries", "queries.jsonl"))
        self.assertRegex(run.out, r"\Aqbe mtwv [01]\.\d{4} layer mfcc test \d\n\Z")
        result = self.read_json("qbe.json")
        self.assertGreater(result["metrics"]["mtwv"], 0.5)
        self.assertEqual(result["counts"]["dev"] + result["counts"]["test"] + result["counts"]["test_without_document"], 8)
        self.assertNotIn("optimiser", result["settings"])
        self.assertIn("rerun reproduced 1 metrics", self.succeeds("retort-evaluate", "rerun", "qbe.json").out)

        self.corpus("queries.jsonl", [{**q, "split": ("dev", "test")[i % 2], "documents": ["d0"]} for i, q in enumerate(queries)])
        listed = ["--queries", "queries.jsonl", "--overwrite"]
        self.succeeds(*self.task("qbe", *listed, protocol="superb-style-qbe"))
        self.corpus("queries.jsonl", [{**q, "split": "dev", "documents": ["d99"]} for q in queries])
        self.fails(1, 'qw0: occurs in "d99", which the corpus lacks', *self.task("qbe", *listed, protocol="superb-style-qbe"))
        self.fails(2, "--queries is required", *self.task("qbe", "--overwrite"))
        self.fails(2, "is of task ctc, not qbe", *self.task("qbe", *listed, protocol="asterisk-pr"))


class ScoreTest(ToolTest):
    def write(self, name, *lines):
        (self.folder / name).write_text("".join(line + "\n" for line in lines))

    def score(self, metric, *more):
        return ["retort-evaluate", "score", "--metric", metric, "--references", "ref", "--hypotheses", "hyp", "-o",
                "score.json", *more]

    def test_texts(self):
        self.write("ref", "a the cat sat", "b on", "c")
        self.write("hyp", "a the cut sat down", "b on", "c")
        self.assertEqual(self.succeeds(*self.score("wer")).out, "score wer 0.5000\n")
        result = self.read_json("score.json")
        self.assertFalse(result["partial"])
        self.assertEqual(result["counts"], {
            "reference_tokens": 4, "substitutions": 1, "deletions": 0, "insertions": 1, "utterances": 3,
            "wrong_utterances": 1, "empty_references": 1, "missing": 0, "extra": 0})
        self.assertEqual(self.succeeds(*self.score("cer", "--overwrite")).out, "score cer 0.4615\n")

    def test_ids_of_one_side_alone(self):
        self.write("ref", "a one", "b two")
        self.write("hyp", "b two", "c three")
        self.fails(1, "hyp: 1 references without hypothesis (first: a), 1 hypotheses without reference (first: c)",
                   *self.score("wer"))
        self.leaves_nothing("score.json")
        run = self.succeeds(*self.score("wer", "--partial"))
        self.assertEqual(run.out, "score wer 0.0000 PARTIAL missing 1 extra 1\n")
        self.assertTrue(self.read_json("score.json")["partial"])
        self.write("hyp", "d four")
        self.fails(1, "none of the 2 references has a hypothesis", *self.score("wer", "--partial", "--overwrite"))

    def test_slots(self):
        self.write("ref", "a play B-song hey jude E-song", "b B-city rome E-city")
        self.write("hyp", "a play B-song hey june E-song", "b rome")
        self.assertEqual(self.succeeds(*self.score("slots")).out, "score slot_type_f1 0.5000 slot_value_cer 0.4167\n")
        self.write("ref", "a play", "b rome")
        self.fails(1, "none of 2 references has a slot", *self.score("slots", "--overwrite"))

    def test_turns(self):
        self.write("ref", "SPEAKER r 1 0 2 <NA> <NA> anna <NA> <NA>", "SPEAKER r 1 1.5 2.5 <NA> <NA> bob <NA> <NA>")
        self.write("hyp", "SPEAKER r 1 0 2 <NA> <NA> 1 <NA> <NA>", "SPEAKER r 1 2 2 <NA> <NA> 2 <NA> <NA>")
        self.assertEqual(self.succeeds(*self.score("der")).out, f"score der {0.5 / 4.5:.4f}\n")
        self.assertEqual(self.succeeds(*self.score("der", "--skip-overlap", "--overwrite")).out, "score der 0.0000\n")
        # 0.25 s at each side of 0, 1.5, 2 and 4 s are left out, so that nothing is left of the overlap.
        self.assertEqual(self.succeeds(*self.score("der", "--collar", 0.25, "--overwrite")).out, "score der 0.0000\n")

    def test_trials(self):
        self.write("ref", "1 a b", "0 a c", "0 b c", "c d target")
        self.write("hyp", "a b 0.9", "a c 0.1", "b c 0.5", "c d 0.3")
        self.assertEqual(self.succeeds(*self.score("eer")).out, "score eer 0.5000 min_dcf 0.5000\n")
        self.write("hyp", "a b 0.9", "a c high", "b c 0.5", "c d 0.3")
        self.fails(1, "hyp:2: high is no score", *self.score("eer", "--overwrite"))
        self.write("ref", "1 a b", "1 a c", "1 b c", "1 c d")
        self.write("hyp", "a b 0.9", "a c 0.1", "b c 0.5", "c d 0.3")
        self.fails(1, "4 target and 0 other trials", *self.score("eer", "--overwrite"))

    def test_wrong_input_and_usage(self):
        self.fails(1, "ref", *self.score("wer"))
        self.fails(2, "--metric", *self.score("bleu"))
        self.write("ref", "a", "b")
        self.write("hyp", "a one", "b")
        self.fails(1, "all 2 references are empty", *self.score("wer"))
        self.leaves_nothing("score.json")


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
            self.assertEqual([row["threads"] for row in row["latency_of_1_s"]], [1, 2])
            self.assertGreater(row["peak_memory_bytes"]["f32"], 1 << 20)
        # The first block of the conv stack, by hand: 16 kernels of 10 samples at floor((16000 - 10) / 5) + 1 places.
        self.assertGreater(result["metrics"][0]["macs_per_second"]["by_component"]["conv"], 3199 * 16 * 10)
        self.assertNotIn(str(FIXTURES), (self.folder / "profile.json").read_text())

    def test_precisions_are_rows_of_their_own(self):
        run = self.succeeds(*self.profile("--model", MODEL, "--precision", "f32", "int8", "--threads", 1))
        self.assertEqual([line.split()[:2] for line in run.out.splitlines()[1:]], [["post", "f32"], ["post", "int8"]])
        (row,) = self.read_json("profile.json")["metrics"]
        self.assertEqual([(speed["precision"], speed["batch"]) for speed in row["speed"]],
                         [("f32", 1), ("f32", 8), ("int8", 1), ("int8", 8)])
        self.assertEqual(sorted(row["peak_memory_bytes"]), ["f32", "int8"])

    def test_wrong_input_and_usage(self):
        self.fails(2, "--precision", *self.profile("--model", MODEL, "--precision", "f8"))
        self.fails(1, "none", *self.profile("--model", "none"))
        self.fails(2, "--model is required", *self.profile())
        self.fails(2, "--seconds", *self.profile("--model", MODEL, seconds=0))
        self.leaves_nothing("profile.json")
