"""The variables of a split unfolded network over one window: what is stored, and what it sums to.

Both `block` and `admmirnn` split the network by three families of constraints,

    r1 = a_t − Θ z_t,    r2 = s_t − f(a_t),    r3 = o_t − Φ [1; s_t],

and keep pre-activations, states, outputs and multipliers. They start from simulated states and the
multipliers that make the Lagrangian stationary there, bounded where their recurrence backward in
time expands.
"""

import math
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastadmm.kernels.operators.activations import activate
from fastadmm.kernels.operators.losses import loss
from fastadmm.kernels.recurrent import exact_blocks, recurrence
from fastadmm.kernels.recurrent.exact_blocks import ALIGNED, PENALTY, SUMS
from fastadmm.kernels.recurrent.sums import dense_sums, token_sums
from fastadmm.mpi.partition import bounds
from fastadmm.solvers.base import Solver
from fastadmm.solvers.certificate import Certificate
from fastadmm.solvers.regularisers import Consensus
from fastadmm.unfolded import Unfolded


def finite(matrix: np.ndarray) -> np.ndarray:
    """A matrix that LAPACK can take: of NaN and infinity it writes to the terminal.

    Raises
    ------
    numpy.linalg.LinAlgError
    """
    if not np.isfinite(matrix).all():
        raise np.linalg.LinAlgError("not finite")
    return matrix


class WeightSystem:
    """One block of weights with the Gram of its inputs and the products of targets and inputs.

    Parameters
    ----------
    values : ndarray, (units, n)
    threads : int

    Attributes
    ----------
    gram : ndarray, (n, n)
        Mean over rows; lower triangle.
    cross : ndarray, (units, n)
        Sum over rows.
    """

    def __init__(self, values, threads):
        units, n = values.shape
        real = values.dtype
        self.values = values
        self.gram, self.cross = np.zeros((n, n), real), np.zeros((units, n), real)
        self.parts = np.empty((threads, units, n), real), np.zeros((threads, n, n), real)


def held_by(work):
    """Numbers of the sums that an iteration reduces, and of all that is held beside a window."""
    h, c, n = work.hidden, work.outputs, work.columns
    sums, grams = h * n + c * (h + 1), n * (n + 1) / 2 + (h + 1) * (h + 2) / 2
    return sums + grams, 4 * (n * n + (h + 1) ** 2) + 7 * sums


class Variables(Solver):
    """Variables over one window, their sums over all owners, and the network simulated beside them.

    Parameters as of `fastadmm.solvers.base.Solver`.
    """

    WORK: int
    """Arrays (B, H) of workspace that an iteration needs."""

    def __init__(self, net, problem, options, batch, steps, total, threads, domain=None):
        super().__init__(net, problem, options, batch, steps, total, threads, domain)
        self.unfolded = Unfolded(net, problem.tokens, steps, batch, threads, problem.units)
        real, hidden, classes = net.dtype, net.hidden, net.outputs
        outputs = problem.outputs_of(steps)
        self._large = np.zeros((4, steps * batch * hidden), real)
        self._small = np.zeros((3, outputs * batch * classes), real)
        self._work = np.empty(self.WORK * batch * hidden, real)
        self._output_work = np.empty(2 * outputs * batch * classes, real)
        self._edge = np.empty((batch, hidden), real)
        self._handed = np.empty((2, batch, hidden + 1), real)
        self._squares, self._totals = np.empty((2, batch)), np.zeros((threads, 4))
        self._kept = np.empty((steps + 1) * batch * hidden, real)
        self.theta_t = np.empty((net.theta.shape[1], hidden), real)
        self.losses, self.sums = np.zeros(threads), np.zeros((threads, 3, SUMS))
        self.theta, self.phi = WeightSystem(net.theta, threads), WeightSystem(net.phi, threads)
        self._theta_parts = self.theta.parts
        if problem.tokens:
            dense = self.unfolded.width
            self._theta_parts = (
                np.empty((threads, hidden, dense), real),
                np.zeros((threads, dense, dense), real),
            )
            self._token_parts = (
                np.empty((threads, net.inputs, hidden), real),
                np.empty((threads, net.inputs, dense), real),
            )
        self.k, self.total = 0, total * options.sweeps  # iterations
        self.consensus: Consensus | None = None
        self.start: dict[str, float] = {}
        self.totals, self.loss, self.network = np.zeros((3, SUMS)), math.nan, np.zeros(4)
        self.weights_dual = np.zeros(2)
        self.lagrangian, self.rise = math.nan, math.nan
        self.certificate = Certificate() if options.certify else None
        self.goes_on, self._saved = False, None
        self.entered: Any = None  # the mini-batch whose window is laid out

    def _lay_out(self, entered):
        """Views of the buffers for a window, and its data."""
        problem, self.part, self.entered = self.problem, entered.part, entered
        hidden, classes = self.net.hidden, self.net.outputs
        steps, batch = entered.steps, len(entered.cases)
        outputs = problem.outputs_of(steps, self.part.is_last)
        self.window = self.unfolded.load(entered)
        self.steps, self.batch = steps, batch
        self.terms, self.active = problem.terms_of(entered), entered.active
        elements = entered.rows * hidden
        self.sizes = np.sqrt([elements, elements, self.terms * classes])
        size, small = steps * batch * hidden, outputs * batch * classes
        self.edge = self._edge[: 0 if self.part.is_last else batch]
        self.a, self.lambda1, self.lambda2, self.targets = self._large[:, :size].reshape(
            4, steps, batch, hidden
        )
        self._small[:, :small] = 0
        self.o, self.lambda3, self.output_targets = self._small[:, :small].reshape(
            3, outputs, batch, classes
        )
        self.work = self._work[: self.WORK * batch * hidden].reshape(self.WORK, batch, hidden)
        self.output_work = self._output_work[: 2 * small].reshape(2, outputs, batch, classes)
        begun = np.arange(batch) < self.active[:, None]
        self.begun = begun[:, :, None] if entered.is_ragged else None
        self.goal = problem.targets_of(entered)

    def blank(self, array):
        """Zero an array (T, B, ...), or of the last steps, where sequences have not begun."""
        if self.begun is not None and len(array):
            array *= self.begun[self.steps - len(array) :]
        return array

    def loss_at(self, outputs, gradient):
        """Own sum of losses at outputs (L, B, C), and its gradient: zero before sequences begin."""
        flat = (array.reshape(-1, self.net.outputs) for array in (outputs, gradient))
        values, weights, _ = self.goal
        if self.begun is not None and len(outputs):
            counts = self.begun[self.steps - len(outputs) :].reshape(-1).astype(self.net.dtype)
            weights = counts if weights is None else weights * counts
        outputs, gradient = flat
        return loss(outputs, values, weights, 1.0, gradient)

    def outputs_with(self, phi):
        """``Φ [1; s]`` of the steps with a target, (L, B, C); zero before sequences begin."""
        states = self.window.z[self.steps + 1 - len(self.o) :, :, self.window.left :]
        return self.blank(states @ phi.T)

    def inputs(self, steps: slice | int = slice(None)):
        """[x; 1; s] of some steps, (..., B, D + 1 + H), tokens as one-hot rows."""
        z = self.window.z[:-1][steps]
        if not self.problem.tokens:
            return z
        one_hot = np.eye(self.net.inputs, dtype=z.dtype)[self.window.tokens[steps]]
        return np.concatenate([one_hot, z], axis=-1)

    def residuals(self, theta, phi):
        """r1 and r2, (T, B, H), and r3, (L, B, C), with these weights."""
        value = self.a.copy()
        activate(self.net.activation_code, value.reshape(-1, self.net.hidden))
        r1 = self.blank(self.a - self.inputs() @ theta.T)
        r2 = self.blank(self.window.states[1:] - value)
        return r1, r2, self.o - self.outputs_with(phi)

    def _edges(self):
        """What multipliers take from the steps after the window, and hand to those before."""
        arriving, leaving = self._handed[:, : self.window.z.shape[1]]
        return arriving[: 0 if self.part.is_last else None], leaving

    def _pull_back(self, theta, phi, safeguard, delta, lambda_):
        """Simulated states; gradients of the loss at outputs and pre-activations; own losses."""
        window = self.window
        self.unfolded.take([theta])
        self.unfolded.simulate(window, self.part, self.active, self.domain)
        self._totals[:] = 0
        phi_t = np.ascontiguousarray(phi.T)
        recurrence.read_out(
            window.z, phi_t, self.goal, delta, self.active, self._totals, window.sequence_bounds
        )
        arriving, leaving = self._edges()
        self.domain.receive_right(self.part, arriving)
        nothing = self.a[:0]
        backward = recurrence.Backward(
            delta, lambda_, self.work[0][:0], self.work[0], nothing, arriving, leaving,
            self._squares, self._totals,
        )  # fmt: skip
        recurrence.multipliers(
            self.unfolded.cell, window.unrolled, self.unfolded.layers[0].weights, phi, safeguard,
            backward, self.active, window.sequence_bounds,
        )  # fmt: skip
        self.domain.send_left(self.part, leaving)
        return self._totals[:, 0].sum()

    def _start(self):
        """Simulated states, and the multipliers of `condensed`: stationary there, or bounded."""
        self.lagrangian = math.nan
        net, window = self.net, self.window
        loss = self._pull_back(net.theta, net.phi, True, self.lambda3, self.lambda1)
        self.simulated = np.array([loss, math.nan, math.nan, math.nan])
        self.theta_t[:] = net.theta.T
        exact_blocks.preactivations(
            window.z, window.tokens, self.theta_t, self.a, self.active, window.sequence_bounds
        )
        self.o[:] = self.outputs_with(net.phi)
        self.lambda1 *= -1
        self.lambda3 *= -1
        W = net.recurrent
        np.matmul(self.lambda1[1:], W, out=self.lambda2[:-1])
        self.lambda2[-1:] = 0 if self.part.is_last else -self._edges()[0][:, :-1]
        self.lambda2[self.steps - len(self.o) :] += self.lambda3 @ net.read
        self.blank(self.lambda2)

    @contextmanager
    def _states_kept(self):
        """The network may be simulated within; the state variables come back afterwards."""
        kept = self._kept[: self.window.states.size].reshape(self.window.states.shape)
        kept[:] = self.window.states
        try:
            yield
        finally:
            self.window.states[:] = kept

    def _simulate(self):
        """Own sums over the outputs of the network that training would return, for `collect`.

        They are its loss, and the squared norms of distance to the output variables, of these, and
        of the outputs.
        """
        theta, phi = self.average
        with self._states_kept():
            self.unfolded.take([theta])
            self.unfolded.simulate(self.window, self.part, self.active, self.domain)
            outputs = self.outputs_with(phi)
        squares = [np.square(x, dtype=float).sum() for x in (self.o - outputs, self.o, outputs)]
        loss = self.loss_at(outputs, outputs)
        self.simulated = np.array([loss, *squares])

    def sum_theta(self, targets, then):
        """Mean Gram of z, and the sum of products of targets (T, B, H) and z.

        ``then()`` is called when the sums over all owners have arrived.
        """
        window, theta = self.window, self.theta
        tokens = self.net.inputs if self.problem.tokens else 0
        rows, targets, *ids = window.steps_of(
            self.entered, targets, *([window.tokens] if tokens else [])
        )
        cuts = bounds(len(rows), self.threads)
        dense_sums(
            rows, targets, True, *self._theta_parts, cuts, theta.cross[:, tokens:],
            theta.gram[tokens:, tokens:],
        )  # fmt: skip
        if tokens:
            token_sums(
                *ids, rows, targets, True, *self._token_parts, cuts, theta.cross, theta.gram
            )  # fmt: skip
        self._reduce(theta, len(rows), self.entered.rows, then)

    def sum_phi(self, targets, then):
        """Mean Gram of [1; s], and the sum of products of targets (L, B, C) and [1; s]."""
        rows, places = self.window.outputs(self.entered, len(targets))
        dense_sums(
            rows, targets.reshape(-1, self.net.outputs)[places], True, *self.phi.parts,
            bounds(len(rows), self.threads), self.phi.cross, self.phi.gram,
        )  # fmt: skip
        self._reduce(self.phi, len(rows), self.terms, then)

    def _reduce(self, system, own, whole, then):
        """Sum a system over all owners; its Gram is a mean over rows, here and there."""
        if own != whole:
            system.gram *= own / whole
        self.domain.reduce((system.gram, system.cross), lambda due: then())

    def move_outputs(self, rho, relaxation):
        """Outputs by the prox of the loss, then λ3 <- λ3 + ρ3 r3; sets the sums and the losses."""
        exact_blocks.update_outputs(
            self.window.z, self.net.phi, self.goal.values, self.goal.weights, self.o, self.lambda3,
            rho, relaxation, self.output_targets, self.output_work, self.losses, self.sums,
            self.active, self.window.sequence_bounds,
        )  # fmt: skip

    def measure(self, w1, w2, w3, then=lambda: None):
        """Set the sums of all constraints, without changes, and the losses; then `collect` them.

        Parameters
        ----------
        w1 : ndarray, (T, H) or longer
            Penalties of every step and unit.
        w2, w3 : ndarray, (T,) or longer, and (L,)
            Penalties of every step.
        then : callable
            Called without arguments when the sums over all owners have arrived.
        """
        net, window = self.net, self.window
        self.theta_t[:] = net.theta.T
        exact_blocks.measure(
            window.z, window.tokens, self.theta_t, self.a, self.lambda1, self.lambda2, w1, w2,
            net.activation_code, self.work, self.sums, self.active, window.sequence_bounds,
        )  # fmt: skip
        exact_blocks.measure_outputs(
            window.z, net.phi, self.o, self.lambda3, w3, self.output_work[0], self.sums,
            self.active, window.sequence_bounds,
        )  # fmt: skip
        self.losses[:] = 0
        self.losses[0] = self.loss_at(self.o, self.output_work[0])
        self.collect(then)

    def collect(self, then):
        """Sums over all owners, then(): ``totals`` of the constraints, ``loss`` at the output
        variables, and ``network``, see `_simulate`.
        """
        measured = np.concatenate([self.sums.sum(0).ravel(), [self.losses.sum()], self.simulated])

        def have_arrived(due):
            self.totals = measured[: 3 * SUMS].reshape(3, SUMS)
            self.loss, self.network = float(measured[3 * SUMS]), measured[3 * SUMS + 1 :]
            then()

        self.domain.reduce((measured,), have_arrived)

    def merit(self):
        """Augmented Lagrangian, and the sum of the sizes of its terms, as they were collected."""
        parts = np.append(self.totals[:, [ALIGNED, PENALTY]].ravel(), self.loss)
        return float(parts.sum()), float(np.abs(parts).sum())

    def _norm(self, x):
        """Norm of an array whose parts have owners."""
        square = np.array([np.square(x, dtype=float).sum()])
        self.domain.sum(square)
        return float(np.sqrt(square[0]))
