"""A recurrent network unfolded over time: its buffers, and the passes that fill them."""

import itertools
from dataclasses import dataclass

import numpy as np

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
    sequence_bounds: np.ndarray
    row_bounds: np.ndarray

    @property
    def states(self):
        """s_0..s_T: a view (T + 1, B, H)."""
        return self.z[:, :, -1 - self.hidden : -1]

    @property
    def left(self):
        """Columns of z before the states."""
        return self.z.shape[2] - 1 - self.hidden

    def rows(self, first, last):
        """Rows of ``z[first:last]``, (steps * B, n), without a copy."""
        return self.z[first:last].reshape(-1, self.z.shape[2])

    def output_rows(self, outputs):
        """Rows that the read-out of the last so many steps acts on."""
        return self.rows(len(self.z) - outputs, len(self.z))

    def output_bounds(self, outputs):
        """Cut of those rows."""
        return self.row_bounds if outputs == len(self.z) - 1 else self.sequence_bounds


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
        self.width = self.left + net.hidden + 1
        self.activation = net.activation_code
        self.units = units or Units.raw(net, tokens)
        self._z = np.zeros((steps + 1) * batch * self.width, self.dtype)
        self._tokens = np.zeros(steps * batch if tokens else 0, np.int64)
        self.theta_t = np.empty((net.inputs + net.hidden + 1, net.hidden), self.dtype)
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
                bounds(batch, self.threads),
                bounds(steps * batch, self.threads),
            )
        return self._windows[steps, batch]

    def load(self, X, cases, first, steps, initial=None):
        """Window on time points ``first:first + steps`` of the cases, with s_0 = initial or 0."""
        window = self.window(steps, len(cases))
        if self.is_tokens:
            recurrence.load_tokens(X, cases, first, window.z, window.tokens, window.sequence_bounds)
        else:
            units = self.units
            recurrence.load(
                X, cases, first, units.input_shift, units.input_scale, window.z,
                window.sequence_bounds,
            )  # fmt: skip
        window.states[0] = 0 if initial is None else initial
        return window

    def simulate(self, window, theta, domain=SERIAL):
        """Fill the window's states under the weights ``theta``, in a pipeline over time.

        The last columns alone leave the first rows of ``theta_t`` as they are.
        """
        self.theta_t[len(self.theta_t) - theta.shape[1] :] = theta.T
        for part in pipeline(window, domain):
            edge = window.states[0, part[0] : part[-1]]
            domain.receive_left(edge)
            recurrence.simulate(window.z, window.tokens, self.theta_t, self.activation, part)
            domain.send_right(window.states[-1, part[0] : part[-1]])

    def windows(self, X, theta, steps, batch, initial=None):
        """Simulate all cases in batches, each in windows of ``steps`` that carry their state on.

        Yields
        ------
        cases : ndarray of int64
        first : int
            Time point of the window's first step.
        window : Window
            Valid until the next one.
        """
        n_cases, n_timepoints = X.shape[:2]
        for start in range(0, n_cases, batch):
            cases = np.arange(start, min(start + batch, n_cases))
            carried = None if initial is None else initial[cases]
            for first in range(0, n_timepoints, steps):
                window = self.load(X, cases, first, min(steps, n_timepoints - first), carried)
                self.simulate(window, theta)
                carried = window.states[-1].copy()
                yield cases, first, window
