"""The Elman cell, ``s_t = f(a_t)``."""

from typing import NamedTuple

from ...core.jit import jit
from ...operators.activations import activate, times_derivative
from .cell import advance, enter, implements, pull


class Elman(NamedTuple):
    """Constants of the cell."""

    hidden: int
    """H."""
    activation: int
    """Code of f in `fastadmm.kernels.operators.activation_codes`."""

    GATES, KEPT, CARRIED = 1, 0, 1  # pyright: ignore[reportGeneralTypeIssues]


@implements(advance, Elman)
@jit(internal=True)
def _advance(cell, before, kept_before, after, kept):
    activate(cell.activation, after)


@implements(enter, Elman)
@jit(internal=True)
def _enter(cell, adjoints, after):
    times_derivative(cell.activation, adjoints, after)


@implements(pull, Elman)
@jit(internal=True)
def _pull(cell, before, kept_before, after, kept, carried, lambda_):
    pass
