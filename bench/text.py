"""The paper's text task: loss per character of all solvers and five torch optimisers.

python bench/text.py DATA     DATA holds text/metamorphosis.txt; writes results/text.json

128 hidden units, windows of 25 characters, 32 parallel streams, state carried from window to
window, 8 epochs, the last tenth of the text held out. Every method sees the same windows in the
same order from the same initial weights. The torch optimisers clip the gradient's norm at 1 and
decay their learning rate linearly to zero; each has the best of its rates by training loss.
"""

import sys
from pathlib import Path
from statistics import mean

import machine
import numpy as np
from stability import RATES, optimiser

from fastadmm import RNN, datasets, fit
from fastadmm.problem import evaluate, make_problem
from fastadmm.threads import check_threads, compute_threads

HIDDEN, WINDOW, STREAMS, EPOCHS = 128, 25, 32, 8
SEEDS = range(3)
MORE_RATES = {"SGD": (3.0,), "Momentum": (1.0,), "Adam": (5e-2,)}
"""Beyond those of the stability study, where the best was the largest."""


def train_torch(net, task, name, rate):
    """Train torch's RNN on the windows in order, and put the result back; returns the loss."""
    import torch

    X, y = torch.from_numpy(np.asarray(task.X)), torch.from_numpy(np.asarray(task.y))
    rnn = torch.nn.RNN(net.inputs, net.hidden, batch_first=True)
    linear = torch.nn.Linear(net.hidden, net.outputs)
    model = torch.nn.ModuleDict({"rnn": rnn, "readout": linear})
    model.load_state_dict({k: torch.from_numpy(v) for k, v in net.state_dict().items()})
    own = optimiser(name, model.parameters(), rate)
    starts = range(0, X.shape[1], WINDOW)
    total = EPOCHS * len(starts)
    schedule = torch.optim.lr_scheduler.LambdaLR(own, lambda k: 1 - k / (total + 1))
    for _ in range(EPOCHS):
        state, losses = None, []
        for first in starts:
            x = torch.nn.functional.one_hot(X[:, first : first + WINDOW], net.inputs).float()
            own.zero_grad()
            states, state = rnn(x, state)
            loss = torch.nn.functional.cross_entropy(
                linear(states).flatten(0, 1), y[:, first : first + WINDOW].flatten()
            )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            own.step()
            schedule.step()
            state = state.detach()
            losses.append(loss.item())
    net.load_state_dict({k: v.detach().numpy() for k, v in model.state_dict().items()})
    return mean(losses)


def held_out_loss(net, task):
    """Nats per character on the held-out text."""
    problem, X, y = make_problem(net, *task.held_out, readout="all")
    threads = check_threads(None)
    with compute_threads(threads):
        return evaluate(net, problem, X, y, threads)[0]


def ours(task, solver, seed):
    """One run of a solver."""
    net = RNN(task.inputs, HIDDEN, task.outputs, seed=seed)
    result = fit(
        net, task.X, task.y, solver=solver, readout="all", epochs=EPOCHS, batch_size=STREAMS,
        steps=WINDOW, seed=seed,
    )  # fmt: skip
    last = result.history[-1]["train_loss"]
    return {
        "method": solver, "seed": seed, "train_loss": last, "test_loss": held_out_loss(net, task),
        "seconds": result.train_seconds, "status": result.status,
    }  # fmt: skip


def theirs(task, name, rate, seed):
    """One run of a torch optimiser."""
    net = RNN(task.inputs, HIDDEN, task.outputs, seed=seed)
    loss = train_torch(net, task, name, rate)
    found = {"method": name, "seed": seed, "rate": rate, "train_loss": loss}
    return found | {"test_loss": held_out_loss(net, task)}


def main(data):
    """All methods over the seeds."""
    task = datasets.text(Path(data) / "text" / "metamorphosis.txt", WINDOW, STREAMS)
    runs = [ours(task, solver, s) for solver in ("condensed", "block", "admmirnn") for s in SEEDS]
    for name, rates in RATES.items():
        rates += MORE_RATES.get(name, ())
        trials = [theirs(task, name, rate, 0) for rate in rates]
        best = min(
            trials, key=lambda run: (run["train_loss"] != run["train_loss"], run["train_loss"])
        )
        runs += [best, *(theirs(task, name, best["rate"], s) for s in SEEDS if s)]
    machine.store("text", runs)
    for run in runs:
        print(run)


if __name__ == "__main__":
    main(sys.argv[1])
