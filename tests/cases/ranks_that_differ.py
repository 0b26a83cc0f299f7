"""Run under mpirun: whatever the last rank is asked for alone, all ranks refuse by name.

mpirun -n P python ranks_that_differ.py [NAME ...]
"""

import sys

import fastadmm.mpi.grid
import numpy as np
from mpi4py import MPI

from fastadmm import RNN, fit

COMM = MPI.COMM_WORLD
RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((24, 6, 3)).astype("f4"), RNG.integers(0, 3, 24)
OTHER_X, OTHER_Y = RNG.standard_normal((24, 6, 3)).astype("f4"), RNG.integers(0, 3, 24)
VALUES = RNG.standard_normal((24, 3))


def net(**changed):
    """A small network."""
    return RNN(**({"inputs": 3, "hidden": 4, "outputs": 3} | changed))


def moved():
    """The same with other weights."""
    found = net()
    found.theta[:] += 1
    return found


DIFFERENT = {
    "seed": dict(seed=1),
    "generator": dict(seed=np.random.default_rng(5)),
    "epochs": dict(epochs=3),
    "epochs of another type": dict(epochs="x"),
    "batch_size": dict(batch_size=5),
    "eta": dict(eta=0.1),
    "an option that is unknown": dict(nonsense=1),
    "certify": dict(certify=True),
    "seed of the network": dict(net=net(seed=1)),
    "activation": dict(net=net(activation="relu")),
    "hidden": dict(net=net(hidden=5)),
    "dtype": dict(net=net(dtype="float64")),
    "weights": dict(net=moved()),
    "X": dict(X=OTHER_X),
    "dtype of X": dict(X=X.astype(float)),
    "time points": dict(X=X[:, :5]),
    "y": dict(y=OTHER_Y),
    "values for labels": dict(y=VALUES),
    "cases": dict(X=X[:-1], y=Y[:-1]),
    "lengths": dict(lengths=np.full(24, 5)),
    "validation": dict(validation=(OTHER_X, OTHER_Y)),
    "part held out": dict(validation=0.25),
    "early_stopping": dict(early_stopping=2),
    "loss": dict(loss="squared"),
    "readout": dict(readout="all"),
    "solver": dict(solver="block"),
    "steps": dict(steps=3),
    "scale": dict(scale=None),
    "sample_weight": dict(sample_weight=np.arange(1.0, 25)),
    "class_weight": dict(class_weight="balanced"),
    "group_by_length": dict(group_by_length=True),
    "staleness": dict(staleness=1),
    "grid": dict(grid=(COMM.size, 1)),
    "micro_batches": dict(micro_batches=2),
    "time_limit": dict(time_limit=1.0),
    "checkpoint": dict(checkpoint="nowhere"),
    "cases by rank": dict(by_rank=True),
}
EQUAL = {
    "another layout": dict(X=np.asfortranarray(X)),
    "read-only": dict(X=np.frombuffer(X.tobytes(), "f4").reshape(X.shape)),
    "its own threads, words and callbacks": dict(verbose=0, callbacks=[lambda record: None]),
}


def tell(changed):
    """What `fit` says on this rank, the last of which has arguments of its own."""
    own = changed if COMM.rank == COMM.size - 1 else {}
    settings = dict(net=net(), X=X, y=Y, epochs=1, batch_size=8, threads=1, comm=COMM) | own
    try:
        return fit(**settings).status
    except ValueError as error:
        return str(error)


def main():
    names = sys.argv[1:] or [*DIFFERENT, *EQUAL]
    domains, make = [], fastadmm.mpi.grid.Grid.__init__

    def remember(self, *arguments, **keywords):
        make(self, *arguments, **keywords)
        domains.append(self)

    fastadmm.mpi.grid.Grid.__init__ = remember
    wrong = 0
    for name in names:
        told = COMM.allgather(tell(DIFFERENT.get(name) or EQUAL[name]))
        refused = " differs between ranks: " in told[0] and f" on rank {COMM.size - 1}" in told[0]
        if len(set(told)) > 1 or refused != (name in DIFFERENT):
            wrong += 1
            print(f"{name}: {told}", flush=True)
    wrong += any(domain.comm != MPI.COMM_NULL for domain in domains)  # none is left behind
    wrong += len(domains) != sum(name in EQUAL for name in names)
    if COMM.rank == 0:
        print(f"wrong: {wrong} of {len(names)}")


main()
