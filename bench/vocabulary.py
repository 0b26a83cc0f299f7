"""Time and memory of a `condensed` step over the size of the alphabet.

python -m bench.vocabulary            writes results/vocabulary.json (Linux)

A sentence task: 64 sentences of 40 words whose frequencies follow Zipf's law, two classes, the last
output. Times are of steps of all alphabets in turn, the median over rounds of a whole period of
Gram and factor; memory is the rise of the peak over the resident set, in a process of its own.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

from bench import machine
from bench.memory import resident
from fastadmm import RNN
from fastadmm.batches import Batch
from fastadmm.problem import make_problem
from fastadmm.solvers.condensed import Condensed, CondensedOptions
from fastadmm.threads import compute_threads

ALPHABETS = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
HIDDEN = (32, 128)
CASES, BATCH, WORDS, THREADS = 6_400, 64, 40, 2
PERIOD, ROUNDS = 10, 40


class Training:
    """Steps on sentences of one alphabet."""

    def __init__(self, size, hidden):
        rng = np.random.default_rng(0)
        frequencies = 1 / np.arange(1.0, size + 1)
        X = rng.choice(size, (CASES, WORDS), p=frequencies / frequencies.sum())
        net = RNN(size, hidden, 2)
        problem, self.data = make_problem(net, X, rng.integers(0, 2, CASES))
        self.rng, args = rng, (BATCH, WORDS, 10**6, THREADS)
        self.solver = Condensed(net, problem, CondensedOptions(), *args)

    def seconds(self, steps=PERIOD):
        """Mean time of so many steps."""
        batches = [self.rng.integers(0, CASES, BATCH) for _ in range(steps)]
        started = time.perf_counter()
        for cases in batches:
            self.solver.step(Batch.alone(self.data, cases))
        return (time.perf_counter() - started) / steps


def times(hidden):
    """Median seconds of a step for each alphabet."""
    found = {size: [] for size in ALPHABETS}
    with compute_threads(THREADS):
        trainings = {size: Training(size, hidden) for size in ALPHABETS}
        for _ in range(2):
            for training in trainings.values():
                training.seconds()
        for _ in range(ROUNDS):
            for size, training in trainings.items():
                found[size].append(training.seconds())
    return {size: median(seconds) for size, seconds in found.items()}


def growth(size, hidden):
    """Rise of the peak, in MiB, of making a network and training it, in this process."""
    with compute_threads(THREADS):
        Training(3, 2).seconds(2)
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        before = resident("VmRSS")
        training = Training(size, hidden)
        training.seconds()
        assert np.isfinite(training.solver.average[0]).all()
    return resident("VmHWM") - before


def main():
    """Measure every alphabet, and print a table."""
    results = []
    for hidden in HIDDEN:
        for size, seconds in times(hidden).items():
            command = [sys.executable, "-m", "bench.vocabulary", str(size), str(hidden)]
            mebibytes = json.loads(subprocess.check_output(command))
            row = {"alphabet": size, "hidden": hidden, "seconds": seconds, "mebibytes": mebibytes}
            results.append(row)
            print(f"H {hidden:4} D {size:6}  {1e3 * seconds:6.2f} ms  {mebibytes:6.1f} MiB")
    machine.store("vocabulary", results)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(growth(*map(int, sys.argv[1:])))
    else:
        main()
