"""One whole training step against torch and JAX with Adam, alternating in one run.

python -m bench.step_race         writes results/step_race.json; about 15 minutes on 2 cores, most
                                  of them torch's compiling

All gather a mini-batch from the same array, run forward, loss, backward and update. torch has its
fused Adam, flushes denormals to zero, and is timed at 1 and 2 threads, compiled as a whole with
the optimiser, and, up to 28 time steps, compiled with the time steps unrolled (more of them take
many minutes to compile). JAX uses the threads it chooses, with 1 and 4 time steps in an iteration
of its scan; `condensed` those that training chooses. "products" are the step's three matrix
products alone, by BLAS on 1 and 2 threads: the flops that every side has to do. The best of each
counts.
"""

import contextlib
import time
from functools import partial
from statistics import median

import numpy as np
import torch
from fastadmm.mpi.cost import Work, useful_threads
from threadpoolctl import threadpool_limits

from bench import machine, peers
from fastadmm.solvers import counts
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
UNROLLED, JAX_UNROLL = 28, 4


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


@contextlib.contextmanager
def torch_threads(threads):
    """As `compute_threads`, for torch; with denormals flushed to zero."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)


def contestants(X, y, B, H):
    """Name, context in which to run, and step of every side."""
    T = X.shape[1]
    work = Work(len(X), T, B, T, X.shape[2], H, CLASSES)
    chosen = useful_threads(work, counts(work, "condensed"), 1, THREADS)
    ours = peers.condensed_step(X, y, B, H, CLASSES, chosen)
    runners = [("condensed", partial(compute_threads, chosen), ours)]
    for name, unroll in (("jax", 1), (f"jax, unroll {JAX_UNROLL}", JAX_UNROLL)):
        step = peers.jax_step(X, y, H, CLASSES, unroll)
        runners.append((name, contextlib.nullcontext, step))
    for n in (1, THREADS):
        blas = partial(threadpool_limits, n, user_api="blas")
        runners.append((f"products, {n}", blas, peers.products_step(X, B, H)))
        step = peers.torch_step(X, y, H, CLASSES)
        runners.append((f"torch, {n}", partial(torch_threads, n), step))
    torch._dynamo.reset()  # it gives up on a function that it has compiled for eight shapes
    for way in ("compiled", "unrolled") if T <= UNROLLED else ("compiled",):
        step = peers.torch_step(X, y, H, CLASSES, way)
        runners.append((f"torch, {way}", partial(torch_threads, THREADS), step))
    return runners


def least(medians, side):
    """The best time of a side, over its threads and ways."""
    return min(value for name, value in medians.items() if name.startswith(side))


def race(T, B, D, H):
    """Medians of alternating rounds."""
    rng = np.random.default_rng(0)
    X = rng.random((4 * B, T, D), np.float32)
    y = rng.integers(0, CLASSES, 4 * B)
    batches = list(rng.permutation(4 * B).reshape(4, B))
    runners, times = contestants(X, y, B, H), {}
    for round_ in range(ROUNDS + 1):
        for name, context, step in runners:
            with context():
                seconds = seconds_per_step(step, batches)
            if round_:  # the first round warms up
                times.setdefault(name, []).append(seconds)
    medians = {name: median(values) for name, values in times.items()}
    return {
        "T": T, "B": B, "D": D, "H": H, "dtype": "float32", "threads": THREADS,
        "seconds": times, "median": medians,
        "products": least(medians, "products"),
        "torch_ratio": least(medians, "torch") / medians["condensed"],
        "jax_ratio": least(medians, "jax") / medians["condensed"],
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
    machine.store("step_race", results)


if __name__ == "__main__":
    main()
