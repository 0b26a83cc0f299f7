"""Sums over the rows that an affine map has seen: multipliers times rows, and the Gram.

For weights Θ (units, n) acting on rows z: ``g = Σ λᵀ z`` (units, n), and ``R = mean z zᵀ`` (n, n;
lower triangle only). Parts are summed chunk by chunk, and added in a fixed order.
"""

from numba import prange

from ..core.jit import jit
from ..core.rows import add_by_token, row
from ..core.tiles import gram as gram_of
from ..core.tiles import multiply_transposed


@jit(internal=True)
def _sum_part(rows, lambda_, with_gram, g, gram):
    """What some rows contribute to `dense_sums`."""
    z = rows[:, rows.shape[1] - g.shape[1] :]
    multiply_transposed(lambda_, z, g)
    if with_gram:
        gram_of(z, gram)


@jit(internal=True)
def add_parts(rows, with_gram, g_parts, gram_parts, g, gram, chunk):
    """A chunk's share of the units of ``g`` and ``gram`` in `dense_sums`, from all parts."""
    chunks = len(g_parts)
    _add_units(g_parts, 1.0, g, chunk, chunks)
    if with_gram:
        _add_units(gram_parts, 1.0 / max(len(rows), 1), gram, chunk, chunks)


@jit(parallel=True)
def dense_sums(rows, lambda_, with_gram, g_parts, gram_parts, bounds, g, gram):
    """``g <- λᵀ Z`` and the lower triangle of ``gram <- Zᵀ Z / rows``; Z: last n columns of rows.

    Limited by flops: rows (2 units n + n^2), the second term with the Gram only.

    Parameters
    ----------
    rows : ndarray, (r, n) or wider
    lambda_ : ndarray, (r, units)
    with_gram : bool
        False leaves ``gram`` alone.
    g_parts, gram_parts : ndarray, (chunks, units, n) and (chunks, n, n)
        Workspace.
    bounds : ndarray, (chunks + 1,), int64
        Cut of the rows.
    g : ndarray, (units, n); overwritten
    gram : ndarray, (n, n); overwritten
        Its upper triangle with numbers of no meaning.
    """
    for chunk in prange(len(bounds) - 1):
        own = slice(bounds[chunk], bounds[chunk + 1])
        _sum_part(rows[own], lambda_[own], with_gram, g_parts[chunk], gram_parts[chunk])
    for chunk in prange(len(bounds) - 1):
        add_parts(rows, with_gram, g_parts, gram_parts, g, gram, chunk)


@jit(internal=True)
def _add_units(parts, scale, total, share, shares):
    """Rows ``share, share + shares, ...`` of the scaled sum of parts, always in the same order."""
    factor = total.dtype.type(scale)
    for i in range(share, total.shape[0], shares):
        values, first = row(total, i), parts[0, i]
        for j in range(len(values)):
            values[j] = factor * first[j]
        for part in range(1, len(parts)):
            addend = parts[part, i]
            for j in range(len(values)):
                values[j] += factor * addend[j]


@jit(parallel=True)
def token_sums(tokens, rows, lambda_, with_gram, g_parts, cross_parts, bounds, g, gram):
    """The token part of `dense_sums`: inputs are one-hot rows [e_token; z], never formed.

    The Gram's block of the D tokens is diagonal, ``counts / rows``; its block of tokens and dense
    inputs sums the rows z of each token. The dense blocks are what `dense_sums` gives.

    Parameters
    ----------
    tokens : ndarray, (r,), integers in [0, D)
    rows : ndarray, (r, n)
    lambda_ : ndarray, (r, units)
    with_gram : bool
        False leaves ``gram`` alone.
    g_parts, cross_parts : ndarray, (chunks, D, units) and (chunks, D, n)
        Workspace.
    bounds : ndarray, (chunks + 1,), int64
        Cut of the rows.
    g : ndarray, (units, D + n); its first D columns are overwritten
    gram : ndarray, (D + n, D + n); the lower triangle of its first D columns is overwritten
    """
    for chunk in prange(len(bounds) - 1):
        own = slice(bounds[chunk], bounds[chunk + 1])
        token_part(
            tokens[own], rows[own], lambda_[own], with_gram, g_parts[chunk], cross_parts[chunk]
        )
    add_tokens(rows, with_gram, g_parts, cross_parts, g, gram)


@jit(internal=True)
def token_part(tokens, rows, lambda_, with_gram, g, cross):
    """What some rows contribute to `token_sums`."""
    _sum_by_token(tokens, lambda_, g)
    if with_gram:
        _sum_by_token(tokens, rows, cross)


@jit(internal=True)
def add_tokens(rows, with_gram, g_parts, cross_parts, g, gram):
    """All of ``g`` and ``gram`` in `token_sums`, from all parts."""
    width = g_parts.shape[1]
    for token in range(width):
        _add_column(g_parts, 1.0, token, g[:, token])
        if with_gram:
            gram[token, :width] = 0
            _add_column(cross_parts, 1.0 / max(len(rows), 1), token, gram[width:, token])
            # the first dense input is the constant one: its sum is the token's count
            gram[token, token] = gram[width, token]


@jit(internal=True)
def _sum_by_token(tokens, rows, totals):
    totals[:] = 0
    add_by_token(tokens, rows, 1.0, totals)


@jit(internal=True)
def _add_column(parts, scale, token, column):
    """``column <- scale`` times the sum over parts of the token's totals, in a fixed order."""
    factor = parts.dtype.type(scale)
    for i in range(len(column)):
        total = parts[0, token, i]
        for part in range(1, len(parts)):
            total += parts[part, token, i]
        column[i] = factor * total
