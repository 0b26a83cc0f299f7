"""The activations of a network: value, derivative, prox and bounds, each chosen by a code.

Of the value in place, and of the derivative read off the value, so that a state alone is kept.
`fastadmm.kernels` has more activations, as functions of arrays: a network can have those whose
derivative is a function of the value, and which are in every function of this file.
"""

from ..core.elementary import clip, exp, sigmoid, softplus, tanh
from ..core.jit import jit
from ..core.rows import row
from .activation_codes import HARD_TANH, IDENTITY, LEAKY_RELU, RELU, SIGMOID, SOFTPLUS, TANH
from .activation_proxes import (
    _prox_hard_tanh_activation,
    _prox_identity_activation,
    _prox_leaky_relu_activation,
    _prox_relu_activation,
    _prox_sigmoid_activation,
    _prox_softplus_activation,
    _prox_tanh_activation,
)

SLOPE = 0.01
"""Of the leaky ReLU below zero."""


@jit
def activate(activation, rows):
    """``rows <- f(rows)`` in place; NaN for an unknown code.

    Parameters
    ----------
    activation : int
        A value of `fastadmm.kernels.operators.activation_codes.ACTIVATIONS`.
    rows : ndarray, (n, units), float32 or float64, unit stride along the last axis
    """
    zero, one, slope = rows.dtype.type(0), rows.dtype.type(1), rows.dtype.type(SLOPE)
    if activation == IDENTITY:
        return
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
        elif activation == LEAKY_RELU:
            for j in range(len(values)):
                values[j] *= slope if values[j] < zero else one
        elif activation == HARD_TANH:
            for j in range(len(values)):
                values[j] = clip(values[j], -one, one)
        elif activation == SOFTPLUS:
            for j in range(len(values)):
                values[j] = softplus(values[j])
        else:
            values[:] = zero / zero


@jit
def times_derivative(activation, rows, states):
    """``rows <- rows * f'(a)`` in place, with f'(a) computed from ``states = f(a)``.

    At a kink the derivative is that on its left: 0 of the ReLU at 0. NaN for an unknown code.

    Parameters
    ----------
    activation : int
        A value of `fastadmm.kernels.operators.activation_codes.ACTIVATIONS`.
    rows, states : ndarray, (n, units), float32 or float64, unit stride along the last axis
    """
    zero, one, slope = rows.dtype.type(0), rows.dtype.type(1), rows.dtype.type(SLOPE)
    if activation == IDENTITY:
        return
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
        elif activation == LEAKY_RELU:
            for j in range(len(values)):
                values[j] *= one if state[j] > zero else slope
        elif activation == HARD_TANH:
            for j in range(len(values)):
                values[j] *= one if abs(state[j]) < one else zero
        elif activation == SOFTPLUS:
            for j in range(len(values)):
                values[j] *= one - exp(-state[j])
        else:
            values[:] = zero / zero


@jit
def prox(activation, m, s, w1, w2, out):
    """``argmin_a w1/2 (a − m)² + w2/2 (s − f(a))²``, entry by entry; NaN for an unknown code.

    Parameters
    ----------
    activation : int
        A value of `fastadmm.kernels.operators.activation_codes.ACTIVATIONS`.
    m, s : ndarray, (n,), float32 or float64
    w1, w2 : float or ndarray, (n,)
    out : ndarray, (n,); overwritten
    """
    if activation == TANH:
        _prox_tanh_activation(m, s, w1, w2, out)
    elif activation == SIGMOID:
        _prox_sigmoid_activation(m, s, w1, w2, out)
    elif activation == RELU:
        _prox_relu_activation(m, s, w1, w2, out)
    elif activation == LEAKY_RELU:
        _prox_leaky_relu_activation(m, s, SLOPE, w1, w2, out)
    elif activation == HARD_TANH:
        _prox_hard_tanh_activation(m, s, w1, w2, out)
    elif activation == SOFTPLUS:
        _prox_softplus_activation(m, s, w1, w2, out)
    elif activation == IDENTITY:
        _prox_identity_activation(m, s, w1, w2, out)
    else:
        zero = out.dtype.type(0)
        out[:] = zero / zero


@jit
def limits(activation):
    """Largest |f'|, |f''|, and |f f''| over |f''|; whether f has a kink, where they do not hold."""
    if activation == TANH:
        return 1.0, 0.7699, 1.0, False
    if activation == SIGMOID:
        return 0.25, 0.09623, 1.0, False
    if activation == SOFTPLUS:
        return 1.0, 0.25, 1.041, False
    if activation == IDENTITY:
        return 1.0, 0.0, 0.0, False
    return 1.0, 0.0, 0.0, True
