"""The domain of one process: it owns everything, and communicates with nobody.

A domain tells a solver who owns which time steps and sequences, exchanges edges between time
neighbours, and sums over all owners. `fastadmm.mpi.grid.Grid` is the one over MPI ranks; solvers
are written against what both have in common.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .part import Part, part_of

if TYPE_CHECKING:
    from mpi4py import MPI


class Serial:
    """All time steps and sequences in this process.

    Attributes
    ----------
    rank, size : int
    parts : int
        Micro-batches that a pipeline over time cuts the sequences into.
    staleness : int
        Iterations that what a process uses of the others may lag behind.
    acts_between_passes : bool
        Whether it has to be called between the passes over time, to exchange edges or to help other
        messages on; otherwise all passes may run at once.
    iteration : int
        Number of iterations ended.
    waited : float
        Seconds spent waiting for others.
    """

    comm: "MPI.Intracomm | None" = None
    staleness, acts_between_passes = 0, False
    rank, size, parts = 0, 1, 1
    batch_index, time_index, time_size, batch_size, waited = 0, 0, 1, 1, 0.0
    is_root = True

    def __init__(self):
        self.iteration = 0

    def close(self) -> None:
        """Give back what the domain has of the MPI library; it is of no use afterwards."""

    def cut(self, n_cases: int, n_steps: int, places: int) -> Part:
        """Own `Part` of a window of ``n_steps`` time steps of ``n_cases`` sequences.

        They have ``places`` in the mini-batch, of which some may be empty.
        """
        return part_of(self.rank, self.time_size, self.batch_size, n_cases, n_steps, places)

    def send_right(self, part: Part, array: np.ndarray) -> None:
        """Send an edge to the owner of the next steps; returns before it has arrived."""

    def send_left(self, part: Part, array: np.ndarray) -> None:
        """Send an edge to the owner of the steps before."""

    def receive_left(self, part: Part, out: np.ndarray) -> None:
        """Receive what the owner of the steps before has sent right."""

    def receive_right(self, part: Part, out: np.ndarray) -> None:
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

    def collect(self, piece: Any) -> list | None:
        """What every process passes, in the order of ranks, on the root alone; else None."""
        return [piece]

    def carry(self, part: Part, state: np.ndarray) -> np.ndarray:
        """State after a window's last step, from its owner to that of the first step."""
        return state
