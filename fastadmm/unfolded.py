"""A recurrent network unfolded over time: its buffers, and the passes that fill them."""

import itertools
from dataclasses import dataclass

import numpy as np

from fastadmm.batches import Batch
from fastadmm.kernels.recurrent import recurrence
from fastadmm.kernels.recurrent.cells.cell import widths
from fastadmm.kernels.recurrent.layout import WEIGHTS, Affine, lay_out, matrix
from fastadmm.mpi.partition import bounds
from fastadmm.mpi.serial import Serial
from fastadmm.units import Units


@dataclass
class Window:
    """Views of the buffers for T steps of B sequences; see `fastadmm.kernels.recurrent.recurrence`.

    Attributes
    ----------
    unrolled : fastadmm.kernels.recurrent.recurrence.Unrolled
    hidden : int
    memory : int
        First column of what is kept that is also handed on, see `fastadmm.kernels.recurrent.cells`.
    threads : int
    sequence_bounds, row_bounds : ndarray of int64
        Cuts of the sequences, and of all rows, over threads.
    """

    unrolled: recurrence.Unrolled
    hidden: int
    memory: int
    threads: int
    sequence_bounds: np.ndarray
    row_bounds: np.ndarray

    @property
    def z(self):
        """(T + 1, B, n): inputs, ones and states."""
        return self.unrolled.z

    @property
    def tokens(self):
        """(T, B), or empty for dense inputs."""
        return self.unrolled.tokens

    def handed_on(self, t, own=slice(None)):
        """What step t hands on, (B, CARRIED H): a copy; of 0 what the window begins with."""
        kept = self.unrolled.kept[t % len(self.unrolled.kept)]
        return np.concatenate([self.states[t, own], kept[own, self.memory :]], axis=1)

    def begin_with(self, own, carried):
        """Set what the window begins with, (n, CARRIED H) or a number, for some sequences."""
        carried = np.broadcast_to(carried, (own.stop - own.start, self.carried))
        self.states[0, own] = carried[:, : self.hidden]
        self.unrolled.kept[0, own, self.memory :] = carried[:, self.hidden :]

    @property
    def carried(self):
        """CARRIED H: width of what a step hands on."""
        return self.hidden + self.unrolled.kept.shape[2] - self.memory

    @property
    def states(self):
        """s_0..s_T: a view (T + 1, B, H)."""
        return self.z[:, :, -self.hidden :]

    @property
    def left(self):
        """Columns of z before the one and the states, [1; s]."""
        return self.z.shape[2] - 1 - self.hidden

    def rows(self, first, last):
        """Rows of ``z[first:last]``, (steps * B, n), without a copy."""
        return self.z[first:last].reshape(-1, self.z.shape[2])

    def outputs(self, batch, outputs):
        """Where the outputs of the last so many steps are: rows of z, and places of (L B) rows.

        Returns
        -------
        rows : ndarray, (terms, n)
            Without a copy where all sequences have begun.
        places : slice or ndarray of int64
        """
        first, size = batch.steps - outputs, len(batch.cases)
        rows, active = self.rows(first + 1, batch.steps + 1), batch.active[first:]
        if outputs == 0 or active[0] == size:
            return rows, slice(0, outputs * size)
        places = np.flatnonzero(np.arange(size) < active[:, None])
        return rows[places], places

    def steps_of(self, batch, *arrays):
        """Rows of z that the recurrent weights act on, and the same rows of arrays (T, B, ...).

        Without a copy where all sequences have begun.
        """
        rows, size = self.rows(0, batch.steps), len(batch.cases)
        flat = [array.reshape(batch.steps * size, *array.shape[2:]) for array in arrays]
        if not batch.is_ragged:
            return rows, *flat
        places = np.flatnonzero(np.arange(size) < batch.active[:, None])
        return rows[places], *(array[places] for array in flat)

    def clear(self, batch):
        """Zero the rows of steps before sequences have begun."""
        for t in range(batch.steps):
            self.z[t, batch.active[t] :] = 0

    def occurrences(self, batch):
        """How often each of the (T, B) tokens counts; None for once."""
        if not batch.is_ragged:
            return None
        counts = np.arange(len(batch.cases)) < batch.active[:, None]
        return counts.astype(np.int64).reshape(-1)


SERIAL = Serial()


def pipeline(window, domain):
    """Micro-batches of a window's sequences, each as the cut of its sequences over threads."""
    if domain.parts == 1:
        return [window.sequence_bounds]
    cuts = bounds(window.z.shape[1], min(domain.parts, max(window.z.shape[1], 1)))
    threads = len(window.sequence_bounds) - 1
    return [a + bounds(b - a, threads) for a, b in itertools.pairwise(cuts)]


class Unfolded:
    """Buffers for windows of up to ``steps`` steps of up to ``batch`` sequences of one network.

    Parameters
    ----------
    net : RNN
        Gives shapes and dtype; its weights are passed to `take`, which may be given others.
    tokens : bool
        Inputs are token ids instead of channels.
    steps, batch : int
    threads : int
    units : fastadmm.units.Units, optional
        Of the inputs; by default the weights take them as they are.
    keeps : bool
        What cells keep of every step stays, for the way back.

    Attributes
    ----------
    affine, widths
        Arguments of `fastadmm.kernels.recurrent.layout.lay_out`: all maps, the read-out last.
    weights : fastadmm.kernels.recurrent.recurrence.Weights
        Those that `simulate` uses.
    """

    def __init__(self, net, tokens, steps, batch, threads, units=None, keeps=False):
        self.net, self.hidden, self.dtype = net, net.hidden, net.dtype
        self.is_tokens, self.threads, self.keeps = tokens, threads, keeps
        self.left = 0 if tokens else net.inputs
        self.width = self.left + 1 + net.hidden
        self.cell = net.compiled_cell
        gates, kept, carried = widths(self.cell)
        self.gates, self.kept, self.carried = (net.hidden * n for n in (gates, kept, carried))
        self.units = units or Units.raw(net, tokens)
        self._z = np.zeros((steps + 1) * batch * self.width, self.dtype)
        self._kept = np.zeros((steps + 1 if keeps else 2) * batch * self.kept, self.dtype)
        self._tokens = np.zeros(steps * batch if tokens else 0, np.int64)
        self.affine, self.widths = self._affine()
        sizes = lay_out(self.affine, self.widths).sizes
        self.weights = recurrence.Weights(
            sizes[:-1], np.empty(sizes[-1, WEIGHTS], self.dtype),
            np.empty((self.width, self.gates), self.dtype),
            np.empty((net.inputs if tokens else 0, net.kind.driven * net.hidden), self.dtype),
        )  # fmt: skip
        self._windows = {}

    def _affine(self):
        """The maps as weight systems see them, and the widths of what they act on."""
        net, hidden = self.net, self.hidden
        found = [
            Affine(
                each.blocks * hidden, 0, 0 if each.driven else self.left,
                each.width(self.left, hidden),
                each.columns(self.left).recurrent.start,
            )
            for each in net.kind.maps
        ]  # fmt: skip
        return [*found, Affine(net.outputs, 1, 0, 1 + hidden, 1 + hidden)], [self.width, 1 + hidden]

    def dense(self, weights):
        """Of all maps' weights the columns that are multiplied: of tokens the others."""
        if not self.is_tokens:
            return list(weights)
        maps = [
            own[:, self.net.inputs :] if each.driven else own
            for own, each in zip(weights, self.net.kind.maps, strict=False)
        ]
        return [*maps, weights[-1]]

    def take(self, weights):
        """Simulate under these weights: as in ``RNN.weights``, of which the last is not read."""
        maps, first = self.net.kind.maps, 0
        for i, (own, each) in enumerate(zip(self.dense(weights), maps, strict=False)):
            matrix(self.weights.sizes, i, self.weights.values)[:] = own
            if self.is_tokens and each.driven:
                self.weights.table[:, first : first + len(own)] = weights[i][:, : self.net.inputs].T
            first += len(own)
        recurrence.transpose_maps(self.weights)

    def window(self, steps, batch):
        """The window of this size; windows of different sizes share memory."""
        if (steps, batch) not in self._windows:
            shape = (steps + 1, batch, self.width)
            kept = (steps + 1 if self.keeps else 2), batch, self.kept
            unrolled = recurrence.Unrolled(
                self._z[: np.prod(shape)].reshape(shape),
                self._tokens[: steps * batch].reshape(steps, batch)
                if self.is_tokens
                else self._tokens.reshape(0, 0),
                self._kept[: np.prod(kept)].reshape(kept),
            )
            memory = self.hidden + self.kept - self.carried
            self._windows[steps, batch] = Window(
                unrolled, self.hidden, memory, self.threads,
                bounds(batch, self.threads), bounds(steps * batch, self.threads),
            )  # fmt: skip
        return self._windows[steps, batch]

    def load(self, batch):
        """The window of a `fastadmm.batches.Batch`: its inputs, and the state before it."""
        X, cases, first = batch.data.X, batch.cases, batch.first
        window = self.window(batch.steps, len(cases))
        if self.is_tokens:
            recurrence.load_tokens(X, cases, first, window.z, window.tokens, window.sequence_bounds)
        else:
            units = self.units
            recurrence.load(
                X, cases, first, units.input_shift, units.input_scale, window.z,
                window.sequence_bounds,
            )  # fmt: skip
        everyone = slice(0, len(cases))
        window.begin_with(everyone, 0 if batch.initial is None else batch.initial)
        return window

    def simulate(self, window, part, active, domain=SERIAL):
        """Fill the window's states under ``weights``, in a pipeline over time.

        Parameters
        ----------
        window : Window
        part, active
            Of the `fastadmm.batches.Batch` that was loaded.
        domain : fastadmm.mpi.serial.Serial
        """
        steps = len(window.z) - 1
        for cut in pipeline(window, domain):
            own = slice(cut[0], cut[-1])
            carried = window.handed_on(0, own)
            domain.receive_left(part, carried)
            window.begin_with(own, carried)
            recurrence.simulate(self.cell, window.unrolled, self.weights, active, cut)
            domain.send_right(part, window.handed_on(steps, own))

    def windows(self, data, weights, steps, batch, initial=None):
        """Simulate all cases in batches, each in windows of ``steps`` that carry their state on.

        Yields
        ------
        batch : fastadmm.batches.Batch
        window : Window
            Valid until the next one.
        """
        self.take(weights)
        n_cases, n_timepoints = data.X.shape[:2]
        order, begin = np.arange(n_cases), 0
        if data.lengths is not None:  # sequences of similar length, from where the first begins
            order = np.argsort(-data.lengths, kind="stable")
        for start in range(0, n_cases, batch):
            cases = order[start : start + batch]
            if data.lengths is not None:
                begin = n_timepoints - int(data.lengths[cases[0]])
            carried = None if initial is None else initial[cases]
            for first in range(begin, n_timepoints, steps):
                length = min(steps, n_timepoints - first)
                own = Batch.alone(data, cases, first, length, initial=carried)
                window = self.load(own)
                self.simulate(window, own.part, own.active)
                carried = window.handed_on(length)
                yield own, window
