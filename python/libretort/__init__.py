"""Features and units of speech by libretort.so: numpy arrays in and out (docs/libretort.md).

    import libretort
    model = libretort.Model("student")
    frames = model.features(waveform)                  # (samples,) float32 at 16 kHz -> (frames, dim)
    units = model.codebook("codebook").units(waveform)
    for piece in microphone:                           # models that can stream
        frames = stream.push(piece)                    # stream = model.stream()

The library is the one that RETORT_LIBRARY names, or else the installed libretort.so.0.
"""

import ctypes
import os

import numpy as np

__all__ = ["Codebook", "Model", "RetortError", "Stream", "resample", "version"]

_I32, _I64, _TEXT, _HANDLE = ctypes.c_int32, ctypes.c_int64, ctypes.c_char_p, ctypes.c_void_p
_FUNCTIONS = {  # name: (result, arguments...), as retort.h declares them
    "version": (_TEXT,),
    "error": (_TEXT,),
    "open": (_HANDLE, _TEXT, _I32, _TEXT),
    "close": (None, _HANDLE),
    "hash": (_TEXT, _HANDLE),
    "rate": (_I32, _HANDLE),
    "layer": (_TEXT, _HANDLE, _I32),
    "dim": (_I32, _HANDLE, _TEXT),
    "hop": (_I32, _HANDLE, _TEXT),
    "frames": (_I64, _HANDLE, _TEXT, _I64),
    "features_batch": (_I32, _HANDLE, _TEXT, _I64, _HANDLE, _HANDLE, _HANDLE),
    "codebook_open": (_HANDLE, _HANDLE, _TEXT),
    "codebook_close": (None, _HANDLE),
    "codebook_units": (_I32, _HANDLE),
    "codebook_layer": (_TEXT, _HANDLE),
    "units_batch": (_I32, _HANDLE, _I64, _HANDLE, _HANDLE, _HANDLE),
    "latency": (_I64, _HANDLE),
    "stream_open": (_HANDLE, _HANDLE, _TEXT),
    "stream_open_units": (_HANDLE, _HANDLE),
    "stream_frames": (_I64, _HANDLE, _I64),
    "push": (_I64, _HANDLE, _HANDLE, _I64, _HANDLE, _HANDLE, _I64),
    "stream_reset": (_I32, _HANDLE),
    "stream_close": (None, _HANDLE),
    "resampled": (_I64, _I64, _I32),
    "resample": (_I64, _HANDLE, _I64, _I32, _HANDLE, _I64),
}


class RetortError(RuntimeError):
    """What libretort says of a call that failed."""


def _load():
    library = ctypes.CDLL(os.environ.get("RETORT_LIBRARY", "libretort.so.0"))
    for name, (result, *arguments) in _FUNCTIONS.items():
        function = getattr(library, "retort_" + name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _load()


def _call(name, *arguments):
    """The function's result; its failure (NULL, or less than 0) as a RetortError."""
    result = getattr(_library, "retort_" + name)(*arguments)
    if result is None or (isinstance(result, int) and result < 0):
        raise RetortError(_library.retort_error().decode())
    return result


def _bytes(text):
    return None if text is None else os.fsencode(text)


def _waveform(samples):
    array = np.ascontiguousarray(samples, dtype=np.float32)
    if array.ndim != 1:
        raise ValueError(f"a waveform has one dimension, this has {array.ndim}")
    return array


def _pointers(arrays):
    return (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])


def _lengths(arrays):
    return (_I64 * len(arrays))(*[len(array) for array in arrays])


def version():
    """Of the library."""
    return _call("version").decode()


def resample(waveform, rate):
    """A waveform at 16 kHz of one at `rate`, as retort's tools make it."""
    waveform = _waveform(waveform)
    out = np.empty(_call("resampled", len(waveform), rate), np.float32)
    _call("resample", waveform.ctypes.data, len(waveform), rate, out.ctypes.data, len(out))
    return out


class _Handle:
    """Closes what it holds at its end."""

    def __init__(self, handle, close):
        self.value, self._close = handle, close

    def __del__(self):
        self._close(self.value)


class Model:
    """A model folder or checkpoint. threads 0: all; precision: "f32", "bf16" or "int8"."""

    def __init__(self, path, threads=0, precision="f32"):
        self._handle = _Handle(_call("open", _bytes(path), threads, _bytes(precision)), _library.retort_close)

    def _call(self, name, *arguments):
        return _call(name, self._handle.value, *arguments)

    @property
    def hash(self):
        return self._call("hash").decode()

    @property
    def rate(self):
        return self._call("rate")

    @property
    def layers(self):
        """Names, in the order of computation."""
        names = []
        while (name := _library.retort_layer(self._handle.value, len(names))) is not None:
            names.append(name.decode())
        return names

    @property
    def latency(self):
        """Samples from a frame's beginning until it can be given; a RetortError says why a model cannot stream."""
        return self._call("latency")

    def dim(self, layer="final"):
        return self._call("dim", _bytes(layer))

    def hop(self, layer="final"):
        return self._call("hop", _bytes(layer))

    def features(self, waveform, layer="final"):
        """(frames, dim) of a waveform (samples,); of a list of them, a list."""
        if isinstance(waveform, (list, tuple)):
            return self._features([_waveform(one) for one in waveform], layer)
        return self._features([_waveform(waveform)], layer)[0]

    def _features(self, waveforms, layer):
        name, dim = _bytes(layer), self.dim(layer)
        frames = [np.empty((self._call("frames", name, len(one)), dim), np.float32) for one in waveforms]
        self._call("features_batch", name, len(waveforms), _pointers(waveforms), _lengths(waveforms), _pointers(frames))
        return frames

    def codebook(self, path):
        """A codebook folder, which must be of this model."""
        return Codebook(self, path)

    def stream(self, layer="final"):
        return Stream(self._call("stream_open", _bytes(layer)), self.dim(layer))


class Codebook:
    """The centroids of a layer of a model; Model.codebook() opens one."""

    def __init__(self, model, path):
        self._model = model
        self._handle = _Handle(model._call("codebook_open", _bytes(path)), _library.retort_codebook_close)

    def __len__(self):
        return _call("codebook_units", self._handle.value)

    @property
    def layer(self):
        return _call("codebook_layer", self._handle.value).decode()

    def units(self, waveform):
        """(frames,) int32 of a waveform; of a list of them, a list."""
        if isinstance(waveform, (list, tuple)):
            return self._units([_waveform(one) for one in waveform])
        return self._units([_waveform(waveform)])[0]

    def _units(self, waveforms):
        name = _bytes(self.layer)
        units = [np.empty(self._model._call("frames", name, len(one)), np.int32) for one in waveforms]
        _call("units_batch", self._handle.value, len(waveforms), _pointers(waveforms), _lengths(waveforms),
              _pointers(units))
        return units

    def stream(self):
        """A stream that gives units."""
        return Stream(_call("stream_open_units", self._handle.value), None)


class Stream:
    """An utterance that is still coming in."""

    def __init__(self, handle, dim):
        self._handle = _Handle(handle, _library.retort_stream_close)
        self._dim = dim  # None: it gives units

    def push(self, samples):
        """What the next samples complete: (frames, dim) float32, or (frames,) int32 units of a codebook's stream."""
        samples = _waveform(samples)
        count = _call("stream_frames", self._handle.value, len(samples))
        out = np.empty(count, np.int32) if self._dim is None else np.empty((count, self._dim), np.float32)
        frames, units = (None, out.ctypes.data) if self._dim is None else (out.ctypes.data, None)
        _call("push", self._handle.value, samples.ctypes.data, len(samples), frames, units, count)
        return out

    def reset(self):
        """Begins another utterance."""
        _call("stream_reset", self._handle.value)
