"""Ridge systems ``(AᵀA + delta I) x = r`` by Cholesky of the smaller of the two Grams.

With m rows and n columns, m < n, the matrix inversion lemma

    (AᵀA + delta I)⁻¹ = (I - Aᵀ (A Aᵀ + delta I)⁻¹ A) / delta

leaves an m by m system. Which of the two forms a factor belongs to is told by its order: n where
m >= n, else m.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import (
    Reals,
    array,
    definite,
    destination,
    factored,
    number,
    rows_of,
    solution,
)
from ..core.blas import gemm, potrf, potrs, syrk, syrk_rows
from ..core.jit import compiled_as, jit
from ..core.kinds import NUMBER, packed, packed_written
from .cholesky import copy_rows


class RidgeFactor(NamedTuple):
    """What `factor_ridge` returns."""

    rows: np.ndarray
    """A (m, n), not copied where it was a C-contiguous array of floats: leave it unchanged."""
    delta: float
    factor: np.ndarray
    """Lower Cholesky factor, of the order of the smaller side of A."""


@jit
def _factor_ridge(
    rows: packed("m", "n"), delta: NUMBER, factor: packed_written("min(m, n)", "min(m, n)")
):
    """Kernel of `factor_ridge`.

    Parameters
    ----------
    rows : ndarray, (m, n)
    delta : float
    factor : ndarray, (q, q) with q = min(m, n); its lower triangle is overwritten

    Returns
    -------
    int
        0, or the order of the leading minor that is not positive definite.
    """
    if len(factor) == rows.shape[1]:
        syrk(1.0, rows, 0.0, factor)
    else:
        syrk_rows(1.0, rows, 0.0, factor)
    for i in range(len(factor)):
        factor[i, i] += factor.dtype.type(delta)
    return potrf(factor)


@jit
def _solve_ridge(
    rows: packed("m", "n"),
    delta: NUMBER,
    factor: packed("min(m, n)", "min(m, n)"),
    rhs: packed("k", "n"),
    work: packed_written("k", "m if m < n else work.shape[1]"),
    out: packed_written("k", "n"),
):
    """Kernel of `solve_ridge`.

    Parameters
    ----------
    rows : ndarray, (m, n)
        Not read where ``factor`` has the order n.
    delta : float
    factor : ndarray, (q, q)
        From `_factor_ridge`.
    rhs : ndarray, (k, n)
    work : ndarray, (k, m)
        Workspace, not touched where ``factor`` has the order n.
    out : ndarray, (k, n); overwritten, may be ``rhs``
    """
    if len(factor) == rows.shape[1]:
        copy_rows(rhs, out)
        potrs(factor, out)
    else:
        gemm(1.0, rhs, False, rows, True, 0.0, work)
        potrs(factor, work)
        copy_rows(rhs, out)
        gemm(-1 / delta, work, False, rows, False, 1 / delta, out)


@jit
def _ridge_regression(
    rows: packed("m", "n"),
    targets: packed("m", "k"),
    delta: NUMBER,
    factor: packed_written("min(m, n)", "min(m, n)"),
    work: packed_written("k", "m if m < n else work.shape[1]"),
    out: packed_written("k", "n"),
):
    """Kernel of `ridge_regression`.

    Parameters
    ----------
    rows : ndarray, (m, n)
    targets : ndarray, (m, k)
    delta : float
    factor : ndarray, (q, q) with q = min(m, n); its lower triangle is overwritten
    work : ndarray, (k, m)
        Workspace, not touched where m >= n.
    out : ndarray, (k, n); overwritten

    Returns
    -------
    int
        0, or the order of the leading minor that is not positive definite: then no ``out``.
    """
    status = _factor_ridge(rows, delta, factor)
    if status != 0:
        return status
    if len(factor) == rows.shape[1]:
        gemm(1.0, targets, True, rows, False, 0.0, out)
        potrs(factor, out)
    else:  # Aᵀ (A Aᵀ + delta I)⁻¹ y: no difference, so nothing cancels
        for i in range(work.shape[0]):
            for j in range(work.shape[1]):
                work[i, j] = targets[j, i]
        potrs(factor, work)
        gemm(1.0, work, False, rows, False, 0.0, out)
    return 0


def _space(rows, k):
    """Space for the smaller Gram, and workspace for k right-hand sides."""
    m, n = rows.shape
    factor = np.zeros((min(m, n),) * 2, rows.dtype)
    return factor, np.empty((k, m if m < n else 0), rows.dtype)


@compiled_as(_factor_ridge)
def factor_ridge(rows: ArrayLike, delta: float) -> RidgeFactor:
    """Cholesky factor of ``AᵀA + delta I``, or of ``A Aᵀ + delta I`` where that is smaller.

    In compiled code ``factor_ridge(rows, delta, factor)`` with rows (m, n); factor (q, q); q =
    min(m, n). It returns 0, or the order of the leading minor that is not positive definite.

    Cost: m n q + q^3 / 3 flops, q = min(m, n) (SYRK, POTRF).

    Parameters
    ----------
    rows : array_like, (m, n)
        A; float32 or float64; integers become float64.
    delta : float
        Positive.

    Returns
    -------
    RidgeFactor
        For `solve_ridge`.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where ``delta`` is lost in the rounding of the Gram.
    TypeError, ValueError
        For another dtype or shape, or a ``delta`` that is not positive.
    """
    rows = array("rows", rows, ("m", "n"))
    delta = number("delta", delta, 0, above=True)
    factor, _ = _space(rows, 0)
    definite(_factor_ridge(rows, delta, factor), "the Gram of rows + delta I")
    return RidgeFactor(rows, delta, factor)


@compiled_as(_solve_ridge)
def solve_ridge(system: RidgeFactor, rhs: ArrayLike, *, out: Reals | None = None) -> Reals:
    """Solve ``(AᵀA + delta I) x = r`` for every row r of ``rhs``.

    In compiled code ``solve_ridge(rows, delta, factor, rhs, work, out)`` with rows (m, n); factor
    (q, q); rhs, out (k, n); work (k, m); q = min(m, n). The workspace is not touched where m >= n.

    Cost: 2 n^2 flops per row where m >= n, else 2 m^2 + 4 m n.

    Parameters
    ----------
    system : RidgeFactor
        From `factor_ridge`; sets the dtype.
    rhs : array_like, (k, n) or (n,)
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
    rows, delta, factor = factored("system", system, RidgeFactor)
    m, n = rows.shape
    sides, shape = rows_of("rhs", rhs, n, rows)
    flat, out = solution(out, rhs, sides, shape, system=rows, factor=factor)
    work = np.empty((len(sides), m if m < n else 0), rows.dtype)
    _solve_ridge(rows, delta, factor, sides, work, flat)
    return out


@compiled_as(_ridge_regression)
def ridge_regression(
    rows: ArrayLike, targets: ArrayLike, delta: float, *, out: Reals | None = None
) -> Reals:
    """``argmin_X 1/2 |A Xᵀ - Y|_F^2 + delta/2 |X|_F^2``, by the smaller of the two Grams.

    In compiled code ``ridge_regression(rows, targets, delta, factor, work, out)`` with rows (m, n);
    targets (m, k); factor (q, q); work (k, m); out (k, n); q = min(m, n). The workspace is not
    touched where m >= n. It returns 0, or the order of the leading minor that is not positive
    definite.

    Cost: m n q + q^3 / 3 flops, q = min(m, n), and 2 m n + 2 q^2 per column of Y.

    Parameters
    ----------
    rows : array_like, (m, n)
        A; float32 or float64; integers become float64. Sets the dtype.
    targets : array_like, (m, k) or (m,)
        Y.
    delta : float
        Positive.
    out : ndarray, (k, n) or (n,), optional
        C-contiguous, of the dtype of ``rows``.

    Returns
    -------
    ndarray, (k, n) or (n,)
        X: the coefficients of every output are a row.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where ``delta`` is lost in the rounding of the Gram.
    TypeError, ValueError
        For another dtype or shape, or a ``delta`` that is not positive.
    """
    rows = array("rows", rows, ("m", "n"))
    m, n = rows.shape
    single = np.ndim(targets) == 1
    targets = array("targets", targets, (m,) if single else (m, "k"), rows)
    targets = targets[:, np.newaxis] if single else targets
    delta = number("delta", delta, 0, above=True)
    k = targets.shape[1]
    out = destination(out, (n,) if single else (k, n), rows.dtype, rows=rows, targets=targets)
    factor, work = _space(rows, k)
    status = _ridge_regression(rows, targets, delta, factor, work, out.reshape(k, n))
    definite(status, "the Gram of rows + delta I")
    return out
