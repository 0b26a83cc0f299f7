"""Run under mpirun: training on ranks gives the weights of one rank, on every grid.

mpirun -n P python equal_to_one_rank.py       exits with 1 where a case differs
"""

import sys

import numpy as np
from mpi4py import MPI

from fastadmm import RNN, fit
from fastadmm.constraints import Dale, Group, Mask, NonNegative

COMM = MPI.COMM_WORLD
D, H, C = 3, 5, 4
EPOCHS = {"condensed": 7, "block": 5, "admmirnn": 5}


HELD = {
    "signs": {"recurrent": Dale(0.6) & Mask(0.7), "read": NonNegative()},
    "groups": {"sent": Group(0.05)},
}
SHAPES = {
    "": {},
    "two layers": {"layers": 2, "dropout": 0.3, "initial": "learned"},
    "both directions": {"layers": 2, "bidirectional": True, "initial": "learned"},
}
ALPHABETS = {"tokens": D, "words": 200}
"""Of `condensed`, the second is larger than a mini-batch, the first is not."""


def data(kind, T, n, rng):
    if kind in ALPHABETS:
        X = rng.integers(0, ALPHABETS[kind], (n, T))
        return X, rng.integers(0, C, (n, T))
    if kind in ("lists", "lists, all"):
        lengths = [1, T, *rng.integers(1, T + 1, n - 2)]
        X = [rng.standard_normal((length, D)) for length in lengths]
        every = [rng.integers(0, C, length) for length in lengths]
        return X, every if kind == "lists, all" else rng.integers(0, C, n)
    X = rng.standard_normal((n, T, D))
    if kind == "values":
        return X, rng.standard_normal((n, T, C))
    return X, rng.integers(0, C, n)


def grids(size):
    found = [(1, size), (size, 1)]
    return dict.fromkeys([*found, (2, 2)] if size == 4 else found)


def cases():
    """Solver, cell, kind of data, time points, sequences, mini-batch, window."""
    for solver in sys.argv[1:] or ("condensed", "block", "admmirnn"):
        for T in (1, 3, 7, 28):
            yield solver, "elman", "last", T, 11, 4, None
        yield solver, "elman", "last", 7, 6, None, None
        for cell in ("elman", "gru", "lstm") if solver == "condensed" else ("elman",):
            yield solver, cell, "values", 7, 9, 4, None
            yield solver, cell, "tokens", 8, 5, 5, 3
            yield solver, cell, "lists", 7, 9, 4, None
            yield solver, cell, "lists, all", 7, 6, None, None
    if "condensed" in (sys.argv[1:] or ("condensed",)):
        yield "condensed", "gru, two layers", "lists, all", 7, 9, 4, None
        yield "condensed", "lstm, two layers", "tokens", 8, 5, 5, 3
        yield "condensed", "lstm, both directions", "lists", 7, 9, 4, None
    yield "condensed", "elman", "words", 8, 5, 2, 3
    for cell, held in (("elman", "signs"), ("gru", "signs"), ("lstm", "groups")):
        yield "condensed", cell, held, 7, 9, 4, None


def train(case, **distributed):
    solver, cell, kind, T, n, batch, window = case
    rng = np.random.default_rng(T)
    X, y = data(kind, T, n, rng)
    name, _, shape = cell.partition(", ")
    net = RNN(ALPHABETS.get(kind, D), H, C, seed=1, dtype="float64", cell=name, **SHAPES[shape])
    readout = "last" if kind in ("last", "lists", *HELD) else "all"
    result = fit(
        net, X, y, solver=solver, readout=readout, epochs=EPOCHS[solver], batch_size=batch,
        steps=window, validation=(X, y), threads=1, seed=2,
        constraints=HELD.get(kind), **distributed,
    )  # fmt: skip
    return np.concatenate([weights.ravel() for weights in net.weights]), result


def main():
    wrong = 0
    for case in cases():
        expected, alone = train(case)
        only = [(1, COMM.size)] if "both" in case[1] else None
        for grid in only or grids(COMM.size):
            for micro in (1, 3) if grid[0] > 1 else (1,):
                ranks = dict(comm=COMM, grid=grid, micro_batches=micro)
                (weights, result), (again, _) = train(case, **ranks), train(case, **ranks)
                error = abs(weights - expected).max() / abs(expected).max()
                # not bitwise: on a loaded machine Open MPI may sum in another order
                same = np.allclose(weights, again, rtol=0, atol=1e-14 * abs(weights).max())
                everywhere = COMM.allreduce(abs(weights - COMM.bcast(weights)).max(), MPI.MAX)
                here, there = result.history[-1], alone.history[-1]
                close = all(
                    np.isclose(here[name], there[name], rtol=1e-8)
                    for name in ("train_loss", "validation_loss")
                )
                if alone.kkt:
                    close &= np.allclose(
                        list(result.kkt.values()), list(alone.kkt.values()), rtol=1e-6, atol=1e-12
                    )
                if not (error <= 1e-10 and same and everywhere == 0 and close):
                    wrong += 1
                    print(COMM.rank, case, grid, micro, error, same, everywhere, close, flush=True)
    wrong = COMM.allreduce(wrong)
    if COMM.rank == 0:
        print("wrong:", wrong, flush=True)
    sys.exit(wrong > 0)


main()
