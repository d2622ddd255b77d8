"""retort-distill in several processes: the gradients and the student of one, stops, losses and refusals."""

import json
import signal
import socket
import struct
import time

from harness import free_port, needs_torch
from small_models import read_tensors
from test_distill import METHODS, SMALL, SMALL_BATCHES, TonesTest, overrides


def values_of(path, beginning=""):
    """All float32 values of a safetensors file, of the tensors whose names begin so."""
    tensors = read_tensors(path)
    return [value for name in sorted(tensors) if name.startswith(beginning)
            for value in struct.unpack(f"<{len(tensors[name][2]) // 4}f", tensors[name][2])]


def relative_difference(ours, theirs):
    """Norm of the difference over the norm of the second."""
    difference = sum((a - b) ** 2 for a, b in zip(ours, theirs, strict=True))
    return (difference / sum(b * b for b in theirs)) ** 0.5


@needs_torch
class ProcessesTest(TonesTest):
    def setUp(self):
        super().setUp()
        self.make_labels("labels", 6)

    def command(self, run, *more, steps=25, values=()):
        return ["retort-distill", "--recipe", "hubert", "--labels", "labels", "corpus.jsonl", "-o", run,
                "--steps", steps, "--threads", 1, *overrides([*SMALL, *values]), *more]

    def train(self, count, command):
        ended = self.finish(self.start(*[command] * count))
        self.assertEqual([process.code for process in ended], [0] * count, ended)

    def log(self, run):
        return [json.loads(line) for line in (self.folder / run / "log.jsonl").read_text().splitlines()]

    def wait_for_checkpoint(self, run, processes):
        while not list((self.folder / run / "checkpoints").glob("step-*/state.safetensors")):
            self.assertEqual([process.poll() for process in processes], [None] * len(processes))
            time.sleep(0.002)

    def student(self, run):
        return self.folder / run / "student" / "model.safetensors"

    def test_gradients_are_those_of_one(self):
        # After the first update the first moment is the gradient times 1 - beta1. Every crop is a micro batch of
        # its own, of which an update has two or three: of four processes there is always one without any.
        for count, values in [(2, []), (2, ["batch.micro_seconds=1"]), (4, ["batch.micro_seconds=1"])]:
            with self.subTest(count=count, values=values):
                values = ["checkpoint_every=1", *values]
                self.train(1, self.command("one", "--overwrite", steps=2, values=values))
                self.train(count, self.command("more", "--overwrite", steps=2, values=values))
                one, more = (values_of(self.folder / run / "checkpoints/step-00000001/state.safetensors",
                                       "first_moment.") for run in ("one", "more"))
                self.assertGreater(max(map(abs, one)), 0)
                self.assertLess(relative_difference(more, one), 1e-5)

    def test_student_and_log_are_those_of_one(self):
        validation = ["--validation", "corpus.jsonl", "--validation-labels", "labels"]
        for count in (1, 2):
            self.train(count, self.command(f"run{count}", *validation, values=["validate_every=10"]))
        self.assertLess(relative_difference(values_of(self.student("run2")), values_of(self.student("run1"))), 1e-4)
        one, two = self.log("run1"), self.log("run2")
        self.assertEqual([line["step"] for line in two], [5, 10, 10, 15, 20, 20, 25, 25])
        self.assertEqual([line["step"] for line in one], [line["step"] for line in two])
        for ours, theirs in zip(two, one):
            ours, theirs = ours.get("validation", ours), theirs.get("validation", theirs)
            self.assertEqual(list(ours), list(theirs))
            self.assertEqual(ours["audio_seconds"], theirs["audio_seconds"])
            for part in ("masked", "unmasked"):
                self.assertEqual(ours[part]["frames"], theirs[part]["frames"])
                self.assertAlmostEqual(ours[part]["loss"], theirs[part]["loss"], delta=1e-3)
            self.assertAlmostEqual(ours["target_perplexity"], theirs["target_perplexity"], delta=1e-3)

    def test_methods_that_leave_layers_out(self):
        self.train(1, self.command("teacher", steps=10))
        for recipe in ["distilhubert", "dkd-lstm"]:
            with self.subTest(recipe):
                for count in (1, 3):
                    self.train(count, [
                        "retort-distill", "--recipe", recipe, "--teacher", "teacher/student", "corpus.jsonl",
                        "-o", f"{recipe}{count}", "--steps", 10, "--threads", 1,
                        *overrides([*METHODS[recipe], *SMALL_BATCHES, "batch.micro_seconds=1"])])
                self.assertLess(relative_difference(values_of(self.student(f"{recipe}3")),
                                                    values_of(self.student(f"{recipe}1"))), 1e-4)

    def test_a_signal_to_one_stops_all_and_any_number_goes_on(self):
        steps = 200
        self.train(2, self.command("whole", steps=steps))
        for count, run in [(2, "two"), (1, "one")]:
            processes = self.start(*[self.command(run, steps=steps)] * 2)
            self.wait_for_checkpoint(run, processes)
            processes[1].send_signal(signal.SIGTERM)
            self.assertEqual([process.code for process in self.finish(processes)], [128 + signal.SIGTERM] * 2)
            self.assertFalse((self.folder / run / "student").exists())
            self.train(count, self.command(run, steps=steps))
        self.assertEqual(self.bytes_of("whole/student"), self.bytes_of("two/student"))
        self.assertEqual(self.log("whole")[-1]["step"], self.log("two")[-1]["step"])
        self.assertLess(relative_difference(values_of(self.student("one")), values_of(self.student("whole"))), 1e-3)

    def test_a_killed_process_ends_the_others_with_a_line(self):
        for killed in (0, 1):
            run = f"run{killed}"
            processes = self.start(*[self.command(run, steps=100000)] * 2)
            self.wait_for_checkpoint(run, processes)
            processes[killed].kill()
            left = self.finish(processes)[1 - killed]
            self.assertEqual(left.code, 1)
            self.assertIn(f"process {1 - killed} of 2 lost another one", left.err)

    def test_a_loss_that_is_not_finite_names_the_utterances_of_all(self):
        ended = self.finish(self.start(*[self.command("x", values=["optimizer.lr=1e30"])] * 2))
        for process in ended:
            self.assertEqual(process.code, 1)
            self.assertIn("not finite at update", process.err)
        (report,) = (self.folder / "x").glob("failed-step-*.json")
        micro_batches = json.loads(report.read_text())["micro_batches"]
        self.assertGreaterEqual(len(micro_batches), 2)
        self.leaves_nothing("x/student")

    def test_processes_that_disagree_are_refused(self):
        ended = self.finish(self.start(self.command("x"), self.command("x", "--seed", 1)))
        self.assertEqual([process.code for process in ended], [1, 1])
        self.assertIn("lost another one", ended[0].err)
        self.assertIn("not those of process 0 (seed 0 against 1", ended[1].err)

    def test_wrong_usage(self):
        place = {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        self.fails(2, "WORLD_SIZE is not", *self.command("x"), env={"RANK": "0"})
        self.fails(2, "only 2 processes", *self.command("x"), env={**place, "RANK": "2"})
        self.fails(2, "give cuda, and each takes its own", *self.command("x", "--device", "cuda:0"), env=place)
        self.train(1, self.command("run", steps=1))
        self.fails(2, "runs in one process", *self.command("x", "--validate-only", "--init-from", "run/student"), env=place)
        with socket.socket() as taken:
            taken.bind(("", 0))
            taken.listen()
            self.fails(1, "no other run has this port", *self.command("x"),
                       env={**place, "MASTER_PORT": str(taken.getsockname()[1])})
        self.leaves_nothing("x")
