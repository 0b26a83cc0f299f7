"""Activations of a recurrent network: value in place, derivative read off the state."""

from ..core.elementary import sigmoid, tanh
from ..core.jit import jit
from ..core.rows import row

IDENTITY, TANH, RELU, SIGMOID = range(4)
ACTIVATIONS = {"identity": IDENTITY, "tanh": TANH, "relu": RELU, "sigmoid": SIGMOID}
"""Code of every activation whose derivative is a function of its value."""


@jit
def activate(activation, rows):
    """``rows <- f(rows)`` in place.

    Parameters
    ----------
    activation : int
        A value of `ACTIVATIONS`.
    rows : ndarray, (n, units), float32 or float64, unit stride along the last axis
    """
    zero = rows.dtype.type(0)
    for i in range(rows.shape[0]):
        values = row(rows, i)
        if activation == TANH:
            for j in range(len(values)):
                values[j] = tanh(values[j])
        elif activation == SIGMOID:
            for j in range(len(values)):
                values[j] = sigmoid(values[j])
        elif activation == RELU:
            for j in range(len(values)):
                values[j] = zero if values[j] < zero else values[j]


@jit
def times_derivative(activation, rows, states):
    """``rows <- rows * f'(a)`` in place, with f'(a) computed from ``states = f(a)``.

    ReLU's derivative at 0 is taken as 0.

    Parameters
    ----------
    activation : int
        A value of `ACTIVATIONS`.
    rows, states : ndarray, (n, units), float32 or float64, unit stride along the last axis
    """
    zero, one = rows.dtype.type(0), rows.dtype.type(1)
    for i in range(rows.shape[0]):
        values, state = row(rows, i), row(states, i)
        if activation == TANH:
            for j in range(len(values)):
                values[j] *= one - state[j] * state[j]
        elif activation == SIGMOID:
            for j in range(len(values)):
                values[j] *= state[j] * (one - state[j])
        elif activation == RELU:
            for j in range(len(values)):
                values[j] *= one if state[j] > zero else zero
