"""Slow twins of the linear-system kernels: dense matrices in double precision."""

import numpy as np


def gram(rows, weights=None):
    """Sum of weighted outer products, both triangles."""
    return cross_gram(rows, rows, weights)


def cross_gram(left, rows, weights=None):
    weights = np.ones(len(rows)) if weights is None else weights
    total = np.zeros((left.shape[1], rows.shape[1]))
    for y, x, w in zip(left, rows, weights, strict=True):
        total += float(w) * np.outer(y.astype(float), x.astype(float))
    return total


def ridge(rows, delta):
    return gram(rows) + delta * np.eye(rows.shape[1])


def low_rank(diagonal, rows, sign):
    return np.diag(diagonal.astype(float)) + sign * gram(rows)


def tokens(tokens, rows, n_tokens, delta):
    """The ridge matrix of the rows [e_token; z], formed."""
    return ridge(np.hstack([np.eye(n_tokens)[tokens], rows]), delta)


def tridiagonal(diagonal, below):
    below = below.astype(float)
    return np.diag(diagonal.astype(float)) + np.diag(below, -1) + np.diag(below, 1)


def block_tridiagonal(diagonal, below):
    """The whole matrix; of the diagonal blocks only the lower triangles count."""
    blocks, b = diagonal.shape[:2]
    dense = np.zeros((blocks * b, blocks * b))
    for t in range(blocks):
        here = slice(t * b, (t + 1) * b)
        lower = np.tril(diagonal[t]).astype(float)
        dense[here, here] = lower + np.tril(lower, -1).T
        if t > 0:
            before = slice((t - 1) * b, t * b)
            dense[here, before] = below[t - 1]
            dense[before, here] = below[t - 1].T
    return dense


def solve(dense, rhs):
    """Solutions of all right-hand sides, which are rows."""
    return np.linalg.solve(dense, np.atleast_2d(rhs).astype(float).T).T.reshape(np.shape(rhs))


def failing_minor(dense):
    """Order of the first leading minor that is not positive definite, 0 for none."""
    for k in range(1, len(dense) + 1):
        if np.linalg.eigvalsh(dense[:k, :k])[0] <= 0:
            return k
    return 0


def conjugate_gradients(dense, rhs, iterations):
    """The textbook's iterates from zero."""
    x, r = np.zeros_like(rhs), rhs.copy()
    p = r.copy()
    for _ in range(iterations):
        length = (r @ r) / (p @ dense @ p)
        x, before, r = x + length * p, r, r - length * (dense @ p)
        p = r + (r @ r) / (before @ before) * p
    return x
