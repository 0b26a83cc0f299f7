"""Activations of a recurrent network: value in place, derivative read off the state."""

from .elementary import sigmoid, tanh
from .jit import jit

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
        row = rows[i]
        if activation == TANH:
            for j in range(len(row)):
                row[j] = tanh(row[j])
        elif activation == SIGMOID:
            for j in range(len(row)):
                row[j] = sigmoid(row[j])
        elif activation == RELU:
            for j in range(len(row)):
                row[j] = zero if row[j] < zero else row[j]


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
        row, state = rows[i], states[i]
        if activation == TANH:
            for j in range(len(row)):
                row[j] *= one - state[j] * state[j]
        elif activation == SIGMOID:
            for j in range(len(row)):
                row[j] *= state[j] * (one - state[j])
        elif activation == RELU:
            for j in range(len(row)):
                row[j] *= one if state[j] > zero else zero
