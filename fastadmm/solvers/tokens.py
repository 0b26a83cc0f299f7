"""The rows of Θ that belong to tokens, for `condensed`.

Their kernels are in `fastadmm.kernels.recurrent.token_weights`.
"""

import math

import numpy as np

from fastadmm.kernels.recurrent import token_weights
from fastadmm.kernels.recurrent.token_weights import TokenRows, TokenSums
from fastadmm.mpi.partition import bounds

NO_TOKENS = None, None, (0, 1.0, 0.0, 0.0, 0.0)
"""What `TokenBlock.to_move` returns, for dense inputs."""


KEPT = "values", "average", "counts", "log_kept"
"""What a step remembers of the rows of tokens."""


class TokenBlock:
    """Weights of the tokens of an alphabet, moved where a mini-batch has them.

    Memory is a few rows of H numbers a token; a step touches those of the mini-batch's tokens.

    Parameters
    ----------
    values : ndarray, (D, H)
        Updated in place.
    places : int
        Largest number of own tokens in a mini-batch.
    threads : int
    domain : fastadmm.mpi.serial.Serial

    Attributes
    ----------
    distinct : int
        Distinct tokens in ``sums``: those of the own part of a mini-batch once it is measured,
        those of all of it when its sums have arrived.
    places : int
        Tokens of the mini-batch, those of all owners.
    sums : TokenSums
    rows : TokenRows
    """

    def __init__(self, values, places, threads, domain):
        size, hidden = values.shape
        self.domain, self._bounds = domain, bounds(size, threads)
        self.distinct, self.places = 0, 0
        self._total, self._distinct_total, self._log_kept = 0, 0, 0.0
        self.rows = TokenRows(
            values, values.copy(), np.zeros(size, np.int64), np.zeros(size), np.empty(hidden)
        )
        each = domain.largest(places)
        capacity = domain.size * each
        self.sums = TokenSums(
            np.empty(capacity, np.int64), np.empty(capacity, np.int64),
            np.empty((capacity, hidden), values.dtype), np.full(size, -1, np.int64),
            np.empty(capacity, np.int64), np.empty(capacity + 1, np.int64),
            np.empty((2, capacity)),
        )  # fmt: skip
        if domain.size > 1:
            self._is_short = size <= capacity
            self._first = domain.rank * each
            entries = min(size, capacity)
            self._ids = np.arange(entries) if self._is_short else np.zeros(entries, np.int64)
            self._counts = np.zeros(entries, np.int64)
            self._g = np.zeros((entries, hidden), values.dtype)

    def to_reduce(self):
        """Arrays whose sums over all ranks have the entries of all of them, for `merge`.

        A list of all tokens, or, where that is shorter, a list in which every rank has places of
        its own: at most as many rows as the whole mini-batch has tokens, whatever the alphabet.
        """
        if self.domain.size == 1:
            return []
        own, sums = slice(0, self.distinct), self.sums
        places = (
            sums.ids[own] if self._is_short else slice(self._first, self._first + self.distinct)
        )
        self._counts[:], self._g[:] = 0, 0
        self._counts[places], self._g[places] = sums.counts[own], sums.g[own]
        if self._is_short:
            return [self._counts, self._g]
        self._ids[:] = 0
        self._ids[places] = sums.ids[own]
        return [self._ids, self._counts, self._g]

    def merge(self, places):
        """Sums by token over all ranks, from what a reduction has summed, and their number."""
        self.places = places
        if self.domain.size > 1:
            self.distinct = token_weights.merge(self._ids, self._counts, self._g, self.sums)

    def to_move(self, k, damping, alpha):
        """The tokens' arguments of `fastadmm.kernels.recurrent.maps.move` in step k.

        Parameters
        ----------
        k : int
        damping, alpha : float
            Ridge, as a multiple of the mean frequency of a mini-batch's tokens, and weight of the
            past in the averaged iterate.
        """
        self._total += self.places
        self._distinct_total += self.distinct
        before, step = self._log_kept, math.log(max(alpha, TINY))
        self._log_kept += step
        ridge = damping * k / self._distinct_total
        return self.rows, self.sums, (self.distinct, float(self._total), ridge, before, step)

    def state(self):
        """What the next step depends on: arrays, and numbers of tokens so far."""
        rows = {f"token_{name}": getattr(self.rows, name) for name in KEPT}
        return rows | {
            "tokens": self._total, "distinct": self._distinct_total, "log_kept": self._log_kept
        }  # fmt: skip

    def restore(self, state):
        """Take up what `state` has given."""
        for name in KEPT:
            getattr(self.rows, name)[...] = state[f"token_{name}"]
        self._total, self._distinct_total = state["tokens"], state["distinct"]
        self._log_kept = state["log_kept"]

    def average(self):
        """The averaged iterate, (D, H)."""
        token_weights.catch_up(self.rows, self._log_kept, self._bounds)
        return self.rows.average


TINY = 1e-300
"""Stands for a memory of zero, of which there is no logarithm."""
