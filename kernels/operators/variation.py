"""Total variation of a sequence: value, and its exact prox in linear time.

The prox is Johnson's dynamic programme (A dynamic programming algorithm for the fused lasso and
L0-segmentation, 2013). Let ``F_k(x)`` be the least objective of the first k + 1 entries given that
the last of them is x. Its derivative is increasing and piecewise linear; adding the next
difference clips it to ``[-weight, weight]``, and the points where it is clipped are all that is
needed to trace the solution back. Clipping removes pieces at both ends and adds one at each, so
that no piece is visited after it is removed: O(n) whatever the data.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import Reals, as_rows, coefficient, per_row, real_array, rowwise
from ..core.coordinates import at, like
from ..core.documented import ROW_RESULT_SECTIONS, ROW_STEP, ROW_VALUE_SECTIONS, sharing
from ..core.jit import compiled_as, jit
from ..core.kinds import DOUBLE, NUMBER, PER_ROW, read, written
from ..core.norms import maximum
from .groups import copy_row, fill_row

_WEIGHT = """weight : float or array_like, (n - 1,)
    Non-negative; one number, or one per difference.
"""
_KNOT, _SLOPE, _INTERCEPT = 0, 1, 2


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
@sharing(ROW_VALUE_SECTIONS.format(parameters=_WEIGHT))
def total_variation(x: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """Total variation of every row, weighted: ``sum_j weight_j |x_(j+1) - x_j|``.

    In compiled code ``total_variation(x, weight)`` with x (m, n); weight a number or (n - 1,).

    Cost: one pass over memory.
    """
    x = real_array("x", x)
    return _total_variation(as_rows(x), _per_difference(weight, x))


@jit
def _clip_from_left(pieces, first, last, slope, intercept, bound):
    """Skip the pieces on which the derivative ``slope x + intercept`` is below ``bound``.

    Pieces ``first`` to ``last`` begin at their knots, where they change slope and intercept.
    Returns the first knot that is left, and the line on which ``bound`` is reached.
    """
    while first <= last and slope * pieces[_KNOT, first] + intercept <= bound:
        slope += pieces[_SLOPE, first]
        intercept += pieces[_INTERCEPT, first]
        first += 1
    return first, slope, intercept


@jit
def _clip_from_right(pieces, first, last, slope, intercept, bound):
    """The same from the right: skip the pieces on which the derivative is above ``bound``."""
    while first <= last and slope * pieces[_KNOT, last] + intercept >= bound:
        slope -= pieces[_SLOPE, last]
        intercept -= pieces[_INTERCEPT, last]
        last -= 1
    return last, slope, intercept


@jit
def _denoise(row, step, weight, most, pieces, upper, out):
    """Prox of the total variation of one row; ``out`` holds the lower clipping points meanwhile."""
    n, real = len(row), row.dtype.type
    first, last = n, n - 1  # no pieces yet: the knots spread from the middle
    low, high = 0.0, 0.0  # the derivative's limits at both ends, beyond the slope of a new term
    origin = np.float64(row[0])  # a common offset would cost digits
    entry = 0.0
    for k in range(n - 1):
        bound = min(step * at(weight, k), most)
        first, slope, intercept = _clip_from_left(pieces, first, last, 1.0, -entry + low, -bound)
        knot = (-bound - intercept) / slope
        last, end_slope, end_intercept = _clip_from_right(
            pieces, first, last, 1.0, -entry + high, bound
        )
        end_knot = (bound - end_intercept) / end_slope
        first, last = first - 1, last + 1
        pieces[_KNOT, first], pieces[_SLOPE, first] = knot, slope
        pieces[_INTERCEPT, first] = intercept + bound
        pieces[_KNOT, last], pieces[_SLOPE, last] = end_knot, -end_slope
        pieces[_INTERCEPT, last] = bound - end_intercept
        low, high = -bound, bound
        entry = np.float64(row[k + 1]) - origin  # before out[k] is written: out may be the row
        out[k], upper[k] = real(knot + origin), real(end_knot + origin)
    _, slope, intercept = _clip_from_left(pieces, first, last, 1.0, -entry + low, 0.0)
    x = real(-intercept / slope + origin)
    out[n - 1] = x
    for k in range(n - 2, -1, -1):
        x = out[k] if x < out[k] else (upper[k] if x > upper[k] else x)
        out[k] = x


@jit
def _range(row):
    """Largest less smallest entry; not finite if an entry is not."""
    largest, smallest = row[0], row[0]
    for j in range(len(row)):
        largest, smallest = maximum(largest, row[j]), -maximum(-smallest, -row[j])
    return np.float64(largest) - np.float64(smallest)


@jit
def _prox_total_variation(
    v: read("m", "n"),
    step: PER_ROW,
    weight: NUMBER | read("max(n - 1, 0)"),
    pieces: written("3", "2 * n", dtype=DOUBLE),
    upper: written("n"),
    out: written("m", "n"),
):
    total, step, weight = 0.0, like(step, v), like(weight, v)
    for i in range(v.shape[0]):
        if v.shape[1] < 2:
            copy_row(v[i], out[i])
            continue
        spread = _range(v[i])
        if spread < np.inf:
            # beyond this no difference is bound by its weight, and rounding would only grow
            most = v.shape[1] * spread
            _denoise(v[i], np.float64(at(step, i)), weight, most, pieces, upper, out[i])
        else:
            fill_row(out[i], v.dtype.type(math.nan))
        total += _row_variation(out[i], weight)
    return total


@compiled_as(_prox_total_variation)
@sharing(ROW_RESULT_SECTIONS.format(parameters=ROW_STEP + _WEIGHT))
def prox_total_variation(
    v: ArrayLike, step: ArrayLike = 1.0, weight: ArrayLike = 1.0, out: Reals | None = None
) -> Reals:
    """Prox of the total variation (1-D denoising, fused-lasso signal approximator), for every row.

    ``argmin_x sum_j weight_j |x_(j+1) - x_j| + 1/(2 step) |x - v|_2^2``. Exact, in double
    precision inside; a row that holds NaN or infinity becomes NaN.

    In compiled code ``prox_total_variation(v, step, weight, pieces, upper, out)`` with v, out
    (m, n); step a number or (m,); weight a number or (n - 1,); pieces float64 (3, 2 n); upper (n,).
    It returns the penalty at the result.

    Cost: O(n) whatever the data.
    """
    v = real_array("v", v)
    n = v.shape[-1] if v.ndim else 1
    arguments = per_row("step", step, v, positive=True), _per_difference(weight, v)
    return rowwise(
        _prox_total_variation,
        v,
        (*arguments, np.empty((3, 2 * n)), np.empty(n, v.dtype)),
        out,
    )


def _per_difference(weight, x):
    differences = max(x.shape[-1] - 1, 0) if x.ndim else 0
    return coefficient("weight", weight, np.empty(differences, x.dtype))
