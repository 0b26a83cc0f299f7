"""Stability: final accuracy over initial gains and seeds, all solvers and five torch optimisers.

python bench/stability.py DATA [METHOD ...]
    DATA holds mnist/; adds the missing runs of all methods, or of those named, to
    results/stability.json, and draws results/stability.png from all runs

Every method starts from the same weights (orthogonal recurrent weights times the gain), takes the
same number of epochs and mini-batches of the same size. The torch optimisers decay their learning
rate linearly to zero, like `condensed`; each has the best of its rates on the digits or MNIST at
gain 1, seed 0, by training loss. `block` and `admmirnn` iterate on all digits at once (200
iterations), and take the mini-batches of MNIST one by one.
"""

import sys
from itertools import product
from pathlib import Path
from statistics import mean

import machine
import numpy as np

from fastadmm import RNN, datasets, fit
from fastadmm.problem import evaluate, make_problem
from fastadmm.solvers.condensed import Condensed
from fastadmm.threads import check_threads, compute_threads

GAINS = (0.01, 0.1, 0.5, 1, 2, 4, 8)
SEEDS = range(5)
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
RATES = {
    "SGD": (1e-2, 3e-2, 1e-1, 3e-1, 1.0),
    "Momentum": (3e-3, 1e-2, 3e-2, 1e-1, 3e-1),
    "Adagrad": (3e-3, 1e-2, 3e-2, 1e-1),
    "RMSprop": (3e-4, 1e-3, 3e-3, 1e-2),
    "Adam": (1e-3, 2e-3, 5e-3, 1e-2, 2e-2),
}


def optimiser(name, parameters, rate):
    """A torch optimiser by the paper's name."""
    import torch

    if name == "Momentum":
        return torch.optim.SGD(parameters, lr=rate, momentum=0.9)
    return getattr(torch.optim, name)(parameters, lr=rate)


def train_torch(net, task, name, rate, seed, epochs, batch_size):
    """Train torch's RNN from the weights of ``net``, and put the result back; returns the loss."""
    import torch

    X, y = torch.from_numpy(np.asarray(task.X, np.float32)), torch.from_numpy(np.asarray(task.y))
    rnn, linear = (
        torch.nn.RNN(net.inputs, net.hidden, batch_first=True),
        torch.nn.Linear(net.hidden, net.outputs),
    )
    model = torch.nn.ModuleDict({"rnn": rnn, "readout": linear})
    model.load_state_dict({k: torch.from_numpy(v) for k, v in net.state_dict().items()})
    own = optimiser(name, model.parameters(), rate)
    total = epochs * -(-len(X) // batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(own, lambda k: 1 - k / (total + 1))
    rng, last = np.random.default_rng(seed), []
    for _ in range(epochs):
        last = []
        order = rng.permutation(len(X))
        for start in range(0, len(X), batch_size):
            cases = torch.from_numpy(order[start : start + batch_size])
            own.zero_grad()
            loss = torch.nn.functional.cross_entropy(linear(rnn(X[cases])[0][:, -1]), y[cases])
            loss.backward()
            own.step()
            schedule.step()
            last.append(loss.item())
    net.load_state_dict({k: v.detach().numpy() for k, v in model.state_dict().items()})
    return mean(last)


def multiplier_norms(net, task, cases=512):
    """Root mean square of the exact multipliers of every time step, first step first."""
    problem, X, y = make_problem(net, task.X[:cases], task.y[:cases])
    options = Condensed.Options(safeguard=False)
    solver = Condensed(net, problem, options, len(X), X.shape[1], 1, check_threads(None))
    with compute_threads(check_threads(None)):
        solver.measure(X, y, np.arange(len(X)), 0, X.shape[1])
    lambda_ = solver.multipliers[:, : len(X)].astype(float)
    return [float(v) for v in np.sqrt(np.square(lambda_).mean(axis=(1, 2)))]


def train_ours(net, task, options, seed, settings):
    """Train with one of our solvers; returns the last training loss and the status."""
    if options["solver"] in ("block", "admmirnn") and task.name == "digits":
        settings = dict(epochs=200, batch_size=None)
    result = fit(net, task.X, task.y, seed=seed, **settings, **options)
    return result.history[-1]["train_loss"], result.status


def run(task, method, gain, seed, rates):
    """One run: final losses, accuracy, and the norms of multipliers over time before and after."""
    settings = dict(TASKS[task.name])
    net = RNN(task.inputs, settings.pop("hidden"), task.outputs, gain=gain, seed=seed)
    before, status = multiplier_norms(net, task), "max_iter"
    if method in OURS:
        loss, status = train_ours(net, task, OURS[method], seed, settings)
    else:
        loss = train_torch(net, task, method, rates[method], seed, **settings)
    problem, X, y = make_problem(net, *task.held_out)
    threads = check_threads(None)
    with compute_threads(threads):
        test_loss, accuracy = evaluate(net, problem, X, y, threads)
    return {
        "task": task.name, "method": method, "gain": gain, "seed": seed,
        "rate": rates.get(method), "status": status, "train_loss": loss,
        "test_loss": test_loss, "test_accuracy": accuracy,
        "norms_before": before, "norms_after": multiplier_norms(net, task),
    }  # fmt: skip


def tuned(task):
    """Best learning rate of every torch optimiser at gain 1, seed 0, by training loss."""
    settings = dict(TASKS[task.name])
    hidden = settings.pop("hidden")
    best = {}
    for name, rates in RATES.items():
        losses = {}
        for rate in rates:
            net = RNN(task.inputs, hidden, task.outputs, seed=0)
            losses[rate] = train_torch(net, task, name, rate, 0, **settings)
        best[name] = min(
            rates, key=lambda rate, found=losses: (found[rate] != found[rate], found[rate])
        )
        print(task.name, name, best[name], {r: round(v, 4) for r, v in losses.items()}, flush=True)
    return best


def main(data, methods):
    """Run what is missing of the methods, storing after every task and method."""
    tasks = [datasets.digits(), datasets.mnist(Path(data) / "mnist", False)]
    path = machine.RESULTS / "stability.json"
    runs = machine.load("stability")["results"] if path.exists() else []
    done = {(r["task"], r["method"], r["gain"], r["seed"]) for r in runs}
    for task in tasks:
        known = {r["method"]: r["rate"] for r in runs if r["task"] == task.name and r["rate"]}
        rates = known if set(known) == set(RATES) else tuned(task)
        for method in methods:
            for gain, seed in product(GAINS, SEEDS):
                if (task.name, method, gain, seed) not in done:
                    runs.append(run(task, method, gain, seed, rates))
            machine.store("stability", runs)
            chosen = [r for r in runs if r["task"] == task.name and r["method"] == method]
            by_gain = {
                g: round(mean(r["test_accuracy"] for r in chosen if r["gain"] == g), 4)
                for g in GAINS
            }
            print(task.name, method, by_gain, flush=True)


def draw():
    """Accuracy against the gain, and multipliers over time before and after training."""
    from matplotlib.figure import Figure

    runs = machine.load("stability")["results"]
    figure = Figure(figsize=(11, 7), layout="constrained")
    for row, task in zip(figure.subplots(2, 3), TASKS, strict=True):
        chosen = [r for r in runs if r["task"] == task]
        for k, method in enumerate((*OURS, *RATES)):
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
    main(sys.argv[1], sys.argv[2:] or (*OURS, *RATES))
    draw()
