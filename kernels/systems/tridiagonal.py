"""Tridiagonal and block-tridiagonal symmetric positive definite systems: factor once, solve many.

Right-hand sides are rows; all of them are solved in one call.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import Reals, array, definite, factored, rows_of, solution
from ..core.blas import gemm, potrf, syrk_rows, trsm
from ..core.jit import compiled_as, jit
from ..core.kinds import packed, packed_written, read, written
from .cholesky import copy_rows

LANES = 16
"""Right-hand sides that go through the recurrence side by side, to fill vector registers."""
FEWEST = 8
"""Fewer than this are faster one by one."""


class TridiagonalFactor(NamedTuple):
    """``L D Lᵀ``, what `factor_tridiagonal` returns."""

    pivots: np.ndarray
    """Diagonal of D (n,)."""
    multipliers: np.ndarray
    """Subdiagonal of L (n - 1,); its diagonal is one."""


class BlockTridiagonalFactor(NamedTuple):
    """``L Lᵀ``, what `factor_block_tridiagonal` returns."""

    diagonal: np.ndarray
    """Lower triangular diagonal blocks of L, (blocks, b, b)."""
    below: np.ndarray
    """Blocks of L under the diagonal, (blocks - 1, b, b)."""


@jit
def _factor_tridiagonal(
    diagonal: read("n"),
    below: read("max(n - 1, 0)"),
    pivots: written("n"),
    multipliers: written("max(n - 1, 0)"),
):
    """Kernel of `factor_tridiagonal`.

    Parameters
    ----------
    diagonal : ndarray, (n,)
    below : ndarray, (n - 1,), or (0,) for n = 0
    pivots : ndarray, (n,), may be ``diagonal``; overwritten
    multipliers : ndarray, (n - 1,), may be ``below``; overwritten

    Returns
    -------
    int
        0, or the order of the leading minor that is not positive definite.
    """
    for i in range(len(diagonal)):
        pivot = diagonal[i]
        if i > 0:
            off = below[i - 1]
            multipliers[i - 1] = off / pivots[i - 1]
            pivot -= multipliers[i - 1] * off
        pivots[i] = pivot
        if pivot <= 0:
            return i + 1
    return 0


@jit
def _solve_lanes(pivots, multipliers, rhs, first, lanes, work, out):
    """Solve for rows ``first`` to ``first + lanes``; work (n, LANES) holds them as columns."""
    n = len(pivots)
    for p in range(lanes):
        work[0, p] = rhs[first + p, 0]
    for i in range(1, n):
        multiplier = multipliers[i - 1]
        for p in range(lanes):
            work[i, p] = rhs[first + p, i] - multiplier * work[i - 1, p]
    for p in range(lanes):
        work[n - 1, p] /= pivots[n - 1]
        out[first + p, n - 1] = work[n - 1, p]
    for i in range(n - 2, -1, -1):
        pivot, multiplier = pivots[i], multipliers[i]
        for p in range(lanes):
            work[i, p] = work[i, p] / pivot - multiplier * work[i + 1, p]
            out[first + p, i] = work[i, p]


@jit
def _solve_one(pivots, multipliers, b, x):
    """Solve for one right-hand side, which is a chain of dependent operations."""
    n = len(x)
    x[0] = b[0]
    for i in range(1, n):
        x[i] = b[i] - multipliers[i - 1] * x[i - 1]
    x[n - 1] /= pivots[n - 1]
    for i in range(n - 2, -1, -1):
        x[i] = x[i] / pivots[i] - multipliers[i] * x[i + 1]


@jit
def _solve_tridiagonal(
    pivots: read("n"),
    multipliers: read("max(n - 1, 0)"),
    rhs: read("m", "n"),
    work: written("n", "16"),
    out: written("m", "n"),
):
    """Kernel of `solve_tridiagonal`.

    Parameters
    ----------
    pivots, multipliers
        From `_factor_tridiagonal`.
    rhs : ndarray, (m, n)
    work : ndarray, (n, 16)
        Workspace.
    out : ndarray, (m, n); overwritten, may be ``rhs``
    """
    if len(pivots) == 0:
        return
    full = len(rhs) // LANES * LANES
    for first in range(0, full, LANES):
        _solve_lanes(pivots, multipliers, rhs, first, LANES, work, out)
    if len(rhs) - full >= FEWEST:
        _solve_lanes(pivots, multipliers, rhs, full, len(rhs) - full, work, out)
    else:
        for i in range(full, len(rhs)):
            _solve_one(pivots, multipliers, rhs[i], out[i])


@jit
def _factor_block_tridiagonal(
    diagonal: read("blocks", "b", "b"),
    below: read("max(blocks - 1, 0)", "b", "b"),
    pivots: packed_written("blocks", "b", "b"),
    multipliers: packed_written("max(blocks - 1, 0)", "b", "b"),
):
    """Kernel of `factor_block_tridiagonal`.

    Parameters
    ----------
    diagonal : ndarray, (blocks, b, b)
    below : ndarray, (blocks - 1, b, b)
        Block t is at row t + 1, column t.
    pivots : ndarray, (blocks, b, b), may be ``diagonal``; overwritten
        The factor is in the lower triangles.
    multipliers : ndarray, (blocks - 1, b, b), may be ``below``; overwritten

    Returns
    -------
    int
        0, or the order of the leading minor that is not positive definite.
    """
    for t in range(len(diagonal)):
        copy_rows(diagonal[t], pivots[t])
        if t > 0:
            copy_rows(below[t - 1], multipliers[t - 1])
            trsm(pivots[t - 1], False, multipliers[t - 1])
            syrk_rows(-1.0, multipliers[t - 1], 1.0, pivots[t])
        status = potrf(pivots[t])
        if status != 0:
            return t * diagonal.shape[1] + status
    return 0


@jit
def _solve_block_tridiagonal(
    diagonal: packed("blocks", "b", "b"),
    below: packed("max(blocks - 1, 0)", "b", "b"),
    rhs: read("m", "blocks * b"),
    out: packed_written("m", "blocks * b"),
):
    """Kernel of `solve_block_tridiagonal`.

    Parameters
    ----------
    diagonal, below
        From `_factor_block_tridiagonal`.
    rhs : ndarray, (m, blocks * b)
    out : ndarray, (m, blocks * b); overwritten, may be ``rhs``
    """
    copy_rows(rhs, out)
    blocks, b = diagonal.shape[:2]
    for t in range(blocks):
        here = out[:, t * b : (t + 1) * b]
        if t > 0:
            gemm(-1.0, out[:, (t - 1) * b : t * b], False, below[t - 1], True, 1.0, here)
        trsm(diagonal[t], False, here)
    for t in range(blocks - 1, -1, -1):
        here = out[:, t * b : (t + 1) * b]
        if t < blocks - 1:
            gemm(-1.0, out[:, (t + 1) * b : (t + 2) * b], False, below[t], False, 1.0, here)
        trsm(diagonal[t], True, here)


@compiled_as(_factor_tridiagonal)
def factor_tridiagonal(diagonal: ArrayLike, below: ArrayLike) -> TridiagonalFactor:
    """Factor ``L D Lᵀ`` of the symmetric tridiagonal matrix with these diagonals.

    In compiled code ``factor_tridiagonal(diagonal, below, pivots, multipliers)`` with diagonal,
    pivots (n,); below, multipliers (n - 1,). It returns 0, or the order of the leading minor that
    is not positive definite.

    Cost: 3 n operations in a chain.

    Parameters
    ----------
    diagonal : array_like, (n,)
        float32 or float64; integers become float64. Sets the dtype.
    below : array_like, (n - 1,)
        Entry i is at row i + 1, column i, and above the diagonal too.

    Returns
    -------
    TridiagonalFactor
        For `solve_tridiagonal`.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where the matrix is not positive definite.
    TypeError, ValueError
        For another dtype or shape.
    """
    diagonal = array("diagonal", diagonal, ("n",))
    below = array("below", below, (max(len(diagonal) - 1, 0),), diagonal)
    system = TridiagonalFactor(np.empty_like(diagonal), np.empty_like(below))
    definite(_factor_tridiagonal(diagonal, below, *system), "the tridiagonal matrix")
    return system


@compiled_as(_solve_tridiagonal)
def solve_tridiagonal(
    system: TridiagonalFactor, rhs: ArrayLike, *, out: Reals | None = None
) -> Reals:
    """Solve the tridiagonal system for every row of ``rhs``.

    In compiled code ``solve_tridiagonal(pivots, multipliers, rhs, work, out)`` with pivots (n,);
    multipliers (n - 1,); rhs, out (m, n); work (n, 16).

    Cost: 5 n flops per row; sixteen rows are solved side by side.

    Parameters
    ----------
    system : TridiagonalFactor
        From `factor_tridiagonal`; sets the dtype.
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
    pivots, multipliers = factored("system", system, TridiagonalFactor)
    sides, shape = rows_of("rhs", rhs, len(pivots), pivots)
    flat, out = solution(out, rhs, sides, shape, system=pivots, multipliers=multipliers)
    work = np.empty((len(pivots), LANES), pivots.dtype)
    _solve_tridiagonal(pivots, multipliers, sides, work, flat)
    return out


@compiled_as(_factor_block_tridiagonal)
def factor_block_tridiagonal(diagonal: ArrayLike, below: ArrayLike) -> BlockTridiagonalFactor:
    """Cholesky factor of the symmetric block-tridiagonal matrix with these blocks.

    In compiled code ``factor_block_tridiagonal(diagonal, below, pivots, multipliers)`` with
    diagonal, pivots (blocks, b, b); below, multipliers (blocks - 1, b, b). It returns 0, or the
    order of the leading minor that is not positive definite.

    Cost: 7/3 b^3 flops per block (POTRF, TRSM, SYRK).

    Parameters
    ----------
    diagonal : array_like, (blocks, b, b)
        Symmetric; only the lower triangles are read. float32 or float64; integers become float64.
        Sets the dtype.
    below : array_like, (blocks - 1, b, b)
        Block t is at block row t + 1, column t; its transpose is above the diagonal.

    Returns
    -------
    BlockTridiagonalFactor
        For `solve_block_tridiagonal`.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where the matrix is not positive definite.
    TypeError, ValueError
        For another dtype or shape.
    """
    diagonal = np.tril(array("diagonal", diagonal, ("blocks", "b", "b")))
    shape = (max(len(diagonal) - 1, 0), *diagonal.shape[1:])
    below = array("below", below, shape, diagonal)
    system = BlockTridiagonalFactor(diagonal, np.empty_like(below))
    definite(_factor_block_tridiagonal(diagonal, below, *system), "the block-tridiagonal matrix")
    return system


@compiled_as(_solve_block_tridiagonal)
def solve_block_tridiagonal(
    system: BlockTridiagonalFactor, rhs: ArrayLike, *, out: Reals | None = None
) -> Reals:
    """Solve the block-tridiagonal system for every row of ``rhs``.

    In compiled code ``solve_block_tridiagonal(diagonal, below, rhs, out)`` with diagonal
    (blocks, b, b); below (blocks - 1, b, b); rhs, out (m, blocks b).

    Cost: 6 b^2 flops per block and row (TRSM, GEMM).

    Parameters
    ----------
    system : BlockTridiagonalFactor
        From `factor_block_tridiagonal`; sets the dtype.
    rhs : array_like, (m, blocks * b) or (blocks * b,)
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
    diagonal, below = factored("system", system, BlockTridiagonalFactor)
    blocks, b = diagonal.shape[:2]
    sides, shape = rows_of("rhs", rhs, blocks * b, diagonal)
    flat, out = solution(out, rhs, sides, shape, system=diagonal, below=below)
    _solve_block_tridiagonal(diagonal, below, sides, flat)
    return out
