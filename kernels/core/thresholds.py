"""The number that is subtracted from a row so that what remains positive has a given sum.

``level`` is the root theta of ``sum_j max(w_j - theta, 0) = total``. Projections onto the simplex
and the l1 ball and the prox of the linf norm are all one pass once it is known.

The entries are shifted so that the largest is 0: then ``-total <= theta < 0``, whatever the size of
the data, entries up to ``-total`` are out of play from the start, and rounding is that of numbers
as small as the total. Newton's method from the left (Michelot, 1986) drops entries round by round
and ends with the exact set; should it drop too few, selection by a random pivot (Duchi et al.,
2008) takes over: O(n) comparisons, the worst case of the one and the expectation of the other.
"""

import math

import numpy as np

from .jit import jit
from .norms import maximum

BLOCK = 128
"""Entries that are passed over together when none is in play."""
NEWTON_READS = 8
"""Newton rounds read at most this many times the entries in play; then pivots are drawn."""


@jit(reassociate=True)
def _sum(row):
    total = 0.0
    for j in range(len(row)):
        total += row[j]
    return total


@jit
def _keep_above(work, count, bound):
    """Move the entries greater than ``bound`` to the front; return how many there are."""
    kept = 0
    for j in range(count):
        entry = work[j]
        work[kept] = entry
        kept += 1 if entry > bound else 0
    return kept


@jit
def _keep_below(work, count, bound):
    """Move the entries less than ``bound`` to the front; return how many there are."""
    kept = 0
    for j in range(count):
        entry = work[j]
        work[kept] = entry
        kept += 1 if entry < bound else 0
    return kept


@jit(reassociate=True)
def _from(work, count, pivot):
    """Sum and number of the entries not less than ``pivot``."""
    total, number = 0.0, 0
    for j in range(count):
        total += work[j] if work[j] >= pivot else work.dtype.type(0)
        number += 1 if work[j] >= pivot else 0
    return total, number


@jit
def level_by_pivots(work, count, total):
    """Root for ``work[:count]``, which is overwritten, by selection: O(count) expected."""
    active_sum, active = 0.0, 0
    draw = 12345  # a linear congruential generator: the same pivots on every run
    while count > 0:
        draw = (1103515245 * draw + 12345) & 0x7FFFFFFF
        pivot = work[(draw * count) >> 31]
        upper_sum, upper = _from(work, count, pivot)
        if active_sum + upper_sum - (active + upper) * np.float64(pivot) < total:
            # the root is below the pivot: all from the pivot on stay
            active_sum, active = active_sum + upper_sum, active + upper
            count = _keep_below(work, count, pivot)
        else:
            count = _keep_above(work, count, pivot)
    return (active_sum - total) / active


@jit
def level(work, count, total):
    """Root for ``work[:count]``, entries at most 0 of which one is 0; they are overwritten.

    Returns the root, and how many entries are left in ``work``: those above the root, or none.
    """
    budget = NEWTON_READS * count
    while budget > 0:
        theta = (_sum(work[:count]) - total) / count
        kept = _keep_above(work, count, theta)
        if kept == count:
            return theta, count
        budget -= count
        count = kept
    return level_by_pivots(work, count, total), 0


@jit(reassociate=True)
def _excess(row, theta):
    total = 0.0
    for j in range(len(row)):
        total += np.float64(row[j]) - theta
    return total


@jit
def _largest(row, magnitudes):
    real = row.dtype.type
    largest = real(0) if magnitudes else real(-np.inf)
    for j in range(len(row)):
        largest = maximum(largest, abs(row[j]) if magnitudes else row[j])
    return largest


@jit
def _in_play(row, magnitudes, largest, bound, work):
    """Write ``row - largest``, where it exceeds ``bound``, to ``work``; return how many."""
    count = 0
    for start in range(0, len(row), BLOCK):
        block = row[start : start + BLOCK]
        if _largest(block, magnitudes) - largest <= bound:
            continue
        for j in range(len(block)):
            entry = (abs(block[j]) if magnitudes else block[j]) - largest
            work[count] = entry
            count += 1 if entry > bound else 0
    return count


@jit
def row_level(row, total, magnitudes, work):
    """Largest entry and root less the largest entry, of a row or of its magnitudes.

    Parameters
    ----------
    row : ndarray, (n,), n at least 1
    total : float
        Positive.
    magnitudes : bool
        Whether ``|row|`` takes the place of ``row``.
    work : ndarray, (n,), the dtype of ``row``; overwritten

    Returns
    -------
    tuple of three floats
        In double precision: subtract one after the other. The third makes up for the rounding of
        the second, which a million entries would all share. The second is NaN if the row holds a
        NaN or its largest entry is infinite.
    """
    largest = _largest(row, magnitudes)
    if not abs(largest) < np.inf:
        return np.float64(largest), math.nan, math.nan
    count = _in_play(row, magnitudes, largest, row.dtype.type(-total), work)
    theta, above = level(work, count, np.float64(total))
    if above == 0:
        above = _in_play(row, magnitudes, largest, row.dtype.type(theta), work)
    rest = (_excess(work[:above], theta) - total) / above
    return np.float64(largest), theta, rest
