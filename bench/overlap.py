"""One long stream as chunks that overlap: within a rank, over ranks, and in training.

python -m bench.overlap DATA          writes results/overlap.json; needs Open MPI; about 30 minutes.
python -m bench.overlap DATA speed .. some of the jobs below; what is stored of others stays
python -m bench.overlap DATA small    the same in little, and writes nothing
                                      DATA holds text/tiny_shakespeare.txt

speed: a step on a million samples of a noisy oscillator, one sequence, single precision. In every
round one rank on whole sequences, one rank and two ranks on chunks, and two copies of the one-rank
run side by side: the machine's second core can give no more.
memory: growth of the largest rank's peak, of runs in processes of their own.
sums: multiplier sums of chunks against those of the whole, of trained networks.
overlaps: what is predicted, and what edges need to keep the tolerance, on networks of all cells.
training: tiny Shakespeare in carried windows, one at a time, in windows with a warm-up at random,
and in long windows cut into chunks; and torch in carried windows, where it is installed. Loss on
the last tenth after every epoch.
text: tiny Shakespeare as one stream, in carried windows, over 1, 2 and 4 ranks.
"""

import importlib.util
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from mpi4py import MPI

from bench import machine, ranks
from fastadmm import RNN, chunks, fit
from fastadmm.batches import Batch
from fastadmm.problem import make_problem
from fastadmm.solvers.condensed import Condensed, CondensedOptions
from fastadmm.threads import compute_threads

COMM = MPI.COMM_WORLD
FULL = {
    "length": 1_000_000, "hidden": (32, 128), "rounds": 5, "sums": 200_000,
    "gains": (0.5, 1.0, 1.5), "windows": 100, "epochs": 3, "characters": None,
    "text_window": 20_000,
}  # fmt: skip
SMALL = {
    "length": 20_000, "hidden": (32,), "rounds": 1, "sums": 10_000, "gains": (0.5,),
    "windows": 100, "epochs": 1, "characters": 20_000, "text_window": 5_000,
}  # fmt: skip
CELLS = {"elman": {}, "leaky": {"leak": 0.3}, "gru": {}, "lstm": {}}
WARM_UP, BATCH = 50, 32
WHOLE = {"readout": "all", "batch_size": None, "threads": 1}


def oscillator(length, seed=0, dtype="float32"):
    """A noisy oscillator and what it will be 5 steps on, (1, length, 4) and (1, length, 1)."""
    rng = np.random.default_rng(seed)
    times = np.arange(length + 5)[:, None] * np.array([0.01, 0.023, 0.11, 0.3])
    signal = (np.sin(times) + 0.1 * rng.standard_normal(times.shape)).astype(dtype)
    return signal[None, :length], signal[None, 5:, :1]


def step_seconds(hidden, length, comm=None, **settings):
    """Seconds of a step over the whole stream: of the fastest of three."""
    X, y = oscillator(length)
    ranks.wait(COMM)
    result = fit(RNN(4, hidden, 1), X, y, epochs=4, comm=comm, **WHOLE, **settings)
    ranks.wait(COMM)
    return min(record["seconds"] for record in result.history[1:])


def one_round(hidden, length):
    """Seconds of a step: whole sequences and chunks on one rank, chunks on two, and two copies."""
    alone = []
    for settings in ({"overlap": False}, {}):
        if COMM.rank == 0:
            alone.append(step_seconds(hidden, length, **settings))
        else:
            ranks.wait(COMM)
            ranks.wait(COMM)
            alone.append(0.0)
    together = step_seconds(hidden, length, COMM, grid=(COMM.size, 1))
    copies = step_seconds(hidden, length)
    return [COMM.allreduce(seconds, MPI.MAX) for seconds in (*alone, together, copies)]


def speed(sizes, data):
    """All rounds, and the medians of their ratios, by the number of hidden units."""
    found = {}
    for hidden in sizes["hidden"]:
        rounds = [one_round(hidden, sizes["length"]) for _ in range(sizes["rounds"] + 1)][1:]
        found[str(hidden)] = {
            "rounds": rounds,
            "whole": median(whole for whole, *_ in rounds),
            "chunks": median(one for _, one, *_ in rounds),
            "speed_up": median(one / two for _, one, two, _ in rounds),
            "ceiling": median(2 * one / copies for _, one, _, copies in rounds),
            "against_whole": median(whole / two for whole, _, two, _ in rounds),
        }
    return found


def memory(sizes, data):
    """Growth of each rank's peak memory in a run, and its edges."""
    X, y = oscillator(sizes["length"])
    fit(
        RNN(4, 2, 1), X[:, :8192], y[:, :8192], epochs=1, comm=COMM, grid=(COMM.size, 1), **WHOLE
    )  # loads
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = fit(
        RNN(4, sizes["hidden"][0], 1), X, y, epochs=3, comm=COMM, grid=(COMM.size, 1), **WHOLE
    )
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    megabytes = [1024 * kilobytes / 1e6 for kilobytes in COMM.allgather(growth)]
    return {"ranks": COMM.size, "megabytes": megabytes, "history": result.history}


def solver_of(net, X, y):
    """A solver of one thread, and the stream as its mini-batch."""
    problem, data = make_problem(net, X, y, readout="all")
    solver = Condensed(net, problem, CondensedOptions(), *X.shape[:2], 10, 1)
    return solver, Batch.alone(data, np.arange(len(X)))


def edges(solver, batch, left, right):
    """Distances of the edges of states and of multipliers with these overlaps."""
    overlap = solver.overlap
    overlap.left, overlap.right, overlap.rest = left, right, 0
    number = overlap.best(batch, max(left, right))
    if number == 1:
        return None
    solver.measure(overlap.chunks_of(batch, number))
    return [chunks.root(total) for total in overlap.found]


def sums(sizes, data):
    """Largest relative difference of the multiplier sums of all maps, and of the edges."""
    found = []
    for hidden in sizes["hidden"]:
        for dtype in ("float32", "float64"):
            X, y = oscillator(sizes["sums"], dtype=dtype)
            net = RNN(4, hidden, 1, dtype=dtype)
            fit(net, X, y, epochs=5, scale=None, **WHOLE)
            with compute_threads(1):
                solver, batch = solver_of(net, X, y)
                solver.measure(batch)
                whole = [g.copy() for g in solver.of_maps("g")]
                own = solver.overlap.cut(batch)
                solver.measure(own)
                errors = [
                    float(abs(g - exact).max() / abs(exact).max())
                    for g, exact in zip(solver.of_maps("g"), whole, strict=True)
                ]
            residuals = [chunks.root(total) for total in solver.overlap.found]
            found.append(
                {"hidden": hidden, "dtype": dtype, "chunks": own.chunks, "error": max(errors),
                 "edges": residuals, "overlap": [solver.overlap.left, solver.overlap.right]}
            )  # fmt: skip
    return found


def overlaps(sizes, data):
    """Predicted overlaps, and the least that keep the tolerance; None where none does."""
    X, y = oscillator(sizes["sums"])
    found = []
    for cell, more in CELLS.items():
        for gain in sizes["gains"]:
            for epochs in (0, 5):
                net = RNN(4, 32, 1, gain=gain, cell=cell, **more)
                if epochs:
                    fit(net, X, y, epochs=epochs, scale=None, **WHOLE)
                with compute_threads(1):
                    solver, batch = solver_of(net, X, y)
                    predicted = solver.overlap.predicted(batch)
                    needed = [least(solver, batch, which) for which in (0, 1)]
                found.append(
                    {"cell": cell, "gain": gain, "epochs": epochs, "predicted": predicted,
                     "states": needed[0], "multipliers": needed[1]}
                )  # fmt: skip
    return found


def least(solver, batch, which):
    """The least overlap, of a ladder of 8 % a rung, whose edges keep the tolerance."""
    overlap = 8
    while (residuals := edges(solver, batch, overlap, overlap)) is not None:
        if residuals[which] <= solver.overlap.tolerance:
            return overlap
        overlap = chunks.rounded(1.08 * overlap + 1)
    return None


def stream_of(sizes, data):
    """A text as one stream of symbols, (1, characters), and how many there are."""
    characters = (Path(data) / "text" / "tiny_shakespeare.txt").read_text()[: sizes["characters"]]
    symbols = sorted(set(characters))
    return np.array([symbols.index(each) for each in characters])[None], len(symbols)


def training(sizes, data):
    """Seconds of training and held-out loss after every epoch, of several ways."""
    ids, size = stream_of(sizes, data)
    stop, steps, found = ids.shape[1] * 9 // 10, sizes["windows"], {}
    X, y, held_out = ids[:, : stop - 1], ids[:, 1:stop], (ids[:, stop:-1], ids[:, stop + 1 :])
    ways = {
        "carried windows": {"steps": steps, "batch_size": 1},
        "windows with a warm-up": {"steps": steps, "warmup": WARM_UP, "batch_size": BATCH},
        "long windows as chunks": {"steps": 64 * steps, "batch_size": 1},
    }
    for name, settings in ways.items():
        result = fit(
            RNN(size, 128, size), X, y, readout="all", epochs=sizes["epochs"], threads=1,
            validation=held_out, **settings,
        )  # fmt: skip
        seconds = np.cumsum([record["seconds"] for record in result.history]).tolist()
        losses = [record["validation_loss"] for record in result.history]
        found[name] = {"seconds": seconds, "losses": losses}
    if importlib.util.find_spec("torch"):
        for rate in (1e-3, 3e-3, 1e-2):
            found[f"torch, Adam {rate:g}"] = with_torch(sizes, size, X, y, held_out, rate)
    return found


def with_torch(sizes, size, X, y, held_out, rate):
    """The same of torch, in carried windows, under Adam."""
    import torch

    from bench import torch_training

    torch.set_num_threads(1)
    net, steps = RNN(size, 128, size), sizes["windows"]
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(X), size).float()
    windows = one_hot.split(steps, 1), torch.from_numpy(y).split(steps, 1)
    own = torch_training.Training(net, "Adam", rate, sizes["epochs"] * len(windows[0]), "all")
    seconds, losses, elapsed = [], [], 0.0
    for _ in range(sizes["epochs"]):
        started, state = time.perf_counter(), None
        for x, target in zip(*windows, strict=True):
            _, state = own.step(x, target, state)
        elapsed += time.perf_counter() - started
        own.put_into(net, "average")
        seconds.append(elapsed)
        losses.append(net.score(*held_out, readout="all")["nats"])
    return {"seconds": seconds, "losses": losses}


def text(sizes, data):
    """Loss of every epoch on a text that is one stream."""
    ids, size = stream_of(sizes, data)
    result = fit(
        RNN(size, 128, size), ids[:, :-1], ids[:, 1:], readout="all", epochs=3,
        batch_size=1, steps=sizes["text_window"], threads=1, comm=COMM, grid=(COMM.size, 1),
    )  # fmt: skip
    return {"ranks": COMM.size, "history": result.history}


JOBS = {
    "speed": (speed, (2,)), "memory": (memory, (1, 2, 4)), "sums": (sums, (1,)),
    "overlaps": (overlaps, (1,)), "training": (training, (1,)), "text": (text, (1, 2, 4)),
}  # fmt: skip


def main(data, *names):
    """Start all jobs, or those named, and store what they have found."""
    sizes = "small" if names == ("small",) else "full"
    chosen = JOBS if sizes == "small" or not names else {name: JOBS[name] for name in names}
    before = machine.load("overlap")["results"] if machine.has("overlap") else {}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (_, numbers) in chosen.items():
            for size in numbers:
                out = Path(folder) / f"{name}{size}.json"
                ranks.launch("bench.overlap", size, name, sizes, data, out)
                found.setdefault(name, []).append(json.loads(out.read_text()))
    found = {name: each[0] if len(each) == 1 else each for name, each in found.items()}
    if sizes == "full":
        machine.store("overlap", before | found)


def measure(name, sizes, data, out):
    """One job on this rank."""
    found = JOBS[name][0](FULL if sizes == "full" else SMALL, data)
    if COMM.rank == 0:
        print(name, json.dumps(found), flush=True)
        Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    measure(*sys.argv[1:]) if len(sys.argv) == 5 else main(*sys.argv[1:])
