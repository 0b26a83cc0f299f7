"""Sets of matrices that singular values decide: few of them, none large, or all of them one.

The projection changes the values and keeps the vectors of a LAPACK factorisation, which the
compiled kernel allocates.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import Reals, array, count, number, shaped
from ..core.blas import gemm
from ..core.jit import compiled_as, jit
from ..core.kinds import NUMBER, packed_written, read
from .projections import relative_tolerance
from .spectral import MATRIX, _apply, all_finite, decomposed, fill


@jit
def _values(x):
    """Singular values, from the largest down; NaN if an entry is no finite number."""
    if x.size == 0:
        return np.zeros(1, x.dtype)
    if not all_finite(x):
        return np.full(1, math.nan, x.dtype)
    return np.linalg.svd(x, False)[1]


@jit
def _assemble(left, values, right, kept, out):
    """``out <- sum_(i < kept) values_i left_i right_i``."""
    if kept == 0:
        fill(out, 0.0)
        return
    for i in range(kept):
        for j in range(left.shape[1]):
            left[i, j] *= values[i]
    gemm(1.0, left[:kept], True, right[:, :kept], True, 0.0, out)


@jit
def _project_rank(v: read("m", "n"), rank: NUMBER, out: packed_written("m", "n")):
    if v.size and not all_finite(v):
        fill(out, math.nan)
    elif v.size:
        left, values, right = decomposed(v)
        _assemble(left, values, right, min(rank, len(values)), out)
    return 0.0


def _decided(kernel, v, parameter, out):
    return _apply(kernel, shaped("v", v, MATRIX), parameter, out)


@compiled_as(_project_rank)
def project_rank(v: ArrayLike, rank: int, *, out: Reals | None = None) -> Reals:
    """Nearest matrix of at most a rank, ``argmin_x |x - v|_F^2``: the largest singular values stay.

    The set is not convex (Eckart and Young, 1936).

    In compiled code ``project_rank(v, rank, out)`` with v, out (m, n). It returns 0.

    Cost: O(m n min(m, n)) flops (SVD).

    Parameters
    ----------
    v : array_like, (m, n)
        float32 or float64; integers become float64.
    rank : int
        Non-negative.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``
        All NaN if ``v`` holds NaN or infinity.

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape, or a number outside its domain.
    """
    return _decided(_project_rank, v, (count("rank", rank),), out)


@jit
def _indicator_rank(x: read("m", "n"), rank: NUMBER, tolerance: NUMBER):
    values = _values(x)
    if rank < len(values) and not values[rank] <= tolerance * values[0]:
        return np.inf
    return 0.0 if values[0] < np.inf else np.inf


@compiled_as(_indicator_rank)
def indicator_rank(x: ArrayLike, rank: int, tolerance: float | None = None) -> float:
    """0 where all but ``rank`` singular values are at most the tolerance times the largest one.

    Infinity elsewhere.

    In compiled code ``indicator_rank(x, rank, tolerance)`` with x (m, n).

    Cost: O(m n min(m, n)) flops (SVD).

    Parameters
    ----------
    x : array_like, (m, n)
        float32 or float64; integers become float64.
    rank : int
        Non-negative.
    tolerance : float, optional
        Non-negative and relative; None stands for 1000 machine epsilons of the dtype.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape, or a number outside its domain.
    """
    x = array("x", x, MATRIX)
    return _indicator_rank(x, count("rank", rank), relative_tolerance(tolerance, x))


@jit
def _project_spectral_ball(v: read("m", "n"), radius: NUMBER, out: packed_written("m", "n")):
    if v.size and not all_finite(v):
        fill(out, math.nan)
    elif v.size:
        left, values, right = decomposed(v)
        for i in range(len(values)):
            values[i] = min(values[i], v.dtype.type(radius))
        _assemble(left, values, right, len(values), out)
    return 0.0


@compiled_as(_project_spectral_ball)
def project_spectral_ball(v: ArrayLike, radius: float = 1.0, *, out: Reals | None = None) -> Reals:
    """Projection onto the spectral norm ball, ``argmin_x |x - v|_F^2`` over ``|x|_2 <= radius``.

    The singular values are clipped at the radius.

    In compiled code ``project_spectral_ball(v, radius, out)`` with v, out (m, n). It returns 0.

    Cost: O(m n min(m, n)) flops (SVD).

    Parameters
    ----------
    v : array_like, (m, n)
        float32 or float64; integers become float64.
    radius : float
        Non-negative.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``
        All NaN if ``v`` holds NaN or infinity.

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape, or a number outside its domain.
    """
    return _decided(_project_spectral_ball, v, (number("radius", radius, 0),), out)


@jit
def _indicator_spectral_ball(x: read("m", "n"), radius: NUMBER, tolerance: NUMBER):
    return 0.0 if _values(x)[0] <= (1.0 + tolerance) * radius else np.inf


@compiled_as(_indicator_spectral_ball)
def indicator_spectral_ball(
    x: ArrayLike, radius: float = 1.0, tolerance: float | None = None
) -> float:
    """0 where the largest singular value is at most ``(1 + tolerance) radius``, else infinity.

    In compiled code ``indicator_spectral_ball(x, radius, tolerance)`` with x (m, n).

    Cost: O(m n min(m, n)) flops (SVD).

    Parameters
    ----------
    x : array_like, (m, n)
        float32 or float64; integers become float64.
    radius : float
        Non-negative.
    tolerance : float, optional
        Non-negative and relative; None stands for 1000 machine epsilons of the dtype.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape, or a number outside its domain.
    """
    x = array("x", x, MATRIX)
    tolerance = relative_tolerance(tolerance, x)
    return _indicator_spectral_ball(x, number("radius", radius, 0), tolerance)


@jit
def _project_orthogonal(v: read("m", "n"), out: packed_written("m", "n")):
    if v.size and not all_finite(v):
        fill(out, math.nan)
    elif v.size:
        left, values, right = decomposed(v)
        values[:] = v.dtype.type(1)
        _assemble(left, values, right, len(values), out)
    return 0.0


@compiled_as(_project_orthogonal)
def project_orthogonal(v: ArrayLike, *, out: Reals | None = None) -> Reals:
    """Nearest matrix with orthonormal columns, or rows where it is wide: ``argmin_x |x - v|_F^2``.

    All singular values become one: the polar factor. The set is not convex.

    In compiled code ``project_orthogonal(v, out)`` with v, out (m, n). It returns 0.

    Cost: O(m n min(m, n)) flops (SVD).

    Parameters
    ----------
    v : array_like, (m, n)
        float32 or float64; integers become float64.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``
        All NaN if ``v`` holds NaN or infinity.

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape, or a number outside its domain.
    """
    return _decided(_project_orthogonal, v, (), out)


@jit
def _indicator_orthogonal(x: read("m", "n"), tolerance: NUMBER):
    if x.size == 0:
        return 0.0
    values = _values(x)
    inside = values[0] <= 1.0 + tolerance and values[-1] >= 1.0 - tolerance
    return 0.0 if inside else np.inf


@compiled_as(_indicator_orthogonal)
def indicator_orthogonal(x: ArrayLike, tolerance: float | None = None) -> float:
    """0 where no singular value is further from one than the tolerance, else infinity.

    In compiled code ``indicator_orthogonal(x, tolerance)`` with x (m, n).

    Cost: O(m n min(m, n)) flops (SVD).

    Parameters
    ----------
    x : array_like, (m, n)
        float32 or float64; integers become float64.
    tolerance : float, optional
        Non-negative and relative; None stands for 1000 machine epsilons of the dtype.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape, or a number outside its domain.
    """
    x = array("x", x, MATRIX)
    return _indicator_orthogonal(x, relative_tolerance(tolerance, x))
