"""Golden runs of retort-import: what a user meets who gives it the right things, and the wrong ones."""

import os
import unittest

from harness import FIXTURES, ToolTest
from small_models import copy_model, read_tensors, write_tensors

PARITY = FIXTURES / "parity"
FAIRSEQ = PARITY / "fairseq-hubert-args/hubert.pt"
FITHUBERT = PARITY / "fithubert/fithubert.ckpt"
FITHUBERT_YAML = PARITY / "fithubert/fithubert.yaml"
TORCHAUDIO = PARITY / "torchaudio-post/model.pth"
FILES = ["config.json", "model.safetensors", "preprocessor_config.json", "retort.json"]


class Outputs(ToolTest):
    def test_a_folder_and_nothing_on_stdout(self):
        result = self.succeeds("retort-import", FAIRSEQ, "-o", "new/model")
        self.assertEqual(result.out, "")
        self.assertIn("new/model: hubert with 7132 parameters", result.err)
        self.assertEqual(sorted(self.bytes_of("new/model")), FILES)

    def test_a_slash_at_the_end_changes_nothing(self):
        self.succeeds("retort-import", FAIRSEQ, "-o", "model/")
        self.assertEqual(sorted(self.bytes_of("model")), FILES)
        self.succeeds("retort-import", FAIRSEQ, "-o", "model/", "--overwrite")
        self.assertEqual(sorted(self.bytes_of("model")), FILES)
        self.leaves_nothing("model.tmp")

    def test_a_rerun_has_nothing_to_do_and_another_model_is_refused(self):
        self.succeeds("retort-import", FAIRSEQ, "-o", "model")
        before = self.bytes_of("model")
        self.assertIn("nothing to do", self.succeeds("retort-import", FAIRSEQ, "-o", "model").err)
        self.assertEqual(self.bytes_of("model"), before)
        other = ["retort-import", PARITY / "hf-hubert-post", "-o", "model"]
        self.fails(1, "it exists and is another model (config: hidden_size 18 against 20); --overwrite replaces it", *other)
        self.assertEqual(self.bytes_of("model"), before)
        self.succeeds(*other, "--overwrite")
        self.assertNotEqual(self.bytes_of("model"), before)

    def test_a_model_of_other_values_is_told_from_this_one(self):
        copy_model("bare", self.folder / "one")
        self.succeeds("retort-import", "one", "-o", "model")
        tensors = read_tensors(self.folder / "one/model.safetensors")
        kind, shape, data = tensors["encoder.layer_norm.weight"]
        tensors["encoder.layer_norm.weight"] = (kind, shape, b"\0\0\0\x40" + data[4:])
        write_tensors(self.folder / "one/model.safetensors", tensors)
        self.fails(1, "tensor encoder.layer_norm.weight has other values", "retort-import", "one", "-o", "model")

    def test_outputs_that_cannot_be(self):
        (self.folder / "file").write_text("mine")
        (self.folder / "folder").mkdir()
        for output in ("file", "folder"):
            for more in ([], ["--overwrite"]):
                self.fails(1, f"{output}: it exists and is no model folder; name another output", "retort-import", FAIRSEQ,
                           "-o", output, *more)
        self.fails(1, "file/model: the folder cannot be made (Not a directory)", "retort-import", FAIRSEQ, "-o",
                   "file/model")
        self.fails(2, "-o -: a model is a folder", "retort-import", FAIRSEQ, "-o", "-")
        self.assertEqual((self.folder / "file").read_text(), "mine")

    @unittest.skipIf(os.geteuid() == 0, "root may write anywhere")
    def test_no_permission(self):
        (self.folder / "closed").mkdir(mode=0o500)
        self.fails(1, "closed/model: the folder cannot be made (Permission denied)", "retort-import", FAIRSEQ, "-o",
                   "closed/model")


class Inputs(ToolTest):
    def refused(self, code, text, *args):
        self.fails(code, text, "retort-import", *args, "-o", "out")
        self.leaves_nothing("out", "out.tmp")

    def test_files_that_are_no_checkpoint(self):
        (self.folder / "text.pt").write_text("hello\n")
        (self.folder / "empty.pt").write_bytes(b"")
        self.refused(1, "text.pt: is no PyTorch checkpoint", "text.pt")
        self.refused(1, "empty.pt: is no PyTorch checkpoint (the file is empty)", "empty.pt")
        self.refused(1, "nowhere.pt: there is no such model folder or checkpoint", "nowhere.pt")
        self.refused(1, "is a TorchScript archive", FIXTURES / "torch/script.pt")

    def test_a_pipe_is_refused_instead_of_waited_for(self):
        os.mkfifo(self.folder / "pipe")
        self.refused(1, "pipe: is a pipe or a device; a checkpoint is read from a file", "pipe")

    def test_files_that_were_cut(self):
        whole = FAIRSEQ.read_bytes()
        for share in (0.1, 0.5, 0.99):
            (self.folder / "cut.pt").write_bytes(whole[:int(len(whole) * share)])
            self.refused(1, "cut.pt: is a damaged zip file, or cut short", "cut.pt")

    def test_folders_that_hold_no_model(self):
        (self.folder / "folder").mkdir()
        self.refused(1, "folder: no config.json in it, so it is no model folder", "folder")
        copy_model("bare", self.folder / "unweighted")
        (self.folder / "unweighted/model.safetensors").unlink()
        self.refused(1, "unweighted: no model.safetensors or pytorch_model.bin in it", "unweighted")
        copy_model("bare", self.folder / "model")
        self.refused(1, "name the folder that holds it and its config.json", "model/model.safetensors")

    def test_a_value_that_is_not_finite_is_found_on_the_way_and_nothing_is_left(self):
        copy_model("bare", self.folder / "model")
        tensors = read_tensors(self.folder / "model/model.safetensors")
        kind, shape, data = tensors["encoder.layer_norm.weight"]
        tensors["encoder.layer_norm.weight"] = (kind, shape, data[:4] + b"\0\0\xc0\x7f" + data[8:])
        write_tensors(self.folder / "model/model.safetensors", tensors)
        self.refused(1, "model: tensor encoder.layer_norm.weight holds nan at 1", "model")

    def test_configs(self):
        self.refused(1, "retort-import takes its yaml as --config", FITHUBERT)
        self.refused(1, "retort-import takes a JSON of the arguments of its factory function", TORCHAUDIO)
        self.refused(2, "nowhere.yaml", FITHUBERT, "--config", "nowhere.yaml")
        (self.folder / "text").write_text("hello\n")
        self.refused(1, "text: not JSON", TORCHAUDIO, "--config", "text")
        self.refused(2, "it says itself what its model is; leave --config out", FAIRSEQ, "--config", FITHUBERT_YAML)
        self.refused(2, "is a folder, which has a config.json of its own", PARITY / "hf-hubert-post", "--config",
                     FITHUBERT_YAML)

    def test_command_lines(self):
        self.refused(2, "CHECKPOINT is required")
        self.refused(2, "not expected", FAIRSEQ, FAIRSEQ)
        self.fails(2, "--output is required", "retort-import", FAIRSEQ)
        self.assertIn("Example:", self.succeeds("retort-import", "--help").out)


if __name__ == "__main__":
    unittest.main()
