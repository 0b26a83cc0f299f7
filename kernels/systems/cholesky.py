"""Symmetric positive definite systems by Cholesky: factor once, solve many, change the factor.

Matrices and factors are stored by their lower triangle; right-hand sides are rows.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import Reals, array, definite, destination, number, rows_of, solution
from ..core.blas import potrf, potrs
from ..core.jit import compiled_as, jit
from ..core.kinds import NUMBER, packed, packed_written, read
from ..core.rows import row

PANEL = 32
"""Order of the blocks of a factor that are rotated at a time."""


@jit
def copy_rows(source, out):
    """``out <- source`` for two matrices that are the same array or do not overlap."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = source[i, j]


@jit
def _factor_cholesky(matrix: read("n", "n"), delta: NUMBER, out: packed_written("n", "n")):
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
def _solve_cholesky(factor: packed("n", "n"), rhs: read("m", "n"), out: packed_written("m", "n")):
    """Kernel of `solve_cholesky`: ``rhs`` and ``out`` are (m, n), may be the same array."""
    copy_rows(rhs, out)
    potrs(factor, out)


@jit
def _rotation(pivot, x, down):
    """Cosine and sine that rotate x into, or with ``down`` hyperbolically out of, the pivot.

    Returns the new pivot too, 0 where there is none.
    """
    if not down:
        length = math.hypot(pivot, x)
        return pivot / length, x / length, length
    size = abs(x)
    if size >= pivot:
        return pivot, x, pivot * 0
    length = math.sqrt(pivot - size) * math.sqrt(pivot + size)
    return length / pivot, x / pivot, length


@jit
def _turn(a, x, cosine, sine, down):
    """Rotate one pair; the hyperbolic x follows from the new a, which keeps it stable."""
    if down:
        a = (a - sine * x) / cosine
        return a, cosine * x - sine * a
    return cosine * a + sine * x, cosine * x - sine * a


@jit
def _turn_four(tile, j, v, c, s, down):
    """Rotate v and rows j to j + 3 of the tile in one pass: v is read and written once."""
    t0, t1, t2, t3 = row(tile, j), row(tile, j + 1), row(tile, j + 2), row(tile, j + 3)
    c0, c1, c2, c3 = c[j], c[j + 1], c[j + 2], c[j + 3]
    s0, s1, s2, s3 = s[j], s[j + 1], s[j + 2], s[j + 3]
    for i in range(len(v)):
        t0[i], x = _turn(t0[i], v[i], c0, s0, down)
        t1[i], x = _turn(t1[i], x, c1, s1, down)
        t2[i], x = _turn(t2[i], x, c2, s2, down)
        t3[i], v[i] = _turn(t3[i], x, c3, s3, down)


@jit
def _transpose(factor, first, left, tile, back):
    """Copy a block of the factor into the tile as its transpose, or ``back``."""
    height, width = min(PANEL, len(factor) - first), min(PANEL, len(factor) - left)
    for i in range(height):
        values = row(factor, first + i)[left : left + width]
        for j in range(width):
            if back:
                values[j] = tile[j, i]
            else:
                tile[j, i] = values[j]


@jit
def _change_triangle(tile, rows, first, down, cosines, sines):
    """Find the rotations of a diagonal block, and apply them to it."""
    count = min(PANEL, rows.shape[1] - first)
    for j in range(count):
        for p in range(len(rows)):
            cosine, sine, pivot = _rotation(tile[j, j], rows[p, first + j], down)
            if pivot == 0:
                return first + j + 1
            tile[j, j], cosines[p, j], sines[p, j] = pivot, cosine, sine
            for i in range(j + 1, count):
                tile[j, i], rows[p, first + i] = _turn(
                    tile[j, i], rows[p, first + i], cosine, sine, down
                )
    return 0


@jit
def _change_factor(factor, rows, down, work):
    """Rotate ``rows`` into or out of a factor, by blocks of it that are transposed in ``work``."""
    n, k = len(factor), len(rows)
    tile, cosines, sines = work[:PANEL], work[PANEL : PANEL + k], work[PANEL + k :]
    for first in range(0, n, PANEL):
        _transpose(factor, first, first, tile, False)
        status = _change_triangle(tile, rows, first, down, cosines, sines)
        _transpose(factor, first, first, tile, True)
        if status != 0:
            return status
        for below in range(first + PANEL, n, PANEL):
            _transpose(factor, below, first, tile, False)
            for p in range(k):
                v = row(rows, p)[below : min(below + PANEL, n)]
                for j in range(0, PANEL, 4):
                    _turn_four(tile, j, v, row(cosines, p), row(sines, p), down)
            _transpose(factor, below, first, tile, True)
    return 0


@jit
def _update_cholesky(
    factor: packed_written("n", "n"),
    rows: packed_written("k", "n"),
    work: packed_written("32 + 2 * k", "32"),
):
    """Kernel of `update_cholesky`, in place.

    Parameters
    ----------
    factor : ndarray, (n, n); its lower triangle is overwritten
    rows : ndarray, (k, n); overwritten
    work : ndarray, (32 + 2 k, 32)
        Workspace.

    Returns
    -------
    int
        0.
    """
    return _change_factor(factor, rows, False, work)


@jit
def _downdate_cholesky(
    factor: packed_written("n", "n"),
    rows: packed_written("k", "n"),
    work: packed_written("32 + 2 * k", "32"),
):
    """Kernel of `downdate_cholesky`; arguments as in `_update_cholesky`.

    Returns
    -------
    int
        0, or the order of the leading minor that is not positive definite any more; the factor is
        then spoilt.
    """
    return _change_factor(factor, rows, True, work)


@compiled_as(_factor_cholesky)
def factor_cholesky(matrix: ArrayLike, delta: float = 0.0, *, out: Reals | None = None) -> Reals:
    """Lower triangular L with ``L Lᵀ = matrix + delta I``.

    NaN in the matrix spreads through the factor.

    In compiled code ``factor_cholesky(matrix, delta, out)`` with matrix, out (n, n). It returns 0,
    or the order of the leading minor that is not positive definite.

    Cost: n^3 / 3 flops (POTRF).

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
def solve_cholesky(factor: ArrayLike, rhs: ArrayLike, *, out: Reals | None = None) -> Reals:
    """Solve ``L Lᵀ x = r`` for every row r of ``rhs``.

    In compiled code ``solve_cholesky(factor, rhs, out)`` with factor (n, n); rhs, out (m, n).

    Cost: 2 n^2 flops per row (POTRS).

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
    work = np.empty((PANEL + 2 * len(rows), PANEL), source.dtype)
    status = kernel(changed, rows.copy(), work)
    definite(status, "L Lᵀ - Vᵀ V")
    np.copyto(out, changed)
    return out


@compiled_as(_update_cholesky)
def update_cholesky(factor: ArrayLike, rows: ArrayLike, *, out: Reals | None = None) -> Reals:
    """Factor of ``L Lᵀ + Vᵀ V``, for the rows V that come.

    By Givens rotations (LINPACK's dchud); a new factor is cheaper beyond about n / 15 rows.

    In compiled code ``update_cholesky(factor, rows, work)`` with factor (n, n); rows (k, n); work
    (32 + 2 k, 32). The factor is changed in place, and the rows are overwritten. It returns 0, or
    the order of the leading minor that is not positive definite.

    Cost: 3 k n^2 flops.

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
def downdate_cholesky(factor: ArrayLike, rows: ArrayLike, *, out: Reals | None = None) -> Reals:
    """Factor of ``L Lᵀ - Vᵀ V``, for the rows V that go.

    By hyperbolic rotations (LINPACK's dchdd, in Chambers' stable order). Where the difference is
    nearly singular the error grows with its condition number.

    In compiled code ``downdate_cholesky(factor, rows, work)`` with factor (n, n); rows (k, n); work
    (32 + 2 k, 32). The factor is changed in place, and the rows are overwritten. It returns 0, or
    the order of the leading minor that is not positive definite.

    Cost: 3 k n^2 flops.

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
