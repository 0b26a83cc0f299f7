"""Steps of coordinate descent on ``1/2 (x - t) A (x - t)ᵀ + g(x)``: over entries, and over columns.

The gradient A (x - t) is kept up to date, so that a coordinate that stays costs nothing and one
that moves 2 n flops.
"""

import math

from ..core.coordinates import at
from ..core.jit import jit
from ..core.rows import row
from ..operators.penalties import soft

NEWTON = 50
"""Most steps of the search for the norm of a group, which is over after a few."""


@jit(internal=True)
def add_scaled(total, factor, addend):
    """``total <- total + factor addend`` of two vectors."""
    for j in range(len(total)):
        total[j] += factor * addend[j]


@jit(reassociate=True)
def distance(gradient, x, lower, upper, weight, ridge):
    """Distance of ``-gradient`` from the subdifferential of g at x.

    ``g(x) = weight |x| + ridge x^2 / 2`` on a box; coefficients are numbers or vectors.
    """
    total = 0.0
    for j in range(len(x)):
        slope, value = -float(gradient[j] + at(ridge, j) * x[j]), x[j]
        least, most = -float(at(weight, j)), float(at(weight, j))
        least, most = (most if value > 0 else least), (least if value < 0 else most)
        least = -math.inf if value <= at(lower, j) else least
        most = math.inf if value >= at(upper, j) else most
        gap = max(least - slope, slope - most, 0.0)
        total += gap * gap
    return math.sqrt(total)


@jit(internal=True)
def descend(matrix, gradient, x, lower, upper, weight, ridge, goal, sweeps):
    """Coordinate descent on one row, for ``weight |x| + ridge x^2 / 2`` on a box.

    Parameters
    ----------
    matrix : ndarray, (n, n)
        A, both triangles.
    gradient : ndarray, (n,), contiguous; kept up to date
        ``A (x - t)``.
    x : ndarray, (n,), contiguous; overwritten
        Within the box.
    lower, upper, weight, ridge : float or ndarray, (n,)
    goal : float
        Stops where `distance` is at most this.
    sweeps : int

    Returns
    -------
    float, int
        The distance, and the sweeps taken.
    """
    real, zero = x.dtype.type, x.dtype.type(0)
    for sweep in range(sweeps):
        error = distance(gradient, x, lower, upper, weight, ridge)
        if not error > goal:
            return error, sweep
        for j in range(len(x)):
            entries = row(matrix, j)
            old, own = x[j], real(at(ridge, j))
            curvature = entries[j] + own
            step = real(at(weight, j)) / curvature
            new = soft(old - (gradient[j] + own * old) / curvature, step)
            new = min(max(new, real(at(lower, j))), real(at(upper, j)))
            if new - old != zero:
                x[j] = new
                add_scaled(gradient, new - old, entries)
    return distance(gradient, x, lower, upper, weight, ridge), sweeps


@jit(internal=True)
def group_norm(pull, curvature, weight):
    """Norm of ``argmin_x Σ c_i/2 x_i^2 - b_i x_i + weight |x|``, whose entries are then
    ``b_i ν / (c_i ν + weight)``; 0 where all of them are.

    ``Σ (b_i / (c_i ν + weight))^2 = 1`` by Newton steps for the reciprocal of the root, which is
    concave in ν, so that they come from below and need no safeguard. Exact at once for equal c.
    """
    square, largest = 0.0, 0.0
    for i in range(len(pull)):
        square += float(pull[i]) ** 2
        largest = max(largest, float(curvature[i]))
    norm = math.sqrt(square)
    if not norm > weight:
        return 0.0
    found = (norm - weight) / largest  # not above the root
    for _ in range(NEWTON):
        total, slope = 0.0, 0.0
        for i in range(len(pull)):
            c = float(curvature[i])
            ratio = float(pull[i]) / (c * found + weight)
            total += ratio**2
            slope += ratio**2 * c / (c * found + weight)
        step = (math.sqrt(total) - 1) * total / slope
        found += step
        if not abs(step) > 1e-15 * found:
            break
    return found


@jit(internal=True)
def column_aim(matrix, gradient, x, scale, j, pull, curvature):
    """What column j of one system is pulled to: ``c_i = scale_i A_jj`` and ``b_i = c_i u_i``."""
    for i in range(len(x)):
        curvature[i] = scale[i] * matrix[j, j]
        pull[i] = curvature[i] * x[i, j] - scale[i] * gradient[i, j]


@jit(internal=True)
def column_move(matrix, gradient, x, j, pull, curvature, norm, weight):
    """Move column j to the minimiser over its group, and the gradients along.

    Returns
    -------
    float
        Squared rms change, in the metric, by this move.
    """
    real, total = x.dtype.type, 0.0
    for i in range(len(x)):
        new = real(0)
        if norm > 0:
            new = real(pull[i] * norm / (curvature[i] * norm + weight))
        if new != x[i, j]:
            total += float(new - x[i, j]) ** 2 * matrix[j, j]
            add_scaled(row(gradient, i), new - x[i, j], row(matrix, j))
            x[i, j] = new
    return total


@jit(internal=True)
def column_distance(gradient, x, scale, j, weight):
    """Squared distance of column j's negative gradient from the subdifferential of its norm."""
    norm, size = 0.0, 0.0
    for i in range(len(x)):
        norm += float(x[i, j]) ** 2
        size += (float(scale[i]) * gradient[i, j]) ** 2
    if norm == 0:
        return max(math.sqrt(size) - weight, 0.0) ** 2
    norm, total = math.sqrt(norm), 0.0
    for i in range(len(x)):
        total += (float(scale[i]) * gradient[i, j] + weight * x[i, j] / norm) ** 2
    return total
