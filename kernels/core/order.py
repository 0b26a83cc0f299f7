"""Order: a stable merge sort of numbers with their places, and pooling of adjacent violators."""

import numpy as np

from .jit import jit
from .kinds import DOUBLE, INTEGERS, written

KEYS = written("2", "n", dtype=DOUBLE)
"""Workspace of `sort_descending`: the numbers, and as many again."""
PLACES = written("2", "n", dtype=INTEGERS)
"""Workspace of `sort_descending`: where each number came from, and as many again."""
POOLS = written("3", "n", dtype=DOUBLE)
"""Workspace of `pool`."""


def sorting(v):
    """That workspace, for rows as they come to a public function: keys, places and pools."""
    n = v.shape[-1] if v.ndim else 1
    return np.empty((2, n)), np.empty((2, n), np.int64), np.empty((3, n))


@jit
def _merge(keys, places, start, middle, stop, to_keys, to_places):
    i, j = start, middle
    for k in range(start, stop):
        left = j >= stop or (i < middle and keys[i] >= keys[j])
        source = i if left else j
        to_keys[k], to_places[k] = keys[source], places[source]
        i, j = (i + 1, j) if left else (i, j + 1)


@jit
def sort_descending(keys, places):
    """Sort ``keys[0]`` from the largest down; ``places[0]`` becomes where each came from."""
    n, source = keys.shape[1], 0
    for j in range(n):
        places[0, j] = j
    width = 1
    while width < n:
        for start in range(0, n, 2 * width):
            middle, stop = min(start + width, n), min(start + 2 * width, n)
            _merge(
                keys[source], places[source], start, middle, stop,
                keys[1 - source], places[1 - source],
            )  # fmt: skip
        width, source = 2 * width, 1 - source
    if source == 1:
        keys[0, :], places[0, :] = keys[1], places[1]


@jit
def pool(row, weight, falls, pools):
    """Nearest monotone sequence to a vector in double precision, which it replaces.

    ``argmin_x sum_j weight_j (x_j - row_j)^2`` over ``x_j <= x_(j+1)``, or with ``falls`` over
    ``x_j >= x_(j+1)``. Pools whose means are out of order become one (Ayer et al., 1955). O(n).
    """
    sums, weights, sizes = pools[0], pools[1], pools[2]
    sign, top = -1.0 if falls else 1.0, -1
    for j in range(len(row)):
        w = weight[j]
        s, size = sign * w * row[j], 1.0
        while top >= 0 and sums[top] * w >= s * weights[top]:
            s, w, size, top = s + sums[top], w + weights[top], size + sizes[top], top - 1
        top += 1
        sums[top], weights[top], sizes[top] = s, w, size
    stop = len(row)
    for k in range(top, -1, -1):
        start, mean = stop - int(sizes[k]), sign * sums[k] / weights[k]
        for j in range(start, stop):
            row[j] = mean
        stop = start
