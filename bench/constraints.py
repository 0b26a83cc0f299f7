"""Constraints on weights: in the metric of the step, clamped after it, and Adam with clamping.

python -m bench.constraints DATA [SEEDS]
    DATA holds mnist/; writes results/constraints.json and results/pruning.png

MNIST by rows, 128 hidden units, 3 epochs of mini-batches of 64, tanh and ReLU. Every method starts
from the same weights, whose spectral radius is 1 after signs and masks; ours takes them to be for
standardised pixels, as always. `condensed` has its
default settings; "clamped" is the same with its step brought into the set by clamping. Adam clips
the gradient's norm, decays its learning rate, may return an average of its iterates, and clamps
after every step; its rate is tuned for every row by the held-out accuracy at other seeds.

"Pruned": `group` at several strengths, and units that are off left out.
"""

import sys
from functools import cache, partial
from pathlib import Path
from statistics import mean, stdev

import numpy as np

from bench import machine, torch_training
from fastadmm import RNN, constraints, datasets, fit
from fastadmm.constraints import Dale, Group, Mask
from fastadmm.problem import evaluate, make_problem
from fastadmm.solvers import held
from fastadmm.threads import compute_threads

HIDDEN, EPOCHS, BATCH, SEEDS = 128, 3, 64, 5
CONSTRAINTS = {
    "none": None,
    "10 % of entries": Mask(0.1),
    "Dale, 80 % excitatory": Dale(0.8),
    "both": Dale(0.8) & Mask(0.1),
}
ACTIVATIONS = "tanh", "relu"
METHODS = "condensed", "clamped", "Adam"
STRENGTHS = (0.0, 0.0003, 0.001, 0.003, 0.005, 0.01)


@cache
def load(data):
    """The task, once a process."""
    return datasets.mnist(Path(data) / "mnist", False)


def network(task, activation, name, seed):
    """A network with the start of torch's methods, which is that which `fit` gives a new one."""
    net = RNN(task.inputs, HIDDEN, task.outputs, activation, seed=seed)
    if CONSTRAINTS[name] is not None:
        constraints.start({"recurrent": CONSTRAINTS[name]}, net)
    return net


def accuracy(net, task):
    """On the held-out part."""
    problem, data = make_problem(net, *task.held_out)
    with compute_threads(1):
        return evaluate(net, problem, data, 1)[1]


def bounds_of(name):
    """Lowest and highest recurrent weights, None where there are none."""
    own = CONSTRAINTS[name]
    return None if own is None else tuple(own.entries((HIDDEN, HIDDEN))[:2])


def violations(net, name):
    """How many recurrent weights are out of their bounds."""
    if CONSTRAINTS[name] is None:
        return 0
    lower, upper = bounds_of(name)
    return int(((net.recurrent < lower) | (net.recurrent > upper)).sum())


def clamped_step(own, average, settings, threads):
    """What `held.Held.step` does, with clamping in place of the metric."""
    limits, maps = own.limits, own.maps
    np.clip(maps.values, limits.lower, limits.upper, out=maps.values)
    maps.average[:] = settings.alpha * average + (1 - settings.alpha) * maps.values


def ours(task, activation, name, method, seed):
    """One run of `condensed`; accuracy and facts."""
    own = CONSTRAINTS[name]
    net = RNN(task.inputs, HIDDEN, task.outputs, activation, seed=seed)
    step = held.Held.step
    if method == "clamped":
        held.Held.step = clamped_step
    try:
        result = fit(
            net, task.X, task.y, epochs=EPOCHS, batch_size=BATCH, seed=seed, threads=1,
            constraints=own and {"recurrent": own},
        )  # fmt: skip
    finally:
        held.Held.step = step
    return net, {"seconds": result.train_seconds}


def adam(task, activation, name):
    """A function that makes one run of Adam, tuned for the row."""
    import torch

    X, y = torch.from_numpy(np.asarray(task.X, np.float32)), torch.from_numpy(np.asarray(task.y))

    def trained(rate, seed):
        net = network(task, activation, name, seed)
        total = EPOCHS * -(-len(X) // BATCH)
        own = torch_training.Training(net, "Adam", rate, total, bounds=bounds_of(name))
        rng = np.random.default_rng(seed)
        for _ in range(EPOCHS):
            for cases in torch.from_numpy(rng.permutation(len(X))).split(BATCH):
                own.step(X[cases], y[cases])
        return net, own

    def score(rate, seed):
        net, own = trained(rate, seed)
        found = {}
        for iterate in ("last", "average"):
            own.put_into(net, iterate)
            found[iterate] = accuracy(net, task)
        return found

    rate, iterate = torch_training.tuned("Adam", score)

    def run(seed):
        net, own = trained(rate, seed)
        own.put_into(net, iterate)
        return net, {"rate": rate, "iterate": iterate}

    return run


def cell(data, activation, name, method, seeds):
    """All runs of a method on a row of the table."""
    task = load(data)
    run = adam(task, activation, name) if method == "Adam" else partial(
        ours, task, activation, name, method
    )  # fmt: skip
    runs = []
    for seed in range(seeds):
        net, found = run(seed)
        runs.append({
            "activation": activation, "constraint": name, "method": method, "seed": seed,
            "test_accuracy": accuracy(net, task), "violations": violations(net, name), **found,
        })  # fmt: skip
    return runs


def pruned(data, strength, seeds):
    """Units that are left, and the accuracy of the network without the others."""
    task, runs = load(data), []
    for seed in range(seeds):
        net = RNN(task.inputs, HIDDEN, task.outputs, seed=seed)
        fit(
            net, task.X, task.y, epochs=EPOCHS, batch_size=BATCH, seed=seed, threads=1,
            constraints={"sent": Group(strength)} if strength else None,
        )  # fmt: skip
        kept = np.concatenate([net.recurrent, net.read]).any(0)
        small = RNN(task.inputs, max(int(kept.sum()), 1), task.outputs)
        columns = np.append(np.ones(task.inputs + 1, bool), kept)
        small.theta[:], small.phi[:] = (
            net.theta[kept][:, columns],
            net.phi[:, np.append(True, kept)],
        )
        runs.append({
            "strength": strength, "seed": seed, "units": int(kept.sum()),
            "test_accuracy": accuracy(small, task), "whole": accuracy(net, task),
        })  # fmt: skip
    return runs


def one(data, kind, *job):
    """A cell of the table, or a strength of the pruning."""
    return cell(data, *job) if kind == "table" else pruned(data, *job)


def draw(runs):
    """Accuracy against the units that are left."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axis = figure.subplots()
    for strength in STRENGTHS:
        found = [run for run in runs if run["strength"] == strength]
        units, test = ([run[k] for run in found] for k in ("units", "test_accuracy"))
        axis.plot(units, [100 * t for t in test], "o", label=f"{strength:g}")
    axis.set(xlabel=f"hidden units left, of {HIDDEN}", ylabel="test accuracy, %")
    axis.legend(title="strength of group", fontsize=7)
    figure.savefig(machine.RESULTS / "pruning.png", dpi=130)


def main(data, seeds):
    """The table, the slowest cells first, and the pruning."""
    jobs = [(data, "pruning", strength, seeds) for strength in STRENGTHS]
    jobs = [
        (data, "table", activation, name, method, seeds)
        for method in reversed(METHODS)
        for activation in ACTIVATIONS
        for name in CONSTRAINTS
        if not (method == "clamped" and name == "none")
    ] + jobs
    table, pruning = [], []
    for found in torch_training.side_by_side(one, jobs):
        (table if "method" in found[0] else pruning).extend(found)
        shown = [str(v) for k, v in found[0].items() if k in (
            "activation", "constraint", "method", "rate", "strength", "units", "violations"
        )]  # fmt: skip
        test = [100 * run["test_accuracy"] for run in found]
        spread = stdev(test) if len(test) > 1 else 0.0
        print(*shown, f"{mean(test):.2f} ± {spread:.2f}, worst {min(test):.2f}", flush=True)
    order = lambda run: [str(v) for v in run.values()][:4]  # noqa: E731
    machine.store("constraints", {
        "table": sorted(table, key=order),
        "pruning": sorted(pruning, key=lambda run: (run["strength"], run["seed"])),
    })  # fmt: skip
    draw(pruning)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else SEEDS)
