"""The Elman cell, ``s_t = f(a_t)``."""

from typing import NamedTuple

from ...core.jit import jit
from ...operators.activations import activate, times_derivative
from .cell import advance, implements, pull


class Elman(NamedTuple):
    """Constants of the cell."""

    activation: int
    """Code of f in `fastadmm.kernels.operators.activations`."""


@implements(advance, Elman)
@jit(internal=True)
def _advance(cell, states):
    activate(cell.activation, states)


@implements(pull, Elman)
@jit(internal=True)
def _pull(cell, adjoints, states):
    times_derivative(cell.activation, adjoints, states)
