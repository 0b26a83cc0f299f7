"""The cost model against the clock: iterations on one and on two ranks, sums over two.

python -m bench.cost_model        writes results/cost_model.json; needs mpirun for the second part
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import median

import numpy as np
from fastadmm.mpi import cost, launch
from fastadmm.mpi.machine import Machine, calibrate

from bench import machine
from fastadmm import RNN, fit, plan
from fastadmm.solvers import counts

EPOCHS = 20


def shape(steps, batch, inputs, hidden, outputs=10, **kind):
    """Work of an epoch of 10 mini-batches."""
    return cost.Work(10 * batch, steps, batch, steps, inputs, hidden, outputs, **kind)


SHAPES = (
    shape(28, 128, 28, 128),
    shape(8, 64, 8, 64),
    shape(28, 64, 28, 64),
    shape(28, 16, 28, 32),
    shape(100, 128, 2, 128),
    shape(784, 64, 1, 16),
    shape(28, 512, 28, 256),
    shape(28, 128, 28, 512),
    shape(50, 32, 65, 128, 65, every=True, tokens=True),
    shape(50, 64, 16, 128, 16, every=True),
)

SPLIT = SHAPES[0], SHAPES[4], SHAPES[6]
"""Shapes that are also trained on two ranks."""


def measured(work, **distribution):
    """Seconds of an iteration of `fit` on one thread per rank: the best epoch's mean."""
    rng = np.random.default_rng(0)
    cases, steps = work.n_cases, work.n_timepoints
    if work.tokens:
        X = rng.integers(0, work.inputs, (cases, steps))
    else:
        X = rng.random((cases, steps, work.inputs), np.float32)
    y = rng.integers(0, work.outputs, (cases, steps) if work.every else cases)
    readout = "all" if work.every else "last"
    net = RNN(work.inputs, work.hidden, work.outputs)
    result = fit(
        net, X, y, readout=readout, batch_size=work.batch, epochs=EPOCHS, threads=1, **distribution
    )
    return min(r["seconds"] / r["batches"] for r in result.history[1:])


def iterations():
    """Each shape: measured, predicted from rates at this shape, and from those at the first."""
    first = Machine(**plan.rates(SHAPES[0]))
    found = []
    for work in SHAPES:
        seconds = measured(work)
        own = Machine(**plan.rates(work))
        predicted = cost.predict(work, counts(work, "condensed"), cost.Layout(1, 1), own).seconds
        foreign = cost.predict(work, counts(work, "condensed"), cost.Layout(1, 1), first).seconds
        print(
            f"T {work.steps} B {work.batch} D {work.inputs} H {work.hidden}: "
            f"{1e3 * seconds:.2f} ms, predicted {predicted / seconds:.2f} of it, "
            f"from the first shape's rates {foreign / seconds:.2f}",
            flush=True,
        )
        found.append(
            {"work": asdict(work), "measured": seconds, "predicted": predicted, "foreign": foreign}
        )
    return found


def reductions():
    """The sums of an iteration over the ranks of a job: measured and predicted, on every rank."""
    comm = launch.world()
    network = calibrate(comm)
    found = []
    for work in SHAPES:
        numbers = np.zeros(round(counts(work, "condensed").reduced), np.float32)
        total, times = np.empty_like(numbers), []
        from mpi4py import MPI

        for _ in range(50):
            comm.Barrier()
            started = MPI.Wtime()
            comm.Allreduce(numbers, total)
            times.append(MPI.Wtime() - started)
        predicted = cost.all_reduce(comm.size, numbers.nbytes, network)
        found.append({"bytes": numbers.nbytes, "measured": median(times), "predicted": predicted})
    return {
        "network": asdict(network),
        "ranks": comm.size,
        "all_reduce": found,
        "grids": [grid for work in SPLIT for grid in grids(comm, work)],
    }


def grids(comm, work):
    """Iterations split along the batch and along time, and predicted from rates measured alike."""
    numbers = calibrate(comm, **plan.rates(work))
    for layout in (cost.Layout(1, comm.size), cost.Layout(comm.size, 1, 8)):
        grid = layout.time, layout.batch
        seconds = measured(work, comm=comm, grid=grid, micro_batches=layout.micro_batches)
        predicted = cost.predict(work, counts(work, "condensed"), layout, numbers).seconds
        yield {
            "work": asdict(work),
            "layout": asdict(layout),
            "measured": seconds,
            "predicted": predicted,
        }


def launched(ranks):
    """`reductions` on so many ranks, as rank 0 saw them; None without a launcher."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    mpirun = shutil.which("mpirun", path=path)
    if mpirun is None:
        return None
    command = [mpirun, "-n", str(ranks), sys.executable, "-m", "bench.cost_model", "reductions"]
    found = json.loads(subprocess.check_output(command, text=True))
    for each in found["all_reduce"]:
        print(
            f"all-reduce of {each['bytes']} bytes: {1e6 * each['measured']:.0f} us, "
            f"predicted {each['predicted'] / each['measured']:.2f} of it"
        )
    for each in found["grids"]:
        work, layout = each["work"], each["layout"]
        print(
            f"T {work['steps']} B {work['batch']} H {work['hidden']} on {layout['time']}x"
            f"{layout['batch']}: {1e3 * each['measured']:.2f} ms, "
            f"predicted {each['predicted'] / each['measured']:.2f} of it"
        )
    return found


def main():
    """Measure, print, store."""
    machine.store("cost_model", {"iterations": iterations(), "reductions": launched(2)})


if __name__ == "__main__":
    if sys.argv[1:] == ["reductions"]:
        with launch.together():
            print(json.dumps(reductions()))
    else:
        main()
