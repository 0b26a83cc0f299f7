"""Projection onto an affine set ``{x : A x = b}``, factored once and projected onto many times."""

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike

from ..core.arguments import Reals, as_rows, real_array, rows, rowwise
from ..core.blas import gemm
from ..core.jit import compiled_as, jit
from ..core.kinds import NUMBER, packed, packed_written, read
from ..core.norms import norm
from .groups import copy_row
from .projections import relative_tolerance


class AffineFactor(NamedTuple):
    """``{x : basis x = offset}``, the set with orthonormal rows.

    The kernels `project_affine.kernel` and `indicator_affine.kernel` take the two arrays.
    """

    basis: np.ndarray
    offset: np.ndarray


def factor_affine(a: ArrayLike, b: ArrayLike) -> AffineFactor:
    """Factor the set ``{x : a x = b}`` for `project_affine`, by QR of the transpose of ``a``.

    ``aᵀ = Q R`` turns the equations into ``Qᵀ x = R⁻ᵀ b``: unlike with ``a aᵀ`` the condition
    number is not squared.

    Cost: O(m^2 n) flops (QR).

    Parameters
    ----------
    a : array_like, (m, n), m <= n
        float32 or float64; integers become float64. Its rows must be linearly independent.
    b : array_like, (m,)

    Returns
    -------
    AffineFactor

    Raises
    ------
    numpy.linalg.LinAlgError
        If the rows of ``a`` are linearly dependent, up to rounding.
    TypeError, ValueError
        For another dtype or shape, NaN or infinity.
    """
    a, b = real_array("a", a), real_array("b", b)
    if a.ndim != 2 or a.shape[0] > a.shape[1]:
        raise ValueError(f"a has shape {a.shape}: expected (m, n) with m <= n")
    if b.shape != a.shape[:1]:
        raise ValueError(f"b has shape {b.shape}: expected {a.shape[:1]}")
    for name, x in (("a", a), ("b", b)):
        if not np.isfinite(x).all():
            raise ValueError(f"{name} contains NaN or infinity: expected finite numbers")
    b = b.astype(a.dtype)
    if len(b) == 0:
        return AffineFactor(np.empty(a.shape, a.dtype), b)
    factors: Any = scipy.linalg.qr(a.T, mode="economic", pivoting=True)
    q, r, order = factors
    diagonal = np.abs(np.diag(r))
    rank = int((diagonal > max(a.shape) * np.finfo(a.dtype).eps * diagonal[0]).sum())
    if rank < len(b):
        raise np.linalg.LinAlgError(
            f"a has {len(b)} rows of rank {rank}: expected linearly independent rows"
        )
    offset = scipy.linalg.solve_triangular(r, b[order], trans=1)
    return AffineFactor(np.ascontiguousarray(q.T), offset)


@jit
def _project_affine(
    v: read("k", "n"),
    basis: packed("m", "n"),
    offset: read("m"),
    work: packed_written("k", "m"),
    out: packed_written("k", "n"),
):
    for i in range(v.shape[0]):
        copy_row(v[i], out[i])
        copy_row(offset, work[i])
    gemm(1.0, out, False, basis, True, -1.0, work)
    gemm(-1.0, work, False, basis, False, 1.0, out)
    return 0.0


@compiled_as(_project_affine)
def project_affine(
    v: ArrayLike,
    factor: AffineFactor,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Projection onto an affine set, ``argmin_x |x - v|_2^2`` over ``A x = b``, for every row.

    ``v - basisᵀ (basis v - offset)``: two matrix products.

    In compiled code ``project_affine(v, basis, offset, work, out)`` with v, out (k, n); basis
    (m, n); offset (m,); work (k, m). It returns 0.

    Cost: 4 m n flops per row (GEMM).

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    factor : AffineFactor
        From `factor_affine`; its dtype becomes that of the data.
    axis : int
        The axis of ``v`` that holds the entries of a row; one number per row has the other axes.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.
    threads : int
        How many may share the rows; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    v = rows("v", v, axis)
    basis, offset = _factored(factor, "v", v)
    work = np.empty((as_rows(v).shape[0], len(offset)), v.dtype)
    return rowwise(_project_affine, v, (basis, offset, work), out, axis, threads)


@jit
def _indicator_affine(
    x: packed("k", "n"),
    basis: packed("m", "n"),
    offset: read("m"),
    tolerance: NUMBER,
    work: packed_written("k", "m"),
):
    for i in range(x.shape[0]):
        copy_row(offset, work[i])
    gemm(1.0, x, False, basis, True, -1.0, work)
    for i in range(x.shape[0]):
        if not norm(work[i]) <= tolerance * (norm(x[i]) + norm(offset)):
            return np.inf
    return 0.0


@compiled_as(_indicator_affine)
def indicator_affine(x: ArrayLike, factor: AffineFactor, tolerance: float | None = None) -> float:
    """0 where the distance to the set is at most ``tolerance (|x|_2 + d)`` in every row, else inf.

    d is the distance of the set from the origin.

    In compiled code ``indicator_affine(x, basis, offset, tolerance, work)`` with x (k, n); basis
    (m, n); offset (m,); work (k, m).

    Cost: 2 m n flops per row (GEMM).

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    factor : AffineFactor
        From `factor_affine`; its dtype becomes that of the data.
    tolerance : float, optional
        Non-negative; in units of ``|x|_2`` plus the set's distance from 0.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    x = real_array("x", x)
    basis, offset = _factored(factor, "x", x)
    form = as_rows(x)
    work = np.empty((len(form), len(offset)), x.dtype)
    return _indicator_affine(form, basis, offset, relative_tolerance(tolerance, x), work)


def _factored(factor, name, x):
    if not isinstance(factor, AffineFactor):
        raise TypeError(f"factor is {type(factor).__name__}: expected what factor_affine returns")
    n = factor.basis.shape[1]
    if x.ndim == 0 or x.shape[-1] != n:
        raise ValueError(f"{name} has shape {x.shape}: expected (..., {n})")
    return (part.astype(x.dtype, copy=False) for part in factor)
