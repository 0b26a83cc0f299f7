"""One whole training step of GRU and LSTM against torch and JAX with Adam, alternating in one run.

python -m bench.gated_race          writes results/gated_race.json; about 20 minutes on 2 cores
python -m bench.gated_race quick    one small shape, two rounds, writes nothing

As `bench.step_race`, whose rounds and rules these are: the best of torch at 1 and 2 threads, eager
with its fused Adam and compiled as a whole, and of JAX. "products" are the step's three matrix
products alone, by BLAS on 1 and 2 threads: torch's time over theirs says what ratio is possible at
all to whoever multiplies by BLAS, and ``of_bound`` which share of it is reached.
"""

import contextlib
import sys
from functools import partial
from statistics import median

import numpy as np
import torch
from fastadmm.mpi.cost import Work, useful_threads
from threadpoolctl import threadpool_limits

from bench import machine, peers
from bench.step_race import CLASSES, ROUNDS, THREADS, least, seconds_per_step, torch_threads
from fastadmm.cells import CELLS
from fastadmm.solvers import counts
from fastadmm.threads import compute_threads

SHAPES = [  # T, B, D, H
    (28, 128, 28, 128),
    (64, 32, 32, 64),
    (100, 128, 2, 128),
    (28, 64, 28, 64),
    (28, 256, 28, 256),
]
RACES = [(cell, *shape) for cell in ("gru", "lstm") for shape in SHAPES]
RACES.append(("elman", 64, 32, 32, 64))


def contestants(cell, X, y, B, H):
    """Name, context in which to run, and step of every side."""
    T = X.shape[1]
    work = Work(len(X), T, B, T, X.shape[2], H, CLASSES, cell=CELLS[cell].sizes())
    chosen = useful_threads(work, counts(work, "condensed"), 1, THREADS)
    ours = peers.condensed_step(X, y, B, H, CLASSES, chosen, cell)
    runners = [("condensed", partial(compute_threads, chosen), ours)]
    jax_step = peers.jax_step(X, y, H, CLASSES, cell=cell)
    runners.append(("jax", contextlib.nullcontext, jax_step))
    for n in (1, THREADS):
        blas = partial(threadpool_limits, n, user_api="blas")
        gates = CELLS[cell].gates - (
            cell == "gru"
        )  # the GRU's four maps have three products' flops
        runners.append((f"products, {n}", blas, peers.products_step(X, B, H, gates)))
        step = peers.torch_step(X, y, H, CLASSES, cell=cell)
        runners.append((f"torch, {n}", partial(torch_threads, n), step))
    torch._dynamo.reset()  # it gives up on a function that it has compiled for eight shapes
    step = peers.torch_step(X, y, H, CLASSES, "compiled", cell)
    runners.append(("torch, compiled", partial(torch_threads, THREADS), step))
    return runners


def race(cell, T, B, D, H, rounds=ROUNDS):
    """Medians of alternating rounds."""
    rng = np.random.default_rng(0)
    X = rng.random((4 * B, T, D), np.float32)
    y = rng.integers(0, CLASSES, 4 * B)
    batches = list(rng.permutation(4 * B).reshape(4, B))
    runners, times = contestants(cell, X, y, B, H), {}
    for round_ in range(rounds + 1):
        for name, context, step in runners:
            with context():
                seconds = seconds_per_step(step, batches)
            if round_:  # the first round warms up
                times.setdefault(name, []).append(seconds)
    medians = {name: median(values) for name, values in times.items()}
    ours, products = medians["condensed"], least(medians, "products")
    return {
        "cell": cell, "T": T, "B": B, "D": D, "H": H, "dtype": "float32", "threads": THREADS,
        "seconds": times, "median": medians, "products": products,
        "torch_ratio": least(medians, "torch") / ours, "jax_ratio": medians["jax"] / ours,
        "of_bound": products / ours,
    }  # fmt: skip


def main():
    """Race every cell at every shape."""
    is_quick = sys.argv[1:] == ["quick"]
    races = [("gru", 8, 16, 4, 16)] if is_quick else RACES
    results = []
    for each in races:
        result = race(*each, rounds=2 if is_quick else ROUNDS)
        results.append(result)
        shown = "  ".join(f"{name} {1e3 * v:.2f}" for name, v in result["median"].items())
        print(
            f"{each}: ms {shown};  torch / ours {result['torch_ratio']:.2f}, "
            f"JAX / ours {result['jax_ratio']:.2f}, of the bound {result['of_bound']:.2f}",
            flush=True,
        )
    if not is_quick:
        machine.store("gated_race", results)


if __name__ == "__main__":
    main()
