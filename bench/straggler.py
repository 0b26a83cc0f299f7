"""Two ranks, one of them slowed: synchronous training against bounded staleness.

python -m bench.straggler DATA    DATA holds mnist/; writes results/straggler.json and .png;
                                  needs Open MPI

Rows of MNIST, 128 hidden units, mini-batches of 128 cut over two ranks of one thread. A delay is a
sleep before a step, in units of the undisturbed synchronous step. "fixed": rank 1 sleeps in every
step. "random": one of both ranks, drawn for every step. A rank's own work waits for nobody else, so
no schedule exceeds 1 / (1 + mean delay of a rank) of the undisturbed throughput: the bound.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from mpi4py import MPI

from bench import machine, ranks
from fastadmm import RNN, datasets, fit
from fastadmm.solvers import SOLVERS

COMM = MPI.COMM_WORLD
BOUNDS, DELAYS, ROUNDS = (0, 1, 2, 4), (0, 0.25, 0.5, 1, 2, 4), 3
GOAL, EPOCHS = 0.95, 10
CONDENSED = SOLVERS["condensed"]


def slowed(kind, seconds):
    """The solver, asleep before a step."""
    steps = np.random.default_rng(0)  # the same on both ranks

    class Slowed(CONDENSED):
        def step(self, *args, **kwargs):
            sleeper = 1 if kind == "fixed" else steps.integers(COMM.size)
            if seconds and COMM.rank == sleeper:
                time.sleep(seconds)
            return super().step(*args, **kwargs)

    return Slowed


def train(task, bound, kind="fixed", seconds=0.0, **settings):
    """History of one run."""
    SOLVERS["condensed"] = slowed(kind, seconds)
    net = RNN(task.inputs, 128, task.outputs)
    settings = dict(batch_size=128, threads=1, comm=COMM, grid=(1, 2), staleness=bound) | settings
    COMM.Barrier()
    return fit(net, task.X, task.y, **settings).history


def seconds_of(task, *arguments):
    """Seconds of a step in the faster of two epochs."""
    return min(r["seconds"] / r["batches"] for r in train(task, *arguments, epochs=2))


def throughput(task):
    """Steps per second of every delay and bound, relative to the undisturbed synchronous run."""
    seconds_of(task, 0)  # loads kernels
    found = []
    for kind in ("fixed", "random"):
        for delay in DELAYS:
            rounds = []
            for _ in range(ROUNDS):
                step = COMM.bcast(seconds_of(task, 0))
                rounds.append(
                    [step / seconds_of(task, bound, kind, delay * step) for bound in BOUNDS]
                )
            medians = [median(r) for r in zip(*rounds, strict=True)]
            mean = delay / (1 if kind == "fixed" else COMM.size)
            found.append(
                {"kind": kind, "delay": delay, "rounds": rounds, "relative": medians,
                 "bound": 1 / (1 + mean)}
            )  # fmt: skip
            if COMM.rank == 0:
                print(
                    kind, delay, np.round(medians, 2), f"at most {1 / (1 + mean):.2f}", flush=True
                )
    return found


def to_goal(task):
    """Training seconds until the held-out accuracy is reached, and the last accuracy."""
    step, found = COMM.bcast(seconds_of(task, 0)), []
    for kind, delay in (("fixed", 0), ("fixed", 1), ("random", 1)):
        for bound in BOUNDS:
            history = train(
                task, bound, kind, delay * step, epochs=EPOCHS, validation=task.held_out
            )
            seconds, reached = 0.0, None
            for record in history:
                seconds += record["seconds"]
                if reached is None and record["validation_accuracy"] >= GOAL:
                    reached = seconds
            found.append(
                {"kind": kind, "delay": delay, "staleness": bound, "seconds": reached,
                 "accuracy": history[-1]["validation_accuracy"],
                 "age": history[-1].get("age_mean", [0, 0])}
            )  # fmt: skip
            if COMM.rank == 0:
                print(found[-1], flush=True)
    return found


def measure(data, out):
    """Everything, on this rank."""
    task = datasets.mnist(Path(data) / "mnist", False)
    found = {"bounds": BOUNDS, "throughput": throughput(task), "to_goal": to_goal(task)}
    if COMM.rank == 0:
        Path(out).write_text(json.dumps(found))


def draw():
    """Throughput against the delay, for a fixed and a random straggler."""
    from matplotlib.figure import Figure

    found = machine.load("straggler")["results"]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axis, kind in zip(figure.subplots(1, 2, sharey=True), ("fixed", "random"), strict=True):
        chosen = [each for each in found["throughput"] if each["kind"] == kind]
        delays = [each["delay"] for each in chosen]
        for k, bound in enumerate(found["bounds"]):
            label = "synchronous" if bound == 0 else f"staleness {bound}"
            axis.plot(delays, [each["relative"][k] for each in chosen], "o-", label=label)
        axis.plot(delays, [each["bound"] for each in chosen], "k:", label="bound")
        title = "rank 1 in every step" if kind == "fixed" else "one rank, drawn for every step"
        axis.set(xlabel="delay / undisturbed step", ylim=(0, 1.2), title=title)
    figure.axes[0].set_ylabel("throughput / undisturbed")
    figure.axes[1].legend(fontsize=8)
    figure.savefig(machine.RESULTS / "straggler.png", dpi=130)


def main(data):
    """Start the job, store what it has found, and draw it."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        ranks.launch("bench.straggler", 2, data, out)
        machine.store("straggler", json.loads(out.read_text()))
    draw()


if __name__ == "__main__":
    main(sys.argv[1]) if len(sys.argv) == 2 else measure(*sys.argv[1:])
