"""Peak memory of training steps, ours and torch's: growth of the resident set in a new process.

python -m bench.memory            writes results/memory.json (Linux)

Each side loads its libraries, makes the same data and takes one step of a tiny network first. What
counts is how far the peak then rises above the resident set while steps run at full size.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from statistics import median

import numpy as np

from bench import machine, peers
from fastadmm.threads import compute_threads

SHAPES = [  # T, B, D, H
    (28, 128, 28, 128),
    (784, 64, 1, 16),
    (100, 128, 2, 128),
    (28, 1024, 28, 128),
    (28, 256, 28, 256),
    (28, 128, 28, 512),
]
CLASSES, STEPS, ROUNDS, THREADS = 10, 30, 3, 2


def resident(field):
    """``VmRSS``, what the process holds now, or ``VmHWM``, its peak; in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) / 1024


def train(side, X, y, batch, hidden, steps):
    """Run so many steps of one side."""
    if side == "torch":
        step = peers.torch_step(X, y, hidden, CLASSES)
    else:
        step = peers.condensed_step(X, y, batch, hidden, CLASSES, THREADS)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        step(rng.permutation(len(X))[:batch])


def growth(side, T, B, D, H):
    """Rise of the peak over the steps, in MiB, in this process."""
    rng = np.random.default_rng(0)
    X, y = rng.random((2 * B, T, D), np.float32), rng.integers(0, CLASSES, 2 * B)
    with compute_threads(THREADS):
        train(side, X[:2, :2].copy(), y[:2], 2, 2, 1)
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        before = resident("VmRSS")
        train(side, X, y, B, H, STEPS)
    return resident("VmHWM") - before


def main():
    """Measure every shape in processes of their own."""
    results = []
    for shape in SHAPES:
        found = {}
        for side in ("condensed", "torch"):
            command = [sys.executable, "-m", "bench.memory", side, *map(str, shape)]
            runs = [json.loads(subprocess.check_output(command)) for _ in range(ROUNDS)]
            found[side] = median(runs)
        results.append({"shape": shape, "mebibytes": found})
        print(shape, "  ".join(f"{k} {v:.1f} MiB" for k, v in found.items()), flush=True)
    machine.store("memory", results)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(growth(sys.argv[1], *map(int, sys.argv[2:])))
    else:
        main()
