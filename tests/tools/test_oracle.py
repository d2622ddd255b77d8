"""Exports, loaded by the packages they are for. RETORT_ORACLE names a Python with torch, transformers and s3prl; else SKIPPED."""

import os
import subprocess
import unittest
from pathlib import Path

import parity
from harness import BIN, FIXTURES, ToolTest

ORACLE = os.environ.get("RETORT_ORACLE", "")
SCRIPT = Path(__file__).resolve().parent / "oracle_exports.py"
TABLE = SCRIPT.parent / "hf_exports.py"
CLIP = FIXTURES / "audio" / "voice2100.wav"
FORMS = {
    "fairseq": ["fairseq-hubert-args", "fairseq-hubert-cfg-large", "fairseq-hubert-noproj", "fairseq-wav2vec2", "same-hf",
                "hf-wavlm-post", "wavlm-large"],
    "hf": ["fairseq-data2vec", "fairseq-wav2vec2", "distilhubert", "hf-hubert-batchnorm", "hf-wavlm-stable",
           "s3prl-hubert", "torchaudio-pre-ctc"],
    "s3prl": ["distilhubert", "distilhubert-one-head", "hf-hubert-bare", "fairseq-hubert-cfg-large", "fairseq-hubert-noproj",
              "s3prl-hubert", "fairseq-wav2vec2", "hf-wav2vec2-stable", "fairseq-data2vec", "wavlm-large"],
}


@unittest.skipUnless(ORACLE, "RETORT_ORACLE names no Python with torch, transformers and s3prl")
class ExportOracle(ToolTest):
    """A test per form and variant, added below."""

    def imported(self, name):
        return parity.Tools(BIN).import_model(parity.Variant(FIXTURES / "parity" / name), self.folder / name)

    def run_oracle(self, *command):
        """Runs a script with the oracle's Python; code that an export carries is copied below this test's folder alone."""
        done = subprocess.run([ORACLE, *command], cwd=self.folder, text=True, capture_output=True, timeout=300,
                              env={**os.environ, "HF_MODULES_CACHE": str(self.folder / "modules")})
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        return done.stdout

    def check(self, form, name):
        """The last layer that the package computes is the one that Retort computes of the model: a head, where the form keeps it."""
        model = self.imported(name)
        layer = parity.Variant(FIXTURES / "parity" / name).about["layers"][-1] if form == "s3prl" else "final"
        self.succeeds("retort-export", "--to", form, model, "-o", "export")
        self.succeeds("retort-extract", "--model", "export", "--layer", layer, CLIP, "-o", "feats")
        self.run_oracle(SCRIPT, form, "export", CLIP, "theirs.npy")
        result = parity.compare_layer(layer, parity.read_store(self.folder / "feats"),
                                      {CLIP.stem: parity.read_array(self.folder / "theirs.npy")})
        self.assertLess(result.difference, parity.BOUND)

    def test_classes_that_exports_carry(self):
        """Every layer, of clips of one frame and more, alone and in a padded batch."""
        models = [self.imported(name) for name in ("fithubert", "fithubert-fc1", "fithubert-same-width")]
        models += [FIXTURES / "lstm" / name for name in ("both", "forward")]
        clips = sorted((FIXTURES / "parity" / "clips").glob("*.wav"))
        table = self.run_oracle(TABLE, "--build", BIN, *models, *clips)
        for name, count in (("FitHubertModel", 3), ("HubertLstmModel", 2)):
            self.assertEqual(table.count(f"| {name} |"), count, table)
        table = self.run_oracle(TABLE, "--build", BIN, "--heads", *models[:3], self.imported("distilhubert"), *clips)
        self.assertEqual((table.count("| FitHubertModel |"), table.count("| HubertWithHeadsModel |")), (3, 1), table)


for a_form, variants in FORMS.items():
    for a_name in variants:
        setattr(ExportOracle, f"test_{a_name.replace('-', '_')}_to_{a_form}",
                lambda self, form=a_form, name=a_name: self.check(form, name))


if __name__ == "__main__":
    unittest.main()
