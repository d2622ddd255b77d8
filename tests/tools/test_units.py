"""Golden runs of units in the forms that people read: text with durations, JSONL, CTM and arrays, and back to labels."""

import itertools
import json
import math
import os
import struct
import subprocess

from harness import BIN, ToolTest, tone, write_wav
from small_models import read_npy
from test_cluster import write_npy

HOP = 160  # of mfcc


def runs_of(labels):
    """[(label, frames)] of a list of labels."""
    return [(label, len(list(group))) for label, group in itertools.groupby(labels)]


class UnitsTest(ToolTest):
    def setUp(self):
        super().setUp()
        for i in range(4):
            write_wav(self.folder / "wav" / f"u{i}.wav", tone(0.4 + 0.1 * i, 150 + 200 * i))
        self.succeeds("retort-prepare", "wav", "-o", "corpus.jsonl")
        self.succeeds("retort-cluster", "-k", 4, "--model", "mfcc", "corpus.jsonl", "-o", "cb", "--labels", "labels")
        self.succeeds("retort-copy", "labels", "labels.txt")
        lines = (line.split() for line in self.text("labels.txt").splitlines())
        self.labels = {fields[0]: [int(label) for label in fields[1:]] for fields in lines}
        self.label = ["retort-label", "--codebook", "cb", "--model", "mfcc", "corpus.jsonl", "-o"]
        self.store = ["--corpus", "corpus.jsonl", "--layer", "mfcc", "--hop", HOP, "--clusters", 4]

    def text(self, name):
        return (self.folder / name).read_text()

    def json_lines(self, text):
        return [json.loads(line) for line in text.splitlines()]

    def written(self, output, *options):
        """The file as retort-label writes it of the audio; retort-copy writes the same of the label store."""
        self.succeeds(*self.label, output, *options)
        data = (self.folder / output).read_bytes()
        self.succeeds("retort-copy", "labels", output, *options, "--overwrite")
        self.assertEqual((self.folder / output).read_bytes(), data)
        return data.decode()


class FormsTest(UnitsTest):
    def test_jsonl(self):
        plain = self.json_lines(self.written("plain.jsonl"))
        self.assertEqual(plain, [{"id": name, "units": labels} for name, labels in self.labels.items()])
        runs = {name: runs_of(labels) for name, labels in self.labels.items()}
        self.assertTrue(all(len(one) < len(self.labels[name]) for name, one in runs.items()))
        merged = self.json_lines(self.written("merged.jsonl", "--dedup"))
        self.assertEqual(merged, [{"id": name, "units": [unit for unit, _ in one], "durations": [frames for _, frames in one]}
                                  for name, one in runs.items()])
        for line in self.json_lines(self.written("times.jsonl", "--dedup", "--times")):
            ends = list(itertools.accumulate(line["durations"]))
            self.assertEqual(line["end"], [frame * HOP / 16000 for frame in ends])
            self.assertEqual(line["start"], [0.0, *line["end"][:-1]])
        first = self.json_lines(self.written("frames.jsonl", "--times"))[0]
        self.assertEqual(first["start"][:3], [0.0, 0.01, 0.02])
        self.assertEqual(len(first["end"]), len(self.labels["u0"]))
        self.assertNotIn("durations", first)

    def test_text_with_durations_and_without(self):
        for ending, prefix in (("txt", "{} "), ("km", "")):
            merged = self.written(f"merged.{ending}", "--dedup").splitlines()
            lasting = self.written(f"lasting.{ending}", "--dedup", "--durations").splitlines()
            for line, durations, (name, labels) in zip(merged, lasting, self.labels.items(), strict=True):
                runs = runs_of(labels)
                self.assertEqual(line, prefix.format(name) + " ".join(str(unit) for unit, _ in runs))
                self.assertEqual(durations, prefix.format(name) + " ".join(f"{unit}:{frames}" for unit, frames in runs))

    def test_ctm(self):
        self.written("frames.ctm")
        lines = [line.split() for line in self.written("runs.ctm", "--dedup").splitlines()]
        expected = [(name, unit, frames) for name, labels in self.labels.items() for unit, frames in runs_of(labels)]
        self.assertEqual([(name, int(unit)) for name, _, _, _, unit in lines], [one[:2] for one in expected])
        self.assertEqual({channel for _, channel, *_ in lines}, {"1"})
        self.assertEqual([duration for _, _, _, duration, _ in lines], [f"{frames * HOP / 16000:.2f}" for *_, frames in expected])
        self.assertEqual(self.succeeds(*self.label, "-", "--dedup", "--times").out, self.text("runs.ctm"))
        # Held against the times in the CTM, the labels are those of its "phones" (a frame is where its middle is).
        for name in ("frames", "runs"):
            self.succeeds("retort-evaluate", "units", "--labels", "labels", "--alignments", f"{name}.ctm", "-o", f"{name}.json")
            counts = self.read_json(f"{name}.json")["counts"]
            self.assertEqual(counts["utterances"], 4)
            self.assertGreater(counts["phone_hits"], 0.8 * counts["frames"])

    def test_arrays(self):
        frames = [label for labels in self.labels.values() for label in labels]
        for options, values, lengths in (
                ([], frames, [len(labels) for labels in self.labels.values()]),
                (["--dedup"], [unit for labels in self.labels.values() for unit, _ in runs_of(labels)],
                 [len(runs_of(labels)) for labels in self.labels.values()])):
            for command in (self.label, ["retort-copy", "labels"]):
                self.succeeds(*command, "units.npy", *options, *([] if command is self.label else ["--overwrite"]))
                shape, payload = read_npy(self.folder / "units.npy")
                self.assertEqual(shape, (len(values),))
                self.assertEqual(list(struct.unpack(f"<{len(values)}i", payload)), values)
                self.assertEqual([int(line) for line in self.text("units.len").split()], lengths)
            (self.folder / "units.npy").unlink()
            (self.folder / "units.len").unlink()

    def test_standard_output(self):
        self.assertEqual(self.succeeds(*self.label, "-").out, self.text("labels.txt"))
        self.assertEqual(self.succeeds(*self.label, "jsonl:-", "--dedup").out, self.written("units.jsonl", "--dedup"))
        self.assertEqual(self.succeeds("retort-copy", "labels", "jsonl:-", "--dedup").out, self.text("units.jsonl"))
        full = lambda: os.dup2(os.open("/dev/full", os.O_WRONLY), 1)  # noqa: E731
        self.fails(1, "standard output: writing failed", *self.label, "jsonl:-", preexec=full)

    def test_each_utterance_is_handed_on_when_it_is_labelled(self):
        """Units of the first entries of a table come out while the next one is not there yet."""
        table = self.succeeds("retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "ark,t:-").out
        entries = [entry + "]\n" for entry in table.split("]\n")[:-1]]
        for output in ("-", "jsonl:-"):
            with subprocess.Popen([str(BIN / "retort-label"), "--codebook", "cb", "ark:-", "-o", output], cwd=self.folder, text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
                for entry in entries:
                    process.stdin.write(entry)
                    process.stdin.flush()
                    self.assertIn(entry.split()[0], process.stdout.readline())
                process.stdin.close()
                self.assertEqual(process.stdout.read(), "")
            self.assertEqual(process.returncode, 0)

    def test_full_disks_and_outputs_that_exist_stay_as_they_are(self):
        for output in ("units.jsonl", "units.ctm", "units.npy"):
            self.fails_on_a_full_disk(100, "writing failed", *self.label, output)
            self.leaves_nothing(output)
            (self.folder / output).write_text("old")
            self.fails(1, f"{output}: exists", *self.label, output)
            self.fails(1, f"{output}: exists", "retort-copy", "labels", output)
            self.assertEqual(self.text(output), "old")
            self.succeeds(*self.label, output, "--overwrite")
        self.leaves_nothing()


class InverseTest(UnitsTest):
    def test_runs_with_durations_become_the_labels_of_the_frames_again(self):
        self.succeeds("retort-copy", "labels", "labels.km")
        for name in ("r.txt", "r.km", "r.jsonl"):
            self.succeeds(*self.label, name, "--dedup", "--durations")
            self.assertNotEqual((self.folder / name).read_bytes().split()[1:], self.text("labels.txt").split()[1:])
            for output in ("labels.txt", "labels.km"):
                corpus = ["--corpus", "corpus.jsonl"] if name == "r.km" else []
                self.succeeds("retort-copy", name, f"again-{output}", *corpus, "--overwrite")
                self.assertEqual(self.text(f"again-{output}"), self.text(output))
            self.succeeds("retort-copy", name, f"{name}-store", *self.store)
            ours, theirs = self.bytes_of(f"{name}-store"), self.bytes_of("labels")
            for ending in ("npy", "jsonl"):
                self.assertEqual(ours[f"part-00000-of-00001.{ending}"], theirs[f"part-00000-of-00001.{ending}"])
            self.succeeds("retort-inspect", "--check", f"{name}-store")
            # And the runs come back from the labels.
            self.succeeds("retort-copy", f"{name}-store", f"2{name}", "--dedup", "--durations")
            self.assertEqual((self.folder / f"2{name}").read_bytes(), (self.folder / name).read_bytes())

    def test_labels_of_each_frame_are_read_too(self):
        for name in ("labels.txt", "labels.jsonl"):
            self.succeeds("retort-copy", "labels", name, "--overwrite")
            self.assertEqual(self.succeeds("retort-copy", name, "-").out, self.text("labels.txt"))
            self.assertEqual(self.succeeds("retort-copy", name, "ark,t:-").out.split(), self.text("labels.txt").split())

    def test_runs_without_durations_stay_runs(self):
        self.succeeds(*self.label, "merged", "--dedup")
        self.assertTrue(self.read_json("merged/part-00000-of-00001.json")["dedup"])
        self.succeeds("retort-copy", "labels", "copied", "--dedup")
        self.assertEqual(self.bytes_of("copied")["part-00000-of-00001.npy"], self.bytes_of("merged")["part-00000-of-00001.npy"])
        self.assertTrue(self.read_json("copied/part-00000-of-00001.json")["dedup"])
        self.assertEqual(self.succeeds("retort-copy", "merged", "-").out, self.succeeds(*self.label, "-", "--dedup").out)
        for option in ("--dedup", "--times"):
            self.fails(1, "how long they last is not known", "retort-copy", "merged", "x.jsonl", option)
        self.fails(1, "how long they last is not known", "retort-copy", "merged", "x.ctm")
        self.leaves_nothing("x.jsonl", "x.ctm")

    def test_lines_that_are_wrong_are_named(self):
        for name, content, text in (
                ("x.txt", "u0 1 2\nu1 1:0\n", "x.txt:2: is no list of labels"), ("x.txt", "u0 1\nu0 2\n", "x.txt:2: u0 comes twice"),
                ("x.txt", " 1 2\n", "x.txt:1: names no utterance"), ("x.txt", "", "holds no utterance"),
                ("x.txt", "a  [\n  1 2 ]\n", "features as text are a table, ark:FILE"),
                ("x.jsonl", '{"id": "a", "units": [1, 2], "durations": [3]}\n', "x.jsonl:1: has 2 units and 1 durations"),
                ("x.jsonl", '{"id": "a"}\n', 'no "units" in it'), ("x.jsonl", '{"id": "a", "units": [-2]}\n', "negative"),
                ("x.jsonl", "a 1 2\n", "not JSON"), ("x.km", "1:2 3:\n", "x.km:1: is no list of labels")):
            with self.subTest(content):
                (self.folder / name).write_text(content)
                self.fails(1, text, "retort-copy", name, "out", "--corpus", "corpus.jsonl")
        (self.folder / "x.jsonl").write_text('{"id": "a", "units": [1]}\n')
        self.fails(1, "has no utterance a", "retort-copy", "x.jsonl", "out", "--corpus", "corpus.jsonl")
        self.fails(1, "holds label 1, K is 1", "retort-copy", "x.jsonl", "out", "--clusters", 1)
        self.leaves_nothing("out/part-00000-of-00001.json")


class StandardInputTest(UnitsTest):
    def piped(self, name, data, *args):
        done = subprocess.run([str(BIN / name), *map(str, args)], cwd=self.folder, input=data, capture_output=True, timeout=600)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def test_audio_from_standard_input(self):
        audio = (self.folder / "wav/u1.wav").read_bytes()
        label = ["retort-label", "--codebook", "cb", "--model", "mfcc"]
        expected = self.text("labels.txt").splitlines()[1].replace("u1", "stdin") + "\n"
        self.assertEqual(self.piped(label[0], audio, *label[1:], "-", "-o", "-")[:2], (0, expected))
        # As programs write it to a pipe, with no length in the header.
        stream = audio[:4] + b"\xff" * 4 + audio[8:40] + b"\xff" * 4 + audio[44:]
        code, out, err = self.piped(label[0], stream, *label[1:], "-", "-o", "jsonl:-", "--dedup")
        self.assertEqual(code, 0, err)
        self.assertEqual(json.loads(out)["id"], "stdin")
        self.assertEqual(json.loads(out)["units"], [unit for unit, _ in runs_of(self.labels["u1"])])
        # Among files, and with their names where it would have one of theirs.
        code, out, err = self.piped(label[0], audio, *label[1:], "wav/u0.wav", "-", "wav/u2.wav", "-o", "-")
        self.assertEqual([line.split()[0] for line in out.splitlines()], ["u0", "stdin", "u2"], err)
        (self.folder / "stdin.wav").write_bytes(audio)
        self.assertEqual([line.split()[0] for line in self.piped(label[0], audio, *label[1:], "-", "stdin.wav", "-o", "-")[1].splitlines()],
                         ["-", "stdin.wav"])

    def test_features_and_codebooks_of_standard_input(self):
        audio = (self.folder / "wav/u3.wav").read_bytes()
        self.assertEqual(self.piped("retort-extract", audio, "--model", "mfcc", "-", "-o", "ark:piped.ark")[0], 0)
        self.succeeds("retort-extract", "--model", "mfcc", "wav/u3.wav", "-o", "ark:named.ark")
        piped, named = ((self.folder / f"{name}.ark").read_bytes() for name in ("piped", "named"))
        self.assertEqual(piped, named.replace(b"u3 ", b"stdin "))
        code, _, err = self.piped("retort-cluster", audio, "-k", 3, "--model", "mfcc", "-", "-o", "book", "--points-per-centroid", 5,
                                  "--labels", "l.km")
        self.assertEqual(code, 0, err)
        self.succeeds("retort-label", "--codebook", "book", "--model", "mfcc", "wav/u3.wav", "-o", "n.km")
        self.assertEqual(self.text("l.km"), self.text("n.km"))

    def test_what_cannot_be_read_from_standard_input(self):
        label = ["retort-label", "--codebook", "cb", "--model", "mfcc", "-o", "x.km"]
        for data, text in ((b"", "stdin"), (b"no audio", "not an audio file"),
                           ((self.folder / "wav/u1.wav").read_bytes()[:3000], "cut short")):
            code, out, err = self.piped(label[0], data, *label[1:], "-")
            self.assertEqual((code, out), (1, ""))
            self.assertIn("skipping stdin", err)
            self.assertIn(text, err)
        self.fails(1, "-: given twice", *label, "-", "-", stdin="")
        self.fails(2, "needs --model; ark:- reads a table", "retort-label", "--codebook", "cb", "-", "-o", "x.km", stdin="")
        self.fails(2, "needs --model; ark:- reads a table", "retort-cluster", "-", "-o", "x", stdin="")
        # In a corpus it is the name of a file.
        line = {**self.json_lines(self.text("corpus.jsonl"))[0], "path": "-"}
        (self.folder / "one.jsonl").write_text(json.dumps(line) + "\n")
        self.assertIn("./-: no such file", self.fails(1, "1 missing", *label, "one.jsonl", stdin="").err)
        self.leaves_nothing("x", "x.km")


class SoftTest(UnitsTest):
    def rows(self, name):
        shape, payload = read_npy(self.folder / name)
        return [list(row) for row in struct.iter_unpack(f"<{shape[1]}f", payload)]

    def check_distances(self, book, distances, frames, labels):
        """`distances` are those of `frames` from the centroids, and the nearest one is the label."""
        centroids = self.rows(f"{book}/centroids.npy")
        self.assertEqual(len(distances), len(frames))
        for row, frame, label in zip(distances, frames, labels, strict=True):
            for distance, centroid in zip(row, centroids, strict=True):
                exact = math.fsum((a - b) ** 2 for a, b in zip(frame, centroid, strict=True))
                self.assertAlmostEqual(distance, exact, delta=1e-6 * exact)
            self.assertEqual(row.index(min(row)), label)

    def test_distances_as_store_array_and_table(self):
        self.succeeds("retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "feats")
        self.succeeds("retort-copy", "feats", "feats.npy")
        labels = [label for one in self.labels.values() for label in one]
        self.succeeds(*self.label, "soft.npy", "--soft")
        self.check_distances("cb", self.rows("soft.npy"), self.rows("feats.npy"), labels)
        self.assertEqual(self.text("soft.len"), self.text("feats.len"))
        array = read_npy(self.folder / "soft.npy")
        for part in range(2):
            self.succeeds(*self.label, "soft", "--soft", "--shard", f"{part}/2")
        self.succeeds("retort-label", "--codebook", "cb", "feats", "-o", "ark:soft.ark", "--soft", "--threads", 1)
        for source in ("soft", "ark:soft.ark"):
            self.succeeds("retort-copy", source, "again.npy", "--overwrite")
            self.assertEqual(read_npy(self.folder / "again.npy"), array)
        self.assertIn("nothing to do", self.succeeds(*self.label, "soft", "--soft", "--shard", "0/2").err)

        # The store says what it is, and is not taken for frames of the layer.
        self.succeeds("retort-copy", "soft", "copied", "--dtype", "f16")
        for store in ("soft", "copied"):
            about = json.loads(self.succeeds("retort-inspect", "--json", "--lineage", "--check", store).out)
            self.assertEqual((about["content"], about["dim"]), ("features", 4))
            self.assertEqual((about["made_from"]["layer"], about["made_from"]["codebook"]),
                             ("mfcc-distances", self.read_json("cb/codebook.json")["hash"]))
        self.succeeds("retort-cluster", "-k", 2, "soft", "-o", "of-distances")
        self.fails(1, "dimension 39, these have 4", "retort-label", "--codebook", "cb", "soft", "-o", "x.km")
        self.fails(1, "part-00000-of-00002", *self.label, "soft", "--shard", "0/2")

    def test_distances_of_normalised_frames(self):
        frames = [[3.0 * math.cos(i), 4.0 * math.sin(1.7 * i), 1.0] for i in range(1, 60)]
        write_npy(self.folder / "rows.npy", frames)
        self.succeeds("retort-cluster", "-k", 5, "rows.npy", "-o", "book", "--normalise", "l2", "--labels", "l.km")
        self.succeeds("retort-label", "--codebook", "book", "rows.npy", "-o", "soft.npy", "--soft")
        frames = self.rows("rows.npy")  # as f32
        unit = [[value / math.sqrt(math.fsum(x * x for x in row)) for value in row] for row in frames]
        unit = [list(struct.unpack("<3f", struct.pack("<3f", *row))) for row in unit]
        self.check_distances("book", self.rows("soft.npy"), unit, [int(label) for label in self.text("l.km").split()])

    def test_what_has_no_distances(self):
        for output in ("x.txt", "x.km", "x.jsonl", "x.ctm", "-", "jsonl:-"):
            self.fails(2, "is for labels; name a store", *self.label, output, "--soft")
        for option in ("--dedup", "--times"):
            self.fails(2, "are of labels", *self.label, "x", "--soft", option)
        self.fails(2, "computes all distances itself", *self.label, "x", "--soft", "--engine", "native")
        self.leaves_nothing("x", "x.txt", "x.km", "x.jsonl", "x.ctm")


class RefusedTest(UnitsTest):
    def test_options_without_a_meaning(self):
        for output, options, text in (
                ("x.txt", ["--durations"], "goes with --dedup"), ("x.ctm", ["--dedup", "--durations"], "a CTM states them in seconds"),
                ("-", ["--dedup", "--durations", "--times"], "a CTM states them in seconds"),
                ("x", ["--dedup", "--durations"], "x holds units alone"), ("x.npy", ["--dedup", "--durations"], "holds units alone"),
                ("ark:x", ["--dedup", "--durations"], "holds units alone"), ("x", ["--times"], "holds units alone"),
                ("x.km", ["--times"], "holds units alone"), ("x.npy", ["--times"], "holds units alone"),
                ("ark,t:-", ["--times"], "holds units alone")):
            with self.subTest(output, options=options):
                self.fails(2, text, *self.label, output, *options)
                self.fails(2, text, "retort-copy", "labels", output, *options)
        for output in ("dict.km.txt", "x.tsv"):
            self.fails(2, "holds no units", "retort-copy", "labels", output, "--dedup")
        self.succeeds("retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "feats")
        for output in ("x.jsonl", "x.ctm", "jsonl:-"):
            self.fails(1, f"{output} is for labels", "retort-copy", "feats", output)
        self.fails(1, "are of labels", "retort-copy", "feats", "-", "--dedup")
        self.leaves_nothing("x", "x.txt", "x.ctm", "x.npy", "x.km", "x.jsonl", "x.tsv")

    def test_times_of_frames_that_have_none(self):
        write_npy(self.folder / "rows.npy", [[float(i * j % 7) for j in range(1, 5)] for i in range(30)])
        self.succeeds("retort-cluster", "-k", 3, "rows.npy", "-o", "book")
        for output, options in (("x.ctm", []), ("x.jsonl", ["--times"])):
            self.fails(1, "do not say how far apart they are", "retort-label", "--codebook", "book", "rows.npy", "-o", output, *options)
        error = self.fails(1, "do not say how far apart they are", "retort-cluster", "-k", 2, "rows.npy", "-o", "new", "--labels", "x.ctm")
        self.assertNotIn("kmeans", error.err)
        self.leaves_nothing("x.ctm", "x.jsonl", "new")

    def test_ids_with_white_space(self):
        (self.folder / "wav/u0.wav").rename(self.folder / "wav/a b.wav")
        command = ["retort-label", "--codebook", "cb", "--model", "mfcc", "wav/a b.wav", "-o"]
        self.fails(1, 'utterance "a b": a CTM', *command, "x.ctm")
        self.assertEqual(self.json_lines(self.succeeds(*command, "jsonl:-").out)[0]["id"], "a b")
        self.leaves_nothing("x.ctm")
