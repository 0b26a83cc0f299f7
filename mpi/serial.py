"""The domain of one process: it owns everything, and communicates with nobody.

A domain tells a solver who owns which time steps and sequences, exchanges edges between time
neighbours, and sums over all owners. `fastadmm.mpi.grid.Grid` is the one over MPI ranks; solvers
are written against what both have in common.
"""


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
    """

    comm = None
    rank, size, parts = 0, 1, 1
    batch_index, batch_size = 0, 1
    is_first = is_last = is_root = True

    def cut(self, n_cases, n_steps, batch):
        """Own part of a window's sequences and time steps, two slices.

        Places in a mini-batch of ``batch`` are owned, so that a smaller last one has fewer owners.
        """
        self.n_cases, self.n_steps, self.stop = n_cases, n_steps, n_steps
        return slice(0, n_cases), slice(0, n_steps)

    def send_right(self, array):
        """Send an edge to the owner of the next steps; returns before it has arrived."""

    def send_left(self, array):
        """Send an edge to the owner of the steps before."""

    def receive_left(self, out):
        """Receive what the owner of the steps before has sent right."""

    def receive_right(self, out):
        """Receive what the owner of the next steps has sent left."""

    def finish(self):
        """Wait until everything that was sent has left."""

    def sum(self, *arrays):
        """Sum each array over all owners, in place."""

    def any(self, flag):
        """Whether the flag is set in any process: the same answer in all of them."""
        return bool(flag)

    def largest(self, value):
        """The largest of all processes' numbers."""
        return value

    def carry(self, state):
        """State after a window's last step, from its owner to that of the first step."""
        return state
