"""ADMM with exact sub-problems and multipliers on every constraint (algorithm 2.2).

One iteration: all states given the pre-activations; all pre-activations given the states, and all
outputs, each followed by its multipliers; then both weight systems. Within each of these phases
nothing depends on another time step or sequence, so the phases are parallel in time by nature.
"""

import math
from dataclasses import dataclass

import numpy as np

from fastadmm.kernels import state_blocks, weights
from fastadmm.kernels.cholesky import factor_cholesky, solve_cholesky
from fastadmm.kernels.state_blocks import (
    ALIGNED,
    CHANGE,
    LEFT,
    MULTIPLIER,
    RESIDUAL,
    RIGHT,
)
from fastadmm.solvers.regularisers import Consensus, check_regulariser
from fastadmm.solvers.splitting import Splitting, SplittingRecord

TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class BlockOptions:
    """Settings of `Block`.

    Attributes
    ----------
    rho1, rho2, rho3 : float
        Penalties of pre-activations, states and outputs at the start, for losses that count 1 a
        term.
    tau_theta, tau_phi : float
        Proximal weights of recurrent and read-out weights, relative to a Gram that is a mean.
    adapt_every : int
        Iterations between two changes of the penalties by residual balancing; 0 keeps them.
    adapt_ratio : float
        Penalties change where one residual is so many times the other.
    relaxation : float
        Over-relaxation α in (0, 2).
    sweeps : int
        Iterations on each mini-batch.
    regulariser : {None, "l1", "l2", "elastic_net", "group", "nonneg"}
        Of all weights but the biases, through a consensus copy, which is what training returns.
        ``"group"`` acts on all that a hidden unit sends: a unit whose group is zero is removed.
    strength : float
        Factor on the regulariser, against the mean loss.
    eps_abs, eps_rel : float
        Status ``solved`` where all residuals are below ``eps_abs`` times the root of their size
        plus ``eps_rel`` times the larger side (primal) or the multiplier (dual).
    certify : bool
        Check at every block update that the augmented Lagrangian did not rise.
    """

    rho1: float = 3.0
    rho2: float = 3.0
    rho3: float = 0.3
    tau_theta: float = 1.0
    tau_phi: float = 1.0
    adapt_every: int = 0
    adapt_ratio: float = 10.0
    relaxation: float = 1.0
    sweeps: int = 1
    regulariser: str | None = None
    strength: float = 1e-3
    rho_weights: float = 1.0
    eps_abs: float = 1e-8
    eps_rel: float = 1e-4
    certify: bool = False

    def __post_init__(self):
        for name in ("rho1", "rho2", "rho3"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}: expected a positive number")
        for name in ("tau_theta", "tau_phi", "strength", "eps_abs", "eps_rel"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}: expected a number, at least 0")
        if self.adapt_every < 0:
            raise ValueError(f"adapt_every is {self.adapt_every}: expected at least 0")
        if self.adapt_ratio <= 1:
            raise ValueError(f"adapt_ratio is {self.adapt_ratio}: expected above 1")
        if not 0 < self.relaxation < 2:
            raise ValueError(f"relaxation is {self.relaxation}: expected 0 < relaxation < 2")
        if self.sweeps < 1:
            raise ValueError(f"sweeps is {self.sweeps}: expected at least 1")
        if self.certify and (self.relaxation != 1 or self.adapt_every):
            raise ValueError("certify needs relaxation=1 and adapt_every=0: both may raise it")
        check_regulariser(self.regulariser)


class WeightSystem:
    """One block of weights with its Gram and right-hand side.

    Parameters
    ----------
    values : ndarray, (units, n)
        Updated in place.
    threads : int
    """

    def __init__(self, values, threads):
        units, n = values.shape
        real = values.dtype
        self.values = values
        self.gram, self.factor = np.zeros((n, n), real), np.zeros((n, n), real)
        self.cross = np.zeros((units, n), real)
        self.parts = np.empty((threads, units, n), real), np.zeros((threads, n, n), real)

    def solve(self, rows, tau, copy_weight=0.0, aim=None):
        """Minimise ``|T − Θ Z|² / rows + τ |Θ − Θ_k|² + copy_weight |Θ − aim|²``."""
        rhs = self.cross / rows + tau * self.values
        if aim is not None:
            rhs += copy_weight * aim
        factor_cholesky(self.gram, tau + copy_weight, out=self.factor)
        solve_cholesky(self.factor, rhs, out=self.values)


class Block(Splitting):
    """Solver state over a run.

    Parameters
    ----------
    net : RNN
        Its weights move with every iteration.
    problem : Problem
    options : BlockOptions
    batch, steps : int
        Largest number of sequences, and of steps, in a window.
    total : int
        Number of mini-batches of the whole run.
    threads : int
    """

    Options = BlockOptions
    Record = SplittingRecord

    def __init__(self, net, problem, options, batch, steps, total, threads):
        super().__init__(net, problem, options, batch, steps, threads)
        self.rho = [options.rho1, options.rho2, options.rho3]
        self.theta, self.phi = WeightSystem(net.theta, threads), WeightSystem(net.phi, threads)
        self.theta_parts = self.theta.parts
        if problem.tokens:
            real, dense = net.dtype, self.unfolded.width
            self.token_parts = (
                np.empty((threads, net.inputs, net.hidden), real),
                np.empty((threads, net.inputs, dense), real),
            )
        self.consensus = None
        if options.regulariser is not None:
            self.consensus = Consensus(
                net.theta, net.phi, options.regulariser, options.strength, options.rho_weights
            )
        softmax = problem.loss == "softmax_cross_entropy"
        self._update_outputs = (
            state_blocks.update_outputs_softmax if softmax else state_blocks.update_outputs_squared
        )

    @property
    def average(self):
        """The weights that training returns: those of the consensus copy where there is one."""
        return self.consensus.copies if self.consensus else (self.net.theta, self.net.phi)

    def step(self, X, y, cases, first, steps, initial=None):
        """Iterations on one window; see `fastadmm.solvers.condensed.Condensed.step`."""
        if not self.enter(X, y, cases, first, steps, initial):
            self._aim()
        for _ in range(self.options.sweeps):
            record = self.iterate()
            if not record.finite or record.solved:
                break
        return record

    def iterate(self):
        """Both weight systems, states, pre-activations, outputs; multipliers; adapted penalties."""
        self.k += 1
        if self.certificate:
            self.certificate.begin(*self._merit())
        self._sum()
        self._solve_theta()
        self._certify("theta")
        self._solve_phi()
        self._certify("phi")
        if self.consensus:
            self.consensus.update()
            self._certify("consensus")
            self.consensus_gap = self.consensus.ascend()
        self._move_states()
        self._certify("states")
        self._move_preactivations()
        self._certify("preactivations", 0, 1)
        self._move_outputs()
        self._certify("outputs", 2)
        record = self._record()
        if self.options.adapt_every and self.k % self.options.adapt_every == 0:
            self._adapt(record)
        return record

    def _sum(self):
        """Grams and cross sums of both weight systems; the Grams become means."""
        window, theta, phi = self.window, self.theta, self.phi
        tokens = self.net.inputs if self.problem.tokens else 0
        rows, target_rows = window.rows(0, -1), self.targets.reshape(-1, self.net.hidden)
        weights.sums(
            rows, 0, target_rows, True, *self.theta_parts, window.row_bounds,
            theta.cross[:, tokens:], theta.gram[tokens:, tokens:],
        )  # fmt: skip
        if tokens:
            weights.token_sums(
                window.tokens.reshape(-1), rows, target_rows, True, *self.token_parts,
                window.row_bounds, theta.cross, theta.gram,
            )  # fmt: skip
        weights.sums(
            self.output_rows, window.left, self.output_targets, True, *phi.parts,
            self.output_bounds, phi.cross, phi.gram,
        )  # fmt: skip

    def _solve_theta(self):
        rows, weight, aim = self.steps * self.batch, 0.0, None
        if self.consensus:
            weight, aim = (
                self.terms * self.consensus.rho / (self.rho[0] * rows),
                self.consensus.aims()[0],
            )
        self.theta.solve(rows, self.options.tau_theta, weight, aim)
        self.theta_t[:] = self.net.theta.T

    def _solve_phi(self):
        weight, aim = 0.0, None
        if self.consensus:
            weight, aim = self.consensus.rho / self.rho[2], self.consensus.aims()[1]
        self.phi.solve(self.terms, self.options.tau_phi, weight, aim)

    def _move_states(self):
        """Exact states; the inverses of their two matrices serve all sequences and steps."""
        net, window = self.net, self.window
        rho1, rho2, rho3 = self.rho
        W, V = net.theta[:, net.inputs : -1], net.phi[:, :-1]
        recurrent, read = rho1 * W.T @ W, rho3 * V.T @ V
        last = rho2 * np.eye(net.hidden, dtype=net.dtype) + read
        inner = last + recurrent if len(self.o) > self.batch else last - read + recurrent
        state_blocks.pulls(
            window.z, window.tokens, self.theta_t, rho1, self.targets, window.sequence_bounds
        )
        self.output_targets -= net.phi[:, -1]
        self.output_targets *= rho3
        state_blocks.update_states(
            window.z, self.a, self.lambda2, self.targets, self.targets[0, :0],
            self.by_step(self.output_targets), net.theta, net.phi, np.linalg.inv(inner),
            np.linalg.inv(last), rho2, net.activation_code, self.work, self.sums,
            window.sequence_bounds,
        )  # fmt: skip

    def _move_preactivations(self):
        window = self.window
        state_blocks.update_preactivations(
            window.z, window.tokens, self.theta_t, self.a, self.lambda1, self.lambda2, self.rho[0],
            self.rho[1], self.options.relaxation, self.net.activation_code, self.targets, self.work,
            self.sums, window.sequence_bounds,
        )  # fmt: skip

    def _move_outputs(self):
        self._update_outputs(
            self.output_rows, self.net.phi, self.y, self.o, self.lambda3, self.rho[2],
            self.options.relaxation, self.output_targets, self.output_work, self.losses, self.sums,
            self.output_bounds,
        )  # fmt: skip

    def _merit(self):
        """The augmented Lagrangian with regulariser, and the sizes of its terms."""
        value, size = self.merit(self.rho)
        extra = self.terms * self.consensus.merit() if self.consensus else 0.0
        return value + extra, size + abs(extra)

    def _certify(self, block, *ascended):
        """Check an update; what the ascent of multipliers added to the Lagrangian is taken off."""
        if self.certificate is None:
            return
        value, size = self._merit()
        gained = sum(self.rho[c] * self.sums[:, c, RESIDUAL].sum() for c in ascended)
        self.certificate.check(self.k, block, value - gained, size, self.net.dtype)
        self.certificate.begin(value, size)

    def _record(self):
        """Residuals, objective and Lagrangian of the iteration."""
        o, rho = self.options, np.array(self.rho)
        squares = self.sums.sum(0)
        loss = float(self.losses.sum())
        norms = np.sqrt(np.abs(squares))  # of <λ, r>, which has a sign, there is no norm
        side = np.maximum(norms[:, LEFT], norms[:, RIGHT])
        moved = rho * norms[:, CHANGE]
        sizes = np.sqrt([self.a.size, self.a.size, self.o.size])
        inside = (norms[:, RESIDUAL] <= o.eps_abs * sizes + o.eps_rel * side) & (
            moved <= o.eps_abs * sizes + o.eps_rel * norms[:, MULTIPLIER]
        )
        extra, tied = 0.0, True
        if self.consensus:
            extra, tied = self.consensus.penalty(), self.consensus_gap <= o.eps_rel
        constraints = (squares[:, ALIGNED] + 0.5 * rho * squares[:, RESIDUAL]).sum()
        return SplittingRecord(
            loss=loss,
            terms=self.terms,
            objective=loss / self.terms + extra,
            lagrangian=(loss + constraints) / self.terms + extra,
            primal=tuple(norms[:, RESIDUAL] / np.maximum(side, TINY)),
            dual=tuple(moved / np.maximum(norms[:, MULTIPLIER], TINY)),
            rho=tuple(self.rho),
            solved=bool(inside.all() and tied),
        )

    def _adapt(self, record):
        """Double or halve each penalty towards balanced residuals."""
        for c, (primal, dual) in enumerate(zip(record.primal, record.dual, strict=True)):
            if primal > self.options.adapt_ratio * dual:
                self.rho[c] *= 2
            elif dual > self.options.adapt_ratio * primal:
                self.rho[c] /= 2
        self._aim()

    def _aim(self):
        """What the weight systems fit: pre-activations and outputs plus scaled multipliers."""
        np.divide(self.lambda1, self.rho[0], out=self.targets)
        self.targets += self.a
        np.divide(self.lambda3, self.rho[2], out=self.output_targets)
        self.output_targets += self.o
