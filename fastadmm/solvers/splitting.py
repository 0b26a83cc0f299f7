"""What `block` and `admmirnn` share: states and multipliers as variables, and their convergence.

Both split the unfolded network by three families of constraints,

    r1 = a_t − Θ z_t,    r2 = s_t − f(a_t),    r3 = o_t − Φ [s_t; 1],

and keep pre-activations, states, outputs and multipliers from one iteration to the next for as long
as they are given the same window (full batch). A new window (mini-batch) starts from simulated
states and the multipliers that make the Lagrangian stationary there, bounded where their recurrence
backward in time expands.

Output variables may fit targets that the network itself does not: what a run reports as its loss is
therefore that of the simulated network, and only where both agree can it be solved.
"""

import math
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from fastadmm.kernels.operators import losses
from fastadmm.kernels.operators.activations import activate, times_derivative
from fastadmm.kernels.recurrent import exact_blocks, recurrence, weights
from fastadmm.kernels.recurrent.exact_blocks import (
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
        Sum of the losses, as the kernels define them, of the network simulated with the weights
        that the step began with.
    terms : int
    output_loss : float
        Loss at the output variables after the iteration, as histories report it.
    gap : float
        Distance of the output variables to the simulated network's outputs before the step,
        relative to the larger of both; NaN in a window that is new.
    objective, lagrangian : float
        Mean loss at the output variables plus regulariser, and the augmented Lagrangian, in the
        unit in which histories report the loss.
    primal : tuple of float
        Norms of the residuals of the three constraints, relative to the larger side.
    dual : tuple of float
        ``ρ1 |Δa|``, ``ρ2 |Δf(a)|``, ``ρ3 |Δo|`` over the iteration, relative to the constraints'
        multipliers. In `block` all that is left of the states' condition of optimality, see
        `fastadmm.kernels.recurrent.exact_blocks`; `admmirnn` has Δs in place of Δf(a).
    weights_dual : tuple of float
        What is left of the conditions of recurrent and read-out weights, relative to their
        gradients at the start of the run. `block`: the proximal terms ``τ ΔΘ`` and ``τ ΔΦ``; with a
        regulariser also ``ρ ΔΨ`` of the copy. `admmirnn`: the gradients before their last steps.
    rho : tuple of float
        Penalties of the three constraints.
    solved : bool
        All residuals are below the tolerances; never with staleness.
    """

    loss: float
    terms: int
    output_loss: float = math.nan
    gap: float = math.nan
    objective: float = math.nan
    lagrangian: float = math.nan
    primal: tuple = (math.nan,) * 3
    dual: tuple = (math.nan,) * 3
    weights_dual: tuple = (math.nan,) * 2
    rho: tuple = (math.nan,) * 3
    solved: bool = False

    @property
    def finite(self):
        """False where training has diverged."""
        return math.isfinite(self.lagrangian) and math.isfinite(self.loss)

    @staticmethod
    def describe(records):
        """Entries of the history for an epoch: those of its last iteration."""
        last = records[-1]
        return {
            name: getattr(last, name)
            for name in (
                "output_loss", "gap", "objective", "lagrangian", "primal", "dual", "weights_dual",
                "rho",
            )
        }  # fmt: skip


@dataclass
class Certificate:
    """Checks that no block update raises the augmented Lagrangian, and every multiplier's ascent.

    Attributes
    ----------
    checks : int
        Block updates checked so far, each with the multipliers of before.
    violation : dict or None
        The first one that failed: iteration, block, the quantity that tells, and its value before
        and after. That is the augmented Lagrangian, or, where the block is a multiplier, the norms
        of ``ρ r`` and of what the ascent has really added.
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
        if not value <= self.value + slack:
            self.report(iteration, block, "augmented Lagrangian", self.value, value)

    def check_ascent(self, iteration, block, norms, dtype):
        """``λ_new = λ + ρ r``, from the norms of difference, ρ r, λ_new − λ and all terms' sum."""
        difference, expected, found, size = norms
        if not difference <= 64 * np.finfo(dtype).eps * size:
            self.report(iteration, block, "norm of the ascent", expected, found)

    def report(self, iteration, block, quantity, before, after):
        """Keep the first violation."""
        if self.violation is None:
            self.violation = {
                "iteration": iteration, "block": block, "quantity": quantity, "before": before,
                "after": after,
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

    Attributes
    ----------
    judges_before : bool
        The loss that a step reports is that of the weights before it.
    """

    judges_before = True

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
        softmax = problem.loss == "softmax_cross_entropy"
        self._prox_outputs = (
            exact_blocks.update_outputs_softmax if softmax else exact_blocks.update_outputs_squared
        )
        self.k, self.total = 0, total * options.sweeps
        self.consensus, self.start = None, None
        self.weights_dual = np.zeros(2)
        self.certificate = Certificate() if options.certify else None
        self.goes_on = False

    def step(self, X, y, cases, first, steps, initial=None, again=False, weight=1.0):
        """Iterations on one window; see `fastadmm.solvers.condensed.Condensed.step`.

        The weight of the mini-batch is not used: sub-problems are solved, not stepped along. Where
        it is the window of the last step ``again``, they go on from its states.
        """
        domain = self.domain
        domain.edges_may_age = False
        if again:
            self._look_back()
        else:
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
        # a window that will not come back says nothing about the run
        record.solved = record.solved and again and self._is_optimal()
        self.goes_on = again and not record.solved
        return record

    def finish(self):
        """The weights of the last iteration have not been judged yet, wherever a run ends."""
        if self.goes_on and not self.domain.staleness:
            self._look_back()

    def _look_back(self):
        """Simulate the network with the weights that iterations have led to."""
        self._simulate()

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
        if self.start is None:
            self.start = {"gradient": self._gradient()}
        self._start()
        self.prepare()
        if "theta" not in self.start:
            self.start |= self._gradients_of_weights(self.lambda1, self.lambda3)

    def by_step(self, rows):
        """Rows of outputs as (L, B, C)."""
        outputs = self.problem.outputs_of(self.steps, self.domain.is_last)
        return rows.reshape(outputs, self.batch, self.net.outputs)

    def _pull_back(self, theta, phi, safeguard, delta, lambda_):
        """Simulated states; gradients of the loss at outputs and pre-activations; own losses."""
        net, window = self.net, self.window
        self.unfolded.simulate(window, theta, self.domain)
        self._totals[:] = 0
        recurrence.read_out(
            self.output_rows, np.ascontiguousarray(phi.T), self.y, 1.0, delta, self._totals,
            self.output_bounds,
        )  # fmt: skip
        self.domain.receive_right(self.edge)
        recurrence.multipliers(
            window.z, self.by_step(delta), self.edge, theta, phi, net.activation_code, safeguard,
            lambda_, self.work[0], self._squares, self._totals, window.sequence_bounds,
        )  # fmt: skip
        self.domain.send_left(lambda_[:1])
        return self._totals[:, 0].sum()

    def _start(self):
        """Simulated states, and the multipliers of `condensed`: stationary there, or bounded."""
        net, window = self.net, self.window
        loss = self._pull_back(net.theta, net.phi, True, self.lambda3, self.lambda1)
        self.simulated = np.array([loss, math.nan, math.nan, math.nan])
        self.theta_t[:] = net.theta.T
        exact_blocks.preactivations(
            window.z, window.tokens, self.theta_t, self.a, window.sequence_bounds
        )
        np.matmul(self.output_rows[:, window.left :], net.phi.T, out=self.o)
        self.lambda1 *= -1
        self.lambda3 *= -1
        W = net.theta[:, net.inputs : -1]
        np.matmul(self.lambda1[1:], W, out=self.lambda2[:-1])
        self.lambda2[-1:] = 0 if self.domain.is_last else -self.edge @ W
        outputs = self.by_step(self.lambda3)
        self.lambda2[self.steps - len(outputs) :] += outputs @ net.phi[:, :-1]

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
        outputs = self.output_work[0]
        with self._states_kept():
            self.unfolded.simulate(self.window, theta, self.domain)
            np.matmul(self.output_rows[:, self.window.left :], phi.T, out=outputs)
        squares = [np.square(x, dtype=float).sum() for x in (self.o - outputs, self.o, outputs)]
        loss = getattr(losses, self.problem.loss)(outputs, self.y, 1.0, outputs)
        self.simulated = np.array([loss, *squares])

    def _gradient(self):
        """Gradient of the simulated network's mean loss at the weights that training returns.

        One pass back through time over the window, without safeguard. With a regulariser, what its
        proximal step would change, times the penalty: zero where the whole objective is stationary.

        Returns
        -------
        float
            Norm over all weights.
        """
        theta, phi = self.average
        delta, lambda_ = np.empty_like(self.o), np.empty_like(self.a)
        with self._states_kept():
            self._pull_back(theta, phi, False, delta, lambda_)
            sums = self._sums(lambda_, delta)
        gradients = [total / self.terms for total in sums]
        if self.consensus:
            gradients = self.consensus.mapped(*gradients)
        return math.hypot(*map(np.linalg.norm, gradients))

    def _is_optimal(self):
        """Where all residuals are small: the network agrees, and its weights are stationary."""
        self._simulate()
        self.domain.sum(self.simulated)
        distance, *sides = np.sqrt(self.simulated[1:])
        mu1, _, mu3 = self.effective_multipliers()
        left = self._gradients_of_weights(mu1, mu3)
        eps_abs, eps_rel = self.options.eps_abs, self.options.eps_rel
        return bool(
            distance <= eps_abs * self.sizes[2] + eps_rel * max(sides)
            and all(v <= eps_abs * self.terms + eps_rel * self.start[k] for k, v in left.items())
        )

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
        then : callable
            Called without arguments when the sums over all owners have arrived.
        """
        net, window = self.net, self.window
        self.theta_t[:] = net.theta.T
        exact_blocks.measure(
            window.z, window.tokens, self.theta_t, self.a, self.lambda1, self.lambda2, w1, w2,
            net.activation_code, self.work, self.sums, window.sequence_bounds,
        )  # fmt: skip
        exact_blocks.measure_outputs(
            self.output_rows, net.phi, self.o, self.lambda3, w3, self.output_work[0], self.sums,
            self.output_bounds,
        )  # fmt: skip
        kernel = getattr(losses, self.problem.loss)
        self.losses[:] = 0
        self.losses[0] = kernel(self.o, self.y, 1.0, self.output_work[0])
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
        start = np.array([self.start["theta"], self.start["phi"]])
        start = np.append(start, math.hypot(*start))[: len(self.weights_dual)]
        resting = self.weights_dual <= self.options.eps_abs * record.terms + eps_rel * start

        def reported(total):
            return float(self.problem.reported(total, record.terms, self.net.outputs))

        loss, *squares = self.network.tolist()
        distance, *sides = np.sqrt(squares)
        record.loss = loss
        record.gap = float(distance / max(*sides, TINY))
        record.output_loss = reported(self.loss)
        record.weights_dual = tuple((self.weights_dual / np.maximum(start, TINY)).tolist())
        added = record.terms * regulariser
        record.objective = reported(self.loss + added)
        record.lagrangian = reported(self.merit()[0] + gained + added)
        record.primal = tuple((norms[:, RESIDUAL] / np.maximum(side, TINY)).tolist())
        record.dual = tuple((moved / np.maximum(norms[:, MULTIPLIER], TINY)).tolist())
        # with staleness, states may rest only because weights are under way
        is_still = (near & still).all() and resting.all()
        record.solved = bool(is_still) and not self.domain.staleness

    def kkt(self):
        """Conditions of optimality at the weights that training returns, over the last window.

        In the units in which training sees the data, see `fastadmm.units`.

        Returns
        -------
        dict of float, or None before the first window is laid out
            ``gradient``: norm of the gradient of the simulated network's mean loss, see
            `_gradient`; it needs none of the solver's variables. ``gradient_relative``: relative to
            that at the start of the run. Others are of the Lagrangian, with the multipliers that
            the solver holds. ``theta``, ``phi``: norm of its gradient relative to that at the
            start. ``preactivation``, ``state``, ``output``: norm of the gradient with respect to
            these variables, relative to the sum of the norms of its terms. ``feasibility``: largest
            residual of the constraints, relative to its larger side; with a regulariser of the copy
            too.
        """
        if "theta" not in (self.start or {}):
            return None
        net, window = self.net, self.window
        theta, phi = self.average
        mu1, mu2, mu3 = self.effective_multipliers()
        residuals = self.residuals(theta, phi)
        value = window.states[1:] - residuals[1]
        slope = np.ones_like(value)
        flat = (array.reshape(-1, net.hidden) for array in (slope, value))
        times_derivative(net.activation_code, *flat)
        by_next, by_output = np.zeros_like(mu2), np.zeros_like(mu2)
        W = theta[:, net.inputs : -1]
        self.domain.send_left(mu1[:1])
        self.domain.receive_right(self.edge)
        by_next[:-1] = mu1[1:] @ W
        by_next[-1:] = 0 if self.domain.is_last else self.edge @ W
        outputs = self.by_step(mu3)
        by_output[len(mu2) - len(outputs) :] = outputs @ phi[:, :-1]
        gradient = np.empty_like(self.o)
        getattr(losses, self.problem.loss)(self.o, self.y, 1.0, gradient)
        sides = (self.a, window.states[1:], self.o)
        gaps = [
            self._norm(r) / max(self._norm(x), self._norm(x - r), TINY)
            for r, x in zip(residuals, sides, strict=True)
        ]
        of_weights = self._gradients_of_weights(mu1, mu3)
        found = {
            **{name: norm / max(self.start[name], TINY) for name, norm in of_weights.items()},
            "preactivation": self._relative(mu1, -mu2 * slope),
            "state": self._relative(mu2, -by_next, -by_output),
            "output": self._relative(gradient, mu3),
            "feasibility": max(*gaps, self.consensus.gap if self.consensus else 0.0),
            "gradient": self._gradient(),
        }
        found["gradient_relative"] = found["gradient"] / max(self.start["gradient"], TINY)
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

    def _sums(self, mu1, mu3):
        """``Σ μ1 zᵀ`` and ``Σ μ3 [s; 1]ᵀ`` over all owners."""
        self.sum_theta(mu1, lambda: None)
        self.sum_phi(mu3, lambda: None)
        self.domain.drain()
        return self.theta.cross.astype(float), self.phi.cross.astype(float)

    def _gradients_of_weights(self, mu1, mu3):
        """Norms of the Lagrangian's gradients with respect to the weights that training returns."""
        copy, found = self.consensus, {}
        for c, (name, pull) in enumerate(zip(("theta", "phi"), self._sums(mu1, mu3), strict=True)):
            force = 0.0 if copy is None else self.terms * copy.rho * copy.scaled[c]
            found[name] = float(np.linalg.norm(force - pull))
        return found

    def inputs(self, steps=slice(None)):
        """[x; s; 1] of some steps, (..., B, D + H + 1), tokens as one-hot rows."""
        z = self.window.z[:-1][steps]
        if not self.problem.tokens:
            return z
        one_hot = np.eye(self.net.inputs, dtype=z.dtype)[self.window.tokens[steps]]
        return np.concatenate([one_hot, z], axis=-1)

    def residuals(self, theta, phi):
        """r1 and r2, (T, B, H), and r3, (terms, C), with these weights."""
        value = self.a.copy()
        activate(self.net.activation_code, value.reshape(-1, self.net.hidden))
        outputs = self.output_rows[:, self.window.left :] @ phi.T
        driven = self.inputs() @ theta.T
        return self.a - driven, self.window.states[1:] - value, self.o - outputs

    def multipliers_kept(self):
        """Copies of λ1, λ2, λ3 for `check_ascents`; None where nothing is certified."""
        if self.certificate is None:
            return None
        return [array.copy() for array in (self.lambda1, self.lambda2, self.lambda3)]

    def check_ascents(self, kept, penalties, constraints=(0, 1, 2)):
        """Check ``λ_c = kept_c + penalty_c r_c`` with residuals computed apart from the kernels."""
        if kept is None:
            return
        sides = self.a, self.window.states[1:], self.o
        residuals = self.residuals(self.net.theta, self.net.phi)
        duals = self.lambda1, self.lambda2, self.lambda3
        for c in constraints:
            force, added = penalties[c] * residuals[c], duals[c] - kept[c]
            left, right = penalties[c] * sides[c], penalties[c] * (sides[c] - residuals[c])
            size = sum(map(self._norm, (kept[c], left, right)))
            norms = [self._norm(x) for x in (added - force, force, added)]
            self.certificate.check_ascent(self.k, f"lambda{c + 1}", (*norms, size), self.net.dtype)
