"""A certificate of descent: what every block update does to the augmented Lagrangian."""

from dataclasses import dataclass

import numpy as np


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
    violation: dict | None = None

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
