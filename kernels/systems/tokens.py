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
from numpy.typing import ArrayLike

from ..core.arguments import Reals, array, count, definite, factored, number, rows_of, solution
from ..core.blas import gemm, potrf, potrs, syrk
from ..core.jit import compiled_as, jit
from ..core.kinds import INTEGERS, NUMBER, packed, packed_written, read, written
from ..core.rows import add_by_token, row
from .cholesky import copy_rows
from .grams import BLOCK


class TokenFactor(NamedTuple):
    """What `factor_tokens` returns."""

    diagonal: np.ndarray
    """E (D,): counts + delta."""
    means: np.ndarray
    """``μ = E⁻¹ N`` (D, n)."""
    factor: np.ndarray
    """Lower Cholesky factor (n, n) of S."""


class TokenGram(NamedTuple):
    """What `token_gram` returns: the Gram of the rows [e_token; z] without its diagonal block."""

    counts: np.ndarray
    """c (D,)."""
    sums: np.ndarray
    """N (D, n)."""
    gram: np.ndarray
    """``ZᵀZ`` (n, n), its lower triangle."""


@jit
def _keep(array, keep):
    """``array <- keep array``; with 0 the old content does not matter."""
    if keep == 0:
        array[:] = 0
    else:
        array *= array.dtype.type(keep)


@jit
def _sum_by_token(tokens, rows, keep, scale, counts, sums):
    """Counts (D,) of the tokens, and the sums (D, n) of their rows, as in `_token_gram`."""
    _keep(counts, keep)
    _keep(sums, keep)
    factor = counts.dtype.type(scale)
    for token in tokens:
        counts[token] += factor
    add_by_token(tokens, rows, scale, sums)


@jit
def _token_gram(
    tokens: read("m", dtype=INTEGERS),
    rows: packed("m", "n"),
    keep: NUMBER,
    scale: NUMBER,
    counts: written("d"),
    sums: written("d", "n"),
    gram: packed_written("n", "n"),
):
    """Kernel of `token_gram`.

    Parameters
    ----------
    tokens : ndarray, (m,), integers in [0, D), which is not checked
    rows : ndarray, (m, n)
    keep, scale : float
    counts : ndarray, (D,); overwritten
    sums : ndarray, (D, n); overwritten
    gram : ndarray, (n, n); its lower triangle is overwritten
    """
    _sum_by_token(tokens, rows, keep, scale, counts, sums)
    syrk(scale, rows, keep, gram)


@jit
def _factor_token_gram(
    counts: read("d"),
    sums: read("d", "n"),
    gram: read("n", "n"),
    delta: NUMBER,
    diagonal: written("d"),
    means: packed_written("d", "n"),
    factor: packed_written("n", "n"),
):
    """Kernel of `factor_token_gram`.

    Parameters
    ----------
    counts, sums, gram
        From `_token_gram`; the second and the third may be ``means`` and ``factor``.
    delta : float
    diagonal, means, factor
        As in `_factor_tokens`; overwritten.

    Returns
    -------
    int
        As `_factor_tokens`.
    """
    for token in range(len(diagonal)):
        diagonal[token] = counts[token] + diagonal.dtype.type(delta)
        if diagonal[token] <= 0:
            return token + 1
        for j in range(means.shape[1]):
            means[token, j] = sums[token, j] / math.sqrt(diagonal[token])
    for i in range(len(factor)):
        for j in range(i + 1):
            factor[i, j] = gram[i, j]
        factor[i, i] += factor.dtype.type(delta)
    syrk(-1.0, means, 1.0, factor)
    for token in range(len(diagonal)):
        for j in range(means.shape[1]):
            means[token, j] /= math.sqrt(diagonal[token])
    status = potrf(factor)
    return status if status == 0 else len(diagonal) + status


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
def _factor_tokens(
    tokens: read("m", dtype=INTEGERS),
    rows: read("m", "n"),
    delta: NUMBER,
    work: packed_written("block", "n"),
    diagonal: written("d"),
    means: written("d", "n"),
    factor: packed_written("n", "n"),
):
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
    _sum_by_token(tokens, rows, 0.0, 1.0, diagonal, means)
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
def _solve_tokens(
    diagonal: read("d"),
    means: packed("d", "n"),
    factor: packed("n", "n"),
    rhs: read("m", "d + n"),
    out: packed_written("m", "d + n"),
):
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


def _checked_tokens(tokens, n_tokens, m):
    tokens = np.asarray(tokens)
    if tokens.dtype.kind not in "iu":
        raise TypeError(f"tokens has dtype {tokens.dtype}: expected integers")
    if tokens.shape != (m,):
        raise ValueError(f"tokens has shape {tokens.shape}: expected ({m},), one for each row")
    outside = np.flatnonzero((tokens < 0) | (tokens >= n_tokens))
    if len(outside):
        i = outside[0]
        raise ValueError(f"tokens[{i}] is {tokens[i]}: expected integers in [0, {n_tokens})")
    return np.ascontiguousarray(tokens, dtype=np.int64)


@compiled_as(_factor_tokens)
def factor_tokens(tokens: ArrayLike, rows: ArrayLike, n_tokens: int, delta: float) -> TokenFactor:
    """Factor of ``XᵀX + delta I`` where row i of X is [e_tokens[i]; rows[i]].

    In compiled code ``factor_tokens(tokens, rows, delta, work, diagonal, means, factor)`` with
    tokens (m,); rows (m, n); work (block, n) for any block >= 1; diagonal (d,); means (d, n);
    factor (n, n). It returns 0, or the order of the leading minor that is not positive definite.

    Cost: m n^2 + n^3 / 3 flops and memory for D n numbers: nothing grows with D^2.

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
    n_tokens = count("n_tokens", n_tokens)
    tokens = _checked_tokens(tokens, n_tokens, len(rows))
    delta = number("delta", delta, 0, above=True)
    n = rows.shape[1]
    work = np.empty((max(1, min(BLOCK, len(rows))), n), rows.dtype)
    diagonal = np.empty(n_tokens, rows.dtype)
    means, factor = np.empty((n_tokens, n), rows.dtype), np.zeros((n, n), rows.dtype)
    status = _factor_tokens(tokens, rows, delta, work, diagonal, means, factor)
    definite(status, "the Gram of tokens and rows + delta I")
    return TokenFactor(diagonal, means, factor)


@compiled_as(_token_gram)
def token_gram(
    tokens: ArrayLike,
    rows: ArrayLike,
    n_tokens: int,
    *,
    keep: float = 0.0,
    scale: float = 1.0,
    out: TokenGram | None = None,
) -> TokenGram:
    """``out <- keep out + scale XᵀX`` where row i of X is [e_tokens[i]; rows[i]].

    The streaming and the averaged sum of batches as with `gram`.

    In compiled code ``token_gram(tokens, rows, keep, scale, counts, sums, gram)`` with tokens (m,);
    rows (m, n); counts (d,); sums (d, n); gram (n, n).

    Cost: m n^2 flops (SYRK), and D n where ``keep`` is not 1.

    Parameters
    ----------
    tokens, rows, n_tokens
        As in `factor_tokens`.
    keep : float
        Non-negative.
    scale : float
    out : TokenGram, optional
        From an earlier call; updated.

    Returns
    -------
    TokenGram
        ``out``, or a new one: for `factor_token_gram`.

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape, a token out of range, or a number outside its domain.
    """
    rows = array("rows", rows, ("m", "n"))
    n_tokens, n = count("n_tokens", n_tokens), rows.shape[1]
    tokens = _checked_tokens(tokens, n_tokens, len(rows))
    keep, scale = number("keep", keep, 0), number("scale", scale)
    if out is None:
        if keep != 0:
            raise ValueError(f"keep is {keep:g} without out: expected the sums to be kept")
        shapes = (n_tokens,), (n_tokens, n), (n, n)
        out = TokenGram(*(np.zeros(shape, rows.dtype) for shape in shapes))
    counts, sums, gram = factored("out", out, TokenGram)
    if gram.dtype != rows.dtype or sums.shape != (n_tokens, n):
        raise ValueError(
            f"out is {gram.dtype} of {len(counts)} tokens and {len(gram)} inputs: "
            f"expected {rows.dtype} of {n_tokens} and {n}"
        )
    _token_gram(tokens, rows, keep, scale, counts, sums, gram)
    return out


@compiled_as(_factor_token_gram)
def factor_token_gram(system: TokenGram, delta: float) -> TokenFactor:
    """Factor of ``XᵀX + delta I`` from accumulated sums.

    Here S is a difference: its error is that of rounding in ``ZᵀZ``,
    so let ``delta`` be well above the dtype's epsilon times the largest count. `factor_tokens`,
    from the rows themselves, has no such limit.

    In compiled code ``factor_token_gram(counts, sums, gram, delta, diagonal, means, factor)`` with
    counts, diagonal (d,); sums, means (d, n); gram, factor (n, n). It returns 0, or the order of
    the leading minor that is not positive definite.

    Cost: D n^2 + n^3 / 3 flops (SYRK, POTRF).

    Parameters
    ----------
    system : TokenGram
        From `token_gram`; sets the dtype, and stays as it is.
    delta : float
        Positive.

    Returns
    -------
    TokenFactor
        For `solve_tokens`.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where ``delta`` is lost in the rounding of the Gram.
    TypeError, ValueError
        For another system, or a ``delta`` that is not positive.
    """
    counts, sums, gram = factored("system", system, TokenGram)
    delta = number("delta", delta, 0, above=True)
    result = TokenFactor(np.empty_like(counts), np.empty_like(sums), np.zeros_like(gram))
    status = _factor_token_gram(counts, sums, gram, delta, *result)
    definite(status, "the Gram of tokens and rows + delta I")
    return result


@compiled_as(_solve_tokens)
def solve_tokens(system: TokenFactor, rhs: ArrayLike, *, out: Reals | None = None) -> Reals:
    """Solve ``(XᵀX + delta I) x = r`` for every row r of ``rhs``.

    In compiled code ``solve_tokens(diagonal, means, factor, rhs, out)`` with diagonal (d,); means
    (d, n); factor (n, n); rhs, out (m, d + n).

    Cost: 4 D n + 2 n^2 flops per row.

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
