"""What `block` and `admmirnn` share: states and multipliers as variables, and their convergence.

Both split the unfolded network by three families of constraints,

    r1 = a_t − Θ z_t,    r2 = s_t − f(a_t),    r3 = o_t − Φ [1; s_t],

and keep pre-activations, states, outputs and multipliers from one iteration to the next for as long
as they are given the same window (full batch). A new window (mini-batch) starts from simulated
states and the multipliers that make the Lagrangian stationary there, bounded where their recurrence
backward in time expands.

Output variables may fit targets that the network itself does not: what a run reports as its loss is
therefore that of the simulated network, and only where both agree can it be solved.
"""

import math
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import numpy as np

from fastadmm.cells import READ_OUT
from fastadmm.kernels.operators import losses
from fastadmm.kernels.operators.activations import activate, times_derivative
from fastadmm.kernels.recurrent import exact_blocks, recurrence
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
from fastadmm.kernels.recurrent.sums import dense_sums, token_sums
from fastadmm.mpi.partition import bounds
from fastadmm.solvers.base import Solver
from fastadmm.solvers.certificate import Certificate
from fastadmm.solvers.record import SplittingRecord
from fastadmm.solvers.regularisers import Consensus
from fastadmm.unfolded import Unfolded

TINY = np.finfo(np.float64).tiny
OUTPUTS = "o", "lambda3", "output_targets"
VARIABLES = "a", "lambda1", "lambda2", "targets", *OUTPUTS
"""What iterations go on from, beside the states."""


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


class Splitting(Solver):
    """Variables of the split unfolded network over one window; solvers add `prepare`, `iterate`.

    Parameters as of `fastadmm.solvers.base.Solver`.
    """

    trains: ClassVar = {
        "cell": ("elman",), "layers": (1,), "bidirectional": (False,), "initial": ("zero",),
        "readout": ("last", "all"),
        "washout": (0,),
    }  # fmt: skip
    Record = SplittingRecord
    judges_before = True
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
        self.certificate = Certificate() if options.certify else None
        self.goes_on, self._saved = False, None
        self.entered: Any = None  # the mini-batch whose window is laid out

    def step(self, batch):
        """Iterations on one window.

        The weight of the mini-batch is not used: sub-problems are solved, not stepped along. Where
        it is the window of the last step again, they go on from its states.
        """
        again, record = batch.again, SplittingRecord(math.nan, 1)  # not finite
        with suppress(np.linalg.LinAlgError):  # the record tells
            if self._saved is not None:
                self._take_up(batch, self._saved)
            if again:
                self._look_back()
            else:
                self._enter(batch)
            record = self._iterations()
            # a window that will not come back says nothing about the run
            record.solved = record.solved and again and self._is_optimal()
        self.part = self.part._replace(may_age=False)
        self.goes_on = again and record.finite and not record.solved
        return record

    def _iterations(self):
        """Iterations on the window that is laid out; the record of the last one."""
        domain = self.domain
        domain.end_iteration()
        for sweep in range(self.options.sweeps):
            if sweep:
                domain.end_iteration()
                self.part = self.part._replace(may_age=True)
            self.k += 1
            record = self.iterate()
            if not domain.staleness and (record.solved or not record.finite):
                break
        return record

    def state(self, with_window):
        state = {
            "k": self.k, "start": self.start, "weights_dual": self.weights_dual,
            "theta": self.net.theta, "phi": self.net.phi,
        }  # fmt: skip
        if self.certificate is not None:
            state |= {"checks": self.certificate.checks, "violation": self.certificate.violation}
        if self.consensus is not None:
            state |= self.consensus.state()
        return state | (self._variables() if with_window and self.entered is not None else {})

    def _variables(self):
        """All variables of the window, on the root: by time step and case, (T, n_cases, ...)."""
        part = self.part
        cases = self.entered.cases + part.places.start
        own = {name: getattr(self, name) for name in VARIABLES} | {"s": self.window.states[1:]}
        pieces = self.domain.collect((part.steps, cases, own))
        whole = {}
        for steps, places, arrays in pieces or ():
            for name, array in arrays.items():
                every = name not in OUTPUTS or self.problem.every
                length = part.n_steps if every else 1
                shape = (length, part.n_cases, array.shape[-1])
                found = whole.setdefault(f"window_{name}", np.zeros(shape, array.dtype))
                if len(array):
                    found[steps if every else slice(0, 1), places] = array
        return whole

    def restore(self, state, new_run=False):
        self.net.theta[:], self.net.phi[:] = state["theta"], state["phi"]
        if self.consensus is not None:
            self.consensus.restore(state)
        if self.certificate is not None:
            self.certificate.checks = state.get("checks", 0)
            self.certificate.violation = state.get("violation")
        if not new_run:
            self.k, self.start = state["k"], state["start"]
            self.weights_dual[:] = state["weights_dual"]
            self._saved = state if "window_a" in state else None

    def _take_up(self, entered, state):
        """Lay out the window again that was saved, with all variables as they were."""
        self._saved = None
        self._lay_out(entered)
        self.prepare()
        steps, cases = self.part.steps, entered.cases + self.part.places.start
        for name in (*VARIABLES, "s"):
            own = self.window.states[1:] if name == "s" else getattr(self, name)
            every = name not in OUTPUTS or self.problem.every
            if len(own):
                own[:] = state[f"window_{name}"][steps if every else slice(0, 1), cases]
        if self.steps and steps.start > 0:
            self.window.states[0] = state["window_s"][steps.start - 1, cases]

    def prepare(self):
        """What iterations need of a window that is new."""
        raise NotImplementedError

    def iterate(self):
        """One iteration; returns its record."""
        raise NotImplementedError

    def effective_multipliers(self):
        """What pulls at pre-activations, states and outputs."""
        raise NotImplementedError

    def finish(self):
        """The weights of the last iteration have not been judged yet, wherever a run ends."""
        if self.goes_on and not self.domain.staleness:
            self._look_back()

    def _look_back(self):
        """Simulate the network with the weights that iterations have led to."""
        self._simulate()

    def _enter(self, entered):
        """Lay the window out over the buffers, and start from simulated states."""
        self._lay_out(entered)
        if not self.start:
            self.start = {"gradient": self._gradient()}
        self._start()
        self.prepare()
        if "theta" not in self.start:
            self.start |= self._gradients_of_weights(self.lambda1, self.lambda3)

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
        kernel = getattr(losses, self.problem.loss)
        return kernel(outputs, values, weights, 1.0, gradient)

    def outputs_with(self, phi):
        """``Φ [1; s]`` of the steps with a target, (L, B, C); zero before sequences begin."""
        states = self.window.z[self.steps + 1 - len(self.o) :, :, self.window.left :]
        return self.blank(states @ phi.T)

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
        if self.entered is None:
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
        W = theta[:, net.columns.recurrent]
        self.domain.send_left(self.part, mu1[:1])
        self.domain.receive_right(self.part, self.edge)
        by_next[:-1] = mu1[1:] @ W
        by_next[-1:] = 0 if self.part.is_last else self.edge @ W
        by_output[len(mu2) - len(mu3) :] = mu3 @ phi[:, READ_OUT.recurrent]
        for array in (by_next, by_output):
            self.blank(array)
        gradient = np.empty_like(self.o)
        self.loss_at(self.o, gradient)
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
        """``Σ μ1 zᵀ`` and ``Σ μ3 [1; s]ᵀ`` over all owners."""
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

    def multipliers_kept(self):
        """Copies of λ1, λ2, λ3 for `check_ascents`; None where nothing is certified."""
        if self.certificate is None:
            return None
        return [array.copy() for array in (self.lambda1, self.lambda2, self.lambda3)]

    def check_ascents(self, kept, penalties, constraints=(0, 1, 2)):
        """Check ``λ_c = kept_c + penalty_c r_c`` with residuals computed apart from the kernels."""
        if kept is None or self.certificate is None:
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
