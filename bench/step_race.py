"""One whole training step against torch's nn.RNN with Adam, alternating in one run.

python bench/step_race.py         writes results/step_race.json

Both sides gather a mini-batch of rows from the same array, run forward, loss, backward and update.
torch is timed at 1 and 2 threads; its better median counts.
"""

import time
from statistics import median

import machine
import numpy as np
import torch

from fastadmm import RNN
from fastadmm.problem import make_problem
from fastadmm.solvers.condensed import Condensed
from fastadmm.threads import compute_threads

SHAPES = [  # T, B, D, H
    (28, 128, 28, 128),
    (28, 64, 28, 64),
    (8, 64, 8, 64),
    (784, 64, 1, 16),
    (100, 128, 2, 128),
    (28, 256, 28, 256),
]
ROUNDS, PASSES, THREADS = 9, 4, 2


def condensed_step(X, y, batches, hidden):
    """Function that runs one step of the default solver."""
    net = RNN(X.shape[2], hidden, 10)
    problem, X, y = make_problem(net, X, y)
    size, steps = len(batches[0]), X.shape[1]
    solver = Condensed(net, problem, Condensed.Options(), size, steps, 10**6, THREADS)
    return lambda cases: solver.step(X, y, cases, 0, steps)


def torch_step(X, y, hidden):
    """Function that runs one step of Adam on nn.RNN and a linear read-out."""
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    rnn = torch.nn.RNN(X.shape[2], hidden, batch_first=True)
    linear = torch.nn.Linear(hidden, 10)
    parameters = [*rnn.parameters(), *linear.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=2e-3)
    loss = torch.nn.CrossEntropyLoss()

    def step(cases):
        cases = torch.from_numpy(cases)
        optimizer.zero_grad()
        value = loss(linear(rnn(X[cases])[0][:, -1]), y[cases])
        value.backward()
        optimizer.step()

    return step


def seconds_per_step(step, batches):
    """Wall time of one step, over several passes through all batches.

    Long enough that the other side's threads, which spin for a while after their last parallel
    region, do not count.
    """
    started = time.perf_counter()
    for cases in PASSES * batches:
        step(cases)
    return (time.perf_counter() - started) / (PASSES * len(batches))


def race(T, B, D, H):
    """Medians of alternating rounds."""
    rng = np.random.default_rng(0)
    X = rng.random((8 * B, T, D), np.float32)
    y = rng.integers(0, 10, 8 * B)
    batches = list(rng.permutation(8 * B).reshape(8, B))
    ours, theirs = condensed_step(X, y, batches, H), torch_step(X, y, H)
    times = {"condensed": [], "torch, 1 thread": [], "torch, 2 threads": []}
    for round_ in range(ROUNDS + 1):
        measured = {}
        with compute_threads(THREADS):
            measured["condensed"] = seconds_per_step(ours, batches)
        for threads, name in ((1, "torch, 1 thread"), (2, "torch, 2 threads")):
            torch.set_num_threads(threads)
            measured[name] = seconds_per_step(theirs, batches)
        if round_:  # the first round warms up
            for name, value in measured.items():
                times[name].append(value)
    medians = {name: median(values) for name, values in times.items()}
    best = min(medians["torch, 1 thread"], medians["torch, 2 threads"])
    return {
        "T": T, "B": B, "D": D, "H": H, "dtype": "float32", "threads": THREADS,
        "seconds": times, "median": medians, "ratio": best / medians["condensed"],
    }  # fmt: skip


def main():
    """Race at every shape."""
    results = []
    for shape in SHAPES:
        result = race(*shape)
        results.append(result)
        shown = "  ".join(f"{name} {1e3 * v:.2f} ms" for name, v in result["median"].items())
        print(f"T {shape[0]} B {shape[1]} D {shape[2]} H {shape[3]}: {shown}  "
              f"ratio {result['ratio']:.2f}", flush=True)  # fmt: skip
    machine.store("step_race", {"torch": torch.__version__, "races": results})


if __name__ == "__main__":
    main()
