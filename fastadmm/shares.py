"""The order of training, and which part of the data each owner of a domain trains on."""

from dataclasses import dataclass

import numpy as np

from fastadmm.mpi.partition import bounds


@dataclass(frozen=True)
class Plan:
    """Sizes of a run.

    Attributes
    ----------
    n_cases, n_timepoints : int
    batch_size, steps : int
        Sequences in a mini-batch, and time points in a window.
    epochs : int
    """

    n_cases: int
    n_timepoints: int
    batch_size: int
    steps: int
    epochs: int

    @property
    def n_windows(self):
        """Windows that a sequence is cut into."""
        return -(-self.n_timepoints // self.steps)

    @property
    def batches(self):
        """Mini-batches in an epoch."""
        return -(-self.n_cases // self.batch_size) * self.n_windows

    def length(self, window):
        """Time points of a window."""
        return min(self.steps, self.n_timepoints - window * self.steps)

    @property
    def strata(self):
        """Boundaries of the cases' strata, one stratum for each place in a mini-batch."""
        return bounds(self.n_cases, self.batch_size)

    def windows(self, rng):
        """Mini-batches of an epoch: cases, and the number of the window.

        Every place in a mini-batch draws from its own stratum of neighbouring cases, in random
        order: whoever owns some of the places needs no other cases, and all owners have equally
        many. The order does not depend on how many owners there are.
        """
        strata = self.strata
        sizes = np.diff(strata)
        orders = [start + rng.permutation(n) for start, n in zip(strata, sizes, strict=False)]
        for k in range(sizes[0]):
            cases = np.array([order[k] for order in orders if k < len(order)])
            for window in range(self.n_windows):
                yield cases, window


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
            first = window * plan.steps
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

    def cut(self, cases, window):
        """Own cases of a mini-batch, numbered within the share, first own time point, and steps."""
        plan = self.plan
        places, _ = self.domain.cut(len(cases), plan.length(window), plan.batch_size)
        first, stop = self.firsts[window], self.firsts[window + 1]
        return cases[places] - self.cases.start, int(first), int(stop - first)
