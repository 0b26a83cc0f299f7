"""The domain of one process: it owns everything, and communicates with nobody.

A domain tells a solver who owns which time steps and sequences, exchanges edges between time
neighbours, and sums over all owners. `fastadmm.mpi.grid.Grid` is the one over MPI ranks; solvers
are written against what both have in common.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mpi4py import MPI


class Serial:
    """All time steps and sequences in this process.

    Attributes
    ----------
    rank, size : int
    n_steps, n_cases : int
        Of the window that was cut last, over all owners.
    stop : int
        Own last step's number plus one.
    is_first, is_last : bool
        Whether this process owns its first and its last time step.
    parts : int
        Micro-batches that a pipeline over time cuts the sequences into.
    staleness : int
        Iterations that what a process uses of the others may lag behind.
    edges_may_age : bool
        Whether that holds for edges too; set by solvers. Edges of other sequences are of no use, so
        in a window's first iteration they may not.
    acts_between_passes : bool
        Whether it has to be called between the passes over time, to exchange edges or to help other
        messages on; otherwise all passes may run at once.
    iteration : int
        Number of iterations ended.
    waited : float
        Seconds spent waiting for others.
    """

    comm: "MPI.Intracomm | None" = None
    staleness, edges_may_age, acts_between_passes = 0, False, False
    rank, size, parts = 0, 1, 1
    batch_index, time_size, batch_size, waited = 0, 1, 1, 0.0
    is_first = is_last = is_root = True

    def __init__(self):
        self.iteration = 0

    def cut(self, n_cases: int, n_steps: int, batch: int) -> tuple[slice, slice]:
        """Own places in a mini-batch of ``batch`` places, and own time steps of a window: slices.

        Places are owned, not sequences: some may be empty, with ``n_cases`` sequences in all.
        """
        self.n_cases, self.n_steps, self.stop = n_cases, n_steps, n_steps
        return slice(0, batch), slice(0, n_steps)

    def send_right(self, array: np.ndarray) -> None:
        """Send an edge to the owner of the next steps; returns before it has arrived."""

    def send_left(self, array: np.ndarray) -> None:
        """Send an edge to the owner of the steps before."""

    def receive_left(self, out: np.ndarray) -> None:
        """Receive what the owner of the steps before has sent right."""

    def receive_right(self, out: np.ndarray) -> None:
        """Receive what the owner of the next steps has sent left."""

    def sum(self, *arrays: np.ndarray) -> None:
        """Sum each array over all owners, in place."""

    def reduce(self, arrays: Sequence[np.ndarray], then: Callable[[int], object]) -> None:
        """Sum each array over all owners, in place, and go on with ``then`` when that is done.

        Parameters
        ----------
        arrays : sequence of ndarray
            May be used for other things before ``then`` is called, which finds the sums in them.
        then : callable
            Called with the number of the iteration at whose end all owners will have called it;
            calls come in the order of the reductions. Here it is called at once, and by
            `fastadmm.mpi.asynchronous.AsynchronousGrid` at the end of this or a later iteration.
        """
        self.sum(*arrays)
        then(self.iteration + 1 + self.staleness)

    def end_iteration(self) -> None:
        """All edges of the iteration have been sent and received."""
        self.iteration += 1

    def drain(self) -> None:
        """Wait until everything under way has arrived; all owners are in step again."""

    def any(self, flag: object) -> bool:
        """Whether the flag is set in any process: the same answer in all of them."""
        return bool(flag)

    def largest(self, value: Any) -> Any:
        """The largest of all processes' numbers, or of each entry of their arrays."""
        return value

    def gather(self, facts: Any) -> list:
        """What every process passes, in the order of ranks."""
        return [facts]

    def carry(self, state: np.ndarray) -> np.ndarray:
        """State after a window's last step, from its owner to that of the first step."""
        return state
