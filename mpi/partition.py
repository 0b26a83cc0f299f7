"""Who owns which part of n things: contiguous parts whose sizes differ by one at most."""

import numpy as np
from numpy.typing import NDArray


def partition(n: int, parts: int, rank: int) -> tuple[int, int]:
    """Half-open range ``(start, stop)`` of the things that ``rank`` of ``parts`` owns.

    The first ``n % parts`` ranks own one more than the others; with more parts than things the last
    ranks own none.

    Examples
    --------
    >>> [partition(7, 3, rank) for rank in range(3)]
    [(0, 3), (3, 5), (5, 7)]
    """
    size, larger = divmod(n, parts)
    start = rank * size + min(rank, larger)
    return start, start + size + (rank < larger)


def bounds(n: int, parts: int) -> NDArray[np.int64]:
    """Boundaries of all parts, int64 (parts + 1,): part i is ``bounds[i]:bounds[i + 1]``."""
    return np.array([partition(n, parts, rank)[0] for rank in range(parts)] + [n], dtype=np.int64)
