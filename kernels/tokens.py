"""Ridge systems of inputs that are a token and a dense vector: one-hot rows [e_token; z].

With counts c of the D tokens, ``N_t`` the sum of the rows z of token t, and E = diag(c) + delta I:

    [ E    N            ] [x_token]   [p]      S x_dense = q - Nᵀ E⁻¹ p,   E x_token = p - N x_dense
    [ Nᵀ   ZᵀZ + delta I] [x_dense] = [q],     S = ZᵀZ + delta I - Nᵀ E⁻¹ N

The token block stays a vector, and nothing of size D times D exists.

S is not computed as that difference, which cancels where delta is small beside the counts, but as a
sum of squares with the same value: of rows taken relative to a point ``ν_t`` of their token,

    S = delta I + Σ_i (z_i - ν_t)(z_i - ν_t)ᵀ,    ν_t = μ_t / (1 + sqrt(delta / E_t)),   μ = E⁻¹ N.
"""

import math
from typing import NamedTuple

import numpy as np

from .blas import gemm, potrf, potrs, syrk
from .cholesky import copy_rows
from .grams import BLOCK
from .jit import compiled_as, jit
from .operands import array, definite, factored, number, rows_of, solution
from .rows import row


class TokenFactor(NamedTuple):
    """What `factor_tokens` returns."""

    diagonal: np.ndarray
    """E (D,): counts + delta."""
    means: np.ndarray
    """``μ = E⁻¹ N`` (D, n)."""
    factor: np.ndarray
    """Lower Cholesky factor (n, n) of S."""


@jit
def _sum_by_token(tokens, rows, counts, sums):
    """Counts (D,) of the tokens, and the sum (D, n) of the rows of each."""
    counts[:] = 0
    sums[:] = 0
    for i in range(len(tokens)):
        token = tokens[i]
        counts[token] += counts.dtype.type(1)
        for j in range(rows.shape[1]):
            sums[token, j] += rows[i, j]


@jit
def _add_centred_gram(tokens, rows, delta, work, diagonal, means, gram):
    """Lower triangle of ``gram += Σ_i (z_i - ν_t)(z_i - ν_t)ᵀ``."""
    one, delta = diagonal.dtype.type(1), diagonal.dtype.type(delta)
    for start in range(0, len(rows), len(work)):
        block = work[: min(len(work), len(rows) - start)]
        for i in range(len(block)):
            token = tokens[start + i]
            factor = one / (one + math.sqrt(delta / diagonal[token]))
            for j in range(block.shape[1]):
                block[i, j] = rows[start + i, j] - factor * means[token, j]
        syrk(1.0, block, 1.0, gram)


@jit
def _factor_tokens(tokens, rows, delta, work, diagonal, means, factor):
    """Kernel of `factor_tokens`.

    Parameters
    ----------
    tokens : ndarray, (m,), integers in [0, D), which is not checked
    rows : ndarray, (m, n)
    delta : float
    work : ndarray, (block, n) with block >= 1
        Workspace.
    diagonal : ndarray, (D,); overwritten with E
    means : ndarray, (D, n); overwritten with μ
    factor : ndarray, (n, n); its lower triangle is overwritten

    Returns
    -------
    int
        0, or the order of the leading minor of the whole system that is not positive definite.
    """
    _sum_by_token(tokens, rows, diagonal, means)
    for token in range(len(diagonal)):
        diagonal[token] += diagonal.dtype.type(delta)
        if diagonal[token] <= 0:
            return token + 1
        for j in range(means.shape[1]):
            means[token, j] /= diagonal[token]
    for i in range(len(factor)):
        factor[i, : i + 1] = 0
        factor[i, i] = delta
    _add_centred_gram(tokens, rows, delta, work, diagonal, means, factor)
    status = potrf(factor)
    return status if status == 0 else len(diagonal) + status


@jit
def _solve_tokens(diagonal, means, factor, rhs, out):
    """Kernel of `solve_tokens`.

    Parameters
    ----------
    diagonal, means, factor
        From `_factor_tokens`.
    rhs : ndarray, (m, D + n)
    out : ndarray, (m, D + n); overwritten, may be ``rhs``
    """
    size = len(diagonal)
    copy_rows(rhs, out)
    by_token, dense = out[:, :size], out[:, size:]
    gemm(-1.0, by_token, False, means, False, 1.0, dense)
    potrs(factor, dense)
    for i in range(len(out)):
        values = row(out, i)
        for token in range(size):
            values[token] /= diagonal[token]
    gemm(-1.0, dense, False, means, True, 1.0, by_token)


def _checked_tokens(tokens, n_tokens, count):
    tokens = np.asarray(tokens)
    if tokens.dtype.kind not in "iu":
        raise TypeError(f"tokens has dtype {tokens.dtype}: expected integers")
    if tokens.shape != (count,):
        raise ValueError(f"tokens has shape {tokens.shape}: expected ({count},), one for each row")
    outside = np.flatnonzero((tokens < 0) | (tokens >= n_tokens))
    if len(outside):
        i = outside[0]
        raise ValueError(f"tokens[{i}] is {tokens[i]}: expected integers in [0, {n_tokens})")
    return np.ascontiguousarray(tokens, dtype=np.int64)


@compiled_as(_factor_tokens)
def factor_tokens(tokens, rows, n_tokens, delta):
    """Factor of ``XᵀX + delta I`` where row i of X is [e_tokens[i]; rows[i]].

    Costs m n^2 + n^3 / 3 flops and memory for D n numbers: nothing grows with D^2.

    Parameters
    ----------
    tokens : array_like, (m,), integers in [0, n_tokens)
    rows : array_like, (m, n)
        float32 or float64; integers become float64. Sets the dtype.
    n_tokens : int
        D.
    delta : float
        Positive. For a system of means over the rows scale it by m, and the right-hand sides too.

    Returns
    -------
    TokenFactor
        For `solve_tokens`.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where ``delta`` is lost in the rounding of the Gram.
    TypeError, ValueError
        For another dtype or shape, a token out of range, or a ``delta`` that is not positive.
    """
    rows = array("rows", rows, ("m", "n"))
    n_tokens = int(number("n_tokens", n_tokens, 0))
    tokens = _checked_tokens(tokens, n_tokens, len(rows))
    delta = number("delta", delta, 0, above=True)
    n = rows.shape[1]
    work = np.empty((max(1, min(BLOCK, len(rows))), n), rows.dtype)
    diagonal = np.empty(n_tokens, rows.dtype)
    means, factor = np.empty((n_tokens, n), rows.dtype), np.zeros((n, n), rows.dtype)
    status = _factor_tokens(tokens, rows, delta, work, diagonal, means, factor)
    definite(status, "the Gram of tokens and rows + delta I")
    return TokenFactor(diagonal, means, factor)


@compiled_as(_solve_tokens)
def solve_tokens(system, rhs, out=None):
    """Solve ``(XᵀX + delta I) x = r`` for every row r of ``rhs``.

    Costs 4 D n + 2 n^2 flops per row.

    Parameters
    ----------
    system : TokenFactor
        From `factor_tokens`; sets the dtype.
    rhs : array_like, (m, D + n) or (D + n,)
        The part of the tokens comes first.
    out : ndarray, the shape of ``rhs``, optional
        C-contiguous, of the dtype of the system; may be ``rhs`` itself.

    Returns
    -------
    ndarray, the shape of ``rhs``

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape.
    """
    diagonal, means, factor = factored("system", system, TokenFactor)
    sides, shape = rows_of("rhs", rhs, len(diagonal) + len(factor), factor)
    flat, out = solution(out, rhs, sides, shape, system=diagonal, means=means, factor=factor)
    _solve_tokens(diagonal, means, factor, sides, flat)
    return out
