"""Golden runs of retort-extract."""

import json
import math
import unittest

from harness import ToolTest, needs_torch, tone, write_wav
from small_models import LSTM_MODELS, MODELS, copy_model, floats, read_npy, read_tensors, relative_distance, write_tensors

PART = "part-00000-of-00001"


class ExtractTest(ToolTest):
    def audio(self, name, seconds=0.5, frequency=220.0):
        write_wav(self.folder / name, tone(seconds, frequency))
        return name

    def corpus(self, count=9):
        """A corpus of tones of several lengths."""
        lines = []
        for i in range(count):
            samples = 3000 + 1711 * (i * 5 % count)
            write_wav(self.folder / f"audio/u{i}.wav", tone((samples + 1) / 16000, 150 + 30 * i)[:samples])
            lines.append(json.dumps({"id": f"u{i}", "path": f"audio/u{i}.wav", "start": 0, "samples": samples,
                                     "rate": 16000, "channel": 0}))
        (self.folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
        return "corpus.jsonl"

    def sidecar(self, store, part=PART):
        return self.read_json(f"{store}/{part}.json")

    def lines(self, store, part=PART):
        return [json.loads(line) for line in (self.folder / store / f"{part}.jsonl").read_text().splitlines()]


class Features(ExtractTest):
    def test_mfcc_of_files(self):
        result = self.succeeds("retort-extract", "--model", "mfcc", self.audio("a.wav"), self.audio("b.wav", 0.25), "-o",
                               "feats")
        self.assertEqual(result.out, "")
        self.assertEqual(sorted(self.bytes_of("feats")), [f"{PART}.json", f"{PART}.jsonl", f"{PART}.npy"])
        shape, payload = read_npy(self.folder / "feats" / f"{PART}.npy")
        self.assertEqual(shape, (48 + 23, 39))
        self.assertEqual(len(payload), 71 * 39 * 4)
        self.assertEqual([(u["id"], u["start"], u["frames"], u["samples"]) for u in self.lines("feats")],
                         [("a", 0, 48, 8000), ("b", 48, 23, 4000)])

    def test_fbank_has_the_bins_asked_for(self):
        self.succeeds("retort-extract", "--model", "fbank", "--mel-bins", 40, "--dtype", "f16", self.audio("a.wav"), "-o",
                      "feats")
        shape, payload = read_npy(self.folder / "feats" / f"{PART}.npy")
        self.assertEqual(shape, (48, 40))
        self.assertEqual(len(payload), 48 * 40 * 2)

    def test_a_rerun_has_nothing_to_do(self):
        command = ["retort-extract", "--model", "mfcc", self.audio("a.wav"), "-o", "feats"]
        self.succeeds(*command)
        before = self.bytes_of("feats")
        self.assertIn("nothing to do", self.succeeds(*command).err)
        self.assertEqual(self.bytes_of("feats"), before)
        self.succeeds(*command, "--overwrite")
        self.assertEqual(self.bytes_of("feats"), before)

    def test_seven_shards_hold_what_one_holds(self):
        command = ["retort-extract", "--model", "mfcc", self.corpus()]
        self.succeeds(*command, "-o", "one")
        whole = read_npy(self.folder / "one" / f"{PART}.npy")[1]
        joined = b""
        for i in (3, 0, 6, 1, 2, 5, 4):  # in any order
            self.succeeds(*command, "-o", "seven", "--shard", f"{i}/7")
        for i in range(7):
            joined += read_npy(self.folder / "seven" / f"part-0000{i}-of-00007.npy")[1]
        self.assertEqual(joined, whole)

    def test_dry_run_writes_nothing(self):
        result = self.succeeds("retort-extract", "--model", "mfcc", self.audio("a.wav"), "-o", "feats", "--dry-run")
        self.assertIn("1 utterances, 48 frames, 7488 bytes", result.err)
        self.leaves_nothing("feats")

    def test_dry_run_knows_the_size(self):
        for options in ([], ["--dtype", "i8"], ["--shard", "1/3"]):
            command = ["retort-extract", "--model", "mfcc", self.corpus(), "-o", f"feats{len(options)}{options[-1:] == ['1/3']}",
                       *options]
            plan = json.loads(self.succeeds(*command, "--dry-run").out)
            self.succeeds(*command)
            made = self.bytes_of(command[5])
            self.assertEqual((plan["files"], plan["bytes"]), (len(made), sum(map(len, made.values()))))
            self.assertEqual(plan["part"], options[-1] if "--shard" in options else "0/1")
            self.assertGreater(plan["audio_seconds"], 0)
            self.assertGreater(plan["estimated_seconds"], 0)

    def test_a_disk_without_room_is_refused_before_the_work(self):
        self.fails(1, "less the 9.77e+05 GiB of --keep-free", "retort-extract", "--model", "mfcc", self.audio("a.wav"), "-o",
                   "feats", "--keep-free", "976562G")
        self.fails(2, "--keep-free much", "retort-extract", "--model", "mfcc", self.audio("a.wav"), "-o", "feats",
                   "--keep-free", "much")
        self.leaves_nothing("feats")

    def test_config_file_and_its_unknown_keys(self):
        self.audio("a.wav")
        (self.folder / "c.json").write_text(json.dumps({"model": "fbank", "mel_bins": 20}))
        self.succeeds("retort-extract", "--config", "c.json", "a.wav", "-o", "feats")
        self.assertEqual(self.sidecar("feats")["dim"], 20)
        (self.folder / "c.json").write_text(json.dumps({"model": "fbank", "mel_bin": 20}))
        self.fails(2, "mel_bin", "retort-extract", "--config", "c.json", "a.wav", "-o", "other")


class WrongUse(ExtractTest):
    def test_command_lines(self):
        self.audio("a.wav")
        run = ["retort-extract", "--model", "mfcc", "a.wav", "-o", "feats"]
        self.fails(2, "--frames", *run, "--frames", "3")
        self.fails(2, "--dtype", *run, "--dtype", "f64")
        self.fails(2, "--output", "retort-extract", "--model", "mfcc", "a.wav")
        self.fails(2, "INPUT", "retort-extract", "--model", "mfcc", "-o", "feats")
        self.fails(2, "2/2", *run, "--shard", "2/2")
        self.fails(2, "shard", *run, "--shard", "first")
        self.fails(2, "mfcc has no layers", *run, "--layer", "enc9")
        self.fails(2, "--max-bad", *run, "--max-bad", "2")
        self.fails(2, "--mel-bins 40: is of --model fbank only", *run, "--mel-bins", 40)
        self.fails(2, "--deltas false: is of --model mfcc only", "retort-extract", "--model", "fbank", "--deltas", "false",
                   "a.wav", "-o", "feats")
        self.leaves_nothing("feats")

    def test_an_output_of_another_job(self):
        self.audio("a.wav")
        self.succeeds("retort-extract", "--model", "mfcc", "a.wav", "-o", "feats")
        before = self.bytes_of("feats")
        self.fails(1, "dim 39 against 80 now", "retort-extract", "--model", "fbank", "a.wav", "-o", "feats")
        self.fails(1, "feats", "retort-extract", "--model", "mfcc", "a.wav", "-o", "feats", "--shard", "0/2")
        self.assertEqual(self.bytes_of("feats"), before)
        self.succeeds("retort-extract", "--model", "fbank", "a.wav", "-o", "feats", "--overwrite")
        self.assertEqual(self.sidecar("feats")["dim"], 80)


class BadInput(ExtractTest):
    def extract(self, *inputs):
        return ["retort-extract", "--model", "mfcc", *inputs, "-o", "feats"]

    def test_corpus_files(self):
        self.fails(1, "none.jsonl", *self.extract("none.jsonl"))
        (self.folder / "empty.jsonl").write_text("")
        self.fails(1, "empty.jsonl", *self.extract("empty.jsonl"))
        line = json.dumps({"id": "a", "path": "a.wav", "start": 0, "samples": 8000, "rate": 16000, "channel": 0})
        (self.folder / "twice.jsonl").write_text(line + "\n" + line + "\n")
        self.fails(1, "twice.jsonl", *self.extract("twice.jsonl"))
        self.leaves_nothing("feats")

    def test_audio_files(self):
        (self.folder / "text.wav").write_text("this is no audio")
        result = self.fails(1, "1 not-audio", *self.extract("text.wav"))
        self.assertIn("skipping text: ", result.err)
        self.fails(1, "gone.wav", *self.extract("gone.wav"))
        self.leaves_nothing("feats/" + PART + ".json", "feats/" + PART + ".npy")

    def test_forms_that_other_tools_take(self):
        self.fails(2, "ark:- or ark,t:- writes a table", "retort-extract", "--model", "mfcc", self.audio("a.wav"), "-o", "-")
        self.fails(2, "scp:wav.scp: a table holds frames", *self.extract("scp:wav.scp"))
        (self.folder / "folder").mkdir()
        self.fails(1, "folder: is a folder, audio files were expected; retort-prepare", *self.extract("folder"))
        self.leaves_nothing("feats", "-")

    def test_unusable_utterances_are_named_and_counted(self):
        write_wav(self.folder / "short.wav", tone(0.02))
        write_wav(self.folder / "nan.wav", [0.1] * 4000 + [math.nan] + [0.1] * 4000, floats=True)
        good = [self.audio(f"good{i}.wav") for i in range(3)]
        for bad, reason in (("short.wav", "too-short"), ("nan.wav", "not-finite")):
            result = self.fails(1, "--max-bad", *self.extract(bad, *good))
            self.assertIn(bad.removesuffix(".wav"), result.err)
            self.leaves_nothing("feats/" + PART + ".json", "feats/" + PART + ".npy")
            self.succeeds(*self.extract(bad, *good), "--max-bad", "0.3")
            self.assertEqual(self.sidecar("feats")["bad"], {reason: 1})
            self.assertEqual([u["id"] for u in self.lines("feats")], ["good0", "good1", "good2"])
            for file in (self.folder / "feats").iterdir():
                file.unlink()

    def test_other_rates_and_stereo_become_16_khz_mono(self):
        write_wav(self.folder / "stereo.wav", [s for s in tone(0.5, rate=44100) for _ in (0, 1)], rate=44100, channels=2)
        write_wav(self.folder / "narrow.wav", tone(0.5, rate=8000), rate=8000)
        self.succeeds(*self.extract("stereo.wav", "narrow.wav"))
        self.assertEqual([u["samples"] for u in self.lines("feats")], [8000, 8000])

    def test_a_full_disk_leaves_nothing(self):
        self.audio("long.wav", 8)

        self.fails_on_a_full_disk(16384, "part-00000", *self.extract("long.wav"))
        self.leaves_nothing(f"feats/{PART}.json", f"feats/{PART}.npy", f"feats/{PART}.jsonl")


class ModelLayers(ExtractTest):
    def input_wav(self):
        write_wav(self.folder / "input.wav", floats(read_npy(MODELS / "input.npy")[1]), floats=True)
        return "input.wav"

    def test_several_layers_equal_those_of_transformers(self):
        for model in ("post", "pre"):
            folder = copy_model(model, self.folder / model)
            self.succeeds("retort-extract", "--model", folder, "--layer", "enc1,conv,final", self.input_wav(), "-o",
                          f"{model}-feats")
            for layer in ("enc1", "conv", "final"):
                shape, payload = read_npy(self.folder / f"{model}-feats" / layer / f"{PART}.npy")
                golden_shape, golden = read_npy(MODELS / model / f"{layer}.npy")
                self.assertEqual(shape, golden_shape)
                self.assertLess(relative_distance(floats(payload), floats(golden)), 1e-5)
                self.assertEqual(self.sidecar(f"{model}-feats/{layer}")["origin"]["layer"], layer)

    def test_all_layers_of_lstm_students_equal_those_of_pytorch(self):
        samples = floats(read_npy(MODELS / "input.npy")[1])
        names = []
        for i, part in enumerate((slice(500, 2900), slice(0, 4000), slice(1000, 1400))):  # as fixtures/lstm/make.py
            names.append(f"u{i}.wav")
            write_wav(self.folder / names[-1], samples[part], floats=True)
        for model, blocks in (("both", 3), ("forward", 2)):
            self.succeeds("retort-extract", "--model", LSTM_MODELS / model, "--layer", "all", *names, "-o", model)
            for layer in (*(f"enc{i}" for i in range(blocks + 1)), "final"):
                shape, payload = read_npy(self.folder / model / layer / f"{PART}.npy")
                golden = LSTM_MODELS / model / f"{layer if layer != 'final' else f'enc{blocks}'}.npy"
                golden_shape, expected = read_npy(golden)
                self.assertEqual(shape, golden_shape)
                self.assertLess(relative_distance(floats(payload), floats(expected)), 1e-5)
        self.fails(2, "enc0 to enc3, final", "retort-extract", "--model", LSTM_MODELS / "both", "--layer", "enc4", *names,
                   "-o", "none")

    def test_one_layer_goes_straight_into_the_output(self):
        folder = copy_model("post", self.folder / "model")
        self.succeeds("retort-extract", "--model", folder, "--layer", "hf:2", self.input_wav(), "-o", "feats")
        origin = self.sidecar("feats")["origin"]
        self.assertEqual((origin["layer"], origin["wave_norm"], origin["batching"], origin["hop"]),
                         ("enc2", "none", "exact", 320))

    def test_shards_hold_the_same_features(self):
        folder = copy_model("post", self.folder / "model")
        command = ["retort-extract", "--model", folder, "--layer", "enc2", self.corpus()]
        self.succeeds(*command, "-o", "one")
        for i in range(7):
            self.succeeds(*command, "-o", "seven", "--shard", f"{i}/7")
        joined = b"".join(read_npy(self.folder / "seven" / f"part-0000{i}-of-00007.npy")[1] for i in range(7))
        whole = read_npy(self.folder / "one" / f"{PART}.npy")[1]
        self.assertEqual(joined, whole)  # not even the last bit depends on the others

    def test_precisions_and_engines(self):
        """Eight bits are near f32 and said in what is written; engines and precisions that do not go together are refused."""
        folder = copy_model("post", self.folder / "model")
        run = ["retort-extract", "--model", folder, "--layer", "enc2", self.input_wav(), "-o"]
        self.succeeds(*run, "f32")
        self.succeeds(*run, "int8", "--precision", "int8")
        self.assertNotIn("precision", self.sidecar("f32")["origin"])
        self.assertEqual(self.sidecar("int8")["origin"]["precision"], "int8")
        exact, near = (floats(read_npy(self.folder / name / f"{PART}.npy")[1]) for name in ("f32", "int8"))
        self.assertNotEqual(exact, near)
        self.assertLess(relative_distance(near, exact), 0.5)
        self.fails(1, "was made otherwise (origin precision", *run, "f32", "--precision", "int8")
        self.fails(2, "--precision int8: is of --encoder native", *run, "none", "--precision", "int8", "--encoder", "torch")
        self.fails(2, "--encoder native: computes on the CPU only", *run, "none", "--encoder", "native", "--device", "cuda")
        self.fails(2, "are of models, not of mfcc", "retort-extract", "--model", "mfcc", "--precision", "int8", "input.wav", "-o", "none")
        result = self.tool(*run, "none", "--precision", "bf16", env={"RETORT_ISA": "portable"})
        self.assertEqual(result.code, 2)
        self.assertIn("--precision bf16: this CPU (portable) has no instructions for it", result.err)
        self.leaves_nothing("none")

    @needs_torch
    def test_engines_agree(self):
        for model in (MODELS / "post", MODELS / "pre", LSTM_MODELS / "both"):
            run = ["retort-extract", "--model", model, self.input_wav(), "--overwrite", "-o"]
            self.succeeds(*run, "native", "--encoder", "native")
            self.succeeds(*run, "torch", "--encoder", "torch")
            ours, theirs = (floats(read_npy(self.folder / name / f"{PART}.npy")[1]) for name in ("native", "torch"))
            self.assertLess(relative_distance(ours, theirs), 1e-5)
            self.succeeds(*run, "bf16", "--encoder", "torch", "--precision", "bf16")
            near = floats(read_npy(self.folder / "bf16" / f"{PART}.npy")[1])
            self.assertNotEqual(near, theirs)
            self.assertLess(relative_distance(near, theirs), 0.2)
            self.assertEqual(self.sidecar("bf16")["origin"]["precision"], "bf16")

    def test_only_the_missing_layer_is_made(self):
        folder = copy_model("post", self.folder / "model")
        command = ["retort-extract", "--model", folder, "--layer", "enc1,enc2", self.input_wav(), "-o", "feats"]
        self.succeeds(*command)
        before = self.bytes_of("feats")
        for file in (self.folder / "feats/enc2").iterdir():
            file.unlink()
        self.succeeds(*command)
        self.assertEqual(self.bytes_of("feats"), before)

    def test_layers_that_do_not_exist(self):
        folder = copy_model("post", self.folder / "model")
        run = ["retort-extract", "--model", folder, self.input_wav(), "-o", "feats"]
        self.fails(2, "enc0 to enc3", *run, "--layer", "enc4")
        self.fails(2, "negative", *run, "--layer", "enc-1")
        self.fails(2, "negative", *run, "--layer=-1")
        self.fails(2, "twice", *run, "--layer", "enc1,hf:1")
        self.leaves_nothing("feats")

    @needs_torch
    def test_devices(self):
        folder = copy_model("post", self.folder / "model")
        run = ["retort-extract", "--model", folder, "--layer", "enc1", self.input_wav(), "-o", "feats"]
        self.fails(2, "tpu", *run, "--device", "tpu")

    def test_model_folders_that_do_not_fit(self):
        def run(folder):
            return ["retort-extract", "--model", folder, "--layer", "enc1", self.input_wav(), "-o", "feats"]

        self.fails(1, "no such model folder or checkpoint", *run("nowhere"))
        folder = copy_model("bare", self.folder / "model")
        weights = folder / "model.safetensors"
        tensors = read_tensors(weights)
        name = "encoder.layer_norm.weight"

        weights.unlink()
        self.fails(1, "no model.safetensors", *run("model"))
        write_tensors(weights, {key: value for key, value in tensors.items() if key != name})
        self.fails(1, f"1 tensor missing ({name})", *run("model"))
        write_tensors(weights, {**tensors, "encoder.extra": tensors[name]})
        self.fails(1, "1 tensor not of this model (encoder.extra)", *run("model"))
        write_tensors(weights, {**tensors, name: ("F32", [4, 4], tensors[name][2])})
        self.fails(1, f"{name} is (4,4), should be (16)", *run("model"))
        weights.write_bytes(b"\x00" * 5)
        self.fails(1, "model.safetensors", *run("model"))
        self.leaves_nothing("feats")


if __name__ == "__main__":
    unittest.main()
