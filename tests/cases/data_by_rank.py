"""Run under mpirun: ranks that bring cases of their own give the weights of one that has them all.

mpirun -n P python data_by_rank.py
"""

import fastadmm.mpi.exchange
import numpy as np
from mpi4py import MPI

from fastadmm import RNN, fit

COMM = MPI.COMM_WORLD
COUNTS = (7, 1, 5) if COMM.size == 3 else (9, 4)
N, T, D, C = sum(COUNTS), 6, 3, 4
OWN = slice(sum(COUNTS[: COMM.rank]), sum(COUNTS[: COMM.rank + 1]))
RNG = np.random.default_rng(0)
X, TOKENS = RNG.standard_normal((N, T, D)), RNG.integers(0, D, (N, T))
LABELS = RNG.integers(0, C, N)
VALUES, EVERY = RNG.standard_normal((N, T, C)), RNG.integers(0, C, (N, T))
LENGTHS = np.arange(N) % 4 + 1  # ranks have longest sequences of their own
LENGTHS[-1] = T
LISTS = [row[:n] for row, n in zip(X, LENGTHS, strict=True)]
EVERY_OF_LISTS = [row[:n] for row, n in zip(EVERY, LENGTHS, strict=True)]
WEIGHTS = np.where(np.arange(N) < COUNTS[0], 0.0, 1 + np.arange(N) / N)  # none on rank 0

CASES = {
    "labels": dict(X=X, y=LABELS, validation=(X[::-1], LABELS)),
    "values": dict(X=X, y=VALUES, readout="all", steps=4),
    "tokens": dict(X=TOKENS, y=EVERY, readout="all"),
    "lists": dict(X=LISTS, y=EVERY_OF_LISTS, readout="all", validation=(LISTS, EVERY_OF_LISTS)),
    "lengths": dict(X=X, y=LABELS, lengths=LENGTHS, group_by_length=True),
    "fraction": dict(X=X, y=LABELS, validation=0.3, sample_weight=WEIGHTS, class_weight="balanced"),
    "states": dict(X=X, y=LABELS, initial=RNG.standard_normal((N, 5))),
    "block": dict(X=X, y=LABELS, solver="block"),
    "one without": dict(X=X, y=LABELS),
}
PER_CASE = "X", "y", "lengths", "sample_weight", "initial"


def own(asked, part):
    """The same call with the cases of this rank."""
    mine = {name: v[part] if name in PER_CASE else v for name, v in asked.items()}
    if isinstance(mine.get("validation"), tuple):
        mine["validation"] = tuple(each[part] for each in mine["validation"])
    return mine


def train(asked, **ranks):
    net = RNN(D, 5, C, dtype="float64", seed=1)
    batch = None if "solver" in asked else 5
    result = fit(net, **asked, batch_size=batch, epochs=3, threads=1, seed=2, **ranks)
    last = result.history[-1]
    found = np.concatenate([block.ravel() for block in net.weights])
    return np.append(found, [last["train_loss"], last["validation_loss"] or 0.0])


def refused(**changed):
    """What all ranks say."""
    net = RNN(D, 5, C)
    settings = dict(X=X[OWN], y=LABELS[OWN], comm=COMM, by_rank=True, threads=1) | changed
    try:
        fit(net, **settings)
    except (ValueError, TypeError) as error:
        return COMM.allgather(str(error))
    return COMM.allgather("")


def main():
    wrong = 0

    def check(name, condition, told):
        nonlocal wrong
        if not condition:
            wrong += 1
            print(COMM.rank, name, told, flush=True)

    fastadmm.mpi.exchange.MESSAGE = 100  # several messages
    for name, asked in CASES.items():
        expected = COMM.bcast(train(asked) if COMM.rank == 0 else None)  # and compiled once
        part = OWN if name != "one without" else slice(0, N if COMM.rank == 1 else 0)
        for grid in ((1, COMM.size), (COMM.size, 1)):
            found = train(own(asked, part), comm=COMM, by_rank=True, grid=grid)
            error = abs(found - expected).max() / abs(expected).max()
            check(f"{name} {grid}", error < 1e-10, error)
    is_last, bad = COMM.rank == COMM.size - 1, X[OWN].copy()
    bad[0, 1, 2] = np.nan if is_last else 0
    last = f"rank {COMM.size - 1}"
    for name, message, changed in (
        ("by_rank", "by_rank differs between ranks: True on", dict(by_rank=not is_last)),
        ("nan", f"{last}: X[0, 1, 2] is nan", dict(X=bad)),
        ("Xv", f"{last}: Xv[0, 1, 2] is nan", dict(validation=(bad, LABELS[OWN]))),
        ("steps", "X differs between ranks: float32 (n_cases, 6, 3) on rank",
         dict(X=X[OWN, : 5 if is_last else T])),
        ("kind of y", "y differs between ranks: int64 (n_cases) on rank",
         dict(y=VALUES[OWN, 0] if is_last else LABELS[OWN])),
        ("cases", "y has shape", dict(y=LABELS[: OWN.stop - OWN.start + is_last])),
        ("weights", "sample_weight has shape", dict(sample_weight=WEIGHTS[:2])),
        ("no weight", "sample_weight is zero everywhere",
         dict(sample_weight=np.zeros(OWN.stop - OWN.start))),
        ("nobody", "X has no case on any rank", dict(X=X[:0], y=LABELS[:0])),
        ("seed", "seed differs between ranks", dict(seed=COMM.rank)),
    ):  # fmt: skip
        told = refused(**changed)
        check(name, all(message in each for each in told), told)
    total = COMM.allreduce(wrong)
    if COMM.rank == 0:
        print("wrong:", total, flush=True)


main()
