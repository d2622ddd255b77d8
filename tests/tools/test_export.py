"""Golden runs of retort-export."""

import json
import struct
import unittest

from harness import FIXTURES, ROOT, ToolTest
from small_models import copy_model, read_tensors, write_tensors


class ExportTest(ToolTest):
    def student(self):
        """A model folder as training leaves it: with heads and retort.json."""
        folder = copy_model("bare", self.folder / "student")
        tensors = read_tensors(folder / "model.safetensors")
        tensors = {name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"): value for name, value in tensors.items()}
        self.encoder = dict(tensors)
        for name, shape in (("final_proj.weight", [4, 16]), ("final_proj.bias", [4]), ("label_embeddings", [6, 4])):
            count = 1
            for size in shape:
                count *= size
            tensors[name] = ("F32", shape, struct.pack("<f", 0.5) * count)
        write_tensors(folder / "model.safetensors", tensors)
        (folder / "retort.json").write_text(json.dumps({"format": 1, "wave_norm": "none", "final_dim": 4, "classes": 6}))
        return "student"

    def test_heads_go_and_everything_else_stays_as_it_is(self):
        result = self.succeeds("retort-export", "--to", "hf", self.student(), "-o", "out")
        self.assertEqual(result.out, "")
        self.assertEqual(sorted(self.bytes_of("out")), ["config.json", "model.safetensors", "preprocessor_config.json"])
        self.assertEqual(read_tensors(self.folder / "out/model.safetensors"), self.encoder)
        config = self.read_json("out/config.json")
        self.assertEqual((config["model_type"], config["architectures"], config["hidden_size"], config["mask_time_prob"]),
                         ("hubert", ["HubertModel"], 16, 0.0))
        self.assertFalse(self.read_json("out/preprocessor_config.json")["do_normalize"])

    def test_f16(self):
        self.succeeds("retort-export", self.student(), "-o", "out", "--dtype", "f16")
        tensors = read_tensors(self.folder / "out/model.safetensors")
        name = "encoder.layer_norm.weight"
        values = struct.unpack("<16f", self.encoder[name][2])
        self.assertEqual(tensors[name], ("F16", [16], struct.pack("<16e", *values)))
        self.assertEqual(self.read_json("out/config.json")["torch_dtype"], "float16")

    def test_a_weight_beyond_f16(self):
        self.student()
        tensors = read_tensors(self.folder / "student/model.safetensors")
        tensors["encoder.layer_norm.bias"] = ("F32", [16], struct.pack("<16f", *[1e6] * 16))
        write_tensors(self.folder / "student/model.safetensors", tensors)
        self.fails(1, "encoder.layer_norm.bias", "retort-export", "student", "-o", "out", "--dtype", "f16")
        self.leaves_nothing("out", "out.tmp")

    def test_a_rerun_has_nothing_to_do_and_another_export_is_refused(self):
        command = ["retort-export", self.student(), "-o", "out"]
        self.succeeds(*command)
        before = self.bytes_of("out")
        self.assertIn("nothing to do", self.succeeds(*command).err)
        self.fails(1, "--overwrite", *command, "--dtype", "f16")
        self.assertEqual(self.bytes_of("out"), before)
        self.succeeds(*command, "--dtype", "f16", "--overwrite")
        self.assertNotEqual(self.bytes_of("out"), before)
        self.succeeds(*command, "--overwrite")
        self.assertEqual(self.bytes_of("out"), before)

    def test_an_output_that_is_no_model_is_never_replaced(self):
        self.student()
        (self.folder / "out").mkdir()
        (self.folder / "out/thesis.txt").write_text("years of work")
        for more in ([], ["--overwrite"]):
            self.fails(1, "no model folder", "retort-export", "student", "-o", "out", *more)
        self.assertEqual(self.bytes_of("out"), {"thesis.txt": b"years of work"})

    def test_a_full_disk_leaves_nothing(self):
        self.fails_on_a_full_disk(2048, "model.safetensors", "retort-export", self.student(), "-o", "out")
        self.leaves_nothing("out", "out.tmp")

    def test_wrong_use(self):
        self.student()
        self.fails(2, "s3prl", "retort-export", "--to", "kaldi", "student", "-o", "out")
        self.fails(2, "--codebook: goes with --to onnx", "retort-export", "student", "-o", "out", "--codebook", "km")
        self.fails(2, "--opset: goes with --to onnx", "retort-export", "student", "-o", "out", "--opset", "16")
        self.fails(2, "--dtype", "retort-export", "student", "-o", "out", "--dtype", "int8")
        self.fails(2, "MODEL", "retort-export", "-o", "out")
        self.leaves_nothing("out")

    def check_modelling_file(self, folder, name):
        """The folder says which class of its own computes it, and Retort reads the same model back."""
        config = self.read_json(f"{folder}/config.json")
        self.assertEqual(config["auto_map"], {"AutoConfig": f"modeling_retort.{name}Config",
                                              "AutoModel": f"modeling_retort.{name}Model"})
        self.assertEqual(config["architectures"], [f"{name}Model"])
        code = (self.folder / folder / "modeling_retort.py").read_text()
        self.assertIn(f"\nclass {name}Model(", code)
        self.assertEqual(code, (ROOT / "data/hf/modeling_retort.py").read_text())
        self.assertEqual(sorted(self.bytes_of(folder)),
                         ["config.json", "model.safetensors", "modeling_retort.py", "preprocessor_config.json"])
        return config

    def test_students_without_a_class_in_transformers(self):
        self.succeeds("retort-export", FIXTURES / "lstm" / "both", "-o", "lstm")
        self.check_modelling_file("lstm", "HubertLstm")
        fithubert = FIXTURES / "parity" / "fithubert"
        self.succeeds("retort-import", fithubert / "fithubert.ckpt", "--config", fithubert / "fithubert.yaml", "-o", "model")
        self.succeeds("retort-export", "model", "-o", "fithubert")
        self.assertNotIn("prediction_heads", self.check_modelling_file("fithubert", "FitHubert"))
        self.assertNotIn("heads.1.projection.weight", read_tensors(self.folder / "fithubert/model.safetensors"))
        self.assertIn("nothing to do", self.succeeds("retort-export", "model", "-o", "fithubert").err)

    def test_prediction_heads_that_stay(self):
        self.succeeds("retort-import", FIXTURES / "parity" / "distilhubert" / "distilhubert.ckpt", "-o", "model")
        command = ["retort-export", "model", "-o", "out"]
        self.succeeds(*command, "--heads")
        heads = self.check_modelling_file("out", "HubertWithHeads")["prediction_heads"]
        self.assertEqual((heads["kind"], heads["layers"]), ("split", [4, 8, 12]))
        model, clip = read_tensors(self.folder / "model/model.safetensors"), FIXTURES / "audio" / "voice2100.wav"
        self.assertEqual(read_tensors(self.folder / "out/model.safetensors"), model)
        for folder in ("model", "out"):
            self.succeeds("retort-extract", "--model", folder, "--layer", "head8", clip, "-o", f"feats-{folder}")
        self.assertEqual((self.folder / "feats-out/part-00000-of-00001.npy").read_bytes(),
                         (self.folder / "feats-model/part-00000-of-00001.npy").read_bytes())
        self.assertIn("nothing to do", self.succeeds(*command, "--heads").err)
        self.fails(1, "another model (config: prediction_heads", *command)
        self.succeeds(*command, "--overwrite")
        self.assertNotIn("auto_map", self.read_json("out/config.json"))
        self.assertNotIn("heads.inner.weight", read_tensors(self.folder / "out/model.safetensors"))

    def test_heads_that_are_not_there(self):
        self.fails(1, "student: it has no prediction heads to keep", "retort-export", self.student(), "-o", "out", "--heads")
        self.fails(2, "--heads: goes with --to hf", "retort-export", "student", "-o", "out", "--heads", "--to", "fairseq")
        self.leaves_nothing("out")

    def test_what_no_other_toolkit_has(self):
        student = FIXTURES / "lstm" / "both"
        self.fails(1, "fairseq has no HuBERT of LSTM layers", "retort-export", "--to", "fairseq", student, "-o", "out")
        self.leaves_nothing("out")

    def test_outputs_of_fairseq(self):
        command = ["retort-export", "--to", "fairseq", copy_model("pre", self.folder / "model"), "-o"]
        (self.folder / "file").write_text("mine")
        (self.folder / "folder").mkdir()
        self.fails(2, "-o -: fairseq's form is a checkpoint file", *command, "-")
        self.fails(2, "-o new/: fairseq's form is a checkpoint file", *command, "new/")
        self.fails(1, "file: it exists and is no checkpoint; name another output", *command, "file", "--overwrite")
        self.fails(1, "folder: is a folder, a file was expected", *command, "folder")
        self.fails(1, "file: the folder cannot be made", *command, "file/model.pt")
        self.leaves_nothing("new", "folder/model.pt")
        self.succeeds(*command, "new/model.pt")
        self.assertIn("nothing to do", self.succeeds(*command, "new/model.pt").err)
        self.assertEqual(list(self.bytes_of("new")), ["model.pt"])

    def change_own_file(self, model, **changes):
        path = self.folder / model / "retort.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def same_tensors(self, ours, theirs):
        self.assertEqual(sorted(ours), sorted(theirs))
        self.assertEqual([name for name in ours if ours[name] != theirs[name]], [])

    def imported(self, variant, out="model"):
        """A checkpoint of tests/fixtures/parity as a model folder."""
        folder = FIXTURES / "parity" / variant
        checkpoint = json.loads((folder / "variant.json").read_text())["checkpoint"]
        self.succeeds("retort-import", folder / checkpoint, "-o", out)
        return out

    def back_from_s3prl(self, model, out="out.pt"):
        """What retort-import makes of the export, and what it calls the format."""
        self.succeeds("retort-export", "--to", "s3prl", model, "-o", out, "--overwrite")
        self.succeeds("retort-import", out, "-o", "back", "--overwrite")
        return (read_tensors(self.folder / "back/model.safetensors"),
                self.read_json("back/retort.json")["provenance"]["imported"]["format"])

    def test_students_for_s3prls_distiller_keep_their_heads(self):
        for variant in ("distilhubert", "distilhubert-one-head"):
            model = self.imported(variant, variant)
            tensors, name = self.back_from_s3prl(model, f"{variant}.pt")
            self.assertEqual(name, "s3prl-distiller")
            self.same_tensors(tensors, read_tensors(self.folder / model / "model.safetensors"))
            self.assertIn("heads.split.weight", tensors)
            ours, back = self.read_json(f"{model}/retort.json"), self.read_json("back/retort.json")
            self.assertEqual((back["hash"], back["prediction_heads"]), (ours["hash"], ours["prediction_heads"]))
            before = (self.folder / f"{variant}.pt").read_bytes()
            self.succeeds("retort-export", "--to", "s3prl", model, "-o", "again.pt", "--overwrite")
            self.assertEqual((self.folder / "again.pt").read_bytes(), before)

    def test_a_student_without_prediction_heads_for_s3prls_distiller(self):
        tensors, name = self.back_from_s3prl(self.student())
        self.assertEqual(name, "s3prl-distiller")
        self.same_tensors(tensors, self.encoder)

    def test_models_as_s3prl_converts_them(self):
        for variant, name in (("fairseq-hubert-noproj", "s3prl"), ("fairseq-wav2vec2", "s3prl"), ("fairseq-data2vec", "s3prl"),
                              ("wavlm-large", "fairseq")):
            with self.subTest(variant):
                tensors, found = self.back_from_s3prl(self.imported(variant, variant), f"{variant}.pt")
                ours = read_tensors(self.folder / variant / "model.safetensors")
                heads = [key for key in ours if key.startswith(("final_proj.", "label_embeddings"))]
                self.same_tensors(tensors, {key: value for key, value in ours.items() if key not in heads})
                self.assertEqual((found, self.read_json("back/retort.json")["hash"]),
                                 (name, self.read_json(f"{variant}/retort.json")["hash"]))

    def test_a_mask_embedding_that_classes_want_is_zeros(self):
        model = copy_model("pre", self.folder / "model")
        tensors = read_tensors(model / "model.safetensors")
        del tensors["hubert.masked_spec_embed"]
        write_tensors(model / "model.safetensors", tensors)
        for form in ("fairseq", "s3prl"):
            self.succeeds("retort-export", "--to", form, model, "-o", f"{form}.pt")
            self.succeeds("retort-import", f"{form}.pt", "-o", f"{form}-back")
            data = read_tensors(self.folder / f"{form}-back/model.safetensors")["masked_spec_embed"][2]
            self.assertEqual(data, bytes(36 * 4))

    def test_what_no_upstream_of_s3prl_has(self):
        def refuses(text, model, code=1, *more):
            self.fails(code, text, "retort-export", "--to", "s3prl", model, "-o", "out.pt", *more)
        refuses("s3prl has no HuBERT of LSTM layers", FIXTURES / "lstm" / "both")
        refuses("s3prl has no model with a batch norm", FIXTURES / "parity" / "hf-hubert-batchnorm")
        student = self.student()
        self.change_own_file(student, wave_norm="zscore")
        refuses("s3prl's distiller takes waveforms as they are, this model wants them normalised (zscore)", student)
        refuses("--heads: goes with --to hf", student, 2, "--heads")
        refuses("--dtype f16: s3prl's checkpoints are f32", student, 2, "--dtype", "f16")
        refuses("--audio: goes with --to onnx", student, 2, "--audio", "clip.wav")
        self.leaves_nothing("out.pt", "out.pt.unverified", "out.pt.tmp")

    def test_a_projection_where_fairseq_has_none(self):
        """fairseq-hubert-noproj got the identity when it was imported; only that can be left out again."""
        weights = self.folder / self.imported("fairseq-hubert-noproj") / "model.safetensors"
        tensors = read_tensors(weights)
        name = "feature_projection.projection.bias"
        dtype, shape, data = tensors[name]
        tensors[name] = (dtype, shape, struct.pack("<f", 0.5) + data[4:])
        write_tensors(weights, tensors)
        self.change_own_file("model", hash="")
        for form in ("fairseq", "s3prl"):
            self.fails(1, f"{form}'s models have no projection where", "retort-export", "--to", form, "model", "-o", "out.pt")
        self.leaves_nothing("out.pt", "out.pt.unverified")

    def test_the_same_model_in_another_form_is_another_export(self):
        model = copy_model("pre", self.folder / "model")
        command = ["retort-export", model, "-o", "out.pt", "--to"]
        self.succeeds(*command, "fairseq")
        self.fails(1, "out.pt: it exists and is in another form (fairseq); --overwrite replaces it", *command, "s3prl")
        self.succeeds(*command, "s3prl", "--overwrite")
        self.assertIn("nothing to do", self.succeeds(*command, "s3prl").err)
        self.fails(1, "in another form (s3prl)", *command, "fairseq")

    def test_a_model_that_was_changed_after_its_hash_was_written(self):
        self.change_own_file(self.student(), hash="0" * 32)
        for form in ("hf", "s3prl"):
            self.fails(1, "hash", "retort-export", "--to", form, "student", "-o", "out")
        self.leaves_nothing("out", "out.tmp", "out.unverified")

    def test_a_full_disk_leaves_no_checkpoint(self):
        self.fails_on_a_full_disk(2048, "out.pt", "retort-export", "--to", "s3prl", self.student(), "-o", "out.pt")
        self.leaves_nothing("out.pt", "out.pt.tmp", "out.pt.unverified", "out.pt.unverified.tmp")

    def test_models_that_do_not_fit(self):
        self.fails(1, "no such model folder or checkpoint", "retort-export", "nowhere", "-o", "out")
        self.student()
        weights = self.folder / "student/model.safetensors"
        whole = weights.read_bytes()
        weights.write_bytes(whole[:-100])
        self.fails(1, "model.safetensors", "retort-export", "student", "-o", "out")
        weights.unlink()
        self.fails(1, "no model.safetensors", "retort-export", "student", "-o", "out")
        self.leaves_nothing("out")


if __name__ == "__main__":
    unittest.main()
