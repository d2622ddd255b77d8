"""What the golden runs share: running a tool, asserting how it fails, and making small audio files."""

import json
import math
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import NamedTuple

BIN = Path(os.environ.get("RETORT_BIN", "build/bin")).resolve()
WITH_TORCH = os.environ.get("RETORT_WITH_TORCH", "1") == "1"
SANITIZED = bool(os.environ.get("RETORT_SANITIZE"))
WITH_FAISS = os.environ.get("RETORT_WITH_FAISS", "1") == "1"
ROOT = Path(__file__).resolve().parent.parent.parent
FIXTURES = ROOT / "tests" / "fixtures"

needs_torch = unittest.skipUnless(WITH_TORCH, "this build has no LibTorch")


class Result(NamedTuple):
    code: int
    out: str
    err: str


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class ToolTest(unittest.TestCase):
    """Gives each test a fresh folder and ways to run the tools in it."""

    maxDiff = None

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="retort-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def tool(self, name, *args, stdin=None, env=None, preexec=None):
        """Runs a tool in the test's folder. A tool that was not built is a failure, not a skip."""
        done = subprocess.run([str(BIN / name), *map(str, args)], cwd=self.folder, text=True, capture_output=True,
                              input=stdin, env={**os.environ, **(env or {})}, preexec_fn=preexec, timeout=600)
        return Result(done.returncode, done.stdout, done.stderr)

    def peak_of(self, name, *args):
        """The most memory in bytes that a tool that succeeds has had resident."""
        # By a small process in between: what a process has had before it became the tool counts too.
        code = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); "
                "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
        done = subprocess.run([sys.executable, "-c", code, str(BIN / name), *map(str, args)], cwd=self.folder, text=True,
                              capture_output=True, check=True, timeout=600)
        return int(done.stdout) * 1024

    def start(self, *commands):
        """A process per command, each with its rank among them."""
        started = []
        place = {"WORLD_SIZE": str(len(commands)), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        for rank, (name, *arguments) in enumerate(commands):
            process = subprocess.Popen([str(BIN / name), *map(str, arguments)], cwd=self.folder, text=True,
                                       env={**os.environ, **place, "RANK": str(rank)}, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE)
            self.addCleanup(process.stdout.close)
            self.addCleanup(process.stderr.close)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            started.append(process)
        return started

    def finish(self, processes):
        """Results, of stderr the last line; nothing but log lines may be on stderr before that line."""
        ended = []
        for process in processes:
            out, error = process.communicate(timeout=120)
            lines = error.splitlines()
            for line in lines[:-1]:
                self.assertTrue(line.startswith(f"{Path(process.args[0]).name} ["), error)
            ended.append(Result(process.returncode, out, lines[-1] if lines else ""))
        return ended

    def succeeds(self, name, *args, **options):
        result = self.tool(name, *args, **options)
        self.assertEqual(result.code, 0, f"{name} {args}: {result.err}")
        return result

    def fails(self, code, text, name, *args, **options):
        """The tool exits with `code`; its last line on stderr is `name: ...` and contains `text`; stdout is empty.

        Log lines ("name [subsystem] ...") may come before it, other lines may not.
        """
        result = self.tool(name, *args, **options)
        self.assertEqual(result.code, code, f"{name} {args}: {result.err}")
        lines = result.err.splitlines()
        self.assertTrue(lines, "nothing on stderr")
        self.assertTrue(lines[-1].startswith(f"{name}: "), result.err)
        self.assertIn(text, lines[-1])
        for line in lines[:-1]:
            self.assertTrue(line.startswith(f"{name} ["), result.err)
        self.assertEqual(result.out, "")
        return result

    def fails_on_a_full_disk(self, most, text, name, *args):
        """The tool fails as `fails` has it where no file may grow beyond `most` bytes."""
        def no_large_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

        return self.fails(1, text, name, *args, preexec=no_large_files)

    def leaves_nothing(self, *paths):
        """None of the paths exists, and no temporary file was left in the folder."""
        for path in paths:
            self.assertFalse((self.folder / path).exists(), path)
        self.assertEqual([str(p) for p in self.folder.rglob("*.tmp")], [])

    def bytes_of(self, folder):
        """Every file below a folder: relative name -> bytes."""
        root = self.folder / folder
        return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}

    def read_json(self, path):
        return json.loads((self.folder / path).read_text())


def tone(seconds, frequency=220.0, rate=16000, level=0.3):
    """A tone with a slow wobble, so that no two frames are the same."""
    return [level * math.sin(2 * math.pi * frequency * t / rate) * (0.6 + 0.4 * math.sin(7.3 * t / rate))
            for t in range(int(seconds * rate))]


def write_wav(path, samples, rate=16000, channels=1, floats=False):
    """Writes samples in [-1, 1] (interleaved where channels > 1) as 16-bit or float WAV."""
    if floats:
        data = struct.pack(f"<{len(samples)}f", *samples)
    else:
        data = struct.pack(f"<{len(samples)}h", *[max(-32768, min(32767, round(32767 * s))) for s in samples])
    width = 4 if floats else 2
    form = struct.pack("<HHIIHH", 3 if floats else 1, channels, rate, rate * channels * width, channels * width,
                       8 * width)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + struct.pack("<I", 16) + form +
                           b"data" + struct.pack("<I", len(data)) + data)
