"""Losses of a batch of outputs: value and gradient in one pass."""

import math

from ..core.elementary import exp
from ..core.jit import jit


@jit(reassociate=True)
def softmax_cross_entropy(outputs, labels, scale, gradient):
    """Sum of ``-log softmax(outputs[i])[labels[i]]`` and its gradient times ``scale``.

    Every row is shifted by its largest entry first, so nothing overflows.

    Parameters
    ----------
    outputs : ndarray, (n, classes), float32 or float64
        Logits; not read again after ``gradient`` is written, so that both may be the same array.
    labels : ndarray, (n,), integers in [0, classes)
    scale : float
        Factor on the gradient, 1 / n for the mean over the batch.
    gradient : ndarray, (n, classes), the dtype of ``outputs``; overwritten

    Returns
    -------
    float
        The unscaled sum over rows, accumulated in double precision.
    """
    real = gradient.dtype.type
    factor = real(scale)
    total = 0.0
    for i in range(outputs.shape[0]):
        row, slope = outputs[i], gradient[i]
        largest = row[0]
        for j in range(len(row)):
            # not (<=): a NaN is taken over and then kept by the sum below
            largest = largest if row[j] <= largest else row[j]
        mass = real(0)
        at_label = row[labels[i]] - largest
        for j in range(len(row)):
            slope[j] = exp(row[j] - largest)
            mass += slope[j]
        total += math.log(mass) - at_label
        inverse = factor / mass
        for j in range(len(row)):
            slope[j] *= inverse
        slope[labels[i]] -= factor
    return total


@jit(reassociate=True)
def squared(outputs, targets, scale, gradient):
    """Sum of ``|outputs[i] - targets[i]|^2 / 2`` and its gradient times ``scale``.

    Parameters
    ----------
    outputs, targets : ndarray, (n, width), float32 or float64
        ``gradient`` may be the same array as ``outputs``.
    scale : float
        Factor on the gradient, 1 / n for the mean over the batch.
    gradient : ndarray, (n, width), the dtype of ``outputs``; overwritten

    Returns
    -------
    float
        The unscaled sum over rows, accumulated in double precision.
    """
    factor = gradient.dtype.type(scale)
    total = 0.0
    for i in range(outputs.shape[0]):
        row = gradient.dtype.type(0)
        for j in range(outputs.shape[1]):
            residual = outputs[i, j] - targets[i, j]
            row += residual * residual
            gradient[i, j] = factor * residual
        total += row
    return 0.5 * total
