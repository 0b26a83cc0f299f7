"""Long sequences in `condensed` as chunks of time that overlap, within a rank and over ranks.

Every rank cuts its own steps of a window into chunks, the rows of one mini-batch. A chunk begins
with the states that its neighbour to the left, the chunk before it or the last one of another rank,
has after its last ``left`` steps, simulated from the state of new sequences; and its multipliers
begin with those that its neighbour to the right has at its start, pulled back over its first
``right`` steps from nothing. So an edge is known before the pass that ends with it, and no chunk,
and no rank, waits for another one's pass. Own steps alone enter losses, sums and Grams.

The certificate is the constraint itself: whoever has handed an edge on compares it with its states
and multipliers when its own pass comes to that place. The distances are reduced with the sums of
the weights, and where one is above the tolerance the step is repeated: with more overlap, or
exactly.
"""

import logging
from dataclasses import replace

import numpy as np

from fastadmm import chunks
from fastadmm.kernels.recurrent import recurrence
from fastadmm.mpi.cost import OVERLAP, best_chunks

TOLERANCES = {"float32": 1e-4, "float64": 1e-8}
"""Largest distance of edges (`fastadmm.chunks.distance`), where no other is asked for."""
SAFETY = 0.1
"""Overlaps are adapted to this share of the tolerance."""
NEVER = 10**9
"""Overlap that stands for one without end."""
SHRINKS = 0.9
"""An overlap that is larger than it need be falls to no less than this share of itself a step."""
RESTS = 4, 256
"""Exact steps after which it is tried anew whether states forget: at first, and at most."""


class Overlap:
    """How a solver cuts its windows, and what has become of the edges.

    Parameters
    ----------
    unfolded : fastadmm.unfolded.Unfolded
    domain : fastadmm.mpi.serial.Serial
    tolerance : float or None

    Attributes
    ----------
    left, right : int
        Steps of overlap for states and for multipliers; 0 before they are known.
    rest : int
        Exact steps left until it is tried anew.
    found : ndarray, (2,)
        Sums of powers of the distances of own edges, of states and of multipliers; to be reduced.
    has_failed : bool
        The last step's edges did not agree.
    """

    def __init__(self, unfolded, domain, tolerance):
        self.unfolded, self.domain = unfolded, domain
        self._threads = -int(domain.largest(-unfolded.threads))  # nobody has fewer
        self.tolerance = tolerance or TOLERANCES[unfolded.dtype.name]
        self.left, self.right, self.rest, self._longer_rest = 0, 0, 0, RESTS[0]
        self.found, self.has_failed = np.zeros(2), False
        self._has_said = False

    def state(self):
        """Numbers that the next step depends on."""
        return {"overlap": [self.left, self.right, self.rest, self._longer_rest]}

    def restore(self, state):
        """Take up what `state` has given."""
        self.left, self.right, self.rest, self._longer_rest = state["overlap"]

    def cut(self, batch):
        """The mini-batch as chunks, or as it is where that takes no longer, or edges would differ.

        All ranks come to the same answer. Collective where overlaps have to be predicted.
        """
        if self.rest:
            self.rest -= 1
            return batch
        if self.best(batch, OVERLAP) == 1:
            return batch
        if not self.left:
            self.left = self.right = self.predicted(batch)
        number = self.best(batch, max(self.left, self.right))
        if number == 1:
            self._give_up()
            return batch
        return self.chunks_of(batch, number)

    def chunks_of(self, batch, number):
        """The mini-batch as so many chunks."""
        initial = np.empty((len(batch.cases), self.unfolded.net.carried), self.unfolded.dtype)
        initial[:] = self.unfolded.start_of(batch)
        return replace(chunks.cut(batch, number), initial=initial)

    def best(self, batch, overlap):
        """Chunks of the own steps, the same on all ranks; 1 where the step is better not cut."""
        domain, part = self.domain, batch.part
        steps, sequences = part.n_steps // domain.time_size, -(-part.n_cases // domain.batch_size)
        if steps < chunks.PIECE or batch.data.lengths is not None:
            return 1
        micro = min(domain.parts, sequences)
        return best_chunks(
            steps, sequences, self._threads, overlap, recurrence.SEQUENCES,
            (micro + domain.time_size - 1) / micro,
        )  # fmt: skip

    def predicted(self, batch):
        """The overlap, by how fast states forget, see `fastadmm.chunks.overlap_of`.

        Multipliers go back through the transposed Jacobians, whose products fall at the same rate.
        """
        for layer in self.unfolded.layers:
            recurrence.transpose_maps(layer.weights)
        found, number = 0.0, self.best(batch, OVERLAP)
        if len(batch.cases):
            own, useful = self.chunks_of(batch, number), batch.steps // 4
            found = chunks.overlap_of(self.unfolded, own, self.tolerance, useful)
        return self._rounded(float(self.domain.largest(found)))

    def _rounded(self, overlap):
        return chunks.rounded(min(max(overlap, 1.0), NEVER))

    def _give_up(self):
        """Do some steps exactly, and then try anew."""
        if not self._has_said and self.domain.is_root:
            logging.getLogger("fastadmm").warning(
                "the network does not forget in time: chunks of its sequences would have to "
                "overlap by %s steps, so time points are gone over in turn",
                "any number of" if max(self.left, self.right) >= NEVER else self.left,
            )
        self._has_said = True
        self.left, self.right, self.rest = 0, 0, self._longer_rest
        self._longer_rest = min(2 * self._longer_rest, RESTS[1])

    def load(self, batch):
        """The window of chunks, each with the states that its neighbour has for it."""
        for layer in self.unfolded.layers:
            recurrence.transpose_maps(layer.weights)
        handed_on = chunks.simulated(self.unfolded, batch, batch.steps - self.left, batch.steps)
        own = len(handed_on) - len(batch.initial)  # rows with a neighbour to their right here
        begin = np.concatenate([batch.initial, handed_on[:own]])
        self.domain.send_right(batch.part, handed_on[own:])
        self.domain.receive_left(batch.part, begin[: len(batch.initial)])
        self._handed_right = handed_on
        return self.unfolded.load(replace(batch, initial=begin))

    def check_states(self, window, batch):
        """Compare what has been handed on with the states that chunks have come to."""
        stop = len(batch.cases) - (len(batch.initial) if batch.part.right is None else 0)
        states = window.handed_on(batch.steps)
        self.found[0] = chunks.powers(self._handed_right[:stop], states[:stop])

    def exchange_multipliers(self, batch, leaving):
        """What the last steps of chunks take, from what their first steps have handed back."""
        size = len(batch.initial)
        arriving = np.zeros_like(leaving)
        arriving[: len(leaving) - size] = leaving[size:]
        self.domain.send_left(batch.part, leaving[:size])
        self.domain.receive_right(batch.part, arriving[len(leaving) - size :])
        self._handed_left = leaving
        return arriving

    def check_multipliers(self, batch, leaving):
        """Compare what has been handed back with the multipliers that chunks have come to."""
        start = len(batch.initial) if batch.part.left is None else 0
        self.found[1] = chunks.powers(self._handed_left[start:], leaving[start:])

    def judge(self, record):
        """Whether edges agree, when the distances of all owners are summed; the next overlaps."""
        states, multipliers = map(chunks.root, self.found)
        record.edge_residual = max(states, multipliers)
        record.overlap = self.left, self.right
        self.has_failed = not (states <= self.tolerance and multipliers <= self.tolerance)
        self.left = self._next(self.left, states)
        self.right = self._next(self.right, multipliers)
        if not self.has_failed:
            self._longer_rest = RESTS[0]

    def _next(self, overlap, residual):
        """An overlap for a tenth of the tolerance, from what the last one has left."""
        target = SAFETY * self.tolerance
        wanted = chunks.from_distance(overlap, residual, target)
        if residual <= target:
            return min(overlap, self._rounded(max(wanted, SHRINKS * overlap)))
        return self._rounded(wanted)
