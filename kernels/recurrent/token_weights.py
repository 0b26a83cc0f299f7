"""The weights of token inputs in `condensed`: a row a token, touched only where it is seen.

The Gram of one-hot inputs is diagonal, the frequencies p of the tokens. Beside the Gram of the
dense inputs it is a block of its own, with a damping of its own, so that no matrix grows with the
alphabet, and a step costs what the mini-batch's tokens cost. The token d of a mini-batch, with
multiplier sum g_d, moves by

    U_d <- U_d - g_d / (E_d ρ),    E_d = p_d + damping / (mean number of distinct tokens)

Frequencies do not depend on the weights: they are counted over the whole run. The damping is
relative to the mean frequency of a mini-batch's tokens; relative to that of the alphabet, the step
would depend on tokens that never come. There is no momentum: it would move tokens of earlier
mini-batches.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from ..core.jit import jit
from ..core.rows import row

TINY_PENALTY = 1e-30
"""A penalty below this is rounding: no multiplier has reached the unit, and it stays."""


class TokenSums(NamedTuple):
    """Sums by token: entries of the distinct tokens come first, in the order of their first row."""

    ids: np.ndarray
    """(capacity,), int64: the token of an entry."""
    counts: np.ndarray
    """(capacity,), int64: its occurrences."""
    g: np.ndarray
    """(capacity, H): the sum of its rows."""
    slots: np.ndarray
    """(D,), int64: -1 between calls; the entry of a token within one."""
    order: np.ndarray
    """(capacity,), int64: rows sorted by entry."""
    starts: np.ndarray
    """(capacity + 1,), int64: where the entries' rows begin in ``order``."""
    scales: np.ndarray
    """(2, capacity), float64: see `visit`."""


class TokenRows(NamedTuple):
    """Weights of the tokens, and what their steps remember."""

    values: np.ndarray
    """U transposed, (D, H)."""
    average: np.ndarray
    """(D, H): the averaged iterate, up to the step in which the token was seen last."""
    counts: np.ndarray
    """(D,), int64: occurrences over the run."""
    log_kept: np.ndarray
    """(D,), float64: sum of log alpha, the averages' memories, over the steps up to that one."""
    lengths: np.ndarray
    """(H,), float64: workspace."""


@jit(internal=True)
def group(tokens, occurrences, sums):
    """Sort rows by token: fill all of ``sums`` but its ``g``.

    Parameters
    ----------
    tokens : ndarray, (rows,), integers in [0, D)
    occurrences : ndarray, (rows,), int64, or None
        What a row counts as; rows that count as 0 are left out. None: each as 1.
    sums : TokenSums

    Returns
    -------
    int
        The number of distinct tokens.
    """
    ids, counts, slots, order, starts = sums.ids, sums.counts, sums.slots, sums.order, sums.starts
    distinct = 0
    for i in range(len(tokens)):
        number = 1 if occurrences is None else occurrences[i]
        if number == 0:
            continue
        slot = slots[tokens[i]]
        if slot < 0:
            slot, distinct = distinct, distinct + 1
            slots[tokens[i]], ids[slot], counts[slot], starts[slot] = slot, tokens[i], 0, 0
        counts[slot] += number
        starts[slot] += 1
    total = 0
    for slot in range(distinct):
        total += starts[slot]
        starts[slot] = total
    starts[distinct] = total
    for i in range(len(tokens) - 1, -1, -1):  # backward: every start moves from end to begin
        if occurrences is None or occurrences[i] > 0:
            slot = slots[tokens[i]]
            starts[slot] -= 1
            order[starts[slot]] = i
    for slot in range(distinct):
        slots[ids[slot]] = -1
    return distinct


@jit(internal=True)
def sum_groups(rows, distinct, sums, share, shares):
    """Sum the rows of a share of the entries into ``sums.g``, in the order of the rows."""
    for slot in range(share * distinct // shares, (share + 1) * distinct // shares):
        values = sums.g[slot]
        first = row(rows, sums.order[sums.starts[slot]])
        for j in range(len(values)):
            values[j] = first[j]
        for place in range(sums.starts[slot] + 1, sums.starts[slot + 1]):
            addend = row(rows, sums.order[place])
            for j in range(len(values)):
                values[j] += addend[j]


@jit
def merge(ids, counts, g, sums):
    """Sums by token of entries in which a token may come several times; some may be empty.

    Parameters
    ----------
    ids, counts, g : ndarray, (n,), (n,) and (n, H)
        Entries like those of `TokenSums`; those that count 0 are left out.
    sums : TokenSums
        Of a capacity of at least n; overwritten.

    Returns
    -------
    int
        The number of distinct tokens.
    """
    distinct = group(ids, counts, sums)
    sum_groups(g, distinct, sums, 0, 1)
    return distinct


@jit(internal=True)
def visit(rows, sums, distinct, total, ridge, log_kept, log_alpha):
    """Count a mini-batch's tokens, and say what their rows are multiplied by.

    Parameters
    ----------
    rows : TokenRows
        Its ``counts`` and ``log_kept`` are updated.
    sums : TokenSums
        Its ``scales`` are overwritten: for each entry 1 / E, and the weight in the average of the
        steps in which the token stayed.
    distinct : int
        Entries of ``sums``.
    total : float
        Tokens of all mini-batches so far, this one included.
    ridge : float
        Added to the frequencies.
    log_kept, log_alpha : float
        Sum of the averages' log alpha over the steps before, and that of this step.
    """
    for e in range(distinct):
        token = sums.ids[e]
        rows.counts[token] += sums.counts[e]
        sums.scales[0, e] = 1 / (rows.counts[token] / total + ridge)
        sums.scales[1, e] = -math.expm1(log_kept - rows.log_kept[token])
        rows.log_kept[token] = log_kept + log_alpha


@jit(internal=True)
def add_squares(sums, distinct, squares, start, stop):
    """``squares_i <- sum_d g_di^2 / E_d`` of the units ``start:stop``."""
    own = squares[start:stop]
    own[:] = 0
    for e in range(distinct):
        inverse, g = sums.scales[0, e], sums.g[e, start:stop]
        for i in range(len(own)):
            own[i] += inverse * (float(g[i]) * float(g[i]))


@jit(internal=True)
def step(rows, sums, distinct, alpha, rho, start, stop):
    """Move the mini-batch's tokens by ``-g_di / (E_d ρ_i)``, and their averages.

    Parameters
    ----------
    rows, sums, distinct
        As of `visit`; the columns ``start:stop`` of ``rows.values`` and ``average`` are updated.
    alpha : float
        Weight of the past in the average.
    rho : ndarray, (H,), float64
        Units with a penalty below `TINY_PENALTY` stay.
    start, stop : int
    """
    real = rows.values.dtype.type
    keep, take = real(alpha), real(1 - alpha)
    lengths = rows.lengths[start:stop]
    for i in range(len(lengths)):
        lengths[i] = 1 / rho[start + i] if rho[start + i] >= TINY_PENALTY else 0.0
    for e in range(distinct):
        token, inverse, since = sums.ids[e], sums.scales[0, e], real(sums.scales[1, e])
        g, values = sums.g[e, start:stop], rows.values[token, start:stop]
        average = rows.average[token, start:stop]
        for i in range(len(g)):
            mean = average[i] + since * (values[i] - average[i])
            values[i] -= real(lengths[i] * inverse) * g[i]
            average[i] = keep * mean + take * values[i]


@jit(internal=True)
def _catch_up(rows, log_kept, start, stop):
    """`catch_up` of some tokens. Apart, since Numba drops stores to fields within a prange."""
    real = rows.values.dtype.type
    for token in range(start, stop):
        since = real(-math.expm1(log_kept - rows.log_kept[token]))
        rows.log_kept[token] = log_kept
        average, values = rows.average[token], rows.values[token]
        for i in range(len(values)):
            average[i] += since * (values[i] - average[i])


@jit(parallel=True)
def catch_up(rows, log_kept, bounds):
    """Bring the averages of all tokens up to the last step.

    Limited by memory: one pass over ``rows.values`` and ``rows.average``.

    Parameters
    ----------
    rows : TokenRows
        Its ``average`` and ``log_kept`` are updated.
    log_kept : float
        Sum of the averages' log alpha over all steps.
    bounds : ndarray, (chunks + 1,), int64
        Cut of the D tokens.
    """
    for chunk in prange(len(bounds) - 1):
        _catch_up(rows, log_kept, bounds[chunk], bounds[chunk + 1])
