"""Golden runs of retort-distill: training, resuming after SIGKILL and SIGTERM, and every refusal."""

import json
import os
import random
import shutil
import signal
import subprocess
import time

from harness import BIN, FIXTURES, ToolTest, needs_torch, tone, write_wav
from small_models import read_tensors

SMALL = ["student.conv_channels=[8,8,8,8,8,8,8]", "student.hidden=16", "student.layers=2", "student.heads=2",
         "student.ffn=32", "student.pos_kernel=8", "student.pos_groups=2", "student.final_dim=8", "batch.seconds=4",
         "batch.micro_seconds=2", "batch.min_seconds=1", "batch.max_seconds=2", "schedule.warmup_steps=4",
         "optimizer.lr=0.002", "report_every=5", "checkpoint_every=10", "loss.unmasked=1"]


def overrides(values):
    return [word for value in values for word in ("--set", value)]


class TonesTest(ToolTest):
    """A corpus of eight tones."""

    def setUp(self):
        super().setUp()
        for i in range(8):
            write_wav(self.folder / "wav" / f"u{i}.wav", tone(1.2 + 0.3 * i, 150 + 60 * i))
        self.succeeds("retort-prepare", "wav", "-o", "corpus.jsonl")

    def make_labels(self, name, clusters, corpus="corpus.jsonl", model="mfcc"):
        self.succeeds("retort-cluster", "-k", clusters, "--model", model, corpus, "-o", f"{name}-codebook")
        self.succeeds("retort-label", "--codebook", f"{name}-codebook", "--model", model, corpus, "-o", name)


@needs_torch
class DistillTest(TonesTest):
    def setUp(self):
        super().setUp()
        self.make_labels("labels", 6)

    def command(self, run, *more, recipe="hubert", labels="labels", steps=25, values=()):
        return ["retort-distill", "--recipe", recipe, "--labels", labels, "corpus.jsonl", "-o", run, "--steps", steps,
                "--threads", 1, *overrides([*SMALL, *values]), *more]

    def train(self, run, *more, **options):
        return self.succeeds(*self.command(run, *more, **options))

    def test_trains_and_writes_a_run(self):
        self.train("run")
        log = [json.loads(line) for line in (self.folder / "run/log.jsonl").read_text().splitlines()]
        self.assertEqual([line["step"] for line in log], [5, 10, 15, 20, 25])
        for line in log:
            self.assertGreater(line["masked"]["frames"], 0)
            self.assertGreater(line["unmasked"]["frames"], 0)
            self.assertLessEqual(line["prediction_perplexity"], 6)
        self.assertLess(log[-1]["masked"]["loss"], log[0]["masked"]["loss"])
        config = self.read_json("run/config.json")
        self.assertEqual(config["recipe"]["student"]["hidden"], 16)
        self.assertEqual(config["labels"]["clusters"], 6)
        model = json.loads(self.succeeds("retort-inspect", "--json", "run/student").out)
        self.assertEqual((model["hidden"], model["layers"], model["classes"]), (16, 2, 6))
        self.assertIn("nothing to do", self.train("run").err)

    def test_same_seed_same_student_other_seed_another(self):
        self.train("a", "--seed", 3)
        self.train("b", "--seed", 3)
        self.train("c", "--seed", 4)
        self.assertEqual(self.bytes_of("a/student"), self.bytes_of("b/student"))
        self.assertNotEqual(self.bytes_of("a/student")["model.safetensors"],
                            self.bytes_of("c/student")["model.safetensors"])

    def interrupted(self, run, number, steps):
        """Starts training, sends the signal after the first checkpoint, and returns the exit code."""
        command = self.command(run, steps=steps)
        process = subprocess.Popen([str(BIN / command[0]), *map(str, command[1:])], cwd=self.folder,
                                   stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 120
        while not list((self.folder / run / "checkpoints").glob("step-*/state.safetensors")):
            self.assertLess(time.monotonic(), deadline, "no checkpoint came")
            self.assertIsNone(process.poll(), "training ended before its first checkpoint")
            time.sleep(0.002)
        os.kill(process.pid, number)
        process.communicate()
        return process.returncode

    def check_resumed(self, number, code):
        steps = 200
        self.train("whole", steps=steps)
        self.assertEqual(self.interrupted("broken", number, steps), code)
        self.assertFalse((self.folder / "broken/student/config.json").exists())
        self.assertIn("going on from update", self.train("broken", steps=steps).err)
        self.assertEqual(self.bytes_of("whole/student"), self.bytes_of("broken/student"))
        log = [json.loads(line)["step"] for line in (self.folder / "broken/log.jsonl").read_text().splitlines()]
        self.assertEqual(log, sorted(set(log)))

    def test_killed_and_resumed_is_as_unbroken(self):
        self.check_resumed(signal.SIGKILL, -signal.SIGKILL)

    def test_stopped_and_resumed_is_as_unbroken(self):
        self.check_resumed(signal.SIGTERM, 128 + signal.SIGTERM)

    def test_killed_twenty_times_is_as_unbroken(self):
        steps, kills, chance = 1200, 20, random.Random(20)
        self.train("whole", steps=steps)
        command = self.command("broken", steps=steps)
        for _ in range(kills):
            process = subprocess.Popen([str(BIN / command[0]), *map(str, command[1:])], cwd=self.folder,
                                       stderr=subprocess.DEVNULL)
            wanted = self.newest_checkpoint("broken") + 10 * chance.randint(1, 2)
            deadline = time.monotonic() + 120
            while self.newest_checkpoint("broken") < wanted:
                self.assertLess(time.monotonic(), deadline, "no checkpoint came")
                self.assertIsNone(process.poll(), "training ended before it was killed")
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.03))
            process.kill()
            self.assertEqual(process.wait(), -signal.SIGKILL)
        self.assertIn("going on from update", self.train("broken", steps=steps).err)
        self.assertEqual(self.bytes_of("whole/student"), self.bytes_of("broken/student"))

    def newest_checkpoint(self, run):
        found = (self.folder / run / "checkpoints").glob("step-*/state.safetensors")
        return max((int(file.parent.name.removeprefix("step-")) for file in found), default=0)

    def test_bf16_learns_what_f32_learns(self):
        last = {}
        for precision in ["f32", "bf16"]:
            self.train(precision, values=[f"precision={precision}"])
            last[precision] = json.loads((self.folder / precision / "log.jsonl").read_text().splitlines()[-1])["loss"]
        self.assertNotEqual(last["f32"], last["bf16"])
        self.assertAlmostEqual(last["f32"], last["bf16"], delta=0.02 * last["f32"])

    def test_no_steps_gives_the_initial_model(self):
        self.train("zero", steps=0)
        self.assertTrue((self.folder / "zero/student/model.safetensors").exists())
        self.assertFalse((self.folder / "zero/log.jsonl").exists())

    def test_dicehubert_on_a_teachers_layer(self):
        self.train("teacher")
        model = "teacher/student"
        self.succeeds("retort-cluster", "-k", 5, "--model", model, "--layer", "enc2", "corpus.jsonl", "-o", "codebook")
        self.succeeds("retort-label", "--codebook", "codebook", "--model", model, "corpus.jsonl", "-o", "units")
        self.train("student", "--teacher", model, recipe="dicehubert", labels="units", values=["label_layer=enc2"])
        self.train("warm", "--init-from", "student/student", recipe="dicehubert", labels="units")
        self.fails(1, "--teacher student/student", *self.command("x", "--teacher", "student/student", labels="units"))
        self.fails(1, "the recipe wants enc1", *self.command("x", labels="units", values=["label_layer=enc1"]))
        self.leaves_nothing("x")

    def test_another_configuration_is_refused(self):
        self.train("run")
        self.fails(1, "steps 25 against 26", *self.command("run", steps=26))
        self.make_labels("others", 5)
        self.fails(1, "labels", *self.command("run", labels="others"))
        self.succeeds(*self.command("run", "--overwrite", steps=26))

    def test_labels_of_another_corpus(self):
        write_wav(self.folder / "more" / "v.wav", tone(2))
        self.succeeds("retort-prepare", "more", "-o", "more.jsonl")
        self.make_labels("foreign", 3, corpus="more.jsonl")
        self.fails(1, "u0: the labels have no such utterance", *self.command("x", labels="foreign"))
        write_wav(self.folder / "wav" / "u0.wav", tone(1.0))
        self.succeeds("retort-prepare", "wav", "-o", "corpus.jsonl", "--overwrite")
        self.fails(1, "u0: labels are for 19200 samples", *self.command("x"))
        self.leaves_nothing("x")

    def test_a_shard_of_the_labels_is_missing(self):
        self.succeeds("retort-label", "--codebook", "labels-codebook", "--model", "mfcc", "corpus.jsonl", "-o", "half",
                      "--shard", "0/2")
        self.fails(1, "part 1 of 2 is missing", *self.command("x", labels="half"))
        self.leaves_nothing("x")

    def test_labels_without_repetition_and_features_are_no_targets(self):
        self.succeeds("retort-label", "--codebook", "labels-codebook", "--model", "mfcc", "corpus.jsonl", "-o", "short",
                      "--dedup")
        self.fails(1, "--dedup", *self.command("x", labels="short"))
        self.succeeds("retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "feats")
        self.fails(1, "feats: it holds features", *self.command("x", labels="feats"))

    def test_a_full_disk_leaves_no_student_and_a_run_that_goes_on(self):
        self.fails_on_a_full_disk(4096, "x/", *self.command("x"))
        self.leaves_nothing("x/student")
        self.train("x")
        self.train("whole")
        self.assertEqual(self.bytes_of("x/student"), self.bytes_of("whole/student"))

    def test_wrong_usage(self):
        self.fails(2, "no such recipe", *self.command("x", recipe="hubrt"))
        self.fails(2, "no value called student.hiden", *self.command("x", values=["student.hiden=3"]))
        self.fails(2, "cannot replace it", *self.command("x", values=["student.hidden=wide"]))
        self.fails(2, "--labels is missing", "retort-distill", "--recipe", "hubert", "corpus.jsonl", "-o", "x")
        self.fails(1, "no multiple of heads", *self.command("x", values=["student.heads=3"]))
        self.fails(1, "no such corpus file", "retort-distill", "--recipe", "hubert", "--labels", "labels", "none.jsonl", "-o", "x")
        self.fails(1, "no utterance is left", *self.command("x", values=["batch.min_seconds=60", "batch.max_seconds=60"]))
        self.leaves_nothing("x")

    def test_print_config_shows_every_value(self):
        result = self.succeeds("retort-distill", "--recipe", "dicehubert", "--set", "student.hidden=192", "--print-config")
        values = json.loads(result.out)["recipe_values"]
        self.assertEqual(values["student"]["hidden"], 192)
        self.assertEqual(values["optimizer"]["beta2"], 0.98)
        self.assertIn("arXiv 2507.02911", values["paper"])


SMALL_BATCHES = ["batch.seconds=8", "batch.micro_seconds=6", "batch.min_seconds=1", "batch.max_seconds=4",
                 "schedule.warmup_steps=4", "optimizer.lr=0.002", "report_every=5", "checkpoint_every=10",
                 "validate_every=10"]
SMALL_TRANSFORMER = ["student.conv_channels=[8,8,8,8,8,8,8]", "student.hidden=16", "student.heads=2", "student.ffn=32",
                     "student.pos_kernel=8", "student.pos_groups=2"]
METHODS = {
    "distilhubert": [*SMALL_TRANSFORMER, "student.predicted_layers=[1,2]"],
    "fithubert": [*SMALL_TRANSFORMER, "student.conv_channels=[8,8,8,8,8,8,8,8,8]", "student.layers=2",
                  "student.predicted_layers=[1,2]"],
    "armhubert": [*SMALL_TRANSFORMER, "student.conv_channels=[8,8,8,8,8,8,16,16,16]", "student.layers=2",
                  "student.predicted_layers=[1,2]"],
    "dkd-lstm": ["student.conv_channels=[8,8,8,8,8,8,8]", "student.layers=2", "student.lstm_hidden=12"],
    "dkd-lstm-streaming": ["student.conv_channels=[8,8,8,8,8,8,8]", "student.layers=2", "student.lstm_hidden=12"],
}


@needs_torch
class MethodsTest(TonesTest):
    """Recipes that learn from the teacher itself, which is a small HuBERT trained on MFCC labels."""

    def setUp(self):
        super().setUp()
        self.make_labels("mfcc-labels", 6)
        self.succeeds("retort-distill", "--recipe", "hubert", "--labels", "mfcc-labels", "corpus.jsonl", "-o", "teacher",
                      "--steps", 10, "--threads", 1, *overrides(SMALL))
        self.teacher = "teacher/student"

    def command(self, recipe, run, *more, steps=25, values=()):
        return ["retort-distill", "--recipe", recipe, "--teacher", self.teacher, "corpus.jsonl", "-o", run,
                "--steps", steps, "--threads", 1, *overrides([*METHODS[recipe], *SMALL_BATCHES, *values]), *more]

    def log(self, run):
        return [json.loads(line) for line in (self.folder / run / "log.jsonl").read_text().splitlines()]

    def make_codebook(self, *more):
        self.succeeds("retort-cluster", "-k", 5, "--model", self.teacher, "--layer", "enc2", "corpus.jsonl",
                      "-o", "codebook", *more)
        self.succeeds("retort-label", "--codebook", "codebook", "--model", self.teacher, "corpus.jsonl", "-o", "units")

    def test_each_learns_and_its_student_is_a_model(self):
        for recipe, terms in [("distilhubert", ["l1", "cosine"]), ("fithubert", ["squared"]),
                              ("armhubert", ["squared"]),
                              ("dkd-lstm", ["cross_entropy", "target_class", "other_classes", "accuracy"]),
                              ("dkd-lstm-streaming", ["cross_entropy", "agreement"])]:
            with self.subTest(recipe):
                self.succeeds(*self.command(recipe, recipe, steps=60))
                log = self.log(recipe)
                self.assertLess(log[-1]["loss"], log[0]["loss"])
                self.assertGreater(log[0]["pad_share"], 0)
                for term in terms:
                    self.assertIn(term, log[0])
                student = f"{recipe}/student"
                self.succeeds("retort-inspect", "--check", student)
                self.succeeds("retort-extract", "--model", student, "--layer", "all", "corpus.jsonl", "-o", f"{recipe}/f")

    def test_validation_is_reported_and_repeated_by_validate_only(self):
        for recipe in ["distilhubert", "fithubert", "armhubert", "dkd-lstm"]:
            with self.subTest(recipe):
                self.succeeds(*self.command(recipe, recipe, "--validation", "corpus.jsonl", steps=20))
                reported = [line["validation"] for line in self.log(recipe) if "validation" in line]
                self.assertEqual(len(reported), 2)
                measured = json.loads(self.succeeds(*self.command(
                    recipe, "unused", "--init-from", f"{recipe}/student", "--validate-only")).out)
                self.assertEqual(set(measured), set(reported[-1]))
                for term in set(measured) - {"spread"}:
                    if isinstance(measured[term], float):
                        self.assertAlmostEqual(measured[term], reported[-1][term], delta=1e-4 * abs(measured[term]))
                best = min(range(2), key=lambda i: reported[i]["loss"])
                made = self.read_json(f"{recipe}/best/retort.json")["provenance"]
                self.assertEqual(made["steps"], [10, 20][best])
                self.leaves_nothing("unused")

    def test_resumed_is_as_unbroken(self):
        for recipe in ["distilhubert", "dkd-lstm"]:
            with self.subTest(recipe):
                self.succeeds(*self.command(recipe, "whole", "--overwrite", "--validation", "corpus.jsonl", steps=40))
                command = self.command(recipe, "broken", "--validation", "corpus.jsonl", steps=40)
                process = subprocess.Popen([str(BIN / command[0]), *map(str, command[1:])], cwd=self.folder,
                                           stderr=subprocess.DEVNULL)
                while not list((self.folder / "broken/checkpoints").glob("step-*/state.safetensors")):
                    self.assertIsNone(process.poll())
                    time.sleep(0.01)
                os.kill(process.pid, signal.SIGUSR1)
                self.assertEqual(process.wait(), 128 + signal.SIGUSR1)
                self.succeeds(*command)
                for folder in ["student", "best"]:
                    self.assertEqual(self.bytes_of(f"whole/{folder}"), self.bytes_of(f"broken/{folder}"))
                shutil.rmtree(self.folder / "broken")

    def test_classes_by_labels_and_by_codebook(self):
        self.make_codebook()
        self.succeeds(*self.command("dkd-lstm", "run", "--codebook", "codebook", "--labels", "units"))
        self.succeeds(*self.command("dkd-lstm", "same", "--codebook", "codebook"))
        # A codebook's most likely class is the nearest centroid, which is the label.
        self.assertEqual(self.bytes_of("run/student")["model.safetensors"],
                         self.bytes_of("same/student")["model.safetensors"])
        self.assertEqual(json.loads(self.succeeds("retort-inspect", "--json", "run/student").out)["classes"], 5)
        self.fails(1, "K = 5, the teacher tells 6", *self.command("dkd-lstm", "x", "--labels", "units"))
        self.fails(1, "labels come from model", *self.command("dkd-lstm", "x", "--labels", "mfcc-labels"))
        self.fails(1, "the codebook is of model mfcc", *self.command("dkd-lstm", "x", "--codebook", "mfcc-labels-codebook"))
        self.leaves_nothing("x")

    def test_a_codebook_of_normalised_frames_tells_the_classes_of_its_labels(self):
        for normalise in ["l2", "meanvar"]:
            with self.subTest(normalise):
                self.make_codebook("--normalise", normalise)
                for run, labels in [("labelled", ["--labels", "units"]), ("unlabelled", [])]:
                    self.succeeds(*self.command("dkd-lstm", run, "--codebook", "codebook", *labels, steps=10))
                self.assertEqual(self.bytes_of("labelled/student")["model.safetensors"],
                                 self.bytes_of("unlabelled/student")["model.safetensors"])
                for folder in ["codebook", "units", "labelled", "unlabelled"]:
                    shutil.rmtree(self.folder / folder)

    def extract(self, output, layers, *more, model=None):
        self.succeeds("retort-extract", "--model", model or self.teacher, "--layer", layers, "corpus.jsonl", "-o", output,
                      *more)

    def test_features_stand_for_the_teacher(self):
        self.make_codebook()
        layers = {"distilhubert": "enc1,enc2", "fithubert": "enc1,enc2", "dkd-lstm": "enc2"}
        for recipe, wanted in layers.items():
            codebook = ["--codebook", "codebook"] if recipe == "dkd-lstm" else []
            self.succeeds(*self.command(recipe, recipe, *codebook, steps=5))
            check = self.command(recipe, "unused", *codebook, "--init-from", f"{recipe}/student", "--validate-only")
            online = json.loads(self.succeeds(*check).out)
            for dtype, bound in [("f32", 1e-5), ("f16", 1e-3), ("i8", 1e-3)]:
                with self.subTest(recipe, dtype=dtype):
                    store = f"{recipe}-{dtype}"
                    self.extract(store, wanted, "--dtype", dtype)
                    stored = json.loads(self.succeeds(*check, "--features", store).out)
                    self.assertEqual(set(stored), set(online))
                    self.assertAlmostEqual(stored["loss"], online["loss"], delta=bound * abs(online["loss"]))

    def test_trains_on_features_without_the_teacher(self):
        self.extract("feats", "enc1,enc2", "--dtype", "f16")
        options = ["corpus.jsonl", "--features", "feats", "--validation", "corpus.jsonl", "--validation-features", "feats",
                   "--steps", 40, "--threads", 1,
                   *overrides([*METHODS["distilhubert"], *SMALL_BATCHES, "copy_from_teacher=[]"])]
        self.succeeds("retort-distill", "--recipe", "distilhubert", *options, "-o", "run")
        log = [line for line in self.log("run") if "loss" in line]
        self.assertLess(log[-1]["loss"], log[0]["loss"])
        teacher = json.loads(self.succeeds("retort-inspect", "--json", self.teacher).out)
        self.assertEqual(self.read_json("run/student/retort.json")["provenance"]["teacher"], teacher["hash"])
        self.assertEqual([store["dtype"] for store in self.read_json("run/config.json")["features"]], ["f16", "f16"])

    def test_features_as_codes_of_product_codebooks(self):
        self.extract("feats", "enc1,enc2")
        for layer in ["enc1", "enc2"]:
            self.succeeds("retort-cluster", "-k", 64, "--subspaces", 8, f"feats/{layer}", "-o", f"pq/{layer}")
        self.extract("codes", "enc1,enc2", "--dtype", "pq", "--codebook", "pq")
        self.succeeds(*self.command("distilhubert", "run", steps=5))
        check = self.command("distilhubert", "unused", "--init-from", "run/student", "--validate-only")
        exact, coded = (json.loads(self.succeeds(*check, "--features", features).out)["loss"]
                        for features in ["feats", "codes"])
        self.assertNotEqual(coded, exact)
        self.assertAlmostEqual(coded, exact, delta=0.05 * abs(exact))
        self.succeeds(*self.command("distilhubert", "coded", steps=20), "--features", "codes")
        log = [line for line in self.log("coded") if "loss" in line]
        self.assertLess(log[-1]["loss"], log[0]["loss"])
        self.assertEqual([store["dtype"] for store in self.read_json("coded/config.json")["features"]], ["pq", "pq"])

    def test_features_that_do_not_fit(self):
        self.extract("feats", "enc1,enc2")
        self.extract("one", "enc1")
        usual = self.command("distilhubert", "x")
        self.fails(1, "no such frame store", *usual, "--features", "one")
        self.fails(1, "holds layer enc1, the recipe learns from enc2",
                   *self.command("distilhubert", "x", values=["student.predicted_layers=[2]"]), "--features", "one")
        self.succeeds("retort-distill", "--recipe", "hubert", "--labels", "mfcc-labels", "corpus.jsonl", "-o", "other",
                      "--steps", 0, "--seed", 5, *overrides(SMALL))
        self.extract("foreign", "enc1,enc2", model="other/student")
        self.fails(1, "extract with that teacher", *usual, "--features", "foreign")
        self.fails(2, "give --validation-features", *usual, "--features", "feats", "--validation", "corpus.jsonl")
        self.fails(1, "those to train on from", *usual, "--features", "feats", "--validation", "corpus.jsonl",
                   "--validation-features", "foreign")
        self.fails(2, "begins with the teacher's weights", "retort-distill", "--recipe", "distilhubert", "corpus.jsonl",
                   "-o", "x", "--features", "feats")
        self.fails(2, "--codebook is missing", *self.command("dkd-lstm", "x"), "--features", "feats")
        self.fails(2, "masks the teacher's input", *self.command("armhubert", "x"), "--features", "feats")
        self.fails(2, "learns from labels", "retort-distill", "--recipe", "hubert", "--labels", "mfcc-labels",
                   "corpus.jsonl", "-o", "x", "--features", "feats")
        write_wav(self.folder / "wav" / "u0.wav", tone(1.0))
        self.succeeds("retort-prepare", "wav", "-o", "corpus.jsonl", "--overwrite")
        self.fails(1, "u0: features are for 19200 samples", *usual, "--features", "feats")
        self.leaves_nothing("x")

    def test_bf16_learns_what_f32_learns(self):
        for recipe in ["distilhubert", "fithubert", "dkd-lstm"]:
            with self.subTest(recipe):
                self.succeeds(*self.command(recipe, f"{recipe}-f32"))
                self.succeeds(*self.command(recipe, f"{recipe}-bf16", values=["precision=bf16"]))
                full, mixed = self.log(f"{recipe}-f32"), self.log(f"{recipe}-bf16")
                for exact, rounded in zip(full, mixed, strict=True):
                    self.assertNotEqual(exact["loss"], rounded["loss"])
                    self.assertAlmostEqual(exact["loss"], rounded["loss"], delta=0.02 * abs(exact["loss"]))
                with open(self.folder / f"{recipe}-bf16/student/model.safetensors", "rb") as file:
                    header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
                types = {entry["dtype"] for name, entry in header.items() if name != "__metadata__"}
                self.assertEqual(types, {"F32"})
        self.fails(1, "precision f16 should be f32 or bf16",
                   *self.command("distilhubert", "x", values=["precision=f16"]))
        self.leaves_nothing("x")

    def test_start_of_a_student(self):
        self.succeeds(*self.command("distilhubert", "run", steps=0))
        teacher, student = (read_tensors(self.folder / name / "model.safetensors")
                            for name in ("teacher/student", "run/student"))
        copied = [name for name in student if student[name] == teacher.get(name)]
        for beginning in ["feature_extractor.", "feature_projection.projection.", "encoder.pos_conv_embed.",
                          "encoder.layers.0.", "encoder.layers.1."]:
            self.assertEqual([name for name in student if name.startswith(beginning)],
                             [name for name in copied if name.startswith(beginning)])
        self.assertNotIn("encoder.layers.2", " ".join(student))
        self.fails(1, "has another shape", *self.command("distilhubert", "x", values=["student.ffn=24"]))
        self.fails(1, "no tensor of the student begins",
                   *self.command("distilhubert", "x", values=['copy_from_teacher=["encoder.lstm"]']))
        self.leaves_nothing("x")
        self.succeeds(*self.command("distilhubert", "ended", steps=20))
        started = self.command("distilhubert", "warm", "--init-from", "ended/student", steps=0)
        self.succeeds(*started)
        self.assertEqual(self.bytes_of("warm/student")["model.safetensors"],
                         self.bytes_of("ended/student")["model.safetensors"])
        self.succeeds(*started, "--new-head", "--overwrite")
        ended, warm = (read_tensors(self.folder / name / "model.safetensors") for name in ("ended/student", "warm/student"))
        differing = [name for name in warm if warm[name] != ended[name]]
        self.assertTrue(differing)
        self.assertTrue(all(name.startswith("heads.") for name in differing), differing)

    def test_a_loss_that_is_not_finite_names_its_utterances(self):
        self.fails(1, "not finite at update", *self.command("distilhubert", "x", values=["optimizer.lr=1e30"]))
        (report,) = (self.folder / "x").glob("failed-step-*.json")
        failure = json.loads(report.read_text())
        ids = [name for batch in failure["micro_batches"] for name in batch["utterances"]]
        self.assertTrue(ids)
        self.assertTrue(set(ids) <= {f"u{i}" for i in range(8)})
        self.leaves_nothing("x/student")

    def test_two_processes_on_one_run(self):
        command = self.command("distilhubert", "run", steps=100000)
        process = subprocess.Popen([str(BIN / command[0]), *map(str, command[1:])], cwd=self.folder,
                                   stderr=subprocess.DEVNULL)
        try:
            while not (self.folder / "run/log.jsonl").exists():
                self.assertIsNone(process.poll())
                time.sleep(0.01)
            self.fails(1, "another process is writing it", *command)
        finally:
            process.kill()
            process.wait()

    def test_wrong_usage(self):
        plain = ["retort-distill", "corpus.jsonl", "-o", "x", "--recipe"]
        self.fails(2, "--teacher is missing", *plain, "distilhubert")
        self.fails(2, "--labels is missing", *plain, "hubert")
        self.fails(2, "distilhubert uses none", *self.command("distilhubert", "x", "--labels", "mfcc-labels"))
        self.fails(2, "does not distill classes", *self.command("fithubert", "x", "--codebook", "mfcc-labels-codebook"))
        self.fails(2, "--init-from is missing", *self.command("distilhubert", "x", "--validate-only"))
        self.fails(1, "no prediction heads to validate",
                   *self.command("distilhubert", "x", "--init-from", self.teacher, "--validate-only"))
        self.fails(1, 'masked_prediction: no "masked" in it',
                   *self.command("distilhubert", "x", values=["objective=masked_prediction"]))
        self.fails(2, "--new-head without", *self.command("distilhubert", "x", "--new-head"))
        self.fails(2, "--validation-labels without", *self.command("dkd-lstm", "x", "--validation-labels", "mfcc-labels"))
        self.fails(2, "--output is missing", "retort-distill", "--recipe", "distilhubert", "--teacher", self.teacher,
                   "corpus.jsonl")
        self.fails(1, "has 2 layers, so none is number 3",
                   *self.command("distilhubert", "x", values=["student.predicted_layers=[1,3]"]))
        self.fails(1, "has no class head", "retort-distill", "--recipe", "dkd-lstm", "--teacher", FIXTURES / "model" / "post",
                   "corpus.jsonl", "-o", "x", *overrides(METHODS["dkd-lstm"]))
        self.leaves_nothing("x")
