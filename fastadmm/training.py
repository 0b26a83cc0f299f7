"""fit: epochs of mini-batches, the history, and the reasons to stop."""

import copy
import math
import signal
import time
from dataclasses import dataclass, field, fields

import numpy as np

from fastadmm import signals, validation
from fastadmm.network import RNN
from fastadmm.problem import evaluate, make_problem
from fastadmm.progress import make_reporter
from fastadmm.report import finite_or_none
from fastadmm.solvers import SOLVERS
from fastadmm.threads import check_threads, compute_threads

EXPLODED = 1e6
"""Training has diverged where the loss is this many times that of the start, or of zero outputs."""


@dataclass
class Result:
    """What `fit` returns.

    Attributes
    ----------
    status : {"max_iter", "time_limit", "interrupted", "diverged"}
        Why training ended: all epochs done; out of time; Ctrl-C, SIGTERM, SIGUSR1 or a callback;
        loss not finite or exploding.
    history : list of dict
        One record an epoch: ``epoch`` (from 1), ``seconds`` (its own training time), ``batches``,
        ``train_loss`` (mean over the epoch, of the moving iterate), ``validation_loss``,
        ``validation_accuracy`` (of the averaged iterate; None without validation data or labels),
        ``step_length`` and ``multiplier_rms`` (root mean squares), ``rho_min``, ``rho_max`` (at
        the last step), ``growth`` (mean γ). None where there is none, or it is not finite.
    compile_seconds, train_seconds : float
        Compiling or loading kernels; training itself, without validation.
    threads : int
    signal : int
        Number of the signal that ended training, 0 where none did.
    """

    status: str = "max_iter"
    history: list = field(default_factory=list)
    compile_seconds: float = 0.0
    train_seconds: float = 0.0
    threads: int = 1
    signal: int = 0


def fit(
    net,
    X,
    y,
    *,
    loss=None,
    readout="last",
    solver="condensed",
    epochs=10,
    batch_size=64,
    steps=None,
    validation=None,
    callbacks=(),
    time_limit=None,
    verbose=0,
    threads=None,
    seed=0,
    **options,
):
    """Train a network; its weights become the averaged iterate of the run.

    Parameters
    ----------
    net : RNN
        Trained in place, from the weights it has.
    X : array_like, (n_cases, n_timepoints, n_channels), or (n_cases, n_timepoints) token ids
    y : array_like
        ``readout="last"``: labels (n_cases,) or values (n_cases, C). ``"all"``: labels
        (n_cases, n_timepoints) or values (n_cases, n_timepoints, C).
    loss : {"softmax_cross_entropy", "squared"}, optional
        Chosen by the dtype of ``y`` where not given: labels are integers.
    readout : {"last", "all"}
        Targets for the output after the last time point only, or after every one.
    solver : {"condensed"}
    epochs, batch_size : int
        Passes over the data, sequences in a mini-batch.
    steps : int, optional
        With ``readout="all"``: train on windows of so many time points, carrying the state from
        one to the next (long streams). None: whole sequences.
    validation : (Xv, yv), optional
        Evaluated after every epoch.
    callbacks : sequence of callables
        Called with the record after every epoch; one that returns True ends training.
    time_limit : float, optional
        Seconds of training, checked after every mini-batch.
    verbose : int
        0 prints nothing; 1 shows progress on standard error.
    threads : int, optional
        All available cores (or OMP_NUM_THREADS) where not given.
    seed : int or numpy.random.Generator
        Order of the mini-batches.
    **options
        Settings of the solver, see `fastadmm.solvers.condensed.CondensedOptions`.

    Returns
    -------
    Result

    Raises
    ------
    ValueError, TypeError
        Before any work, naming the argument, what came and what is expected.

    Notes
    -----
    Ctrl-C, SIGTERM and SIGUSR1 end training with status ``interrupted`` and keep the model so far;
    the two latter at the end of a mini-batch, and only where the program has no handler of its own
    (`fastadmm.signals`). Where training diverges, the network gets the best finite iterate back.
    With the same seed, threads and machine, results are bitwise the same.
    """
    kind = SOLVERS[_one_of(solver, SOLVERS, "solver")]
    options = _solver_options(kind, solver, options)
    epochs = _positive(epochs, "epochs")
    batch_size = _positive(batch_size, "batch_size")
    if time_limit is not None and not time_limit > 0:
        raise ValueError(f"time_limit is {time_limit!r}: expected a positive number of seconds")
    threads = check_threads(threads)
    problem, X, y = make_problem(net, X, y, loss, readout)
    if validation is not None:
        validation = make_problem(net, *validation, problem.loss, readout)[1:]
    net.task.update(loss=problem.loss, readout=readout)
    n_cases, n_timepoints = X.shape[:2]
    steps = _window(steps, n_timepoints, readout)
    plan = _Plan(n_cases, n_timepoints, min(batch_size, n_cases), steps, epochs)
    run = _Run(net, problem, X, y, plan, validation, threads, np.random.default_rng(seed))
    with compute_threads(threads), make_reporter(verbose, plan, problem) as reporter:
        started = time.perf_counter()
        warm_up(kind, net, problem, X, y, threads)
        run.result.compile_seconds = time.perf_counter() - started
        with signals.stop_requests():
            run.train(kind, options, time_limit, callbacks, reporter)
    return run.result


_one_of, _positive = validation.one_of, validation.positive_integer


def _solver_options(kind, solver, given):
    names = [f.name for f in fields(kind.Options)]
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise TypeError(
            f"{', '.join(unknown)}: no option of fit or of solver {solver!r}, "
            f"which takes {', '.join(names)}"
        )
    return kind.Options(**given)


def _window(steps, n_timepoints, readout):
    if steps is None:
        return n_timepoints
    if readout != "all":
        raise ValueError("steps cuts sequences into windows: that needs readout='all'")
    return min(_positive(steps, "steps"), n_timepoints)


@dataclass(frozen=True)
class _Plan:
    """Sizes of a run."""

    n_cases: int
    n_timepoints: int
    batch_size: int
    steps: int
    epochs: int

    @property
    def batches(self):
        """Mini-batches in an epoch."""
        return -(-self.n_cases // self.batch_size) * -(-self.n_timepoints // self.steps)

    def windows(self, rng):
        """Mini-batches of an epoch: cases, first time point, number of time points."""
        order = rng.permutation(self.n_cases)
        for start in range(0, self.n_cases, self.batch_size):
            cases = order[start : start + self.batch_size]
            for first in range(0, self.n_timepoints, self.steps):
                yield cases, first, min(self.steps, self.n_timepoints - first)


def warm_up(kind, net, problem, X, y, threads):
    """Compile, or load from the cache, all that training and evaluating this problem calls."""
    small = RNN(net.inputs, 2, net.outputs, net.activation, dtype=net.dtype.name)
    cases, steps = np.arange(min(2, len(X))), min(2, X.shape[1])
    solver = kind(small, problem, kind.Options(), len(cases), steps, 1, threads)
    solver.step(X, y, cases, 0, steps)
    width = X.shape[1] if problem.readout == "last" else steps
    evaluate(small, problem, np.ascontiguousarray(X[:2, :width]), y[:2], threads)


class _Run:
    """One call of fit: the moving parts of the epoch loop."""

    def __init__(self, net, problem, X, y, plan, validation, threads, rng):
        self.net, self.problem, self.X, self.y = net, problem, X, y
        self.plan, self.validation, self.threads, self.rng = plan, validation, threads, rng
        self.result = Result(threads=threads)
        self.best_loss, self.best = math.inf, (net.theta.copy(), net.phi.copy())
        self.limit = None

    def train(self, kind, options, time_limit, callbacks, reporter):
        """Run all epochs, or until there is a reason to stop."""
        plan = self.plan
        solver = kind(
            self.net, self.problem, options, plan.batch_size, plan.steps,
            plan.epochs * plan.batches, self.threads,
        )  # fmt: skip
        try:
            for epoch in range(1, plan.epochs + 1):
                status = self._epoch(solver, epoch, time_limit, reporter)
                if status is None and any([c(self.result.history[-1]) for c in callbacks]):
                    status = "interrupted"
                if status is not None:
                    self.result.status = status
                    break
        except KeyboardInterrupt:
            self.result.status, self.result.signal = "interrupted", int(signal.SIGINT)
        weights = self.best if self.result.status == "diverged" else solver.average
        self.net.theta[:], self.net.phi[:] = weights

    def _epoch(self, solver, epoch, time_limit, reporter):
        """One pass over the data; returns a status where training has to end."""
        records, status, carried = [], None, None
        before, started = self.result.train_seconds, time.perf_counter()
        for cases, first, steps in self.plan.windows(self.rng):
            initial = carried if first else None
            record = solver.step(self.X, self.y, cases, first, steps, initial)
            if first + steps < self.plan.n_timepoints:
                carried = solver.final_state(steps, len(cases))
            records.append(record)
            self.result.train_seconds = before + time.perf_counter() - started
            if not record.finite or self._has_exploded(record):
                status = "diverged"
            elif signals.requested():
                status, self.result.signal = "interrupted", signals.requested()
            elif time_limit is not None and self.result.train_seconds > time_limit:
                status = "time_limit"
            reporter.batch(self._mean_loss([record]), len(cases))
            if status is not None:
                break
        self._record(solver, epoch, self.result.train_seconds - before, records)
        reporter.epoch(self.result.history[-1])
        return status

    def _has_exploded(self, record):
        """Whether the loss is far above that of the first batch and of zero outputs."""
        loss = record.loss / record.terms
        if self.limit is None:
            self.limit = EXPLODED * max(loss, self.problem.loss_of_zero(self.y, self.net.outputs))
        return loss > self.limit

    def _mean_loss(self, records):
        total, terms = sum(r.loss for r in records), sum(r.terms for r in records)
        return float(self.problem.reported(total, terms, self.net.outputs))

    def _record(self, solver, epoch, seconds, records):
        """Append the epoch to the history, and keep the iterate if it is the best so far."""
        averaged = copy.copy(self.net)
        averaged.theta, averaged.phi = solver.average
        loss, accuracy = None, None
        if self.validation is not None:
            loss, accuracy = evaluate(averaged, self.problem, *self.validation, self.threads)
        last = records[-1]
        train_loss = self._mean_loss(records)
        measured = {
            "train_loss": train_loss,
            "validation_loss": loss,
            "validation_accuracy": accuracy,
            "step_length": np.sqrt(np.mean([r.step_length**2 for r in records])),
            "multiplier_rms": np.sqrt(np.mean([r.multiplier_square for r in records])),
            "rho_min": last.rho_min,
            "rho_max": last.rho_max,
            "growth": np.mean([r.growth for r in records]),
        }
        start = {"epoch": epoch, "seconds": seconds, "batches": len(records)}
        self.result.history.append(start | {k: finite_or_none(v) for k, v in measured.items()})
        merit = train_loss if loss is None else loss
        if merit < self.best_loss:
            self.best_loss = merit
            self.best = tuple(w.copy() for w in solver.average)
