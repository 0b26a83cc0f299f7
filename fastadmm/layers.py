"""One cell of a network, unfolded over time: its buffers, and its part of a window."""

from dataclasses import dataclass, replace

import numpy as np

from fastadmm.kernels.recurrent import recurrence
from fastadmm.kernels.recurrent.cells.cell import widths
from fastadmm.kernels.recurrent.layout import matrix


@dataclass
class Span:
    """A cell over a window of T steps of B sequences.

    Attributes
    ----------
    unrolled : fastadmm.kernels.recurrent.recurrence.Unrolled
    hidden : int
    memory : int
        First column of what is kept that is also handed on, see `fastadmm.kernels.recurrent.cells`.
    """

    unrolled: recurrence.Unrolled
    hidden: int
    memory: int

    @property
    def z(self):
        """(T + 1, B, n): inputs, ones and states."""
        return self.unrolled.z

    @property
    def left(self):
        """Columns of z before the one and the states, [1; s]."""
        return self.z.shape[2] - 1 - self.hidden

    @property
    def states(self):
        """s_0..s_T: a view (T + 1, B, H)."""
        return self.z[:, :, -self.hidden :]

    @property
    def carried(self):
        """CARRIED H: width of what a step hands on."""
        return self.hidden + self.unrolled.kept.shape[2] - self.memory

    def handed_on(self, t, own=slice(None)):
        """What step t hands on, (B, CARRIED H): a copy; of 0 what the window begins with."""
        kept = self.unrolled.kept[t % len(self.unrolled.kept)]
        return np.concatenate([self.states[t, own], kept[own, self.memory :]], axis=1)

    def begin_with(self, own, carried):
        """Set what the window begins with, (n, CARRIED H), for some sequences."""
        self.states[0, own] = carried[:, : self.hidden]
        self.unrolled.kept[0, own, self.memory :] = carried[:, self.hidden :]

    def fill(self, own, number):
        """The same with one number."""
        self.states[0, own] = number
        self.unrolled.kept[0, own, self.memory :] = number

    def until(self, steps):
        """The first steps alone: views."""
        z, tokens, kept = self.unrolled
        first = recurrence.Unrolled(z[: steps + 1], tokens[:steps], kept[: steps + 1])
        return replace(self, unrolled=first)

    def rows(self, first, last):
        """Rows of ``z[first:last]``, (steps * B, n), without a copy."""
        return self.z[first:last].reshape(-1, self.z.shape[2])


class Layer:
    """Buffers of one cell for windows of up to ``steps`` steps of up to ``batch`` sequences.

    Parameters
    ----------
    net : RNN
    place : fastadmm.cells.Place
    tokens : bool
        Its inputs are token ids.
    steps, batch : int
    keeps : bool
        What the cell keeps of every step stays, for the way back.

    Attributes
    ----------
    weights : fastadmm.kernels.recurrent.recurrence.Weights
        Those that the passes use; `take` fills them.
    """

    def __init__(self, net, place, tokens, steps, batch, keeps):
        self.kind, self.place, self.hidden, self.dtype = net.kind, place, net.hidden, net.dtype
        self.is_tokens, self.keeps = tokens, keeps
        self.left = 0 if tokens else place.inputs
        self.width = self.left + 1 + net.hidden
        gates, kept, carried = widths(net.compiled_cell)
        self.gates, self.kept, self.carried = (net.hidden * n for n in (gates, kept, carried))
        self._z = np.zeros((steps + 1) * batch * self.width, self.dtype)
        self._kept = np.zeros((steps + 1 if keeps else 2) * batch * self.kept, self.dtype)
        self._tokens = np.zeros(steps * batch if tokens else 0, np.int64)
        self.table = np.empty(
            (place.inputs if tokens else 0, net.kind.driven * net.hidden), self.dtype
        )
        self.transposed = np.empty((self.width, self.gates), self.dtype)
        self.weights: recurrence.Weights

    def attach(self, sizes, values):
        """Use weights in a flat array, of which these are the sizes of the cell's maps."""
        self.weights = recurrence.Weights(sizes, values, self.transposed, self.table)

    def take(self, weights):
        """Copy the weights of the cell's maps, and bring the transposes up to them."""
        first = 0
        for i, (own, each) in enumerate(zip(weights, self.kind.maps, strict=True)):
            tokens = self.place.inputs if self.is_tokens and each.driven else 0
            matrix(self.weights.sizes, i, self.weights.values)[:] = own[:, tokens:]
            if tokens:
                self.table[:, first : first + len(own)] = own[:, :tokens].T
            first += len(own)
        recurrence.transpose_maps(self.weights)

    def span(self, steps, batch):
        """Its part of a window of this size; those of different sizes share memory."""
        shape = steps + 1, batch, self.width
        kept = (steps + 1 if self.keeps else 2), batch, self.kept
        tokens = self._tokens[: steps * batch].reshape(steps, batch) if self.is_tokens else None
        unrolled = recurrence.Unrolled(
            self._z[: np.prod(shape)].reshape(shape),
            self._tokens.reshape(0, 0) if tokens is None else tokens,
            self._kept[: np.prod(kept)].reshape(kept),
        )
        return Span(unrolled, self.hidden, self.hidden + self.kept - self.carried)
