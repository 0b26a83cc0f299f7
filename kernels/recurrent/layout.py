"""How the weights of all maps of a network, and their Grams, lie in flat arrays.

Numba takes no tuples of arrays into a `prange`, and every array of a call takes time to hand over.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..core.jit import jit

UNITS, COLUMNS, WEIGHTS, FIRST, OFFSET, RECURRENT, SYSTEM = range(7)
"""Columns of `Layout.sizes`."""
WIDTH, START, SOURCE, BEGIN = range(4)
"""Columns of `Layout.sources` (the first two) and of `Layout.systems`."""


class Affine(NamedTuple):
    """An affine map a = Θ z, as its weight system sees it."""

    units: int
    source: int
    """Number of the rows that it acts on."""
    offset: int
    """First of their columns that it acts on."""
    columns: int
    """How many."""
    recurrent: int
    """How many of these are before the recurrent ones."""


class Layout(NamedTuple):
    """Sizes of maps, of what they act on, and of the matrices to be factored."""

    sizes: np.ndarray
    """(maps, 7), int64: units and columns of a map; where its weights and its units begin; first
    column of the rows that it acts on; its columns before the recurrent ones; its system."""
    sources: np.ndarray
    """(sources, 2), int64: columns of the rows that maps act on; where their Gram begins."""
    systems: np.ndarray
    """(systems, 4), int64: columns n; where the inverse begins; the source of the Gram, of which it
    is a block; and where that begins on its diagonal."""


def lay_out(affine: Sequence[Affine], widths: Sequence[int]) -> Layout:
    """Layout of these maps; maps of the same columns share a system.

    Parameters
    ----------
    affine : sequence of Affine
    widths : sequence of int
        Columns of every source.
    """
    blocks = [(each.columns, each.source, each.offset) for each in affine]
    systems = list(dict.fromkeys(blocks))
    sizes, weights, units = [], 0, 0
    for each, block in zip(affine, blocks, strict=True):
        sizes.append(
            (
                each.units, each.columns, weights, units, each.offset, each.recurrent,
                systems.index(block),
            )
        )  # fmt: skip
        weights, units = weights + each.units * each.columns, units + each.units
    squares = np.cumsum([0, *(n * n for n in widths)])
    inverses = np.cumsum([0, *(n * n for n, _, _ in systems)])
    return Layout(
        np.array(sizes, np.int64),
        np.array(list(zip(widths, squares.tolist(), strict=False)), np.int64),
        np.array(
            [(n, b, s, o) for (n, s, o), b in zip(systems, inverses.tolist(), strict=False)],
            np.int64,
        ),
    )


@jit
def matrix(sizes, i, flat):
    """The weights of map i in a field of them, (units, n): a view."""
    units, columns, start = sizes[i, UNITS], sizes[i, COLUMNS], sizes[i, WEIGHTS]
    return flat[start : start + units * columns].reshape(units, columns)


@jit
def square(places, i, flat):
    """The Gram of source i, or the inverse of system i, in a field of them, (n, n): a view."""
    columns, start = places[i, WIDTH], places[i, START]
    return flat[start : start + columns * columns].reshape(columns, columns)
