"""onnx_peer.py GRAPH THREADS RUNS SECONDS,...: ONNX Runtime on what bench_encode times, as one padded batch. Prints JSON."""

import json
import statistics
import sys
import time

import numpy as np
import onnxruntime

RATE = 16000


def main():
    path, threads, runs, lengths = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), [float(s) for s in sys.argv[4].split(",")]
    batch = np.zeros((len(lengths), int(max(lengths) * RATE)), np.float32)
    noise = np.random.default_rng(7)
    for row, seconds in zip(batch, lengths):
        row[:int(seconds * RATE)] = 0.1 * noise.standard_normal(int(seconds * RATE))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    begun = time.perf_counter()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    load = time.perf_counter() - begun
    output = session.get_outputs()[0].name
    times = []
    for _ in range(runs + 1):
        begun = time.perf_counter()
        session.run([output], {"waveform": batch})
        times.append(time.perf_counter() - begun)
    times = times[1:]
    print(json.dumps({"seconds": statistics.median(times), "fastest": min(times), "slowest": max(times), "load_seconds": load,
                      "version": onnxruntime.__version__}))


main()
