"""The Python package over libretort (python/libretort): arrays in and out, errors, streams."""

import os
import shutil
import subprocess
import sys
import unittest

from harness import BIN, FIXTURES, ROOT, SANITIZED, ToolTest

try:
    import numpy as np
except ImportError:
    np = None

LIBRARY = BIN.parent / "lib" / "libretort.so"
ONE_WAY = FIXTURES / "lstm" / "forward"
POST = FIXTURES / "model" / "post"


@unittest.skipIf(SANITIZED, "an interpreter without the sanitizer does not load a library with it")
@unittest.skipIf(np is None, "needs numpy")
class PythonTest(ToolTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        os.environ["RETORT_LIBRARY"] = str(LIBRARY)
        sys.path.insert(0, str(ROOT / "python"))
        import libretort
        cls.retort = libretort

    def waveform(self, samples, seed=1):
        return np.random.default_rng(seed).uniform(-0.4, 0.6, samples).astype(np.float32)

    def test_features_are_the_goldens(self):
        model = self.retort.Model(POST, threads=1)
        wave = np.load(FIXTURES / "model" / "input.npy").ravel()
        expected = np.load(POST / "enc2.npy")
        np.testing.assert_allclose(model.features(wave, "enc2"), expected, atol=1e-4)
        self.assertEqual(model.layers, ["conv", "proj", "enc0", "enc1", "enc2", "enc3", "final"])
        self.assertEqual((model.rate, model.hop("enc1"), model.dim()), (16000, 320, expected.shape[1]))
        self.assertEqual(self.retort.version(), self.succeeds("retort-label", "--version").out.split()[-1])
        batch = model.features([wave, wave[:1000].astype(np.float64)], "enc2")
        np.testing.assert_array_equal(batch[0], model.features(wave, "enc2"))
        np.testing.assert_array_equal(batch[1], model.features(wave[:1000], "enc2"))

    def test_units_are_those_of_retort_label(self):
        wave = self.waveform(16000)
        np.save(self.folder / "wave.npy", wave)
        model = self.retort.Model(ONE_WAY)
        (self.folder / "frames").mkdir()
        np.save(self.folder / "frames.npy", model.features(wave))
        self.succeeds("retort-cluster", "-k", 5, "frames.npy", "-o", "codebook")
        self.succeeds("retort-label", "--codebook", "codebook", "frames.npy", "-o", "labels.km")
        expected = [int(label) for label in (self.folder / "labels.km").read_text().split()]
        codebook = model.codebook(self.folder / "codebook")
        self.assertEqual((len(codebook), codebook.layer), (5, "final"))
        self.assertEqual(codebook.units(wave).tolist(), expected)
        self.assertEqual([units.tolist() for units in codebook.units([wave, wave])], [expected, expected])
        stream = codebook.stream()
        self.assertEqual(np.concatenate([stream.push(wave[:7000]), stream.push(wave[7000:])]).tolist(), expected)

    def test_a_stream_gives_the_frames_of_the_whole(self):
        model = self.retort.Model(ONE_WAY)
        self.assertEqual(model.latency, 400)
        wave = self.waveform(9000)
        stream = model.stream("enc1")
        for _ in range(2):
            frames = np.concatenate([stream.push(piece) for piece in np.array_split(wave, 17)])
            np.testing.assert_array_equal(frames, model.features(wave, "enc1"))
            stream.reset()

    def test_resample(self):
        tone = np.sin(np.arange(4000) * 0.1)
        self.assertEqual(len(self.retort.resample(tone, 8000)), 8000)
        np.testing.assert_allclose(self.retort.resample(tone, 8000)[1000:7000:2], tone[500:3500], atol=1e-3)

    def test_errors(self):
        error = self.retort.RetortError
        with self.assertRaisesRegex(error, "/nowhere"):
            self.retort.Model("/nowhere")
        model = self.retort.Model(POST)
        with self.assertRaisesRegex(error, "waveform: 100 samples are too few"):
            model.features(self.waveform(100))
        with self.assertRaisesRegex(error, "cannot stream: .*GroupNorm"):
            model.stream()
        with self.assertRaisesRegex(error, "enc9"):
            model.dim("enc9")
        with self.assertRaisesRegex(ValueError, "one dimension"):
            model.features(np.zeros((2, 400)))

    def test_the_wheel_holds_the_package(self):
        try:
            import setuptools  # noqa: F401
            import wheel  # noqa: F401
        except ImportError:
            self.skipTest("needs setuptools and wheel")
        shutil.copytree(ROOT / "python", self.folder / "python", ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", "wheels",
                        "./python"], cwd=self.folder, check=True, capture_output=True)
        wheels = list((self.folder / "wheels").glob("*.whl"))
        self.assertEqual([one.name for one in wheels], ["libretort-0.1.0-py3-none-any.whl"])
        code = ("import sys; sys.path.insert(0, sys.argv[1]); import libretort; "
                "print(libretort.__file__, libretort.version())")
        told = subprocess.run([sys.executable, "-c", code, wheels[0]], check=True, capture_output=True, text=True)
        self.assertIn(wheels[0].name, told.stdout)


if __name__ == "__main__":
    unittest.main()
