"""The paper's text task: loss per character of all solvers and five torch optimisers.

python -m bench.text DATA     DATA holds text/metamorphosis.txt; writes results/text.json; about 10
                              minutes on 2 cores

128 hidden units, windows of 25 characters, 32 parallel streams, state carried from window to
window, 8 epochs, the last tenth of the text held out. Every method sees the same windows in the
same order from the same initial weights, of five seeds. torch's optimisers clip the gradient's
norm, decay their learning rate and average their iterates; rate and iterate are tuned
(`torch_training`). Two processes of one thread work side by side.
"""

import math
import sys
from functools import cache
from pathlib import Path
from statistics import mean

import numpy as np

from bench import machine, torch_training
from fastadmm import RNN, datasets, fit
from fastadmm.problem import evaluate, make_problem
from fastadmm.threads import compute_threads

HIDDEN, WINDOW, STREAMS, EPOCHS = 128, 25, 32, 8
SEEDS = range(5)
SOLVERS = ("condensed", "block", "admmirnn")


@cache
def load(data):
    """The task, once a process."""
    return datasets.text(Path(data) / "text" / "metamorphosis.txt", WINDOW, STREAMS)


def train_torch(net, task, name, rate):
    """Train torch's RNN on the windows in order; returns the training and its last loss."""
    import torch

    X = torch.nn.functional.one_hot(torch.from_numpy(np.asarray(task.X)), net.inputs).float()
    y = torch.from_numpy(np.asarray(task.y))
    windows = list(zip(X.split(WINDOW, 1), y.split(WINDOW, 1), strict=True))
    own = torch_training.Training(net, name, rate, EPOCHS * len(windows), "all")
    for _ in range(EPOCHS):
        state, losses = None, []
        for x, symbols in windows:
            loss, state = own.step(x, symbols, state)
            losses.append(loss)
    return own, mean(losses)


def held_out_loss(net, task):
    """Nats per character on the held-out text; infinite where there is none."""
    problem, data = make_problem(net, *task.held_out, readout="all")
    with compute_threads(1):
        loss = evaluate(net, problem, data, 1)[0]
    return loss if math.isfinite(loss) else math.inf


def ours(data, solver):
    """Runs of a solver."""
    task, runs = load(data), []
    for seed in SEEDS:
        net = RNN(task.inputs, HIDDEN, task.outputs, seed=seed)
        result = fit(
            net, task.X, task.y, solver=solver, readout="all", epochs=EPOCHS, steps=WINDOW,
            batch_size=STREAMS, threads=1, seed=seed,
        )  # fmt: skip
        runs.append(
            {"method": solver, "seed": seed, "train_loss": result.history[-1]["train_loss"],
             "test_loss": held_out_loss(net, task), "status": result.status}
        )  # fmt: skip
    return runs


def theirs(data, name):
    """Runs of a torch optimiser, tuned."""
    task, runs = load(data), []

    def trained(rate, seed):
        net = RNN(task.inputs, HIDDEN, task.outputs, seed=seed)
        return net, *train_torch(net, task, name, rate)

    def losses(net, own):
        found = {}
        for iterate in ("last", "average"):
            own.put_into(net, iterate)
            found[iterate] = held_out_loss(net, task)
        return found

    def score(rate, seed):
        net, own, _ = trained(rate, seed)
        return {iterate: -loss for iterate, loss in losses(net, own).items()}

    rate, iterate = torch_training.tuned(name, score)
    for seed in SEEDS:
        net, own, loss = trained(rate, seed)
        runs.append(
            {"method": name, "seed": seed, "rate": rate, "iterate": iterate, "train_loss": loss,
             "test_loss": losses(net, own)[iterate]}
        )  # fmt: skip
    return runs


def measure(data, method):
    """All runs of a method."""
    return (ours if method in SOLVERS else theirs)(data, method)


def main(data):
    """All methods over the seeds."""
    methods, runs = (*SOLVERS, *torch_training.RATES), []
    for found in torch_training.side_by_side(measure, [(data, m) for m in reversed(methods)]):
        runs += found
        print(*found, sep="\n", flush=True)
    machine.store("text", sorted(runs, key=lambda run: (methods.index(run["method"]), run["seed"])))


if __name__ == "__main__":
    main(sys.argv[1])
