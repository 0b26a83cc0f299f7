"""Leaky units, ``s_t = (1 - α) s_{t-1} + α f(a_t)``: an Euler step of ``τ ds/dt = f(a) - s``."""

from typing import NamedTuple

import numpy as np

from ...core.jit import jit
from ...core.rows import row
from ...operators.activations import activate, times_derivative
from .cell import advance, enter, implements, pull


class Leaky(NamedTuple):
    """Constants of the cell."""

    hidden: int
    """H."""
    activation: int
    """Code of f in `fastadmm.kernels.operators.activation_codes`."""
    leak: np.ndarray
    """α, (H,), in (0, 1]."""

    GATES, KEPT, CARRIED = 1, 1, 1  # pyright: ignore[reportGeneralTypeIssues]


@jit(internal=True)
def _leak(before, leak, after):
    for j in range(len(after)):
        after[j] = before[j] + leak[j] * (after[j] - before[j])


@implements(advance, Leaky)
@jit(internal=True)
def _advance(cell, before, kept_before, after, kept):
    """Keeps the slopes f'(a)."""
    for i in range(len(after)):
        value, slope = row(after, i), row(kept, i)
        for j in range(len(value)):
            value[j] = slope[j]
            slope[j] = 1
    activate(cell.activation, after)
    times_derivative(cell.activation, kept, after)
    for i in range(len(after)):
        _leak(row(before, i), cell.leak, row(after, i))


@implements(enter, Leaky)
@jit(internal=True)
def _enter(cell, adjoints, after):
    pass


@jit(internal=True)
def _pull_leak(adjoint, slope, leak, lambda_):
    one = adjoint.dtype.type(1)
    for j in range(len(lambda_)):
        lambda_[j] = leak[j] * slope[j] * adjoint[j]
        adjoint[j] *= one - leak[j]


@implements(pull, Leaky)
@jit(internal=True)
def _pull(cell, before, kept_before, after, kept, carried, lambda_):
    for i in range(len(after)):
        _pull_leak(row(carried, i), row(kept, i), cell.leak, row(lambda_, i))
