"""retort-cluster in several processes: the codebook of one, byte for byte, and what they refuse."""

import json
import math

from harness import ToolTest, needs_torch, tone, write_wav
from test_cluster import write_npy


@needs_torch
class ClusterProcessesTest(ToolTest):
    def setUp(self):
        super().setUp()
        rows = [[math.sin(i * i * (j + 1)) + 3 * math.cos(i % 11 + j) for j in range(6)] for i in range(2000)]
        write_npy(self.folder / "rows.npy", rows)

    def together(self, count, *command):
        ended = self.finish(self.start(*[["retort-cluster", *command, "--threads", 1]] * count))
        self.assertEqual([process.code for process in ended], [0] * count, ended)
        self.assertEqual([process.out for process in ended[1:]], [""] * (count - 1))
        return json.loads(ended[0].out)

    def test_the_codebook_is_that_of_one_process(self):
        job = ["-k", 15, "rows.npy"]
        for name, options in (("usual", []), ("few", ["--points-per-centroid", 30, "--normalise", "meanvar"]),
                              ("parallel", ["--init", "kmeans-parallel", "--memory", "1G", "--starts", 2]),
                              ("batches", ["--mini-batch", 200, "--iterations", 5]),
                              ("product", ["--subspaces", 3])):
            with self.subTest(name):
                one = json.loads(self.succeeds("retort-cluster", *job, *options, "-o", name).out)
                for count in (2, 3):
                    report = self.together(count, *job, *options, "-o", f"{name}{count}")
                    self.assertEqual(report["processes"], count)
                    self.assertEqual(report["hash"], one["hash"])
                    self.assertEqual(self.bytes_of(f"{name}{count}"), self.bytes_of(name))
        self.assertNotIn("seconds", self.together(2, *job, "-o", "usual2"))  # it is there already

    def test_phones_are_counted_by_all(self):
        for i in range(4):
            write_wav(self.folder / f"u{i}.wav", tone(0.6, 150 + 200 * i))
        self.succeeds("retort-prepare", "u0.wav", "u1.wav", "u2.wav", "u3.wav", "-o", "corpus.jsonl")
        self.succeeds("retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "mfcc")
        phones = [f"u{i} 1 {0.1 * j:.1f} 0.1 {'ABC'[(i + j) % 3] if j < 5 else 'SIL'}" for i in range(3) for j in range(6)]
        (self.folder / "phones.ctm").write_text("".join(line + "\n" for line in phones))
        job = ["-k", 6, "mfcc", "--alignments", "phones.ctm"]
        one = json.loads(self.succeeds("retort-cluster", *job, "-o", "one").out)
        self.assertEqual(self.together(2, *job, "-o", "two")["phones"], one["phones"])
        self.assertEqual(self.bytes_of("two"), self.bytes_of("one"))

    def test_a_bad_frame_ends_all_of_them(self):
        rows = [[float(i % 7), float(i % 5)] for i in range(300)]
        rows[250][1] = float("inf")
        write_npy(self.folder / "bad.npy", rows)
        write_npy(self.folder / "start.npy", rows[:3])
        ended = self.finish(self.start(*[["retort-cluster", "-k", 3, "bad.npy", "--init", "start.npy", "-o", "x"]] * 2))
        self.assertEqual([process.code for process in ended], [1, 1])
        self.assertIn("bad frame 250", ended[1].err)
        self.assertIn("process 0 of 2 lost another one", ended[0].err)
        self.leaves_nothing("x")

    def test_processes_that_disagree_are_refused(self):
        job = ["retort-cluster", "-k", 5, "rows.npy", "-o", "x"]
        ended = self.finish(self.start(job, [*job, "--seed", 1]))
        self.assertEqual([process.code for process in ended], [1, 1])
        self.assertIn("lost another one", ended[0].err)
        self.assertIn("not those of process 0 (seed 0 against 1", ended[1].err)
        self.leaves_nothing("x")

    def test_what_cannot_be_shared(self):
        write_wav(self.folder / "a.wav", tone(0.6))
        for error, command in (("audio cannot be read by 2 processes", ["--model", "mfcc", "a.wav"]),
                               ("a table cannot be read by 2 processes", ["ark:x.ark"])):
            ended = self.finish(self.start(*[["retort-cluster", "-k", 3, *command, "-o", "x"]] * 2))
            for process in ended:
                self.assertEqual(process.code, 2)
                self.assertIn(error, process.err)
        for process in self.finish(self.start(*[["retort-cluster", "-k", 3, "rows.npy", "-o", "x", "--engine", "faiss"]] * 2)):
            self.assertEqual(process.code, 2)
        self.leaves_nothing("x")


if __name__ == "__main__":
    import unittest
    unittest.main()
