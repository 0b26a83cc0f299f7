"""Logarithmic barrier and entropy, the simplex in their geometry, and the exponential cone.

The barrier and the entropy are separable; conventions are those of
`fastadmm.kernels.operators.penalties`.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import Reals, as_rows, per_row, rows, rowwise
from ..core.coordinates import at, like, load, store
from ..core.elementary import log, wright_omega
from ..core.jit import compiled_as, jit
from ..core.kinds import ENTRIES, NUMBER, PER_ENTRY, PER_ROW, RESULT, read, written
from ..core.rows import any_row
from .groups import fill_row, scale_row
from .penalties import prox, value
from .projections import relative_tolerance

MAX_STEPS = 200
LARGEST_EXPONENT = 709.0
"""Of double precision: the exponential of more overflows."""


@jit(reassociate=True)
def _log_barrier(x: ENTRIES, weight: PER_ENTRY):
    total, weight = 0.0, like(weight, x)
    for i in range(len(x)):
        xi = np.float64(x[i])
        total -= at(weight, i) * (log(xi) if xi > 0 else (-np.inf if xi <= 0 else xi))
    return total


@compiled_as(_log_barrier)
def log_barrier(x: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """Logarithmic barrier, ``-sum_i weight_i log(x_i)``; infinity where an entry is not positive.

    In compiled code ``log_barrier(x, weight)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like
        Point, of any shape: float32 or float64; integers become float64.
    weight : float or array_like
        Non-negative; one number, or one per entry.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return value(_log_barrier, x, (), ("weight", weight))


@jit(reassociate=True)
def _prox_log_barrier(v: ENTRIES, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT):
    half, total = v.dtype.type(0.5), 0.0
    step, weight = like(step, v), like(weight, v)
    for i in range(len(v)):
        vi = load(v, i)
        root = np.sqrt(at(step, i)) * np.sqrt(at(weight, i))
        far, near = half * abs(vi), root  # the larger of both first: no square overflows
        large, small = (far, near) if far > near else (near, far)
        ratio = small / large if large > 0 else large
        length = large * np.sqrt(v.dtype.type(1) + ratio * ratio)
        whole = half * abs(vi) + length
        x = whole if vi > 0 else (root * (root / whole) if whole > 0 else whole)
        total -= at(weight, i) * log(np.float64(x)) if at(weight, i) > 0 else 0.0
        store(out, i, x)
    return total


@compiled_as(_prox_log_barrier)
def prox_log_barrier(
    v: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the barrier, ``argmin_x sum_i -weight_i log(x_i) + (x_i - v_i)^2 / (2 step_i)``.

    ``(v + sqrt(v^2 + 4 tau)) / 2`` with ``tau = step weight``.

    In compiled code ``prox_log_barrier(v, step, weight, out)``, arrays C-contiguous or 1-D. It
    returns the penalty at the result.

    Cost: one pass over memory.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
    step : float or array_like
        Positive; one number, or one per entry.
    weight : float or array_like
        Non-negative; one number, or one per entry.
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
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return prox(_prox_log_barrier, v, (), step, ("weight", weight), out=out, threads=threads)


@jit(inline=True)
def _x_log_x(x):
    return x * log(x) if x > 0 else (np.inf if x < 0 else x)


@jit(reassociate=True)
def _entropy(x: ENTRIES, weight: PER_ENTRY):
    total, weight = 0.0, like(weight, x)
    for i in range(len(x)):
        total += at(weight, i) * _x_log_x(np.float64(x[i]))
    return total


@compiled_as(_entropy)
def entropy(x: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """Negative entropy, ``sum_i weight_i x_i log(x_i)``; infinity where an entry is negative.

    In compiled code ``entropy(x, weight)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like
        Point, of any shape: float32 or float64; integers become float64.
    weight : float or array_like
        Non-negative; one number, or one per entry.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return value(_entropy, x, (), ("weight", weight))


@jit(reassociate=True)
def _prox_entropy(v: ENTRIES, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT):
    one, zero, total = v.dtype.type(1), v.dtype.type(0), 0.0
    step, weight = like(step, v), like(weight, v)
    for i in range(len(v)):
        vi, tau = load(v, i), at(step, i) * at(weight, i)
        x = tau * wright_omega(vi / tau - one - log(tau))
        clipped = zero if vi < 0 else vi  # of the weight 0 the domain is left
        x = x if tau > 0 else clipped
        total += at(weight, i) * _x_log_x(np.float64(x))
        store(out, i, x)
    return total


@compiled_as(_prox_entropy)
def prox_entropy(
    v: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the entropy, ``argmin_x sum_i weight_i x_i log(x_i) + (x_i - v_i)^2 / (2 step_i)``.

    With ``tau = step weight``: ``tau omega(v / tau - 1 - log(tau))``, where the Wright omega
    function solves ``u + log(u) = z``.

    In compiled code ``prox_entropy(v, step, weight, out)``, arrays C-contiguous or 1-D. It returns
    the penalty at the result.

    Cost: one pass over memory.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
    step : float or array_like
        Positive; one number, or one per entry.
    weight : float or array_like
        Non-negative; one number, or one per entry.
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
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return prox(_prox_entropy, v, (), step, ("weight", weight), out=out, threads=threads)


@jit
def _project_simplex_kl(v: read("m", "n"), total: PER_ROW, out: written("m", "n")):
    total = like(total, v)
    for i in range(v.shape[0]):
        row, largest, mass = any_row(v, i), 0.0, 0.0
        for j in range(len(row)):
            largest = max(largest, np.float64(row[j]))
        for j in range(len(row)):
            mass += np.float64(row[j]) / largest if row[j] >= 0 else math.nan
        scale_row(row, (np.float64(at(total, i)) / mass) / largest, any_row(out, i))
    return 0.0


@compiled_as(_project_simplex_kl)
def project_simplex_kl(
    v: ArrayLike,
    total: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Point of the simplex nearest to v in the Kullback-Leibler divergence, per row.

    ``argmin_x sum_j x_j log(x_j / v_j) - x_j + v_j`` over ``x >= 0, sum_j x_j = total``:
    ``total v / sum(v)``. A row becomes NaN where an entry is negative, or none is positive.

    In compiled code ``project_simplex_kl(v, total, out)`` with v, out (m, n); total a number or
    (m,). It returns 0.

    Cost: three reads and one write of every entry.

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    total : float or array_like, (...)
        Positive; one number, or one per row.
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
    return rowwise(
        _project_simplex_kl, v, (per_row("total", total, v, positive=True),), out, axis, threads
    )


@jit
def _cone_gap(r, s, t, rho):
    """Of the line through the point of the cone at ``rho`` and its normal: 0 where it meets v."""
    up, down = np.exp(rho), np.exp(-rho)
    return ((rho - 1) * r + s) * up - (r - rho * s) * down - (rho * (rho - 1) + 1) * t


@jit
def _bracket(r, s):
    """Where both the point and the normal of ``rho`` are on their right sides."""
    low, high = -1e17, 700.0  # beyond, exp(rho) is 0 whatever rho is, or exp(-rho)
    if r > 0:
        low = max(low, 1 - s / r)
    elif r < 0:
        high = min(high, 1 - s / r)
    if s > 0:
        high = min(high, r / s)
    elif s < 0:
        low = max(low, r / s)
    return low, high


@jit
def _nearest_in_cone(r, s, t):
    """Projection of a triple that is neither in the exponential cone nor in its polar cone."""
    if r <= 0 and s <= 0:
        return r, 0.0, max(t, 0.0)
    low, high = _bracket(r, s)
    for _ in range(MAX_STEPS):
        rho = 0.5 * low + 0.5 * high
        if not low < rho < high:
            break
        if _cone_gap(r, s, t, rho) < 0:
            low = rho
        else:
            high = rho
    rho = 0.5 * low + 0.5 * high
    square = rho * (rho - 1) + 1
    if rho < 0:
        y = max((rho - 1) * r + s, 0.0) / square
        return rho * y, y, y * np.exp(rho)
    # far out (rho - 1) r + s vanishes; what the equation of the root says of it does not
    z = t + max(r - rho * s, 0.0) / square * np.exp(-rho)
    y = z * np.exp(-rho)
    return rho * y, y, z


@jit
def _is_at_most(s, exponent, bound):
    """Whether ``s exp(exponent) <= bound``, s positive, also where the exponential overflows."""
    if exponent < LARGEST_EXPONENT:
        return s * np.exp(exponent) <= bound
    return bound > 0 and exponent + math.log(s) <= math.log(bound)


@jit
def _in_exponential_cone(r, s, t, allowed):
    if s > 0:
        return _is_at_most(s, r / s, t + allowed)
    return s >= -allowed and r <= allowed and t >= -allowed


@jit
def _in_polar_cone(r, s, t):
    if r > 0:
        return _is_at_most(r, s / r, -math.e * t)
    return r == 0 and s <= 0 and t <= 0


@jit
def _project_exponential_cone(v: read("m", "3"), out: written("m", "3")):
    real = v.dtype.type
    for i in range(v.shape[0]):
        r, s, t = np.float64(v[i, 0]), np.float64(v[i, 1]), np.float64(v[i, 2])
        size = max(abs(r), max(abs(s), abs(t)))
        if not abs(r) + abs(s) + abs(t) < np.inf:
            fill_row(out[i], real(math.nan))
            continue
        if size > 0:
            r, s, t = r / size, s / size, t / size
        if _in_polar_cone(r, s, t):
            r, s, t = 0.0, 0.0, 0.0
        elif not _in_exponential_cone(r, s, t, 0.0):
            r, s, t = _nearest_in_cone(r, s, t)
            if size * s < np.finfo(v.dtype).tiny:  # a number so coarse may lie outside
                r, s = min(r, 0.0), 0.0
        out[i, 0], out[i, 1], out[i, 2] = real(size * r), real(size * s), real(size * t)
    return 0.0


def _triples(name, x, axis=-1):
    x = rows(name, x, axis)
    if x.ndim == 0 or x.shape[-1] != 3:
        raise ValueError(f"{name} has shape {x.shape}: expected (..., 3)")
    return x


@compiled_as(_project_exponential_cone)
def project_exponential_cone(
    v: ArrayLike, *, axis: int = -1, out: Reals | None = None, threads: int = 1
) -> Reals:
    """Projection onto the exponential cone, ``argmin_x |x - v|_2^2`` over the cone, per triple.

    The cone is the closure of ``{(r, s, t) : s > 0, s exp(r / s) <= t}``. One root of a monotone
    function of r / s (Friberg, 2023), by bisection to rounding, in double precision. A triple that
    holds NaN or infinity becomes NaN.

    In compiled code ``project_exponential_cone(v, out)`` with v, out (m, 3). It returns 0.

    Cost: at most 65 steps of two exponentials per triple.

    Parameters
    ----------
    v : array_like, (..., 3)
        Rows: float32 or float64; integers become float64.
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
    return rowwise(_project_exponential_cone, _triples("v", v, axis), (), out, axis, threads)


@jit
def _indicator_exponential_cone(x: read("m", "3"), tolerance: NUMBER):
    for i in range(x.shape[0]):
        r, s, t = np.float64(x[i, 0]), np.float64(x[i, 1]), np.float64(x[i, 2])
        size = abs(r) + abs(s) + abs(t)
        if not size < np.inf or not _in_exponential_cone(r, s, t, tolerance * size):
            return np.inf
    return 0.0


@compiled_as(_indicator_exponential_cone)
def indicator_exponential_cone(x: ArrayLike, tolerance: float | None = None) -> float:
    """0 where every triple is in the exponential cone up to a tolerance, else infinity.

    With a the tolerance times ``|r| + |s| + |t|``: ``s exp(r / s) - t <= a`` for positive s, else
    ``s >= -a, r <= a, t >= -a``.

    In compiled code ``indicator_exponential_cone(x, tolerance)`` with x (m, 3).

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like, (..., 3)
        Rows: float32 or float64; integers become float64.
    tolerance : float, optional
        Non-negative; in units of ``|r| + |s| + |t|``.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    x = _triples("x", x)
    return _indicator_exponential_cone(as_rows(x), relative_tolerance(tolerance, x))
