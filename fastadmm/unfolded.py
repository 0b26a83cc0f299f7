"""A recurrent network unfolded over time: its buffers, and the passes that fill them."""

import itertools
from dataclasses import dataclass

import numpy as np

from fastadmm.batches import Batch
from fastadmm.kernels.recurrent import recurrence
from fastadmm.mpi.partition import bounds
from fastadmm.mpi.serial import Serial
from fastadmm.units import Units


@dataclass
class Window:
    """Views of the buffers for T steps of B sequences; see `fastadmm.kernels.recurrent.recurrence`.

    ``z`` (T + 1, B, n) holds inputs, states and ones; ``tokens`` is (T, B), or empty for dense
    inputs.
    """

    z: np.ndarray
    tokens: np.ndarray
    hidden: int
    threads: int
    sequence_bounds: np.ndarray
    row_bounds: np.ndarray

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
        Gives shapes and dtype; its weights are passed to `simulate`, which may use others.
    tokens : bool
        Inputs are token ids instead of channels.
    steps, batch : int
    threads : int
    units : fastadmm.units.Units, optional
        Of the inputs; by default the weights take them as they are.
    """

    def __init__(self, net, tokens, steps, batch, threads, units=None):
        self.inputs, self.hidden, self.dtype = net.inputs, net.hidden, net.dtype
        self.is_tokens, self.threads = tokens, threads
        self.left = 0 if tokens else net.inputs
        self.width = self.left + 1 + net.hidden
        self.cell = net.cell
        self.units = units or Units.raw(net, tokens)
        self._z = np.zeros((steps + 1) * batch * self.width, self.dtype)
        self._tokens = np.zeros(steps * batch if tokens else 0, np.int64)
        self.theta_t = np.empty((net.inputs + 1 + net.hidden, net.hidden), self.dtype)
        self._windows = {}

    def window(self, steps, batch):
        """The window of this size; windows of different sizes share memory."""
        if (steps, batch) not in self._windows:
            shape = (steps + 1, batch, self.width)
            self._windows[steps, batch] = Window(
                self._z[: np.prod(shape)].reshape(shape),
                self._tokens[: steps * batch].reshape(steps, batch)
                if self.is_tokens
                else self._tokens.reshape(0, 0),
                self.hidden,
                self.threads,
                bounds(batch, self.threads),
                bounds(steps * batch, self.threads),
            )
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
        window.states[0] = 0 if batch.initial is None else batch.initial
        return window

    def simulate(self, window, theta, part, active, domain=SERIAL):
        """Fill the window's states under the weights ``theta``, in a pipeline over time.

        The last columns alone leave the first rows of ``theta_t`` as they are.

        Parameters
        ----------
        window : Window
        theta : ndarray
        part, active
            Of the `fastadmm.batches.Batch` that was loaded.
        domain : fastadmm.mpi.serial.Serial
        """
        self.theta_t[len(self.theta_t) - theta.shape[1] :] = theta.T
        for cut in pipeline(window, domain):
            own = slice(cut[0], cut[-1])
            domain.receive_left(part, window.states[0, own])
            recurrence.simulate(self.cell, window.z, window.tokens, self.theta_t, active, cut)
            domain.send_right(part, window.states[-1, own])

    def windows(self, data, theta, steps, batch, initial=None):
        """Simulate all cases in batches, each in windows of ``steps`` that carry their state on.

        Yields
        ------
        batch : fastadmm.batches.Batch
        window : Window
            Valid until the next one.
        """
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
                self.simulate(window, theta, own.part, own.active)
                carried = window.states[-1].copy()
                yield own, window
