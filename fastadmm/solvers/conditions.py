"""Conditions of optimality of a split unfolded network, and the check of its multipliers.

Output variables may fit targets that the network itself does not: what a run reports as its loss is
therefore that of the simulated network, and only where both agree can it be solved.
"""

import math

import numpy as np

from fastadmm.cells import READ_OUT
from fastadmm.kernels.operators.activations import times_derivative
from fastadmm.kernels.recurrent.exact_blocks import CHANGE, LEFT, MULTIPLIER, RESIDUAL, RIGHT
from fastadmm.solvers.variables import Variables

TINY = np.finfo(np.float64).tiny


class Conditions(Variables):
    """How far variables and weights are from a stationary point.

    Parameters as of `fastadmm.solvers.base.Solver`.
    """

    def effective_multipliers(self):
        """What pulls at pre-activations, states and outputs."""
        raise NotImplementedError

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
        moved = norms[:, CHANGE]
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
        self._compare(self.merit()[0] + gained + added, self.merit()[1])
        record.primal = tuple((norms[:, RESIDUAL] / np.maximum(side, TINY)).tolist())
        record.dual = tuple((moved / np.maximum(norms[:, MULTIPLIER], TINY)).tolist())
        # with staleness, states may rest only because weights are under way
        is_still = (near & still).all() and resting.all()
        record.solved = bool(is_still) and not self.domain.staleness

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

    def _compare(self, lagrangian, size):
        """Keep the largest rise over an iteration that nothing but iterations came before."""
        rise = max(lagrangian - self.lagrangian, 0.0) / max(size, TINY)
        if not math.isnan(rise):
            self.rise = max(rise, 0.0 if math.isnan(self.rise) else self.rise)
        self.lagrangian = lagrangian

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

    def _relative(self, *terms):
        """Norm of a sum, relative to the sum of the norms of its terms."""
        return self._norm(sum(terms)) / max(sum(map(self._norm, terms)), TINY)

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

    def _gradients_of_weights(self, mu1, mu3):
        """Norms of the Lagrangian's gradients with respect to the weights that training returns."""
        copy, found = self.consensus, {}
        for c, (name, pull) in enumerate(zip(("theta", "phi"), self._sums(mu1, mu3), strict=True)):
            force = 0.0 if copy is None else self.terms * copy.rho * copy.scaled[c]
            found[name] = float(np.linalg.norm(force - pull))
        return found

    def _sums(self, mu1, mu3):
        """``Σ μ1 zᵀ`` and ``Σ μ3 [1; s]ᵀ`` over all owners."""
        self.sum_theta(mu1, lambda: None)
        self.sum_phi(mu3, lambda: None)
        self.domain.drain()
        return self.theta.cross.astype(float), self.phi.cross.astype(float)

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
