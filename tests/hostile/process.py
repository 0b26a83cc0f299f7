"""Training in threads, in forked processes and under signals."""

import multiprocessing
import os
import signal
import threading

import numpy as np
from threadpoolctl import threadpool_info

from fastadmm import RNN, fit

from .watch import Case, Fault

KINDS = "threads", "fork", "signal", "fork in a thread"


def cases(rng, folder, count):
    """As many as asked for, over all kinds."""
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        seeds = rng.integers(0, 100, 3).tolist()
        threads = int(rng.integers(1, 3))
        solver = str(rng.choice(["condensed", "block"]))
        run = {"threads": _threads, "fork": _fork, "signal": _signal, "fork in a thread": _both}
        yield Case(
            f"{kind}, {solver}, seeds {seeds}, threads {threads}",
            lambda run=run[kind], seeds=seeds, k=threads, s=solver: run(seeds, k, s),
        )


def trained(seed, threads, solver, **asked):
    """Weights of a small run."""
    rng = np.random.default_rng(seed)
    net = RNN(3, 4, 2, seed=seed)
    X, y = rng.standard_normal((20, 4, 3)), rng.integers(0, 2, 20)
    settings = {"epochs": 2, "threads": threads, "solver": solver} | asked
    result = fit(net, X, y, batch_size=None if solver == "block" else 8, **settings)
    return net.theta.copy(), result


def _blas():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def _threads(seeds, threads, solver):
    alone, before, found = [trained(s, threads, solver)[0] for s in seeds], _blas(), {}

    def one(place):
        found[place] = trained(seeds[place], threads, solver)[0]

    running = [threading.Thread(target=one, args=(place,)) for place in range(len(seeds))]
    for each in running:
        each.start()
    for each in running:
        each.join()
    if any(not np.array_equal(found.get(k), theta) for k, theta in enumerate(alone)):
        raise Fault("silent: other weights than alone")
    if _blas() != before:
        raise Fault(f"silent: BLAS was left at {_blas()} threads, {before} before")


def _fork(seeds, threads, solver):
    alone = trained(seeds[0], threads, solver)[0]
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=lambda: answers.put(trained(seeds[0], threads, solver)[0]))
    child.start()
    try:
        found = answers.get(timeout=15)
    except Exception as error:
        raise Fault(f"hang: no answer of a forked process, exit code {child.exitcode}") from error
    finally:
        child.kill()
        child.join()
    if not np.array_equal(found, alone):
        raise Fault("silent: other weights than the parent's")


def _signal(seeds, threads, solver):
    number = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)[seeds[1] % 3]

    def send(record):
        if record["epoch"] == 2:
            os.kill(os.getpid(), number)

    theta, result = trained(seeds[0], threads, solver, epochs=50, callbacks=[send])
    if result.status != "interrupted" or not np.isfinite(theta).all():
        raise Fault(f"silent: status {result.status} after signal {number}")
    if trained(seeds[0], threads, solver)[1].status == "interrupted":
        raise Fault("silent: a signal of the past ended a run")


def _both(seeds, threads, solver):
    """A fork while another thread trains."""
    other = threading.Thread(target=trained, args=(seeds[1], threads, solver))
    other.start()
    try:
        _fork(seeds, threads, solver)
    finally:
        other.join()
