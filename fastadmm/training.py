"""fit: epochs of mini-batches, the history, and the reasons to stop."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastadmm import constraints as constraining
from fastadmm import given, signals, streams, weighting
from fastadmm.agreement import agree
from fastadmm.batches import Plan, Share
from fastadmm.constraints import Constraint
from fastadmm.files import StrPath
from fastadmm.mpi import launch
from fastadmm.mpi.cost import Work, choose, useful_threads
from fastadmm.mpi.launch import alike, cores_per_rank
from fastadmm.mpi.serial import Serial
from fastadmm.network import RNN
from fastadmm.options import check_names
from fastadmm.problem import READOUTS, make_problem
from fastadmm.progress import make_reporter
from fastadmm.report import usage
from fastadmm.run import Run
from fastadmm.saving import asked_for
from fastadmm.solvers import SOLVERS
from fastadmm.solvers.base import check_trains
from fastadmm.solvers.certificate import Certificate
from fastadmm.threads import check_threads, compute_threads
from fastadmm.units import SCALES, Units
from fastadmm.validation import (
    callables,
    flag,
    one_of,
    positive_integer,
    seconds,
    short,
)
from fastadmm.warmup import make_ready

if TYPE_CHECKING:
    from mpi4py import MPI


@dataclass
class Result:
    """What `fit` returns.

    Attributes
    ----------
    status : {"solved", "stopped", "max_iter", "time_limit", "interrupted", "diverged"}
        Why training ended: all residuals below the tolerances (not `condensed`); no better for
        ``early_stopping`` epochs; all epochs done; out of time; Ctrl-C, SIGTERM, SIGUSR1 or a
        callback; loss not finite or exploding.
    advice : str
        What may help where training has diverged, else empty.
    history : list of dict
        One record an epoch: ``epoch`` (from 1), ``seconds`` (its own training time), ``batches``,
        ``train_loss`` (mean over the epoch, of the moving iterate), ``validation_loss``,
        ``validation_accuracy`` (of the weights that are returned; None without validation data or
        labels), and what the solver measures. None where there is none, or it is not finite.
        `condensed`: ``step_length`` and ``multiplier_rms`` (root mean squares), ``rho_min``,
        ``rho_max`` (at the last step), ``growth`` (mean γ), ``shrinkage`` (mean, of the recurrent
        weights in a step by the growth guard), ``eta`` (bound of the last step). `block` and
        `admmirnn`: see `fastadmm.solvers.record.SplittingRecord`; there ``train_loss`` is the loss
        of the simulated network at the start of each step. Where `condensed` cuts long sequences
        into chunks: ``edge_residual`` (the largest), ``overlap`` (of the last step, in time steps,
        for states and for multipliers) and ``repeated`` (steps done over). With ``staleness``:
        ``age_mean`` and ``age_max``, lists with an entry per rank, of how many iterations old what
        it used was.
    compile_seconds, train_seconds : float
        Compiling or loading kernels; training itself, without validation.
    threads : int
    best_epoch : int
        Epoch of the lowest held-out loss, or training loss where nothing is held out; 0 for none.
    signal : int
        Number of the signal that ended training, 0 where none did.
    kkt : dict or None
        Conditions of optimality at the returned point, also of the simulated network, see
        `fastadmm.solvers.conditions.Conditions.kkt`; None for `condensed`.
    convergence : dict
        ``lagrangian_rise``, ``gradient_relative``, ``path_used``, ``path_allowed`` and ``growth``,
        see docs/theory.md; None where a solver has no such number.
    certificate : fastadmm.solvers.certificate.Certificate or None
        Of ``certify=True``.
    settings : dict
        What the run was asked for or has chosen, as JSON values: ``epochs``, ``batch_size``,
        ``steps``, ``loss``, ``readout``, ``ranks``, ``grid``, ``micro_batches``, ``staleness``, and
        all ``options`` of the solver.
    ranks : list of dict
        Of every rank ``host``, ``work_seconds`` and ``wait_seconds`` (training, and the part of it
        that it waited for others) and ``peak_bytes`` of memory since its process began.
    state : dict
        What the solver would go on from, for ``warm_start``; complete on the root.
    """

    status: str = "max_iter"
    advice: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)
    compile_seconds: float = 0.0
    train_seconds: float = 0.0
    threads: int = 1
    best_epoch: int = 0
    signal: int = 0
    kkt: dict[str, float] | None = None
    convergence: dict[str, float | None] = field(default_factory=dict)
    certificate: Certificate | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    ranks: list[dict[str, Any]] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)


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
    warmup: int = 0,
    lengths: ArrayLike | None = None,
    group_by_length: bool = False,
    initial: ArrayLike | None = None,
    washout: int = 0,
    sample_weight: ArrayLike | None = None,
    class_weight: str | Mapping[int, float] | None = None,
    scale: str | None = "standard",
    constraints: Mapping[str, Constraint] | None = None,
    validation: tuple[ArrayLike, ArrayLike] | float | None = None,
    early_stopping: int | None = None,
    callbacks: Sequence[Callable[[dict[str, Any]], object]] = (),
    time_limit: float | None = None,
    verbose: int = 0,
    threads: int | None = None,
    seed: int | np.random.Generator = 0,
    comm: "MPI.Intracomm | None" = None,
    by_rank: bool = False,
    grid: tuple[int, int] | None = None,
    micro_batches: int | None = None,
    staleness: int = 0,
    checkpoint: StrPath | None = None,
    checkpoint_every: int | str | None = None,
    resume: StrPath | None = None,
    warm_start: Mapping[str, Any] | None = None,
    **options: Any,
) -> Result:
    """Train a network; its weights become the averaged iterate of the run.

    Parameters
    ----------
    net : RNN
        Trained in place, from the weights it has. Those of a new network are taken to be for
        standardised data, see ``scale``; later ones for data as they are.
    X : array_like, (n_cases, n_timepoints, n_channels), or (n_cases, n_timepoints) token ids
        Or a list of sequences of unequal length, (n_timepoints_i, n_channels).
    y : array_like
        ``readout="last"``: labels (n_cases,) or values (n_cases, C). ``"all"``: labels
        (n_cases, n_timepoints) or values (n_cases, n_timepoints, C), or a list of them.
    loss : {"softmax_cross_entropy", "squared"}, optional
        Chosen by the dtype of ``y`` where not given: labels are integers.
    readout : {"last", "all", "mean", "max"}
        Targets for the output after the last time point of every sequence, or after every one.
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
    warmup : int
        With ``steps``: windows are cases of their own, drawn at random, so that one stream fills a
        mini-batch. Each begins so many time points before its own ones, on which nothing is to be
        said, with states from there; its multipliers go back over them, too. The first time points
        of a stream are in no window.
    lengths : array_like of int, (n_cases,), optional
        Numbers of time points of the sequences in X, where they are unequal: what is beyond them is
        padding, and counts nowhere.
    group_by_length : bool
        Mini-batches hold sequences of similar length, so that little of them is padding.
    initial : array_like, (n_cases, H), optional
        States before the first time point, as ``net.carry`` returns them (of an LSTM with its
        memories); by default the network's own, zero or learned. Not moved.
    washout : int
        Time points at the beginning of every sequence whose outputs count nothing, with
        ``readout="all"``: what the network says before it has forgotten a wrong start.
    sample_weight : array_like, (n_cases,), optional
        Weights of the cases in the loss, relative to each other.
    class_weight : {None, "balanced"} or dict
        Weights of the labels: by label, where not given 1, or inverse to how often they occur.
    scale : {"standard", None}
        Training sees every channel of the inputs between about -1 and 1, and targets of a
        regression with mean 0 in every output and variance 1; the units are folded into the
        weights, so that the network takes and predicts raw data (`fastadmm.units`). None: train on
        raw data.
    validation : (Xv, yv) or float, optional
        Evaluated after every epoch, without weights. Sequences of unequal length are lists. A
        fraction of the cases is taken out of X and y: spread evenly over the labels where there is
        one a case, and the same in every run.
    early_stopping : int, optional
        End training where so many epochs have brought no lower held-out loss (training loss where
        nothing is held out); the network gets the weights of the best epoch back, in any case.
    callbacks : sequence of callables
        Called with the record after every epoch, when the network has the weights that were scored;
        one that returns True ends training.
    time_limit : float, optional
        Seconds on the clock from the first mini-batch on, with validation and callbacks, checked
        after every mini-batch. The validation of the last epoch comes on top.
    verbose : int
        0 prints nothing; 1 shows progress on standard error.
    threads : int, optional
        Of this rank. Where not given, as many as an iteration has enough work for, up to
        OMP_NUM_THREADS or the rank's share of the available cores.
    seed : int or numpy.random.Generator
        Order of the mini-batches; the same on all ranks.
    comm : mpi4py.MPI.Comm, optional
        Train on the ranks of this communicator, each on its part of the time steps and sequences;
        the weights are those of one rank, up to the order of summation, of long sequences that are
        cut into chunks up to ``edge_tol`` (`fastadmm.solvers.overlap`). Every rank passes the
        same arguments and the whole X and y, memory maps best: only its own part is read. Ranks
        compare what they were asked for (of large arrays some cases), and raise where it differs.
    by_rank : bool
        Every rank passes cases of its own instead: X, y, lengths, initial, sample_weight and
        (Xv, yv), any number of cases, or none. In the order of ranks they are the data, and the
        weights are those of one rank that has all of it; a rank sends others what their part lacks.
    grid : (int, int), optional
        Ranks along time and along the batch.
    micro_batches : int, optional
        Micro-batches of the pipeline over time ranks. Both are chosen by the cost model
        (`fastadmm.mpi.cost.choose`) where they are not given.
    constraints : dict, optional
        What weights may be, by block, as in ``{"recurrent": Dale(0.8) & Mask(0.1)}``, see
        `fastadmm.constraints`: exact at every step, and in the weights that are returned. A new
        network starts with weights that fit. Not with `admmirnn`.
    staleness : int
        Ranks do not wait for each other within an epoch: the weights that a rank uses may lack the
        last ``staleness`` iterations, and where iterations go on from the states of the last one
        (all data in one mini-batch, or ``sweeps``), so may edges. 0 is exact. With more, results
        depend on timing, and are not repeated bitwise.
    checkpoint : path, optional
        File to write what a run needs to go on: now and then, where it is ended by a signal, a
        callback or the time limit, and at its end. A failure to write is a warning, and the file
        of before stays. Ctrl-C then ends training after a mini-batch, too.
    checkpoint_every : int or str, optional
        Epochs between two of them, or seconds of training, ``"60s"`` by default.
    resume : path or "auto", optional
        Go on from a checkpoint, with the same data, solver and settings; on the same ranks and
        threads bitwise as if it had not ended (but for ``staleness``), on others up to rounding.
        ``"auto"``: from ``checkpoint`` where there is one. ``epochs`` may be more than before: step
        lengths then follow the schedule of the longer run from here on.
    warm_start : dict, optional
        ``Result.state`` of a run of the same solver on the same network and data: go on from its
        moving weights and all that the solver remembers, with step lengths of a new run.
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
    asked = Asked(**locals())
    if comm is not None:
        launch.check(comm)
        agree(comm, {**vars(asked), **options})
    _check(asked)
    saving, saved = asked_for(checkpoint, checkpoint_every, resume, comm)
    whole, held_out = given.data(asked)
    if net.needs_whole(readout):
        asked.steps, asked.grid = _only_whole(asked, whole.X)
    plan = _plan(asked, whole)
    work = Work(
        plan.n_cases, plan.n_timepoints, plan.batch_size, plan.steps,
        net.inputs, net.hidden, net.outputs, every=readout == "all",
        tokens=whole.X.ndim == 2, itemsize=net.dtype.itemsize, cell=net.kind.sizes(),
        layers=net.layers, directions=net.directions,
    )  # fmt: skip
    counts = asked.kind.counts(work, asked.settings)
    asked.staleness = _staleness(staleness, comm, plan, asked.settings)
    limit = check_threads(threads, None if comm is None else cores_per_rank(comm))
    with closing(_domain(asked, work, counts)) as domain:
        asked.threads = (
            useful_threads(work, counts, domain.size, limit) if threads is None else limit
        )
        run = _cut(asked, whole, held_out, plan, domain, saving)
        if saved is not None:
            run.resume(saved)
        _compile_and_train(run, asked)
    return run.result


class Asked(SimpleNamespace):
    """The arguments of `fit` by name; `_check` leaves them as the run takes them.

    It adds ``kind``, the solver's class, ``settings``, its options, and ``rng``, of the seed.
    """


def _check(asked):
    """Refuse what no run can have, before the data are looked at."""
    net, solver, readout = asked.net, asked.solver, asked.readout
    asked.kind, asked.settings = _solver(solver, asked.options)
    _check_continues(asked.warm_start, solver, net)
    facts = {"readout": readout, "washout": asked.washout, "warmup": asked.warmup}
    facts["initial"] = net.initial if asked.initial is None else "given"
    check_trains(solver, asked.kind, net.facts | facts)
    if asked.constraints and not asked.kind.takes_constraints:
        raise ValueError(f"constraints are given: solver {solver!r} takes none")
    asked.group_by_length = flag(asked.group_by_length, "group_by_length")
    asked.washout = positive_integer(asked.washout, "washout", least=0)
    if asked.washout and readout != "all":
        raise ValueError(f"washout is {asked.washout}: expected 0, readout is {readout!r}")
    asked.warmup = positive_integer(asked.warmup, "warmup", least=0)
    begins = None if asked.initial is None and net.initial == "zero" else "initial"
    others = {"lengths": asked.lengths, "washout": asked.washout or None, "initial": begins}
    streams.check(asked.warmup, asked.steps, others)
    asked.epochs = positive_integer(asked.epochs, "epochs")
    asked.callbacks = callables(asked.callbacks, "callbacks")
    if asked.early_stopping is not None:
        asked.early_stopping = positive_integer(asked.early_stopping, "early_stopping")
    asked.time_limit = seconds(asked.time_limit, "time_limit")
    verbose = int(asked.verbose) if isinstance(asked.verbose, bool) else asked.verbose
    asked.verbose = positive_integer(verbose, "verbose", 0)
    asked.rng = _generator(asked.seed)
    one_of(readout, READOUTS, "readout")
    one_of(asked.scale, SCALES, "scale")
    asked.by_rank = flag(asked.by_rank, "by_rank") and asked.comm is not None


def _cut(asked, whole, held_out, plan, domain, saving):
    """The run on own part of the data."""
    net, readout, share = asked.net, asked.readout, Share(plan, domain)
    with alike(domain.comm, (ValueError, TypeError)):
        problem, data = make_problem(
            net, share.of(whole.X), share.of(whole.y, readout), asked.loss, readout, share.empty,
            None if whole.lengths is None else whole.lengths[share.cases],
        )  # fmt: skip
        held = constraining.check(asked.constraints, net, problem.tokens)
        if held_out is not None:
            held_out = given.own_cases(net, held_out, problem, domain)
        problem = replace(problem, washout=asked.washout)
    weights = weighting.loss_weights(
        whole.weights, asked.class_weight, net, problem, data, share, asked.washout or asked.warmup
    )
    started = None if whole.initial is None else whole.initial[share.cases]
    data = replace(data, weights=weights, initial=started)
    net.task.update(loss=problem.loss.name, readout=readout)
    if asked.scale == "standard":
        problem = replace(problem, units=Units.of(net, problem, data, share))
    problem = replace(problem, constraints=held)
    result = Result(threads=asked.threads)
    result.settings = {
        "epochs": asked.epochs, "batch_size": plan.max_batch, "steps": plan.steps - asked.warmup,
        "warmup": asked.warmup, "loss": problem.loss.name, "readout": readout,
        "washout": asked.washout, "scale": asked.scale, "ranks": domain.size,
        "grid": [domain.time_size, domain.batch_size], "micro_batches": domain.parts,
        "staleness": asked.staleness, "early_stopping": asked.early_stopping,
        "constraints": {block: repr(each) for block, each in held.items()},
        "options": asdict(asked.settings),
    }  # fmt: skip
    saving.asked = {
        "solver": asked.solver, "network": net.facts, "cases": plan.n_cases,
        "time points": plan.n_timepoints,
        **{name: result.settings[name] for name in ALIKE},
    }  # fmt: skip
    return Run(
        net, problem, data, plan, share, held_out, asked.threads, asked.rng, result, saving,
        asked.early_stopping,
    )  # fmt: skip


def _compile_and_train(run, asked):
    """Compile what the run calls, and train; a signal may call it off in between."""
    domain, result, threads = run.domain, run.result, run.threads
    verbose = asked.verbose if domain.is_root else 0
    with compute_threads(threads), make_reporter(verbose, run.plan, run.problem) as reporter:
        started = time.perf_counter()
        arguments = (
            asked.kind, asked.settings, run.net, run.problem, run.data, threads,
            (run.share.batch, run.share.steps),
        )  # fmt: skip
        called_off = make_ready(domain, reporter, *arguments)
        result.compile_seconds = time.perf_counter() - started
        if called_off:
            result.status, result.signal = "interrupted", called_off
            return
        with signals.stop_requests(keyboard=domain.size > 1 or run.saving.path is not None):
            run.train(
                asked.kind, asked.settings, asked.time_limit, asked.callbacks, reporter,
                asked.warm_start,
            )  # fmt: skip
    result.ranks = domain.gather(usage(result.train_seconds, run.waited))


ALIKE = (
    "batch_size", "steps", "warmup", "loss", "readout", "washout", "scale", "constraints",
    "options",
)  # fmt: skip
"""Settings of a run that it goes on with unchanged; the others may change."""


def _solver(name, options):
    """A solver's class, and its settings."""
    kind = SOLVERS[one_of(name, SOLVERS, "solver")]
    check_names(kind.Options, options, f"fit or of solver {name!r}")
    return kind, kind.Options(**options)


def _check_continues(state, solver, net):
    """Refuse for ``warm_start`` what no run of this solver on such a network has left."""
    if state is None:
        return
    if not isinstance(state, Mapping):
        raise TypeError(
            f"warm_start is {short(state)}: expected Result.state of a run of this solver"
        )
    for name, own in {"solver": solver, "network": net.facts}.items():
        if name not in state:
            raise ValueError(f"warm_start has no {name!r}: expected Result.state")
        if state[name] != own:
            raise ValueError(f"warm_start has {name} {state[name]}: expected {own}")


def _generator(seed):
    """The generator of the order of mini-batches."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"seed is {short(seed)}: expected an integer, at least 0, or a numpy Generator"
        ) from error


def _only_whole(asked, X):
    """Refuse what cuts sequences in time, and tokens backward; ``steps`` and ``grid`` otherwise."""
    net, readout, steps, grid, comm = (
        asked.net, asked.readout, asked.steps, asked.grid, asked.comm
    )  # fmt: skip
    why = "bidirectional is True" if net.bidirectional else f"readout is {readout!r}"
    if steps is not None:
        raise ValueError(
            f"steps is {short(steps)}: expected None, {why}, which needs whole sequences"
        )
    if grid is not None and grid[0] != 1:
        raise ValueError(
            f"grid is {grid}: expected one rank along time, {why}, which needs whole sequences"
        )
    if net.bidirectional and X.ndim == 2:
        raise ValueError(
            "bidirectional is True: token ids train forward in time alone; expected channels "
            "(one-hot rows for a small alphabet)"
        )
    return None, grid if comm is None else (1, comm.Get_size())


def _plan(asked, whole):
    """Sizes of the run."""
    (n_cases, n_timepoints), size = whole.X.shape[:2], asked.batch_size
    if asked.group_by_length and whole.lengths is None:
        raise ValueError("group_by_length is True: it needs sequences of unequal length")
    largest = n_cases if size is None else positive_integer(size, "batch_size")
    steps = given.window(asked.steps, n_timepoints, asked.readout)
    return Plan(
        n_cases, n_timepoints, min(largest, n_cases), steps, asked.epochs, whole.lengths,
        asked.group_by_length,
    )  # fmt: skip


def _staleness(value, comm, plan, options):
    """The bound on staleness, where it can have a meaning."""
    value = positive_integer(value, "staleness", least=0)
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


def _domain(asked, work, counts):
    """Who owns what: this process alone, or a grid of ranks."""
    comm, grid, micro_batches = asked.comm, asked.grid, asked.micro_batches
    if comm is None:
        return Serial()
    from fastadmm.mpi.asynchronous import AsynchronousGrid
    from fastadmm.mpi.grid import Grid, check_grid

    if micro_batches is not None:
        positive_integer(micro_batches, "micro_batches")
    if grid is not None:
        check_grid(comm.Get_size(), *grid)
    layout, _ = choose(comm.Get_size(), work, counts, grid=grid)
    parts = micro_batches or layout.micro_batches
    if asked.staleness:
        return AsynchronousGrid(comm, layout.time, layout.batch, parts, staleness=asked.staleness)
    return Grid(comm, layout.time, layout.batch, parts)
