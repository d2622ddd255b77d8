"""ONNX graphs, judged by ONNX's checker and ONNX Runtime. RETORT_ORACLE names a Python with onnx and onnxruntime; else SKIPPED."""

import os
import subprocess
import unittest

import parity
from harness import BIN, FIXTURES, ROOT, ToolTest

ORACLE = os.environ.get("RETORT_ORACLE", "")
HAS_RUNTIME = bool(ORACLE) and subprocess.run([ORACLE, "-c", "import onnx, onnxruntime"], capture_output=True).returncode == 0
VARIANTS = ["hf-hubert-post", "hf-hubert-pre", "hf-hubert-batchnorm", "hf-wavlm-post", "hf-wavlm-stable", "fairseq-data2vec",
            "fairseq-wav2vec2", "distilhubert", "fithubert", "fithubert-fc1", "lstm/both", "lstm/forward"]


@unittest.skipUnless(HAS_RUNTIME, "RETORT_ORACLE names no Python with onnx and onnxruntime")
class OnnxOracle(ToolTest):
    """A test per model, added below."""

    def check(self, name):
        if name.startswith("lstm/"):
            model = FIXTURES / name
        else:
            model = parity.Tools(BIN).import_model(parity.Variant(FIXTURES / "parity" / name), self.folder / "model")
        for dtype in ("f32", "f16", "int8"):
            for lengths in ([], ["--lengths"]):
                out = f"{dtype}{len(lengths)}"
                # These networks of a few random channels have no redundancy for 8 bits to hide in.
                done = self.tool("retort-export", "--to", "onnx", "--layers", "all", "--dtype", dtype, *lengths, model, "-o", out)
                if dtype == "int8" and done.code == 1:
                    self.assertIn("cosine", done.err)
                    continue
                self.assertEqual(done.code, 0, done.err)
                judged = subprocess.run([ORACLE, ROOT / "scripts/check-onnx", out], cwd=self.folder, text=True,
                                        capture_output=True, timeout=300)
                self.assertEqual(judged.returncode, 0, judged.stdout + judged.stderr[-2000:])
                self.assertIn("test_data_set_0", judged.stdout)


for a_name in VARIANTS:
    setattr(OnnxOracle, f"test_{a_name.replace('-', '_').replace('/', '_')}", lambda self, name=a_name: self.check(name))


if __name__ == "__main__":
    unittest.main()
