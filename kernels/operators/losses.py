"""Losses of a batch of outputs: value and gradient in one pass, and prox, chosen by the targets.

Labels (n,) mean the softmax cross-entropy, numbers (n, width) the squared loss.
"""

import math

from ..core.coordinates import at, like
from ..core.elementary import exp
from ..core.jit import jit
from .cross_entropy import _prox_cross_entropy_loss


@jit(reassociate=True)
def softmax_cross_entropy(outputs, labels, weights, scale, gradient):
    """Sum of ``-weights_i log softmax(outputs[i])[labels[i]]``, and its gradient times ``scale``.

    Every row is shifted by its largest entry first, so nothing overflows.

    Parameters
    ----------
    outputs : ndarray, (n, classes), float32 or float64
        Logits; not read again after ``gradient`` is written, so that both may be the same array.
    labels : ndarray, (n,), integers in [0, classes)
    weights : ndarray, (n,), or None for ones
    scale : float
        Factor on the gradient, 1 / n for the mean over the batch.
    gradient : ndarray, (n, classes), the dtype of ``outputs``; overwritten

    Returns
    -------
    float
        The unscaled sum over rows, accumulated in double precision.
    """
    real = gradient.dtype.type
    factor, total = real(scale), 0.0
    for i in range(outputs.shape[0]):
        row, slope = outputs[i], gradient[i]
        weight = real(1) if weights is None else real(weights[i])
        largest = row[0]
        for j in range(len(row)):
            # not (<=): a NaN is taken over and then kept by the sum below
            largest = largest if row[j] <= largest else row[j]
        mass = real(0)
        at_label = row[labels[i]] - largest
        for j in range(len(row)):
            slope[j] = exp(row[j] - largest)
            mass += slope[j]
        total += weight * (math.log(mass) - at_label)
        inverse = weight * factor / mass
        for j in range(len(row)):
            slope[j] *= inverse
        slope[labels[i]] -= weight * factor
    return total


@jit(reassociate=True)
def squared(outputs, targets, weights, scale, gradient):
    """Sum of ``weights_i |outputs[i] - targets[i]|^2 / 2``, and its gradient times ``scale``.

    Parameters
    ----------
    outputs, targets : ndarray, (n, width), float32 or float64
        ``gradient`` may be the same array as ``outputs``.
    weights : ndarray, (n,), or None for ones
    scale : float
        Factor on the gradient, 1 / n for the mean over the batch.
    gradient : ndarray, (n, width), the dtype of ``outputs``; overwritten

    Returns
    -------
    float
        The unscaled sum over rows, accumulated in double precision.
    """
    real = gradient.dtype.type
    factor, total = real(scale), 0.0
    for i in range(outputs.shape[0]):
        weight = real(1) if weights is None else real(weights[i])
        row = real(0)
        for j in range(outputs.shape[1]):
            residual = outputs[i, j] - targets[i, j]
            row += residual * residual
            gradient[i, j] = weight * factor * residual
        total += weight * row
    return 0.5 * total


@jit
def loss(outputs, targets, weights, scale, gradient):
    """The loss of these targets: as `softmax_cross_entropy` or `squared`."""
    if targets.ndim == 1:  # known when it is compiled
        return softmax_cross_entropy(outputs, targets, weights, scale, gradient)
    return squared(outputs, targets, weights, scale, gradient)


@jit(reassociate=True)
def _prox_squared(v, targets, step, weight, out):
    weight, step, total, one = like(weight, v), like(step, v), 0.0, v.dtype.type(1)
    for i in range(len(v)):
        tau = at(step, i) * at(weight, i)
        keep, take, row = one / (one + tau), tau / (one + tau), one - one
        for j in range(v.shape[1]):
            out[i, j] = keep * v[i, j] + take * targets[i, j]
            gap = out[i, j] - targets[i, j]
            row += gap * gap
        total += 0.5 * at(weight, i) * row
    return total


@jit
def prox(v, targets, step, weights, out):
    """``argmin_o weight_i ℓ(o_i) + |o_i - v_i|² / (2 step_i)`` of every row, and the loss there.

    Parameters
    ----------
    v : ndarray, (n, width), float32 or float64
    targets : ndarray, (n,), int64, or (n, width)
    step, weights : float or ndarray, (n,)
    out : ndarray, (n, width); overwritten

    Returns
    -------
    float
        Sum of ``weight_i ℓ(out_i)``.
    """
    if targets.ndim == 1:
        return _prox_cross_entropy_loss(v, targets, step, weights, out)
    return _prox_squared(v, targets, step, weights, out)
