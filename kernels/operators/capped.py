"""The capped simplex, and the prox of the sum of the k largest entries, for every row.

A projection onto ``{x : 0 <= x <= cap, sum x = total}`` is ``clip(v - theta, 0, cap)``. The sum is
piecewise linear in theta and falls: Newton's method inside a bracket, with a bisection in every
third step, ends where no entry changes its piece.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import Reals, as_rows, per_row, real_array, rows, rowwise
from ..core.coordinates import at, like, load, store
from ..core.jit import compiled_as, jit
from ..core.kinds import NUMBER, PER_ROW, read, written
from ..core.norms import maximum, spread_of
from ..core.rows import any_row
from .groups import fill_row
from .ordered import checked_k
from .projections import relative_tolerance

MAX_STEPS = 1200  # as many as halve the range of double precision


@jit(reassociate=True)
def _clipped(row, origin, theta, cap):
    """Sum of the clipped entries, and how many are between the bounds."""
    total, between = 0.0, 0
    for j in range(len(row)):
        x = (np.float64(row[j]) - origin) - theta
        between += 1 if (x > 0) & (x < cap) else 0
        total += 0.0 if x < 0 else (cap if x > cap else x)
    return total, between


@jit
def capped_level(row, cap, total):
    """Largest entry, and theta for the row less it: ``sum_j clip(row_j - theta, 0, cap) = total``.

    ``0 < total <= n cap``, and all entries are finite.
    """
    origin = row[0]
    for j in range(len(row)):
        origin = maximum(origin, row[j])
    wide = np.float64(origin)
    low, high = -spread_of(row) - cap, 0.0
    theta, eps = max(low, -total), 4 * np.finfo(np.float64).eps
    for step in range(MAX_STEPS):
        mass, between = _clipped(row, wide, theta, cap)
        error = mass - total
        if abs(error) <= eps * total:
            break
        low, high = (theta, high) if error > 0 else (low, theta)
        middle = 0.5 * low + 0.5 * high
        if not low < middle < high:
            break
        newton = theta + error / between if between else high
        theta = newton if (low < newton < high) and step % 3 < 2 else middle
    return wide, theta


@jit
def _project_capped_simplex(
    v: read("m", "n"), cap: PER_ROW, total: PER_ROW, out: written("m", "n")
):
    cap, total, real = like(cap, v), like(total, v), v.dtype.type
    for i in range(v.shape[0]):
        row, result = any_row(v, i), any_row(out, i)
        if not spread_of(row) < np.inf:
            fill_row(result, real(math.nan))
            continue
        most = np.float64(at(cap, i))
        origin, theta = capped_level(row, most, np.float64(at(total, i)))
        for j in range(len(row)):
            x = (np.float64(load(row, j)) - origin) - theta
            store(result, j, real(0.0 if x < 0 else (most if x > most else x)))
    return 0.0


def _room(cap, total, x):
    cap, total = per_row("cap", cap, x, positive=True), per_row("total", total, x, positive=True)
    n = x.shape[-1] if x.ndim else 1
    if n == 0:
        raise ValueError(f"v has shape {x.shape}: expected rows of at least one entry")
    if not np.all(np.asarray(total) <= n * np.asarray(cap, np.float64) * (1 + 1e-6)):
        raise ValueError(f"total is {total} where cap is {cap}: expected at most {n} times the cap")
    return cap, total


@compiled_as(_project_capped_simplex)
def project_capped_simplex(
    v: ArrayLike,
    cap: ArrayLike = 1.0,
    total: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Projection onto the capped simplex, per row.

    ``argmin_x |x - v|_2^2`` over ``0 <= x <= cap, sum_j x_j = total``: ``clip(v - theta, 0, cap)``.
    A row that holds NaN or infinity becomes NaN.

    In compiled code ``project_capped_simplex(v, cap, total, out)`` with v, out (m, n); cap, total a
    number or (m,). It returns 0.

    Cost: a few passes over every row.

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    cap, total : float or array_like, (...)
        Positive, ``total <= n cap``; one number, or one per row.
    axis : int
        The axis of ``v`` that holds the entries of a row; one number per row has the other axes.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.
    threads : int
        How many may share the rows; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    v = rows("v", v, axis)
    return rowwise(_project_capped_simplex, v, _room(cap, total, v), out, axis, threads)


@jit(reassociate=True)
def _indicator_capped_simplex(x: read("m", "n"), cap: PER_ROW, total: PER_ROW, tolerance: NUMBER):
    cap, total = like(cap, x), like(total, x)
    for i in range(x.shape[0]):
        allowed, mass, outside = tolerance * at(total, i), 0.0, 0
        for j in range(x.shape[1]):
            mass += x[i, j]
            outside += 0 if (x[i, j] >= -allowed) & (x[i, j] <= at(cap, i) + allowed) else 1
        if outside or not abs(mass - at(total, i)) <= allowed:
            return np.inf
    return 0.0


@compiled_as(_indicator_capped_simplex)
def indicator_capped_simplex(
    x: ArrayLike, cap: ArrayLike = 1.0, total: ArrayLike = 1.0, tolerance: float | None = None
) -> float:
    """0 where ``-t <= x <= cap + t`` and ``|sum x - total| <= t = tolerance total``, else infinity.

    In compiled code ``indicator_capped_simplex(x, cap, total, tolerance)`` with x (m, n); cap,
    total a number or (m,).

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    cap, total : float or array_like, (...)
        Positive, ``total <= n cap``; one number, or one per row.
    tolerance : float, optional
        Non-negative; in units of the total.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    x = real_array("x", x)
    tolerance = relative_tolerance(tolerance, x)
    return _indicator_capped_simplex(as_rows(x), *_room(cap, total, x), tolerance)


@jit
def _prox_sum_largest(
    v: read("m", "n"), k: NUMBER, step: PER_ROW, weight: PER_ROW, out: written("m", "n")
):
    total, step, weight, real = 0.0, like(step, v), like(weight, v), v.dtype.type
    for i in range(v.shape[0]):
        row, result = any_row(v, i), any_row(out, i)
        tau = np.float64(at(step, i)) * at(weight, i)
        if len(row) == 0:
            continue
        if not spread_of(row) < np.inf:
            fill_row(result, real(math.nan))
            total = math.nan
            continue
        origin, theta = (0.0, np.inf) if k == 0 or tau == 0 else capped_level(row, tau, k * tau)
        largest = 0.0
        for j in range(len(row)):
            x = np.float64(load(row, j))
            above = (x - origin) - theta
            off = 0.0 if not above > 0 else (tau if above > tau else above)
            # the point is in the dual set, where the sum of the k largest is an inner product
            largest += (off / tau) * (x - off) if off > 0 else 0.0
            store(result, j, real(x - off))
        if tau == 0 and at(weight, i) > 0:
            largest = math.nan
        total += at(weight, i) * largest
    return total


@compiled_as(_prox_sum_largest)
def prox_sum_largest(
    v: ArrayLike,
    k: int,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of `sum_largest`, ``argmin_x weight sum_(j <= k) x_(j) + 1/(2 step) |x - v|_2^2``.

    With ``tau = step weight``: ``v - p``, p the projection of v onto the capped simplex
    ``0 <= p <= tau, sum p = k tau``. A row that holds NaN or infinity becomes NaN.

    In compiled code ``prox_sum_largest(v, k, step, weight, out)`` with v, out (m, n); step, weight
    a number or (m,). It returns the penalty at the result.

    Cost: a few passes over every row.

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    k : int
        From 0 to n.
    step : float or array_like, (...)
        Positive; one number, or one per row.
    weight : float or array_like, (...)
        Non-negative; one number, or one per row.
    axis : int
        The axis of ``v`` that holds the entries of a row; one number per row has the other axes.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.
    threads : int
        How many may share the rows; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    v = rows("v", v, axis)
    step, weight = per_row("step", step, v, positive=True), per_row("weight", weight, v)
    return rowwise(_prox_sum_largest, v, (checked_k(k, v), step, weight), out, axis, threads)
