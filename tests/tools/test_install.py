"""cmake --install, what is built against an installed Retort, and the Debian package."""

import os
import re
import shutil
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import BIN, FIXTURES, ROOT, SANITIZED, WITH_TORCH, ToolTest, tone, write_wav

BUILD = BIN.parent
ONE_WAY = FIXTURES / "lstm" / "forward"
MODEL = FIXTURES / "model" / "post"
PROGRAMS = ("cmake", "cpack", "cc", "pkg-config", "dpkg-deb", "dpkg-shlibdeps")
missing = [program for program in PROGRAMS if not shutil.which(program)]


@unittest.skipIf(SANITIZED, "a program in plain C does not load a library that was built with a sanitizer")
@unittest.skipIf(missing, f"needs {', '.join(missing)}")
class InstallTest(ToolTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.prefix = Path(tempfile.mkdtemp(prefix="retort-install-"))
        cls.addClassCleanup(shutil.rmtree, cls.prefix)
        cls.check("cmake", "--install", BUILD, "--prefix", cls.prefix)
        cls.library_folder = next(cls.prefix.glob("lib/**/libretort.so.0")).parent

    @classmethod
    def check(cls, *command, **options):
        """What a command that must succeed prints on standard output."""
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
        if done.returncode != 0:
            raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def installed(self, tool, *arguments):
        return self.check(self.prefix / "bin" / tool, *arguments, cwd=self.folder)

    def raw_audio(self):
        """Writes the same audio as speech.wav and without a header; returns the latter."""
        samples = tone(2.5)
        write_wav(self.folder / "speech.wav", samples)
        return struct.pack(f"<{len(samples)}h", *[round(32767 * sample) for sample in samples])

    def run_units(self, program, *arguments, audio):
        done = subprocess.run([program, *map(str, arguments)], input=audio, capture_output=True, cwd=self.folder,
                              env={**os.environ, "LD_LIBRARY_PATH": str(self.library_folder)}, check=True)
        return done.stdout.decode().split(), done.stderr.decode()

    def try_units(self, program):
        """The example gives the units of retort-label, by a model that streams and by one that does not."""
        audio = self.raw_audio()
        for name, model, told in (("one-way", ONE_WAY, "a frame comes 25.0 ms after its beginning"),
                                  ("post", MODEL, "cannot stream: its conv stack has a norm over time")):
            self.installed("retort-cluster", "--model", model, "--layer", "enc2", "-k", "7", "speech.wav", "-o", name)
            expected = self.installed("retort-label", "--codebook", name, "--model", model, "speech.wav", "-o", "-")
            units, log = self.run_units(program, model, name, audio=audio)
            self.assertEqual(units, expected.split()[1:])
            self.assertGreater(len(set(units)), 1)
            self.assertIn(told, log)
            self.assertEqual(len(self.run_units(program, model, audio=audio)[0]), len(units))

    def test_everything_is_there(self):
        for tool in BIN.glob("retort-*"):
            self.assertEqual(self.installed(tool.name, "--version"), self.succeeds(tool.name, "--version").out)
        share = self.prefix / "share"
        for path in ("retort/recipes/dkd-lstm-streaming.json", "doc/retort/docs/libretort.md", "doc/retort/copyright",
                     "doc/retort/examples/units.c"):
            self.assertTrue((share / path).is_file(), path)
        self.assertTrue((self.prefix / "include/retort/retort.h").is_file())
        self.assertLess((self.library_folder / "libretort.so.0").stat().st_size, 5e6)
        for tool in BIN.glob("retort-*"):
            if tool.name != "retort-distill":  # which does nothing without
                self.assertNotIn("libtorch", self.check("ldd", self.prefix / "bin" / tool.name))
        for twin in BIN.parent.glob("libexec/retort/*"):
            installed = self.prefix / "libexec/retort" / twin.name
            self.assertTrue(installed.is_file(), twin.name)
            # The first library with an sgemm_ serves all: OpenBLAS before LibTorch would take its products, on all threads.
            libraries = re.findall(r"NEEDED.*\[(libtorch_cpu|libopenblas)", self.check("readelf", "-d", installed))
            self.assertEqual(libraries[0], "libtorch_cpu", twin.name)
        if WITH_TORCH:
            self.raw_audio()
            self.installed("retort-extract", "--encoder", "torch", "--model", MODEL, "--layer", "enc1", "speech.wav", "-o",
                           "by-the-twin")

    def test_find_package(self):
        build = self.folder / "build"
        self.check("cmake", "-S", ROOT / "examples", "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}")
        self.check("cmake", "--build", build)
        self.try_units(build / "units")

    def test_pkg_config(self):
        flags = self.check("pkg-config", "--cflags", "--libs", "retort",
                           env={**os.environ, "PKG_CONFIG_PATH": str(self.library_folder / "pkgconfig")}).split()
        program = self.folder / "units"
        self.check("cc", "-std=c99", "-Wall", "-Wextra", "-Werror", ROOT / "examples" / "units.c", "-o", program, *flags,
                   "-lm")
        self.try_units(program)

    def test_the_prefix_may_be_moved(self):
        moved = self.folder / "elsewhere"
        shutil.copytree(self.prefix, moved, symlinks=True)
        flags = self.check("pkg-config", "--cflags", "retort", env={
            **os.environ, "PKG_CONFIG_PATH": str(next(moved.glob("lib/**/pkgconfig")))}).split()
        self.assertEqual(os.path.normpath(flags[0][2:]), str(moved / "include"))

    @unittest.skipUnless(WITH_TORCH, "this build can be packaged")
    def test_a_build_with_libtorch_is_no_package(self):
        done = subprocess.run(["cpack", "--config", str(BUILD / "CPackConfig.cmake"), "-B", str(self.folder)], cwd=self.folder,
                              capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("this build links LibTorch", " ".join(done.stderr.split()))
        self.assertEqual(list(self.folder.glob("*.deb")), [])

    @unittest.skipIf(WITH_TORCH, "this build is not packaged")
    def test_the_package_says_what_it_needs(self):
        self.check("cpack", "--config", BUILD / "CPackConfig.cmake", "-B", self.folder, cwd=self.folder)
        (package,) = self.folder.glob("*.deb")
        self.assertRegex(self.check("dpkg-deb", "-f", package, "Depends"), r"\blibc6 .*\blibsndfile1\b")
        held = self.check("dpkg-deb", "-c", package)
        for path in ("/bin/retort-label", "/include/retort/retort.h", "/libretort.so.0", "/RetortConfig.cmake", "/retort.pc"):
            self.assertIn(path, held)


if __name__ == "__main__":
    unittest.main()
