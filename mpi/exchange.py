"""Cases that ranks hold, one after the other, on their way to the ranks that want them."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mpi4py import MPI

MESSAGE = 1 << 26
"""Bytes of a message, about: the counts of much larger ones may not fit into an int of C."""


def exchange(
    comm: "MPI.Intracomm",
    held: np.ndarray,
    bounds: np.ndarray,
    wanted: np.ndarray,
    others: tuple[slice, ...] = (),
) -> np.ndarray:
    """Some cases of an array that all ranks hold between them; collective.

    Every rank wants what it likes. Only what another one wants leaves a rank, straight to that one.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
    held : ndarray
        Own cases, of one dtype and shape on all ranks but for their number.
    bounds : ndarray of int64, (ranks + 1,)
        Rank r holds the cases ``bounds[r]:bounds[r + 1]`` of all.
    wanted : ndarray of int64
        Numbers of cases among all, increasing.
    others : tuple of slices
        What is wanted along the other axes; by default all.

    Returns
    -------
    ndarray
    """
    shape = held[(slice(0, 0), *others)].shape[1:]
    out, cuts = np.empty((len(wanted), *shape), held.dtype), np.searchsorted(wanted, bounds)
    pieces = [slice(*cuts[rank : rank + 2]) for rank in range(comm.size)]
    private = comm.Dup()  # no message meets one of the caller's
    try:
        asked = private.alltoall([(wanted[p] - bounds[r], others) for r, p in enumerate(pieces)])
        under_way = []
        for rank, piece in enumerate(pieces):
            if rank != comm.rank:
                under_way += [private.Irecv(rows, rank) for rows in _messages(out[piece])]
        for rank, (cases, rest) in enumerate(asked):
            found = held[cases][(slice(None), *rest)]
            if rank == comm.rank:
                out[pieces[rank]] = found
            else:
                sent = _messages(np.ascontiguousarray(found))
                under_way += [private.Isend(rows, rank) for rows in sent]
        for request in under_way:  # each keeps its buffer
            request.Wait()
    finally:
        private.Free()
    return out


def _messages(rows):
    """An array in pieces of about the size of a message, none where it is empty."""
    step = max(1, MESSAGE * len(rows) // max(1, rows.nbytes))
    return [rows[i : i + step] for i in range(0, len(rows), step)] if rows.size else []
