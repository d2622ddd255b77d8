"""The proofs of tests/faults that take a SLURM, in a small form: dying tasks and nodes, requeued training, k-means."""

import sys
import unittest

from harness import BIN, ROOT, WITH_TORCH, needs_torch
from slurm_machine import needs_slurm

sys.path.insert(0, str(ROOT / "tests" / "faults"))

import slurm_proofs  # noqa: E402


@needs_slurm
class SlurmTest(unittest.TestCase):
    def test_an_array_that_loses_tasks_and_a_node(self):
        found = slurm_proofs.on_slurm(BIN, slurm_proofs.array, 30, tasks=16, share=0.2)
        self.assertEqual(found["parts computed to their end"], 16)

    @needs_torch
    def test_training_is_signalled_and_requeued(self):
        slurm_proofs.on_slurm(BIN, slurm_proofs.training, 8, steps=60)

    def test_kmeans_by_steps_and_processes(self):
        slurm_proofs.on_slurm(BIN, slurm_proofs.kmeans, 8, tasks=2, with_torch=WITH_TORCH)


if __name__ == "__main__":
    unittest.main()
