"""Total variation of a sequence: value, and its exact prox in linear time.

The sums of the result are the taut string: the shortest path through a tube around the sums of the
data, from their first to their last, half as wide as the bound on the dual variable (Mammen and van
de Geer, 1997). From a point where the string bends, a scan goes on as long as a straight line stays
in the tube, and keeps the steepest line to the lower edge and the flattest to the upper one
(Condat, 2013). Where the line has to leave, the string follows one of both to where it touched, and
bends there: the scan starts anew. That is two passes over usual data, without an unpredictable
branch between bends. Data on which it starts anew too often are left to the convex hulls of both
edges, which cost O(n) whatever comes.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import Reals, as_rows, coefficient, number, per_row, real_array, rows, rowwise
from ..core.coordinates import at, like, load, store
from ..core.jit import compiled_as, jit
from ..core.kinds import DOUBLE, NUMBER, PER_ROW, read, written
from ..core.norms import spread_of, sum_of_magnitudes
from ..core.rows import any_row
from .groups import copy_row, fill_row
from .penalties import soft

SCANS = 6
"""Times that the scan may read a row before the hulls take over."""


@jit(reassociate=True)
def _row_variation(row, weight):
    total = 0.0
    for j in range(len(row) - 1):
        total += np.float64(at(weight, j)) * abs(np.float64(row[j + 1]) - np.float64(row[j]))
    return total


@jit
def _total_variation(x: read("m", "n"), weight: NUMBER | read("max(n - 1, 0)")):
    total, weight = 0.0, like(weight, x)
    for i in range(x.shape[0]):
        total += _row_variation(x[i], weight)
    return total


@compiled_as(_total_variation)
def total_variation(x: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """Total variation of every row, weighted: ``sum_j weight_j |x_(j+1) - x_j|``.

    In compiled code ``total_variation(x, weight)`` with x (m, n); weight a number or (n - 1,).

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    weight : float or array_like, (n - 1,)
        Non-negative; one number, or one per difference.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    x = real_array("x", x)
    return _total_variation(as_rows(x), _per_difference(weight, x))


@jit
def _fill(out, start, stop, x):
    for j in range(start, stop):
        out[j] = x
    return stop


@jit
def _scan(row, step, weight, most, hulls, out):
    """Prox of the total variation of one row of at least two entries; ``out`` may be ``row``."""
    real, last = row.dtype.type, len(row) - 1
    origin = np.float64(row[0])  # a common offset would cost digits
    start, bend, budget = 0, 0.0, SCANS * len(row)  # bend: the string there, above the sum of data
    while start < last:
        if budget < 0:
            taut_string(row, start, bend, step, weight, most, hulls, out)
            return
        total, size, bound = np.float64(row[start]) - origin - bend, 1.0, 0.0
        bound = min(step * at(weight, start), most)
        low, high = total - bound, total + bound
        low_end, high_end, k = start, start, start + 1
        down, up = False, False
        while k < last:
            total += np.float64(row[k]) - origin
            size += 1.0
            bound, inverse = min(step * at(weight, k), most), 1.0 / size
            least, greatest = (total - bound) * inverse, (total + bound) * inverse
            down, up = greatest < low, least > high
            if down | up:
                break
            low_end, low = (k, least) if least >= low else (low_end, low)
            high_end, high = (k, greatest) if greatest <= high else (high_end, high)
            k += 1
        budget -= k - start
        x, stop = low if down else high, low_end if down else high_end
        if k == last:  # there the tube ends in a point
            x = (total + (np.float64(row[last]) - origin)) / (size + 1.0)
            down, up = x < low, x > high
            x, stop = (low, low_end) if down else ((high, high_end) if up else (x, last))
        bound = min(step * at(weight, min(stop, last - 1)), most)
        bend = -bound if down else bound
        start = _fill(out, start, stop + 1, real(x + origin))
    if start == last:
        out[last] = real((np.float64(row[last]) - origin - bend) + origin)


@jit
def taut_string(row, start, bend, step, weight, most, hulls, out):
    """The same from ``start`` on, where the string is ``bend`` above the sum of the data.

    ``hulls`` holds lengths and rises of the pieces of two lines from the last bend on: the greatest
    convex one below the upper edge of the tube, and the least concave one above the lower edge. A
    new piece that would make the line bend the wrong way is one with the piece before it; where the
    first pieces of both lines cross, the string bends.
    """
    real, last, done = row.dtype.type, len(row) - 1, start
    origin, before = np.float64(row[0]), 0.0
    length, rise, low_length, low_rise = hulls[0], hulls[1], hulls[2], hulls[3]
    first, top, low_first, low_top = 1, 0, 1, 0
    # a piece before the first that no other is one with
    length[0], rise[0], low_length[0], low_rise[0] = 0.0, -np.inf, 0.0, np.inf
    for k in range(start, len(row)):
        bound = min(step * at(weight, k), most) if k < last else 0.0
        y = np.float64(row[k]) - origin - (bend if k == start else 0.0)
        widens, before = bound - before, bound
        n, s = 1.0, y + widens
        while s * length[top] <= rise[top] * n:
            n, s, top = n + length[top], s + rise[top], top - 1
        if top < first:
            while low_first <= low_top and s * low_length[low_first] <= low_rise[low_first] * n:
                n, s = n - low_length[low_first], s - low_rise[low_first]
                x = real(low_rise[low_first] / low_length[low_first] + origin)
                done = _fill(out, done, done + int(low_length[low_first]), x)
                low_first += 1
            low_length[low_first - 1], low_rise[low_first - 1] = 0.0, np.inf
            first, top = 1, 0
        top += 1
        length[top], rise[top] = n, s
        n, s = 1.0, y - widens
        while s * low_length[low_top] >= low_rise[low_top] * n:
            n, s, low_top = n + low_length[low_top], s + low_rise[low_top], low_top - 1
        if low_top < low_first:
            while first < top and s * length[first] >= rise[first] * n:
                n, s = n - length[first], s - rise[first]
                x = real(rise[first] / length[first] + origin)
                done = _fill(out, done, done + int(length[first]), x)
                first += 1
            length[first - 1], rise[first - 1] = 0.0, -np.inf
            low_first, low_top = 1, 0
        low_top += 1
        low_length[low_top], low_rise[low_top] = n, s
    for piece in range(first, top + 1):
        x = real(rise[piece] / length[piece] + origin)
        done = _fill(out, done, done + int(length[piece]), x)


@jit
def _prox_total_variation(
    v: read("m", "n"),
    step: PER_ROW,
    weight: NUMBER | read("max(n - 1, 0)"),
    hulls: written("4", "n + 2", dtype=DOUBLE),
    out: written("m", "n"),
):
    total, step, weight = 0.0, like(step, v), like(weight, v)
    for i in range(v.shape[0]):
        if v.shape[1] < 2:
            copy_row(any_row(v, i), any_row(out, i))
            continue
        spread = spread_of(any_row(v, i))
        if spread < np.inf:
            # beyond this no difference is bound by its weight, and rounding would only grow
            most = v.shape[1] * spread
            own = np.float64(at(step, i))
            _scan(any_row(v, i), own, weight, most, hulls, any_row(out, i))
        else:
            fill_row(any_row(out, i), v.dtype.type(math.nan))
        total += _row_variation(any_row(out, i), weight)
    return total


@compiled_as(_prox_total_variation)
def prox_total_variation(
    v: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the total variation (1-D denoising, fused-lasso signal approximator), for every row.

    ``argmin_x sum_j weight_j |x_(j+1) - x_j| + 1/(2 step) |x - v|_2^2``. Exact, in double
    precision inside; a row that holds NaN or infinity becomes NaN.

    In compiled code ``prox_total_variation(v, step, weight, hulls, out)`` with v, out (m, n);
    step a number or (m,); weight a number or (n - 1,); hulls float64 (4, n + 2). It
    returns the penalty at the result.

    Cost: O(n) whatever the data.

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    step : float or array_like, (...)
        Positive; one number, or one per row.
    weight : float or array_like, (n - 1,)
        Non-negative; one number, or one per difference.
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
    hulls = np.empty((4, 2 + (v.shape[-1] if v.ndim else 1)))
    arguments = per_row("step", step, v, positive=True), _per_difference(weight, v), hulls
    return rowwise(_prox_total_variation, v, arguments, out, axis, threads)


@jit
def _fused_lasso(
    x: read("m", "n"), weight: NUMBER, difference_weight: NUMBER | read("max(n - 1, 0)")
):
    total, difference_weight = 0.0, like(difference_weight, x)
    for i in range(x.shape[0]):
        total += weight * sum_of_magnitudes(any_row(x, i))
        total += _row_variation(any_row(x, i), difference_weight)
    return total


@compiled_as(_fused_lasso)
def fused_lasso(x: ArrayLike, weight: float = 1.0, difference_weight: ArrayLike = 1.0) -> float:
    """Fused lasso of every row: l1 norm and total variation.

    ``weight sum_j |x_j| + sum_j difference_weight_j |x_(j+1) - x_j|``.

    In compiled code ``fused_lasso(x, weight, difference_weight)`` with x (m, n); difference_weight
    a number or (n - 1,).

    Cost: two reads of every entry.

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    weight : float
        Weight of the l1 norm, non-negative.
    difference_weight : float or array_like, (n - 1,)
        Weight of the differences, non-negative; one number, or one per difference.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    x, weight = real_array("x", x), number("weight", weight, 0)
    return _fused_lasso(
        as_rows(x), weight, _per_difference(difference_weight, x, "difference_weight")
    )


@jit
def _prox_fused_lasso(
    v: read("m", "n"),
    step: PER_ROW,
    weight: NUMBER,
    difference_weight: NUMBER | read("max(n - 1, 0)"),
    hulls: written("4", "n + 2", dtype=DOUBLE),
    out: written("m", "n"),
):
    _prox_total_variation(v, step, difference_weight, hulls, out)
    step = like(step, v)
    for i in range(v.shape[0]):
        result, tau = any_row(out, i), v.dtype.type(np.float64(at(step, i)) * weight)
        for j in range(len(result)):
            store(result, j, soft(load(result, j), tau))
    return _fused_lasso(out, weight, difference_weight)


@compiled_as(_prox_fused_lasso)
def prox_fused_lasso(
    v: ArrayLike,
    step: ArrayLike = 1.0,
    weight: float = 1.0,
    difference_weight: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the fused lasso: that of the total variation, and then that of the l1 norm.

    ``argmin_x weight |x|_1 + sum_j difference_weight_j |x_(j+1) - x_j| + 1/(2 step) |x - v|_2^2``
    for every row (Friedman et al., 2007).

    In compiled code ``prox_fused_lasso(v, step, weight, difference_weight, hulls, out)`` with v,
    out (m, n); step a number or (m,); difference_weight a number or (n - 1,); hulls float64
    (4, n + 2). It returns the penalty at the result.

    Cost: O(n) whatever the data.

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    step : float or array_like, (...)
        Positive; one number, or one per row.
    weight : float
        Weight of the l1 norm, non-negative.
    difference_weight : float or array_like, (n - 1,)
        Weight of the differences, non-negative; one number, or one per difference.
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
    hulls = np.empty((4, 2 + (v.shape[-1] if v.ndim else 1)))
    arguments = (
        per_row("step", step, v, positive=True),
        number("weight", weight, 0),
        _per_difference(difference_weight, v, "difference_weight"),
        hulls,
    )
    return rowwise(_prox_fused_lasso, v, arguments, out, axis, threads)


def _per_difference(weight, x, name="weight"):
    if type(weight) is float and 0.0 <= weight < math.inf:
        return weight
    differences = max(x.shape[-1] - 1, 0) if x.ndim else 0
    return coefficient(name, weight, np.empty(differences, x.dtype))
