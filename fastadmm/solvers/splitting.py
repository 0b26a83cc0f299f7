"""What `block` and `admmirnn` share: states and multipliers as variables, and their convergence.

Both split the unfolded network by three families of constraints,

    r1 = a_t − Θ z_t,    r2 = s_t − f(a_t),    r3 = o_t − Φ [s_t; 1],

and keep pre-activations, states, outputs and multipliers from one iteration to the next for as long
as they are given the same window (full batch). A new window (mini-batch) starts from simulated
states and the multipliers that make the Lagrangian stationary there.
"""

import math
from dataclasses import dataclass

import numpy as np

from fastadmm.kernels import losses, state_blocks, states, weights
from fastadmm.kernels.activations import activate, times_derivative
from fastadmm.kernels.state_blocks import (
    ALIGNED,
    CHANGE,
    LEFT,
    MULTIPLIER,
    PENALTY,
    RESIDUAL,
    RIGHT,
    SUMS,
)
from fastadmm.mpi.serial import Serial
from fastadmm.unfolded import Unfolded

CONSTRAINTS = ("preactivation", "state", "output")
"""The families of constraints, in the order of every triple."""
TINY = np.finfo(np.float64).tiny


@dataclass
class SplittingRecord:
    """What one iteration measured.

    Attributes
    ----------
    loss : float
        Sum of the losses at the output variables, as the kernels define them.
    terms : int
    objective, lagrangian : float
        Mean loss plus regulariser, and the augmented Lagrangian over the number of terms.
    primal, dual : tuple of float
        Norms of the residuals of the three constraints, relative to the larger side and to the
        multiplier.
    rho : tuple of float
        Penalties of the three constraints.
    solved : bool
        All residuals are below the tolerances; never with staleness.
    """

    loss: float
    terms: int
    objective: float = math.nan
    lagrangian: float = math.nan
    primal: tuple = (math.nan,) * 3
    dual: tuple = (math.nan,) * 3
    rho: tuple = (math.nan,) * 3
    solved: bool = False

    @property
    def finite(self):
        """False where training has diverged."""
        return math.isfinite(self.lagrangian)

    @staticmethod
    def describe(records):
        """Entries of the history for an epoch: those of its last iteration."""
        last = records[-1]
        return {
            name: getattr(last, name)
            for name in ("objective", "lagrangian", "primal", "dual", "rho")
        }


@dataclass
class Certificate:
    """Checks that no block update raises the augmented Lagrangian.

    Attributes
    ----------
    checks : int
        Block updates checked so far.
    violation : dict or None
        The first one that rose: iteration, block, and the Lagrangian before and after.
    """

    checks: int = 0
    violation: dict = None

    def begin(self, value, size):
        """The Lagrangian before the next update, and the sum of the sizes of its terms."""
        self.value, self.size = value, size

    def check(self, iteration, block, value, size, dtype):
        """The Lagrangian after an update; it may rise by what rounding does to its terms."""
        self.checks += 1
        slack = 64 * np.finfo(dtype).eps * max(size, self.size)
        if self.violation is None and not value <= self.value + slack:
            self.violation = {
                "iteration": iteration, "block": block, "before": self.value, "after": value,
            }  # fmt: skip


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


class Splitting:
    """Variables of the split unfolded network over one window; solvers add `prepare`, `iterate`.

    Parameters
    ----------
    net : RNN
        Its weights move with every iteration.
    problem : Problem
    options : BlockOptions or AdmmirnnOptions
    batch, steps : int
        Largest number of sequences, and of steps, in a window.
    total : int
        Number of mini-batches of the whole run.
    threads : int
    domain : fastadmm.mpi.serial.Serial, optional
        Who owns which part; the windows given to `step` are this owner's.
    """

    def __init__(self, net, problem, options, batch, steps, total, threads, domain=None):
        self.net, self.problem, self.options = net, problem, options
        self.domain = domain or Serial()
        self.unfolded = Unfolded(net, problem.tokens, steps, batch, threads, problem.units)
        real, hidden, classes = net.dtype, net.hidden, net.outputs
        outputs = problem.outputs_of(steps)
        self._large = np.zeros((4, steps * batch * hidden), real)
        self._small = np.zeros((3, outputs * batch * classes), real)
        self._work = np.empty(self.WORK * batch * hidden, real)
        self._output_work = np.empty(2 * outputs * batch * classes, real)
        self._edge = np.empty((batch, hidden), real)
        self._squares, self._totals = np.empty((2, batch)), np.zeros((threads, 4))
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
        softmax = problem.loss == "softmax_cross_entropy"
        self._prox_outputs = (
            state_blocks.update_outputs_softmax if softmax else state_blocks.update_outputs_squared
        )
        self.k, self.consensus = 0, None
        self.certificate = Certificate() if options.certify else None

    def step(self, X, y, cases, first, steps, initial=None, again=False, weight=1.0):
        """Iterations on one window; see `fastadmm.solvers.condensed.Condensed.step`.

        The weight of the mini-batch is not used: sub-problems are solved, not stepped along. Where
        it is the window of the last step ``again``, they go on from its states.
        """
        domain = self.domain
        domain.edges_may_age = again
        if not again:
            self._enter(X, y, cases, first, steps, initial)
            domain.end_iteration()
        for sweep in range(self.options.sweeps):
            if sweep:
                domain.end_iteration()
                domain.edges_may_age = True
            self.k += 1
            record = self.iterate()
            if not domain.staleness and (record.solved or not record.finite):
                break
        return record

    def final_state(self, steps, batch):
        """State after the last step's window, (B, H), to carry into the next one."""
        return self.unfolded.window(steps, batch).states[-1].copy()

    def _enter(self, X, y, cases, first, steps, initial):
        """Lay the window out over the buffers, and start from simulated states."""
        domain, problem = self.domain, self.problem
        if domain.size == 1:
            domain.cut(len(cases), steps, len(cases))
        hidden, classes = self.net.hidden, self.net.outputs
        batch, outputs = len(cases), problem.outputs_of(steps, domain.is_last)
        self.window = window = self.unfolded.load(X, cases, first, steps, initial)
        self.steps, self.batch = steps, batch
        self.terms = problem.outputs_of(domain.n_steps) * domain.n_cases
        elements = domain.n_steps * domain.n_cases * hidden
        self.sizes = np.sqrt([elements, elements, self.terms * classes])
        size, small = steps * batch * hidden, outputs * batch * classes
        self.edge = self._edge[: 0 if domain.is_last else batch]
        self.a, self.lambda1, self.lambda2, self.targets = self._large[:, :size].reshape(
            4, steps, batch, hidden
        )
        self.o, self.lambda3, self.output_targets = self._small[:, :small].reshape(3, -1, classes)
        self.work = self._work[: self.WORK * batch * hidden].reshape(self.WORK, batch, hidden)
        self.output_work = self._output_work[: 2 * small].reshape(2, -1, classes)
        self.output_bounds = window.output_bounds(outputs)
        self.output_rows = window.output_rows(outputs)
        self.y = problem.targets_of(y, cases[: batch if outputs else 0], first, steps)
        self._start()
        self.prepare()

    def by_step(self, rows):
        """Rows of outputs as (L, B, C)."""
        outputs = self.problem.outputs_of(self.steps, self.domain.is_last)
        return rows.reshape(outputs, self.batch, self.net.outputs)

    def _start(self):
        """Simulated states, and multipliers that are stationary there."""
        net, window = self.net, self.window
        self.unfolded.simulate(window, net.theta, self.domain)
        self.theta_t[:] = net.theta.T
        state_blocks.preactivations(
            window.z, window.tokens, self.theta_t, self.a, window.sequence_bounds
        )
        np.matmul(self.output_rows[:, window.left :], net.phi.T, out=self.o)
        states.read_out(
            self.output_rows, np.ascontiguousarray(net.phi.T), self.y, 1.0, self.lambda3,
            self._totals, self.output_bounds,
        )  # fmt: skip
        self.domain.receive_right(self.edge)
        states.multipliers(
            window.z, self.by_step(self.lambda3), self.edge, net.theta, net.phi,
            net.activation_code, True, self.lambda1, self.work[0], self._squares,
            self._totals, window.sequence_bounds,
        )  # fmt: skip
        self.domain.send_left(self.lambda1[:1])
        self.lambda1 *= -1
        self.lambda3 *= -1
        W = net.theta[:, net.inputs : -1]
        np.matmul(self.lambda1[1:], W, out=self.lambda2[:-1])
        self.lambda2[-1:] = 0 if self.domain.is_last else -self.edge @ W
        outputs = self.by_step(self.lambda3)
        self.lambda2[self.steps - len(outputs) :] += outputs @ net.phi[:, :-1]

    def sum_theta(self, targets, then):
        """Mean Gram of z, and the sum of products of targets (T, B, H) and z.

        ``then()`` is called when the sums over all owners have arrived.
        """
        window, theta = self.window, self.theta
        tokens = self.net.inputs if self.problem.tokens else 0
        rows, targets = window.rows(0, -1), targets.reshape(-1, self.net.hidden)
        weights.sums(
            rows, targets, True, *self._theta_parts, window.row_bounds,
            theta.cross[:, tokens:], theta.gram[tokens:, tokens:],
        )  # fmt: skip
        if tokens:
            weights.token_sums(
                window.tokens.reshape(-1), rows, targets, True, *self._token_parts,
                window.row_bounds, theta.cross, theta.gram,
            )  # fmt: skip
        self._reduce(theta, len(rows), self.domain.n_steps * self.domain.n_cases, then)

    def sum_phi(self, targets, then):
        """Mean Gram of [s; 1], and the sum of products of targets (terms, C) and [s; 1]."""
        weights.sums(
            self.output_rows, targets, True, *self.phi.parts,
            self.output_bounds, self.phi.cross, self.phi.gram,
        )  # fmt: skip
        self._reduce(self.phi, len(self.output_rows), self.terms, then)

    def _reduce(self, system, own, whole, then):
        """Sum a system over all owners; its Gram is a mean over rows, here and there."""
        if self.domain.size > 1:
            system.gram *= own / whole
        self.domain.reduce((system.gram, system.cross), lambda due: then())

    def move_outputs(self, rho, relaxation):
        """Outputs by the prox of the loss, then λ3 <- λ3 + ρ3 r3; sets the sums and the losses."""
        self._prox_outputs(
            self.output_rows, self.net.phi, self.y, self.o, self.lambda3, rho, relaxation,
            self.output_targets, self.output_work, self.losses, self.sums, self.output_bounds,
        )  # fmt: skip

    def measure(self, w1, w2, w3, then=lambda: None):
        """Set the sums of all constraints, without changes, and the losses; then `collect` them.

        Parameters
        ----------
        w1, w2 : ndarray, (T,) or longer
        w3 : ndarray, (L,)
            Penalties of every step.
        """
        net, window = self.net, self.window
        self.theta_t[:] = net.theta.T
        state_blocks.measure(
            window.z, window.tokens, self.theta_t, self.a, self.lambda1, self.lambda2, w1, w2,
            net.activation_code, self.work, self.sums, window.sequence_bounds,
        )  # fmt: skip
        state_blocks.measure_outputs(
            self.output_rows, net.phi, self.o, self.lambda3, w3, self.output_work[0], self.sums,
            self.output_bounds,
        )  # fmt: skip
        kernel = getattr(losses, self.problem.loss)
        self.losses[:] = 0
        self.losses[0] = kernel(self.o, self.y, 1.0, self.output_work[0])
        self.collect(then)

    def collect(self, then):
        """Sums of all constraints and the loss over all owners: ``totals`` and ``loss``; then()."""
        measured = np.append(self.sums.sum(0).ravel(), self.losses.sum())

        def have_arrived(due):
            self.totals, self.loss = measured[:-1].reshape(3, SUMS), float(measured[-1])
            then()

        self.domain.reduce((measured,), have_arrived)

    def merit(self):
        """Augmented Lagrangian, and the sum of the sizes of its terms, as they were collected."""
        parts = np.append(self.totals[:, [ALIGNED, PENALTY]].ravel(), self.loss)
        return float(parts.sum()), float(np.abs(parts).sum())

    def complete(self, record, sizes, sums, regulariser=0.0, gained=0.0):
        """Write what an iteration measured into its record, from the sums that were collected.

        Parameters
        ----------
        record : SplittingRecord
            With the penalties of the iteration.
        sizes : ndarray, (3,)
            Roots of the numbers of elements of the constraints.
        sums : ndarray, (3, 7)
            Over the constraints that have multipliers.
        regulariser : float
        gained : float
            What the multipliers' ascent has added to the Lagrangian since the sums were set.
        """
        norms = np.sqrt(np.abs(sums))  # <λ, r> has a sign, and its root is not used
        side = np.maximum(norms[:, LEFT], norms[:, RIGHT])
        moved = np.array(record.rho) * norms[:, CHANGE]
        eps_abs, eps_rel = self.options.eps_abs * sizes, self.options.eps_rel
        near = norms[:, RESIDUAL] <= eps_abs + eps_rel * side
        still = moved <= eps_abs + eps_rel * norms[:, MULTIPLIER]
        record.loss = self.loss
        record.objective = self.loss / record.terms + regulariser
        record.lagrangian = (self.merit()[0] + gained) / record.terms + regulariser
        record.primal = tuple((norms[:, RESIDUAL] / np.maximum(side, TINY)).tolist())
        record.dual = tuple((moved / np.maximum(norms[:, MULTIPLIER], TINY)).tolist())
        # with staleness, states may rest only because weights are under way
        record.solved = bool((near & still).all()) and not self.domain.staleness

    def kkt(self):
        """Residuals of the optimality conditions, with the multipliers that the solver holds.

        Returns
        -------
        dict of float
            ``theta``, ``phi``, ``preactivation``, ``state``, ``output``: norm of the gradient of
            the Lagrangian with respect to these variables, relative to the sum of the norms of its
            terms. ``feasibility``: largest residual of the constraints, relative to its larger
            side.
        """
        net, window = self.net, self.window
        mu1, mu2, mu3 = self.effective_multipliers()
        residuals = self.residuals()
        value = window.states[1:] - residuals[1]
        slope = np.ones_like(value)
        flat = (array.reshape(-1, net.hidden) for array in (slope, value))
        times_derivative(net.activation_code, *flat)
        by_next, by_output = np.zeros_like(mu2), np.zeros_like(mu2)
        W = net.theta[:, net.inputs : -1]
        self.domain.send_left(mu1[:1])
        self.domain.receive_right(self.edge)
        by_next[:-1] = mu1[1:] @ W
        by_next[-1:] = 0 if self.domain.is_last else self.edge @ W
        outputs = self.by_step(mu3)
        by_output[len(mu2) - len(outputs) :] = outputs @ net.phi[:, :-1]
        gradient = np.empty_like(self.o)
        getattr(losses, self.problem.loss)(self.o, self.y, 1.0, gradient)
        sides = (self.a, window.states[1:], self.o)
        found = {
            **self._kkt_of_weights(mu1, mu3),
            "preactivation": self._relative(mu1, -mu2 * slope),
            "state": self._relative(mu2, -by_next, -by_output),
            "output": self._relative(gradient, mu3),
            "feasibility": max(
                self._norm(r) / max(self._norm(x), self._norm(x - r), TINY)
                for r, x in zip(residuals, sides, strict=True)
            ),
        }
        self.domain.drain()
        return found

    def _norm(self, x):
        """Norm of an array whose parts have owners."""
        square = np.array([np.square(x, dtype=float).sum()])
        self.domain.sum(square)
        return float(np.sqrt(square[0]))

    def _relative(self, *terms):
        """Norm of a sum, relative to the sum of the norms of its terms."""
        return self._norm(sum(terms)) / max(sum(map(self._norm, terms)), TINY)

    def _kkt_of_weights(self, mu1, mu3):
        """Gradients with respect to the weights, relative to the largest that they could be."""
        copy, inputs = self.consensus, self.inputs()
        rows = inputs.reshape(-1, inputs.shape[2])
        read = self.output_rows[:, self.window.left :]
        found = {}
        for c, (name, mu, x) in enumerate(
            (("theta", mu1.reshape(-1, self.net.hidden), rows), ("phi", mu3, read))
        ):
            force = 0.0 if copy is None else self.terms * copy.rho * copy.scaled[c]
            size = self._norm(mu) * self._norm(x) + np.linalg.norm(force)
            pull = np.asarray(mu.T @ x, dtype=float)
            self.domain.sum(pull)
            found[name] = float(np.linalg.norm(force - pull) / max(size, TINY))
        return found

    def inputs(self, steps=slice(None)):
        """[x; s; 1] of some steps, (..., B, D + H + 1), tokens as one-hot rows."""
        z = self.window.z[:-1][steps]
        if not self.problem.tokens:
            return z
        one_hot = np.eye(self.net.inputs, dtype=z.dtype)[self.window.tokens[steps]]
        return np.concatenate([one_hot, z], axis=-1)

    def residuals(self):
        """r1 and r2, (T, B, H), and r3, (terms, C)."""
        value = self.a.copy()
        activate(self.net.activation_code, value.reshape(-1, self.net.hidden))
        outputs = self.output_rows[:, self.window.left :] @ self.net.phi.T
        driven = self.inputs() @ self.net.theta.T
        return self.a - driven, self.window.states[1:] - value, self.o - outputs
