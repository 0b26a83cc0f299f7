"""Softmax cross-entropy row by row: value, gradient and prox, for labels and for soft targets.

Targets are labels (rows,) or rows of probabilities (rows, classes); which of the two follows from
the type, and `probability` reads both. The kernels used in training, which write the gradient over
the outputs, are in `fastadmm.kernels.operators.losses`.
"""

import math

import numpy as np
from numba.core import types
from numba.extending import overload
from numpy.typing import ArrayLike

from ..core.arguments import Reals, as_rows, given_array, per_row, real_array, rows, rowwise
from ..core.coordinates import at, like
from ..core.elementary import exp, wright_omega
from ..core.jit import compiled_as, jit
from ..core.kinds import INTEGERS, PER_ROW, read, written
from ..core.norms import largest_magnitude

MAX_STEPS = 100
"""Newton steps after which the prox of a row is left as it is."""
LANES = 16
"""Numbers in the widest vector register."""
SUM_TOLERANCE = 3e-4
"""How far the sum of a row of soft targets may be from one: what float32 leaves of many terms."""


def probability(y, i, j, one):
    """Target probability of class j in row i, in the dtype of ``one``."""
    return (one if y[i] == j else one - one) if y.ndim == 1 else y[i, j]


@overload(probability)
def _probability(y, i, j, one):
    if y.ndim == 1 and isinstance(y.dtype, types.Integer):
        return lambda y, i, j, one: one if y[i] == j else one - one
    return lambda y, i, j, one: y[i, j]


@jit
def _largest(row):
    largest = row[0]
    for j in range(len(row)):
        # not (<=): a NaN is taken over, and the sum of exponentials keeps it
        largest = largest if row[j] <= largest else row[j]
    return largest


@jit(reassociate=True)
def _row_loss(row, y, i, largest):
    """``logsumexp(row) - <y_i, row>``, both less ``largest``."""
    zero, one = row.dtype.type(0), row.dtype.type(1)
    mass, aligned = 0.0, 0.0
    for j in range(len(row)):
        p = probability(y, i, j, one)
        mass += exp(row[j] - largest)
        aligned += zero if p == 0 else p * (row[j] - largest)  # 0 times -inf is 0 here
    return math.log(mass) - aligned


@jit
def _cross_entropy_loss(
    z: read("m", "n"), y: read("m", dtype=INTEGERS) | read("m", "n"), weight: PER_ROW
):
    weight = like(weight, z)
    total = 0.0
    for i in range(z.shape[0]):
        total += at(weight, i) * _row_loss(z[i], y, i, _largest(z[i]))
    return total


@jit(reassociate=True)
def _grad_cross_entropy_loss(
    z: read("m", "n"),
    y: read("m", dtype=INTEGERS) | read("m", "n"),
    weight: PER_ROW,
    out: written("m", "n"),
):
    weight, one = like(weight, z), z.dtype.type(1)
    total = 0.0
    for i in range(z.shape[0]):
        row, slope, largest = z[i], out[i], _largest(z[i])
        total += at(weight, i) * _row_loss(row, y, i, largest)
        mass = 0.0
        for j in range(len(row)):
            slope[j] = exp(row[j] - largest)
            mass += slope[j]
        inverse = z.dtype.type(1 / mass)
        for j in range(len(row)):
            slope[j] = at(weight, i) * (slope[j] * inverse - probability(y, i, j, one))
    return total


@jit(reassociate=True)
def _masses(d, shift):
    """Sum of ``u = omega(d + shift)``, and its derivative with respect to ``shift``."""
    one = d.dtype.type(1)
    total, slope = 0.0, 0.0
    for j in range(len(d)):
        u = wright_omega(d[j] + shift)
        total += u
        slope += u / (one + u)
    return total, slope


@jit
def _apply_omega(d, shift):
    for j in range(len(d)):
        d[j] = wright_omega(d[j] + shift)


@jit
def _log_normaliser(d, classes, mean, tau):
    """``log(tau) - L`` for the root L of ``sum_j omega(d_j + log(tau) - L) = tau``, max(d) = 0.

    ``d`` holds the classes and then -inf; ``mean`` is that of the classes.

    The sum is convex and decreasing in L, so every Newton step, from either side, ends on the left
    of the root: a lower bound. A step of Newton on the logarithm of the sum is longer and exact
    where the sum is exponential; it is taken while it stays in the bracket. Stops with

        |sum - tau| <= 8 eps (tau + |log(tau) - L| |derivative|),

    the effect of rounding in d and L; the step from there is taken.
    """
    eps = 8 * np.finfo(d.dtype).eps
    log_tau = math.log(tau)
    spread = math.log(classes) - tau / classes
    low, high = max(-tau, mean + spread), spread
    level = low
    for _ in range(MAX_STEPS):
        shift = d.dtype.type(log_tau - level)
        total, slope = _masses(d, shift)
        error = total - tau
        safe = level + error / slope
        if not abs(error) > eps * (tau + slope * abs(shift)):  # NaN stops too
            level = safe
            break
        if error < 0:
            high = min(high, level)
        low = max(low, safe)
        longer = level + total * math.log(total / tau) / slope
        level = longer if low <= longer < high else low if low < high else 0.5 * (low + high)
        if low >= high:
            break
    return d.dtype.type(log_tau - level)


@jit(reassociate=True)
def _prox_cross_entropy_loss(
    v: read("m", "n"),
    y: read("m", dtype=INTEGERS) | read("m", "n"),
    step: PER_ROW,
    weight: PER_ROW,
    out: written("m", "n"),
):
    step, weight, one = like(step, v), like(weight, v), v.dtype.type(1)
    classes, inverse_eps = v.shape[1], one / v.dtype.type(np.finfo(v.dtype).eps)
    # whole vectors: without padding a row of few classes would be done one by one
    padded = np.full((classes + LANES - 1) // LANES * LANES, -np.inf, v.dtype)
    d = padded[:classes]
    total = 0.0
    for i in range(v.shape[0]):
        source, row = v[i], out[i]
        tau = at(step, i) * at(weight, i)
        # from here on v would be lost in the rounding of v + tau y
        most = inverse_eps * (one + largest_magnitude(source))
        tau = most if tau > most else tau
        tau = tau if classes > 1 else one - one  # the loss of a single class is constant
        for j in range(classes):
            row[j] = source[j] + tau * probability(y, i, j, one)
        if tau > 0:
            largest, mean = _largest(row), 0.0
            for j in range(classes):
                d[j] = row[j] - largest
                mean += d[j]
            shift = _log_normaliser(padded, classes, mean / classes, float(tau))
            _apply_omega(padded, shift)
            for j in range(classes):
                # u is 0 for a class that can be neglected: then x = v exactly
                row[j] = row[j] - d[j]
        total += at(weight, i) * _row_loss(row, y, i, _largest(row))
        padded[classes:] = -np.inf
    return total


def _rows(name, z, axis=-1):
    z = rows(name, z, axis)
    if z.ndim == 0 or z.shape[-1] == 0:
        raise ValueError(f"{name} has shape {z.shape}: expected (..., classes), classes at least 1")
    return z


def _targets(y, z, axis=-1):
    """Labels (rows,) as int64, or probabilities (rows, classes) in the dtype of z."""
    y, classes = given_array("y", y), z.shape[-1]
    if axis != -1 and y.ndim == z.ndim:  # probabilities
        y = np.moveaxis(y, axis, -1)
    if y.dtype.kind in "iu" and y.shape == z.shape[:-1]:
        wrong = (y < 0) | (y >= classes)
        if wrong.any():
            raise ValueError(f"y contains {y[wrong].flat[0]}: expected labels in [0, {classes})")
        return np.ascontiguousarray(y, np.int64).reshape(-1)
    if y.shape != z.shape:
        raise ValueError(
            f"y has shape {y.shape} and dtype {y.dtype}: expected integer labels {z.shape[:-1]} "
            f"or probabilities {z.shape}"
        )
    y = real_array("y", y)
    if not (y >= 0).all() or (np.abs(y.sum(axis=-1) - 1) > SUM_TOLERANCE).any():
        raise ValueError("y has rows that are no probabilities: expected >= 0 with sum 1")
    return np.ascontiguousarray(y, z.dtype).reshape(-1, classes)


@compiled_as(_cross_entropy_loss)
def cross_entropy_loss(z: ArrayLike, y: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """Softmax cross-entropy, ``sum_i weight_i (logsumexp(z_i) - <y_i, z_i>)``.

    Stable for logits of any size.

    In compiled code ``cross_entropy_loss(z, y, weight)`` with z (m, n); y (m,) of integers or
    (m, n); weight a number or (m,).

    Cost: an exponential per entry.

    Parameters
    ----------
    z : array_like, (..., classes)
        Logits: float32 or float64; integers become float64.
    y : array_like, (...) or (..., classes)
        Integer labels in [0, classes), or probabilities that sum to one along the last axis.
    weight : float or array_like, (...)
        Non-negative; one number, or one per row.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape, a label or probability out of range, or a negative number.
    """
    z = _rows("z", z)
    return _cross_entropy_loss(as_rows(z), _targets(y, z), per_row("weight", weight, z))


@compiled_as(_grad_cross_entropy_loss)
def grad_cross_entropy_loss(
    z: ArrayLike,
    y: ArrayLike,
    weight: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Gradient of `cross_entropy_loss`, ``weight (softmax(z) - y)``; its kernel returns the loss.

    In compiled code ``grad_cross_entropy_loss(z, y, weight, out)`` with z, out (m, n); y (m,) of
    integers or (m, n); weight a number or (m,). It returns the loss.

    Cost: two exponentials per entry.

    Parameters
    ----------
    z : array_like, (..., classes)
        Logits: float32 or float64; integers become float64.
    y : array_like, (...) or (..., classes)
        Integer labels in [0, classes), or probabilities that sum to one along the last axis.
    weight : float or array_like, (...)
        Non-negative; one number, or one per row.
    axis : int
        The axis of ``z`` that holds the classes; one number per row has the other axes.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``z``; may be ``z`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``z``

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape, a label or probability out of range, or a negative number.
    """
    z = _rows("z", z, axis)
    arguments = _targets(y, z, axis), per_row("weight", weight, z)
    return rowwise(_grad_cross_entropy_loss, z, arguments, out, axis, threads)


@compiled_as(_prox_cross_entropy_loss)
def prox_cross_entropy_loss(
    v: ArrayLike,
    y: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the softmax cross-entropy.

    ``argmin_x weight (logsumexp(x) - <y, x>) + 1/(2 step) |x - v|^2`` for every row.

    With ``tau = step weight`` and L = logsumexp(x), stationarity reads
    ``x + tau exp(x - L) = v + tau y``: each entry is a Wright omega function of L, and L is the
    root of one convex decreasing function. Newton's method on it eliminates the rank-one part of
    the Hessian ``diag(p) - p p^T + I / tau`` as the Sherman-Morrison formula does, needs
    no line search and has a bracket at every step. Where tau is above ``(1 + max |v|) / eps``, v
    is lost in the rounding of ``v + tau y``, and tau counts as that.

    In compiled code ``prox_cross_entropy_loss(v, y, step, weight, out)`` with v, out (m, n); y (m,)
    of integers or (m, n); step, weight a number or (m,). It returns the loss at the result.

    Cost: O(classes) per row and Newton step, a Wright omega function per entry.

    Parameters
    ----------
    v : array_like, (..., classes)
        Point: float32 or float64; integers become float64.
    y : array_like, (...) or (..., classes)
        Integer labels in [0, classes), or probabilities that sum to one along the last axis.
    step : float or array_like, (...)
        Positive; one number, or one per row.
    weight : float or array_like, (...)
        Non-negative; one number, or one per row.
    axis : int
        The axis of ``v`` that holds the classes; one number per row has the other axes.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape, a label or probability out of range, or a negative number.
    """
    v = _rows("v", v, axis)
    arguments = (
        _targets(y, v, axis),
        per_row("step", step, v, positive=True),
        per_row("weight", weight, v),
    )
    return rowwise(_prox_cross_entropy_loss, v, arguments, out, axis, threads)
