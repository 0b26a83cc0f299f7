"""ADMM with the states eliminated: simulate, pull the multipliers back, solve for the weights.

Per mini-batch the states are simulated, so every constraint of the unfolded network holds exactly;
the multipliers follow from one linear recurrence backward in time, and make the augmented
Lagrangian stationary in outputs, states and pre-activations where it does not expand (elsewhere the
safeguard bounds them); and each weight block takes the proximal step of its linear system with a
penalty per unit. This is the limit of ADMM in which states and multipliers are solved exactly, and
equals a Gram-preconditioned step of back-propagation with a bound on every unit. The name is
optimal control's word for eliminating the states of a constrained trajectory.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Annotated, Any

import numpy as np

from fastadmm.batches import Batch
from fastadmm.kernels.recurrent import maps, recurrence
from fastadmm.mpi.cost import ELEMENTWISE, Counts
from fastadmm.mpi.partition import bounds
from fastadmm.options import COUNTING, FRACTION, POSITIVE, UNIT_INTERVAL, Range, check
from fastadmm.solvers.backward import Buffers, until
from fastadmm.solvers.base import Solver
from fastadmm.solvers.held import Bound, Held
from fastadmm.solvers.overlap import Overlap
from fastadmm.solvers.step_length import EXPANDING, MEASURE_EVERY, StepLength, divergence
from fastadmm.solvers.tokens import NO_TOKENS, TokenBlock
from fastadmm.unfolded import SERIAL, Unfolded, pipeline

AUTO = "auto"
POSITIVE_OR_AUTO = Range(
    "a positive number or 'auto'",
    lambda value: value == AUTO if isinstance(value, str) else value > 0,
)


@dataclass(frozen=True)
class CondensedOptions:
    """Settings of `Condensed`; the defaults need no tuning per task.

    Attributes
    ----------
    eta : float or "auto"
        Bound on the rms change of a unit's pre-activation in one step, at the start, measured in
        the damped and averaged Gram; it falls linearly to zero over the run. ``"auto"`` finds it in
        the course of the run, see `fastadmm.solvers.step_length`.
    damping : float
        Ridge on the Gram, as a multiple of its mean diagonal.
    token_damping : float
        Ridge on the frequencies of tokens, as a multiple of the mean frequency of the tokens of a
        mini-batch; without meaning for dense inputs.
    gram_memory : float
        Weight of the past in the averaged Gram, per step.
    gram_every : int
        Of so many mini-batches one enters the averaged Gram (and each of the first nine), see
        `is_due`; the Gram is worth its cost in every mini-batch only where mini-batches differ a
        lot.
    momentum : float
        Weight of the past in the averaged multiplier sums.
    penalty_memory : float
        Weight of the past in the mean squares that set the penalties.
    refactor_every : int
        Of so many steps one factors the Gram anew (and each of the first nine).
    average : float
        Weight of the past in the averaged iterate, which is what training returns.
    safeguard : bool
        Keep the multiplier recurrence from expanding.
    guard : float
        Largest relative shrinkage of the recurrent weights in one step while multipliers explode,
        at the start; it falls linearly to zero over the first half of the run, so that the step
        length, which falls to the end, can make up for it. 0 switches the growth guard off.
    overlap : bool
        A few long sequences are cut into chunks of time, which overlap and are gone over all at
        once, where states and multipliers forget, see `fastadmm.solvers.overlap`. False: results
        are exact up to rounding.
    edge_tol : float, optional
        Largest difference, relative to their size, between states (and multipliers) that a chunk
        begins with and those of its neighbour; 1e-4 by default, with float64 1e-8. A step in which
        it is more is repeated.
    """

    eta: Annotated[float | str, POSITIVE_OR_AUTO] = AUTO
    damping: Annotated[float, POSITIVE] = 0.2
    token_damping: Annotated[float, POSITIVE] = 0.1
    gram_memory: Annotated[float, FRACTION] = 0.95
    gram_every: Annotated[int, COUNTING] = 5
    momentum: Annotated[float, FRACTION] = 0.9
    penalty_memory: Annotated[float, FRACTION] = 0.99
    refactor_every: Annotated[int, COUNTING] = 5
    average: Annotated[float, FRACTION] = 0.98
    safeguard: bool = True
    guard: Annotated[float, UNIT_INTERVAL] = 0.04
    overlap: bool = True
    edge_tol: Annotated[float | None, POSITIVE] = None

    def __post_init__(self):
        check(self)


@dataclass
class StepRecord:
    """What one step measured.

    Attributes
    ----------
    loss : float
        Sum of the losses over the batch, as the kernels define them.
    terms : int
        Number of loss terms.
    rows : int
        Time steps of all sequences.
    scale : float
        Factor on the gradient of the loss.
    step_length : float
        Root mean square change of the hidden units' pre-activations.
    multiplier_square : float
        Mean square of the multipliers, of the sum of losses rather than their mean.
    rho_min, rho_max : float
        Extreme penalties over the hidden units.
    growth : float
        γ, mean logarithm of the multipliers' growth over one step back in time.
    shrinkage : float
        Of the recurrent weights by the growth guard, relative; not part of the step length.
    eta : float
        Bound on the step length.
    edge_residual : float
        Largest difference of edges between chunks that overlap; 0 where none do.
    overlap : tuple of int
        Steps by which chunks overlap, for states and for multipliers; 0 where sequences are whole.
    repeated : int
        How often the step was done over, since edges differed.
    """

    loss: float
    terms: int
    rows: int
    scale: float = math.nan
    step_length: float = math.nan
    multiplier_square: float = math.nan
    rho_min: float = math.nan
    rho_max: float = math.nan
    growth: float = math.nan
    shrinkage: float = math.nan
    eta: float = math.nan
    edge_residual: float = 0.0
    overlap: Sequence[int] = (0, 0)
    repeated: int = 0

    @property
    def finite(self):
        """False where training has diverged."""
        return math.isfinite(self.loss) and math.isfinite(self.step_length)

    @property
    def solved(self):
        """False: a stochastic step has no stopping rule of its own."""
        return False

    @staticmethod
    def describe(records):
        """Entries of the history for an epoch."""
        last, cut = records[-1], {}
        if any(r.overlap[0] or r.repeated for r in records):
            cut = {
                "edge_residual": max(r.edge_residual for r in records),
                "overlap": list(last.overlap),
                "repeated": sum(r.repeated for r in records),
            }
        return {
            "step_length": np.sqrt(np.mean([r.step_length**2 for r in records])),
            "multiplier_rms": np.sqrt(np.mean([r.multiplier_square for r in records])),
            "rho_min": last.rho_min,
            "rho_max": last.rho_max,
            "growth": np.mean([r.growth for r in records]),
            "shrinkage": np.mean([r.shrinkage for r in records]),
            "eta": last.eta,
            **cut,
        }


SHORTEST = 256
"""Own steps of a window from which on it may be worth while to cut it into chunks."""


def is_due(k, every):
    """Whether step k, from 1, is one of the first nine, or the one of its ``every`` steps.

    Which one of them changes from group to group, evenly (multiples of the golden ratio), so that
    it does not always meet the same mini-batch of an epoch.
    """
    return k < 10 or k % every == int(every * (k // every * GOLDEN % 1))


GOLDEN = (math.sqrt(5) - 1) / 2
LAG = 8
"""The averaged iterate forgets its first steps as a polynomial of this degree (Shamir and Zhang,
2013, section 4), so that it is not stale where training ends early."""


def seen(unfolded, window, batch, backwards):
    """What the first cell and the read-out have seen in a window; of unequal lengths cleared."""
    delta, lambda_ = backwards[-1].delta, backwards[0].lambda_
    rows, places = window.outputs(batch, len(delta))
    cuts = (
        window.row_bounds
        if len(rows) == window.row_bounds[-1]
        else bounds(len(rows), window.threads)
    )
    if batch.is_ragged:
        window.clear(batch)
    return maps.Seen(
        unfolded.maps_of(0).stop, window.rows(0, batch.steps),
        lambda_.reshape(-1, lambda_.shape[2]), window.row_bounds,
        rows, delta.reshape(-1, delta.shape[2])[places], cuts,
    )  # fmt: skip


class Condensed(Solver):
    """Solver state over a run; parameters as of `fastadmm.solvers.base.Solver`.

    The step length falls to zero over the run. For tokens the network's weights of the cell stay,
    and `weights` has the moving ones.

    Attributes
    ----------
    maps : fastadmm.kernels.recurrent.maps.Maps
        Of the cell (of tokens without their columns) and Φ, with all that their steps remember.
    tokens : TokenBlock or None
        The tokens' columns.
    held : Held or None
        What keeps weights within their limits.
    overlap : Overlap or None
        What cuts long sequences into chunks; None where none will be cut.
    """

    Options = CondensedOptions
    ADVICE = "a smaller eta, more damping, or a smaller gain of the initial weights"
    takes_constraints = True
    Record = StepRecord

    @staticmethod
    def counts(work, options):
        h, c, q, cell, cells = (
            work.hidden, work.outputs, work.states + 1, work.cell, len(work.drives)
        )  # fmt: skip
        measured = 1 / MEASURE_EVERY if options.eta == AUTO else 0
        gram, factor = 1 / options.gram_every, 1 / options.refactor_every
        squares = sum((drive + h + 1) ** 2 for drive in work.drives)
        entries = min(work.inputs, work.batch * work.steps) if work.tokens else 0
        driven = h * sum(units for units, reads, _ in cell.maps if reads) if work.tokens else 0
        weights = sum(units * columns for units, columns, *_ in work.maps)
        systems = {(columns, number) for _, columns, _, number in work.maps}
        solves = sum(units * columns**2 for units, columns, *_ in work.maps) + c * q**2
        held = 2 * (squares + sum(n * n for n, _ in systems)) + 4 * q**2
        grams = (squares + sum(drive + h + 1 for drive in work.drives) + q * (q + 1)) / 2
        pulled = sum(units * reads for units, _, reads, _ in work.maps)
        pulled += sum(
            units * h * work.drives[i] for i in range(work.directions, cells)
            for units, reads, _ in cell.maps if reads
        )  # fmt: skip
        return Counts(
            sweep=2 * weights * (1 + measured) + 2 * pulled + ELEMENTWISE * cell.gates * h * cells,
            rows=2 * weights + squares * gram,
            sweep_output=4 * c * q + ELEMENTWISE * c,
            rows_output=2 * c * q + q**2 * gram,
            weights=(sum(n**3 for n, _ in systems) + q**3) * factor
            + 2 * (1 + factor) * solves + 10 * entries * driven,
            reduced=weights + c * q + entries * (driven + 1) + grams * gram,
            kept=(cell.gates + cell.kept) * h * cells + driven,  # the latter: sums by token
            held=held + 7 * (weights + c * q) + 3 * work.inputs * driven,
            pipelined=True,
            overlaps=options.overlap and work.every and work.directions == 1,
        )  # fmt: skip

    def __init__(self, net, problem, options, batch, steps, total, threads, domain=None):
        super().__init__(net, problem, options, batch, steps, total, threads, domain)
        self.k, self.measured, self._averaged, self._begun = 0, 0, 0, 0
        self._is_auto = options.eta == AUTO
        self._follows = self._is_auto and self.domain.staleness == 0  # else the window has gone
        self.step_length = StepLength() if self._is_auto else StepLength(options.eta)
        real, rows, cuts = net.dtype, batch, self._may_cut(steps, batch)
        if cuts:
            rows = recurrence.SEQUENCES * threads
            steps += -(-2 * rows // max(batch, 1))  # of chunks all are as long as the longest
        unfolded = Unfolded(
            net, problem.tokens, steps, batch, threads, problem.units, keeps=True,
            readout=problem.readout,
        )  # fmt: skip
        unfolded.take(net.weights)
        self.overlap: Any = None
        if cuts:
            self.overlap = Overlap(unfolded, self.domain, options.edge_tol)
        self._last: Any = None
        self.unfolded, self._views = unfolded, {}
        self._path, self._growth = np.zeros(2), math.nan
        self.maps, self._parts = maps.make_maps(
            unfolded.dense(net.weights), unfolded.affine, unfolded.widths, threads
        )
        self._statuses = np.zeros(len(self.maps.systems), np.int64)
        self._triangles = maps.lower_triangles(self.maps) if self.domain.size > 1 else None
        unfolded.attach(self.maps.sizes, self.maps.values)
        moving = self.of_maps("values")
        net.phi = moving[-1]
        if not problem.tokens:
            net.weights = moving
        if unfolded.start is not None:
            unfolded.start = moving[-2]
        self.held = None
        if problem.constraints:
            bound = Bound(problem.constraints, net, problem.units)
            self.held = Held(bound, self.maps, self.of_maps)
        self._read = recurrence.ReadOut(net.phi, np.empty((1 + net.width, net.outputs), real))
        self._buffers = Buffers(unfolded, steps, batch, problem.outputs_of(steps), threads, rows)
        self.tokens = None
        if problem.tokens:
            table = unfolded.layers[0].weights.table
            self.tokens = TokenBlock(table, steps * batch, threads, self.domain)

    def _may_cut(self, steps, batch):
        """Whether some windows may be cut into chunks; the same on all ranks."""
        net, options = self.net, self.options
        fits = self.problem.readout == "all" and net.directions == 1 and not net.dropout
        if not (options.overlap and fits) or self.domain.staleness:
            return False
        facts = steps, batch, -self.threads
        longest, most, least = self.domain.largest(np.array(facts)).tolist()
        return longest >= SHORTEST and 2 * most <= recurrence.SEQUENCES * -least

    def of_maps(self, name):
        """A field of the maps: a view for each of them, of Grams one for each source."""
        field, tables = getattr(self.maps, name), {"inverse": self.maps.systems}
        if not name.endswith(("gram", "inverse")):
            return [maps.matrix(self.maps.sizes, i, field) for i in range(len(self.maps.sizes))]
        table = tables.get(name, self.maps.sources)
        return [maps.square(table, i, field) for i in range(len(table))]

    def _whole(self, dense, rows):
        """Weights of all maps, from the dense columns and the rows of tokens."""
        whole, first = list(dense), 0
        for i, each in enumerate(self.net.kind.maps):  # of the first cell
            if each.driven:
                own = rows[:, first : first + len(dense[i])].T
                whole[i] = np.hstack([own, dense[i]])
            first += len(dense[i])
        return whole

    @property
    def weights(self):
        """The moving iterate, as in ``RNN.weights``."""
        if self.tokens is None:
            return self.net.weights
        return self._whole(self.of_maps("values"), self.tokens.rows.values)

    @property
    def average(self):
        """The averaged iterate: the weights that training returns."""
        average = self.of_maps("average")
        if self.held is not None:
            average = self.held.returned(self.of_maps("values"), average)
        if self.tokens is None:
            return average
        return self._whole(average, self.tokens.average())

    def state(self, with_window):
        arrays = {n: a for n, a in self.maps._asdict().items() if n not in maps.FLEETING}
        if self.tokens is not None:
            arrays |= self.tokens.state()
        if self.held is not None:
            arrays |= self.held.state()
        if self.overlap is not None:
            arrays |= self.overlap.state()
        return {
            "k": self.k, "measured": self.measured, "averaged": self._averaged,
            "begun": self._begun, "path": self._path, **asdict(self.step_length), **arrays,
        }  # fmt: skip

    def restore(self, state, new_run=False):
        for name, array in self.maps._asdict().items():
            if name not in maps.FLEETING:
                array[...] = state[name]
        if self.tokens is not None:
            self.tokens.restore(state)
        if self.held is not None:
            self.held.restore(state)
        if self.overlap is not None and "overlap" in state:
            self.overlap.restore(state)
        self.k, self.measured, self._averaged = state["k"], state["measured"], state["averaged"]
        self._path[:] = 0 if new_run else state["path"]
        self._begun = self.k if new_run else state["begun"]
        if self._is_auto:
            self.step_length = StepLength(state["eta"], state["eta_bound"])

    def convergence(self):
        used, allowed = self._path.tolist()
        path = {"path_used": used, "path_allowed": allowed, "growth": self._growth}
        return super().convergence() | path

    def step(self, batch):
        """One mini-batch: `measure` it, and `move` the weights where all is finite."""
        cut, repeated = self.overlap.cut if self.overlap else lambda batch: batch, 0
        while (record := self._measure_and_reduce(own := cut(batch), repeated)) is None:
            repeated += 1
        self._last = own
        return record

    def _measure_and_reduce(self, batch, repeated):
        """The record of a step; None where its edges have turned out to differ."""
        record = self.measure(batch)
        record.repeated = repeated
        sums, gram = [self.own_sums, self.maps.g], None
        if self._is_gram_due:
            gram = self.maps.batch_gram
            if self._triangles is not None:
                gram = gram[self._triangles]
            sums.append(gram)
        if self.tokens is not None:
            sums += self.tokens.to_reduce()
        if batch.chunks:
            sums.append(self.overlap.found)
        self.domain.reduce(sums, partial(self._apply, batch, record, self.own_sums, gram))
        return None if batch.chunks and self.overlap.has_failed else record

    def _apply(self, batch, record, sums, gram, due):
        """What follows when the sums over all owners have arrived."""
        if batch.chunks:
            self.overlap.judge(record)
            if self.overlap.has_failed:
                self.measured -= 1
                return
        self._complete(record, sums)
        if gram is not None and self._triangles is not None:
            self.maps.batch_gram[self._triangles] = gram
        if self.tokens is not None:
            self.tokens.merge(record.rows)
        if not math.isfinite(record.loss):
            return
        if not (self._follows and is_due(self.k + 1, MEASURE_EVERY)):
            self.move(record)
        elif record.growth > EXPANDING:
            self.move(record)
            self.step_length.rise()
        else:
            self._move_and_follow(batch, record)

    def warm_up(self, data, sequences, steps):
        if not self._may_cut(steps, sequences) or data.lengths is not None:
            return
        overlap = self.overlap = Overlap(self.unfolded, self.domain, None)
        overlap.left = overlap.right = 1
        some = Batch.alone(data, np.arange(1), steps=3)  # chunks of unequal length
        self.measure(overlap.chunks_of(some, 2))

    def final_state(self, batch):
        if self.overlap is None:
            return super().final_state(batch)
        own = self._last  # the same mini-batch, or its chunks
        states = self.unfolded.window(own.steps, len(own.cases)).handed_on(own.steps)
        return states[len(states) - len(batch.cases) :]

    def _load(self, batch):
        """The window of a mini-batch, and what it begins with."""
        return self.overlap.load(batch) if batch.chunks else self.unfolded.load(batch)

    def _move_and_follow(self, batch, record):
        """`move`, and let the step length follow how far that takes the batch's outputs."""
        delta = self.backwards[-1].delta
        before = self._outputs(batch, delta)
        self.move(record)
        window = self._load(batch)
        self._forward(window, batch, self.problem.targets_of(batch, record.scale), delta)
        own = divergence(before, self._outputs(batch, delta), record.scale)
        total = np.array([own / record.terms])
        self.domain.sum(total)
        self.step_length.follow(float(total[0]), self._left)

    def _outputs(self, batch, delta):
        """Own outputs with a target, and the gradients of their loss times the scale, (n, C)."""
        window, phi = self.unfolded.window(batch.steps, len(batch.cases)), self.net.phi
        rows, places = window.outputs(batch, len(delta))
        outputs = rows[:, rows.shape[1] - phi.shape[1] :] @ phi.T
        return outputs, delta.reshape(-1, delta.shape[2])[places].copy()

    def measure(self, batch):
        """States, loss and multipliers of a mini-batch, and their sums over own steps and cases."""
        problem, is_ragged = self.problem, batch.is_ragged
        self.measured += 1
        self._is_gram_due = is_due(self.measured, self.options.gram_every) and batch.rows > 0
        window = self._load(batch)
        record = StepRecord(0.0, problem.terms_of(batch), batch.rows)
        record.scale = 1 / (batch.mean_terms or record.terms)
        if self._is_auto:
            sequences = batch.part.n_cases
            self.step_length.begin(sequences, record.terms, record.rows, self._follows)
        targets = problem.targets_of(batch, record.scale)
        key = batch.steps, len(batch.cases), batch.part.is_last, batch.chunks
        if key not in self._views:  # for windows of one size they are always the same
            backwards = self._buffers.backwards(batch, problem)
            own = None if is_ragged else seen(self.unfolded, window, batch, backwards)
            self._views[key] = backwards, own
        self.backwards, own = self._views[key]
        self._masks = self.unfolded.masks(batch)
        at_once = self.unfolded.is_alone and not self.domain.acts_between_passes
        sweep = self._sweep if at_once else self._sweep_in_passes
        sweep = self._sweep_chunks if batch.chunks else sweep
        self.own_sums = sweep(window, batch, targets, self.backwards)
        if is_ragged or own is None:
            own = seen(self.unfolded, window, batch, self.backwards)
        distinct = maps.window_sums(
            own, window.tokens, window.occurrences(batch) if is_ragged else None,
            self._is_gram_due, self.maps, self._parts,
            None if self.tokens is None else self.tokens.sums,
        )  # fmt: skip
        self._sum_others(window, batch)
        if self.tokens is not None:
            self.tokens.distinct, self.tokens.places = distinct, batch.rows
        if self._is_gram_due:
            self._count_grams(batch, record, len(own.rows), len(own.output_rows))
        self._complete(record, self.own_sums)
        return record

    def _sum_others(self, window, batch):
        """Sums of the cells behind the first, and of the start."""
        for i, span in enumerate(window.spans[1:], 1):
            lambda_, own = self.backwards[i].lambda_, self.unfolded.maps_of(i)
            maps.cell_sums(
                span.rows(0, batch.steps), lambda_.reshape(-1, lambda_.shape[2]), own.start,
                own.stop, window.row_bounds, self._is_gram_due, self.maps, self._parts,
            )  # fmt: skip
        if self.unfolded.start is not None:
            begun = batch.begun() if batch.data.initial is None else slice(0, 0)
            adjoints = [each.leaving[begun, :-1].sum(axis=0) for each in self.backwards]
            self.of_maps("g")[-2][:, 0] = np.concatenate(adjoints)

    def _count_grams(self, batch, record, rows, outputs):
        """Make means over own rows, cleared ones included, parts of means over all rows."""
        grams = self.of_maps("batch_gram")
        if self.unfolded.start is not None:  # of the constant one
            grams.pop(-2)[:] = 1 / self.domain.size
        counts = [(rows, batch.rows)] * (len(grams) - 1) + [(outputs, record.terms)]
        for gram, (n, whole) in zip(grams, counts, strict=True):
            if n != whole:
                gram *= n / whole

    def _sweep(self, window, batch, targets, backwards):
        """States, outputs and multipliers in one call; returns the sums of the record."""
        recurrence.sweep(
            self.unfolded.cell, window.unrolled, self.unfolded.layers[0].weights, self._read,
            targets, self.options.safeguard, backwards[0], batch.active, window.sequence_bounds,
        )  # fmt: skip
        return np.add.reduce(backwards[0].totals)

    def _forward(self, window, batch, targets, delta):
        """States and outputs; returns the sums of the record, of which the loss is there."""
        unfolded, read, totals = self.unfolded, self._read, self._buffers.totals
        part = batch.part._replace(may_age=batch.again)
        for layer in unfolded.layers:
            recurrence.transpose_maps(layer.weights)
        domain = SERIAL if batch.chunks else self.domain
        unfolded.simulate(window, part, batch.active, domain, self._masks)
        active = unfolded.gather(window, batch.active)
        read.phi_t[:] = read.phi.T
        totals[:] = 0
        recurrence.read_out(
            window.read, read.phi_t, targets, delta, active, totals,
            window.sequence_bounds,
        )  # fmt: skip
        return np.add.reduce(totals)

    def _sweep_in_passes(self, window, batch, targets, backwards):
        """The same pass by pass, cell by cell, with messages between them."""
        domain, part = self.domain, batch.part._replace(may_age=batch.again)
        sums = self._forward(window, batch, targets, backwards[-1].delta)
        self._buffers.spread(window, batch, self._read.phi, backwards)
        for cut in pipeline(window, domain):
            own = slice(cut[0], cut[-1])
            self._buffers.receive(domain, part, own, backwards)
            sums[1:] += self._pull(window, batch, backwards, cut)
            if batch.steps:
                self._buffers.send(domain, part, own, backwards)
        return sums

    def _sweep_chunks(self, window, batch, targets, backwards):
        """The same of chunks that overlap: their first steps back are done twice."""
        buffers, overlap, every = self._buffers, self.overlap, slice(None)
        sums = self._forward(window, batch, targets, backwards[-1].delta)
        overlap.check_states(window, batch)
        few = replace(batch, steps=overlap.right, active=batch.active[: overlap.right])
        first = window.until(few.steps)
        self._pull(first, few, until(backwards, few.steps), window.sequence_bounds)
        arriving = overlap.exchange_multipliers(batch, buffers.leaving(every, backwards))
        buffers.take(arriving, every, backwards)
        sums[1:] += self._pull(window, batch, backwards, window.sequence_bounds)
        overlap.check_multipliers(batch, buffers.leaving(every, backwards))
        return sums

    def _pull(self, window, batch, backwards, cut):
        """Multipliers of all cells, of some sequences; returns their sums of the record."""
        unfolded, sums = self.unfolded, np.zeros(3)
        for i in range(len(unfolded.layers) - 1, -1, -1):
            recurrence.multipliers(
                unfolded.cell, window.spans[i].unrolled, unfolded.layers[i].weights,
                self._read.phi, self.options.safeguard, backwards[i], batch.active, cut,
            )  # fmt: skip
            sums += np.add.reduce(self._buffers.totals)[1:]
            self._buffers.bring_down(i, batch, self._masks, backwards, cut)
        return sums

    @property
    def _left(self):
        """What is left of the first step's length after k steps."""
        return 1 - (self.k - self._begun) / (self.total + 1)

    def move(self, record):
        """Growth guard, then the proximal step of both weight blocks; completes the record.

        Where a Gram is not positive definite the step length is NaN, and the weights stay.
        """
        options = self.options
        self.k += 1
        left = self._left
        early = max(0.0, 2 * left - 1)
        record.eta = self.step_length.eta * left
        record.shrinkage = early * min(options.guard, 0.2 * max(0.0, record.growth))
        memory = 1.0
        if is_due(self.k, options.gram_every):
            gap = self.k - self._averaged
            memory = min(options.gram_memory**gap, 1 - gap / self.k)
            self._averaged = self.k
        alpha = min(options.average, 1 - (LAG + 1) / (self.k + LAG))
        tokens = NO_TOKENS
        if self.tokens is not None:
            tokens = self.tokens.to_move(self.k, options.token_damping, alpha)
        settings = maps.Settings(
            self.k, float(record.eta), float(options.momentum),
            float(options.penalty_memory), float(alpha), float(memory),
            is_due(self.k, options.refactor_every),
            float(options.damping), 1 - record.shrinkage,
        )  # fmt: skip
        average = None if self.held is None else self.maps.average.copy()
        found = maps.move(self.maps, settings, self.threads, *tokens, self._statuses)
        if self.held is not None and math.isfinite(found[0]):
            self.held.step(average, settings, self.threads)
        record.step_length, record.rho_min, record.rho_max = found
        self._path[0] += record.step_length
        self._path[1] += settings.eta
        self._growth = record.growth

    def _complete(self, record, sums):
        """Loss, growth and mean square of the multipliers, from their sums."""
        record.loss, growth, counted, square = sums.tolist()
        record.growth = growth / max(counted, 1)
        record.multiplier_square = square / (
            record.scale**2 * max(record.rows, 1) * self.net.hidden * len(self.unfolded.layers)
        )
