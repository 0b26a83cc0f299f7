"""Seconds of a step where another process keeps a core busy, and where none does.

python -m bench.busy           writes results/busy.json

Each measurement is a process of its own, since OpenMP reads once how its threads are to wait; they
alternate, so that all meet the same machine. "Spinning" is how GNU OpenMP's threads wait where
nothing is said.
"""

import json
import os
import subprocess
import sys
from statistics import median

import numpy as np

from bench import machine
from fastadmm import RNN, fit
from fastadmm.threads import WAITING

ROUNDS, LIMIT = 5, 4.0
SHAPES = {
    "digits": (8, 64, 8, 128),
    "MNIST rows": (28, 128, 28, 128),
    "smallest on two threads": (8, 64, 8, 64),
}
"""T, B, D, H."""
WAYS = {
    "1 thread": (1, {}),
    "2 threads": (2, {}),
    "2 threads, spinning": (2, {"GOMP_SPINCOUNT": "300000"}),
}
BUSY = "while True: pass"


def measure(steps, batch, inputs, hidden, threads):
    """Mean seconds of a step in this process."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20 * batch, steps, inputs), np.float32)
    y = rng.integers(0, 10, len(X))
    net = RNN(inputs, hidden, 10)
    fit(net, X[:batch], y[:batch], batch_size=batch, epochs=1, threads=threads)  # loads
    found = fit(net, X, y, batch_size=batch, epochs=30, threads=threads, time_limit=LIMIT)
    return found.train_seconds / sum(record["batches"] for record in found.history)


def one(shape, threads, variables):
    """Seconds of a step, in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k not in WAITING}
    command = [sys.executable, "-m", "bench.busy", *map(str, (*SHAPES[shape], threads))]
    return float(subprocess.check_output(command, env={**environment, **variables}))


def one_round(busy):
    """Seconds of a step of every shape in every way, with a busy core or without."""
    other = subprocess.Popen([sys.executable, "-c", BUSY]) if busy else None
    try:
        return {
            shape: {way: one(shape, *how) for way, how in WAYS.items()} for shape in SHAPES
        }  # fmt: skip
    finally:
        if other is not None:
            other.kill()
            other.wait()


def main():
    """Measure, print, store."""
    rounds = {"quiet": [], "busy": []}
    for _ in range(ROUNDS):
        for state, found in rounds.items():
            found.append(one_round(state == "busy"))
    result = {
        state: {
            shape: {way: median(r[shape][way] for r in found) for way in WAYS} for shape in SHAPES
        }
        for state, found in rounds.items()
    }
    print(json.dumps(result, indent=1))
    machine.store("busy", {"median": result, "rounds": rounds})


if __name__ == "__main__":
    print(measure(*map(int, sys.argv[1:]))) if len(sys.argv) > 1 else main()
