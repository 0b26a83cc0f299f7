"""What one iteration of `block` or `admmirnn` measured."""

import math
from dataclasses import dataclass


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
        Penalties of the three constraints; where those of the units differ, their mean.
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
