"""Messages through planned buffers: edges between two ranks, sums over all."""

import numpy as np

TAGS = {"right": 1, "left": 2, "carry": 3}


class Mailbox:
    """Sends, receives and sums arrays of any strides through contiguous buffers kept for reuse.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
    """

    def __init__(self, comm):
        self.comm = comm
        self._free, self._sending = {}, []
        self._incoming, self._sums = {}, {}

    def send(self, array, rank, kind):
        """Start sending a copy of the array."""
        self._reclaim()
        key = array.shape, array.dtype.str
        buffers = self._free.setdefault(key, [])
        buffer = buffers.pop() if buffers else np.empty(array.shape, array.dtype)
        buffer[...] = array
        self._sending.append((self.comm.Isend(buffer, rank, TAGS[kind]), key, buffer))

    def receive(self, out, rank, kind):
        """Wait for a message, and write it into ``out``."""
        key = out.shape, out.dtype.str
        if key not in self._incoming:
            self._incoming[key] = np.empty(out.shape, out.dtype)
        buffer = self._incoming[key]
        self.comm.Recv(buffer, rank, TAGS[kind])
        out[...] = buffer

    def finish(self):
        """Wait until every message sent has left its buffer."""
        for request, key, buffer in self._sending:
            request.Wait()
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

    def sum(self, arrays):
        """Sum arrays over all ranks in place, packed into one message for each dtype."""
        for dtype in dict.fromkeys(a.dtype for a in arrays):
            chosen = [a for a in arrays if a.dtype == dtype]
            total = sum(a.size for a in chosen)
            if (total, dtype) not in self._sums:
                self._sums[total, dtype] = np.empty(total, dtype), np.empty(total, dtype)
            own, summed = self._sums[total, dtype]
            start = 0
            for array in chosen:
                own[start : start + array.size] = array.reshape(-1)
                start += array.size
            self.comm.Allreduce(own, summed)
            start = 0
            for array in chosen:
                array[...] = summed[start : start + array.size].reshape(array.shape)
                start += array.size
