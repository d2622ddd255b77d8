"""The promises that hold across tools: sharding changes no byte, and neither does being killed."""

import json
import os
import signal
import struct
import subprocess
import time

from harness import BIN, FIXTURES, ToolTest, tone, write_wav

MODEL = FIXTURES / "model" / "post"


def rows_of(store):
    """All values of a store, part after part, without the headers of the .npy files."""
    values = b""
    for part in sorted(store.glob("*.npy")):
        data = part.read_bytes()
        values += data[10 + struct.unpack("<H", data[8:10])[0]:]
    return values


def floats(data):
    return struct.unpack(f"<{len(data) // 4}f", data)


class PipelineTest(ToolTest):
    def setUp(self):
        super().setUp()
        for i in range(24):
            write_wav(self.folder / "wav" / f"u{i:02}.wav", tone(0.3 + 0.11 * (i * 7 % 24), 120 + 31 * i))
        self.succeeds("retort-prepare", "wav", "-o", "corpus.jsonl")

    def run_chain(self, name, parts, model="mfcc"):
        """Features, codebook and labels in `parts` shards below `name`."""
        layer = ["--layer", "enc2"] if model != "mfcc" else []
        for part in range(parts):
            self.succeeds("retort-extract", "--model", model, *layer, "corpus.jsonl", "-o", f"{name}/feats", "--shard",
                          f"{part}/{parts}")
        self.succeeds("retort-cluster", "-k", 9, f"{name}/feats", "-o", f"{name}/codebook")
        for part in range(parts):
            self.succeeds("retort-label", "--codebook", f"{name}/codebook", f"{name}/feats", "-o", f"{name}/labels",
                          "--shard", f"{part}/{parts}")
        return self.folder / name

    def test_one_and_seven_shards_give_the_same_bytes(self):
        one, seven = self.run_chain("one", 1), self.run_chain("seven", 7)
        self.assertEqual(len(list((seven / "feats").glob("*.npy"))), 7)
        self.assertEqual(rows_of(one / "feats"), rows_of(seven / "feats"))
        self.assertEqual(self.bytes_of("one/codebook"), self.bytes_of("seven/codebook"))
        self.assertEqual(rows_of(one / "labels"), rows_of(seven / "labels"))

    def test_model_features_are_the_same_in_one_and_seven_shards(self):
        one, seven = self.run_chain("one", 1, MODEL), self.run_chain("seven", 7, MODEL)
        a, b = floats(rows_of(one / "feats")), floats(rows_of(seven / "feats"))
        rms = (sum(value * value for value in a) / len(a)) ** 0.5
        self.assertEqual(len(a), len(b))
        self.assertLessEqual(max(abs(x - y) for x, y in zip(a, b)), 1e-5 * rms)

    def test_threads_change_no_byte(self):
        self.succeeds("retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "feats")
        for threads in (1, 2, 3):
            self.succeeds("retort-cluster", "-k", 9, "feats", "-o", f"cb{threads}", "--threads", threads)
            self.assertEqual(self.bytes_of("cb1"), self.bytes_of(f"cb{threads}"))

    def test_straight_from_audio_gives_the_same_codebook_and_labels(self):
        self.run_chain("files", 1)
        self.succeeds("retort-cluster", "-k", 9, "--model", "mfcc", "corpus.jsonl", "-o", "codebook")
        self.succeeds("retort-label", "--codebook", "codebook", "--model", "mfcc", "corpus.jsonl", "-o", "labels")
        self.assertEqual(self.bytes_of("files/codebook"), self.bytes_of("codebook"))
        self.assertEqual(self.bytes_of("files/labels"), self.bytes_of("labels"))

    def check_killed(self, output, command):
        """Kills a command at ever later times; after each, the same command gives what an unbroken one gives."""
        self.succeeds(*command, output + "-whole")
        for wait in (0.005, 0.02, 0.05, 0.1):
            process = subprocess.Popen([str(BIN / command[0]), *map(str, command[1:]), output], cwd=self.folder,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(wait)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            self.succeeds(*command, output)
            self.assertEqual(self.bytes_of(output), self.bytes_of(output + "-whole"))
            for path in (self.folder / output).iterdir():
                path.unlink()

    def test_killed_extract(self):
        self.check_killed("feats", ["retort-extract", "--model", "mfcc", "corpus.jsonl", "-o"])

    def test_killed_cluster(self):
        self.check_killed("codebook", ["retort-cluster", "-k", 30, "--model", "mfcc", "corpus.jsonl", "-o"])

    def test_killed_label(self):
        self.succeeds("retort-cluster", "-k", 9, "--model", "mfcc", "corpus.jsonl", "-o", "cb")
        self.check_killed("labels", ["retort-label", "--codebook", "cb", "--model", "mfcc", "corpus.jsonl", "-o"])

    def long_corpus(self, utterances):
        """A corpus of minutes of work: one recording under many names."""
        line = json.loads((self.folder / "corpus.jsonl").read_text().splitlines()[-1])
        with open(self.folder / "long.jsonl", "w") as file:
            for i in range(utterances):
                file.write(json.dumps({**line, "id": f"v{i}"}) + "\n")

    def check_stopped(self, tool, *args):
        """SIGINT while the tool works through the long corpus: its exit code and words, and no half-written file."""
        self.long_corpus(50_000)
        with subprocess.Popen([str(BIN / tool), *args, "long.jsonl", "-o", "out", "--progress"], cwd=self.folder,
                              stderr=subprocess.PIPE, text=True) as process:
            process.stderr.read(16)  # the first of its progress: the work has begun
            process.send_signal(signal.SIGINT)
            err = process.communicate()[1]
        self.assertEqual(process.returncode, 128 + signal.SIGINT, err)
        self.assertIn("stopped by signal 2", err.splitlines()[-1])
        self.leaves_nothing("out/part-00000-of-00001.json", "out/codebook.json")

    def test_extract_stopped_by_a_signal_leaves_only_whole_parts(self):
        self.check_stopped("retort-extract", "--model", "mfcc")

    def test_cluster_stopped_by_a_signal_leaves_no_codebook(self):
        self.check_stopped("retort-cluster", "-k", "20", "--model", "mfcc")

    def test_label_stopped_by_a_signal_leaves_only_whole_parts(self):
        self.succeeds("retort-cluster", "-k", 9, "--model", "mfcc", "corpus.jsonl", "-o", "cb")
        self.check_stopped("retort-label", "--codebook", "cb", "--model", "mfcc")


class BadAudioTest(ToolTest):
    """A corpus whose audio went bad after it was prepared."""

    def setUp(self):
        super().setUp()
        for i in range(10):
            write_wav(self.folder / "wav" / f"u{i}.wav", tone(1, 150 + 60 * i))
        self.succeeds("retort-prepare", "wav", "-o", "corpus.jsonl")

    def test_bad_utterances_are_named_counted_and_judged(self):
        (self.folder / "wav/u3.wav").write_bytes(b"not audio")
        (self.folder / "wav/u5.wav").unlink()
        command = ["retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "feats"]
        result = self.fails(1, "2 of 10 utterances were bad (1 missing, 1 not-audio)", *command)
        self.assertIn("skipping u3", result.err)
        self.assertIn("skipping u5", result.err)
        self.leaves_nothing("feats/part-00000-of-00001.json")
        self.succeeds(*command, "--max-bad", 0.2)
        sidecar = self.read_json("feats/part-00000-of-00001.json")
        self.assertEqual((sidecar["utterances"], sidecar["bad"]), (8, {"missing": 1, "not-audio": 1}))

    def test_all_bad(self):
        for i in range(10):
            (self.folder / f"wav/u{i}.wav").unlink()
        self.fails(1, "all 10 utterances were bad", "retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "feats",
                   "--max-bad", 1)

    def test_truncated_since(self):
        path = self.folder / "wav/u2.wav"
        path.write_bytes(path.read_bytes()[:20000])
        self.fails(1, "1 truncated", "retort-extract", "--model", "mfcc", "corpus.jsonl", "-o", "feats")


if __name__ == "__main__":
    import unittest
    unittest.main()
