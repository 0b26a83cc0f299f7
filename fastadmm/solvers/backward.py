"""The way back through a network, for `condensed`: buffers, and what goes from cell to cell."""

import itertools

import numpy as np

from fastadmm.kernels.recurrent import recurrence, stacks
from fastadmm.unfolded import lengths_of


class Buffers:
    """What multipliers are written to, of all cells.

    Parameters
    ----------
    unfolded : fastadmm.unfolded.Unfolded
    steps, batch : int
        Largest number of own steps and sequences.
    outputs : int
        Largest number of own outputs of a sequence.
    threads : int
    rows : int
        Largest number of rows of a step: of sequences, or of chunks of them.
    """

    def __init__(self, unfolded, steps, batch, outputs, threads, rows):
        self.unfolded, net, real = unfolded, unfolded.net, unfolded.dtype
        layers, hidden = unfolded.layers, net.hidden
        self._delta = np.empty(outputs * batch * net.outputs, real)
        self._lambda = [np.empty(steps * batch * layer.gates, real) for layer in layers]
        self._is_read = [self._reads_out(i) for i in range(len(layers))]
        self._above = [
            np.empty(0 if by_read_out else steps * batch * hidden, real)
            for by_read_out in self._is_read
        ]
        self._edges = [np.empty((2, rows, layer.carried + 1), real) for layer in layers]
        self._carried = np.empty((rows, layers[0].carried), real)
        self._own, self._squares = np.empty((rows, hidden), real), np.empty((2, rows))
        self.totals = np.zeros((threads, 4))
        widths = [layer.place.inputs for layer in layers if layer.place.level > 0]
        widths.append(0 if unfolded.is_direct else net.width)
        self._adjoints = np.empty(steps * batch * max(widths), real)

    def _reads_out(self, i):
        """Whether the read-out alone reads a cell, straight from its rows."""
        return self.unfolded.is_direct and i == len(self.unfolded.layers) - 1

    def backwards(self, batch, problem):
        """What the way back through each cell writes: views of the buffers."""
        net, steps, cases = self.unfolded.net, batch.steps, len(batch.cases)
        outputs = problem.outputs_of(steps, batch.part.is_last)
        delta = self._delta[: outputs * cases * net.outputs].reshape(outputs, cases, net.outputs)
        is_end = batch.part.is_last and not batch.chunks
        wants_start = self.unfolded.start is not None or batch.part.left is not None
        found = []
        for i, layer in enumerate(self.unfolded.layers):
            arriving, leaving = self._edges[i][:, :cases]
            above = self._above[i]
            found.append(recurrence.Backward(
                delta,
                self._lambda[i][: steps * cases * layer.gates].reshape(steps, cases, layer.gates),
                self._carried, self._own,
                above[: steps * cases * net.hidden].reshape(-1, cases, net.hidden)
                if above.size else above.reshape(0, 0, net.hidden),
                arriving[: 0 if is_end else None],
                leaving[: None if wants_start or batch.chunks else 0], self._squares, self.totals,
            ))  # fmt: skip
        return found

    def spread(self, window, batch, phi, backwards):
        """Adjoints of what the read-out reads, where that is not one cell's rows."""
        unfolded, delta = self.unfolded, backwards[-1].delta
        if unfolded.is_direct:
            return
        adjoints = self._adjoints[: delta.size // delta.shape[2] * unfolded.net.width]
        adjoints = adjoints.reshape(*delta.shape[:2], unfolded.net.width)
        np.matmul(delta, phi[:, 1:], out=adjoints)
        lengths = lengths_of(batch.active, len(batch.cases))
        how = stacks.READOUTS[unfolded.readout]
        for column, i in enumerate(unfolded.top()):
            span = window.spans[i]
            stacks.spread(
                adjoints, span.z, (span.left + 1, span.hidden), how,
                unfolded.net.places[i].is_reverse, lengths, window.read,
                1 + column * span.hidden, backwards[i].above, window.sequence_bounds,
            )  # fmt: skip

    def bring_down(self, i, batch, masks, backwards, cut):
        """Adjoints of a cell's inputs, added to those of the states that it reads."""
        unfolded, lambda_ = self.unfolded, backwards[i].lambda_
        place = unfolded.net.places[i]
        if place.level == 0:
            return
        adjoints = self._adjoints[: lambda_.shape[0] * lambda_.shape[1] * place.inputs]
        adjoints = adjoints.reshape(*lambda_.shape[:2], place.inputs)
        stacks.input_adjoints(unfolded.layers[i].weights, lambda_, adjoints, cut)
        lengths = lengths_of(batch.active, len(batch.cases))
        mask, adds = unfolded.mask(masks, place.level - 1), self._has_brought(i)
        for k, at in unfolded.below(i):
            reverse = unfolded.net.places[k].is_reverse, place.is_reverse
            stacks.bring_down(adjoints, at, backwards[k].above, reverse, lengths, mask, adds, cut)

    def _has_brought(self, i):
        """Whether another cell of its level has brought down adjoints before it."""
        places = self.unfolded.net.places
        return any(later.level == places[i].level for later in places[i + 1 :])

    def take(self, message, own, backwards):
        """Set what arrives from the steps after the window, of some sequences, side by side."""
        ends = np.cumsum([0, *(each.arriving.shape[1] for each in backwards)])
        for each, (start, stop) in zip(backwards, itertools.pairwise(ends), strict=True):
            each.arriving[own] = message[:, start:stop]

    def receive(self, domain, part, own, backwards):
        """Take what the steps after the window hand back, of some sequences."""
        message = np.concatenate([each.arriving[own] for each in backwards], axis=1)
        domain.receive_right(part, message)
        self.take(message, own, backwards)

    def leaving(self, own, backwards):
        """What is handed back to the steps before the window, of some sequences, side by side."""
        return np.concatenate([each.leaving[own] for each in backwards], axis=1)

    def send(self, domain, part, own, backwards):
        """Hand back to the steps before the window."""
        domain.send_left(part, self.leaving(own, backwards))


def until(backwards, steps):
    """The first steps alone, after which nothing comes: views."""
    return [
        each._replace(
            delta=each.delta[:steps], lambda_=each.lambda_[:steps], above=each.above[:steps],
            arriving=each.arriving[:0],
        )
        for each in backwards
    ]  # fmt: skip
