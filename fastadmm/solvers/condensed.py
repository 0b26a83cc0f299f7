"""ADMM with the states eliminated: simulate, pull the multipliers back, solve for the weights.

Per mini-batch the states are simulated, so every constraint of the unfolded network holds exactly;
the multipliers follow from one linear recurrence backward in time, and make the augmented
Lagrangian stationary in outputs, states and pre-activations where it does not expand (elsewhere the
safeguard bounds them); and each weight block takes the proximal step of its linear system with a
penalty per unit. This is the limit of ADMM in which states and multipliers are solved exactly, and
equals a Gram-preconditioned step of back-propagation with a bound on every unit. The name is
optimal control's word for eliminating the states of a constrained trajectory.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np

from fastadmm.kernels.recurrent import condensed_step, recurrence
from fastadmm.mpi.partition import bounds
from fastadmm.mpi.serial import Serial
from fastadmm.options import COUNTING, FRACTION, POSITIVE, UNIT_INTERVAL, check
from fastadmm.solvers.tokens import NO_TOKENS, TokenBlock
from fastadmm.unfolded import Unfolded, pipeline


@dataclass(frozen=True)
class CondensedOptions:
    """Settings of `Condensed`; the defaults need no tuning per task.

    Attributes
    ----------
    eta : float
        Bound on the rms change of a unit's pre-activation in one step, at the start, measured in
        the damped and averaged Gram; it falls linearly to zero over the run.
    damping : float
        Ridge on the Gram, as a multiple of its mean diagonal.
    token_damping : float
        Ridge on the frequencies of tokens, as a multiple of the mean frequency of the tokens of a
        mini-batch; without meaning for dense inputs.
    gram_memory : float
        Weight of the past in the averaged Gram, per step.
    gram_every : int
        Of so many mini-batches one enters the averaged Gram (and each of the first nine), see
        `is_due`; the Gram is worth its cost in every mini-batch only where mini-batches differ a
        lot.
    momentum : float
        Weight of the past in the averaged multiplier sums.
    penalty_memory : float
        Weight of the past in the mean squares that set the penalties.
    refactor_every : int
        Of so many steps one factors the Gram anew (and each of the first nine).
    average : float
        Weight of the past in the averaged iterate, which is what training returns.
    safeguard : bool
        Keep the multiplier recurrence from expanding.
    guard : float
        Largest relative shrinkage of the recurrent weights in one step while multipliers explode,
        at the start; it falls linearly to zero over the first half of the run, so that the step
        length, which falls to the end, can make up for it. 0 switches the growth guard off.
    """

    eta: Annotated[float, POSITIVE] = 0.03
    damping: Annotated[float, POSITIVE] = 0.2
    token_damping: Annotated[float, POSITIVE] = 0.1
    gram_memory: Annotated[float, FRACTION] = 0.95
    gram_every: Annotated[int, COUNTING] = 5
    momentum: Annotated[float, FRACTION] = 0.9
    penalty_memory: Annotated[float, FRACTION] = 0.99
    refactor_every: Annotated[int, COUNTING] = 5
    average: Annotated[float, FRACTION] = 0.98
    safeguard: bool = True
    guard: Annotated[float, UNIT_INTERVAL] = 0.04

    def __post_init__(self):
        check(self)


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
    shrinkage : float
        Of the recurrent weights by the growth guard, relative; not part of the step length.
    """

    loss: float
    terms: int
    step_length: float = math.nan
    multiplier_square: float = math.nan
    rho_min: float = math.nan
    rho_max: float = math.nan
    growth: float = math.nan
    shrinkage: float = math.nan

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
            "shrinkage": np.mean([r.shrinkage for r in records]),
        }


def is_due(k, every):
    """Whether step k, from 1, is one of the first nine, or the one of its ``every`` steps.

    Which one of them changes from group to group, evenly (multiples of the golden ratio), so that
    it does not always meet the same mini-batch of an epoch.
    """
    return k < 10 or k % every == int(every * (k // every * GOLDEN % 1))


GOLDEN = (math.sqrt(5) - 1) / 2
LAG = 8
"""The averaged iterate forgets its first steps as a polynomial of this degree (Shamir and Zhang,
2013, section 4), so that it is not stale where training ends early."""


class WeightBlock:
    """One block of weights with its averaged Gram, momentum and penalties (algorithm 2.3).

    Parameters
    ----------
    values : ndarray, (units, n)
        Updated in place.
    threads : int

    Attributes
    ----------
    g, batch_gram : ndarray
        What the next move needs: multiplier sums, and the mini-batch's Gram.
    average : ndarray, (units, n)
        The averaged iterate.
    rho, change : ndarray, (units,)
        Penalties of the last move, and the squared rms change of each unit's pre-activation.
    others : ndarray, (units,)
        What the units' columns in other blocks add, see
        `fastadmm.kernels.recurrent.weights.step_units`.
    sums, arrays : tuple of ndarray
        As `fastadmm.kernels.recurrent.condensed_step` takes them.
    """

    def __init__(self, values, threads):
        units, n = values.shape
        real = values.dtype
        self.values, self.average = values, values.copy()
        of_units = np.zeros((4, units))
        _, self.rho, self.change, self.others = of_units
        gram, self.batch_gram, inverse = (np.zeros((n, n), real) for _ in range(3))
        self.g, m, solved, solved_m = (np.zeros((units, n), real) for _ in range(4))
        g_parts = np.empty((threads, units, n), real)
        gram_parts = np.zeros((threads, n, n), real)
        self.sums = self.g, self.batch_gram, g_parts, gram_parts
        self.arrays = (
            values, self.average, gram, self.batch_gram, inverse, self.g, m, solved, solved_m,
            of_units, bounds(units, threads),
        )  # fmt: skip


class Condensed:
    """Solver state over a run.

    Parameters
    ----------
    net : RNN
        Dense inputs: its weights move with every step. Tokens: those of Θ stay, and `weights` has
        the moving ones. `average` is what training returns.
    problem : Problem
    options : CondensedOptions
    batch, steps : int
        Largest number of sequences, and of steps, in a window.
    total : int
        Number of steps of the whole run, over which the step length falls to zero.
    threads : int
    domain : fastadmm.mpi.serial.Serial, optional
        Who owns which part; the windows given to `step` are this owner's.

    Attributes
    ----------
    judges_before : bool
        See `fastadmm.solvers.splitting.Splitting`; here the mean loss of an epoch counts for the
        averaged iterate that it ends with.
    """

    Options = CondensedOptions
    certificate = None
    judges_before = False

    def __init__(self, net, problem, options, batch, steps, total, threads, domain=None):
        self.net, self.problem, self.options = net, problem, options
        self.domain = domain or Serial()
        self.total, self.k, self.measured, self._averaged = total, 0, 0, 0
        real, hidden = net.dtype, net.hidden
        self.unfolded = Unfolded(net, problem.tokens, steps, batch, threads, problem.units)
        self.theta = WeightBlock(self._dense_columns(), threads)
        self.phi = WeightBlock(net.phi, threads)
        self.blocks = self.theta, self.phi
        self.totals, self._statuses = np.zeros((threads, 4)), np.zeros(2, np.int64)
        self._lambda = np.empty(steps * batch * hidden, real)
        self._delta = np.empty(problem.outputs_of(steps) * batch * net.outputs, real)
        self._carried, self._squares = np.empty((batch, hidden), real), np.empty((2, batch))
        self._edge = np.empty((batch, hidden), real)
        self._phi_t = np.empty((hidden + 1, net.outputs), real)
        self.tokens = None
        if problem.tokens:
            values = self.unfolded.theta_t[: net.inputs]
            values[:] = net.theta[:, : net.inputs].T
            self.tokens = TokenBlock(values, steps * batch, threads, self.domain)

    def _dense_columns(self):
        """Columns of Θ that are multiplied: of tokens the others, (H, H + 1)."""
        if not self.problem.tokens:
            return self.net.theta
        return self.net.theta[:, self.net.inputs :].copy()

    @property
    def weights(self):
        """The moving iterate (theta, phi)."""
        if self.tokens is None:
            return self.net.theta, self.net.phi
        return np.hstack([self.tokens.rows.values.T, self.theta.values]), self.net.phi

    @property
    def average(self):
        """The averaged iterate (theta, phi): the weights that training returns."""
        if self.tokens is None:
            return self.theta.average, self.phi.average
        return np.hstack([self.tokens.average().T, self.theta.average]), self.phi.average

    def finish(self):
        """Nothing is left to do at the end of a run."""

    def kkt(self):
        """None: the constraints hold at every step, and the rest is in the history."""

    def step(self, X, y, cases, first, steps, initial=None, again=False, weight=1.0):
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
        weight : float
            Of the mini-batch: its loss terms over the mean of all mini-batches, so that every case
            counts the same.

        Returns
        -------
        StepRecord
            Complete when the weights have moved. Where it is not finite, training has to stop.
        """
        self.domain.edges_may_age = again
        record = self.measure(X, y, cases, first, steps, initial, weight)
        sums = [self.own_sums, self.theta.g, self.phi.g]
        if self._is_gram_due:
            sums += [block.batch_gram for block in self.blocks]
        if self.tokens is not None:
            sums += self.tokens.to_reduce()
        own, places = self.own_sums, self._places
        self.domain.reduce(sums, partial(self._apply, record, own, places, weight))
        return record

    def _apply(self, record, sums, places, weight, due):
        """What follows when the sums over all owners have arrived."""
        self._complete(record, sums, places, weight)
        if self.tokens is not None:
            self.tokens.merge(places)
        if math.isfinite(record.loss):
            self.move(record)

    def measure(self, X, y, cases, first, steps, initial=None, weight=1.0):
        """States, loss and multipliers of a mini-batch, and their sums over own steps and cases."""
        problem, domain, batch = self.problem, self.domain, len(cases)
        self.measured += 1
        self._is_gram_due = is_gram_due = is_due(self.measured, self.options.gram_every)
        if domain.size == 1:
            domain.cut(batch, steps, batch)
        window = self.unfolded.load(X, cases, first, steps, initial)
        outputs = problem.outputs_of(steps, domain.is_last)
        record = StepRecord(0.0, problem.outputs_of(domain.n_steps) * domain.n_cases)
        targets = problem.targets_of(y, cases[: batch if outputs else 0], first, steps)
        net = self.net
        delta = self._delta[: outputs * batch * net.outputs].reshape(outputs, batch, net.outputs)
        self.multipliers = self._lambda[: steps * batch * net.hidden].reshape(
            steps, batch, net.hidden
        )
        sweep = self._sweep_in_passes if domain.acts_between_passes else self._sweep
        self.own_sums = sweep(window, targets, weight / record.terms, delta)
        distinct = condensed_step.window_sums(
            window.z, self.multipliers, delta, window.tokens, is_gram_due, window.row_bounds,
            window.output_bounds(outputs), self.theta.sums,
            None if self.tokens is None else self.tokens.sums, self.phi.sums,
        )  # fmt: skip
        self._places = domain.n_steps * domain.n_cases
        if self.tokens is not None:
            self.tokens.distinct, self.tokens.places = distinct, self._places
        if is_gram_due and domain.size > 1:  # Grams are means over rows, own ones and all
            self.theta.batch_gram *= steps * batch / self._places
            self.phi.batch_gram *= outputs * batch / record.terms
        self._complete(record, self.own_sums, self._places, weight)
        return record

    def _sweep(self, window, targets, scale, delta):
        """States, outputs and multipliers in one call; returns the sums of the record."""
        net = self.net
        recurrence.sweep(
            window.z, window.tokens, self.theta.values, self.unfolded.theta_t, net.phi, self._phi_t,
            net.activation_code, targets, scale, self.options.safeguard, delta, self.multipliers,
            self._carried, self._squares, self.totals, window.sequence_bounds,
        )  # fmt: skip
        return np.add.reduce(self.totals)

    def _sweep_in_passes(self, window, targets, scale, delta):
        """The same pass by pass, with messages between them."""
        net, domain, lambda_ = self.net, self.domain, self.multipliers
        self.unfolded.simulate(window, self.theta.values, domain)
        self._phi_t[:] = net.phi.T
        self.totals[:] = 0
        recurrence.read_out(
            window.output_rows(len(delta)), self._phi_t, targets, scale,
            delta.reshape(-1, net.outputs), self.totals, window.output_bounds(len(delta)),
        )  # fmt: skip
        sums = np.add.reduce(self.totals)
        edge = self._edge[: 0 if domain.is_last else lambda_.shape[1]]
        for part in pipeline(window, domain):
            own = slice(part[0], part[-1])
            domain.receive_right(edge[own])
            recurrence.multipliers(
                window.z, delta, edge, self.theta.values, net.phi, net.activation_code,
                self.options.safeguard, lambda_, self._carried, self._squares, self.totals, part,
            )  # fmt: skip
            sums[1:] += np.add.reduce(self.totals)[1:]
            if len(lambda_):
                domain.send_left(lambda_[0, own])
        return sums

    def move(self, record):
        """Growth guard, then the proximal step of both weight blocks; completes the record.

        Where a Gram is not positive definite the step length is NaN, and the weights stay.
        """
        options = self.options
        self.k += 1
        left = 1 - self.k / (self.total + 1)
        early = max(0.0, 1 - 2 * self.k / (self.total + 1))
        record.shrinkage = early * min(options.guard, 0.2 * max(0.0, record.growth))
        memory = 1.0
        if is_due(self.k, options.gram_every):
            gap = self.k - self._averaged
            memory = min(options.gram_memory**gap, 1 - gap / self.k)
            self._averaged = self.k
        alpha = min(options.average, 1 - (LAG + 1) / (self.k + LAG))
        tokens = NO_TOKENS
        if self.tokens is not None:
            tokens = self.tokens.to_move(self.k, options.token_damping, alpha)
        found = condensed_step.move(
            self.theta.arrays, self.phi.arrays, *tokens, self.unfolded.left,
            1 - record.shrinkage, memory,
            is_due(self.k, options.refactor_every), float(options.damping),
            (float(options.momentum), float(options.penalty_memory)), self.k,
            options.eta * left, alpha, self._statuses,
        )  # fmt: skip
        record.step_length, record.rho_min, record.rho_max = found

    def _complete(self, record, sums, places, weight):
        """Loss, growth and mean square of the multipliers, from their sums."""
        record.loss, growth, counted, square = sums.tolist()
        record.growth = growth / max(counted, 1)
        square *= (record.terms / weight) ** 2
        record.multiplier_square = square / (places * self.net.hidden)

    def final_state(self, steps, batch):
        """State after the last step's window, (B, H), to carry into the next one."""
        return self.unfolded.window(steps, batch).states[-1].copy()
