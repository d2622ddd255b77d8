"""What `scripts/bench cluster` holds retort-cluster against, and what it holds them all against.

    cluster_peers.py data N DIM OUTPUT [STORE|FILE.npy ...]   frames: the inputs side by side, their rows repeated up to N
    cluster_peers.py start FRAMES K OUTPUT                     K different rows of the frames, drawn at random
    cluster_peers.py fit PEER FRAMES START ITERATIONS THREADS OUTPUT    clusters, writes (K, dim) centroids
    cluster_peers.py gemm DTYPE FRAMES K THREADS RUNS          the bare matrix product of frames and K centroids
    cluster_peers.py score FRAMES REFERENCE CENTROIDS...       inertia and labels against the reference's, in f64

Each prints one line of JSON. `fit` times the peer's training call on an array in memory: neither reading the file nor
importing the library is in it; OMP_NUM_THREADS should be THREADS. PEER is sklearn, faiss, torch, superkmeans, superkmeans-blas, or f64 (Lloyd in f64, the reference).
Needs numpy; the peers their libraries; gemm needs torch.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

CHUNK = 8192  # rows whose distances are in memory at a time, where a peer does not decide that itself


def rows_of(path):
    """A frame store's (all parts, f32) or an .npy's rows."""
    files = sorted(Path(path).glob("part-*.npy")) if Path(path).is_dir() else [path]
    return np.concatenate([np.load(file).astype(np.float32) for file in files])


def made_rows(n, dim):
    """Frames that drift through a mixture of 64 Gaussians, each in a subspace of its own: for want of real ones."""
    random = np.random.default_rng(7)
    centres = random.normal(size=(64, dim)).astype(np.float32)
    spread = random.normal(size=(64, 16, dim)).astype(np.float32) / 4
    rows = np.empty((n, dim), np.float32)
    for first in range(0, n, CHUNK):
        count = min(CHUNK, n - first)
        group = random.integers(64, size=(count + 7) // 8).repeat(8)[:count]
        inner = random.normal(size=(count, 1, 16)).astype(np.float32)
        rows[first:first + count] = (centres[group] + (inner @ spread[group])[:, 0]
                                     + 0.1 * random.normal(size=(count, dim)).astype(np.float32))
    return rows


def make_data(n, dim, output, *inputs):
    n, dim = int(n), int(dim)
    if inputs:
        once = np.concatenate([rows_of(path) for path in inputs], axis=1)
        rows = np.resize(once, (n, once.shape[1]))
    else:
        once = rows = made_rows(n, dim)
    np.save(output, rows)
    return {"frames": rows.shape[0], "dim": rows.shape[1], "different": min(n, len(once)), "real": bool(inputs)}


def make_start(frames, clusters, output):
    rows = np.load(frames, mmap_mode="r")
    order = np.random.default_rng(0).permutation(len(rows))
    chosen = np.unique(rows[np.sort(order[:2 * int(clusters)])], axis=0)
    assert len(chosen) >= int(clusters), "the frames hold too few different rows"
    np.save(output, np.random.default_rng(1).permutation(chosen)[:int(clusters)])
    return {}


def nearest_f64(rows, centroids):
    """Labels and squared distances of some rows, in f64."""
    rows = rows.astype(np.float64)
    scores = (centroids ** 2).sum(1) - 2 * (rows @ centroids.T)
    labels = scores.argmin(1)
    return labels, ((rows - centroids[labels]) ** 2).sum(1), rows


def fit_f64(rows, start, iterations, _):
    """Lloyd in f64 throughout; an empty cluster stays where it is."""
    centroids = start.astype(np.float64)
    for _ in range(iterations):
        sums, sizes = np.zeros_like(centroids), np.zeros(len(centroids))
        for first in range(0, len(rows), CHUNK):
            labels, _, block = nearest_f64(rows[first:first + CHUNK], centroids)
            order = np.argsort(labels, kind="stable")
            present, begins = np.unique(labels[order], return_index=True)
            sums[present] += np.add.reduceat(block[order], begins)
            sizes += np.bincount(labels, minlength=len(centroids))
        full = sizes > 0
        centroids[full] = sums[full] / sizes[full, None]
    return centroids


def fit_sklearn(rows, start, iterations, _):
    import sklearn.cluster
    model = sklearn.cluster.KMeans(len(start), init=start, n_init=1, max_iter=iterations, tol=0, algorithm="lloyd", copy_x=False)
    return lambda: model.fit(rows).cluster_centers_


def fit_faiss(rows, start, iterations, threads):
    import faiss
    faiss.omp_set_num_threads(threads)
    model = faiss.Kmeans(rows.shape[1], len(start), niter=iterations, min_points_per_centroid=1,
                         max_points_per_centroid=len(rows))
    return lambda: model.train(rows, init_centroids=start) is not None and model.centroids


def fit_torch(rows, start, iterations, threads):
    """Chunked Lloyd by GEMM: what one writes by hand with PyTorch."""
    import torch
    torch.set_num_threads(threads)
    frames, ones = torch.from_numpy(rows), torch.ones(CHUNK)

    def lloyd():
        centroids = torch.from_numpy(start.copy())
        for _ in range(iterations):
            norms = (centroids ** 2).sum(1)
            sums, sizes = torch.zeros_like(centroids), torch.zeros(len(centroids))
            for chunk in frames.split(CHUNK):
                labels = torch.addmm(norms, chunk, centroids.T, alpha=-2).argmin(1)
                sums.index_add_(0, labels, chunk)
                sizes.index_add_(0, labels, ones[:len(chunk)])
            full = sizes > 0
            centroids[full] = sums[full] / sizes[full, None]
        return centroids.numpy()
    return lloyd


def fit_superkmeans(rows, start, iterations, threads, blas_only=False):
    """It takes no start: it draws one of its own."""
    import superkmeans
    model = superkmeans.SuperKMeans(len(start), rows.shape[1], hierarchical=False, iters=iterations, sampling_fraction=1.0,
                                    max_points_per_cluster=len(rows), n_threads=threads, tol=0.0, early_termination=False,
                                    use_blas_only=blas_only)
    return lambda: model.train(rows)


PEERS = {"sklearn": fit_sklearn, "faiss": fit_faiss, "torch": fit_torch, "superkmeans": fit_superkmeans,
         "superkmeans-blas": lambda *work: fit_superkmeans(*work, blas_only=True),
         "f64": lambda *work: lambda: fit_f64(*work)}


def fit(peer, frames, start, iterations, threads, output):
    rows, start = np.load(frames), np.load(start)
    training = PEERS[peer](rows, start, int(iterations), int(threads))
    begun = time.perf_counter()
    centroids = training()
    seconds = time.perf_counter() - begun
    np.save(output, np.asarray(centroids))
    return {"seconds": seconds}


def gemm(dtype, frames, clusters, threads, runs):
    """The product alone, chunk by chunk into the same memory, which is faster than one n x K result."""
    import torch
    torch.set_num_threads(int(threads))
    rows = torch.from_numpy(np.load(frames)).to(getattr(torch, dtype))
    right = torch.randn(rows.shape[1], int(clusters)).to(rows.dtype)
    result = torch.empty(CHUNK, int(clusters), dtype=rows.dtype)
    times = []
    for _ in range(int(runs) + 1):
        begun = time.perf_counter()
        for chunk in rows.split(CHUNK):
            torch.mm(chunk, right, out=result[:len(chunk)])
        times.append(time.perf_counter() - begun)
    return {"seconds": sorted(times[1:])[int(runs) // 2]}


def labels_and_inertia(rows, centroids):
    labels, inertia = np.empty(len(rows), np.int64), 0.0
    for first in range(0, len(rows), CHUNK):
        labels[first:first + CHUNK], distances, _ = nearest_f64(rows[first:first + CHUNK], centroids)
        inertia += distances.sum()
    return labels, inertia / len(rows)


def score(frames, reference, *others):
    """Per file: relative inertia less 1, and the share of frames with the reference's label."""
    rows = np.load(frames, mmap_mode="r")
    expected, least = labels_and_inertia(rows, np.load(reference).astype(np.float64))
    found = {}
    for other in others:
        labels, inertia = labels_and_inertia(rows, np.load(other).astype(np.float64))
        found[Path(other).stem] = {"inertia": inertia / least - 1, "labels": float(np.mean(labels == expected))}
    return {"inertia": least, "scores": found}


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    command, *arguments = sys.argv[1:]
    work = {"data": make_data, "start": make_start, "fit": fit, "gemm": gemm, "score": score}[command]
    print(json.dumps(work(*arguments)))


if __name__ == "__main__":
    main()
