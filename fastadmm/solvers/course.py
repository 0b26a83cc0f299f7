"""Where `block` begins, and what keeps its network on its way.

ADMM goes on from where it begins, and from a poor start it stays near it. So a run on all data has
an opening, in which every iteration begins from simulated states and safeguarded multipliers, with
a penalty ρ1 of every unit for which the weight step changes its pre-activation by η in root mean
square. The constraints of two units are apart, so that this is the same algorithm with a diagonal
penalty. Then come iterations that go on from their own states and multipliers, while the network
simulated with the weights says whether they keep its way.
"""

import math
from typing import Any

import numpy as np

from fastadmm.kernels import factor_cholesky, solve_cholesky
from fastadmm.solvers.splitting import Splitting
from fastadmm.solvers.variables import finite

WORSE = 1.1
"""The simulated network has lost its way where its objective is so many times its best."""
LEAST_UNIT = 1e-6
"""Smallest penalty of a unit in the opening, relative to the largest."""
RECOVERY = 0.95
"""What penalties that were raised come down by, while the network keeps its way."""


class Course(Splitting):
    """A solver whose weights are judged by the network simulated with them.

    Parameters as of `fastadmm.solvers.base.Solver`.

    Attributes
    ----------
    rho : ndarray, (3,)
        Penalties of pre-activations, states and outputs.
    eta : float
        Length of a unit's step at the start of the opening.
    units : ndarray, (H,)
        Factors on the first one.
    limit : float
        Bound on the rms change of an output by the weight step.
    """

    rho: np.ndarray
    least_rho: np.ndarray
    eta: float

    def __init__(self, net, problem, options, batch, steps, total, threads, domain=None):
        super().__init__(net, problem, options, batch, steps, total, threads, domain)
        self.units, self.limit = np.ones(net.hidden), math.inf
        self._best: Any = None  # objective, penalty, and every block of weights with its copy

    def _enter(self, entered):
        super()._enter(entered)
        self._keep()

    def state(self, with_window):
        state = super().state(with_window) | {
            "rho": self.rho, "least_rho": self.least_rho, "units": self.units,
        }  # fmt: skip
        if self._best is None:
            return state
        objective, penalty, blocks = self._best
        whole = np.array([objective])
        self.domain.sum(whole)  # every owner has its own part of the loss
        state |= {"best_objective": float(whole[0]), "best_penalty": penalty}
        return state | {f"best{place}": kept for place, (_, kept) in enumerate(blocks)}

    def restore(self, state, new_run=False):
        super().restore(state, new_run)
        if not new_run:
            self.rho[:], self.least_rho[:] = state["rho"], state["least_rho"]
            self.units[:] = state["units"]
        if not new_run and "best_objective" in state:
            blocks = self._judged_blocks()
            kept = [(block, state[f"best{place}"].copy()) for place, block in enumerate(blocks)]
            objective = state["best_objective"] if self.domain.is_root else 0.0
            self._best = objective, state["best_penalty"], kept

    def _judged_blocks(self):
        """Weights that may go back to what they were."""
        blocks = [self.net.theta, self.net.phi]
        if self.consensus:
            blocks += [*self.consensus.copies, *self.consensus.scaled]
        return blocks

    def _keep(self):
        """Remember the weights with the objective of the network simulated with them."""
        kept = [(block, block.copy()) for block in self._judged_blocks()]
        self._best = float(self.simulated[0]), self._penalty(), kept

    @property
    def rho1(self):
        """Penalties of the units' pre-activations, (H,)."""
        return (self.rho[0] * self.units).astype(self.net.dtype)

    def _penalty(self):
        return self.terms * self.consensus.penalty() if self.consensus else 0.0

    def _look_back(self):
        """Judge the weights; in the opening begin anew, else keep the network on its way."""
        k, length = self.k, self.options.opening * self.total
        if self.domain.staleness or k >= length:
            self._judge()
        else:
            self._judge(goes_back=False)
            self._begin_anew(self.eta * (1 - k / (length + 1)))

    def finish(self):
        if self.goes_on and not self.domain.staleness:
            self._judge()

    def _begin_anew(self, eta):
        """Simulated states, safeguarded multipliers, and units' penalties for steps of length eta.

        From there the weight step is ``ΔΘ_i = g_i (G + τ I)⁻¹ / (ρ1_i rows)``, with the multiplier
        sums g.
        """
        simulated = self.simulated
        self._start()
        self.simulated = simulated
        g, _ = self._sums(self.lambda1, self.lambda3)
        self._set_units(self._lengths(self.theta, g, self.options.tau_theta), eta)
        self.limit = eta
        self.prepare()

    def _set_units(self, lengths, eta):
        """Penalties for which steps have the length eta; a unit that rests has that of others."""
        least = LEAST_UNIT * lengths.max()
        units = np.maximum(lengths, least) / (eta * self.rho[0] * self.entered.rows)
        self.units[:] = units if least > 0 else 1.0

    @staticmethod
    def _lengths(system, g, tau):
        """``sqrt(g_i (G + τ I)⁻¹ g_iᵀ)`` of every row, (units,)."""
        factor = factor_cholesky(finite(system.gram.astype(float)), tau)
        return np.sqrt(np.maximum((g * solve_cholesky(factor, finite(g))).sum(1), 0))

    def _judge(self, goes_back=True):
        """Go back to the best weights where the simulated network has lost what they had.

        Variables can fit targets that the network does not: every state may be off by little, in
        favour of the outputs, while simulated states drift away. So ρ1 and ρ2 double, and states
        and multipliers start anew from simulation. While the network keeps its way, penalties come
        down again to what they were. Not with staleness: its ranks do not wait for the loss.
        """
        self._simulate()
        if self.domain.staleness:
            return
        best, penalty, blocks = self._best
        now = np.array([self.simulated[0], best])
        self.domain.sum(now)
        now += self._penalty(), penalty
        if now[0] < now[1]:
            self._keep()
        if not goes_back:
            return
        self.limit = math.inf
        rest = (self.units != 1).any()
        self.units[:] = 1
        if now[0] <= WORSE * now[1]:
            rho = np.maximum(RECOVERY * self.rho[:2], self.least_rho)
        else:
            rho = 2 * self.rho[:2]
            for block, kept in blocks:
                block[:] = kept
            self._start()
        if rest or (rho != self.rho[:2]).any():
            self.rho[:2], self.lagrangian = rho, math.nan
            self.prepare()
