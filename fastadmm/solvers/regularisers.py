"""Regularisers of the weights, applied through a consensus copy of both weight blocks."""

import math

import numpy as np

from fastadmm import kernels
from fastadmm.cells import READ_OUT, columns


def _parts(theta, phi):
    """U, W and V, all weights but the biases: views."""
    of = columns(theta.shape[1] - 1 - len(theta))
    return theta[:, of.drive], theta[:, of.recurrent], phi[:, READ_OUT.recurrent]


def _hidden_groups(theta, phi):
    """What each hidden unit sends, one row a unit: its column of W and of V."""
    _, recurrent, read = _parts(theta, phi)
    return np.concatenate([recurrent, read]).T


def _separable(prox, value):
    """A regulariser of single weights, biases left out, on both blocks."""

    def apply(theta, phi, step):
        for part in _parts(theta, phi):
            part[:] = prox(np.ascontiguousarray(part), step)

    return apply, lambda theta, phi: float(sum(map(value, _parts(theta, phi))))


def _prox_group(theta, phi, step):
    _, recurrent, read = _parts(theta, phi)
    sent = kernels.prox_l2_norm(np.ascontiguousarray(_hidden_groups(theta, phi)), step).T
    recurrent[:], read[:] = sent[: len(theta)], sent[len(theta) :]


def _group(theta, phi):
    return float(np.linalg.norm(_hidden_groups(theta, phi), axis=1).sum())


REGULARISERS = {
    "l1": _separable(kernels.prox_l1, kernels.l1),
    "l2": _separable(kernels.prox_squared_l2, kernels.squared_l2),
    "elastic_net": _separable(kernels.prox_elastic_net, kernels.elastic_net),
    "nonneg": _separable(lambda v, step: np.maximum(v, 0), lambda v: 0.0),
    "group": (_prox_group, _group),
}
"""By name: the prox ``(theta, phi, step)``, in place, and the value ``(theta, phi)``."""


def _norm(*blocks):
    return math.hypot(*(float(np.linalg.norm(block)) for block in blocks))


CONSENSUS = "copy_theta", "copy_phi", "scaled_theta", "scaled_phi"
"""Names of what a `Consensus` remembers."""


class Consensus:
    """Copy Ψ of the weights that carries the regulariser, tied by ``Ψ = (Θ, Φ)``.

    Adds ``strength g(Ψ) + ρ/2 |(Θ, Φ) − Ψ + u|² − ρ/2 |u|²`` to the mean augmented Lagrangian, with
    the scaled multiplier u.

    Parameters
    ----------
    theta, phi : ndarray
        The weights; read at every update.
    name : str
    strength, rho : float
    """

    def __init__(self, theta, phi, name, strength, rho):
        self.own, self.strength, self.rho = (theta, phi), strength, rho
        self.prox, self.value = REGULARISERS[name]
        self.copies = theta.copy(), phi.copy()
        self.scaled = np.zeros_like(theta), np.zeros_like(phi)
        self.update()

    def aims(self):
        """What the weight systems are pulled to, Ψ − u for each block."""
        return tuple(c - u for c, u in zip(self.copies, self.scaled, strict=True))

    def update(self):
        """The copy, ``Ψ <- prox_{strength g / ρ}((Θ, Φ) + u)``; returns the norm of its change."""
        before = [copy.copy() for copy in self.copies]
        for copy, own, u in zip(self.copies, self.own, self.scaled, strict=True):
            np.add(own, u, out=copy)
        self.prox(*self.copies, self.strength / self.rho)
        return _norm(*(copy - old for copy, old in zip(self.copies, before, strict=True)))

    def mapped(self, *gradients):
        """``ρ (Ψ − prox_{strength g / ρ}(Ψ − ∇ / ρ))`` of gradients with respect to both blocks.

        Zero where ``0 ∈ ∇ + strength ∂g(Ψ)``; without g, the gradients.
        """
        moved = [c - g / self.rho for c, g in zip(self.copies, gradients, strict=True)]
        self.prox(*moved, self.strength / self.rho)
        return [self.rho * (c - m) for c, m in zip(self.copies, moved, strict=True)]

    def ascend(self):
        """The scaled multiplier, ``u <- u + (Θ, Φ) − Ψ``; keeps the relative residual as ``gap``.

        Returns
        -------
        tuple of float
            What `fastadmm.solvers.certificate.Certificate.check_ascent` compares, but for the ρ.
        """
        before = [u.copy() for u in self.scaled]
        residuals = [own - copy for own, copy in zip(self.own, self.copies, strict=True)]
        for u, residual in zip(self.scaled, residuals, strict=True):
            u += residual
        self.gap = _norm(*residuals) / max(_norm(*self.own), np.finfo(float).tiny)
        added = [u - old for u, old in zip(self.scaled, before, strict=True)]
        difference = _norm(*(a - r for a, r in zip(added, residuals, strict=True)))
        size = _norm(*self.own) + _norm(*self.copies) + _norm(*before)
        return difference, _norm(*residuals), _norm(*added), size

    def state(self):
        """Copies and scaled multipliers, by name."""
        arrays = dict(zip(CONSENSUS, (*self.copies, *self.scaled), strict=True))
        return {**arrays, "gap": self.gap}

    def restore(self, state):
        """Take up what `state` has given."""
        for name, array in zip(CONSENSUS, (*self.copies, *self.scaled), strict=True):
            array[:] = state[name]
        self.gap = state["gap"]

    def penalty(self):
        """strength g(Ψ)."""
        return self.strength * self.value(*self.copies)

    def merit(self):
        """All that it adds to the mean augmented Lagrangian."""
        total = self.penalty()
        for copy, own, u in zip(self.copies, self.own, self.scaled, strict=True):
            total += 0.5 * self.rho * float(np.square(own - copy + u).sum() - np.square(u).sum())
        return total
