"""Messages through planned buffers: edges between two ranks, sums over all."""

import collections
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mpi4py import MPI

RIGHT, LEFT, CARRY = TAGS = 1, 2, 3
"""What a message is: an edge for the owner of later steps, of earlier ones, a carried state."""


LARGEST = 2**30
"""Numbers of one message of a sum: MPI counts up to 2**31 - 1."""


class Mailbox:
    """Sends, receives and sums arrays of any strides through contiguous buffers kept for reuse.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm

    Attributes
    ----------
    waited : float
        Seconds spent in calls that wait for other ranks.
    """

    def __init__(self, comm: "MPI.Comm"):
        self.comm, self.waited = comm, 0.0
        self._free, self._sending = {}, []
        self._incoming, self._sums = {}, {}

    def wait(self, call: Callable, *arguments: Any) -> None:
        """A call that waits for other ranks; its time is counted."""
        started = time.perf_counter()
        call(*arguments)
        self.waited += time.perf_counter() - started

    def send(self, array: np.ndarray, rank: int, tag: int) -> None:
        """Start sending a copy of the array."""
        self._reclaim()
        key = array.shape, array.dtype.str
        buffers = self._free.setdefault(key, [])
        buffer = buffers.pop() if buffers else np.empty(array.shape, array.dtype)
        buffer[...] = array
        self._sending.append((self.comm.Isend(buffer, rank, tag), key, buffer))

    def receive(self, out: np.ndarray, rank: int, tag: int) -> None:
        """Wait for a message, and write it into ``out``."""
        key = out.shape, out.dtype.str
        if key not in self._incoming:
            self._incoming[key] = np.empty(out.shape, out.dtype)
        buffer = self._incoming[key]
        self.wait(self.comm.Recv, buffer, rank, tag)
        out[...] = buffer

    def finish(self) -> None:
        """Wait until every message sent has left its buffer."""
        for request, key, buffer in self._sending:
            self.wait(request.Wait)
            self._free[key].append(buffer)
        self._sending.clear()

    def _reclaim(self):
        """Take back the buffers of messages that have left."""
        waiting = []
        for request, key, buffer in self._sending:
            if request.Test():
                self._free[key].append(buffer)
            else:
                waiting.append((request, key, buffer))
        self._sending = waiting

    def sum(self, arrays: Sequence[np.ndarray]) -> None:
        """Sum arrays over all ranks in place, packed into one message for each dtype."""
        packed = self._pack(arrays)
        for own, summed in _messages(packed):
            self.wait(self.comm.Allreduce, own, summed)
        self._unpack(packed, arrays)

    def start_sum(self, arrays: Sequence[np.ndarray]) -> tuple[list, list]:
        """Start what `sum` does; `finish_sum` ends it. The arrays are free again at once."""
        packed = self._pack(arrays)
        return packed, [self.comm.Iallreduce(own, summed) for own, summed in _messages(packed)]

    def finish_sum(self, started: tuple[list, list], arrays: Sequence[np.ndarray]) -> None:
        """Wait for a sum that was started, and write it into the arrays."""
        packed, requests = started
        for request in requests:
            self.wait(request.Wait)
        self._unpack(packed, arrays)

    def _pack(self, arrays):
        """For each dtype a buffer that holds the arrays, and one for their sums."""
        packed = []
        for dtype in _dtypes(arrays):
            chosen = [a for a in arrays if a.dtype == dtype]
            total = sum(a.size for a in chosen)
            free = self._sums.setdefault((total, dtype), [])
            own, summed = free.pop() if free else np.empty((2, total), dtype)
            start = 0
            for array in chosen:
                own[start : start + array.size] = array.reshape(-1)
                start += array.size
            packed.append((own, summed))
        return packed

    def _unpack(self, packed, arrays):
        """Write the sums into the arrays, and take the buffers back."""
        for dtype, (own, summed) in zip(_dtypes(arrays), packed, strict=True):
            start = 0
            for array in arrays:
                if array.dtype == dtype:
                    array[...] = summed[start : start + array.size].reshape(array.shape)
                    start += array.size
            self._sums[start, dtype].append((own, summed))


def _messages(packed):
    """Pairs of buffers in pieces that a count of MPI can name."""
    for own, summed in packed:
        for start in range(0, len(own), LARGEST):
            piece = slice(start, start + LARGEST)
            yield own[piece], summed[piece]


def _dtypes(arrays):
    return dict.fromkeys(a.dtype for a in arrays)


class Channel:
    """One edge's messages, one an iteration; an older one may stand for those still under way.

    Parameters
    ----------
    mail : Mailbox
        Of the receiver.
    rank, tag : int
        Of the sender.
    """

    def __init__(self, mail: Mailbox, rank: int, tag: int):
        self.mail, self.rank, self.tag = mail, rank, tag
        self._due = collections.deque()
        self._newest = None

    def receive(self, out: np.ndarray, missing: int) -> int:
        """Write the newest message that has come into ``out``.

        Parameters
        ----------
        out : ndarray
            Shaped like the message of this iteration.
        missing : int
            How many messages, up to this iteration's, may still be under way.

        Returns
        -------
        int
            How many are: the age of what was written.
        """
        self._due.append((out.shape, out.dtype))
        while self._due and (
            len(self._due) > missing or self.mail.comm.Iprobe(self.rank, self.tag)
        ):
            self._take()
        out[...] = self._newest
        return len(self._due)

    def drain(self) -> None:
        """Receive all that is still under way."""
        while self._due:
            self._take()

    def _take(self):
        shape, dtype = self._due.popleft()
        if self._newest is None or (self._newest.shape, self._newest.dtype) != (shape, dtype):
            self._newest = np.empty(shape, dtype)
        self.mail.wait(self.mail.comm.Recv, self._newest, self.rank, self.tag)
