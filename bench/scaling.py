"""One rank and two, one thread each; and a sequence too long for one rank's share.

python -m bench.scaling DATA      DATA holds mnist/; writes results/scaling.json; needs Open MPI

Speed: rows of MNIST, 128 hidden units. In every round, one rank alone, two ranks together, and two
copies of the one-rank run side by side: the machine's second core can give no more.
Stream: one sequence of a million steps, cut along time.
"""

import json
import resource
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from mpi4py import MPI

from bench import machine, ranks
from fastadmm import RNN, datasets, fit

COMM = MPI.COMM_WORLD
ROUNDS, LENGTH, HIDDEN = 5, 1_000_000, 32
SPEED = {
    "batch split, condensed, batch 128": dict(grid=(1, 2), batch_size=128, epochs=2),
    "batch split, condensed, batch 512": dict(grid=(1, 2), batch_size=512, epochs=2),
    "time split, condensed, batch 512": dict(grid=(2, 1), batch_size=512, epochs=2),
    "time split, admmirnn, batch 512": dict(
        grid=(2, 1), batch_size=512, epochs=1, solver="admmirnn"
    ),
    "batch split, block, full batch": dict(grid=(1, 2), batch_size=None, epochs=2, solver="block"),
    "time split, block, full batch": dict(grid=(2, 1), batch_size=None, epochs=2, solver="block"),
}


def step_seconds(task, grid=None, comm=None, **settings):
    """Seconds of a step: that of the fastest epoch."""
    net = RNN(task.inputs, 128, task.outputs)
    ranks.wait(COMM)
    result = fit(net, task.X, task.y, threads=1, grid=grid, comm=comm, **settings)
    ranks.wait(COMM)
    return min(record["seconds"] / record["batches"] for record in result.history)


def one_round(task, grid, **settings):
    """Seconds of a step of one rank alone, of two ranks, and of the slower of two copies."""
    if COMM.rank == 0:
        alone = step_seconds(task, **settings)
    else:
        ranks.wait(COMM)
        ranks.wait(COMM)
        alone = 0.0
    together = step_seconds(task, grid, COMM, **settings)
    copies = step_seconds(task, **settings)
    return [COMM.allreduce(seconds, MPI.MAX) for seconds in (alone, together, copies)]


def speed(data):
    """All rounds of every case, and the medians of their ratios."""
    task, found = datasets.mnist(Path(data) / "mnist", False), {}
    for name, settings in SPEED.items():
        rounds = [one_round(task, **settings) for _ in range(ROUNDS + 1)][1:]  # the first loads
        found[name] = {
            "rounds": rounds,
            "step": median(alone for alone, _, _ in rounds),
            "speed_up": median(alone / together for alone, together, _ in rounds),
            "ceiling": median(2 * alone / copies for alone, _, copies in rounds),
        }
        if COMM.rank == 0:
            print(
                name, {k: round(v, 4) for k, v in found[name].items() if k != "rounds"}, flush=True
            )
    return found


def stream(solver, X, y):
    """Seconds of an iteration over one long sequence, and growth of each rank's peak memory."""
    net = RNN(4, HIDDEN, 1)
    settings = dict(solver=solver, readout="all", batch_size=None, threads=1, comm=COMM)
    settings |= dict(grid=(COMM.size, 1), micro_batches=1)
    fit(RNN(4, 2, 1), X[:, :64], y[:, :64], epochs=1, **settings)  # loads
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = fit(net, X, y, epochs=3, **settings)
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "solver": solver, "ranks": COMM.size, "losses": [r["train_loss"] for r in result.history],
        "seconds": min(record["seconds"] for record in result.history),
        "megabytes": [1024 * kilobytes / 1e6 for kilobytes in COMM.allgather(growth)],
    }  # fmt: skip


def write_stream(folder):
    """A noisy oscillator and what it will be 5 steps on, as memory maps."""
    rng = np.random.default_rng(0)
    time = np.arange(LENGTH + 5)[:, None] * np.array([0.01, 0.023, 0.11, 0.3])
    signal = (np.sin(time) + 0.1 * rng.standard_normal(time.shape)).astype(np.float32)
    np.save(folder / "X.npy", signal[None, :LENGTH])
    np.save(folder / "y.npy", signal[None, 5:, :1])


def main(data):
    """Start all jobs, and store what they have found."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ranks.launch("bench.scaling", 2, "speed", data, folder / "speed.json")
        write_stream(folder)
        for size in (1, 2, 4):
            for solver in ("condensed", "block"):
                out = folder / f"{solver}{size}.json"
                ranks.launch("bench.scaling", size, solver, folder, out)
        found = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    speeds = found.pop("speed")
    machine.store("scaling", {"speed": speeds, "stream": [found[k] for k in sorted(found)]})


def measure(kind, data, out):
    """One job on this rank."""
    if kind == "speed":
        found = speed(data)
    else:
        found = stream(kind, *(np.load(Path(data) / f"{n}.npy", mmap_mode="r") for n in "Xy"))
    if COMM.rank == 0:
        print(kind, found if kind != "speed" else "", flush=True)
        Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) == 2 else measure(*sys.argv[1:])
