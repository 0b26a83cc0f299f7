"""Slow, readable twin of the split unfolded network: its Lagrangian, one step at a time.

A point is a dict of theta, phi, X (B, T, D), y, a, s (B, T, H), o (B, L, C) and the multipliers l1,
l2, l3 of a, s and o; penalties w1, w2 (T,) and w3 (L,) belong to the steps. Tokens are one-hot.
"""

import numpy as np

from reference.condensed import ACTIVATIONS, loss_terms


def residuals(point, activation):
    """r1, r2 (B, T, H) and r3 (B, L, C)."""
    f, _ = ACTIVATIONS[activation]
    theta, phi, X, a, s, o = (point[name] for name in ("theta", "phi", "X", "a", "s", "o"))
    r1, r2, r3 = np.zeros_like(a), np.zeros_like(s), np.zeros_like(o)
    B, T, _ = a.shape
    for n in range(B):
        for t in range(T):
            before = s[n, t - 1] if t > 0 else np.zeros(a.shape[2])
            r1[n, t] = a[n, t] - theta @ np.concatenate([X[n, t], [1], before])
            r2[n, t] = s[n, t] - f(a[n, t])
        for i in range(o.shape[1]):
            state = s[n, T - o.shape[1] + i]
            r3[n, i] = o[n, i] - phi @ np.append(1, state)
    return r1, r2, r3


def lagrangian(point, activation, loss, w1, w2, w3):
    """``Σ ℓ(o) + Σ_c <λ_c, r_c> + w_c/2 |r_c|²``."""
    r1, r2, r3 = residuals(point, activation)
    y = point["y"]
    total = loss_terms(point["o"], y, loss)[0].sum()
    for r, dual, w in ((r1, point["l1"], w1), (r2, point["l2"], w2), (r3, point["l3"], w3)):
        for t in range(r.shape[1]):
            total += (dual[:, t] * r[:, t]).sum() + w[t] / 2 * (r[:, t] ** 2).sum()
    return total


def numerical_gradient(function, point, name, step=1e-6):
    """Central differences of a function of the point with respect to one of its arrays."""
    array = point[name]
    gradient = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + step
        above = function(point)
        array[index] = kept - step
        gradient[index] = (above - function(point)) / (2 * step)
        array[index] = kept
    return gradient
