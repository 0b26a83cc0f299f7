"""The domain over MPI ranks that do not wait for each other, up to a bound (algorithm 3, AP).

Reductions are started and left under way. What follows from them, the move of the weights, is done
in their order on every rank, so that all ranks' weights take the same path, and differ only in how
far along it they are. An edge of the same sequences may be that of an earlier iteration.
"""

import collections
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .grid import Grid
from .part import Part
from .transfer import LEFT, RIGHT, TAGS, Channel

if TYPE_CHECKING:
    from mpi4py import MPI


@dataclass
class _Reduction:
    """A sum under way, the iteration that started it, and what to do with it."""

    started: tuple
    arrays: tuple
    then: Callable[[int], object]
    iteration: int

    def has_arrived(self):
        return all([request.Test() for request in self.started[1]])


class AsynchronousGrid(Grid):
    """Domain of one rank; see `fastadmm.mpi.grid.Grid` for other parameters.

    Parameters
    ----------
    staleness : int
        At least 1. What iteration k uses contains all reductions of iteration ``k - 1 - staleness``
        and edges of iteration ``k - staleness`` or later.
    """

    def __init__(
        self, comm: "MPI.Intracomm", time: int, batch: int, parts: int = 1, *, staleness: int
    ):
        super().__init__(comm, time, batch, parts)
        self.staleness, self.acts_between_passes = staleness, True
        self._pending, self._channels = collections.deque(), {}
        self._places, self._age, self._ages = collections.Counter(), 0, []

    def send_right(self, part: Part, array: np.ndarray) -> None:
        self._progress()
        if part.right is not None and array.size:
            self._mail.send(array, part.right, self._tag("send right", RIGHT))

    def send_left(self, part: Part, array: np.ndarray) -> None:
        self._progress()
        if part.left is not None and array.size:
            self._mail.send(array, part.left, self._tag("send left", LEFT))

    def receive_left(self, part: Part, out: np.ndarray) -> None:
        self._progress()
        if part.left is not None and out.size:
            self._receive(out, part.left, self._tag("receive left", RIGHT), part.may_age)

    def receive_right(self, part: Part, out: np.ndarray) -> None:
        self._progress()
        if part.right is not None and out.size:
            self._receive(out, part.right, self._tag("receive right", LEFT), part.may_age)

    def _progress(self):
        """Let MPI go on with what is under way: it works only while it is called."""
        for reduction in self._pending:
            reduction.has_arrived()

    def _tag(self, kind, tag):
        """A tag of its own for every message of an iteration, the same in all iterations."""
        place = self._places[kind]
        self._places[kind] += 1
        return tag + len(TAGS) * place

    def _receive(self, out, rank, tag, may_age):
        if (rank, tag) not in self._channels:
            self._channels[rank, tag] = Channel(self._mail, rank, tag)
        missing = self.staleness if may_age else 0
        age = self._channels[rank, tag].receive(out, missing)
        self._age = max(self._age, age)

    def reduce(self, arrays: Sequence[np.ndarray], then: Callable[[int], object]) -> None:
        arrays = tuple(arrays)
        started = self._mail.start_sum(arrays)
        self._pending.append(_Reduction(started, arrays, then, self.iteration + 1))

    def end_iteration(self) -> None:
        self.iteration += 1
        self._ages.append(self._age)
        while self._pending and (
            self._pending[0].iteration <= self.iteration - self.staleness
            or self._pending[0].has_arrived()
        ):
            self._apply_next()
        oldest = self._pending[0].iteration if self._pending else self.iteration + 1
        self._age = self.iteration + 1 - oldest
        self._places.clear()

    def _apply_next(self):
        reduction = self._pending.popleft()
        self._mail.finish_sum(reduction.started, reduction.arrays)
        reduction.then(reduction.iteration + self.staleness)

    def drain(self) -> None:
        while self._pending:
            self._apply_next()
        for channel in self._channels.values():
            channel.drain()
        self._mail.finish()
        self._places.clear()
        self._age = 0

    def ages(self) -> np.ndarray:
        """Mean and largest age of what iterations used since the last call, (ranks, 2)."""
        own = np.array([np.mean(self._ages), max(self._ages)] if self._ages else [0.0, 0.0])
        gathered = np.empty((self.size, 2))
        self.comm.Allgather(own, gathered)
        self._ages.clear()
        return gathered
