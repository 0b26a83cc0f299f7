"""Stability: final accuracy over initial gains and seeds, all solvers and five torch optimisers.

python -m bench.stability DATA [METHOD ...]
    DATA holds mnist/; runs all methods, or those named, writes results/stability.json, and draws
    results/stability.png; about 25 minutes on 2 cores

Every method starts from the same weights (orthogonal recurrent weights times the gain), takes the
same number of epochs and mini-batches of the same size. torch's optimisers clip the gradient's
norm, decay their learning rate and average their iterates; rate and iterate are tuned for each
gain (`torch_training`). Our solvers have their default settings everywhere. `block` and `admmirnn`
iterate on all digits at once (200 iterations), and take the mini-batches of MNIST one by one; they
run from fewer seeds.

Two processes of one thread work side by side. Every run is stored with the commit that it was made
at, None where files differed from it. What is stored of this commit is not run again; methods that
are not asked for keep what they have.
"""

import sys
from functools import cache, partial
from itertools import product
from pathlib import Path
from statistics import mean

import numpy as np

from bench import machine, torch_training
from fastadmm import RNN, datasets, fit
from fastadmm.batches import Batch
from fastadmm.problem import evaluate, make_problem
from fastadmm.solvers.condensed import Condensed
from fastadmm.threads import compute_threads

GAINS = (0.01, 0.1, 0.5, 1, 2, 4, 8)
TASKS = {
    "digits": dict(hidden=64, epochs=10, batch_size=64),
    "mnist": dict(hidden=128, epochs=5, batch_size=128),
}
PLAIN = dict(safeguard=False, guard=0.0, average=0.0)
OURS = {
    "condensed": dict(solver="condensed"),
    "condensed, plain": dict(solver="condensed", **PLAIN),
    "block": dict(solver="block"),
    "admmirnn": dict(solver="admmirnn"),
}
METHODS = (*OURS, *torch_training.RATES)


def seeds_of(method):
    """`block` and `admmirnn` take many times as long as the others."""
    return range(2) if method in ("block", "admmirnn") else range(5)


@cache
def load(name, data):
    """The task, once a process."""
    return datasets.digits() if name == "digits" else datasets.mnist(Path(data) / "mnist", False)


def network(task, gain, seed):
    """The network that all methods start from."""
    return RNN(task.inputs, TASKS[task.name]["hidden"], task.outputs, gain=gain, seed=seed)


def train_torch(net, task, name, rate, seed):
    """Train torch's RNN from the weights of ``net``; returns the training and its last losses."""
    import torch

    X, y = torch.from_numpy(np.asarray(task.X, np.float32)), torch.from_numpy(np.asarray(task.y))
    epochs, size = TASKS[task.name]["epochs"], TASKS[task.name]["batch_size"]
    own = torch_training.Training(net, name, rate, epochs * -(-len(X) // size))
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = torch.from_numpy(rng.permutation(len(X)))
        losses = [own.step(X[cases], y[cases])[0] for cases in order.split(size)]
    return own, mean(losses)


def held_out(net, task):
    """Loss and accuracy on the held-out part."""
    problem, data = make_problem(net, *task.held_out)
    with compute_threads(1):
        return evaluate(net, problem, data, 1)


def multiplier_norms(net, task, cases=512):
    """Root mean square of the exact multipliers of every time step, first step first."""
    problem, data = make_problem(net, task.X[:cases], task.y[:cases])
    options = Condensed.Options(safeguard=False)
    solver = Condensed(net, problem, options, *data.X.shape[:2], 1, 1)
    with compute_threads(1):
        solver.measure(Batch.alone(data, np.arange(len(data.X))))
    lambda_ = solver.backwards[0].lambda_.astype(float)
    return [float(v) for v in np.sqrt(np.square(lambda_).mean(axis=(1, 2)))]


def run_ours(task, method, gain, seed):
    """One run of a solver; with the norms of multipliers over time where they are drawn."""
    net, options = network(task, gain, seed), OURS[method]
    settings = {k: v for k, v in TASKS[task.name].items() if k != "hidden"}
    if options["solver"] in ("block", "admmirnn") and task.name == "digits":
        settings = dict(epochs=200, batch_size=None)
    norms = {"norms_before": multiplier_norms(net, task)} if method == "condensed" else {}
    result = fit(net, task.X, task.y, seed=seed, threads=1, **settings, **options)
    if norms:
        norms["norms_after"] = multiplier_norms(net, task)
    return net, {
        "status": result.status, "train_loss": result.history[-1]["train_loss"], **norms
    }  # fmt: skip


def torch_runner(task, name, gain):
    """A function that makes one run of an optimiser, tuned for the gain."""

    def trained(rate, seed):
        net = network(task, gain, seed)
        return net, *train_torch(net, task, name, rate, seed)

    def score(rate, seed):
        net, own, _ = trained(rate, seed)
        accuracy = {}
        for iterate in ("last", "average"):
            own.put_into(net, iterate)
            accuracy[iterate] = held_out(net, task)[1]
        return accuracy

    rate, iterate = torch_training.tuned(name, score)

    def run(seed):
        net, own, loss = trained(rate, seed)
        own.put_into(net, iterate)
        return net, {"rate": rate, "iterate": iterate, "train_loss": loss}

    return run


def cell(data, name, method, gain, seeds):
    """All runs of a method on a task from one gain."""
    task, runs = load(name, data), []
    if method in OURS:
        run = partial(run_ours, task, method, gain)
    else:
        run = torch_runner(task, method, gain)
    for seed in seeds:
        net, found = run(seed)
        test_loss, accuracy = held_out(net, task)
        runs.append(
            {"task": name, "method": method, "gain": gain, "seed": seed, "test_loss": test_loss,
             "test_accuracy": accuracy, **found}
        )  # fmt: skip
    return runs


def key(run):
    """Which run it is, in the order in which they are stored."""
    order = [*TASKS].index(run["task"]), METHODS.index(run["method"])
    return *order, run["gain"], run["seed"]


def main(data, methods):
    """Run what is asked for, storing after every cell."""
    here = None if machine.DIRTY else machine.COMMIT
    stored = machine.load("stability")["results"] if machine.has("stability") else []
    runs = {}
    for run in stored:
        is_asked_for = run["method"] in methods
        if "commit" in run and (not is_asked_for or (here and run["commit"] == here)):
            runs[key(run)] = run
    jobs = []
    # the longest first
    for name, method, gain in product(reversed(TASKS), reversed(METHODS), GAINS):
        case = {"task": name, "method": method, "gain": gain}
        missing = [seed for seed in seeds_of(method) if key({**case, "seed": seed}) not in runs]
        if missing and method in methods:
            jobs.append((data, *case.values(), missing))
    for found in torch_training.side_by_side(cell, jobs):
        runs |= {key(run): {**run, "commit": here} for run in found}
        machine.store("stability", [runs[k] for k in sorted(runs)])
        shown = [found[0].get(k) for k in ("task", "method", "gain", "rate", "iterate")]
        print(*shown, [round(run["test_accuracy"], 4) for run in found], flush=True)


def draw():
    """Accuracy against the gain, and multipliers over time before and after training."""
    from matplotlib.figure import Figure

    runs = machine.load("stability")["results"]
    figure = Figure(figsize=(11, 7), layout="constrained")
    for row, task in zip(figure.subplots(2, 3), TASKS, strict=True):
        chosen = [r for r in runs if r["task"] == task]
        for k, method in enumerate(METHODS):
            draw_accuracy(row[0], [r for r in chosen if r["method"] == method], method, k)
        row[0].set(xscale="log", xlabel="gain", ylabel="test accuracy, mean and range", title=task)
        start = [r for r in chosen if r["method"] == "condensed"]
        draw_norms(row[1], start, "norms_before", "before training")
        draw_norms(row[2], start, "norms_after", "condensed, after training")
    figure.axes[0].legend(fontsize=6)
    figure.axes[1].legend(fontsize=6, title="gain")
    figure.savefig(machine.RESULTS / "stability.png", dpi=130)


def draw_accuracy(axis, runs, method, k):
    """One method's mean over seeds, and its range, against the gain."""
    groups = [[r["test_accuracy"] for r in runs if r["gain"] == g] for g in GAINS]
    if all(groups):
        style = "-" if method in OURS else "--"
        axis.plot(GAINS, [mean(g) for g in groups], style, color=f"C{k}", label=method)
        low, high = [min(g) for g in groups], [max(g) for g in groups]
        axis.fill_between(GAINS, low, high, color=f"C{k}", alpha=0.12)


def draw_norms(axis, runs, key, title):
    """Mean over seeds of the norms of the multipliers, against the time step."""
    for k, gain in enumerate(GAINS):
        found = [r[key] for r in runs if r["gain"] == gain]
        if found:
            steps = np.arange(1, len(found[0]) + 1)
            axis.plot(steps, np.mean(found, axis=0), color=f"C{k}", label=f"{gain:g}")
    axis.set(yscale="log", xlabel="time step", ylabel="rms multiplier", title=title)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:] or METHODS)
    draw()
