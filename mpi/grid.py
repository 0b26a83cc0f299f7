"""The domain over MPI ranks: a grid of time x batch, its edges and its sums.

Rank r is at place ``r % time`` along time and ``r // time`` along the batch, so that neighbours in
time are neighbours in rank. All messages go through buffers that are allocated once for each shape.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from .part import Part
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

    comm: "MPI.Intracomm"

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

    def close(self) -> None:
        self.comm.Free()

    def send_right(self, part: Part, array: np.ndarray) -> None:
        if part.right is not None and array.size:
            self._mail.send(array, part.right, RIGHT)

    def send_left(self, part: Part, array: np.ndarray) -> None:
        if part.left is not None and array.size:
            self._mail.send(array, part.left, LEFT)

    def receive_left(self, part: Part, out: np.ndarray) -> None:
        if part.left is not None and out.size:
            self._mail.receive(out, part.left, RIGHT)

    def receive_right(self, part: Part, out: np.ndarray) -> None:
        if part.right is not None and out.size:
            self._mail.receive(out, part.right, LEFT)

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

    def collect(self, piece: Any) -> list | None:
        return self.comm.gather(piece)

    def carry(self, part: Part, state: np.ndarray) -> np.ndarray:
        last = min(self.time_size, part.n_steps) - 1
        if last == 0 or self.time_index > last:
            return state
        base = self.rank - self.time_index
        if self.time_index == last:
            self._mail.send(state, base, CARRY)
            self._mail.finish()
        elif self.time_index == 0:
            self._mail.receive(state, base + last, CARRY)
        return state
