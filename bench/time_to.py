"""Seconds of training to a given test accuracy: `condensed` against torch's Adam, MNIST by rows.

python -m bench.time_to DATA      DATA holds mnist/; writes results/time_to.json; about 10 minutes
                                  on 2 cores

128 hidden units, mini-batches of 128, float32. The held-out accuracy is measured after every epoch,
outside the time. Each side chooses, for each target, its number of epochs, which sets how the steps
fall, and Adam its learning rate: what reaches the target soonest at two seeds. From the other
seeds, sides alternate. Adam is fused, clipped and decayed (`torch_training`), counts with its last
iterate or its average, whichever is there first, and runs compiled or not on 1 or 2 threads,
whatever is fastest here. `condensed` has its default settings.
"""

import math
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
import torch

from bench import machine
from bench.torch_training import TUNING, Training, rate_of
from fastadmm import RNN, datasets, fit

TARGETS, SEEDS = (0.95, 0.955), range(5)
HIDDEN, BATCH = 128, 128
EPOCHS = {"condensed": (2, 3, 5, 8, 12), "Adam": (3, 5, 8, 12, 20)}
RATES = {"condensed": (None,), "Adam": tuple(map(rate_of, (-6, -5, -4)))}
WAYS = tuple(product((1, 2), (False, True)))
"""Threads of torch, and whether it compiles."""


def condensed(task, epochs, rate, seed, goal):
    """Training seconds and accuracy after each epoch, until the goal is reached."""
    net = RNN(task.inputs, HIDDEN, task.outputs, seed=seed)
    result = fit(
        net, task.X, task.y, epochs=epochs, batch_size=BATCH, seed=seed, validation=task.held_out,
        callbacks=[lambda record: record["validation_accuracy"] >= goal],
    )  # fmt: skip
    return [(record["seconds"], record["validation_accuracy"]) for record in result.history]


def accuracy(own, net, X, y):
    """The better one of the last iterate and the average."""
    found = []
    for iterate in ("last", "average"):
        own.put_into(net, iterate)
        found.append(float((net.predict(X).argmax(1) == y).mean()))
    return max(found)


class Adam:
    """torch's side, in one of the ways."""

    def __init__(self, task):
        self.X = torch.from_numpy(np.asarray(task.X))
        self.y = torch.from_numpy(np.asarray(task.y))
        seconds = {way: self.seconds_per_step(task, *way) for way in WAYS}
        self.threads, self.compiled = min(seconds, key=seconds.get)
        print({str(way): round(1e3 * value, 2) for way, value in seconds.items()}, "ms", flush=True)

    def begin(self, net, rate, epochs, compiled):
        return Training(net, "Adam", rate, epochs * -(-len(self.X) // BATCH), compiled=compiled)

    def epoch(self, own, rng):
        """Seconds of an epoch."""
        started = time.perf_counter()
        for cases in torch.from_numpy(rng.permutation(len(self.X))).split(BATCH):
            own.step(self.X[cases], self.y[cases])
        return time.perf_counter() - started

    def seconds_per_step(self, task, threads, compiled):
        torch.set_num_threads(threads)
        net = RNN(task.inputs, HIDDEN, task.outputs)
        own, rng = self.begin(net, 1e-3, 2, compiled), np.random.default_rng(0)
        self.epoch(own, rng)  # compiles
        return self.epoch(own, rng) / -(-len(self.X) // BATCH)

    def __call__(self, task, epochs, rate, seed, goal):
        """As `condensed`."""
        net, rng = RNN(task.inputs, HIDDEN, task.outputs, seed=seed), np.random.default_rng(seed)
        own, found = self.begin(net, rate, epochs, self.compiled), []
        for _ in range(epochs):
            torch.set_num_threads(self.threads)  # prediction may have set its own
            seconds = self.epoch(own, rng)
            found.append((seconds, accuracy(own, net, *task.held_out)))
            if found[-1][1] >= goal:
                break
        return found


def seconds_to(target, history):
    """Seconds until the target was reached first; infinite where it was not."""
    total = 0.0
    for seconds, reached in history:
        total += seconds
        if reached >= target:
            return total
    return math.inf


def chosen(train, task, side):
    """Epochs and rate that reach each target soonest at the seeds of tuning."""
    found = {}
    for epochs, rate in product(EPOCHS[side], RATES[side]):
        times = np.full((len(TUNING), len(TARGETS)), math.inf)
        for own, seed in zip(times, TUNING, strict=True):
            history = train(task, epochs, rate, seed, max(TARGETS))
            own[:] = [seconds_to(target, history) for target in TARGETS]
            if np.isinf(own).all():
                break  # not chosen, whatever the other seed
        found[epochs, rate] = times.mean(axis=0)
        print(side, epochs, rate, np.round(found[epochs, rate], 2), flush=True)
    # where none reaches the target, the most epochs
    return [min(found, key=lambda own, k=k: (found[own][k], -own[0])) for k in range(len(TARGETS))]


def main(data):
    """Choose, then run both sides from every seed."""
    torch.set_flush_denormal(True)
    task = datasets.mnist(Path(data) / "mnist", False)
    condensed(task, 1, None, 0, 1)  # loads kernels
    sides = {"condensed": condensed, "Adam": Adam(task)}
    settings = {side: chosen(train, task, side) for side, train in sides.items()}
    results = [
        {"target": target, "method": side, "epochs": settings[side][k][0],
         "rate": settings[side][k][1], "seconds": []}
        for k, target in enumerate(TARGETS) for side in sides
    ]  # fmt: skip
    for seed, result in product(SEEDS, results):
        train = sides[result["method"]]
        history = train(task, result["epochs"], result["rate"], seed, result["target"])
        seconds = seconds_to(result["target"], history)
        result["seconds"].append(seconds if math.isfinite(seconds) else None)
    for result in results:
        print(result, flush=True)
    way = {"threads": sides["Adam"].threads, "compiled": sides["Adam"].compiled}
    machine.store("time_to", {"torch": way, "runs": results})


if __name__ == "__main__":
    main(sys.argv[1])
