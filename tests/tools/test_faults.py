"""The proofs of tests/faults in a small form: faults in every stage, broken stores, and a corpus with defects."""

import random
import sys
import tempfile
import unittest

from harness import BIN, ROOT, WITH_TORCH

sys.path.insert(0, str(ROOT / "tests" / "faults"))

import check_scale  # noqa: E402
import defects  # noqa: E402
import injection  # noqa: E402
import stores  # noqa: E402


class FaultsTest(unittest.TestCase):
    def test_every_stage(self):
        rows = list(injection.inject(BIN, kills=1, errors=1, others=1, with_torch=WITH_TORCH, utterances=12))
        self.assertEqual(len(rows), 18 if WITH_TORCH else 15)
        for stage, _, kills, full, *_ in rows:
            with self.subTest(stage.name):
                self.assertEqual(kills, 1)
                self.assertEqual(full, 1)

    def test_a_proof_finds_what_is_half_made(self):
        """The proofs themselves: a stage that writes in place is found out."""
        with tempfile.TemporaryDirectory() as folder:
            workshop = injection.Workshop(folder, BIN, utterances=4, with_torch=False)
            script = "mkdir -p out; for i in $(seq 300); do echo $i; sleep 0.002; done > out/lines"
            proof = injection.Proof(workshop, injection.Stage("in place", ["bash", "-c", script], "out"), random.Random(1))
            with self.assertRaisesRegex(AssertionError, "left lines, which is not whole"):
                proof.kills(3)


class StoresTest(unittest.TestCase):
    @unittest.skipUnless(stores.XXHASH, "libxxhash is not there")
    def test_broken_parts_are_found_exactly(self):
        for seed in range(2):
            check_scale.check_scale(BIN, parts=60, utterances=5, frames=20, each=4, seed=seed)

    def test_twelve_defects(self):
        found, _ = defects.find_defects(BIN, files=60, each=2)
        self.assertEqual(len(found), 12)


if __name__ == "__main__":
    unittest.main()
