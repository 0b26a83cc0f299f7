"""Operators that order decides: value or indicator, and prox or projection, for every row.

Isotonic regression, the sorted l1 norm and a permutahedron take one pooling of adjacent violators
(`fastadmm.kernels.core.order`), the latter two after a sort. The prox of the sum of the k largest
entries needs no sort: it is in `fastadmm.kernels.operators.capped`.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import (
    Reals,
    array,
    as_rows,
    coefficient,
    count,
    per_row,
    real_array,
    rows,
    rowwise,
)
from ..core.coordinates import at, like
from ..core.jit import compiled_as, jit
from ..core.kinds import DOUBLE, NUMBER, PER_ROW, read, written
from ..core.norms import spread_of
from ..core.order import KEYS, PLACES, POOLS, pool, sort_descending, sorting
from ..core.rows import any_row
from .groups import fill_row
from .projections import relative_tolerance


def _weights_of_entries(weight, x):
    n = x.shape[-1] if x.ndim else 1
    weight = coefficient("weight", weight, np.empty(n, x.dtype), positive=True)
    return np.broadcast_to(np.asarray(weight, np.float64), n).copy()


@jit
def _project_isotonic(
    v: read("m", "n"),
    weight: read("n", dtype=DOUBLE),
    levels: written("n", dtype=DOUBLE),
    pools: POOLS,
    out: written("m", "n"),
):
    real = v.dtype.type
    for i in range(v.shape[0]):
        row, result = any_row(v, i), any_row(out, i)
        if len(row) == 0:
            continue
        if not spread_of(row) < np.inf:
            fill_row(result, real(math.nan))
            continue
        origin = np.float64(row[0])  # a common offset would cost digits
        for j in range(len(row)):
            levels[j] = np.float64(row[j]) - origin
        pool(levels, weight, False, pools)
        for j in range(len(row)):
            result[j] = real(levels[j] + origin)
    return 0.0


@compiled_as(_project_isotonic)
def project_isotonic(
    v: ArrayLike,
    weight: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Isotonic regression: ``argmin_x sum_j weight_j (x_j - v_j)^2`` over ``x_j <= x_(j+1)``.

    For a sequence that falls project ``-v``. A row that holds NaN or infinity becomes NaN.

    In compiled code ``project_isotonic(v, weight, levels, pools, out)`` with v, out (m, n); weight
    float64 (n,); levels float64 (n,); pools float64 (3, n). It returns 0.

    Cost: O(n) whatever the data.

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    weight : float or array_like, (n,)
        Positive; one number, or one per entry of a row.
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
    pools = np.empty((4, v.shape[-1] if v.ndim else 1))
    arguments = _weights_of_entries(weight, v), pools[3], pools[:3]
    return rowwise(_project_isotonic, v, arguments, out, axis, threads)


@jit(reassociate=True)
def _indicator_isotonic(x: read("m", "n"), tolerance: NUMBER):
    for i in range(x.shape[0]):
        row, wrong = any_row(x, i), 0
        if len(row) == 0:
            continue
        allowed = tolerance * spread_of(row)
        for j in range(len(row) - 1):
            wrong += 0 if np.float64(row[j]) - np.float64(row[j + 1]) <= allowed else 1
        if wrong or not allowed < np.inf:
            return np.inf
    return 0.0


@compiled_as(_indicator_isotonic)
def indicator_isotonic(x: ArrayLike, tolerance: float | None = None) -> float:
    """0 where no entry of a row is more than the tolerance below the one before it, else infinity.

    In compiled code ``indicator_isotonic(x, tolerance)`` with x (m, n).

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    tolerance : float, optional
        Non-negative; in units of the range of a row.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    x = real_array("x", x)
    return _indicator_isotonic(as_rows(x), relative_tolerance(tolerance, x))


@jit
def _order_magnitudes(row, keys, places):
    for j in range(len(row)):
        keys[0, j] = abs(np.float64(row[j]))
    sort_descending(keys, places)


@jit
def _sorted_l1(x: read("m", "n"), weight: read("n"), keys: KEYS, places: PLACES):
    total = 0.0
    for i in range(x.shape[0]):
        _order_magnitudes(any_row(x, i), keys, places)
        for j in range(x.shape[1]):
            total += np.float64(weight[j]) * keys[0, j]
    return total


def _falling(weight, x):
    weight = array("weight", weight, (x.shape[-1] if x.ndim else 1,), x)
    if not (weight >= 0).all() or (np.diff(weight) > 0).any() or not (weight < np.inf).all():
        raise ValueError(f"weight is {weight}: expected numbers that fall, none negative, finite")
    return weight


@compiled_as(_sorted_l1)
def sorted_l1(x: ArrayLike, weight: ArrayLike) -> float:
    """Sorted l1 norm (OWL, SLOPE), ``sum_j weight_j |x|_(j)`` for every row, largest first.

    In compiled code ``sorted_l1(x, weight, keys, places)`` with x (m, n); weight (n,); keys float64
    (2, n); places int64 (2, n).

    Cost: O(n log n) per row (a sort).

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    weight : array_like, (n,)
        Non-negative, from the largest down: the first is that of the largest magnitude.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    x = real_array("x", x)
    return _sorted_l1(as_rows(x), _falling(weight, x), *sorting(x)[:2])


@jit
def _prox_sorted_l1(
    v: read("m", "n"),
    step: PER_ROW,
    weight: read("n"),
    keys: KEYS,
    places: PLACES,
    pools: POOLS,
    out: written("m", "n"),
):
    total, step, real = 0.0, like(step, v), v.dtype.type
    for i in range(v.shape[0]):
        row, result, level = any_row(v, i), any_row(out, i), keys[1]
        if len(row) == 0:
            continue
        if not spread_of(row) < np.inf:
            fill_row(result, real(math.nan))
            total = math.nan
            continue
        _order_magnitudes(row, keys, places)
        for j in range(len(row)):
            level[j] = keys[0, j] - np.float64(at(step, i)) * np.float64(weight[j])
            keys[0, j] = 1.0
        pool(level, keys[0], True, pools)
        for j in range(len(row)):
            k = places[0, j]
            size = max(level[j], 0.0)
            total += np.float64(weight[j]) * size
            result[k] = real(-size if row[k] < 0 else size)
    return total


@compiled_as(_prox_sorted_l1)
def prox_sorted_l1(
    v: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the sorted l1 norm, ``argmin_x sum_j weight_j |x|_(j) + 1/(2 step) |x - v|_2^2``.

    The magnitudes, sorted, less ``step weight``, made to fall by pooling, at least 0 (Bogdan et
    al., 2015). A row that holds NaN or infinity becomes NaN.

    In compiled code ``prox_sorted_l1(v, step, weight, keys, places, pools, out)`` with v, out
    (m, n); step a number or (m,); weight (n,); keys float64 (2, n); places int64 (2, n); pools
    float64 (3, n). It returns the penalty at the result.

    Cost: O(n log n) per row (a sort).

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    step : float or array_like, (...)
        Positive; one number, or one per row.
    weight : array_like, (n,)
        Non-negative, from the largest down: the first is that of the largest magnitude.
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
    arguments = per_row("step", step, v, positive=True), _falling(weight, v), *sorting(v)
    return rowwise(_prox_sorted_l1, v, arguments, out, axis, threads)


@jit
def _order(row, keys, places):
    for j in range(len(row)):
        keys[0, j] = np.float64(row[j])
    sort_descending(keys, places)


@jit
def _project_permutahedron(
    v: read("m", "n"),
    corner: read("n", dtype=DOUBLE),
    keys: KEYS,
    places: PLACES,
    pools: POOLS,
    out: written("m", "n"),
):
    real = v.dtype.type
    for i in range(v.shape[0]):
        row, result, level = any_row(v, i), any_row(out, i), keys[1]
        if len(row) == 0:
            continue
        if not spread_of(row) < np.inf:
            fill_row(result, real(math.nan))
            continue
        _order(row, keys, places)
        for j in range(len(row)):
            level[j] = keys[0, j] - corner[j]
            keys[0, j] = 1.0
        pool(level, keys[0], True, pools)
        start = 0
        while start < len(row):
            # the means of a pool apart: their difference would lose the corner's digits
            stop, mean, whole = start, 0.0, 0.0
            while stop < len(row) and level[stop] == level[start]:
                mean, whole = mean + np.float64(row[places[0, stop]]), whole + corner[stop]
                stop += 1
            mean, whole = mean / (stop - start), whole / (stop - start)
            for j in range(start, stop):
                keys[0, j] = (np.float64(row[places[0, j]]) - mean) + whole
            start = stop
        for j in range(len(row)):
            result[places[0, j]] = real(keys[0, j])
    return 0.0


def _corner(corner, x):
    corner = array("corner", corner, (x.shape[-1] if x.ndim else 1,)).astype(np.float64)
    if not np.isfinite(corner).all():
        raise ValueError(f"corner is {corner}: expected finite numbers")
    return np.sort(corner)[::-1].copy()


@compiled_as(_project_permutahedron)
def project_permutahedron(
    v: ArrayLike,
    corner: ArrayLike,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Projection onto the convex hull of all orders of ``corner``, per row.

    ``argmin_x |x - v|_2^2`` over that hull: v, sorted, less the nearest falling sequence to its
    difference from the sorted corner (Blondel et al., 2020). A row that holds NaN or infinity
    becomes NaN.

    In compiled code ``project_permutahedron(v, corner, keys, places, pools, out)`` with v, out
    (m, n); corner float64 (n,), from the largest down; keys float64 (2, n); places int64 (2, n);
    pools float64 (3, n). It returns 0.

    Cost: O(n log n) per row (a sort).

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    corner : array_like, (n,)
        A corner of the permutahedron: its entries, in any order.
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
    arguments = _corner(corner, v), *sorting(v)
    return rowwise(_project_permutahedron, v, arguments, out, axis, threads)


@jit
def _indicator_permutahedron(
    x: read("m", "n"),
    corner: read("n", dtype=DOUBLE),
    tolerance: NUMBER,
    keys: KEYS,
    places: PLACES,
):
    for i in range(x.shape[0]):
        row, above, size = any_row(x, i), 0.0, 0.0
        if len(row) == 0:
            continue
        if not spread_of(row) < np.inf:
            return np.inf
        _order(row, keys, places)
        for j in range(len(row)):
            above, size = above + (keys[0, j] - corner[j]), size + abs(corner[j])
            if above > tolerance * size:
                return np.inf
        if abs(above) > tolerance * size:
            return np.inf
    return 0.0


@compiled_as(_indicator_permutahedron)
def indicator_permutahedron(
    x: ArrayLike, corner: ArrayLike, tolerance: float | None = None
) -> float:
    """0 where every row is in the convex hull of all orders of ``corner``, else infinity.

    There no k entries have a larger sum than the k largest of the corner, and all the same one.

    In compiled code ``indicator_permutahedron(x, corner, tolerance, keys, places)`` with x (m, n);
    corner float64 (n,), from the largest down; keys float64 (2, n); places int64 (2, n).

    Cost: O(n log n) per row (a sort).

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    corner : array_like, (n,)
        A corner of the permutahedron: its entries, in any order.
    tolerance : float, optional
        Non-negative; in units of the sum of the magnitudes of the corner.

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
    return _indicator_permutahedron(as_rows(x), _corner(corner, x), tolerance, *sorting(x)[:2])


def checked_k(k, x):
    """A number of entries of a row."""
    k, n = count("k", k), x.shape[-1] if x.ndim else 1
    if k > n:
        raise ValueError(f"k is {k}: expected at most {n}, the entries of a row")
    return k


@jit
def _project_sparse(
    v: read("m", "n"), k: NUMBER, keys: KEYS, places: PLACES, out: written("m", "n")
):
    zero = v.dtype.type(0)
    for i in range(v.shape[0]):
        row, result = any_row(v, i), any_row(out, i)
        if len(row) and spread_of(row) != spread_of(row):
            fill_row(result, v.dtype.type(math.nan))
            continue
        _order_magnitudes(row, keys, places)
        for j in range(len(row)):
            place = places[0, j]
            result[place] = row[place] if j < k else zero
    return 0.0


@compiled_as(_project_sparse)
def project_sparse(
    v: ArrayLike, k: int, *, axis: int = -1, out: Reals | None = None, threads: int = 1
) -> Reals:
    """Nearest row with at most k entries that are not zero: the k largest magnitudes stay.

    The set is not convex: of equal magnitudes the first stay.

    In compiled code ``project_sparse(v, k, keys, places, out)`` with v, out (m, n); keys float64
    (2, n); places int64 (2, n). It returns 0.

    Cost: O(n log n) per row (a sort).

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    k : int
        From 0 to n.
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
    return rowwise(_project_sparse, v, (checked_k(k, v), *sorting(v)[:2]), out, axis, threads)


@jit
def _indicator_sparse(x: read("m", "n"), k: NUMBER):
    for i in range(x.shape[0]):
        row, used = any_row(x, i), 0
        for j in range(len(row)):
            used += 0 if row[j] == 0 else (1 if row[j] == row[j] else len(row) + 1)
        if used > k:
            return np.inf
    return 0.0


@compiled_as(_indicator_sparse)
def indicator_sparse(x: ArrayLike, k: int) -> float:
    """0 where every row has at most k entries that are not zero, else infinity.

    In compiled code ``indicator_sparse(x, k)`` with x (m, n).

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    k : int
        From 0 to n.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    x = real_array("x", x)
    return _indicator_sparse(as_rows(x), checked_k(k, x))


@jit
def _sum_largest(x: read("m", "n"), k: NUMBER, weight: PER_ROW, keys: KEYS, places: PLACES):
    total, weight = 0.0, like(weight, x)
    for i in range(x.shape[0]):
        _order(any_row(x, i), keys, places)
        largest = 0.0
        for j in range(x.shape[1]):
            # a NaN that the sort has left anywhere counts
            largest += keys[0, j] if j < k or keys[0, j] != keys[0, j] else 0.0
        total += at(weight, i) * largest
    return total


@compiled_as(_sum_largest)
def sum_largest(x: ArrayLike, k: int, weight: ArrayLike = 1.0) -> float:
    """Sum of the k largest entries of every row, weighted: ``sum_i weight_i sum_(j <= k) x_i(j)``.

    In compiled code ``sum_largest(x, k, weight, keys, places)`` with x (m, n); weight a number or
    (m,); keys float64 (2, n); places int64 (2, n).

    Cost: O(n log n) per row (a sort).

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    k : int
        From 0 to n.
    weight : float or array_like, (...)
        Non-negative; one number, or one per row.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    x = real_array("x", x)
    k, weight = checked_k(k, x), per_row("weight", weight, x)
    return _sum_largest(as_rows(x), k, weight, *sorting(x)[:2])
