"""What gated cells are made of.

Loops have few arrays each: beyond some, LLVM does not check whether they overlap, and does not
vectorise. A row stays in the first-level cache from loop to loop.
"""

from ...core.elementary import sigmoid, tanh
from ...core.jit import jit
from ...core.rows import row


@jit(internal=True)
def gate(rows, i, k, hidden):
    """Block k of row i, (H,): a view."""
    return row(rows, i)[k * hidden : (k + 1) * hidden]


@jit(internal=True)
def squash(values):
    """``values <- sigmoid(values)``."""
    for j in range(len(values)):
        values[j] = sigmoid(values[j])


@jit(internal=True)
def bend(values):
    """``values <- tanh(values)``."""
    for j in range(len(values)):
        values[j] = tanh(values[j])


@jit(internal=True)
def pull_sigmoid(adjoint, factor, value, lambda_):
    """``λ <- adjoint factor g (1 - g)`` of a gate g."""
    one = value.dtype.type(1)
    for j in range(len(lambda_)):
        lambda_[j] = adjoint[j] * factor[j] * (value[j] * (one - value[j]))


@jit(internal=True)
def pull_tanh(adjoint, factor, value, lambda_):
    """``λ <- adjoint factor (1 - g^2)`` of a value g of tanh."""
    one = value.dtype.type(1)
    for j in range(len(lambda_)):
        lambda_[j] = adjoint[j] * factor[j] * (one - value[j] * value[j])


@jit(internal=True)
def scale(values, factor):
    """``values <- values factor``."""
    for j in range(len(values)):
        values[j] *= factor[j]
