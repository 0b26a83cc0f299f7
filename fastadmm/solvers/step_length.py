"""The step length of `condensed` that finds itself.

A change of the weights acts at every time step of a sequence, and its noise is that of the loss
terms of a mini-batch: the first bound on a step follows from these numbers alone,

    eta <= min(LARGEST, NOISE sqrt(sequences) terms / rows),

with the loss terms and the time steps (rows) of a mini-batch of so many sequences. How far a change
travels through a network, its inputs and its read-out is then measured: now and then the states of
the mini-batch are simulated once more after the step, and the bound on the mean divergence of its
outputs from those before,

    D = sum (o' - o) . (∇ℓ(o') - ∇ℓ(o)) / (2 terms) <= DIVERGENCE,

is what eta follows: D grows with its square. Where multipliers grow by more than `EXPANDING` a
step, D says nothing about the step: any change of the weights, however small, turns the outputs.
There eta goes to its first bound. For labels D is the symmetric mean of both
Kullback-Leibler divergences, in nats; for values half the squared change.
"""

import math
from dataclasses import dataclass

import numpy as np

LARGEST = 0.15
"""Bound on eta whatever the mini-batch is."""
NOISE = 0.08
"""Bound on eta for one sequence with a loss term at every time step."""
DIVERGENCE = 0.1
"""Bound on D for steps of full length; as they fall over the run, it falls with their square."""
START = 0.25
"""Where eta begins, relative to its bound: one step may already be too long."""
EXPANDING = 0.05
"""Mean logarithm of the multipliers' growth over one step, above which D is not asked."""
MEASURE_EVERY = 20
"""Of so many steps one is measured, and each of the first nine: less than 2 % of the time."""
MOST = math.sqrt(10)
"""By how much eta changes at one measurement, at most."""


@dataclass
class StepLength:
    """eta at the start of a run, found in its course; the same on all ranks.

    Attributes
    ----------
    eta : float
        NaN before the first step.
    eta_bound : float
        On eta, from the numbers of the first mini-batch.
    """

    eta: float = math.nan
    eta_bound: float = math.nan

    def begin(self, sequences, terms, rows, follows=True):
        """The bound and a start, from the numbers of a mini-batch, where there are none yet.

        Parameters
        ----------
        sequences, terms, rows : int
            Of all owners.
        follows : bool
            False where nothing will be measured: eta is the bound.
        """
        if math.isnan(self.eta_bound):
            self.eta_bound = min(LARGEST, NOISE * math.sqrt(sequences) * terms / max(rows, 1))
            self.eta = self.eta_bound * (START if follows else 1)

    def rise(self):
        """Go towards the bound from the numbers of a mini-batch, where D says nothing."""
        self.eta = min(self.eta_bound, self.eta * MOST)

    def follow(self, mean_divergence, left):
        """Follow the divergence of a step of length ``left eta``."""
        if not math.isfinite(mean_divergence):
            ratio = 0.0
        elif mean_divergence <= 0:  # nothing has moved, or all is rounding
            ratio = MOST
        else:
            ratio = left * math.sqrt(DIVERGENCE / mean_divergence)
        self.eta = min(self.eta_bound, self.eta * min(max(ratio, 1 / MOST), MOST))


def divergence(before, after, scale):
    """Sum of D over outputs.

    Parameters
    ----------
    before, after : (ndarray, ndarray)
        Outputs, and the gradients of their loss times ``scale``, (n, C).
    scale : float
    """
    moved, turned = (b.astype(np.float64) - a for a, b in zip(before, after, strict=True))
    return float(np.vdot(moved, turned)) / (2 * scale)
