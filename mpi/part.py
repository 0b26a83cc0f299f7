"""What one owner has of a window: a value, the same whoever works it out."""

from typing import NamedTuple

from .partition import partition


class Part(NamedTuple):
    """Own part of a window's time steps, and of a mini-batch's places.

    Places are owned, not sequences: some may be empty.
    """

    places: slice
    """Own places in the mini-batch."""
    steps: slice
    """Own time steps of the window; none for an owner that is left without."""
    left: int | None
    """Rank that owns the steps before; None where there are none, or no own."""
    right: int | None
    """Rank that owns the steps after; None where there are none, or no own."""
    n_cases: int
    """Sequences in the mini-batch, those of all owners."""
    n_steps: int
    """Time steps of the window, those of all owners."""
    may_age: bool = False
    """Edges may be those of an earlier iteration, with a domain that may lag behind: it went over
    the same sequences."""

    @property
    def owns_steps(self) -> bool:
        """Whether there is an own time step."""
        return self.steps.stop > self.steps.start

    @property
    def is_first(self) -> bool:
        """Whether the first time step is an own one."""
        return self.owns_steps and self.left is None

    @property
    def is_last(self) -> bool:
        """Whether the last time step is an own one."""
        return self.owns_steps and self.right is None


def part_of(rank: int, time: int, batch: int, n_cases: int, n_steps: int, places: int) -> Part:
    """Own part of a window on a grid of ranks.

    Parameters
    ----------
    rank : int
        One of ``time * batch``: at place ``rank % time`` along time, ``rank // time`` along the
        batch.
    time, batch : int
        Shape of the grid.
    n_cases, n_steps : int
        Sequences in the mini-batch, time steps of the window.
    places : int
        Of the mini-batch, ``n_cases`` or more.

    Returns
    -------
    Part
    """
    own = slice(*partition(places, batch, rank // time))
    steps = slice(*partition(n_steps, time, rank % time))
    owns = steps.stop > steps.start
    left = rank - 1 if owns and steps.start > 0 else None
    right = rank + 1 if owns and steps.stop < n_steps else None
    return Part(own, steps, left, right, n_cases, n_steps)
