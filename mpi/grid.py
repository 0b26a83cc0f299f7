"""The domain over MPI ranks: a grid of time x batch, its edges and its sums.

Rank r is at place ``r % time`` along time and ``r // time`` along the batch, so that neighbours in
time are neighbours in rank. All messages go through buffers that are allocated once for each shape.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .partition import partition
from .serial import Serial
from .transfer import CARRY, LEFT, RIGHT, Mailbox

if TYPE_CHECKING:
    from mpi4py import MPI


def check_grid(size: int, time: int, batch: int) -> None:
    """Refuse a grid that does not have a place for each of ``size`` ranks."""
    if time < 1 or batch < 1 or time * batch != size:
        raise ValueError(
            f"grid is {time}x{batch} (time x batch): expected a product of {size}, "
            "the number of ranks"
        )


class Part(NamedTuple):
    """What a rank of a grid owns of a window.

    Attributes
    ----------
    places, steps : slice
        Own places in a mini-batch, and own time steps; empty for a rank that is left without.
    left, right : int or None
        Ranks that own the steps before and after; None where there are no such steps, or no own.
    """

    places: slice
    steps: slice
    left: int | None
    right: int | None


def part_of(rank: int, time: int, batch: int, n_steps: int, places: int) -> Part:
    """Own part of a window of ``n_steps`` time steps and of a mini-batch of ``places`` sequences.

    Places are owned, some of which may be empty.

    Parameters
    ----------
    rank, time, batch : int
        A rank of a grid of ``time * batch`` ranks.
    n_steps, places : int

    Returns
    -------
    Part
    """
    own = slice(*partition(places, batch, rank // time))
    steps = slice(*partition(n_steps, time, rank % time))
    owns = steps.stop > steps.start
    left = rank - 1 if owns and steps.start > 0 else None
    right = rank + 1 if owns and steps.stop < n_steps else None
    return Part(own, steps, left, right)


class Grid(Serial):
    """Domain of one rank.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
        Duplicated, so that no message meets one of the caller's.
    time, batch : int
        Shape of the grid; their product is the size of ``comm``.
    parts : int
        Micro-batches of a pipeline over time; only matters with ``time > 1``.

    Raises
    ------
    ValueError
    """

    def __init__(self, comm: "MPI.Intracomm", time: int, batch: int, parts: int = 1):
        super().__init__()
        self.size = comm.Get_size()
        check_grid(self.size, time, batch)
        self.comm = comm.Dup()
        self.rank = comm.Get_rank()
        self.is_root = self.rank == 0
        self.time_size, self.batch_size = time, batch
        self.time_index, self.batch_index = self.rank % time, self.rank // time
        self.parts = parts if time > 1 else 1
        self.acts_between_passes = time > 1
        self._mail = Mailbox(self.comm)

    def cut(self, n_cases: int, n_steps: int, batch: int) -> tuple[slice, slice]:
        """Own part of a window's places and time steps; sets the neighbours along time."""
        self.n_cases, self.n_steps = n_cases, n_steps
        places, steps, self._left, self._right = part_of(
            self.rank, self.time_size, self.batch_size, n_steps, batch
        )
        owns, self.stop = steps.stop > steps.start, steps.stop
        self.is_first = owns and self._left is None
        self.is_last = owns and self._right is None
        return places, steps

    def send_right(self, array: np.ndarray) -> None:
        if self._right is not None and array.size:
            self._mail.send(array, self._right, RIGHT)

    def send_left(self, array: np.ndarray) -> None:
        if self._left is not None and array.size:
            self._mail.send(array, self._left, LEFT)

    def receive_left(self, out: np.ndarray) -> None:
        if self._left is not None and out.size:
            self._mail.receive(out, self._left, RIGHT)

    def receive_right(self, out: np.ndarray) -> None:
        if self._right is not None and out.size:
            self._mail.receive(out, self._right, LEFT)

    def end_iteration(self) -> None:
        super().end_iteration()
        self._mail.finish()

    def drain(self) -> None:
        self._mail.finish()

    def sum(self, *arrays: np.ndarray) -> None:
        self._mail.sum(arrays)

    def any(self, flag: object) -> bool:
        found = np.array([float(bool(flag))])
        self._mail.sum((found,))
        return bool(found[0] > 0)

    def largest(self, value: Any) -> Any:
        return np.maximum.reduce(self.comm.allgather(value))

    @property
    def waited(self) -> float:
        """Seconds spent waiting for messages and sums."""
        return self._mail.waited

    def gather(self, facts: Any) -> list:
        return self.comm.allgather(facts)

    def carry(self, state: np.ndarray) -> np.ndarray:
        last = min(self.time_size, self.n_steps) - 1
        if last == 0 or self.time_index > last:
            return state
        base = self.rank - self.time_index
        if self.time_index == last:
            self._mail.send(state, base, CARRY)
            self._mail.finish()
        elif self.time_index == 0:
            self._mail.receive(state, base + last, CARRY)
        return state
