"""retort-cluster --labels: what retort-label writes afterwards, byte for byte, in the process that made the codebook."""

import json
import os

from harness import FIXTURES, ToolTest, tone, write_wav
from test_cluster import write_npy

MODEL = FIXTURES / "model" / "post"


class ClusterLabelsTest(ToolTest):
    def setUp(self):
        super().setUp()
        for i in range(5):
            write_wav(self.folder / "wav" / f"u{i}.wav", tone(0.5 + 0.1 * i, 150 + 110 * i))
        self.succeeds("retort-prepare", "wav", "-o", "corpus.jsonl")
        self.job = ["retort-cluster", "-k", 6]
        self.audio = ["--model", "mfcc", "corpus.jsonl"]

    def bytes_at(self, name):
        path = self.folder / name
        return self.bytes_of(name) if path.is_dir() else path.read_bytes()

    def check_same(self, outputs, frames, *options):
        """The codebook is that of a job without labels, and the labels are retort-label's of it."""
        self.succeeds(*self.job, *frames, *options, "-o", "plain", "--overwrite")
        for output in outputs:
            with self.subTest(output, options=options):
                here, there = output.format("here", "here"), output.format("there", "there")
                self.succeeds(*self.job, *frames, *options, "-o", "cb", "--labels", here, "--overwrite")
                self.assertEqual(self.bytes_of("cb"), self.bytes_of("plain"))
                self.succeeds("retort-label", "--codebook", "cb", *frames, "-o", there)
                ours, theirs = (self.bytes_at(name.split(":")[-1].split(",")[0]) for name in (here, there))
                self.assertTrue(ours)
                self.assertEqual(ours, theirs)

    def test_labels_of_audio_whose_frames_are_held(self):
        self.check_same(["{}", "{}.km", "{}.txt", "ark:{}.ark", "ark,scp,t:{}-t.ark,{}.scp"], self.audio)

    def test_labels_of_audio_that_was_sampled(self):
        self.check_same(["some-{}", "{}.txt"], self.audio, "--points-per-centroid", 5)

    def test_labels_of_a_models_layer_with_normalised_frames(self):
        model = ["--model", MODEL, "--layer", "enc1"]
        for normalise in ("l2", "meanvar"):
            self.succeeds(*self.job, *model, "corpus.jsonl", "-o", normalise, "--normalise", normalise, "--labels", f"{normalise}-here")
            self.succeeds("retort-label", "--codebook", normalise, *model, "corpus.jsonl", "-o", f"{normalise}-there")
            self.assertEqual(self.bytes_of(f"{normalise}-here"), self.bytes_of(f"{normalise}-there"))

    def test_labels_of_stored_frames(self):
        for part in range(2):
            self.succeeds("retort-extract", *self.audio, "-o", "feats", "--shard", f"{part}/2")
        self.check_same(["{}", "{}.km"], ["feats"])
        self.check_same(["held-{}"], ["feats"], "--memory", "1G")
        self.check_same(["some-{}"], ["feats"], "--points-per-centroid", 5)
        write_npy(self.folder / "rows.npy", [[float(i * j % 11 + 0.01 * i) for j in range(1, 5)] for i in range(20000)])
        self.check_same(["rows-{}"], ["rows.npy"], "--iterations", 2)

    def test_labels_of_a_table(self):
        self.succeeds("retort-extract", *self.audio, "-o", "ark:feats.ark")
        self.check_same(["{}", "ark:{}.ark"], ["ark:feats.ark"])
        self.check_same(["some-{}"], ["ark:feats.ark"], "--points-per-centroid", 5)

    def test_skipped_utterances_are_counted_as_by_retort_label(self):
        (self.folder / "wav/u3.wav").unlink()
        for name, options in (("all", []), ("some", ["--points-per-centroid", 5])):
            self.succeeds(*self.job, *self.audio, *options, "-o", name, "--labels", f"{name}-here", "--max-bad", 0.3)
            self.succeeds("retort-label", "--codebook", name, *self.audio, "-o", f"{name}-there", "--max-bad", 0.3)
            self.assertEqual(self.bytes_of(f"{name}-here"), self.bytes_of(f"{name}-there"))
            self.assertEqual(self.read_json(f"{name}-here/part-00000-of-00001.json")["bad"], {"missing": 1})

    def test_a_rerun_makes_what_is_missing(self):
        command = [*self.job, *self.audio, "-o", "cb", "--labels", "labels"]
        report = json.loads(self.succeeds(*command).out)
        book, labels = self.bytes_of("cb"), self.bytes_of("labels")
        again = self.succeeds(*command)
        self.assertIn("cb is there already: nothing to do", again.err)
        self.assertIn("labels/part-00000-of-00001 is there already: nothing to do", again.err)
        self.assertEqual(json.loads(again.out)["inertia"], report["inertia"])
        # Labels alone.
        for file in labels:
            (self.folder / "labels" / file).unlink()
        stamp = os.stat(self.folder / "cb/codebook.json").st_mtime_ns
        self.assertIn("5 of 5 utterances labelled", self.succeeds(*command).err)
        self.assertEqual(self.bytes_of("labels"), labels)
        self.assertEqual(os.stat(self.folder / "cb/codebook.json").st_mtime_ns, stamp)
        # Labels that are there before their codebook cannot be its own; nothing is clustered for them.
        for file in book:
            (self.folder / "cb" / file).unlink()
        error = self.fails(1, "labels: exists, but the codebook cb does not", *command)
        self.assertNotIn("kmeans", error.err)
        self.leaves_nothing("cb/codebook.json")
        self.succeeds(*command, "--overwrite")
        self.assertEqual((self.bytes_of("cb"), self.bytes_of("labels")), (book, labels))
        self.succeeds(*self.job, *self.audio, "-o", "other", "--seed", 9)
        self.fails(1, "labels", *self.job, *self.audio, "-o", "other", "--seed", 9, "--labels", "labels")
        for output in ("units.km", "ark:units.ark"):
            self.succeeds(*command[:-1], output)
            self.fails(1, "exists", *command[:-1], output)

    def test_what_cannot_be_labelled(self):
        job = [*self.job, *self.audio, "-o", "x", "--labels"]
        self.fails(2, "ends with the codebook", "retort-cluster", "-k", 3, "x.npy", "-o", "x", "--labels", "y", "--step", "update")
        self.fails(2, "makes no labels", *job, "y", "--subspaces", 3)
        self.fails(2, "written by one process, here are 2", *job, "y",
                   env={"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"})
        for output in ("-", "ark,t:-", "ark:"):
            self.fails(2, "standard output is for the report", *job, output)
        self.fails(2, "is the folder of the codebook", *job, "./x")
        self.fails(2, 'no option "q"', *job, "ark,q:y.ark")
        self.leaves_nothing("x", "y")

    def test_frames_that_are_not_finite_get_no_label(self):
        self.succeeds("retort-cluster", "-k", 2, self.write_rows("good.npy", 5.0), "-o", "cb")
        for value in (float("nan"), float("inf")):
            self.fails(1, "bad: frame 30 holds a value that is not finite", "retort-label", "--codebook", "cb",
                       self.write_rows("bad.npy", value), "-o", "x.km")
        self.leaves_nothing("x.km")

    def write_rows(self, name, value):
        write_npy(self.folder / name, [[float(i), value if i == 30 else float(i % 7)] for i in range(40)])
        return name
