"""The order of training, which part of the data each owner trains on, and its mini-batches."""

import itertools
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from fastadmm import sequences
from fastadmm.mpi.part import Part, part_of
from fastadmm.mpi.partition import bounds
from fastadmm.on_disk import OnDisk
from fastadmm.validation import asarray


@dataclass(frozen=True)
class Data:
    """The sequences of an owner, as `fastadmm.problem.make_problem` returns them, or of all.

    Attributes
    ----------
    X : ndarray or OnDisk, (n_cases, n_timepoints, D), or (n_cases, n_timepoints) tokens
    y : ndarray, OnDisk or None
        Targets.
    lengths : ndarray, (n_cases,), int64, optional
        Of sequences of unequal length, in all owners' time points. They end together: what is
        before counts nowhere.
    weights : ndarray, (n_cases,) or (n_cases, n_timepoints), optional
        Of the loss terms, with mean 1.
    initial : ndarray, (n_cases, CARRIED H), optional
        State before the first time point.
    stretch : int
        Where it is not 0, cases are stretches of so many time points, see `in_stretches`.
    """

    X: Any
    y: Any = None
    lengths: np.ndarray | None = None
    weights: np.ndarray | None = None
    initial: np.ndarray | None = None
    stretch: int = 0

    @classmethod
    def given(cls, X, y, lengths, readout, names=("X", "y")):
        """What a user gives, as arrays in which sequences end together; those on disk stay there.

        ``names`` are those of X and y, for messages.

        Raises
        ------
        ValueError, TypeError
            Where they cannot be that, or lengths do not fit.
        """
        X, y, lengths = sequences.pair(X, y, lengths, readout, names)
        return cls(_indexable(X, names[0]), _indexable(y, names[1]), lengths)

    def of(self, cases):
        """Those of some cases: a slice, or an array of indices in order."""
        y, lengths, weights, initial = (
            _some(array, cases) for array in (self.y, self.lengths, self.weights, self.initial)
        )
        return Data(_some(self.X, cases), y, lengths, weights, initial)

    def here(self):
        """The same in memory, inputs, targets and states to begin with."""
        initial = None if self.initial is None else np.asarray(self.initial)
        return replace(self, X=np.asarray(self.X), y=np.asarray(self.y), initial=initial)

    def in_stretches(self, length):
        """The same with all stretches of so many time points as cases: views of the arrays.

        Case ``case * n_timepoints + t`` begins with time point t of a case of this. What would not
        end within it is no case that makes sense. Sequences of unequal length are not for this.
        """
        assert self.lengths is None
        weights, n_timepoints = self.weights, self.X.shape[1]
        if weights is not None and weights.ndim == 1:
            weights = np.repeat(weights, n_timepoints)
        elif weights is not None:
            weights = stretches(weights, length)
        y = None if self.y is None else stretches(self.y, length)
        return Data(stretches(self.X, length), y, None, weights, None, length)

    def view(self, array):
        """An array (n_cases, n_timepoints, ...) with the cases of this."""
        return stretches(array, self.stretch) if self.stretch else array


def stretches(array, length):
    """Every stretch of so many time points of a contiguous array, as a case: a view.

    Parameters
    ----------
    array : ndarray, (n_cases, n_timepoints, ...)
    length : int

    Returns
    -------
    ndarray, (n_cases n_timepoints - length + 1, length, ...)
    """
    count, step = array.shape[0] * array.shape[1], array.strides[1]
    assert array.flags.c_contiguous
    return np.lib.stride_tricks.as_strided(
        array, (max(0, count - length + 1), length, *array.shape[2:]),
        (step, step, *array.strides[2:]),
        writeable=array.flags.writeable,
    )  # fmt: skip


def _some(array, cases):
    """Some cases of an array, or of None; those of all ranks stay where they are."""
    if array is None:
        return None
    return array.of(cases) if isinstance(array, OnDisk) else array[cases]


def _indexable(value, name):
    return value if isinstance(value, OnDisk) else asarray(value, name)


@dataclass(slots=True)
class Batch:
    """A mini-batch, or a window of one, as its owner sees it.

    Attributes
    ----------
    data : Data
        Of the owner.
    cases : ndarray of int64
        Own cases of the mini-batch; of unequal length, the longest first.
    first, steps : int
        The window of own time points ``first:first + steps``.
    part : fastadmm.mpi.part.Part
        Which part of the whole window that is.
    active : ndarray, (steps,), int64
        How many of the cases have each of these time points.
    rows : int
        Time steps of sequences in the whole window, those of all owners.
    initial : ndarray, (B, H), optional
        State before the window; None is zero.
    again : bool
        Same window as in the last step, on all owners.
    mean_terms : float, optional
        Loss terms of the mean mini-batch, so that every case counts the same; None: of this one.
    noise : Noise, optional
        Random numbers of the step.
    before : int
        How many of the cases have begun before these time points.
    chunks : int
        Where it is not 0, cases are chunks of time of longer ones, see `fastadmm.chunks.cut`.
    """

    data: Data
    cases: np.ndarray
    first: int
    steps: int
    part: Part
    active: np.ndarray
    rows: int
    initial: np.ndarray | None = None
    again: bool = False
    mean_terms: float | None = None
    noise: "Noise | None" = None
    before: int = 0
    chunks: int = 0

    @classmethod
    def alone(cls, data, cases, first=0, steps=None, **others):
        """A mini-batch that one process owns; by default all time points."""
        n_timepoints = data.X.shape[1]
        steps = n_timepoints - first if steps is None else steps
        part = part_of(0, 1, 1, len(cases), steps, len(cases))
        if data.lengths is None:
            active, rows = np.full(steps, len(cases)), len(cases) * steps
            before = len(cases) if first else 0
        else:
            cases = _longest_first(cases, data.lengths)
            before, active = _begun(data.lengths[cases], n_timepoints - first, steps)
            rows = int(active.sum())
        return cls(data, cases, first, steps, part, active, rows, before=before, **others)

    @property
    def is_ragged(self):
        """Whether some of the sequences begin after the own part does."""
        return self.steps > 0 and self.active[0] < len(self.cases)

    def begun(self):
        """Those of the own sequences whose first time point is in the own part: a slice."""
        begun = self.active[-1] // max(self.chunks, 1) if self.steps else self.before
        return slice(self.before, int(begun))


class Noise:
    """Random numbers of one step, the same however its sequences and steps are shared.

    Parameters
    ----------
    seed : sequence of int
        Of the epoch, and the number of the step.
    steps, places : int
        Of the whole window.
    part : fastadmm.mpi.part.Part
    own : ndarray of int64
        Places of the own sequences, in their order.
    """

    def __init__(self, seed, steps, places, part, own):
        self._rng = np.random.default_rng(seed)
        self._shape, self._part, self._own = (steps, places), part, own

    def random(self, shape, width):
        """Uniform in [0, 1), (own steps, own sequences, width)."""
        drawn = self._rng.random((*self._shape, width), np.float32)
        first = self._shape[0] - self._part.n_steps + self._part.steps.start
        found = drawn[first : first + shape[0], self._own]
        assert found.shape[:2] == shape
        return found


def _active(lengths, left, steps):
    """How many sequences have begun at each of some steps, of which so many are left at first."""
    return len(lengths) - np.searchsorted(np.sort(lengths), left - np.arange(steps))


def _begun(lengths, left, steps):
    """How many sequences have begun before some steps, and at each of them."""
    counts = _active(lengths, left + 1, steps + 1)
    return int(counts[0]), counts[1:]


def _longest_first(cases, lengths):
    return cases[np.argsort(-lengths[cases], kind="stable")]


@dataclass(frozen=True)
class Plan:
    """Sizes of a run.

    Mini-batches are as even as they can be: their sizes differ by one at most, and so do the
    lengths of windows.

    Attributes
    ----------
    n_cases, n_timepoints : int
    max_batch, max_steps : int
        Upper limits of the sequences in a mini-batch, and of the time points in a window.
    epochs : int
    lengths : ndarray, (n_cases,), int64, optional
        Of sequences of unequal length.
    group_by_length : bool
        Mini-batches are of similar length.
    """

    n_cases: int
    n_timepoints: int
    max_batch: int
    max_steps: int
    epochs: int
    lengths: np.ndarray | None = None
    group_by_length: bool = False

    @property
    def n_windows(self):
        """Windows that a sequence is cut into."""
        return -(-self.n_timepoints // self.max_steps)

    @property
    def draws(self):
        """Draws of cases in an epoch."""
        return -(-self.n_cases // self.max_batch)

    @property
    def batches(self):
        """Mini-batches in an epoch."""
        return self.draws * self.n_windows

    @property
    def batch_size(self):
        """Places in a mini-batch: its largest size."""
        return -(-self.n_cases // self.draws)

    @cached_property
    def firsts(self):
        """First time points of the windows, and the number of time points."""
        return bounds(self.n_timepoints, self.n_windows)

    @property
    def steps(self):
        """Time points of the longest window."""
        return self.length(0)

    def length(self, window):
        """Time points of a window."""
        return int(self.firsts[window + 1] - self.firsts[window])

    def left(self, window):
        """Time points from the first of a window to the end."""
        return self.n_timepoints - int(self.firsts[window])

    @property
    def strata(self):
        """Boundaries of the cases' strata, one stratum for each place in a mini-batch."""
        return bounds(self.n_cases, self.batch_size)

    def windows(self, rng):
        """Mini-batches of an epoch: a case or -1 for every place, and the number of the window.

        Every place draws from its own stratum of neighbouring cases, in random order: whoever owns
        some of the places needs no other cases, and the order does not depend on how many owners
        there are. A stratum with one case less than there are draws is left out of one of them;
        which one is random, and another one for every such stratum.
        """
        orders = [
            start + rng.permutation(stop - start)
            for start, stop in itertools.pairwise(self.strata.tolist())
        ]
        if self.group_by_length:
            orders = self._grouped(orders, rng)
        short = [place for place, order in enumerate(orders) if len(order) < self.draws]
        if short:
            for place, draw in zip(short, rng.permutation(self.draws), strict=False):
                orders[place] = np.insert(orders[place], draw, -1)
        for cases in np.stack(orders, axis=1):
            for window in range(self.n_windows):
                yield cases, window

    def _grouped(self, orders, rng):
        """Orders in which all places draw short cases in the same mini-batches, and long ones.

        Lengths count up to a random tenth, so that mini-batches differ from epoch to epoch; their
        order is random.
        """
        blurred = self.lengths * rng.uniform(0.9, 1.1, self.n_cases)
        draws = rng.permutation(self.draws)
        grouped = []
        for order in orders:
            by_length = order[np.argsort(blurred[order], kind="stable")]
            grouped.append(by_length[draws[draws < len(order)]])
        return grouped

    def mean_terms(self, readout):
        """Loss terms of the mean mini-batch, or window of one."""
        if readout != "all":
            terms = self.n_cases * self.n_windows
        elif self.lengths is None:
            terms = self.n_cases * self.n_timepoints
        else:
            terms = int(self.lengths.sum())
        return terms / self.batches


class Share:
    """The part of the data that one owner of a domain trains on.

    Parameters
    ----------
    plan : Plan
    domain : fastadmm.mpi.serial.Serial

    Attributes
    ----------
    batch, steps : int
        Largest numbers of own sequences, and of own time points, in a window.
    """

    def __init__(self, plan, domain):
        self.plan, self.domain = plan, domain
        size = plan.batch_size
        places, strata = domain.cut(size, plan.steps, size).places, plan.strata
        self.cases = slice(int(strata[places.start]), int(strata[places.stop]))
        own = []
        for window in range(plan.n_windows):
            steps = domain.cut(size, plan.length(window), size).steps
            first = plan.firsts[window]
            own.append(np.arange(first + steps.start, first + steps.stop))
        self.firsts = np.cumsum([0, *map(len, own)])
        self.times = np.concatenate(own)
        self.batch, self.steps = places.stop - places.start, max(map(len, own))
        self.empty = self.batch == 0 or self.steps == 0

    def of(self, array, readout="all"):
        """Own part of an array (n_cases, n_timepoints, ...), or of targets (n_cases, ...)."""
        if self.domain.size == 1:
            return array
        if readout != "all" or self.steps == 0:
            return array[self.cases] if readout != "all" else array[self.cases, :0]
        first = self.times[0]
        own = array[self.cases, first : self.times[-1] + 1]
        return own if len(self.times) == own.shape[1] else own[:, self.times - first]

    def mask(self, washout=0):
        """Which of the own time points the own sequences have; None for all.

        Without so many at the beginning of each.
        """
        plan, n_cases = self.plan, self.cases.stop - self.cases.start
        if plan.lengths is None and not washout:
            return None
        whole = np.full(n_cases, plan.n_timepoints)
        lengths = whole if plan.lengths is None else plan.lengths[self.cases]
        return sequences.mask(lengths - washout, self.times, plan.n_timepoints)

    def sample(self, most_cases, most):
        """Own part of a sample of cases and time points: two arrays of indices within the share.

        The sample is spread evenly, and does not depend on how the data are shared.
        """
        plan = self.plan
        n_cases = min(plan.n_cases, most_cases)
        n_times = min(plan.n_timepoints, most // n_cases)
        cases = np.arange(n_cases) * plan.n_cases // n_cases
        times = np.arange(n_times) * plan.n_timepoints // n_times
        cases = cases[(cases >= self.cases.start) & (cases < self.cases.stop)] - self.cases.start
        return cases, np.flatnonzero(np.isin(self.times, times))

    def batch_of(self, data, cases, window, again=False, mean_terms=None, seed=None):
        """Own part of a mini-batch, or of a window of one: a `Batch`.

        Parameters
        ----------
        data : Data
            Own part.
        cases : ndarray of int64
            A case or -1 for every place, from `Plan.windows`.
        window : int
        again, mean_terms
            As of `Batch`.
        seed : sequence of int, optional
            Of the random numbers of the step.
        """
        plan, domain, n_cases = self.plan, self.domain, int((cases >= 0).sum())
        length, first, left = plan.length(window), int(self.firsts[window]), plan.left(window)
        lengths = None if plan.lengths is None else plan.lengths[cases[cases >= 0]]
        if lengths is not None and domain.time_size == 1:
            # steps before all sequences; the parts of ranks along time are cut once for all
            idle = min(max(0, left - int(lengths.max())), length - 1)
            length, first, left = length - idle, first + idle, left - idle
        part = domain.cut(n_cases, length, plan.batch_size)
        own, steps = cases[part.places], part.steps.stop - part.steps.start
        places = part.places.start + np.flatnonzero(own >= 0)
        own = own[own >= 0]
        if lengths is None or plan.lengths is None:
            active, rows = np.full(steps, len(own)), part.n_cases * part.n_steps
            before = len(own) if int(plan.firsts[window]) + part.steps.start else 0
        else:
            order = np.argsort(-plan.lengths[own], kind="stable")
            own, places = own[order], places[order]
            before, active = _begun(plan.lengths[own], left - part.steps.start, steps)
            rows = int(_active(lengths, left, length).sum())
        noise = None
        if seed is not None:
            noise = Noise(seed, plan.length(window), plan.batch_size, part, places)
        return Batch(
            data, own - self.cases.start, first, steps, part, active, rows, None, again,
            mean_terms, noise, before,
        )  # fmt: skip
