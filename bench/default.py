"""One default for every task: the step length that finds itself against the best of fixed ones.

python -m bench.default DATA         all tasks; writes results/default.json; hours on 2 cores
python -m bench.default DATA --tasks digits text --seeds 0 1 --etas auto 0.03 --out runs.jsonl

DATA holds mnist/, text/ and sentiment/. ``--epochs`` scales the epochs of every task: 0.5 and 2 ask
whether what is found at a task's own budget holds at others. ``--option NAME=VALUE`` sets an option
of `condensed` in all runs. Data that are generated have a seed of their own; seeds are those of
weights and mini-batches. Two processes of one thread work side by side. Runs are appended to
``--out`` as they end, and those that are there are not made again.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import product
from pathlib import Path
from statistics import mean

import numpy as np

from bench import machine
from bench.torch_training import side_by_side
from fastadmm import RNN, datasets, fit, options
from fastadmm.datasets import Task
from fastadmm.solvers.condensed import CondensedOptions

GRID = tuple(0.03 * 2.0**power for power in range(-3, 5))
"""Fixed step lengths: 1/8 to 16 times what was the default."""
SEEDS = range(10, 15)
"""None of those that the rule was chosen with, 0 to 2."""
HELD_OUT = 2_000
"""Most held-out sequences of a generated task."""


@dataclass(frozen=True)
class Case:
    """A task as it is trained here.

    Attributes
    ----------
    load : callable
        The task, from the folder of the data.
    hidden, epochs, batch_size : int
    net : dict
        Other arguments of the network.
    """

    load: Callable[[Path], Task]
    hidden: int = 128
    epochs: int = 10
    batch_size: int = 128
    net: dict = field(default_factory=dict)


def mnist(data, pixels=False):
    """10,000 images, by rows or by pixels."""
    return datasets.mnist(data / "mnist", pixels)


def text(data, name, steps=50):
    """Characters in 32 streams."""
    return datasets.text(data / "text" / f"{name}.txt", steps, 32)


def sentences(data):
    """rt-polarity: 9,000 sentences of words, the last 1,662 of a shuffle with seed 0 held out."""
    lines, labels = [], []
    for label, name in enumerate(("neg", "pos")):
        found = (data / "sentiment" / f"rt-polarity.{name}").read_text("latin-1").splitlines()
        lines += [line.split() for line in found]
        labels += [label] * len(found)
    ids = {word: i for i, word in enumerate(sorted({word for line in lines for word in line}))}
    order = np.random.default_rng(0).permutation(len(lines))
    X = padded([np.array([ids[word] for word in lines[i]]) for i in order])
    lengths, y = np.array([len(lines[i]) for i in order]), np.array(labels)[order]
    return split("words", X, y, 9_000, len(ids), 2, lengths=lengths)


def padded(sequences):
    """Sequences (n_timepoints_i, ...) as one array, with zeros after them."""
    longest = max(map(len, sequences))
    found = np.zeros((len(sequences), longest, *sequences[0].shape[1:]), sequences[0].dtype)
    for row, sequence in zip(found, sequences, strict=True):
        row[: len(sequence)] = sequence
    return found


def split(name, X, y, n, inputs, outputs, readout="last", lengths=None):
    """A task whose first n cases are for training."""
    known = (None, None) if lengths is None else (lengths[:n], lengths[n:])
    return Task(
        name, X[:n], y[:n], (X[n:], y[n:]), inputs, outputs, readout, None, {}, *known
    )  # fmt: skip


def system(_data, cases=1_000, steps=64):
    """A nonlinear resonant system driven by noise through a saturated input, seen with noise."""
    rng = np.random.default_rng(0)
    n = cases + HELD_OUT // 4
    x, v = np.zeros((2, n))
    U = rng.standard_normal((n, steps, 1)).astype(np.float32)
    y = np.empty((n, steps, 1), np.float32)
    for t in range(steps):
        v += 0.3 * (np.tanh(1.5 * U[:, t, 0]) - x - 0.5 * x**3 - 0.4 * v)
        x += 0.3 * v
        y[:, t, 0] = x
    y += 0.02 * y.std() * rng.standard_normal(y.shape).astype(np.float32)
    return split("system", U, y, cases, 1, 1, "all")


def delayed_xor(_data, cases=12_800, steps=16):
    """Exclusive or of two marked bits of a sequence (Li's demonstration for PSGD)."""
    rng = np.random.default_rng(0)
    n = cases + HELD_OUT
    X = np.zeros((n, steps, 2), np.float32)
    X[:, :, 0] = rng.choice([-1, 1], (n, steps))
    case, tenth = np.arange(n), max(1, steps // 10)
    first, second = rng.integers(0, tenth, n), rng.integers(tenth, steps // 2, n)
    X[case, first, 1] = X[case, second, 1] = 1
    y = (X[case, first, 0] != X[case, second, 0]).astype(np.int64)
    return split("xor", X, y, cases, 2, 2)


def vowels(_data, cases=270, classes=9, channels=12):
    """Like JapaneseVowels: 7 to 29 time points of 12 channels, a class a speaker."""
    rng = np.random.default_rng(0)
    n = cases + 370
    y, lengths = rng.integers(0, classes, n), rng.integers(7, 30, n)
    level, swing = rng.standard_normal((2, classes, channels))
    sequences = []
    for label, length in zip(y, lengths, strict=True):
        phase = np.linspace(0, np.pi, length)[:, None] + 0.3 * rng.standard_normal()
        noise = rng.standard_normal((length, channels)).cumsum(0) / math.sqrt(length)
        own = level[label] + swing[label] * np.sin(phase) + rng.standard_normal(channels)
        sequences.append((own + noise).astype(np.float32))
    return split("vowels", padded(sequences), y, cases, channels, classes, lengths=lengths)


def adding(_data, steps):
    return datasets.adding(steps, held_out=HELD_OUT)


CASES = {
    "digits": Case(lambda _data: datasets.digits(), 64, 20, 64),
    "vowels": Case(vowels, 64, 20, 32),
    "xor": Case(delayed_xor, 30, 10),
    "system": Case(system, 64, 10, 32),
    "words": Case(sentences, 64, 4, 64),
    "rows, gain 0.01": Case(mnist, epochs=5, net={"gain": 0.01}),
    "rows": Case(mnist, epochs=5),
    "rows, gain 8": Case(mnist, epochs=5, net={"gain": 8.0}),
    "metamorphosis": Case(partial(text, name="metamorphosis", steps=25), epochs=8, batch_size=32),
    "text": Case(partial(text, name="tiny_shakespeare"), epochs=8, batch_size=32),
    "adding 100": Case(partial(adding, steps=100)),
    "adding 200": Case(partial(adding, steps=200)),
    "adding 400": Case(partial(adding, steps=400)),
    "pixels": Case(partial(mnist, pixels=True), epochs=5),
}


@cache
def load(data, name):
    """The task, once a process."""
    return CASES[name].load(Path(data))


def train(data, name, eta, seed, scale=1.0, settings=()):
    """One run, and what it reaches on the held-out part."""
    task, case = load(data, name), CASES[name]
    net = RNN(task.inputs, case.hidden, task.outputs, seed=seed, **case.net)
    epochs = max(1, round(case.epochs * scale))
    started = time.process_time()
    result = fit(
        net, task.X, task.y, readout=task.readout, steps=task.steps, lengths=task.lengths,
        epochs=epochs, batch_size=case.batch_size, threads=1, seed=seed, eta=eta, **dict(settings),
    )  # fmt: skip
    seconds = time.process_time() - started
    found = net.score(*task.held_out, threads=1, lengths=task.held_out_lengths)
    return {
        "task": name, "eta": eta, "seed": seed, "scale": scale, "settings": dict(settings),
        "status": result.status, "train_loss": result.history[-1]["train_loss"],
        "seconds": seconds, **found,
    }  # fmt: skip


def score(run):
    """What a run is judged by, the higher the better: accuracy, -nats of texts, R² of values."""
    if "r2" in run:
        return run["r2"]
    return -run["nats"] if run["task"] in TEXTS else run["accuracy"]


TEXTS = "text", "metamorphosis"
"""Tasks of characters, whose measure is nats."""


def loss(run):
    """Nats or mean squared error, infinite where training ended elsewhere."""
    found = run["nats"] if "nats" in run else run["rmse"] ** 2
    return found if math.isfinite(found) else math.inf


def key(run):
    """Which run it is."""
    names = "task", "eta", "seed", "scale", "settings"
    return json.dumps([run[name] for name in names], sort_keys=True)


def rows(runs):
    """Lines of a table: for every task and scale the means over seeds, by step length."""
    groups = {}
    for run in runs:
        by_eta = groups.setdefault((run["task"], run["scale"]), {})
        by_eta.setdefault(str(run["eta"]), []).append(run)
    for (task, scale), by_eta in groups.items():
        cells = [
            f"{eta[:6]}: {mean(map(loss, found)):.4f} ({mean(map(score, found)):.4f})"
            for eta, found in sorted(by_eta.items(), key=lambda item: (item[0] != "auto", item[0]))
        ]
        yield f"{task} x{scale:g}  {behind(by_eta)}  " + "  ".join(cells)


def behind(by_eta):
    """How far the step length that finds itself is behind the best fixed one, in its score."""
    scores = {eta: mean(map(score, found)) for eta, found in by_eta.items()}
    found, fixed = scores.pop("auto", None), max(scores.values(), default=None)
    if found is None or fixed is None:
        return ""
    return f"behind by {(fixed - found) / abs(fixed):.1%}"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--tasks", nargs="+", default=[*CASES], choices=[*CASES])
    parser.add_argument("--seeds", nargs="+", type=int, default=[*SEEDS])
    parser.add_argument("--etas", nargs="+", default=["auto", *map(str, GRID)])
    parser.add_argument("--epochs", nargs="+", type=float, default=[1.0])
    parser.add_argument("--option", nargs="+", default=[])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def main():
    """Make the runs that are missing, and print the table."""
    asked = arguments()
    read = partial(options.read, CondensedOptions)
    settings = tuple((n, read(n, v)) for n, v in (option.split("=") for option in asked.option))
    runs = []
    if asked.out and asked.out.exists():
        runs = [json.loads(line) for line in asked.out.read_text().splitlines()]
    known, jobs = set(map(key, runs)), []
    for name, scale, seed, eta in product(asked.tasks, asked.epochs, asked.seeds, asked.etas):
        eta = eta if eta == "auto" else float(eta)
        job = {"task": name, "eta": eta, "seed": seed, "scale": scale, "settings": dict(settings)}
        if key(job) not in known:
            jobs.append((asked.data, name, eta, seed, scale, settings))
    for run in side_by_side(train, jobs, asked.workers, begin=None):
        runs.append(run)
        print(json.dumps(run), flush=True)
        if asked.out:
            with asked.out.open("a") as file:
                file.write(json.dumps(run) + "\n")
    print(*rows(runs), sep="\n")
    if not asked.out:
        machine.store("default", sorted(runs, key=key))


if __name__ == "__main__":
    main()
