"""ADMM with exact sub-problems and multipliers on every constraint (algorithm 2.2).

One iteration: both weight systems; all states given the pre-activations; all pre-activations given
the states, and all outputs, each followed by its multipliers. Within each of these phases
nothing depends on another time step or sequence, so the phases are parallel in time by nature.

Where a run begins, and what keeps it on its way, is in `fastadmm.solvers.course`.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np

from fastadmm.kernels import factor_cholesky, solve_cholesky
from fastadmm.kernels.recurrent import exact_blocks
from fastadmm.mpi.cost import ELEMENTWISE, PROX, Counts
from fastadmm.options import (
    COUNTING_FROM_0,
    NONNEGATIVE,
    POSITIVE,
    SWEEPS,
    UNIT_INTERVAL,
    above,
    between,
    check,
    one_of,
)
from fastadmm.solvers.conditions import TINY
from fastadmm.solvers.course import Course
from fastadmm.solvers.record import SplittingRecord
from fastadmm.solvers.regularisers import REGULARISERS, Consensus
from fastadmm.solvers.variables import finite, held_by


@dataclass(frozen=True)
class BlockOptions:
    """Settings of `Block`.

    Attributes
    ----------
    rho1, rho2, rho3 : float
        Penalties of pre-activations, states and outputs at the start, for losses that count 1 a
        term. ρ3, where not given, is 0.3 for the cross-entropy and 3 for the squared loss, whose
        curvature is larger.
    tau_theta, tau_phi : float
        Proximal weights of recurrent and read-out weights, relative to a Gram that is a mean.
    adapt_every : int
        Iterations between two changes of the penalties by residual balancing; 0 keeps them.
    adapt_ratio : float
        Penalties change where one residual is so many times the other.
    relaxation : float
        Over-relaxation α in (0, 2).
    eta : float
        Root mean square change of every unit's pre-activation by the weight step in the opening, at
        its start; falls linearly to zero over it. Outputs change by no more. Where not given, 0.5
        for the cross-entropy and 0.2 for the squared loss.
    opening : float
        Part of the iterations on one window that begin from simulated states.
    guard : float
        Largest relative shrinkage of the recurrent weights before an iteration while multipliers
        explode, at the start of the run, see `Block.shrink`; 0 switches the growth guard off.
    sweeps : int
        Iterations on each mini-batch, at most 1000.
    regulariser : {None, "l1", "l2", "elastic_net", "group", "nonneg"}
        Of all weights but the biases, through a consensus copy, which is what training returns.
        ``"group"`` acts on all that a hidden unit sends: a unit whose group is zero is removed.
    strength : float
        Factor on the regulariser, against the mean loss.
    rho_weights : float
        Penalty between the weights and their copy, against the mean loss.
    eps_abs, eps_rel : float
        Status ``solved`` where all residuals are below ``eps_abs`` times the root of their size
        plus ``eps_rel`` times the larger side (primal) or the multiplier (dual).
    certify : bool
        Check at every block update that the augmented Lagrangian did not rise.
    """

    rho1: Annotated[float, POSITIVE] = 10.0
    rho2: Annotated[float, POSITIVE] = 10.0
    rho3: Annotated[float | None, POSITIVE] = None
    tau_theta: Annotated[float, NONNEGATIVE] = 0.1
    tau_phi: Annotated[float, NONNEGATIVE] = 1.0
    adapt_every: Annotated[int, COUNTING_FROM_0] = 0
    adapt_ratio: Annotated[float, above(1)] = 10.0
    relaxation: Annotated[float, between(0, 2)] = 1.0
    eta: Annotated[float | None, POSITIVE] = None
    opening: Annotated[float, UNIT_INTERVAL] = 0.7
    guard: Annotated[float, UNIT_INTERVAL] = 0.02
    sweeps: Annotated[int, SWEEPS] = 1
    regulariser: Annotated[str | None, one_of(REGULARISERS)] = None
    strength: Annotated[float, NONNEGATIVE] = 1e-3
    rho_weights: Annotated[float, POSITIVE] = 1.0
    eps_abs: Annotated[float, NONNEGATIVE] = 1e-8
    eps_rel: Annotated[float, NONNEGATIVE] = 1e-4
    certify: bool = False

    def __post_init__(self):
        check(self)
        if self.certify and (self.relaxation != 1 or self.adapt_every):
            raise ValueError("certify needs relaxation=1 and adapt_every=0: both may raise it")


class Block(Course):
    """Solver state over a run; parameters as of `fastadmm.solvers.splitting.Splitting`."""

    Options = BlockOptions
    ADVICE = "larger rho1, rho2 and tau_theta, or a smaller gain of the initial weights"
    WORK = 4

    @staticmethod
    def counts(work, options):
        h, c, n, d = work.hidden, work.outputs, work.columns, work.dense
        reduced, held = held_by(work)
        return Counts(
            # s_t: right-hand side and solve; a_t: Θ z and its prox
            sweep=4 * h * h + 2 * h * d + (PROX + ELEMENTWISE) * h,
            rows=2 * h * d + d * d + 2 * h * d,  # cross sum, Gram, residual
            sweep_output=4 * c * (h + 1) + PROX * c,
            rows_output=2 * c * (h + 1) + (h + 1) ** 2 + 2 * c * (h + 1),
            weights=n**3 / 3 + (h + 1) ** 3 / 3 + 4 * h**3 / 3
            + 2 * h * n**2 + 2 * c * (h + 1) ** 2,
            reduced=reduced, kept=5 * h + 2 * c, held=held, pipelined=False,
        )  # fmt: skip

    def __init__(self, net, problem, options, batch, steps, total, threads, domain=None):
        super().__init__(net, problem, options, batch, steps, total, threads, domain)
        rho3 = problem.loss.rho3 if options.rho3 is None else options.rho3
        self.eta = problem.loss.eta if options.eta is None else options.eta
        self.rho = np.array([options.rho1, options.rho2, rho3], float)
        self.least_rho = self.rho[:2].copy()
        if options.regulariser is not None:
            self.weights_dual = np.zeros(3)
            self.consensus = Consensus(
                net.theta, net.phi, options.regulariser, options.strength, options.rho_weights
            )

    @property
    def average(self):
        """The weights that training returns: those of the consensus copy where there is one."""
        return self.consensus.copies if self.consensus else (self.net.theta, self.net.phi)

    def prepare(self):
        """What the weight systems fit: pre-activations and outputs plus scaled multipliers."""
        np.divide(self.lambda1, self.rho1, out=self.targets)
        self.targets += self.a
        np.divide(self.lambda3, self.rho[2], out=self.output_targets)
        self.output_targets += self.o

    def effective_multipliers(self):
        """λ1, λ2, λ3."""
        return self.lambda1, self.lambda2, self.lambda3

    def iterate(self):
        """Both weight systems, states, pre-activations, outputs; multipliers; adapted penalties."""
        self.shrink()
        if self.certificate:
            self.certificate.begin(*self._measured_merit())
        self._move_theta()
        self._move_phi()
        self._move_states()
        self._certify("states")
        kept = self.multipliers_kept()
        self._move_preactivations()
        self._certify("preactivations", kept, 0, 1)
        self.move_outputs(self.rho[2], self.options.relaxation)
        self._certify("outputs", kept, 2)
        rho = float(self.rho[0] * self.units.mean()), *self.rho[1:].tolist()
        record = SplittingRecord(math.nan, self.terms, rho=rho)
        self.collect(partial(self._end, record, self.sizes, self.k))
        return record

    def shrink(self):
        """Growth guard, ``W <- (1 − (1 − k / (K + 1)) min(guard, 0.1 max(0, γ))) W``.

        γ is the mean logarithm of the growth of the multipliers over one step back in time: of
        their norms at the first step and the last. It is the prox of a squared norm that exploding
        multipliers switch on, as in `condensed`. It falls to zero over the K iterations of the run,
        since weights that it pulls at are no point where the objective is stationary.
        """
        ends = np.zeros((2, 2))  # of the first and the last step: sum of squares, and sequences
        for place, owns, row in ((0, self.part.is_first, 0), (1, self.part.is_last, -1)):
            if owns:
                square = np.square(self.lambda1[row], dtype=float).sum()
                ends[place] = square, self.active[row]
        left = 1 - self.k / (self.total + 1)
        self.domain.reduce((ends,), partial(self._shrink, ends, self.part.n_steps, left))

    def _shrink(self, ends, steps, left, due):
        first, last = np.sqrt(ends[:, 0] / np.maximum(ends[:, 1], 1))
        if first > last > 0 and steps > 1:
            growth = math.log(first / last) / (steps - 1)
            shrinkage = left * min(self.options.guard, 0.1 * growth)
            if shrinkage > 0:
                self.net.recurrent[:] *= 1 - shrinkage
                self.lagrangian = math.nan

    def _solve(self, system, rows, tau, copy_weight, aim):
        """Minimise ``|T − Θ Z|² / rows + τ |Θ − Θ_k|² + copy_weight |Θ − aim|²``, row by row.

        Parameters
        ----------
        system : WeightSystem
            With sums of the mini-batch.
        rows : int
        tau : float
        copy_weight : float or ndarray, (units, 1)
        aim : float or ndarray, (units, n)

        Returns
        -------
        ndarray, (units, n)
            ``Θ − Θ_k``.
        """
        before = system.values.copy()
        rhs = system.cross / rows + tau * before + copy_weight * aim
        gram = finite(system.gram)
        if np.ndim(copy_weight):  # a matrix of its own for every row
            lower = np.tril(gram)
            values, basis = np.linalg.eigh(lower + np.tril(lower, -1).T)
            system.values[:] = (rhs @ basis / (values + tau + copy_weight)) @ basis.T
        else:
            solve_cholesky(factor_cholesky(gram, tau + copy_weight), rhs, out=system.values)
        return system.values - before

    def _move_theta(self):
        solve = partial(self._solve_theta, self.entered.rows, self.terms)
        self.sum_theta(self.targets, solve)

    def _solve_theta(self, rows, terms):
        weight, aim = 0.0, 0.0
        if self.consensus:
            weight = (terms * self.consensus.rho / (self.rho1 * rows))[:, None]
            aim = self.consensus.aims()[0]
        tau = self.options.tau_theta
        change = self._solve(self.theta, rows, tau, weight, aim)
        self.weights_dual[0] = rows * tau * np.linalg.norm(self.rho1[:, None] * change)
        self.theta_t[:] = self.net.theta.T
        self._certify("theta")

    def _move_phi(self):
        self.sum_phi(self.output_targets, partial(self._solve_phi, self.terms))

    def _solve_phi(self, terms):
        weight, aim = 0.0, 0.0
        if self.consensus:
            weight = float(self.consensus.rho / self.rho[2])
            aim = self.consensus.aims()[1]
        tau = self.options.tau_phi
        change = self._solve(self.phi, terms, tau, weight, aim)
        if self.limit < math.inf:
            self._shorten(change)
        self.weights_dual[1] = self.rho[2] * terms * tau * np.linalg.norm(change)
        self._certify("phi")
        if self.consensus:
            self.weights_dual[2] = terms * self.consensus.rho * self.consensus.update()
            self._certify("consensus")

    def _shorten(self, change):
        """Stop on the way to the minimiser where an output would change by more than the limit.

        The sub-problem is convex, so that the Lagrangian does not rise.
        """
        lower = np.tril(self.phi.gram)
        square = ((change @ (lower + np.tril(lower, -1).T)) * change).sum(1)
        length = np.sqrt(np.maximum(square, TINY))
        kept = np.minimum(1, self.limit / length)[:, None]
        self.phi.values[:] -= (1 - kept) * change

    def _move_states(self):
        """Exact states; the inverses of their two matrices serve all sequences and steps."""
        net, window = self.net, self.window
        rho1, (_, rho2, rho3) = self.rho1, self.rho.tolist()  # Python floats keep float32 arrays
        W, V = net.recurrent, net.read
        recurrent, read = W.T @ (rho1[:, None] * W), rho3 * V.T @ V
        last = rho2 * np.eye(net.hidden, dtype=net.dtype) + read
        inner = last + recurrent if self.problem.readout == "all" else last - read + recurrent
        exact_blocks.pulls(
            window.z, window.tokens, self.theta_t, rho1, self.targets, self.active,
            window.sequence_bounds,
        )  # fmt: skip
        self.domain.send_left(self.part, self.targets[:1])
        self.output_targets -= net.offset
        self.output_targets *= rho3
        self.domain.receive_right(self.part, self.edge)
        exact_blocks.update_states(
            window.z, self.a, self.lambda2, self.targets, self.edge,
            self.output_targets, net.theta, net.phi, np.linalg.inv(finite(inner)),
            np.linalg.inv(finite(last)), rho2, net.activation_code, self.work, self.active,
            window.sequence_bounds,
        )  # fmt: skip
        if self.steps:
            self.domain.send_right(self.part, window.states[-1])
        self.domain.receive_left(self.part, window.states[0])

    def _move_preactivations(self):
        window = self.window
        exact_blocks.update_preactivations(
            window.z, window.tokens, self.theta_t, self.a, self.lambda1, self.lambda2, self.rho1,
            self.rho[1], self.options.relaxation, self.net.activation_code, self.targets, self.work,
            self.sums, self.active, window.sequence_bounds,
        )  # fmt: skip

    def _measured_merit(self):
        """The augmented Lagrangian with regulariser, and the sizes of its terms."""
        rho1 = np.tile(self.rho1, (self.steps, 1))
        self.measure(rho1, *(np.full(n, rho) for n, rho in zip(
            (self.steps, len(self.o)), self.rho[1:], strict=True
        )))  # fmt: skip
        value, size = self.merit()
        extra = self.terms * self.consensus.merit() if self.consensus else 0.0
        return value + extra, size + abs(extra)

    def _certify(self, block, kept=None, *ascended):
        """Check an update with the multipliers of before it, and then their ascent.

        A multiplier's own wrong sign makes the Lagrangian of the new multipliers no larger.
        """
        if self.certificate is None:
            return
        if ascended:
            self._swap(kept, ascended)
        merit = self._measured_merit()
        self.certificate.check(self.k, block, *merit, self.net.dtype)
        if ascended:
            self._swap(kept, ascended)
            self.check_ascents(kept, (self.rho1, *self.rho[1:]), ascended)
            merit = self._measured_merit()
        self.certificate.begin(*merit)

    def _swap(self, kept, constraints):
        """Exchange multipliers with their copies."""
        duals = self.lambda1, self.lambda2, self.lambda3
        for c in constraints:
            kept[c][:], duals[c][:] = duals[c].copy(), kept[c].copy()

    def _end(self, record, sizes, k):
        """Multipliers of the copy, residuals, objective and Lagrangian; adapted penalties."""
        extra, tied = 0.0, True
        if self.consensus:
            norms = self.consensus.ascend()
            if self.certificate:
                self.certificate.check_ascent(k, "consensus multiplier", norms, self.net.dtype)
            extra, tied = self.consensus.penalty(), self.consensus.gap <= self.options.eps_rel
        self.complete(record, sizes, self.totals, extra)
        record.solved &= tied
        if self.options.adapt_every and k % self.options.adapt_every == 0:
            self._adapt(record)

    def _adapt(self, record):
        """Double or halve each penalty towards balanced residuals."""
        primal, dual = np.array(record.primal), np.array(record.dual)
        self.rho[primal > self.options.adapt_ratio * dual] *= 2
        self.rho[dual > self.options.adapt_ratio * primal] /= 2
        self.least_rho = self.rho[:2].copy()
        self.lagrangian = math.nan
        self.prepare()
