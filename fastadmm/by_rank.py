"""Data of which every rank holds some cases; together, in the order of ranks, they are the data."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastadmm.agreement import same
from fastadmm.batches import Data
from fastadmm.mpi.exchange import exchange
from fastadmm.on_disk import OnDisk

if TYPE_CHECKING:
    from mpi4py import MPI


class ByRank(OnDisk):
    """Part of an array's interface: indexing asks the ranks that hold it, and is collective.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
    held : ndarray
        Cases of this rank.
    """

    def __init__(self, comm: "MPI.Intracomm", held: np.ndarray):
        self.comm, self.held = comm, held
        self.bounds = np.cumsum([0, *comm.allgather(len(held))])
        self.cases = np.arange(self.bounds[-1])
        super().__init__((len(self.cases), *held.shape[1:]), held.dtype)

    def of(self, cases: Any) -> "ByRank":
        """Some of the cases, in order, of which none is exchanged yet."""
        found = object.__new__(type(self))
        found.__dict__ |= self.__dict__
        found.cases = self.cases[cases]
        found.shape = (len(found.cases), *self.shape[1:])
        return found

    def __getitem__(self, index):
        cases, *others = index if isinstance(index, tuple) else (index,)
        return exchange(self.comm, self.held, self.bounds, self.cases[cases], tuple(others))


def joined(
    comm: "MPI.Intracomm", own: Data, is_ragged: bool, readout: str, names: tuple[str, str]
) -> Data:
    """The data of all ranks, from the own cases of each; collective.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
    own : Data
        As the kernels take it.
    is_ragged : bool
        Own sequences are a list, or have lengths, so that those of other ranks may be longer.
    readout : str
    names : pair of str
        Of inputs and targets, for messages.

    Raises
    ------
    ValueError
        On all ranks, where arrays are not of one kind, or no rank has a case.
    """
    X, y, lengths, every = own.X, own.y, own.lengths, readout == "all"
    may_differ = any(comm.allgather(is_ragged))
    for name, array, of_times in zip(names, (X, y), (True, every), strict=True):
        axes = ["n_cases", *array.shape[1:]]
        axes[1:2] = ["n_timepoints"] if of_times and may_differ else axes[1:2]
        same(comm, name, f"{array.dtype} ({', '.join(map(str, axes))})")
    found = comm.allgather((X.shape[1], lengths is not None))
    if len(set(found)) > 1 or found[0][1]:
        longest = max(n_timepoints for n_timepoints, _ in found)
        lengths = np.full(len(X), X.shape[1]) if lengths is None else lengths
        X, y = _begun_late(X, longest), _begun_late(y, longest) if every else y
    if not any(comm.allgather(len(X))):
        raise ValueError(f"{names[0]} has no case on any rank: expected at least one")
    return replace(
        own, X=ByRank(comm, X), y=ByRank(comm, y), lengths=_concatenated(comm, lengths),
        weights=_concatenated(comm, own.weights),
        initial=None if own.initial is None else ByRank(comm, own.initial),
    )  # fmt: skip


def _begun_late(array, n_timepoints):
    """Sequences of so many time points, those that there are at their end."""
    missing = np.zeros((len(array), n_timepoints - array.shape[1], *array.shape[2:]), array.dtype)
    return np.concatenate([missing, array], axis=1) if missing.size else array


def _concatenated(comm, own):
    """Small arrays of all ranks as one, on each; None where there are none."""
    return None if own is None else np.concatenate(comm.allgather(own))
