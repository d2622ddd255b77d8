"""transformers_extract.py MODEL CLIPS SECONDS THREADS RUNS: what bench_extract times, by transformers. Prints JSON."""

import json
import sys
import time

import torch
from transformers import HubertModel


def main():
    folder, clips, seconds, threads, runs = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), *map(int, sys.argv[4:6])
    torch.set_num_threads(threads)
    model = HubertModel.from_pretrained(folder, dtype=torch.float32).eval()
    torch.manual_seed(7)
    batch = 0.1 * torch.randn(clips, int(seconds * 16000))

    def forward():
        begun, cpu_begun = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            model(batch)
        return time.perf_counter() - begun, time.process_time() - cpu_begun

    forward()
    times = sorted(forward() for _ in range(runs))
    wall, cpu = times[len(times) // 2]
    print(json.dumps({"seconds": wall, "fastest": times[0][0], "slowest": times[-1][0], "cpu_seconds": cpu}))


if __name__ == "__main__":
    main()
