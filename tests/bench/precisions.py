"""precisions.py BIN CORPUS MODEL:LAYER ...: how near bf16 and int8 are to f32 on real speech. Needs numpy.

BIN is the folder of the programs. Prints, for every model and precision, the cosine of a frame with the same frame in f32 (least,
first percentile) and the share of frames that keep their label of 500 clusters of the f32 features.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy

CLUSTERS = 500
ROWS = 4096  # of distances at a time


def run(program, *arguments, isa=None):
    environment = {**os.environ, "RETORT_ISA": isa} if isa else None
    subprocess.run([program, *map(str, arguments), "--log-level", "error"], check=True, env=environment, stdout=subprocess.DEVNULL)


def features(tools, corpus, model, layer, precision, isa, scratch):
    run(tools / "retort-extract", "--model", model, "--layer", layer, "--precision", precision, corpus, "-o", scratch, "--overwrite", isa=isa)
    return numpy.load(scratch / "part-00000-of-00001.npy")


def labels(frames, centroids):
    squares = (centroids * centroids).sum(1)
    return numpy.concatenate([(squares - 2 * frames[first:first + ROWS] @ centroids.T).argmin(1) for first in range(0, len(frames), ROWS)])


def kinds(tools):
    """Precision and RETORT_ISA of what this machine has besides f32."""
    cpu = json.loads(subprocess.run([tools / "retort-inspect", "--cpu", "--json"], check=True, capture_output=True).stdout)
    found = [(precision, None) for precision in cpu["precisions"] if precision != "f32"]
    return found + ([("int8", "avx2")] if cpu["runs"] != "avx2" and "avx2" in cpu["paths"] else [])


def main():
    tools, corpus = Path(sys.argv[1]), sys.argv[2]
    print("| model | frames | precision | least cosine | 1st percentile | same label |\n|---|---:|---|---:|---:|---:|")
    for model, layer in (argument.rsplit(":", 1) for argument in sys.argv[3:]):
        with tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder)
            exact = features(tools, corpus, model, layer, "f32", None, scratch / "f32")
            run(tools / "retort-cluster", scratch / "f32", "-k", CLUSTERS, "-o", scratch / "km", "--iterations", 20)
            centroids = numpy.load(scratch / "km" / "centroids.npy")
            wanted = labels(exact, centroids)
            for precision, isa in kinds(tools):
                near = features(tools, corpus, model, layer, precision, isa, scratch / "near")
                cosines = (exact * near).sum(1) / numpy.linalg.norm(exact, axis=1) / numpy.linalg.norm(near, axis=1)
                name = precision if isa is None else f"{precision}, {isa}"
                print(f"| {model} {layer} | {len(exact)} | {name} | {cosines.min():.5f} | {numpy.percentile(cosines, 1):.5f} | "
                      f"{100 * (wanted == labels(near, centroids)).mean():.2f} % |", flush=True)


if __name__ == "__main__":
    main()
