"""Golden runs of retort-cluster and retort-label."""

import json
import math
import os
import shutil
import struct
import unittest
from array import array
from pathlib import Path

from harness import WITH_FAISS, ToolTest, tone, write_wav


def write_npy(path, rows):
    dim = len(rows[0])
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({len(rows)}, {dim}), }}"
    text += " " * (64 - (10 + len(text) + 1) % 64) + "\n"
    data = b"".join(struct.pack(f"<{dim}f", *row) for row in rows)
    Path(path).write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data)


class ClusterTest(ToolTest):
    def setUp(self):
        super().setUp()
        # Three tight groups around (0, 0), (10, 0) and (0, 10).
        self.rows = [(cx + 0.1 * math.sin(i), cy + 0.1 * math.cos(i))
                     for i in range(40) for cx, cy in ((0, 0), (10, 0), (0, 10))]
        write_npy(self.folder / "x.npy", self.rows)

    def test_well_separated_groups_are_found(self):
        for engine in ("auto", "native"):
            report = json.loads(self.succeeds("retort-cluster", "-k", 3, "x.npy", "-o", engine, "--engine", engine).out)
            self.assertLess(report["inertia"], 0.02)
            self.assertEqual((report["frames"], report["empty"], report["splits"]), (120, 0, 0))
            self.assertAlmostEqual(report["usage_perplexity"], 3)
            self.assertEqual(report["curve"], sorted(report["curve"], reverse=True))
            labels = self.succeeds("retort-label", "--codebook", engine, "x.npy", "-o", "-").out.split()[1:]
            self.assertEqual(len(set(labels)), 3)
            self.assertEqual(labels, labels[:3] * 40)

    def test_same_job_again_and_another_job(self):
        command = ["retort-cluster", "-k", 3, "x.npy", "-o", "cb"]
        self.succeeds(*command)
        before = self.bytes_of("cb")
        again = self.succeeds(*command)
        self.assertIn("nothing to do", again.err)
        self.assertEqual(json.loads(again.out)["frames"], 120)
        self.assertEqual(self.bytes_of("cb"), before)
        self.fails(1, "seed 0 against 1", *command, "--seed", 1)
        self.succeeds(*command, "--seed", 1, "--overwrite")

    def test_starts_from_a_file_and_keeps_it_without_iterations(self):
        write_npy(self.folder / "init.npy", [(1, 1), (9, 1)])
        self.succeeds("retort-cluster", "-k", 2, "x.npy", "-o", "cb", "--init", "init.npy", "--iterations", 0)
        self.assertEqual((self.folder / "cb/centroids.npy").read_bytes()[-16:], struct.pack("<4f", 1, 1, 9, 1))
        self.fails(1, "3 clusters of 2 dimensions", "retort-cluster", "-k", 3, "x.npy", "-o", "x", "--init", "init.npy")

    def test_a_sample_of_the_frames(self):
        report = json.loads(self.succeeds("retort-cluster", "-k", 3, "x.npy", "-o", "cb", "--points-per-centroid", 10).out)
        self.assertEqual(report["frames"], 30)

    def test_normalised_frames_are_labelled_as_they_were_clustered(self):
        # The second value is noise of a hundred times the first one's size; directions are those of the first two groups.
        rows = [((-1) ** i * (1 + 0.01 * math.sin(i)), 300 * math.cos(7 * i)) for i in range(200)]
        write_npy(self.folder / "wide.npy", rows)
        self.succeeds("retort-cluster", "-k", 2, "wide.npy", "-o", "scaled", "--normalise", "meanvar", "--starts", 4)
        labels = self.succeeds("retort-label", "--codebook", "scaled", "wide.npy", "-o", "-").out.split()[1:]
        book = json.loads((self.folder / "scaled/codebook.json").read_text())
        self.assertEqual(sorted(book["sizes"]), sorted(labels.count(label) for label in set(labels)))
        self.assertEqual((book["format"], book["normalisation"]["kind"]), ("retort-codebook-2", "meanvar"))
        self.assertAlmostEqual(book["normalisation"]["scale"][1], math.sqrt(2) / 300, places=4)

        rays = [(length * math.cos(angle), length * math.sin(angle)) for length in range(1, 40) for angle in (0.1, 2.2)]
        write_npy(self.folder / "rays.npy", rays)
        self.succeeds("retort-cluster", "-k", 2, "rays.npy", "-o", "rays", "--normalise", "l2")
        labels = self.succeeds("retort-label", "--codebook", "rays", "rays.npy", "-o", "-").out.split()[1:]
        self.assertEqual(labels, labels[:2] * 39)
        self.assertNotEqual(labels[0], labels[1])

    def test_several_starts_and_a_start_from_a_codebook(self):
        command = ["retort-cluster", "-k", 5, "x.npy", "--init", "random"]
        report = json.loads(self.succeeds(*command, "-o", "best", "--starts", 5).out)
        self.assertEqual(len(report["starts"]), 5)
        self.assertEqual(report["inertia"], min(report["starts"]))
        again = json.loads(self.succeeds("retort-cluster", "-k", 5, "x.npy", "--init", "best", "-o", "again").out)
        self.assertEqual(len(again["curve"]), 1)
        self.assertEqual(self.bytes_of("again")["centroids.npy"], self.bytes_of("best")["centroids.npy"])
        self.fails(1, "5 x 2 values, but 4 clusters", "retort-cluster", "-k", 4, "x.npy", "--init", "best", "-o", "x")
        self.fails(1, "was made with none", "retort-cluster", "-k", 5, "x.npy", "--init", "best", "-o", "x", "--normalise", "l2")

    def test_starts_by_candidates_from_all_frames_or_a_sample(self):
        rows = [[math.sin(i * i * (j + 1)) + 5 * math.cos(i % 9 + j) for j in range(4)] for i in range(3000)]
        write_npy(self.folder / "rows.npy", rows)
        job = ["retort-cluster", "-k", 40, "rows.npy"]
        inertia = {}
        for init in ("kmeans++", "kmeans-parallel"):
            report = json.loads(self.succeeds(*job, "--init", init, "-o", init).out)
            inertia[init] = report["inertia"]
        self.assertLess(abs(inertia["kmeans-parallel"] / inertia["kmeans++"] - 1), 0.05)
        for options in ([], ["--init-points-per-centroid", 30]):
            job = ["retort-cluster", "-k", 40, "rows.npy", "--init", "kmeans-parallel", *options]
            codebooks = []
            for threads in (1, 2):
                name = f"{len(options)}-{threads}"
                error = self.succeeds(*job, "-o", name, "--threads", threads).err
                self.assertRegex(error, r"\d+ candidates for 40 clusters drawn in 5 rounds")
                codebooks.append(self.bytes_of(name))
            self.assertEqual(*codebooks)
        self.succeeds(*job, "-o", "steps", "--step", "update")
        self.fails(2, "looks at no sample", "retort-cluster", "-k", 3, "x.npy", "-o", "x", "--init", "random",
                   "--init-points-per-centroid", 3)

    def test_mini_batches(self):
        rows = [[math.sin(i * i * (j + 1)) + 5 * math.cos(i % 9 + j) for j in range(4)] for i in range(4000)]
        write_npy(self.folder / "rows.npy", rows)
        job = ["retort-cluster", "-k", 20, "rows.npy"]
        whole = json.loads(self.succeeds(*job, "-o", "whole").out)
        job += ["--mini-batch", 500, "--iterations", 100]
        report = json.loads(self.succeeds(*job, "-o", "one", "--threads", 1).out)
        self.assertLess(report["inertia"], 1.02 * whole["inertia"])
        self.assertEqual(report["mini_batches"]["frames"], 500)
        self.assertIn(report["mini_batches"]["stopped"], ("no improvement", "iterations"))
        self.assertLessEqual(report["mini_batches"]["batches"], 800)
        self.assertNotIn("mini_batches", whole)
        self.succeeds(*job, "-o", "two", "--threads", 2, "--memory", "1G")
        self.assertEqual(self.bytes_of("two"), self.bytes_of("one"))
        few = json.loads(self.succeeds(*job, "-o", "few", "--no-improvement", 3).out)
        self.assertEqual(few["mini_batches"]["stopped"], "no improvement")
        self.assertLess(few["mini_batches"]["batches"], report["mini_batches"]["batches"])
        self.fails(1, "no_improvement", *job, "-o", "few", "--no-improvement", 4)
        self.fails(2, "goes with mini-batches", "retort-cluster", "-k", 3, "x.npy", "-o", "x", "--no-improvement", 3)
        self.fails(2, "too little work to share", *job, "-o", "x", "--step", "update")

    def test_the_report_says_what_was_read_and_what_came_out(self):
        report = json.loads(self.succeeds("retort-cluster", "-k", 3, "x.npy", "-o", "cb").out)
        self.assertEqual((report["duplicates"], report["empty"]), (0, 0))
        self.assertGreaterEqual(report["bytes_read"], 120 * 8)
        self.assertEqual(sorted(report["seconds"]), ["final", "init", "iterations"])
        self.assertNotIn("seconds", (self.folder / "cb/codebook.json").read_text())

    def test_one_cluster_and_one_dimension(self):
        report = json.loads(self.succeeds("retort-cluster", "-k", 1, "x.npy", "-o", "one").out)
        self.assertEqual((report["largest_share"], report["usage_perplexity"]), (1, 1))
        write_npy(self.folder / "line.npy", [(value,) for value in range(10)])
        self.succeeds("retort-cluster", "-k", 10, "line.npy", "-o", "line")
        labels = self.succeeds("retort-label", "--codebook", "line", "line.npy", "-o", "-").out.split()[1:]
        self.assertEqual(len(set(labels)), 10)

    def in_steps(self, shards, *command):
        for _ in range(100):
            self.succeeds(*command, "--step", "update")
            if (self.folder / command[command.index("-o") + 1] / "codebook.json").exists():
                return
            for shard in range(shards):
                self.succeeds(*command, "--step", "assign", "--shard", f"{shard}/{shards}")
        self.fail("the job does not end")

    def test_steps_over_any_number_of_shards_make_the_same_codebook(self):
        rows = [[math.sin(i * i * (j + 1)) + math.cos(0.1 * i) for j in range(5)] for i in range(500)]
        write_npy(self.folder / "rows.npy", rows)
        job = ["retort-cluster", "-k", 20, "rows.npy", "--iterations", 6]
        for name, options in (("all", []), ("some", ["--points-per-centroid", 11, "--normalise", "meanvar"])):
            self.succeeds(*job, *options, "-o", name)
            for shards in (1, 4, 16):
                self.in_steps(shards, *job, *options, "-o", f"{name}{shards}")
                self.assertEqual(self.bytes_of(f"{name}{shards}"), self.bytes_of(name))

    def test_steps_go_on_where_they_were_and_refuse_what_is_not_theirs(self):
        job = ["retort-cluster", "-k", 3, "x.npy", "-o", "cb"]
        self.fails(1, "--step update first", *job, "--step", "assign")
        self.succeeds(*job, "--step", "update")
        self.fails(1, "seed 0 against 1", *job, "--seed", 1, "--step", "assign")
        self.succeeds(*job, "--step", "assign", "--shard", "1/2")
        before = self.bytes_of("cb")
        self.assertIn("waits for parts 0", self.succeeds(*job, "--step", "update").err)
        self.assertIn("nothing to do", self.succeeds(*job, "--step", "assign", "--shard", "1/2").err)
        self.assertEqual(self.bytes_of("cb"), before)
        self.succeeds(*job, "--step", "assign", "--shard", "0/3")
        self.fails(1, "parts of", *job, "--step", "update")
        (self.folder / "cb/passes/pass-0000-part-00000-of-00003.bin").unlink()
        part = self.folder / "cb/passes/pass-0000-part-00001-of-00002.bin"
        part.write_bytes(part.read_bytes()[:-1])
        self.succeeds(*job, "--step", "assign", "--shard", "0/2")
        self.fails(1, "is not what was written", *job, "--step", "update")
        self.fails(2, "--shard 0/2: goes with --step", *job, "--shard", "0/2")
        self.fails(2, "one start", *job, "--step", "update", "--starts", 2)
        self.fails(2, "frame store first", "retort-cluster", "-k", 3, "--model", "mfcc", "a.wav", "-o", "x", "--step", "update")

    def test_what_a_stopped_update_left_goes_with_the_next_one(self):
        job = ["retort-cluster", "-k", 3, "x.npy", "-o", "cb"]
        self.succeeds(*job, "--step", "update")
        self.succeeds(*job, "--step", "assign")
        shutil.copytree(self.folder / "cb/passes", self.folder / "earlier")
        self.succeeds(*job, "--step", "update")
        moved = self.bytes_of("cb")
        for file in (self.folder / "earlier").glob("pass-0000-*"):
            shutil.copy(file, self.folder / "cb/passes")
        self.assertNotEqual(self.bytes_of("cb"), moved)
        self.succeeds(*job, "--step", "update")
        self.assertEqual(self.bytes_of("cb"), moved)
        self.in_steps(1, *job)
        done = self.bytes_of("cb")
        shutil.copytree(self.folder / "earlier", self.folder / "cb/passes")
        self.succeeds(*job, "--step", "update")
        self.assertEqual(self.bytes_of("cb"), done)

    def test_a_budget_of_memory_changes_no_byte(self):
        values = [(math.sin(i * 0.37) + j * math.cos(i * 1.7)) for i in range(20000) for j in range(64)]
        write_npy(self.folder / "many.npy", [values[i:i + 64] for i in range(0, len(values), 64)])
        job = ["retort-cluster", "-k", 8, "many.npy", "--iterations", 3]
        self.succeeds(*job, "-o", "mapped")
        self.succeeds(*job, "-o", "held", "--memory", "1G")
        error = self.fails(1, "--memory: 1 MiB is too little", *job, "-o", "x", "--memory", "1M").err
        least = int(error.split("at least ")[1].split(" MiB")[0])
        self.assertIn("are streamed in blocks", self.succeeds(*job, "-o", "streamed", "--memory", f"{least + 1}M").err)
        self.assertEqual(self.bytes_of("held"), self.bytes_of("mapped"))
        self.assertEqual(self.bytes_of("streamed"), self.bytes_of("mapped"))
        self.fails(2, "--memory much", *job, "-o", "x", "--memory", "much")

    @unittest.skipIf(os.environ.get("RETORT_SANITIZE"), "sanitizers take memory of their own")
    def test_the_peak_of_memory_stays_within_the_budget(self):
        frames, dim = 60000, 64
        values = array("f", (math.sin(i * 0.37) + (i % dim) * math.cos(i // dim * 1.7) for i in range(frames * dim)))
        write_npy(self.folder / "head.npy", [[0.0] * dim])
        header = (self.folder / "head.npy").read_bytes()[:-4 * dim]
        header = header.replace(b"(1, 64), }    ", b"(60000, 64), }")
        (self.folder / "many.npy").write_bytes(header + values.tobytes())
        write_npy(self.folder / "unreachable.npy", [[1e6 + i] * dim if i else [0.0] * dim for i in range(3)])
        for k, options in ((400, ["--init", "random"]), (400, []), (400, ["--init-points-per-centroid", 100]),
                           (400, ["--init", "kmeans-parallel"]), (4000, ["--init", "random", "--exhaustive"]),
                           (400, ["--mini-batch", 20000]), (400, ["--starts", 2]), (3, ["--init", "unreachable.npy"])):
            with self.subTest(k=k, options=options):
                job = ["retort-cluster", "-k", k, "many.npy", "--iterations", 1, *options]
                error = self.fails(1, "is too little", *job, "-o", "x", "--memory", "1M").err
                least = int(error.split("at least ")[1].split(" MiB")[0])
                for memory in (least + 1, 2 * least):
                    peak = self.peak_of(*job, "-o", f"{k}", "--memory", f"{memory}M", "--overwrite")
                    self.assertLess(peak, 1.05 * memory * 2**20)

    def test_features_that_do_not_belong_together(self):
        for name, layer, rows in (("a", "enc1", 4), ("b", "enc2", 4), ("c", "enc1", 5)):
            write_npy(self.folder / f"{name}.npy", [[float(i * j % 7) for j in range(rows)] for i in range(1, 40)])
            (self.folder / f"{name}.jsonl").write_text(json.dumps(
                {"id": name, "path": "a.wav", "start": 0, "rate": 16000, "channel": 0, "samples": 39 * 320 + 80}) + "\n")
            self.succeeds("retort-copy", f"{name}.npy", name, "--corpus", f"{name}.jsonl", "--layer", layer)
        job = ["retort-cluster", "-k", 3]
        self.succeeds(*job, "a", "-o", "cb")
        self.fails(1, "dimension 4, these have 5", *job, "c", "-o", "x", "--init", "cb")
        self.fails(1, "layer enc1, these have enc2", *job, "b", "-o", "x", "--init", "cb")
        # Parts of two stores in one folder, as two jobs that were given the same output would leave them.
        for name in ("b", "c"):
            mixed = self.folder / f"mixed-{name}"
            mixed.mkdir()
            for index, source in enumerate(("a", name)):
                for ending in ("npy", "jsonl", "json"):
                    text = (self.folder / source / f"part-00000-of-00001.{ending}").read_bytes()
                    if ending == "json":
                        text = text.replace(b"0/1", f"{index}/2".encode())
                    (mixed / f"part-{index:05d}-of-00002.{ending}").write_bytes(text)
        self.fails(1, "is of another store than", *job, "mixed-b", "-o", "x")
        self.fails(1, "is of another store than", *job, "mixed-c", "-o", "x")
        # A teacher's codebook for another one's features.
        for name, model in (("ours", "1" * 32), ("theirs", "2" * 32)):
            shutil.copytree(self.folder / "a", self.folder / name)
            sidecar = self.folder / name / "part-00000-of-00001.json"
            sidecar.write_text(sidecar.read_text().replace('"model": ""', f'"model": "{model}"'))
        self.succeeds(*job, "ours", "-o", "book")
        self.fails(1, f"model {'1' * 32}, these have {'2' * 32}", *job, "theirs", "-o", "x", "--init", "book")
        self.fails(1, f"model {'1' * 32}, these have {'2' * 32}", "retort-label", "--codebook", "book", "theirs", "-o", "x")
        self.leaves_nothing("x")

    def test_infinity_in_a_later_shard_is_named(self):
        for name in ("first", "second"):
            write_npy(self.folder / f"{name}.npy", [[float(i * j % 7) for j in range(1, 4)] for i in range(1, 40)])
            line = {"id": name, "path": "a.wav", "start": 0, "rate": 16000, "channel": 0, "samples": 39 * 320 + 80}
            (self.folder / f"{name}.jsonl").write_text(json.dumps(line) + "\n")
            self.succeeds("retort-copy", f"{name}.npy", name, "--corpus", f"{name}.jsonl")
        both = self.folder / "both"
        both.mkdir()
        for index, name in enumerate(("first", "second")):
            for ending in ("npy", "jsonl", "json"):
                content = (self.folder / name / f"part-00000-of-00001.{ending}").read_bytes()
                if ending == "json":
                    sidecar = json.loads(content)
                    sidecar["shard"], sidecar["origin"]["corpus"] = f"{index}/2", "both"
                    content = json.dumps(sidecar).encode()
                if ending == "npy" and index == 1:  # the second value of the last frame but four
                    content = content[:-5 * 12 + 4] + struct.pack("<f", -math.inf) + content[-5 * 12 + 8:]
                (both / f"part-{index:05d}-of-00002.{ending}").write_bytes(content)
        write_npy(self.folder / "start.npy", [[0.0, 1.0, 2.0], [3.0, 2.0, 1.0]])
        for options in ([], ["--init", "start.npy"], ["--init", "kmeans-parallel"], ["--memory", "1G"], ["--subspaces", 3],
                        ["--init", "start.npy", "--mini-batch", 5], ["--normalise", "meanvar"],
                        *([["--init", "start.npy", "--engine", "faiss"]] if WITH_FAISS else [])):
            with self.subTest(options):
                self.fails(1, "second frame 34: holds a value that is not finite", "retort-cluster", "-k", 2, "both", "-o", "x",
                           *options)
        self.leaves_nothing("x")

    def test_wrong_input(self):
        self.fails(1, "120 frames are too few for 121 clusters", "retort-cluster", "-k", 121, "x.npy", "-o", "cb")
        write_npy(self.folder / "same.npy", [(1, 2)] * 50)
        self.fails(1, "only 1 of 50 frames differ", "retort-cluster", "-k", 2, "same.npy", "-o", "cb")
        write_npy(self.folder / "nan.npy", [(1, 2), (3, float("nan")), (4, 5), (6, 7)])
        self.fails(1, "nan frame 1", "retort-cluster", "-k", 2, "nan.npy", "-o", "cb")
        self.fails(1, "no such frame store", "retort-cluster", "-k", 2, "none", "-o", "cb")
        self.leaves_nothing("cb")

    def test_a_full_disk_leaves_nothing(self):
        write_npy(self.folder / "wide.npy", [[math.sin(i * j) for j in range(64)] for i in range(1, 60)])
        self.fails_on_a_full_disk(2000, "centroids.npy", "retort-cluster", "-k", 10, "wide.npy", "-o", "cb")
        self.leaves_nothing("cb/codebook.json", "cb/centroids.npy")

    def test_wrong_usage(self):
        self.fails(2, "tolerance", "retort-cluster", "-k", 3, "x.npy", "-o", "cb", "--tolerance", -1)
        self.fails(2, "--normalise", "retort-cluster", "-k", 3, "x.npy", "-o", "cb", "--normalise", "most")
        self.fails(2, "--clusters", "retort-cluster", "-k", 0, "x.npy", "-o", "cb")
        self.fails(2, "--engine", "retort-cluster", "-k", 3, "x.npy", "-o", "cb", "--engine", "magic")
        self.fails(2, "--gpu-memory", "retort-cluster", "-k", 3, "x.npy", "-o", "cb", "--gpu-memory", "1G")
        self.fails(2, "engine torch", "retort-cluster", "-k", 3, "x.npy", "-o", "cb", "--engine", "torch")
        write_npy(self.folder / "two.npy", [(1, 2), (3, 4)])
        self.fails(2, "device tpu", "retort-cluster", "-k", 2, "two.npy", "-o", "cb", "--device", "tpu")
        self.fails(2, "init best", "retort-cluster", "-k", 3, "x.npy", "-o", "cb", "--init", "best")
        self.fails(2, "--output is required", "retort-cluster", "-k", 3, "x.npy")


class LabelTest(ToolTest):
    def setUp(self):
        super().setUp()
        for i in range(4):
            write_wav(self.folder / f"u{i}.wav", tone(0.6, 150 + 200 * i))
        self.succeeds("retort-prepare", "u0.wav", "u1.wav", "u2.wav", "u3.wav", "-o", "corpus.jsonl")
        self.succeeds("retort-cluster", "-k", 4, "--model", "mfcc", "corpus.jsonl", "-o", "cb")
        self.label = ["retort-label", "--codebook", "cb", "--model", "mfcc"]

    def test_units_of_a_few_files_on_standard_output(self):
        lines = self.succeeds(*self.label, "u0.wav", "u2.wav", "-o", "-").out.splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["u0", "u2"])
        frames = 1 + (9600 - 400) // 160
        self.assertEqual([len(line.split()) - 1 for line in lines], [frames, frames])
        short = self.succeeds(*self.label, "u0.wav", "-o", "-", "--dedup").out.split()[1:]
        self.assertTrue(all(a != b for a, b in zip(short, short[1:])))
        every = lines[0].split()[1:]
        self.assertEqual(short, [unit for i, unit in enumerate(every) if i == 0 or unit != every[i - 1]])

    def test_text_files_and_stores_agree(self):
        self.succeeds(*self.label, "corpus.jsonl", "-o", "units.km")
        self.succeeds(*self.label, "corpus.jsonl", "-o", "labels")
        self.succeeds("retort-copy", "labels", "copied.km")
        self.assertEqual((self.folder / "units.km").read_text(), (self.folder / "copied.km").read_text())
        self.assertIn("nothing to do", self.succeeds(*self.label, "corpus.jsonl", "-o", "labels").err)
        self.fails(1, "units.km: exists", *self.label, "corpus.jsonl", "-o", "units.km")

    def test_a_codebook_of_other_features(self):
        self.succeeds("retort-extract", "--model", "fbank", "--mel-bins", 39, "corpus.jsonl", "-o", "fbank")
        self.fails(1, "layer mfcc, these have fbank", "retort-label", "--codebook", "cb", "fbank", "-o", "x")
        self.succeeds("retort-extract", "--model", "mfcc", "--deltas", "false", "corpus.jsonl", "-o", "plain")
        self.fails(1, "dimension 39, these have 13", "retort-label", "--codebook", "cb", "plain", "-o", "x")
        self.fails(1, "layer mfcc, these have fbank", "retort-cluster", "-k", 4, "fbank", "--init", "cb", "-o", "x")
        self.leaves_nothing("x")

    def test_straight_from_audio_or_from_its_features(self):
        self.succeeds("retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "mfcc")
        for name, options in (("all", []), ("some", ["--points-per-centroid", 7])):
            self.succeeds("retort-cluster", "-k", 6, "mfcc", "-o", f"{name}-stored", *options)
            self.succeeds("retort-cluster", "-k", 6, "--model", "mfcc", "corpus.jsonl", "-o", f"{name}-heard", *options)
            self.assertEqual(self.bytes_of(f"{name}-stored")["centroids.npy"], self.bytes_of(f"{name}-heard")["centroids.npy"])
        self.fails(1, "is too little to hold", "retort-cluster", "-k", 6, "--model", "mfcc", "corpus.jsonl", "-o", "x", "--memory", "1M")

    def test_dry_runs(self):
        self.succeeds("retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "mfcc")
        plan = json.loads(self.succeeds("retort-cluster", "-k", 6, "mfcc", "-o", "codebook", "--dry-run").out)
        frames = json.loads(self.succeeds("retort-inspect", "--json", "mfcc").out)["frames"]
        self.assertEqual((plan["frames"], plan["dim"], plan["bytes"], plan["files"]), (frames, 39, 6 * 39 * 4, 2))
        self.assertGreater(plan["estimated_seconds"], 0)
        self.leaves_nothing("codebook")
        audio = json.loads(self.succeeds("retort-cluster", "-k", 6, "--model", "mfcc", "corpus.jsonl", "-o", "codebook",
                                         "--points-per-centroid", 5, "--dry-run").out)
        self.assertEqual(audio["frames"], 30)
        self.succeeds("retort-cluster", "-k", 6, "mfcc", "-o", "codebook")
        for name, source in (("from-store", ["mfcc"]), ("from-audio", ["--model", "mfcc", "corpus.jsonl"])):
            label = ["retort-label", "--codebook", "codebook", *source, "-o", name, "--shard", "0/2"]
            plan = json.loads(self.succeeds(*label, "--dry-run").out)
            self.leaves_nothing(name)
            self.fails(1, "of --keep-free", *label, "--keep-free", "976562G")
            self.succeeds(*label)
            made = self.bytes_of(name)
            self.assertEqual((plan["files"], plan["bytes"]), (len(made), sum(map(len, made.values()))))
        self.fails(2, "is for label stores", *label[:-3], "-", "--dry-run")

    def test_clusters_are_scored_by_phones_as_units_are(self):
        phones = [f"u{i} 1 {0.1 * j:.1f} 0.1 {'ABC'[(i + j) % 3] if j < 5 else 'SIL'}" for i in range(3) for j in range(6)]
        (self.folder / "phones.ctm").write_text("".join(line + "\n" for line in phones))
        self.succeeds("retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "mfcc")
        job = ["retort-cluster", "-k", 6, "--alignments", "phones.ctm"]
        for name, options in (("all", []), ("some", ["--points-per-centroid", 20])):
            report = json.loads(self.succeeds(*job, "mfcc", "-o", name, *options).out)
            heard = json.loads(self.succeeds(*job, "--model", "mfcc", "corpus.jsonl", "-o", f"{name}-heard", *options).out)
            self.assertEqual(report["phones"], heard["phones"])
            counted = sum(report["phones"][key] for key in report["phones"] if key.startswith("frames"))
            self.assertEqual(counted, report["frames"])
            self.assertGreater(report["phones"]["frames_without_alignment"], 0)
            self.assertEqual(self.read_json(f"{name}/codebook.json")["phones"], report["phones"])
        self.succeeds("retort-label", "--codebook", "all", "mfcc", "-o", "labels")
        self.succeeds("retort-evaluate", "units", "--labels", "labels", "--alignments", "phones.ctm", "-o", "units.json")
        units = self.read_json("units.json")
        ours = self.read_json("all/codebook.json")["phones"]
        for key, value in units["metrics"].items():
            self.assertEqual(ours[key], value)
        for key in ("frames", "frames_of_silence", "frames_outside_phones"):
            self.assertEqual(ours[key], units["counts"][key])

    def test_alignments_that_do_not_fit(self):
        job = ["retort-cluster", "-k", 6, "--model", "mfcc", "corpus.jsonl", "-o", "x", "--alignments", "phones.ctm"]
        self.fails(1, "phones.ctm", *job)
        (self.folder / "phones.ctm").write_text("other 1 0.0 0.1 A\n")
        self.fails(1, "aligns none of the 4 utterances", *job)
        (self.folder / "phones.ctm").write_text("u1 1 0.0 0.8 A\n")
        self.fails(1, "u1 is aligned to 0.80 s", *job)
        write_npy(self.folder / "x.npy", [(1, 2), (3, 4), (5, 6)])
        self.fails(2, "a .npy does not say", "retort-cluster", "-k", 2, "x.npy", "-o", "x", "--alignments", "phones.ctm")
        self.fails(2, "keeps no labels", "retort-cluster", "-k", 2, "x.npy", "-o", "x", "--alignments", "phones.ctm", "--step", "update")
        self.leaves_nothing("x")

    def test_frames_as_codes_of_a_product_codebook(self):
        self.succeeds("retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "mfcc")
        train = ["retort-cluster", "-k", 32, "--subspaces", 13]
        report = json.loads(self.succeeds(*train, "mfcc", "-o", "pq").out)
        self.assertEqual(len(report["parts"]), 13)
        self.assertAlmostEqual(report["inertia"], sum(part["inertia"] for part in report["parts"]))
        self.assertIn("nothing to do", self.succeeds(*train, "mfcc", "-o", "pq").err)
        self.succeeds(*train, "--model", "mfcc", "corpus.jsonl", "-o", "heard", "--threads", 1)
        self.assertEqual(self.bytes_of("heard")["centroids.npy"], self.bytes_of("pq")["centroids.npy"])
        self.assertIn("retort-product-codebook-1", self.succeeds("retort-inspect", "--json", "pq").out)

        # Extracted in two parts or copied, the codes are the same, and decoded they are as far off as the report says.
        for part in range(2):
            self.succeeds("retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "codes", "--dtype", "pq",
                          "--codebook", "pq", "--shard", f"{part}/2")
        self.succeeds("retort-inspect", "--check", "codes")
        self.succeeds("retort-copy", "mfcc", "copied", "--dtype", "pq", "--codebook", "pq")
        hashes = [json.loads(self.succeeds("retort-inspect", "--json", name).out)["hash"] for name in ("codes", "copied")]
        self.assertEqual(*hashes)
        values = {}
        shutil.rmtree(self.folder / "pq")  # the store decodes alone
        for name in ("mfcc", "codes"):
            self.succeeds("retort-copy", name, f"{name}.npy")
            values[name] = (self.folder / f"{name}.npy").read_bytes()
        header = 10 + int.from_bytes(values["mfcc"][8:10], "little")
        exact, decoded = (struct.unpack(f"<{(len(data) - header) // 4}f", data[header:]) for data in values.values())
        error = sum((a - b) ** 2 for a, b in zip(exact, decoded, strict=True)) / report["frames"]
        self.assertAlmostEqual(error / report["inertia"], 1, places=6)
        rows = (self.folder / "copied/part-00000-of-00001.npy").stat().st_size
        self.assertLess(rows, 13 * report["frames"] + 200)
        self.succeeds("retort-cluster", "-k", 3, "codes", "-o", "units")
        self.succeeds("retort-label", "--codebook", "units", "codes", "-o", "units.km")

    def test_product_codebooks_and_codes_that_do_not_fit(self):
        job = ["retort-cluster", "--model", "mfcc", "corpus.jsonl", "-o", "x"]
        self.fails(2, "equal pieces", *job, "-k", 8, "--subspaces", 5)
        self.fails(2, "a byte", *job, "-k", 257, "--subspaces", 3)
        self.fails(2, "not made in steps", *job, "-k", 8, "--subspaces", 3, "--step", "update")
        self.fails(2, "leave out --normalise", *job, "-k", 8, "--subspaces", 3, "--normalise", "l2")
        self.fails(2, "no units", *job, "-k", 8, "--subspaces", 3, "--alignments", "phones.ctm")
        self.succeeds(*job[:-1], "pq", "-k", 8, "--subspaces", 3)
        self.fails(1, "makes no labels", *self.label[:1], "--codebook", "pq", "--model", "mfcc", "u0.wav", "-o", "x")
        extract = ["retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "x"]
        self.fails(2, "needs a product codebook", *extract, "--dtype", "pq")
        self.fails(2, "no use for a codebook", *extract, "--codebook", "pq")
        self.fails(1, "--subspaces", *extract, "--dtype", "pq", "--codebook", "cb")
        self.fails(1, "layer mfcc, these have fbank", "retort-extract", "--model", "fbank", "--mel-bins", 39, "corpus.jsonl",
                   "-o", "x", "--dtype", "pq", "--codebook", "pq")
        self.leaves_nothing("x")

    def test_a_shard_of_the_features_is_missing(self):
        self.succeeds("retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "half", "--shard", "0/2")
        self.fails(1, "part 1 of 2 is missing", "retort-label", "--codebook", "cb", "half", "-o", "x")

    def test_parts_that_are_cut_short_or_of_another_run(self):
        for part in range(2):
            self.succeeds("retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "feats", "--shard", f"{part}/2")
            self.succeeds("retort-extract", "--model", "fbank", "corpus.jsonl", "-o", "others", "--shard", f"{part}/2")
        rows = self.folder / "feats/part-00001-of-00002.npy"
        whole = rows.read_bytes()
        for command in (["retort-label", "--codebook", "cb"], ["retort-cluster", "-k", 3]):
            rows.write_bytes(whole[:-8])
            self.fails(1, "part-00001-of-00002.npy", *command, "feats", "-o", "x")
            rows.write_bytes(whole)
            for ending in ("npy", "jsonl", "json"):
                name = f"part-00001-of-00002.{ending}"
                (self.folder / "mixed").mkdir(exist_ok=True)
                shutil.copy(self.folder / "others" / name, self.folder / "mixed" / name)
                first = f"part-00000-of-00002.{ending}"
                shutil.copy(self.folder / "feats" / first, self.folder / "mixed" / first)
            self.fails(1, "part-00001-of-00002.json: is of another store than", *command, "mixed", "-o", "x")
        self.leaves_nothing("x")

    def test_a_full_disk_leaves_nothing(self):
        self.fails_on_a_full_disk(256, "part-00000-of-00001", *self.label, "corpus.jsonl", "-o", "x")
        self.leaves_nothing("x/part-00000-of-00001.json", "x/part-00000-of-00001.npy")
        self.fails_on_a_full_disk(256, "x.km", *self.label, "corpus.jsonl", "-o", "x.km")
        self.leaves_nothing("x.km")

    def test_wrong_input_and_usage(self):
        self.fails(1, "is no codebook", "retort-label", "--codebook", "none", "--model", "mfcc", "u0.wav", "-o", "x")
        self.fails(1, "none.wav: no such file", *self.label, "none.wav", "-o", "x")
        self.fails(2, "--shard 2/2", *self.label, "corpus.jsonl", "-o", "x", "--shard", "2/2")
        self.fails(2, "--codebook is required", "retort-label", "--model", "mfcc", "u0.wav", "-o", "x")
        self.leaves_nothing("x")


if __name__ == "__main__":
    unittest.main()
