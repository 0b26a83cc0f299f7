"""Sets: projection, and indicator with a tolerance.

``project_X(v)`` is the point of the set nearest to v, the prox of the set's indicator for every
step; its kernel returns 0, the value there. ``indicator_X(x)`` is 0 where x is in the set up to
the tolerance it documents, and infinity elsewhere, at a NaN as well. Where a tolerance is relative,
None stands for `TOLERANCE` times the machine epsilon of the dtype, which the projections meet.

The affine set is in `fastadmm.kernels.operators.affine`, the semidefinite cone in
`fastadmm.kernels.operators.spectral`.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import (
    Reals,
    as_rows,
    companion,
    elementwise,
    number,
    per_row,
    real_array,
    rows,
    rowwise,
)
from ..core.coordinates import at, like, load, store
from ..core.jit import compiled_as, jit
from ..core.kinds import ENTRIES, NUMBER, PER_ENTRY, PER_ROW, RESULT, read, written
from ..core.norms import largest_magnitude, norm, sum_of_magnitudes
from ..core.rows import any_row
from ..core.thresholds import SURVEYED, lower_to, row_level, survey, surveyed
from .groups import clip_row, copy_row, fill_row, scale_row

TOLERANCE = 1000
"""Default relative tolerance of the indicators, in machine epsilons."""

RELATIVE = """tolerance : float, optional
    Non-negative; {relative_to}.
"""


def relative_tolerance(tolerance, x):
    """The tolerance after a check, or the default of the dtype for None."""
    if tolerance is None:
        return TOLERANCE * float(np.finfo(x.dtype).eps)
    return number("tolerance", tolerance, 0)


def _bounds(lower, upper, x):
    if type(lower) is float and type(upper) is float and lower <= upper:
        return lower, upper
    lower, upper = real_array("lower", lower), real_array("upper", upper)
    try:
        both = np.broadcast_arrays(lower, upper)
    except ValueError:
        raise ValueError(
            f"lower has shape {lower.shape} and upper {upper.shape}: expected shapes that broadcast"
        ) from None
    wrong = ~(both[0] <= both[1])  # a NaN is wrong
    if wrong.any():
        a, b = (bound[wrong].flat[0] for bound in both)
        raise ValueError(f"lower is {a} where upper is {b}: expected lower <= upper")
    return tuple(
        float(bound) if bound.ndim == 0 else companion(name, bound, x)
        for name, bound in (("lower", lower), ("upper", upper))
    )


@jit
def _project_box(v: ENTRIES, lower: PER_ENTRY, upper: PER_ENTRY, out: RESULT):
    lower, upper = like(lower, v), like(upper, v)
    for i in range(len(v)):
        x, low, high = load(v, i), at(lower, i), at(upper, i)
        store(out, i, low if x < low else (high if x > high else x))
    return 0.0


@compiled_as(_project_box)
def project_box(
    v: ArrayLike, lower: ArrayLike, upper: ArrayLike, *, out: Reals | None = None, threads: int = 1
) -> Reals:
    """Projection onto the box, ``argmin_x |x - v|^2`` over ``lower <= x <= upper``.

    ``min(max(v, lower), upper)``.

    In compiled code ``project_box(v, lower, upper, out)``, arrays C-contiguous or 1-D. It returns
    0.

    Cost: one pass over memory.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
    lower, upper : float or array_like
        Bounds, ``lower <= upper``, infinities allowed; one number, or one per entry.
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
    v = real_array("v", v)
    return elementwise(_project_box, v, _bounds(lower, upper, v), out, threads)


@jit(reassociate=True)
def _indicator_box(x: ENTRIES, lower: PER_ENTRY, upper: PER_ENTRY, tolerance: NUMBER):
    lower, upper, tolerance = like(lower, x), like(upper, x), x.dtype.type(tolerance)
    outside = 0
    for i in range(len(x)):
        inside = (x[i] >= at(lower, i) - tolerance) & (x[i] <= at(upper, i) + tolerance)
        outside += 0 if inside else 1
    return np.inf if outside else 0.0


@compiled_as(_indicator_box)
def indicator_box(
    x: ArrayLike, lower: ArrayLike, upper: ArrayLike, tolerance: float = 0.0
) -> float:
    """0 where ``lower - tolerance <= x <= upper + tolerance`` in all entries, else infinity.

    In compiled code ``indicator_box(x, lower, upper, tolerance)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like
        Point, of any shape: float32 or float64; integers become float64.
    lower, upper : float or array_like
        Bounds, ``lower <= upper``, infinities allowed; one number, or one per entry.
    tolerance : float
        Non-negative; how far beyond a bound an entry may be.

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
    return _indicator_box(x.ravel(), *_bounds(lower, upper, x), tolerance)


@jit
def _project_nonnegative(v: ENTRIES, out: RESULT):
    zero = v.dtype.type(0)
    for i in range(len(v)):
        x = load(v, i)
        store(out, i, zero if x < 0 else x)
    return 0.0


@compiled_as(_project_nonnegative)
def project_nonnegative(v: ArrayLike, *, out: Reals | None = None, threads: int = 1) -> Reals:
    """Projection onto the nonnegative orthant, ``argmin_x |x - v|^2`` over ``x >= 0``.

    In compiled code ``project_nonnegative(v, out)``, arrays C-contiguous or 1-D. It returns 0.

    Cost: one pass over memory.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
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
    return elementwise(_project_nonnegative, real_array("v", v), (), out, threads)


@jit(reassociate=True)
def _indicator_nonnegative(x: ENTRIES, tolerance: NUMBER):
    tolerance, outside = x.dtype.type(tolerance), 0
    for i in range(len(x)):
        outside += 0 if x[i] >= -tolerance else 1
    return np.inf if outside else 0.0


@compiled_as(_indicator_nonnegative)
def indicator_nonnegative(x: ArrayLike, tolerance: float = 0.0) -> float:
    """0 where ``x >= -tolerance`` in all entries, else infinity.

    In compiled code ``indicator_nonnegative(x, tolerance)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like
        Point, of any shape: float32 or float64; integers become float64.
    tolerance : float
        Non-negative; how far beyond a bound an entry may be.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    x = real_array("x", x)
    return _indicator_nonnegative(x.ravel(), relative_tolerance(tolerance, x))


def _in_rows(kernel, x, name, size, tolerance, positive=False):
    x = real_array("x", x)
    size = per_row(name, size, x, positive=positive)
    return kernel(as_rows(x), size, relative_tolerance(tolerance, x))


def _ball(kernel, v, radius, out, axis, threads, work=()):
    return rowwise(kernel, v, (per_row("radius", radius, v), *work), out, axis, threads)


@jit
def _scale_to(row, size, radius, out):
    """``out <- (radius / size) row``, in two steps where the factor would vanish."""
    factor = radius / size
    if factor >= np.finfo(row.dtype).tiny:
        scale_row(row, factor, out)
    else:
        root = math.sqrt(radius) / math.sqrt(size)
        scale_row(row, root, out)
        scale_row(out, root, out)


@jit
def _project_l2_ball(v: read("m", "n"), radius: PER_ROW, out: written("m", "n")):
    radius = like(radius, v)
    for i in range(v.shape[0]):
        size = norm(any_row(v, i))
        if size <= at(radius, i):
            copy_row(any_row(v, i), any_row(out, i))
        else:
            _scale_to(any_row(v, i), size, np.float64(at(radius, i)), any_row(out, i))
    return 0.0


@compiled_as(_project_l2_ball)
def project_l2_ball(
    v: ArrayLike,
    radius: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Projection onto the l2 ball, ``argmin_x |x - v|_2^2`` over ``|x|_2 <= radius``, per row.

    ``v min(1, radius / |v|_2)``.

    In compiled code ``project_l2_ball(v, radius, out)`` with v, out (m, n); radius a number or
    (m,). It returns 0.

    Cost: two reads and one write of every entry.

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    radius : float or array_like, (...)
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
    return _ball(_project_l2_ball, rows("v", v, axis), radius, out, axis, threads)


@jit
def _indicator_l2_ball(x: read("m", "n"), radius: PER_ROW, tolerance: NUMBER):
    radius = like(radius, x)
    for i in range(x.shape[0]):
        if not norm(any_row(x, i)) <= (1.0 + tolerance) * at(radius, i):
            return np.inf
    return 0.0


@compiled_as(_indicator_l2_ball)
def indicator_l2_ball(
    x: ArrayLike, radius: ArrayLike = 1.0, tolerance: float | None = None
) -> float:
    """0 where ``|x|_2 <= (1 + tolerance) radius`` in every row, else infinity.

    In compiled code ``indicator_l2_ball(x, radius, tolerance)`` with x (m, n); radius a number or
    (m,).

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    radius : float or array_like, (...)
        Non-negative; one number, or one per row.
    tolerance : float, optional
        Non-negative; in units of the radius.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _in_rows(_indicator_l2_ball, x, "radius", radius, tolerance)


@jit
def _project_linf_ball(v: read("m", "n"), radius: PER_ROW, out: written("m", "n")):
    radius = like(radius, v)
    for i in range(v.shape[0]):
        clip_row(any_row(v, i), at(radius, i), any_row(out, i))
    return 0.0


@compiled_as(_project_linf_ball)
def project_linf_ball(
    v: ArrayLike,
    radius: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Projection onto the linf ball, ``argmin_x |x - v|_2^2`` over ``|x_j| <= radius``, per row.

    In compiled code ``project_linf_ball(v, radius, out)`` with v, out (m, n); radius a number or
    (m,). It returns 0.

    Cost: one pass over memory.

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    radius : float or array_like, (...)
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
    return _ball(_project_linf_ball, rows("v", v, axis), radius, out, axis, threads)


@jit
def _indicator_linf_ball(x: read("m", "n"), radius: PER_ROW, tolerance: NUMBER):
    radius = like(radius, x)
    for i in range(x.shape[0]):
        if not largest_magnitude(any_row(x, i)) <= (1.0 + tolerance) * at(radius, i):
            return np.inf
    return 0.0


@compiled_as(_indicator_linf_ball)
def indicator_linf_ball(
    x: ArrayLike, radius: ArrayLike = 1.0, tolerance: float | None = None
) -> float:
    """0 where ``|x_j| <= (1 + tolerance) radius`` in every row, else infinity.

    In compiled code ``indicator_linf_ball(x, radius, tolerance)`` with x (m, n); radius a number or
    (m,).

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    radius : float or array_like, (...)
        Non-negative; one number, or one per row.
    tolerance : float, optional
        Non-negative; in units of the radius.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _in_rows(_indicator_linf_ball, x, "radius", radius, tolerance)


@jit
def _project_l1_ball(v: read("m", "n"), radius: PER_ROW, work: SURVEYED, out: written("m", "n")):
    radius = like(radius, v)
    for i in range(v.shape[0]):
        row, result, bound = any_row(v, i), any_row(out, i), at(radius, i)
        largest, size = survey(row, True, work)
        if size <= bound:
            copy_row(row, result)
        elif bound == 0:
            scale_row(row, 0.0, result)
        else:
            theta, rest = row_level(row, bound, True, largest, work)
            lower_to(row, True, largest, theta, rest, work, result)
    return 0.0


@compiled_as(_project_l1_ball)
def project_l1_ball(
    v: ArrayLike,
    radius: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Projection onto the l1 ball, ``argmin_x |x - v|_2^2`` over ``|x|_1 <= radius``, per row.

    ``sign(v) max(|v| - theta, 0)`` where ``|v|_1 > radius``, theta such that the sum is the
    radius.

    In compiled code ``project_l1_ball(v, radius, work, out)`` with v, out (m, n); radius a number
    or (m,); work (n + n // 128 + 1,). It returns 0.

    Cost: O(n) expected per row, no sort.

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    radius : float or array_like, (...)
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
    return _ball(_project_l1_ball, v, radius, out, axis, threads, (surveyed(v),))


@jit
def _indicator_l1_ball(x: read("m", "n"), radius: PER_ROW, tolerance: NUMBER):
    radius = like(radius, x)
    for i in range(x.shape[0]):
        if not sum_of_magnitudes(any_row(x, i)) <= (1.0 + tolerance) * at(radius, i):
            return np.inf
    return 0.0


@compiled_as(_indicator_l1_ball)
def indicator_l1_ball(
    x: ArrayLike, radius: ArrayLike = 1.0, tolerance: float | None = None
) -> float:
    """0 where ``|x|_1 <= (1 + tolerance) radius`` in every row, else infinity.

    In compiled code ``indicator_l1_ball(x, radius, tolerance)`` with x (m, n); radius a number or
    (m,).

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    radius : float or array_like, (...)
        Non-negative; one number, or one per row.
    tolerance : float, optional
        Non-negative; in units of the radius.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _in_rows(_indicator_l1_ball, x, "radius", radius, tolerance)


@jit
def _project_simplex(v: read("m", "n"), total: PER_ROW, work: SURVEYED, out: written("m", "n")):
    total = like(total, v)
    for i in range(v.shape[0]):
        row, result = any_row(v, i), any_row(out, i)
        largest, _ = survey(row, False, work)
        theta, rest = row_level(row, at(total, i), False, largest, work)
        lower_to(row, False, largest, theta, rest, work, result)
    return 0.0


@compiled_as(_project_simplex)
def project_simplex(
    v: ArrayLike,
    total: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Projection onto the simplex, per row.

    ``argmin_x |x - v|_2^2`` over ``x >= 0, sum_j x_j = total``:
    ``max(v - theta, 0)`` with theta such that the sum is the total.

    A row must not be empty.

    In compiled code ``project_simplex(v, total, work, out)`` with v, out (m, n); total a number or
    (m,); work (n + n // 128 + 1,). It returns 0.

    Cost: O(n) expected per row, no sort.

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
    if v.ndim and v.shape[-1] == 0:
        raise ValueError(f"v has shape {v.shape}: expected rows of at least one entry")
    arguments = per_row("total", total, v, positive=True), surveyed(v)
    return rowwise(_project_simplex, v, arguments, out, axis, threads)


@jit(reassociate=True)
def _indicator_simplex(x: read("m", "n"), total: PER_ROW, tolerance: NUMBER):
    total = like(total, x)
    for i in range(x.shape[0]):
        allowed, mass, negative = tolerance * at(total, i), 0.0, 0
        for j in range(x.shape[1]):
            mass += x[i, j]
            negative += 0 if x[i, j] >= -allowed else 1
        if negative or not abs(mass - at(total, i)) <= allowed:
            return np.inf
    return 0.0


@compiled_as(_indicator_simplex)
def indicator_simplex(
    x: ArrayLike, total: ArrayLike = 1.0, tolerance: float | None = None
) -> float:
    """0 where ``x >= -t`` and ``|sum x - total| <= t = tolerance total`` in every row, else inf.

    In compiled code ``indicator_simplex(x, total, tolerance)`` with x (m, n); total a number or
    (m,).

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    total : float or array_like, (...)
        Positive; one number, or one per row.
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
    return _in_rows(_indicator_simplex, x, "total", total, tolerance, positive=True)


@jit
def _project_second_order_cone(v: read("m", "n"), out: written("m", "n")):
    real = v.dtype.type
    for i in range(v.shape[0]):
        t, size = np.float64(v[i, 0]), norm(any_row(v, i)[1:])
        if size <= t:
            copy_row(any_row(v, i), any_row(out, i))
        elif size <= -t:
            fill_row(any_row(out, i), real(0))
        else:
            half = 0.5 * t + 0.5 * size
            scale_row(any_row(v, i)[1:], half / size, any_row(out, i)[1:])
            out[i, 0] = real(half)
    return 0.0


@compiled_as(_project_second_order_cone)
def project_second_order_cone(
    v: ArrayLike, *, axis: int = -1, out: Reals | None = None, threads: int = 1
) -> Reals:
    """Projection onto the second-order cone, ``argmin_x |x - v|_2^2`` over the cone, per row.

    The first entry of a row is t and the others are z; the cone is ``|z|_2 <= t``. In the cone v
    itself, in the polar cone 0, else ``(t + |z|) / 2 (1, z / |z|)``.

    In compiled code ``project_second_order_cone(v, out)`` with v, out (m, n). It returns 0.

    Cost: two reads and one write of every entry.

    Parameters
    ----------
    v : array_like, (..., n)
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
    return rowwise(_project_second_order_cone, _cone_rows("v", v, axis), (), out, axis, threads)


@jit
def _indicator_second_order_cone(x: read("m", "n"), tolerance: NUMBER):
    for i in range(x.shape[0]):
        t, size = np.float64(x[i, 0]), norm(any_row(x, i)[1:])
        if not size - t <= tolerance * size:
            return np.inf
    return 0.0


@compiled_as(_indicator_second_order_cone)
def indicator_second_order_cone(x: ArrayLike, tolerance: float | None = None) -> float:
    """0 where ``|z|_2 - t <= tolerance |z|_2`` in every row (t, z), else infinity.

    In compiled code ``indicator_second_order_cone(x, tolerance)`` with x (m, n).

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    tolerance : float, optional
        Non-negative; in units of ``|z|_2``.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    x = _cone_rows("x", x)
    return _indicator_second_order_cone(as_rows(x), relative_tolerance(tolerance, x))


def _cone_rows(name, x, axis=-1):
    x = rows(name, x, axis)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"{name} has shape {x.shape}: expected rows (t, z...), at least t")
    return x
