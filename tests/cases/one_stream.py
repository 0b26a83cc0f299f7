"""Run under mpirun: one long stream over ranks along time, as chunks that overlap, and exactly.

mpirun -n P python one_stream.py      exits with 1 where a case differs from one rank's
"""

import sys

import numpy as np
from mpi4py import MPI

from fastadmm import RNN, fit

COMM = MPI.COMM_WORLD
D, H, C = 3, 6, 4
CASES = {  # cell, gain, time points, sequences, window, more of the network
    "uneven": ("elman", 0.7, 5003, 1, None, {}),
    "windows": ("gru", 0.7, 6001, 2, 2100, {}),
    "stacked": ("lstm", 0.7, 5000, 1, None, {"layers": 2, "initial": "learned"}),
    "ranks without a sequence": ("elman", 0.7, 5003, 1, None, {}),
    "never forgets": ("elman", 3.0, 5003, 1, None, {}),
    "shorter than the overlap": ("elman", 0.7, 300, 1, None, {}),
    "less than a step each": ("elman", 0.7, 2, 1, None, {}),
}


def train(case, **others):
    cell, gain, T, n, window, more = CASES[case]
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((n, T, D)), rng.integers(0, C, (n, T))
    if case == "never forgets":
        X *= 0.01
    net = RNN(D, H, C, gain=gain, seed=1, dtype="float64", cell=cell, **more)
    result = fit(
        net, X, y, readout="all", epochs=3, batch_size=None, steps=window, threads=1, scale=None,
        eta=0.01, **others,
    )  # fmt: skip
    return np.concatenate([weights.ravel() for weights in net.weights]), result.history


def main():
    wrong = 0
    for case in CASES:
        expected, whole = train(case, overlap=False)
        grid = (1, COMM.size) if case == "ranks without a sequence" else (COMM.size, 1)
        weights, history = train(case, comm=COMM, grid=grid, micro_batches=1)
        error = abs(weights - expected).max() / abs(expected).max()
        everywhere = COMM.allreduce(abs(weights - COMM.bcast(weights)).max(), MPI.MAX)
        is_cut = [record.get("overlap", [0])[0] > 0 for record in history]
        residuals = [record.get("edge_residual", 0.0) for record in history]
        forgets = list(CASES).index(case) < 4
        fits = all(is_cut) if forgets else not any(is_cut)
        close = np.isclose(history[-1]["train_loss"], whole[-1]["train_loss"], rtol=1e-8)
        if not (error < 1e-7 and everywhere == 0 and fits and max(residuals) <= 1e-8 and close):
            wrong += 1
            print(COMM.rank, case, error, everywhere, is_cut, residuals, close, flush=True)
    wrong = COMM.allreduce(wrong)
    if COMM.rank == 0:
        print("wrong:", wrong, flush=True)
    sys.exit(wrong > 0)


main()
