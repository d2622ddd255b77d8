"""Exports, loaded by the packages they are for. RETORT_ORACLE names a Python with torch, transformers and s3prl; else SKIPPED."""

import os
import subprocess
import unittest
from pathlib import Path

import parity
from harness import BIN, FIXTURES, ToolTest

ORACLE = os.environ.get("RETORT_ORACLE", "")
SCRIPT = Path(__file__).resolve().parent / "oracle_exports.py"
CLIP = FIXTURES / "audio" / "voice2100.wav"
FORMS = {
    "fairseq": ["fairseq-hubert-args", "fairseq-hubert-cfg-large", "same-hf", "hf-wavlm-post", "wavlm-large"],
    "hf": ["fairseq-data2vec", "fairseq-wav2vec2", "distilhubert", "hf-hubert-batchnorm", "hf-wavlm-stable",
           "s3prl-hubert", "torchaudio-pre-ctc"],
}


@unittest.skipUnless(ORACLE, "RETORT_ORACLE names no Python with torch, transformers and s3prl")
class ExportOracle(ToolTest):
    """A test per form and variant, added below."""

    def check(self, form, name):
        """The last layer that the package computes is the one that Retort computes of the export."""
        variant = parity.Variant(FIXTURES / "parity" / name)
        model = parity.Tools(BIN).import_model(variant, self.folder / "model")
        self.succeeds("retort-export", "--to", form, model, "-o", "export")
        self.succeeds("retort-extract", "--model", "export", CLIP, "-o", "feats")
        done = subprocess.run([ORACLE, SCRIPT, form, "export", CLIP, "theirs.npy"], cwd=self.folder, text=True,
                              capture_output=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        result = parity.compare_layer("final", parity.read_store(self.folder / "feats"),
                                      {CLIP.stem: parity.read_array(self.folder / "theirs.npy")})
        self.assertLess(result.difference, parity.BOUND)


for a_form, variants in FORMS.items():
    for a_name in variants:
        setattr(ExportOracle, f"test_{a_name.replace('-', '_')}_to_{a_form}",
                lambda self, form=a_form, name=a_name: self.check(form, name))


if __name__ == "__main__":
    unittest.main()
