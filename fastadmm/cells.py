"""Where the weights of a cell act: rows [x; 1; s] of inputs, the constant one and states."""

from typing import NamedTuple


class Columns(NamedTuple):
    """Columns of an affine map's weights, and of the rows that it acts on.

    With the one in the middle, what reads [x; 1], [1; s] or all of a row reads neighbours.
    """

    drive: slice
    """Of the inputs x."""
    bias: int
    """Of the constant one."""
    recurrent: slice
    """Of the states s."""


def columns(inputs):
    """Columns of a map of [x; 1; s] with so many inputs."""
    return Columns(slice(0, inputs), inputs, slice(inputs + 1, None))


READ_OUT = columns(0)
"""The read-out acts on [1; s]."""
