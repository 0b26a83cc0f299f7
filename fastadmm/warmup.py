"""Compile ahead of use: what a run calls, or what any run may call."""

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numba.core import event

from fastadmm import signals, validation
from fastadmm.batches import Batch, Data
from fastadmm.cells import CELLS
from fastadmm.constraints import Box
from fastadmm.kernels.core.jit import CACHE_FOLDER
from fastadmm.mpi.launch import one_per_node_first
from fastadmm.mpi.serial import Serial
from fastadmm.network import RNN
from fastadmm.problem import evaluate, make_problem
from fastadmm.solvers import SOLVERS
from fastadmm.solvers.base import check_trains
from fastadmm.threads import check_threads, compute_threads

COMPILING = "compiling kernels (once, about 30 s)"


class InPasses(Serial):
    """One process that goes over time pass by pass, as the ranks of a grid do."""

    acts_between_passes = True


class _Called(BaseException):
    """A signal has asked to stop; no `Exception`, which the compiler might take for its own."""


class _BetweenKernels(event.Listener):
    """Told by Numba before each kernel that it compiles; not for those found on disk."""

    def __init__(self, reporter):
        self.reporter, self.thread, self.is_first = reporter, threading.get_ident(), True

    def on_start(self, event):
        if threading.get_ident() != self.thread:
            return
        if self.is_first:
            self.is_first = False
            logging.getLogger("fastadmm").info(COMPILING)
            self.reporter.note(COMPILING)
        if signals.requested():
            raise _Called

    def on_end(self, event):
        pass


def make_ready(domain, reporter, *arguments):
    """`warm_up` on all ranks, one per node first, until done or called off; collective.

    Parameters
    ----------
    domain : fastadmm.mpi.serial.Serial
    reporter : fastadmm.progress.Reporter
    *arguments
        Of `warm_up`.

    Returns
    -------
    int
        Number of the signal that asked any rank to stop, else 0. Within seconds, since no kernel
        takes longer: requests are looked at before each one.
    """
    with signals.stop_requests(keyboard=True):
        with (
            one_per_node_first(domain.comm, CACHE_FOLDER is not None),
            contextlib.suppress(_Called),
            event.install_listener("numba:compile", _BetweenKernels(reporter)),
        ):
            warm_up(*arguments, domain=InPasses() if domain.acts_between_passes else Serial())
        return int(domain.largest(signals.requested()))


@np.errstate(all="ignore")  # of zeros
def warm_up(kind, options, net, problem, data, threads, largest=(2, 2), *, domain):
    """Compile, or load from the cache, all that training and evaluating this problem calls.

    Parameters
    ----------
    kind, options
        Solver and its settings.
    net : RNN
    problem : Problem
    data : fastadmm.batches.Data
        The kinds of its arrays alone matter.
    threads : int
    largest : (int, int)
        Own sequences and time steps of the largest window.
    domain : Serial or InPasses
        Takes the passes over time at once, or one by one.
    """
    if problem.constraints:  # shapes of theirs may fit the network alone
        problem = replace(problem, constraints={"recurrent": Box()})
    facts = net.facts | {"hidden": 2} | ({"leak": 0.5} if net.cell == "leaky" else {})
    small = RNN(**facts)
    few = Data(
        _alike(data.X, 2, 4), _alike(data.y, 2, 4 if problem.every else None),
        None if data.lengths is None else np.array([4, 1]),
        None if data.weights is None else np.ones(2, net.dtype),
    )  # fmt: skip
    problem = dataclasses.replace(problem, washout=0)  # few time points may be none after it
    solver = kind(small, problem, options, 2, 4, 1, threads, domain)
    solver.step(Batch.alone(few, np.arange(2)))
    solver.warm_up(few, *largest)
    solver.kkt()
    evaluate(small, problem, few, threads)


def _alike(array, n_cases, n_timepoints):
    """Zeros of the kind of an array: compiled code tells read-only ones apart."""
    inner = array.shape[1:] if n_timepoints is None else (n_timepoints, *array.shape[2:])
    found = np.zeros((n_cases, *inner), array.dtype)
    found.flags.writeable = array.flags.writeable
    return found


def compile_all(
    dtype: str = "float32",
    threads: int | None = None,
    solver: str | None = None,
    cell: str = "elman",
) -> Iterator[tuple[str, float]]:
    """Compile what a solver calls, for classification, regression and token streams.

    On one process and on a grid of ranks; by default what all solvers call that train the cell.

    Yields
    ------
    name : str
    seconds : float
    """
    validation.one_of(cell, CELLS, "cell")
    if solver is not None:
        check_trains(solver, SOLVERS[validation.one_of(solver, SOLVERS, "solver")], {"cell": cell})
    chosen = {
        name: kind
        for name, kind in SOLVERS.items()
        if solver in (None, name) and cell in kind.trains.get("cell", CELLS)
    }
    threads = check_threads(threads)
    rng = np.random.default_rng(0)
    dense, tokens = rng.random((2, 2, 2)), rng.integers(0, 3, (2, 2))
    cases = {
        "classification": (2, dense, np.array([0, 1]), "last"),
        "regression": (2, dense, np.zeros((2, 3)), "last"),
        "token streams": (3, tokens, tokens, "all"),
    }
    with compute_threads(threads):
        for solver, kind in chosen.items():
            for name, (inputs, X, y, readout) in cases.items():
                leak = 0.5 if cell == "leaky" else None
                net = RNN(inputs, 2, 3, dtype=dtype, cell=cell, leak=leak)
                started = time.perf_counter()
                for domain in (Serial(), InPasses()):
                    problem = make_problem(net, X, y, readout=readout)
                    warm_up(kind, kind.Options(), net, *problem, threads, domain=domain)
                yield f"{solver}, {name}, {dtype}", time.perf_counter() - started
