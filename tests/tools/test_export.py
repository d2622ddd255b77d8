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
        self.fails(2, "hf", "retort-export", "--to", "kaldi", "student", "-o", "out")
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
