"""scripts/cluster/submit: tasks on this machine and on a SLURM that the test starts, failures, reruns and stops."""

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from harness import BIN, ROOT, Result, ToolTest, tone, write_wav
from slurm_machine import SlurmMachine, needs_slurm

SUBMIT = ROOT / "scripts" / "cluster" / "submit"

# Waits for SIGUSR1 at its first attempt, as training does before it saves; done at the second one.
STOPPED_ONCE = """
if [ -e saved-$1 ]; then echo "went on $1"; exit 0; fi
trap 'touch saved-$1; exit 138' USR1
touch waiting-$1
for i in $(seq 600); do sleep 0.05; done
"""


class SubmitTest(ToolTest):
    def submit(self, *args, env=None):
        done = subprocess.run([str(SUBMIT), *map(str, args)], cwd=self.folder, text=True, capture_output=True,
                              env={**os.environ, **(env or {})}, timeout=300)
        return Result(done.returncode, done.stdout, done.stderr)

    def rerun_line(self, result):
        """The command line that the summary names."""
        (line,) = [line for line in result.err.splitlines() if "to run what failed again: " in line]
        return shlex.split(line.split("again: ")[1])

    def make_corpus(self, utterances):
        names = [f"u{i:02}.wav" for i in range(utterances)]
        for i, name in enumerate(names):
            write_wav(self.folder / name, tone(0.3 + 0.01 * i, 200 + 20 * i))
        self.succeeds("retort-prepare", *names, "-o", "corpus.jsonl")


class LocalTest(SubmitTest):
    def test_tasks_make_the_parts_of_a_store(self):
        self.make_corpus(7)
        extract = ["retort-extract", "--model", "mfcc", "corpus.jsonl"]
        for i in range(3):
            self.succeeds(*extract, "-o", "alone", "--shard", f"{i}/3")
        done = self.submit("--tasks", 3, "--at-a-time", 2, "--", BIN / extract[0], *extract[1:], "-o", "feats")
        self.assertEqual(done.code, 0, done.err)
        self.assertIn("3 of 3 tasks done", done.err)
        self.assertEqual(self.bytes_of("feats"), self.bytes_of("alone"))
        again = self.submit("--tasks", 3, "--", BIN / extract[0], *extract[1:], "-o", "feats")
        self.assertEqual(again.code, 0, again.err)
        self.assertIn("nothing to do", (self.folder / "logs/retort-extract/task-00002.log").read_text().splitlines()[-1])

    def test_failed_tasks_are_named_and_can_be_run_again(self):
        script = "echo out $RETORT_SHARD; echo wrong >&2; test -e mended || case $RETORT_SHARD in 1/5 | 3/5) exit 4 ;; esac"
        failed = self.submit("--tasks", 5, "--", "bash", "-c", script)
        self.assertEqual(failed.code, 1)
        self.assertEqual(failed.out, "out 0/5\nout 2/5\nout 4/5\n")
        self.assertIn("task 3 failed (exit code 4): wrong (logs/bash/task-00003.log)", failed.err)
        self.assertIn("3 of 5 tasks done, failed: 1,3", failed.err)
        self.assertEqual(self.submit("--summary", "--logs", "logs/bash"), failed)
        (self.folder / "mended").touch()
        line = self.rerun_line(failed)
        self.assertIn("--only", line)
        again = self.submit(*line[1:])
        self.assertEqual((again.code, again.out), (0, "out 1/5\nout 3/5\n"))

    def test_a_killed_task_fails(self):
        killed = self.submit("--tasks", 2, "--", "bash", "-c", "test $RETORT_SHARD != 0/2 || kill -9 $$")
        self.assertEqual(killed.code, 1)
        self.assertIn("task 0 failed (exit code 137)", killed.err)

    def test_a_task_that_saved_goes_on(self):
        script = STOPPED_ONCE.replace("touch waiting-$1", "kill -USR1 $$")
        done = self.submit("--", "bash", "-c", script, "bash", "a")
        self.assertEqual((done.code, done.out), (0, "went on a\n"), done.err)

    def test_processes_find_each_other(self):
        done = self.submit("--processes", 2, "--", "bash", "-c", "test $WORLD_SIZE = 2 && touch rank-$RANK")
        self.assertEqual(done.code, 0, done.err)
        self.assertTrue((self.folder / "rank-0").exists() and (self.folder / "rank-1").exists())

    def test_a_stop_reaches_the_tasks(self):
        command = [str(SUBMIT), "--tasks", "2", "--", "bash", "-c", "trap 'touch stopped; exit 143' TERM; touch begun; "
                   "for i in $(seq 600); do sleep 0.05; done"]
        with subprocess.Popen(command, cwd=self.folder, stderr=subprocess.PIPE, text=True) as process:
            while not (self.folder / "begun").exists():
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            err = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 143, err)
        self.assertTrue((self.folder / "stopped").exists())
        self.assertIn("failed: 0-1", err)

    def test_the_line_to_run_again_without_dashes(self):
        failed = self.submit("--tasks", 2, "bash", "-c", "test -e mended || test $RETORT_SHARD = 0/2", "--only")
        (self.folder / "mended").touch()
        line = self.rerun_line(failed)
        self.assertEqual(line[-5:-3], ["--", "bash"])
        self.assertEqual(self.submit(*line[1:]).code, 0)

    def test_logs_of_a_job_that_runs_are_left_alone(self):
        command = ["--tasks", 1, "--", "bash", "-c", "touch begun; while [ ! -e over ]; do sleep 0.01; done"]
        with subprocess.Popen([str(SUBMIT), *map(str, command)], cwd=self.folder, stderr=subprocess.DEVNULL) as process:
            while not (self.folder / "begun").exists():
                time.sleep(0.01)
            second = self.submit("--tasks", 2, "--", "bash", "-c", "touch second")
            (self.folder / "over").touch()
            self.assertEqual(process.wait(timeout=60), 0)
        self.assertEqual(second.code, 2)
        self.assertIn("name other --logs", second.err)
        self.assertFalse((self.folder / "second").exists())

    def test_wrong_usage(self):
        (self.folder / "file").touch()
        for error, args in (("no command", ["--tasks", 2]), ("give one of them", ["--tasks", 2, "--processes", 2, "--", "true"]),
                            ("there are tasks 0 to 1", ["--tasks", 2, "--only", "2", "--", "true"]),
                            ("should be like 3,7,9-12", ["--tasks", 2, "--only", "x", "--", "true"]),
                            ("go with --backend slurm", ["--after", "3", "--", "true"]),
                            ("leave it out", ["--tasks", 2, "--", "true", "--shard", "0/2"]),
                            ("leave it out", ["--tasks", 2, "--", "true", "--shard=0/2"]),
                            ("whole number from 1", ["--tasks", 0, "--", "true"]),
                            ("goes with --tasks", ["--at-a-time", 2, "--", "true"]),
                            ("there is no such program", ["--tasks", 2, "--", "retort-nothing", "-o", "x"]),
                            ("logs cannot be written there", ["--logs", "file/logs", "--", "true"]),
                            ("holds no job", ["--summary", "--logs", "x"])):
            with self.subTest(error):
                result = self.submit(*args)
                self.assertEqual(result.code, 2)
                self.assertIn(error, result.err)


@needs_slurm
class SlurmTest(SubmitTest):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="retort-slurm-")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        cls.slurm = SlurmMachine(folder).__enter__()
        cls.addClassCleanup(cls.slurm.__exit__)

    def submit(self, *args, env=None):
        return super().submit("--backend", "slurm", *args, env={**self.slurm.environment, **(env or {})})

    def test_an_array_makes_the_store_of_local_tasks(self):
        self.make_corpus(9)
        extract = ["retort-extract", "--model", "mfcc", "corpus.jsonl"]
        for i in range(4):
            self.succeeds(*extract, "-o", "alone", "--shard", f"{i}/4")
        done = self.submit("--tasks", 4, "--", BIN / extract[0], *extract[1:], "-o", "feats")
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(self.bytes_of("feats"), self.bytes_of("alone"))

    def test_failures_reruns_and_dependencies(self):
        script = "test -e mended || test $RETORT_SHARD != 1/3"
        first = self.submit("--tasks", 3, "--no-wait", "--logs", "first", "--", "bash", "-c", script)
        after = self.submit("--after", first.out.strip(), "--logs", "second", "--", "touch", "never")
        self.assertEqual(after.code, 1, after.err)
        self.assertFalse((self.folder / "never").exists())
        failed = super().submit("--summary", "--logs", "first")
        self.assertIn("2 of 3 tasks done, failed: 1", failed.err)
        (self.folder / "mended").touch()
        again = SubmitTest.submit(self, *self.rerun_line(failed)[1:], env=self.slurm.environment)
        self.assertEqual(again.code, 0, again.err)

    def test_a_task_that_saved_is_put_into_the_queue_again(self):
        job = self.submit("--no-wait", "--logs", "logs", "--", "bash", "-c", STOPPED_ONCE, "bash", "a").out.strip()
        while not (self.folder / "waiting-a").exists():
            time.sleep(0.05)
        self.slurm.command("scancel", "--signal=USR1", "--batch", job)
        deadline = time.monotonic() + 60
        while not (self.folder / "logs/task-00000.code").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(super().submit("--summary", "--logs", "logs").out, "went on a\n")

    def test_logs_of_a_job_in_the_queue_are_left_alone(self):
        wait = "touch begun; while [ ! -e over ]; do sleep 0.05; done"
        job = self.submit("--tasks", 2, "--at-a-time", 1, "--no-wait", "--", "bash", "-c", wait).out.strip()
        while not (self.folder / "begun").exists():
            time.sleep(0.05)
        other = self.submit("--tasks", 3, "--no-wait", "--", "bash", "-c", "touch other")
        self.assertEqual(other.code, 2)
        self.assertIn("still in SLURM's queue", other.err)
        summary = super().submit("--summary", "--logs", "logs/bash", env=self.slurm.environment)
        self.assertEqual(summary.code, 1)
        self.assertIn(f"0 of 2 tasks done, 2 waiting or running (SLURM job {job})", summary.err)
        (self.folder / "over").touch()
        deadline = time.monotonic() + 60
        while summary.code != 0 and time.monotonic() < deadline:
            summary = super().submit("--summary", "--logs", "logs/bash", env=self.slurm.environment)
        self.assertEqual(summary.code, 0, summary.err)

    def test_a_program_that_is_not_there(self):
        done = self.submit("--tasks", 2, "--", "retort-nothing")
        self.assertEqual(done.code, 1)
        self.assertIn("task 1 failed (exit code 127): submit: retort-nothing: No such file or directory", done.err)

    def test_a_job_that_sbatch_refuses(self):
        refused = self.submit("--sbatch=--partition=none", "--", "true")
        self.assertEqual(refused.code, 1)
        self.assertIn("sbatch refused the job", refused.err)


if __name__ == "__main__":
    unittest.main()
