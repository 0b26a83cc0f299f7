"""Slow, readable twin of the rows of tokens in `condensed`: every token moves in every step."""

import numpy as np

from . import condensed


class TokenBlock:
    """Columns of Θ of the tokens, (H, D): no momentum, a metric of frequencies."""

    def __init__(self, weights, damping=0.1):
        self.weights, self.average, self.damping = weights.copy(), weights.copy(), damping
        self.counts, self.distinct, self.k = np.zeros(weights.shape[1]), 0, 0

    def metric(self, counts):
        """E (D,), once a mini-batch with so many of each token has been seen."""
        self.k += 1
        self.counts += counts
        self.distinct += np.count_nonzero(counts)
        return self.counts / self.counts.sum() + self.damping / (self.distinct / self.k)

    def step(self, g, metric, rho, alpha):
        """One update of all tokens: where g is zero the weights stay, and their average goes on."""
        self.weights = self.weights - g / metric / rho[:, None]
        self.average = alpha * self.average + (1 - alpha) * self.weights


def train(theta, phi, activation, X, y, loss, readout, batches):
    """Averaged weights after the given mini-batches (a list of arrays of cases) of tokens X."""
    size = theta.shape[1] - len(theta) - 1
    tokens, dense = TokenBlock(theta[:, :size]), condensed.Block(theta[:, size:])
    phi = condensed.Block(phi)
    mean_size = np.mean([len(cases) for cases in batches])
    for k, cases in enumerate(batches, 1):
        (g, gram), (g_phi, gram_phi), growth = condensed.sums(
            np.hstack([tokens.weights, dense.weights]), phi.weights, activation,
            condensed.one_hot(X[cases], size), y[cases], loss, readout, True,
        )  # fmt: skip
        decay = 1 - k / (len(batches) + 1)
        weight = len(cases) / mean_size
        g *= weight
        metric = tokens.metric(np.bincount(X[cases].ravel(), minlength=size))
        squares = (g[:, :size] ** 2 / metric).sum(1)
        shrinkage = condensed.guard(growth, decay)
        dense.step(g[:, size:], gram[size:, size:], decay, shrinkage, slice(1, None), squares)
        tokens.step(g[:, :size], metric, dense.rho, dense.alpha)
        phi.step(weight * g_phi, gram_phi, decay)
    return np.hstack([tokens.average, dense.average]), phi.average


def columns(block):
    """What a solver's `TokenBlock` has measured, over the whole alphabet: g (H, D) and counts."""
    sums, own = block.sums, slice(0, block.distinct)
    counts = np.zeros(len(block.rows.values), int)
    g = np.zeros(block.rows.values.shape)
    counts[sums.ids[own]], g[sums.ids[own]] = sums.counts[own], sums.g[own]
    return g.T, counts
