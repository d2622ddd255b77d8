"""Golden runs of retort-export --to onnx."""

import json
import unittest

from harness import FIXTURES, ToolTest, write_wav
from small_models import copy_model, read_tensors, write_tensors

LSTM = FIXTURES / "lstm" / "both"
CLIP = FIXTURES / "audio" / "voice2100.wav"


class OnnxExportTest(ToolTest):
    def export(self, *more, model=LSTM, out="out"):
        return ["retort-export", "--to", "onnx", model, "-o", out, *more]

    def codebook(self, layer="final"):
        """Of the LSTM student's frames of a clip."""
        self.succeeds("retort-cluster", "-k", "3", "--model", LSTM, "--layer", layer, CLIP, "-o", "km", "--max-bad", "0")
        return "km"

    def test_a_folder_with_the_graph_what_was_found_and_test_data(self):
        result = self.succeeds(*self.export("--layers", "enc2,final", "--lengths", "--license", "CC0-1.0"))
        self.assertEqual(result.out, "")
        files = sorted(self.bytes_of("out"))
        self.assertEqual([name for name in files if "/" not in name], ["check.json", "model.onnx"])
        self.assertEqual([name for name in files if name.startswith("test_data_set_0")],
                         [f"test_data_set_0/{name}.pb" for name in ("input_0", "input_1", "output_0", "output_1", "output_2",
                                                                    "output_3")])
        check = self.read_json("out/check.json")
        self.assertEqual((check["audio"], check["dtype"], sorted(check["outputs"])), ("made up", "f32", ["enc2", "final"]))
        self.assertGreater(check["seconds"], 60)
        for difference in check["outputs"].values():
            self.assertLess(difference["relative"], 1e-4)

    def test_a_rerun_has_nothing_to_do_and_another_export_is_refused(self):
        self.succeeds(*self.export())
        before = self.bytes_of("out")
        self.assertIn("nothing to do", self.succeeds(*self.export()).err)
        self.fails(1, "dtype is f32, asked for: int8); --overwrite", *self.export("--dtype", "int8"))
        self.fails(1, "layers is final, asked for: enc1", *self.export("--layers", "enc1", "--opset", "17"))
        self.assertEqual(self.bytes_of("out"), before)
        self.succeeds(*self.export("--dtype", "int8", "--overwrite"))
        self.succeeds(*self.export("--overwrite"))
        self.assertEqual(self.bytes_of("out"), before)
        (self.folder / "mine").mkdir()
        self.fails(1, "holds no ONNX model", *self.export(out="mine"))

    def test_fewer_bits_are_smaller_and_near(self):
        sizes = {}
        for dtype in ("f32", "f16", "int8"):
            self.succeeds(*self.export("--dtype", dtype, "--audio", CLIP, model=FIXTURES / "lstm/forward", out=dtype))
            sizes[dtype] = (self.folder / dtype / "model.onnx").stat().st_size
            check = self.read_json(f"{dtype}/check.json")
            self.assertEqual(check["audio"], "real")
            self.assertGreater(check["outputs"]["final"]["cosine"], {"f32": 1 - 1e-9, "f16": 0.999, "int8": 0.995}[dtype])
        self.assertLess(sizes["f16"], sizes["f32"])
        self.assertLess(sizes["int8"], sizes["f32"])  # scales weigh much in a model this small

    def test_units(self):
        self.succeeds(*self.export("--codebook", self.codebook(), "--audio", CLIP))
        units = self.read_json("out/check.json")["outputs"]["units"]
        self.assertGreaterEqual(units["equal_units"], 0.999)
        self.succeeds("retort-export", "--to", "onnx", "--verify", "out", "--codebook", "km", LSTM)
        self.fails(2, "name the codebook that it was made with", "retort-export", "--to", "onnx", "--verify", "out", LSTM)

    def test_a_codebook_of_another_layer_or_model(self):
        self.fails(1, "enc1", *self.export("--codebook", self.codebook("enc1"), "--layers", "enc2"))
        self.fails(1, "frames with dimension 22, these have 13", *self.export("--codebook", "km", model=FIXTURES / "lstm/forward"))
        changed = self.folder / "changed"
        changed.mkdir()
        for name in ("config.json", "preprocessor_config.json", "retort.json", "model.safetensors"):
            (changed / name).write_bytes((LSTM / name).read_bytes())
        tensors = read_tensors(changed / "model.safetensors")
        name = "encoder.lstm.0.bias_ih"
        tensors[name] = (*tensors[name][:2], bytes(len(tensors[name][2])))
        write_tensors(changed / "model.safetensors", tensors)
        self.fails(1, "the codebook was made from frames with model ", *self.export("--codebook", "km", model=changed))
        self.fails(2, "labels the frames of one layer", *self.export("--codebook", "km", "--layers", "enc1,enc2"))
        self.leaves_nothing("out", "out.tmp")

    def test_verify(self):
        self.succeeds(*self.export("--dtype", "f16"))
        verify = ["retort-export", "--to", "onnx", "--verify"]
        self.assertIn("computes what", self.succeeds(*verify, "out", LSTM).err)
        self.succeeds(*verify, "out/model.onnx", "--audio", CLIP, LSTM)
        self.fails(1, "made of model", *verify, "out", FIXTURES / "lstm/forward")
        for option in (["--layers", "enc1"], ["--dtype", "int8"], ["--opset", "13"], ["--lengths"], ["--license", "MIT"], ["--overwrite"]):
            self.fails(2, f"leave {option[0]} out", *verify, "out", *option, LSTM)
        graph = self.folder / "out/model.onnx"
        whole = graph.read_bytes()
        for size in (0, 10, len(whole) // 2, len(whole) - 1):
            graph.write_bytes(whole[:size])
            self.fails(1, "out/model.onnx: ", *verify, "out", LSTM)
        graph.write_bytes(b"not an ONNX model at all")
        self.fails(1, "no ONNX model", *verify, "out", LSTM)
        self.fails(1, "cannot be opened", *verify, "nowhere.onnx", LSTM)

    def test_a_graph_that_computes_something_else_is_found(self):
        self.succeeds(*self.export())
        graph = self.folder / "out/model.onnx"
        data = bytearray(graph.read_bytes())
        # Its weight lies behind its name, which nodes have said before.
        name = b"encoder.lstm.1.weight_hh"
        weight = data.rindex(name) + len(name) + 8
        data[weight:weight + 400] = bytes(400)
        graph.write_bytes(bytes(data))
        self.fails(1, "does not compute what the model does", "retort-export", "--to", "onnx", "--verify", "out", LSTM)

    def test_a_model_that_was_changed_after_its_hash_was_written(self):
        copy_model("bare", self.folder / "model")
        (self.folder / "model/retort.json").write_text(json.dumps({"format": 1, "wave_norm": "none", "hash": "0" * 32}))
        self.fails(1, "hash", *self.export(model="model"))
        self.leaves_nothing("out", "out.tmp")

    def test_bad_audio_and_options(self):
        write_wav(self.folder / "silence.wav", [0.0] * 16000)
        self.fails(1, "silence.wav is silent", *self.export("--audio", "silence.wav"))
        write_wav(self.folder / "short.wav", [0.1] * 100)
        self.fails(1, "short", *self.export("--audio", "short.wav"))
        for opset in ("12", "18", "-1"):
            self.fails(2, f"--opset {opset}: should be from 13 to 17", *self.export("--opset", opset))
        self.fails(2, "layer enc9", *self.export("--layers", "enc9"))
        self.fails(2, "-o: name the output", "retort-export", "--to", "onnx", LSTM)
        self.leaves_nothing("out", "out.tmp")

    def test_a_full_disk_leaves_nothing(self):
        self.fails_on_a_full_disk(4096, "model.onnx", *self.export())
        self.leaves_nothing("out", "out.tmp")


if __name__ == "__main__":
    unittest.main()
