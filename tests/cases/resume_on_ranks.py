"""Run under mpirun: a run that is ended goes on, on the ranks it had, on one, and on others.

mpirun -n P python resume_on_ranks.py FOLDER       exits with 1 where weights differ
"""

import sys
from pathlib import Path

import numpy as np
from mpi4py import MPI

from fastadmm import RNN, fit

COMM = MPI.COMM_WORLD
FOLDER = Path(sys.argv[1])
RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((9, 7, 3)), RNG.integers(0, 4, 9)
TOKENS, NEXT = RNG.integers(0, 3, (6, 12)), RNG.integers(0, 4, (6, 12))
CASES = [
    ("condensed", X, Y, {"batch_size": 4}),
    ("condensed", TOKENS, NEXT, {"batch_size": 3, "readout": "all", "steps": 5}),
    ("block", X, Y, {"batch_size": None}),
    ("admmirnn", X, Y, {"batch_size": None}),
]


def train(case, comm, **more):
    solver, inputs, labels, asked = case
    net = RNN(3, 5, 4, seed=1, dtype="float64")
    settings = asked | {"epochs": 5, "threads": 1, "solver": solver, "seed": 2} | more
    fit(net, inputs, labels, comm=comm, **settings)
    return np.concatenate([net.theta.ravel(), net.phi.ravel()])


def differs(found, expected):
    return not abs(found - expected).max() <= 1e-10 * abs(expected).max()


def main():
    wrong = 0
    for place, case in enumerate(CASES):
        expected = train(case, None)
        for time in (1, COMM.size):
            path, grid = FOLDER / f"{place}-{time}", (time, COMM.size // time)
            stop = {"checkpoint": path, "callbacks": [lambda record: record["epoch"] == 2]}
            train(case, COMM, grid=grid, **stop)
            other = grid[::-1]
            found = [train(case, COMM, grid=g, resume=path) for g in (grid, other)]
            found.append(train(case, None, resume=path))  # each rank alone
            for g, weights in zip((grid, other, None), found, strict=True):
                if differs(weights, expected):
                    wrong += 1
                    print(COMM.rank, case[0], grid, g, abs(weights - expected).max(), flush=True)
    wrong = COMM.allreduce(wrong)
    if COMM.rank == 0:
        print("wrong:", wrong, flush=True)
    sys.exit(wrong > 0)


main()
