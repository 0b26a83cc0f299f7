"""Slow twins of the proxes in a metric: proximal gradient steps in double precision, thousands."""

import numpy as np


def prox(matrix, target, project, scale=1.0, steps=20_000):
    """``argmin Σ scale_i/2 (x_i - t_i) A (x_i - t_i)ᵀ + g(x)``.

    ``project(v, step)`` is the prox of ``step g`` in the Euclidean norm.
    """
    x, scale = target.copy(), np.broadcast_to(scale, len(target))[:, None]
    step = 1 / (np.linalg.eigvalsh(matrix)[-1] * scale.max())
    for _ in range(steps):
        x = project(x - step * scale * ((x - target) @ matrix), step)
    return x


def objective(matrix, target, x, scale=1.0):
    """The quadratic part, of every row."""
    gap = x - target
    return 0.5 * scale * np.einsum("ij,jk,ik->i", gap, matrix, gap)


def soft(v, threshold):
    return np.sign(v) * np.maximum(np.abs(v) - threshold, 0)


def shrink_columns(v, threshold):
    norms = np.linalg.norm(v, axis=0)
    return v * np.maximum(1 - threshold / np.maximum(norms, 1e-300), 0)
