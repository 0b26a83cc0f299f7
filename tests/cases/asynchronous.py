"""Run under mpirun: ranks that do not wait for each other keep the bound, and end together.

mpirun -n P python asynchronous.py            exits with 1 where a case is wrong
"""

import os
import signal
import sys
import time
from functools import partial

import numpy as np
from fastadmm.mpi import asynchronous
from fastadmm.mpi import grid as module
from mpi4py import MPI

from fastadmm import RNN, fit
from fastadmm.solvers import SOLVERS

COMM, Grid = MPI.COMM_WORLD, module.Grid
RNG = np.random.default_rng(5)
X, Y = RNG.standard_normal((40, 6, 3)), RNG.integers(0, 4, 40)


def train(solver="condensed", **settings):
    net = RNN(3, 5, 4, seed=1, dtype="float64")
    settings = {"epochs": 4, "batch_size": 8, "threads": 1, "comm": COMM} | settings
    result = fit(net, X, Y, solver=solver, **settings)
    return np.concatenate([net.theta.ravel(), net.phi.ravel()]), result


def splits():
    """Cuts along the batch and along time, and the micro-batches of each."""
    return {(1, COMM.size): 1, (COMM.size, 1): 2}.items()


def settings_of(solver):
    """Mini-batches, and one of all data with several iterations on it."""
    yield {"batch_size": 8}
    if solver != "condensed":
        yield {"batch_size": None, "sweeps": 6}


def same_everywhere(weights):
    return COMM.allreduce(abs(weights - COMM.bcast(weights)).max(), MPI.MAX) == 0


def check_waiting_for_all_is_exact():
    """Ranks that wait for all reductions of an iteration at its end go the synchronous way."""
    for grid, parts in splits():
        expected, _ = train(grid=grid, micro_batches=parts)
        module.Grid = partial(asynchronous.AsynchronousGrid, staleness=0)
        weights, _ = train(grid=grid, micro_batches=parts)
        module.Grid = Grid
        np.testing.assert_allclose(weights, expected, rtol=1e-10)


def slowed(kind):
    """The solver with one rank that is far behind the others, a different one in every step."""

    class Slowed(kind):
        def step(self, *args, **kwargs):
            if self.domain.iteration % COMM.size == COMM.rank:
                time.sleep(0.002)
            return super().step(*args, **kwargs)

    return Slowed


def check_bound_and_end():
    """Ages within the bound, finite losses, and the same weights on all ranks."""
    for solver, kind in list(SOLVERS.items()):
        SOLVERS[solver] = slowed(kind)
        for bound in (1, 3):
            for grid, parts in splits():
                for more in settings_of(solver):
                    settings = {"grid": grid, "micro_batches": parts, "staleness": bound, **more}
                    weights, result = train(solver, **settings)
                    case = solver, settings
                    assert same_everywhere(weights), case
                    losses = [record["train_loss"] for record in result.history]
                    assert losses[-1] < losses[0], (case, losses)
                    largest = np.array([record["age_max"] for record in result.history])
                    assert largest.shape == (4, COMM.size), case
                    assert (COMM.size > 1) <= largest.max() <= bound, (case, largest)
        SOLVERS[solver] = kind


def check_stop_at_the_same_iteration():
    """A signal to the last rank alone, and a diverging run, end all ranks in the same place."""

    def ask(record):
        if record["epoch"] == 2 and COMM.rank == COMM.size - 1:
            os.kill(os.getpid(), signal.SIGTERM)

    weights, result = train(epochs=1000, staleness=2, callbacks=[ask])
    assert (result.status, result.signal) == ("interrupted", signal.SIGTERM)
    assert len(set(COMM.allgather(len(result.history)))) == 1
    assert result.history[-1]["batches"] <= 3
    assert same_everywhere(weights)
    weights, result = train(epochs=9, staleness=2, eta=1e30)
    assert result.status == "diverged"
    assert np.isfinite(weights).all()
    assert same_everywhere(weights)


def main():
    check_waiting_for_all_is_exact()
    check_bound_and_end()
    check_stop_at_the_same_iteration()
    print("done", flush=True)
    sys.exit(0)


main()
