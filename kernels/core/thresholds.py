"""The number that is subtracted from a row so that what remains positive has a given sum.

``level`` is the root theta of ``sum_j max(w_j - theta, 0) = total``. Projections onto the simplex
and the l1 ball and the prox of the linf norm are all one pass once it is known.

The entries are shifted so that the largest is 0: then ``-total <= theta < 0``, whatever the size of
the data, and rounding is that of numbers as small as the total. Of all subsets of the entries the
right one has the highest root: that of the largest entries of the blocks that a row is cut into is
a lower bound, which puts most entries out of play before they are copied. Newton's method from the
left (Michelot, 1986) drops entries round by round and ends with the exact set; should it drop too
few, selection by a random pivot (Duchi et al., 2008) takes over: O(n) comparisons, the worst case
of the one and the expectation of the other.
"""

import math

import numpy as np

from .coordinates import load, store
from .jit import jit
from .kinds import written
from .norms import maximum

BLOCK = 128
"""Entries that are passed over together when none is in play."""
SURVEYED = written("n + n // 128 + 1")
"""Workspace for a row of n entries, and a number for every block of them."""
NEWTON_READS = 8
"""Newton rounds read at most this many times the entries in play; then pivots are drawn."""


def surveyed(v):
    """That workspace, for rows as they come to a public function."""
    n = v.shape[-1] if v.ndim else 1
    return np.empty(n + n // BLOCK + 1, v.dtype)


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


@jit(reassociate=True)
def survey(row, magnitudes, work):
    """Largest entry of a row or of its magnitudes, and the sum of the magnitudes.

    Writes the largest entry of every block behind the first n places of ``work``: a later pass need
    not read the blocks that are out of play.
    """
    real, n = row.dtype.type, len(row)
    largest, total = real(0) if magnitudes else real(-np.inf), 0.0
    for b in range((n + BLOCK - 1) // BLOCK):
        block = row[b * BLOCK : (b + 1) * BLOCK]
        peak = real(0) if magnitudes else real(-np.inf)
        for j in range(len(block)):
            peak = maximum(peak, abs(block[j]) if magnitudes else block[j])
        if magnitudes:
            for j in range(len(block)):
                total += abs(block[j])
        work[n + b] = peak
        largest = maximum(largest, peak)
    return largest, total


@jit
def _in_play(row, magnitudes, largest, bound, work):
    """Write ``row - largest``, where it exceeds ``bound``, to ``work``; return how many."""
    count, n = 0, len(row)
    for b in range((n + BLOCK - 1) // BLOCK):
        if work[n + b] - largest <= bound:
            continue
        block = row[b * BLOCK : (b + 1) * BLOCK]
        for j in range(len(block)):
            entry = (abs(block[j]) if magnitudes else block[j]) - largest
            work[count] = entry
            count += 1 if entry > bound else 0
    return count


@jit
def row_level(row, total, magnitudes, largest, work):
    """Root less the largest entry, of a row or of its magnitudes.

    Parameters
    ----------
    row : ndarray, (n,), n at least 1
    total : float
        Positive.
    magnitudes : bool
        Whether ``|row|`` takes the place of ``row``.
    largest : float
        From `survey`.
    work : ndarray, (n + n // BLOCK + 1,), the dtype of ``row``
        From `survey`; the first n places are overwritten.

    Returns
    -------
    tuple of two floats
        In double precision: subtract ``largest``, and then one after the other. The second makes up
        for the rounding of the first, which a million entries would all share. Both are NaN if the
        row holds a NaN or its largest entry is infinite.
    """
    if not abs(largest) < np.inf:
        return math.nan, math.nan
    blocks = (len(row) + BLOCK - 1) // BLOCK
    for b in range(blocks):
        work[b] = work[len(row) + b] - largest
    bound, _ = level(work, blocks, np.float64(total))  # of some of the entries: a lower one
    bound = min(row.dtype.type(bound), -np.finfo(row.dtype).tiny)  # the largest entry is above it
    count = _in_play(row, magnitudes, largest, row.dtype.type(bound), work)
    theta, above = level(work, count, np.float64(total))
    if above == 0:
        above = _in_play(row, magnitudes, largest, row.dtype.type(theta), work)
    rest = (_excess(work[:above], theta) - total) / above
    return theta, rest


@jit
def lower_to(row, magnitudes, largest, theta, rest, work, out):
    """``out <- max(row - level, 0)``, or the same of the magnitudes with the signs of the row.

    Blocks that are out of play are filled with zeros unread. ``out`` may be ``row``.
    """
    real, n = row.dtype.type, len(row)
    wide, zeros = np.float64(largest), 0  # the blocks before this one that are to be zeros
    for b in range((n + BLOCK - 1) // BLOCK):
        start, stop = b * BLOCK, min((b + 1) * BLOCK, n)
        if work[n + b] - largest <= theta:
            zeros += 1
            continue
        out[start - zeros * BLOCK : start] = real(0)
        zeros = 0
        block, result = row[start:stop], out[start:stop]
        for j in range(len(block)):
            x = load(block, j)
            # in double precision: thousands of equal roundings would add up in the sum
            left = ((np.float64(abs(x) if magnitudes else x) - wide) - theta) - rest
            left = 0.0 if left < 0 else left
            store(result, j, real(-left if (x < 0) & magnitudes else left))
    if zeros:
        out[(n + BLOCK - 1) // BLOCK * BLOCK - zeros * BLOCK :] = real(0)
