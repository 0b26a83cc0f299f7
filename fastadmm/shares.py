"""The order of training, and which part of the data each owner of a domain trains on."""

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastadmm.mpi.partition import bounds


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
    """

    n_cases: int
    n_timepoints: int
    max_batch: int
    max_steps: int
    epochs: int

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
        short = [place for place, order in enumerate(orders) if len(order) < self.draws]
        if short:
            for place, draw in zip(short, rng.permutation(self.draws), strict=False):
                orders[place] = np.insert(orders[place], draw, -1)
        for cases in np.stack(orders, axis=1):
            for window in range(self.n_windows):
                yield cases, window

    def weight(self, n_cases, window, readout):
        """Loss terms of a mini-batch of so many cases, over the mean of the epoch's."""
        steps = self.length(window) * self.n_windows if readout == "all" else self.n_timepoints
        return n_cases * self.draws * steps / (self.n_cases * self.n_timepoints)


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
        places, _ = domain.cut(plan.batch_size, plan.steps, plan.batch_size)
        strata = plan.strata
        self.cases = slice(int(strata[places.start]), int(strata[places.stop]))
        own = []
        for window in range(plan.n_windows):
            _, steps = domain.cut(plan.batch_size, plan.length(window), plan.batch_size)
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
        if readout == "last" or self.steps == 0:
            return array[self.cases] if readout == "last" else array[self.cases, :0]
        first = self.times[0]
        own = array[self.cases, first : self.times[-1] + 1]
        return own if len(self.times) == own.shape[1] else own[:, self.times - first]

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

    def cut(self, cases, window):
        """Own cases of a mini-batch, numbered within the share, first own time point, and steps."""
        plan = self.plan
        places, _ = self.domain.cut(count(cases), plan.length(window), plan.batch_size)
        own = cases[places]
        first, stop = self.firsts[window], self.firsts[window + 1]
        return own[own >= 0] - self.cases.start, int(first), int(stop - first)


def count(cases):
    """Number of cases of a mini-batch in which places may be empty."""
    return int((cases >= 0).sum())
