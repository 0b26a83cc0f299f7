"""ADMM with the states eliminated: simulate, pull the multipliers back, solve for the weights.

Per mini-batch the states are simulated, so every constraint of the unfolded network holds exactly;
the multipliers that make the augmented Lagrangian stationary in outputs, states and
pre-activations follow from one linear recurrence backward in time; and each weight block takes the
proximal step of its linear system with a penalty per unit. The name is optimal control's word for
eliminating the states of a constrained trajectory.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from fastadmm import validation
from fastadmm.kernels import states, weights
from fastadmm.mpi.partition import bounds
from fastadmm.mpi.serial import Serial
from fastadmm.unfolded import Unfolded, pipeline


@dataclass(frozen=True)
class CondensedOptions:
    """Settings of `Condensed`; the defaults need no tuning per task.

    Attributes
    ----------
    eta : float
        Bound on the rms change of a unit's pre-activation in one step, at the start; it falls
        linearly to zero over the run.
    damping : float
        Ridge on the Gram, as a multiple of its mean diagonal.
    gram_memory : float
        Weight of the past in the averaged Gram, per step.
    gram_every : int
        Only every so many mini-batches enter the averaged Gram (and each of the first nine); the
        Gram is worth its cost in every mini-batch only where mini-batches differ a lot.
    momentum : float
        Weight of the past in the averaged multiplier sums.
    penalty_memory : float
        Weight of the past in the mean squares that set the penalties.
    refactor_every : int
        Steps between two factorisations of the Gram (each of the first nine has its own).
    average : float
        Weight of the past in the averaged iterate, which is what training returns.
    safeguard : bool
        Keep the multiplier recurrence from expanding.
    guard : float
        Largest relative shrinkage of the recurrent weights in one step while multipliers explode;
        0 switches the growth guard off.
    """

    eta: float = 0.03
    damping: float = 0.3
    gram_memory: float = 0.95
    gram_every: int = 5
    momentum: float = 0.9
    penalty_memory: float = 0.99
    refactor_every: int = 5
    average: float = 0.98
    safeguard: bool = True
    guard: float = 0.02

    def __post_init__(self):
        memories = "gram_memory", "momentum", "penalty_memory", "average"
        validation.check_fields(self, memories, lambda value: 0 <= value < 1, "0 <= {name} < 1")
        validation.positive_fields(self, "eta", "damping")
        validation.counting_fields(self, "gram_every", "refactor_every")
        validation.check_fields(self, ("guard",), lambda value: 0 <= value <= 1, "0 <= {name} <= 1")


@dataclass
class StepRecord:
    """What one step measured.

    Attributes
    ----------
    loss : float
        Sum of the losses over the batch, as the kernels define them.
    terms : int
        Number of loss terms.
    step_length : float
        Root mean square change of the hidden units' pre-activations.
    multiplier_square : float
        Mean square of the multipliers, of the sum of losses rather than their mean.
    rho_min, rho_max : float
        Extreme penalties over the hidden units.
    growth : float
        γ, mean logarithm of the multipliers' growth over one step back in time.
    """

    loss: float
    terms: int
    step_length: float = math.nan
    multiplier_square: float = math.nan
    rho_min: float = math.nan
    rho_max: float = math.nan
    growth: float = math.nan

    @property
    def finite(self):
        """False where training has diverged."""
        return math.isfinite(self.loss) and math.isfinite(self.step_length)

    @property
    def solved(self):
        """False: a stochastic step has no stopping rule of its own."""
        return False

    @staticmethod
    def describe(records):
        """Entries of the history for an epoch."""
        last = records[-1]
        return {
            "step_length": np.sqrt(np.mean([r.step_length**2 for r in records])),
            "multiplier_rms": np.sqrt(np.mean([r.multiplier_square for r in records])),
            "rho_min": last.rho_min,
            "rho_max": last.rho_max,
            "growth": np.mean([r.growth for r in records]),
        }


def is_due(k, every):
    """Whether what happens in each of the first nine steps, then every so many, is due in step k.

    Steps count from 1.
    """
    return k < 10 or k % every == 0


class WeightBlock:
    """One block of weights with its averaged Gram, momentum and penalties (algorithm 2.3).

    Parameters
    ----------
    values : ndarray, (units, n)
        Updated in place.
    options : CondensedOptions
    threads : int
    """

    def __init__(self, values, options, threads):
        units, n = values.shape
        real = values.dtype
        self.values, self.options = values, options
        self.average = values.copy()
        self.gram, self.batch_gram, self.inverse = (np.zeros((n, n), real) for _ in range(3))
        self.g, self.m = np.zeros((units, n), real), np.zeros((units, n), real)
        self.v, self.rho, self.change = np.zeros(units), np.zeros(units), np.zeros(units)
        self.solved, self.solved_m = np.empty((units, n), real), np.zeros((units, n), real)
        self.unit_bounds = bounds(units, threads)
        self.k = self.averaged = 0

    def average_gram(self):
        """Average ``batch_gram`` in, where it is due in the next step."""
        k, memory = self.k + 1, self.options.gram_memory
        if is_due(k, self.options.gram_every):
            gap = k - self.averaged
            weights.average_gram(self.gram, self.batch_gram, min(memory**gap, 1 - gap / k))
            self.averaged = k

    def move(self, eta, renewed):
        """Move the weights by the multiplier sums in ``g``."""
        o = self.options
        self.k += 1
        weights.step_units(
            self.values, self.average, self.inverse, renewed, self.g, self.m, self.v,
            (o.momentum, o.penalty_memory), self.k, eta, min(o.average, 1 - 1 / self.k),
            self.solved, self.solved_m, self.rho, self.change, self.unit_bounds,
        )  # fmt: skip


class Condensed:
    """Solver state over a run.

    Parameters
    ----------
    net : RNN
        Its weights move with every step; `average` is what training returns.
    problem : Problem
    options : CondensedOptions
    batch, steps : int
        Largest number of sequences, and of steps, in a window.
    total : int
        Number of steps of the whole run, over which the step length falls to zero.
    threads : int
    domain : fastadmm.mpi.serial.Serial, optional
        Who owns which part; the windows given to `step` are this owner's.
    """

    Options = CondensedOptions
    certificate = None

    def __init__(self, net, problem, options, batch, steps, total, threads, domain=None):
        self.net, self.problem, self.options = net, problem, options
        self.domain = domain or Serial()
        self.total, self.k, self.measured = total, 0, 0
        real, hidden = net.dtype, net.hidden
        self.unfolded = Unfolded(net, problem.tokens, steps, batch, threads)
        self.theta = WeightBlock(net.theta, options, threads)
        self.phi = WeightBlock(net.phi, options, threads)
        self.blocks = self.theta, self.phi
        self.losses, self.pulled = np.zeros(threads), np.zeros((threads, 3))
        self._lambda = np.empty(steps * batch * hidden, real)
        self._delta = np.empty(problem.outputs_of(steps) * batch * net.outputs, real)
        self._carried, self._squares = np.empty((batch, hidden), real), np.empty((2, batch))
        self._edge = np.empty((batch, hidden), real)
        dense = self.unfolded.width
        self.theta_parts = self._parts(threads, hidden, dense, real)
        self.phi_parts = self._parts(threads, net.outputs, hidden + 1, real)
        if problem.tokens:
            self.token_parts = (
                np.empty((threads, net.inputs, hidden), real),
                np.empty((threads, net.inputs, dense), real),
            )
        self._read_out = {
            "softmax_cross_entropy": states.read_out_softmax,
            "squared": states.read_out_squared,
        }[problem.loss]

    @staticmethod
    def _parts(threads, units, n, real):
        """Workspace of each thread's multiplier sum and Gram."""
        return np.empty((threads, units, n), real), np.zeros((threads, n, n), real)

    @property
    def average(self):
        """The averaged iterate (theta, phi): the weights that training returns."""
        return self.theta.average, self.phi.average

    def kkt(self):
        """None: the constraints hold at every step, and the rest is in the history."""

    def step(self, X, y, cases, first, steps, initial=None, again=False):
        """One mini-batch: `measure` it, and `move` the weights where all is finite.

        The weights move when the sums over all owners have arrived: at once, or, with a domain that
        may lag behind, at the end of a later iteration.

        Parameters
        ----------
        X, y : ndarray
            The whole data, as `make_problem` returns them.
        cases : ndarray of int64
        first, steps : int
            The window of time points ``first:first + steps``.
        initial : ndarray, (B, H), optional
            State before the window.
        again : bool
            Same window as in the last step, on all owners.

        Returns
        -------
        StepRecord
            Complete when the weights have moved. Where it is not finite, training has to stop.
        """
        self.domain.edges_may_age = again
        record = self.measure(X, y, cases, first, steps, initial)
        sums = [self.own_sums, self.theta.g, self.phi.g]
        if self._is_gram_due:
            sums += [block.batch_gram for block in self.blocks]
        self.domain.reduce(sums, partial(self._apply, record, self.own_sums, self._places))
        return record

    def _apply(self, record, sums, places, due):
        """What follows when the sums over all owners have arrived."""
        self._complete(record, sums, places)
        if math.isfinite(record.loss):
            self.move(record)

    def measure(self, X, y, cases, first, steps, initial=None):
        """States, loss and multipliers of a mini-batch, and their sums over own steps and cases."""
        net, problem, domain = self.net, self.problem, self.domain
        self.measured += 1
        if domain.size == 1:
            domain.cut(len(cases), steps, len(cases))
        window = self.unfolded.load(X, cases, first, steps, initial)
        self.unfolded.simulate(window, net.theta, domain)
        outputs = problem.outputs_of(steps, domain.is_last)
        terms = problem.outputs_of(domain.n_steps) * domain.n_cases
        rows = outputs * len(cases)
        delta = self._delta[: rows * net.outputs].reshape(rows, net.outputs)
        output_bounds = window.row_bounds if outputs == steps else window.sequence_bounds
        output_rows = window.rows(steps + 1 - outputs, steps + 1)
        self.losses[:] = 0
        if rows:
            targets = problem.targets_of(y, cases, first, steps)
            self._read_out(
                output_rows, net.phi, targets, 1 / terms, delta, self.losses, output_bounds
            )
        record = StepRecord(0.0, terms)
        self.multipliers = self._pull(window, delta.reshape(outputs, len(cases), net.outputs))
        self._sum(window, self.multipliers, output_rows, delta, output_bounds, record)
        return record

    def move(self, record):
        """Growth guard, then the proximal step of both weight blocks; completes the record."""
        self.k += 1
        shrink = min(self.options.guard, 0.1 * max(0.0, record.growth))
        self.net.theta[:, self.net.inputs : -1] *= 1 - shrink
        renewed = is_due(self.k, self.options.refactor_every)
        for block in self.blocks:
            block.average_gram()
        if renewed and not self._invert():
            return
        eta = self.options.eta * (1 - self.k / (self.total + 1))
        for block in self.blocks:
            block.move(eta, renewed)
        # ufunc.reduce: the methods of arrays cost several microseconds each
        change, rho = self.theta.change, self.theta.rho
        record.step_length = math.sqrt(np.add.reduce(change) / len(change))
        record.rho_min = float(np.minimum.reduce(rho))
        record.rho_max = float(np.maximum.reduce(rho))

    def _invert(self):
        """Renew the inverses of both damped Grams; False where one is not positive definite."""
        grams = tuple(block.gram for block in self.blocks)
        inverses = tuple(block.inverse for block in self.blocks)
        statuses = np.empty(len(grams), np.int64)
        weights.invert_damped(grams, self.options.damping, inverses, statuses)
        return not statuses.any()

    def _pull(self, window, delta):
        """Multipliers of the window, (T, B, H), in a pipeline over time."""
        steps, batch = len(window.z) - 1, window.z.shape[1]
        lambda_ = self._lambda[: steps * batch * self.net.hidden].reshape(
            steps, batch, self.net.hidden
        )
        edge = self._edge[: 0 if self.domain.is_last else batch]
        self._growth = np.zeros(3)
        for part in pipeline(window, self.domain):
            own = slice(part[0], part[-1])
            self.domain.receive_right(edge[own])
            states.multipliers(
                window.z, delta, edge, self.net.theta, self.net.phi, self.unfolded.activation,
                self.options.safeguard, lambda_, self._carried, self._squares, self.pulled, part,
            )  # fmt: skip
            self._growth += np.add.reduce(self.pulled)
            if steps:
                self.domain.send_left(lambda_[0, own])
        return lambda_

    @property
    def _is_gram_due(self):
        """Whether the Grams of the mini-batch measured last enter the averages."""
        return is_due(self.measured, self.options.gram_every)

    def _sum(self, window, lambda_, output_rows, delta, output_bounds, record):
        """Multiplier sums and Grams of both weight blocks, and the sums that make the record."""
        theta, phi, domain = self.theta, self.phi, self.domain
        tokens = self.net.inputs if self.problem.tokens else 0
        rows, lambda_rows = window.rows(0, -1), lambda_.reshape(-1, self.net.hidden)
        is_gram_due = self._is_gram_due
        weights.sums(
            rows, 0, lambda_rows, is_gram_due, *self.theta_parts, window.row_bounds,
            theta.g[:, tokens:], theta.batch_gram[tokens:, tokens:],
        )  # fmt: skip
        if tokens:
            weights.token_sums(
                window.tokens.reshape(-1), rows, lambda_rows, is_gram_due, *self.token_parts,
                window.row_bounds, theta.g, theta.batch_gram,
            )  # fmt: skip
        weights.sums(
            output_rows, window.left, delta, is_gram_due, *self.phi_parts, output_bounds, phi.g,
            phi.batch_gram,
        )  # fmt: skip
        self._places = domain.n_steps * domain.n_cases
        if is_gram_due and domain.size > 1:  # Grams are means over rows, here and over all owners
            theta.batch_gram *= len(rows) / self._places
            phi.batch_gram *= len(output_rows) / record.terms
        self.own_sums = np.array([np.add.reduce(self.losses), *self._growth])
        self._complete(record, self.own_sums, self._places)

    def _complete(self, record, sums, places):
        """Loss, growth and mean square of the multipliers, from their sums."""
        record.loss, growth, counted, square = map(float, sums)
        record.growth = growth / max(counted, 1)
        record.multiplier_square = square * record.terms**2 / (places * self.net.hidden)

    def final_state(self, steps, batch):
        """State after the last step's window, (B, H), to carry into the next one."""
        return self.unfolded.window(steps, batch).states[-1].copy()
