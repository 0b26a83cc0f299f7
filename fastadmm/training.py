"""fit: epochs of mini-batches, the history, and the reasons to stop."""

import copy
import math
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastadmm import signals, validation
from fastadmm.files import finite_or_none
from fastadmm.mpi.cost import Work, choose, useful_threads
from fastadmm.mpi.launch import alike, cores_per_rank
from fastadmm.mpi.partition import partition
from fastadmm.mpi.serial import Serial
from fastadmm.network import RNN
from fastadmm.on_disk import OnDisk
from fastadmm.options import check_names
from fastadmm.problem import make_problem, score
from fastadmm.progress import make_reporter
from fastadmm.report import usage
from fastadmm.shares import Plan, Share, count
from fastadmm.solvers import SOLVERS
from fastadmm.solvers.splitting import Certificate
from fastadmm.threads import check_threads, compute_threads
from fastadmm.units import SCALES, Units
from fastadmm.validation import asarray
from fastadmm.warmup import make_ready

if TYPE_CHECKING:
    from mpi4py import MPI

SIGNALS = (signal.SIGINT, *signals.STOPPING)
"""Signals that end training, in the order in which they count."""
EXPLODED = 1e6
"""Training has diverged where the loss is this many times that of the start, or of zero outputs."""


@dataclass
class Result:
    """What `fit` returns.

    Attributes
    ----------
    status : {"solved", "max_iter", "time_limit", "interrupted", "diverged"}
        Why training ended: all residuals below the tolerances (not `condensed`); all epochs done;
        out of time; Ctrl-C, SIGTERM, SIGUSR1 or a callback; loss not finite or exploding.
    history : list of dict
        One record an epoch: ``epoch`` (from 1), ``seconds`` (its own training time), ``batches``,
        ``train_loss`` (mean over the epoch, of the moving iterate), ``validation_loss``,
        ``validation_accuracy`` (of the weights that are returned; None without validation data or
        labels), and what the solver measures. None where there is none, or it is not finite.
        `condensed`: ``step_length`` and ``multiplier_rms`` (root mean squares), ``rho_min``,
        ``rho_max`` (at the last step), ``growth`` (mean γ), ``shrinkage`` (mean, of the recurrent
        weights in a step by the growth guard). `block` and `admmirnn`: see
        `fastadmm.solvers.splitting.SplittingRecord`; there ``train_loss`` is the loss of the
        simulated network at the start of each step. With ``staleness``: ``age_mean`` and
        ``age_max``, lists with an entry per rank, of how many iterations old what it used was.
    compile_seconds, train_seconds : float
        Compiling or loading kernels; training itself, without validation.
    threads : int
    signal : int
        Number of the signal that ended training, 0 where none did.
    kkt : dict or None
        Conditions of optimality at the returned point, also of the simulated network, see
        `fastadmm.solvers.splitting.Splitting.kkt`; None for `condensed`.
    certificate : fastadmm.solvers.splitting.Certificate or None
        Of ``certify=True``.
    settings : dict
        What the run was asked for or has chosen, as JSON values: ``epochs``, ``batch_size``,
        ``steps``, ``loss``, ``readout``, ``ranks``, ``grid``, ``micro_batches``, ``staleness``, and
        all ``options`` of the solver.
    ranks : list of dict
        Of every rank ``host``, ``work_seconds`` and ``wait_seconds`` (training, and the part of it
        that it waited for others) and ``peak_bytes`` of memory since its process began.
    """

    status: str = "max_iter"
    history: list[dict[str, Any]] = field(default_factory=list)
    compile_seconds: float = 0.0
    train_seconds: float = 0.0
    threads: int = 1
    signal: int = 0
    kkt: dict[str, float] | None = None
    certificate: Certificate | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    ranks: list[dict[str, Any]] = field(default_factory=list)


def fit(
    net: RNN,
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: str | None = None,
    readout: str = "last",
    solver: str = "condensed",
    epochs: int = 10,
    batch_size: int | None = 64,
    steps: int | None = None,
    scale: str | None = "standard",
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    callbacks: Sequence[Callable[[dict[str, Any]], object]] = (),
    time_limit: float | None = None,
    verbose: int = 0,
    threads: int | None = None,
    seed: int | np.random.Generator = 0,
    comm: "MPI.Intracomm | None" = None,
    grid: tuple[int, int] | None = None,
    micro_batches: int | None = None,
    staleness: int = 0,
    **options: Any,
) -> Result:
    """Train a network; its weights become the averaged iterate of the run.

    Parameters
    ----------
    net : RNN
        Trained in place, from the weights it has. Those of a new network are taken to be for
        standardised data, see ``scale``; later ones for data as they are.
    X : array_like, (n_cases, n_timepoints, n_channels), or (n_cases, n_timepoints) token ids
    y : array_like
        ``readout="last"``: labels (n_cases,) or values (n_cases, C). ``"all"``: labels
        (n_cases, n_timepoints) or values (n_cases, n_timepoints, C).
    loss : {"softmax_cross_entropy", "squared"}, optional
        Chosen by the dtype of ``y`` where not given: labels are integers.
    readout : {"last", "all"}
        Targets for the output after the last time point only, or after every one.
    solver : {"condensed", "block", "admmirnn"}
    epochs : int
        Passes over the data.
    batch_size : int or None
        Most sequences in a mini-batch; None for all of them. Sizes differ by one at most: 65 cases
        make mini-batches of 33 and 32, not of 64 and 1. `block` and `admmirnn` go on from their
        states and multipliers where every mini-batch holds all of the data, so that an epoch is
        an iteration; otherwise each mini-batch starts from simulated states.
    steps : int, optional
        With ``readout="all"``: train on windows of at most so many time points, carrying the state
        from one to the next (long streams). None: whole sequences.
    scale : {"standard", None}
        Training sees every channel of the inputs between about -1 and 1, and targets of a
        regression with mean 0 in every output and variance 1; the units are folded into the
        weights, so that the network takes and predicts raw data (`fastadmm.units`). None: train on
        raw data.
    validation : (Xv, yv), optional
        Evaluated after every epoch.
    callbacks : sequence of callables
        Called with the record after every epoch, when the network has the weights that were scored;
        one that returns True ends training.
    time_limit : float, optional
        Seconds of training, checked after every mini-batch.
    verbose : int
        0 prints nothing; 1 shows progress on standard error.
    threads : int, optional
        Of this rank. Where not given, as many as an iteration has enough work for, up to
        OMP_NUM_THREADS or the rank's share of the available cores.
    seed : int or numpy.random.Generator
        Order of the mini-batches; the same on all ranks.
    comm : mpi4py.MPI.Comm, optional
        Train on the ranks of this communicator, each on its part of the time steps and sequences;
        the weights are those of one rank, up to the order of summation. Every rank passes the
        same arguments and the whole X and y, memory maps best: only its own part is read.
    grid : (int, int), optional
        Ranks along time and along the batch.
    micro_batches : int, optional
        Micro-batches of the pipeline over time ranks. Both are chosen by the cost model
        (`fastadmm.mpi.cost.choose`) where they are not given.
    staleness : int
        Ranks do not wait for each other within an epoch: the weights that a rank uses may lack the
        last ``staleness`` iterations, and where iterations go on from the states of the last one
        (all data in one mini-batch, or ``sweeps``), so may edges. 0 is exact. With more, results
        depend on timing, and are not repeated bitwise.
    **options
        Settings of the solver: `fastadmm.solvers.condensed.CondensedOptions`,
        `fastadmm.solvers.block.BlockOptions`, `fastadmm.solvers.admmirnn.AdmmirnnOptions`.

    Returns
    -------
    Result

    Raises
    ------
    ValueError, TypeError
        Before any work, naming the argument, what came and what is expected.

    Notes
    -----
    Alphabets of token ids: with `condensed` memory is a few times that of Θ, and a step takes as
    long as its mini-batch's tokens need, whatever their number D; once an epoch all D rows are
    averaged. `block` and `admmirnn` form D x D Grams: they are for characters, not for words. With
    ``readout="all"`` every output has C numbers, so that a mini-batch's outputs, which are held at
    once, may outgrow the memory where C is a vocabulary.

    Ctrl-C, SIGTERM and SIGUSR1 end training with status ``interrupted`` and keep the model so far;
    the two latter at the end of a mini-batch, and only where the program has no handler of its own
    (`fastadmm.signals`); while kernels compile, each of them before the next kernel, with an empty
    history. Where training diverges, the network gets the best finite iterate back.
    With the same seed, threads and machine, results are bitwise the same.
    """
    kind = SOLVERS[_one_of(solver, SOLVERS, "solver")]
    check_names(kind.Options, options, f"fit or of solver {solver!r}")
    options = kind.Options(**options)
    epochs = _positive(epochs, "epochs")
    held_out, callbacks = _pair(validation, "validation"), _callables(callbacks, "callbacks")
    if batch_size is not None:
        batch_size = _positive(batch_size, "batch_size")
    if time_limit is not None and not time_limit > 0:
        raise ValueError(f"time_limit is {time_limit!r}: expected a positive number of seconds")
    limit = check_threads(threads, None if comm is None else cores_per_rank(comm))
    X, y = _indexable(X, "X"), _indexable(y, "y")
    if X.ndim < 2 or 0 in X.shape[:2] or len(X) != len(y):
        make_problem(net, X, y, loss, readout)  # raises, naming what is wrong
    n_cases, n_timepoints = X.shape[:2]
    batch_size = min(batch_size or n_cases, n_cases)
    _one_of(scale, SCALES, "scale")
    plan = Plan(n_cases, n_timepoints, batch_size, _window(steps, n_timepoints, readout), epochs)
    staleness = _staleness(staleness, comm, plan, options)
    work = Work(
        n_cases, n_timepoints, plan.batch_size, plan.steps, net.inputs, net.hidden, net.outputs,
        every=readout == "all", tokens=X.ndim == 2, itemsize=net.dtype.itemsize,
    )  # fmt: skip
    domain = _domain(comm, grid, micro_batches, work, solver, staleness)
    threads = useful_threads(work, solver, domain.size, limit) if threads is None else limit
    share = Share(plan, domain)
    with alike(domain.comm, (ValueError, TypeError)):
        problem, X, y = make_problem(
            net, share.of(X), share.of(y, readout), loss, readout, share.empty
        )
        if held_out is not None:
            held_out = _own_cases(net, *held_out, problem, domain)
    net.task.update(loss=problem.loss, readout=readout)
    if scale == "standard":
        problem = replace(problem, units=Units.of(net, problem, X, y, share))
    run = _Run(net, problem, X, y, plan, share, held_out, threads, np.random.default_rng(seed))
    run.result.settings = {
        "epochs": epochs, "batch_size": batch_size, "steps": plan.steps,
        "loss": problem.loss, "readout": readout, "scale": scale, "ranks": domain.size,
        "grid": [domain.time_size, domain.batch_size], "micro_batches": domain.parts,
        "staleness": staleness, "options": asdict(options),
    }  # fmt: skip
    verbose = verbose if domain.is_root else 0
    with compute_threads(threads), make_reporter(verbose, plan, problem) as reporter:
        started = time.perf_counter()
        called_off = make_ready(domain, reporter, kind, options, net, problem, X, y, threads)
        run.result.compile_seconds = time.perf_counter() - started
        if called_off:
            run.result.status, run.result.signal = "interrupted", called_off
            return run.result
        with signals.stop_requests(keyboard=domain.size > 1):
            run.train(kind, options, time_limit, callbacks, reporter)
    run.result.ranks = domain.gather(usage(run.result.train_seconds, run.waited))
    return run.result


def _indexable(value, name):
    """An array; one on disk stays there until its own part is known."""
    return value if isinstance(value, OnDisk) else asarray(value, name)


def _staleness(value, comm, plan, options):
    """The bound on staleness, where it can have a meaning."""
    value = validation.positive_integer(value, "staleness", least=0)
    if value and comm is None:
        raise ValueError(f"staleness is {value}: it needs ranks, comm=")
    if value and plan.batches * getattr(options, "sweeps", 1) == 1:
        raise ValueError(
            f"staleness is {value}: ranks wait for each other at the end of an epoch, so it needs "
            "epochs of several iterations: mini-batches, or sweeps above 1"
        )
    if value and getattr(options, "certify", False):
        raise ValueError(f"staleness is {value}: certify needs 0, exact iterations")
    return value


def _domain(comm, grid, micro_batches, work, solver, staleness):
    """Who owns what: this process alone, or a grid of ranks."""
    if comm is None:
        return Serial()
    from fastadmm.mpi.asynchronous import AsynchronousGrid
    from fastadmm.mpi.grid import Grid, check_grid

    if micro_batches is not None:
        _positive(micro_batches, "micro_batches")
    if grid is not None:
        check_grid(comm.Get_size(), *grid)
    layout, _ = choose(comm.Get_size(), work, solver, grid=grid)
    parts = micro_batches or layout.micro_batches
    if staleness:
        return AsynchronousGrid(comm, layout.time, layout.batch, parts, staleness=staleness)
    return Grid(comm, layout.time, layout.batch, parts)


def _own_cases(net, X, y, problem, domain):
    """Own part of validation data, whose cases are cut over all ranks."""
    with validation.within("validation"):
        X, y = _indexable(X, "X"), _indexable(y, "y")
        if len(X) != len(y):
            raise ValueError(f"X has {len(X)} cases, y {len(y)}: expected as many")
        own = slice(*partition(len(X), domain.size, domain.rank))
        empty = own.start == own.stop
        return make_problem(net, X[own], y[own], problem.loss, problem.readout, empty)[1:]


_one_of, _positive = validation.one_of, validation.positive_integer
_pair, _callables = validation.pair, validation.callables


def _window(steps, n_timepoints, readout):
    if steps is None:
        return n_timepoints
    if readout != "all":
        raise ValueError("steps cuts sequences into windows: that needs readout='all'")
    return min(_positive(steps, "steps"), n_timepoints)


def _copies(weights):
    return tuple(block.copy() for block in weights)


class _Run:
    """One call of fit: the moving parts of the epoch loop.

    The solver moves weights of its own, for data in the problem's units; the network gets the
    averaged iterate, for raw data, after every epoch and at the end.
    """

    def __init__(self, net, problem, X, y, plan, share, validation, threads, rng):
        self.net, self.problem, self.X, self.y = net, problem, X, y
        self.plan, self.share, self.domain = plan, share, share.domain
        self.validation, self.threads, self.rng = validation, threads, rng
        self.result = Result(threads=threads)
        self.moving = copy.copy(net)
        self.moving.theta, self.moving.phi = _copies((net.theta, net.phi))
        if not net.is_new:
            problem.units.enter(self.moving)
        self.raw = replace(problem, units=Units.raw(net, problem.tokens))
        self.best_loss, self.best = math.inf, _copies((self.moving.theta, self.moving.phi))
        self.loss_of_zero = self.domain.largest(problem.loss_of_zero(y, net.outputs))
        self.limit, self.is_first_step, self.waited = None, True, 0.0
        self.status, self.last_iteration = None, math.inf

    def train(self, kind, options, time_limit, callbacks, reporter):
        """Run all epochs, or until there is a reason to stop."""
        plan = self.plan
        solver = kind(
            self.moving, self.problem, options, self.share.batch, self.share.steps,
            plan.epochs * plan.batches, self.threads, self.domain,
        )  # fmt: skip
        try:
            for epoch in range(1, plan.epochs + 1):
                self._epoch(solver, epoch, time_limit, reporter)
                if self.status is None and self._called_off(callbacks):
                    self.status = "interrupted"
                if self.status is not None:
                    self.result.status = self.status
                    break
        except KeyboardInterrupt:
            self.result.status, self.result.signal = "interrupted", int(signal.SIGINT)
        diverged = self.result.status == "diverged"
        if not diverged:
            solver.finish()
            self.result.kkt = solver.kkt()
        self.result.certificate = solver.certificate
        self._hand_over(self.best if diverged else solver.average)

    def _epoch(self, solver, epoch, time_limit, reporter):
        """One pass over the data; sets the status where training has to end."""
        records, carried, plan, domain = [], None, self.plan, self.domain
        judges_before = solver.judges_before and self.validation is None
        judged = _copies(solver.average) if judges_before else None
        before, started = self.result.train_seconds, time.perf_counter()
        waited = domain.waited
        for cases, window in plan.windows(self.rng):
            own, first, steps = self.share.cut(cases, window)
            initial = carried if window else None
            again = plan.batches == 1 and not self.is_first_step
            n_cases = count(cases)
            weight = plan.weight(n_cases, window, self.problem.readout)
            record = solver.step(self.X, self.y, own, first, steps, initial, again, weight)
            self.is_first_step = False
            if window + 1 < plan.n_windows:
                carried = domain.carry(solver.final_state(steps, len(own)))
            records.append(record)
            self.result.train_seconds = before + time.perf_counter() - started
            wishes = self._wishes(time_limit)
            domain.reduce((wishes,), partial(self._judge, record, wishes, reporter, n_cases))
            domain.end_iteration()
            if domain.iteration >= self.last_iteration:
                break
        domain.drain()
        self.waited += domain.waited - waited
        self.result.train_seconds = before + time.perf_counter() - started
        self._record(solver, epoch, self.result.train_seconds - before, records, judged)
        reporter.epoch(self.result.history[-1])

    def _wishes(self, time_limit):
        """What this process wants: to stop for want of time, and for which signal."""
        wishes, requested = np.zeros(1 + len(SIGNALS)), signals.requested()
        wishes[0] = time_limit is not None and self.result.train_seconds > time_limit
        if requested:
            wishes[1 + SIGNALS.index(requested)] = 1
        return wishes

    def _judge(self, record, wishes, reporter, n_cases, due):
        """Decide about the end, from the record of a step and the wishes of all processes."""
        if self.status is None:
            late, *wanted = wishes.tolist()
            if not record.finite or self._has_exploded(record):
                self.status = "diverged"
            elif record.solved:
                self.status = "solved"
            elif any(wanted):
                self.status = "interrupted"
                self.result.signal = next(int(n) for n, w in zip(SIGNALS, wanted, strict=True) if w)
            elif late:
                self.status = "time_limit"
            if self.status is not None:
                self.last_iteration = due
        reporter.batch(self._mean_loss([record]), n_cases)

    def _called_off(self, callbacks):
        """Whether a callback, called with the last record, wants training to end."""
        return self.domain.any(any([c(self.result.history[-1]) for c in callbacks]))

    def _has_exploded(self, record):
        """Whether the loss is far above that of the first batch and of zero outputs."""
        loss = record.loss / record.terms
        if self.limit is None:
            self.limit = EXPLODED * max(loss, self.loss_of_zero)
        return loss > self.limit

    def _mean_loss(self, records):
        total, terms = sum(r.loss for r in records), sum(r.terms for r in records)
        return float(self.problem.reported(total, terms, self.net.outputs))

    def _record(self, solver, epoch, seconds, records, judged):
        """Append the epoch to the history, and keep the iterate if it is the best so far.

        ``judged`` are the weights that the loss is of, where these are not the averaged iterate.
        """
        self._hand_over(solver.average)
        loss, accuracy = None, None
        if self.validation is not None:
            sums = score(self.net, self.raw, *self.validation, self.threads)
            self.domain.sum(sums)
            loss, accuracy = self.raw.scores(sums, self.net.outputs)
        train_loss = self._mean_loss(records)
        measured = {
            "train_loss": train_loss,
            "validation_loss": loss,
            "validation_accuracy": accuracy,
            **records[-1].describe(records),
            **self._ages(),
        }
        start = {"epoch": epoch, "seconds": seconds, "batches": len(records)}
        self.result.history.append(start | {k: finite_or_none(v) for k, v in measured.items()})
        merit = train_loss if loss is None else loss
        if merit < self.best_loss:
            self.best_loss = merit
            self.best = judged or _copies(solver.average)

    def _hand_over(self, weights):
        """Give the network weights of the solver's, for raw data."""
        self.problem.units.leave(*weights, self.net)

    def _ages(self):
        """Entries of the history of a run whose ranks may lag behind."""
        if not self.domain.staleness:
            return {}
        mean, largest = self.domain.ages().T
        return {"age_mean": mean.tolist(), "age_max": largest.astype(int).tolist()}
