"""One whole training step against torch and JAX with Adam, alternating in one run.

python bench/step_race.py         writes results/step_race.json

All gather a mini-batch from the same array, run forward, loss, backward and update. torch is
timed at 1 and 2 threads, and compiled; JAX uses the threads it chooses. The best of each counts.
"products" are the step's three matrix products alone, by BLAS on all threads: the flops that every
side has to do.
"""

import contextlib
import time
from statistics import geometric_mean, median

import machine
import numpy as np
import peers
import torch

from fastadmm.threads import compute_threads

SHAPES = [  # T, B, D, H
    (28, 128, 28, 128),
    (8, 16, 8, 16),
    (8, 64, 8, 64),
    (28, 64, 28, 64),
    (784, 64, 1, 16),
    (100, 128, 2, 128),
    (28, 16, 28, 32),
    (28, 1024, 28, 128),
    (28, 256, 28, 256),
    (50, 64, 64, 512),
    (28, 128, 28, 512),
    (28, 512, 128, 256),
]
CLASSES, ROUNDS, THREADS, SECONDS = 10, 9, 2, 0.15


def seconds_per_step(step, batches):
    """Wall time of one step, over passes through all batches for at least so many seconds.

    Long enough that the other side's threads, which spin for a while after their last parallel
    region, do not count.
    """
    steps, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        for cases in batches:
            step(cases)
        steps += len(batches)
    return (time.perf_counter() - started) / steps


def contestants(X, y, B, H):
    """Name, threads that torch is told to use, and step of every side."""
    runners = [
        ("condensed", None, peers.condensed_step(X, y, B, H, CLASSES, THREADS)),
        ("products", None, peers.products_step(X, B, H)),
        ("jax", None, peers.jax_step(X, y, H, CLASSES)),
    ]
    for threads in (1, 2):
        runners.append((f"torch, {threads}", threads, peers.torch_step(X, y, H, CLASSES)))
    runners.append(("torch, compiled", THREADS, peers.torch_step(X, y, H, CLASSES, True)))
    return runners


def race(T, B, D, H):
    """Medians of alternating rounds."""
    rng = np.random.default_rng(0)
    X = rng.random((4 * B, T, D), np.float32)
    y = rng.integers(0, CLASSES, 4 * B)
    batches = list(rng.permutation(4 * B).reshape(4, B))
    runners, times = contestants(X, y, B, H), {}
    for round_ in range(ROUNDS + 1):
        for name, threads, step in runners:
            if threads:
                torch.set_num_threads(threads)
            with compute_threads(THREADS) if name == "condensed" else contextlib.nullcontext():
                seconds = seconds_per_step(step, batches)
            if round_:  # the first round warms up
                times.setdefault(name, []).append(seconds)
    medians = {name: median(values) for name, values in times.items()}
    best = min(value for name, value in medians.items() if name.startswith("torch"))
    return {
        "T": T, "B": B, "D": D, "H": H, "dtype": "float32", "threads": THREADS,
        "seconds": times, "median": medians,
        "torch_ratio": best / medians["condensed"],
        "jax_ratio": medians["jax"] / medians["condensed"],
    }  # fmt: skip


def main():
    """Race at every shape."""
    results = []
    for shape in SHAPES:
        result = race(*shape)
        results.append(result)
        shown = "  ".join(f"{name} {1e3 * v:.2f}" for name, v in result["median"].items())
        print(
            f"T, B, D, H = {shape}: ms {shown};  torch / ours {result['torch_ratio']:.2f}, "
            f"JAX / ours {result['jax_ratio']:.2f}",
            flush=True,
        )
    for peer in ("torch", "jax"):
        print(peer, f"geometric mean {geometric_mean(r[f'{peer}_ratio'] for r in results):.2f}")
    machine.store("step_race", results)


if __name__ == "__main__":
    main()
