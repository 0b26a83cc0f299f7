"""Systems ``diag(d) + sign VᵀV`` of k rows V and n columns, k < n, by Woodbury's identity.

    (D + s VᵀV)⁻¹ = D⁻¹ - s D⁻¹ Vᵀ (I + s V D⁻¹ Vᵀ)⁻¹ V D⁻¹,    s = 1 or -1

Only the k by k matrix in the middle is factored. It is positive definite where the system is.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import Reals, array, factored, rows_of, solution
from ..core.blas import gemm, potrf, potrs, syrk_rows
from ..core.jit import compiled_as, jit
from ..core.kinds import NUMBER, packed, packed_written, read


class LowRankFactor(NamedTuple):
    """What `factor_low_rank` returns."""

    diagonal: np.ndarray
    """d (n,), not copied where it was a C-contiguous array of floats: leave it unchanged."""
    scaled: np.ndarray
    """``V D⁻¹`` (k, n)."""
    sign: float
    factor: np.ndarray
    """Lower Cholesky factor (k, k) of ``I + sign V D⁻¹ Vᵀ``."""


@jit
def _factor_low_rank(
    diagonal: read("n"),
    rows: read("k", "n"),
    sign: NUMBER,
    scaled: packed_written("k", "n"),
    factor: packed_written("k", "k"),
):
    """Kernel of `factor_low_rank`.

    Parameters
    ----------
    diagonal : ndarray, (n,)
        Positive.
    rows : ndarray, (k, n)
    sign : float
        1 or -1.
    scaled : ndarray, (k, n), may be ``rows``; overwritten with ``V D⁻¹``
    factor : ndarray, (k, k); its lower triangle is overwritten

    Returns
    -------
    int
        0, or the order of the leading minor of ``I + sign V D⁻¹ Vᵀ`` that is not positive definite.
    """
    for p in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            scaled[p, j] = rows[p, j] / math.sqrt(diagonal[j])
    syrk_rows(sign, scaled, 0.0, factor)
    for p in range(scaled.shape[0]):
        factor[p, p] += factor.dtype.type(1)
        for j in range(scaled.shape[1]):
            scaled[p, j] /= math.sqrt(diagonal[j])
    return potrf(factor)


@jit
def _solve_low_rank(
    diagonal: read("n"),
    scaled: packed("k", "n"),
    sign: NUMBER,
    factor: packed("k", "k"),
    rhs: packed("m", "n"),
    work: packed_written("m", "k"),
    out: packed_written("m", "n"),
):
    """Kernel of `solve_low_rank`.

    Parameters
    ----------
    diagonal, scaled, sign, factor
        From `_factor_low_rank`.
    rhs : ndarray, (m, n)
    work : ndarray, (m, k)
        Workspace.
    out : ndarray, (m, n); overwritten, may be ``rhs``
    """
    gemm(1.0, rhs, False, scaled, True, 0.0, work)
    potrs(factor, work)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = rhs[i, j] / diagonal[j]
    gemm(-sign, work, False, scaled, False, 1.0, out)


@compiled_as(_factor_low_rank)
def factor_low_rank(diagonal: ArrayLike, rows: ArrayLike, sign: int = 1) -> LowRankFactor:
    """Factor of ``diag(d) + sign VᵀV`` for a few rows V.

    `factor_cholesky` of the dense matrix is cheaper for k > n / 2. Accuracy: that of the condition
    numbers of D and of the k by k matrix, so keep the ratio of the largest to the smallest entry of
    d moderate.

    In compiled code ``factor_low_rank(diagonal, rows, sign, scaled, factor)`` with diagonal (n,);
    rows, scaled (k, n); factor (k, k). It returns 0, or the order of the leading minor that is not
    positive definite.

    Cost: n k^2 + k^3 / 3 flops (SYRK, POTRF).

    Parameters
    ----------
    diagonal : array_like, (n,)
        d, positive; float32 or float64; integers become float64. Sets the dtype.
    rows : array_like, (k, n) or (n,)
        V.
    sign : {1, -1}

    Returns
    -------
    LowRankFactor
        For `solve_low_rank`.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where the sum is not positive definite, which needs ``sign`` -1.
    TypeError, ValueError
        For another dtype or shape, a ``diagonal`` that is not positive, or another sign.
    """
    diagonal = array("diagonal", diagonal, ("n",))
    rows, _ = rows_of("rows", rows, len(diagonal), diagonal)
    if (diagonal <= 0).any():
        wrong = np.flatnonzero(diagonal <= 0)[0]
        raise ValueError(f"diagonal[{wrong}] is {diagonal[wrong]}: expected positive numbers")
    if sign not in (1, -1):
        raise ValueError(f"sign is {sign}: expected 1 or -1")
    scaled, factor = np.empty_like(rows), np.zeros((len(rows),) * 2, rows.dtype)
    if _factor_low_rank(diagonal, rows, float(sign), scaled, factor):
        raise np.linalg.LinAlgError("diag(diagonal) - rowsᵀ rows is not positive definite")
    return LowRankFactor(diagonal, scaled, float(sign), factor)


@compiled_as(_solve_low_rank)
def solve_low_rank(system: LowRankFactor, rhs: ArrayLike, *, out: Reals | None = None) -> Reals:
    """Solve ``(diag(d) + sign VᵀV) x = r`` for every row r of ``rhs``.

    In compiled code ``solve_low_rank(diagonal, scaled, sign, factor, rhs, work, out)`` with
    diagonal (n,); scaled (k, n); factor (k, k); rhs, out (m, n); work (m, k).

    Cost: 4 n k + 2 k^2 flops per row.

    Parameters
    ----------
    system : LowRankFactor
        From `factor_low_rank`; sets the dtype.
    rhs : array_like, (m, n) or (n,)
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
    diagonal, scaled, sign, factor = factored("system", system, LowRankFactor)
    sides, shape = rows_of("rhs", rhs, len(diagonal), diagonal)
    flat, out = solution(out, rhs, sides, shape, system=diagonal, scaled=scaled, factor=factor)
    work = np.empty((len(sides), len(factor)), diagonal.dtype)
    _solve_low_rank(diagonal, scaled, sign, factor, sides, work, flat)
    return out
