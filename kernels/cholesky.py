"""Symmetric positive definite systems by Cholesky: factor once, solve many, change the factor.

Matrices and factors are stored by their lower triangle; right-hand sides are rows.
"""

import math

import numpy as np

from .blas import potrf, potrs
from .jit import compiled_as, jit
from .operands import array, definite, destination, number, rows_of, solution
from .rows import row

PANEL = 32
"""Columns of the factor that are rotated at a time, as contiguous vectors."""


@jit
def copy_rows(source, out):
    """``out <- source`` for two matrices that are the same array or do not overlap."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = source[i, j]


@jit
def _factor_cholesky(matrix, delta, out):
    """Kernel of `factor_cholesky`.

    Parameters
    ----------
    matrix : ndarray, (n, n)
        Its lower triangle is read.
    delta : float
    out : ndarray, (n, n), may be ``matrix``; its lower triangle is overwritten

    Returns
    -------
    int
        0, or the order of the leading minor that is not positive definite.
    """
    for i in range(len(out)):
        for j in range(i + 1):
            out[i, j] = matrix[i, j]
        out[i, i] += out.dtype.type(delta)
    return potrf(out)


@jit
def _solve_cholesky(factor, rhs, out):
    """Kernel of `solve_cholesky`: ``rhs`` and ``out`` are (m, n), may be the same array."""
    copy_rows(rhs, out)
    potrs(factor, out)


@jit
def _rotate(column, v):
    """Rotate v[0] into column[0], which stays positive."""
    length = math.hypot(column[0], v[0])
    cosine, sine = column[0] / length, v[0] / length
    for i in range(len(column)):
        before, other = column[i], v[i]
        column[i] = cosine * before + sine * other
        v[i] = cosine * other - sine * before


@jit
def _rotate_out(column, v):
    """Undo `_rotate`: a hyperbolic rotation; v from the new column, which keeps it stable.

    Returns whether it exists: without it nothing is written.
    """
    pivot, first = column[0], abs(v[0])
    if first >= pivot:
        return False
    length = math.sqrt(pivot - first) * math.sqrt(pivot + first)
    cosine, sine = length / pivot, v[0] / pivot
    for i in range(len(column)):
        column[i] = (column[i] - sine * v[i]) / cosine
        v[i] = cosine * v[i] - sine * column[i]
    return True


@jit
def _change_panel(panel, first, rows, down):
    """Rotate all rows into, or with ``down`` out of, the columns of a panel."""
    for j in range(len(panel)):
        place = first + j
        for p in range(len(rows)):
            column, v = row(panel, j)[place:], row(rows, p)[place:]
            if not down:
                _rotate(column, v)
            elif not _rotate_out(column, v):
                return place + 1
    return 0


@jit
def _change_factor(factor, rows, down, work):
    n = len(factor)
    for first in range(0, n, len(work)):
        panel = work[: min(len(work), n - first)]
        width = len(panel)
        for i in range(first, n):
            for j in range(min(width, i + 1 - first)):
                panel[j, i] = factor[i, first + j]
        status = _change_panel(panel, first, rows, down)
        for i in range(first, n):
            for j in range(min(width, i + 1 - first)):
                factor[i, first + j] = panel[j, i]
        if status != 0:
            return status
    return 0


@jit
def _update_cholesky(factor, rows, work):
    """Kernel of `update_cholesky`, in place.

    Parameters
    ----------
    factor : ndarray, (n, n); its lower triangle is overwritten
    rows : ndarray, (k, n); overwritten
    work : ndarray, (panel, n) with panel >= 1
        Workspace; 32 is a good panel.

    Returns
    -------
    int
        0.
    """
    return _change_factor(factor, rows, False, work)


@jit
def _downdate_cholesky(factor, rows, work):
    """Kernel of `downdate_cholesky`; arguments as in `_update_cholesky`.

    Returns
    -------
    int
        0, or the order of the leading minor that is not positive definite any more; the factor is
        then spoilt.
    """
    return _change_factor(factor, rows, True, work)


@compiled_as(_factor_cholesky)
def factor_cholesky(matrix, delta=0.0, out=None):
    """Lower triangular L with ``L Lᵀ = matrix + delta I``.

    Costs n^3 / 3 flops (POTRF). NaN in the matrix spreads through the factor.

    Parameters
    ----------
    matrix : array_like, (n, n)
        Symmetric; only its lower triangle is read. float32 or float64; integers become float64.
    delta : float
        Non-negative.
    out : ndarray, (n, n), optional
        C-contiguous, of the dtype of ``matrix``; may be ``matrix`` itself. Above its diagonal
        nothing is written.

    Returns
    -------
    ndarray, (n, n)
        ``out``, or a new array with zeros above the diagonal.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where the sum is not positive definite; ``out`` is then spoilt.
    TypeError, ValueError
        For another dtype or shape, or a negative ``delta``.
    """
    source = array("matrix", matrix, ("n", "n"))
    delta = number("delta", delta, 0)
    apart = {} if out is matrix else {"matrix": source}
    result = np.zeros_like(source) if out is None else out
    destination(result, source.shape, source.dtype, **apart)
    definite(_factor_cholesky(source, delta, result), "matrix + delta I")
    return result


@compiled_as(_solve_cholesky)
def solve_cholesky(factor, rhs, out=None):
    """Solve ``L Lᵀ x = r`` for every row r of ``rhs``.

    Costs 2 n^2 flops per row (POTRS).

    Parameters
    ----------
    factor : array_like, (n, n)
        L, from `factor_cholesky`; sets the dtype. Above its diagonal nothing is read.
    rhs : array_like, (m, n) or (n,)
    out : ndarray, the shape of ``rhs``, optional
        C-contiguous, of the dtype of ``factor``; may be ``rhs`` itself.

    Returns
    -------
    ndarray, the shape of ``rhs``

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape.
    """
    factor = array("factor", factor, ("n", "n"))
    rows, shape = rows_of("rhs", rhs, len(factor), factor)
    flat, out = solution(out, rhs, rows, shape, factor=factor)
    _solve_cholesky(factor, rows, flat)
    return out


def _changed(kernel, factor, rows, out):
    source = array("factor", factor, ("n", "n"))
    n = len(source)
    rows, _ = rows_of("rows", rows, n, source)
    apart = {} if out is factor else {"factor": source}
    out = destination(out, source.shape, source.dtype, **apart)
    changed = source.copy()  # a failure leaves both factor and out as they were
    status = kernel(changed, rows.copy(), np.empty((max(1, min(PANEL, n)), n), source.dtype))
    definite(status, "L Lᵀ - Vᵀ V")
    np.copyto(out, changed)
    return out


@compiled_as(_update_cholesky)
def update_cholesky(factor, rows, out=None):
    """Factor of ``L Lᵀ + Vᵀ V``, for the rows V that come.

    Costs 3 k n^2 flops by Givens rotations (LINPACK's dchud): a new factor is cheaper beyond about
    n / 10 rows.

    Parameters
    ----------
    factor : array_like, (n, n)
        L, from `factor_cholesky`; sets the dtype. Above its diagonal nothing is read.
    rows : array_like, (k, n) or (n,)
        V.
    out : ndarray, (n, n), optional
        C-contiguous, of the dtype of ``factor``; may be ``factor`` itself.

    Returns
    -------
    ndarray, (n, n)

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape.
    """
    return _changed(_update_cholesky, factor, rows, out)


@compiled_as(_downdate_cholesky)
def downdate_cholesky(factor, rows, out=None):
    """Factor of ``L Lᵀ - Vᵀ V``, for the rows V that go.

    Costs 3 k n^2 flops by hyperbolic rotations (LINPACK's dchdd, in Chambers' stable order). Where
    the difference is nearly singular the error grows with its condition number.

    Parameters
    ----------
    factor, rows, out
        As in `update_cholesky`.

    Returns
    -------
    ndarray, (n, n)

    Raises
    ------
    numpy.linalg.LinAlgError
        Where the difference is not positive definite; ``factor`` and ``out`` are then unchanged.
    TypeError, ValueError
        For another dtype or shape.
    """
    return _changed(_downdate_cholesky, factor, rows, out)
