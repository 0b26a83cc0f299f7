"""GRU and LSTM from initial gains 0.01 to 8: what safeguard and growth guard are worth for them.

python -m bench.gains DATA          DATA holds mnist/; writes results/gains.json; about an hour on
                                    2 cores
python -m bench.gains DATA quick    500 images, one gain, writes nothing

Rows of the first 10,000 training images of MNIST, H = 128, 3 epochs in mini-batches of 64, default
settings but for the switches; accuracy on the official test images. One thread.
"""

import sys
from pathlib import Path
from statistics import mean

import numpy as np

from bench import machine
from fastadmm import RNN, datasets, fit

GAINS = (0.01, 0.1, 0.5, 1, 2, 4, 8)
SWITCHES = {
    "defaults": {},
    "no safeguard": {"safeguard": False},
    "no guard": {"guard": 0.0},
    "neither": {"safeguard": False, "guard": 0.0},
}
IMAGES, SEEDS = 10_000, range(2)


def run(cell, gain, switches, seed, X, y, held_out):
    """Accuracy of one run, and how multipliers grew in its first epoch."""
    net = RNN(X.shape[2], 128, 10, gain=gain, seed=seed, cell=cell)
    result = fit(net, X, y, epochs=3, batch_size=64, threads=1, seed=seed, **switches)
    first = result.history[0]
    return {
        "status": result.status, "accuracy": net.score(*held_out, threads=1)["accuracy"],
        "growth": first["growth"], "shrinkage": first["shrinkage"],
    }  # fmt: skip


def main():
    """All cells, gains and switches."""
    task, is_quick = datasets.mnist(Path(sys.argv[1]) / "mnist", False), "quick" in sys.argv
    count = 500 if is_quick else IMAGES
    X, y = np.asarray(task.X[:count]), np.asarray(task.y[:count])
    results = []
    for cell in ("gru", "lstm"):
        for gain in (1,) if is_quick else GAINS:
            for name, switches in SWITCHES.items():
                runs = [
                    run(cell, gain, switches, seed, X, y, task.held_out)
                    for seed in (SEEDS[:1] if is_quick else SEEDS)
                ]
                results.append({"cell": cell, "gain": gain, "switches": name, "runs": runs})
                accuracy = mean(each["accuracy"] for each in runs)
                print(f"{cell}, gain {gain}, {name}: {accuracy:.2%}", flush=True)
    if not is_quick:
        machine.store("gains", results)


if __name__ == "__main__":
    main()
