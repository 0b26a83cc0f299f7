"""Parts of n things."""

import numpy as np
import pytest
from fastadmm.mpi.partition import bounds, partition


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 28, 100])
@pytest.mark.parametrize("parts", [1, 2, 3, 5, 8, 101])
def test_parts_tile_the_range_evenly(n, parts):
    ranges = [partition(n, parts, rank) for rank in range(parts)]
    owned = [i for start, stop in ranges for i in range(start, stop)]
    assert owned == list(range(n))
    sizes = [stop - start for start, stop in ranges]
    assert max(sizes) - min(sizes) <= 1
    np.testing.assert_array_equal(bounds(n, parts), [r[0] for r in ranges] + [n])


def test_a_known_cut():
    assert [partition(7, 3, rank) for rank in range(3)] == [(0, 3), (3, 5), (5, 7)]
    assert bounds(7, 3).dtype == np.int64
