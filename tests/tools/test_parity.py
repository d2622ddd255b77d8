"""Imports of every format against the layers of the packages that made them (tests/fixtures/parity)."""

import json
import unittest

import parity
from harness import BIN, FIXTURES, ToolTest
from small_models import read_tensors

VARIANTS = {variant.name: variant for variant in parity.find_variants(FIXTURES / "parity")}


class Layers(ToolTest):
    """A test per variant, added below: its clips one by one, and as one padded batch."""

    def check(self, variant):
        for together in (False, True):
            results = parity.compare_variant(parity.Tools(BIN), variant, self.folder / "work", together)
            self.assertEqual([result.layer for result in results], variant.about["layers"])
            for result in results:
                self.assertLess(result.difference, parity.BOUND, f"{result.layer}, clips {'together' if together else 'alone'}")


for name, variant in VARIANTS.items():
    setattr(Layers, f"test_{name.replace('-', '_')}", lambda self, variant=variant: self.check(variant))


class Imports(ToolTest):
    def imported(self, name):
        """The folder that retort-import makes of a variant."""
        return parity.Tools(BIN).import_model(VARIANTS[name], self.folder / name)

    def test_one_hash_whatever_the_format(self):
        same = [name for name, variant in VARIANTS.items() if name == "same-fairseq" or "same_as" in variant.about]
        self.assertEqual(len(same), 5)
        hashes = {name: parity.Tools(BIN).content_hash(self.imported(name)) for name in same}
        self.assertEqual(len(set(hashes.values())), 1, hashes)
        other = parity.Tools(BIN).content_hash(self.imported("s3prl-hubert"))
        self.assertNotIn(other, hashes.values())

    def test_the_special_rows_of_fairseqs_labels_go(self):
        """fairseq has K + 4 rows, torchaudio K: the same weights leave the same K rows."""
        heads = {}
        for name in ("same-fairseq", "same-s3prl", "same-torchaudio"):
            tensors = read_tensors(self.imported(name) / "model.safetensors")
            heads[name] = {key: value for key, value in tensors.items() if "final_proj" in key or "label_emb" in key}
            self.assertIn([6, 8], [shape for _, shape, _ in heads[name].values()], name)
        self.assertEqual(heads["same-fairseq"], heads["same-torchaudio"])
        self.assertEqual(heads["same-fairseq"], heads["same-s3prl"])

    def test_heads_are_kept_and_recorded(self):
        for name, variant in VARIANTS.items():
            heads = variant.about["heads"]
            if "classes" not in heads:
                continue
            with self.subTest(name):
                own = json.loads((self.imported(name) / "retort.json").read_text())
                self.assertEqual((own["classes"], own["final_dim"]), (heads["classes"], heads["final_dim"]))


if __name__ == "__main__":
    unittest.main()
