"""Compile ahead of use."""

import time

import numpy as np

from fastadmm import validation
from fastadmm.network import RNN
from fastadmm.problem import make_problem
from fastadmm.solvers import SOLVERS
from fastadmm.threads import check_threads, compute_threads
from fastadmm.training import warm_up


def compile_all(dtype="float32", threads=None, solvers=tuple(SOLVERS)):
    """Compile what solvers call, for classification, regression and token streams.

    Yields
    ------
    name : str
    seconds : float
    """
    threads = check_threads(threads)
    rng = np.random.default_rng(0)
    dense, tokens = rng.random((2, 2, 2)), rng.integers(0, 3, (2, 2))
    cases = {
        "classification": (2, dense, np.array([0, 1]), "last"),
        "regression": (2, dense, np.zeros((2, 3)), "last"),
        "token streams": (3, tokens, tokens, "all"),
    }
    with compute_threads(threads):
        for solver in solvers:
            kind = SOLVERS[validation.one_of(solver, SOLVERS, "solver")]
            for name, (inputs, X, y, readout) in cases.items():
                net = RNN(inputs, 2, 3, dtype=dtype)
                started = time.perf_counter()
                warm_up(kind, net, *make_problem(net, X, y, readout=readout), threads)
                yield f"{solver}, {name}, {dtype}", time.perf_counter() - started
