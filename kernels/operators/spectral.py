"""Spectral operators on a matrix: nuclear norm, positive semidefinite cone.

Both come from a LAPACK factorisation inside the compiled kernel, which allocates it: O(m n min(m,
n)). The product that puts the result together takes the fewest triplets that it can.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import Reals, array, number, run, shaped
from ..core.blas import gemm
from ..core.jit import compiled_as, jit
from ..core.kinds import NUMBER, packed_written, read
from .groups import fill_row
from .projections import relative_tolerance

MATRIX, SQUARE = ("m", "n"), ("n", "n")


def _apply(kernel, v, arguments, out):
    return run(kernel, v, np.ascontiguousarray(v), arguments, out)


@jit(reassociate=True)
def all_finite(x):
    total = 0.0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            total += x[i, j] * x.dtype.type(0)
    return total == 0


@jit
def fill(out, number):
    for i in range(out.shape[0]):
        fill_row(out[i], out.dtype.type(number))


@jit
def _nuclear_norm(x: read("m", "n"), weight: NUMBER):
    if x.size == 0:
        return 0.0
    if not all_finite(x):
        return math.nan
    _, values, _ = np.linalg.svd(x, False)
    total = 0.0
    for i in range(len(values)):
        total += values[i]
    return weight * total


@compiled_as(_nuclear_norm)
def nuclear_norm(x: ArrayLike, weight: float = 1.0) -> float:
    """Nuclear norm of a matrix, ``weight`` times the sum of its singular values.

    In compiled code ``nuclear_norm(x, weight)`` with x (m, n).

    Cost: O(m n min(m, n)) flops (SVD).

    Parameters
    ----------
    x : array_like, (m, n)
        float32 or float64; integers become float64.
    weight : float
        Non-negative.

    Returns
    -------
    float
        NaN if ``x`` holds NaN or infinity.

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape, or a negative weight.
    """
    return _nuclear_norm(array("x", x, MATRIX), number("weight", weight, 0))


@jit
def decomposed(v):
    """Left singular vectors (k, m), values from the largest down, and right vectors (n, k)."""
    left, values, right = np.linalg.svd(v, False)
    # LAPACK wrote columns: these are contiguous as they come
    return np.ascontiguousarray(left.T), values, np.ascontiguousarray(right.T)


@jit
def _prox_nuclear_norm(
    v: read("m", "n"), step: NUMBER, weight: NUMBER, out: packed_written("m", "n")
):
    if v.size == 0:
        return 0.0
    if not all_finite(v):
        fill(out, math.nan)
        return math.nan
    tau, real = np.float64(step) * weight, v.dtype.type
    left, values, right = decomposed(v)
    rank, total = 0, 0.0
    while rank < len(values) and values[rank] > tau:
        shrunk = values[rank] - tau
        for j in range(left.shape[1]):
            left[rank, j] *= real(shrunk)
        total += shrunk
        rank += 1
    if rank == 0:
        fill(out, 0.0)
    else:
        gemm(1.0, left[:rank], True, right[:, :rank], True, 0.0, out)
    return weight * total


@compiled_as(_prox_nuclear_norm)
def prox_nuclear_norm(
    v: ArrayLike, step: float = 1.0, weight: float = 1.0, *, out: Reals | None = None
) -> Reals:
    """Prox of the nuclear norm, ``argmin_x weight |x|_* + 1/(2 step) |x - v|_F^2``.

    Soft thresholding of the singular values by ``step weight``.

    In compiled code ``prox_nuclear_norm(v, step, weight, out)`` with v, out (m, n). It returns the
    penalty at the result.

    Cost: O(m n min(m, n)) flops (SVD).

    Parameters
    ----------
    v : array_like, (m, n)
        float32 or float64; integers become float64.
    step, weight : float
        Positive, non-negative.
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
    v = shaped("v", v, MATRIX)
    step, weight = number("step", step, 0, above=True), number("weight", weight, 0)
    return _apply(_prox_nuclear_norm, v, (step, weight), out)


@jit
def _symmetric_part(v, out):
    half = v.dtype.type(0.5)
    for i in range(v.shape[0]):
        for j in range(i + 1):
            # halves first: no overflow; both read before either is written
            mean = half * v[i, j] + half * v[j, i]
            out[i, j] = mean
            out[j, i] = mean


@jit
def _project_positive_semidefinite(v: read("n", "n"), out: packed_written("n", "n")):
    if v.size == 0:
        return 0.0
    if not all_finite(v):
        fill(out, math.nan)
        return 0.0
    _symmetric_part(v, out)
    values, vectors = np.linalg.eigh(out)
    vectors = np.ascontiguousarray(vectors.T)  # row i belongs to values[i], ascending
    n, negative = len(values), 0
    while negative < n and values[negative] < 0:
        negative += 1
    # the smaller of both: the positive part itself, or what it lacks to the whole
    if 2 * negative > n:
        start, stop, beta = negative, n, 0.0
    else:
        start, stop, beta = 0, negative, 1.0
    scaled = np.empty((stop - start, n), v.dtype)
    for i in range(start, stop):
        for j in range(n):
            scaled[i - start, j] = abs(values[i]) * vectors[i, j]
    if stop > start:
        gemm(1.0, scaled, True, vectors[start:stop], False, beta, out)
    elif beta == 0:
        fill(out, 0.0)
    _symmetric_part(out, out)
    return 0.0


@compiled_as(_project_positive_semidefinite)
def project_positive_semidefinite(v: ArrayLike, *, out: Reals | None = None) -> Reals:
    """Projection onto the positive semidefinite cone, ``argmin_x |x - v|_F^2`` over ``x >= 0``.

    Of the symmetric part of ``v`` only the eigenvalues above zero are left.

    In compiled code ``project_positive_semidefinite(v, out)`` with v, out (n, n). It returns 0.

    Cost: O(n^3) flops (symmetric eigenvalues).

    Parameters
    ----------
    v : array_like, (n, n)
        float32 or float64; integers become float64. Need not be symmetric.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``
        Exactly symmetric; all NaN if ``v`` holds NaN or infinity.

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape.
    """
    return _apply(_project_positive_semidefinite, shaped("v", v, SQUARE), (), out)


@jit
def _indicator_positive_semidefinite(x: read("n", "n"), tolerance: NUMBER):
    if x.size == 0:
        return 0.0
    if not all_finite(x):
        return math.inf
    part = np.empty_like(x)
    _symmetric_part(x, part)
    asymmetry, largest = 0.0, 0.0
    for i in range(x.shape[0]):
        for j in range(x.shape[0]):
            asymmetry = max(asymmetry, abs(np.float64(x[i, j]) - part[i, j]))
    values = np.linalg.eigvalsh(part)
    largest = max(abs(values[0]), abs(values[-1]))
    inside = asymmetry <= tolerance * largest and values[0] >= -tolerance * largest
    return 0.0 if inside else math.inf


@compiled_as(_indicator_positive_semidefinite)
def indicator_positive_semidefinite(x: ArrayLike, tolerance: float | None = None) -> float:
    """0 where ``x`` is symmetric positive semidefinite up to a tolerance, else infinity.

    With t the tolerance times the largest magnitude of an eigenvalue: no entry is further than t
    from the symmetric part, and no eigenvalue is below -t.

    In compiled code ``indicator_positive_semidefinite(x, tolerance)`` with x (n, n).

    Cost: O(n^3) flops (symmetric eigenvalues).

    Parameters
    ----------
    x : array_like, (n, n)
        float32 or float64; integers become float64.
    tolerance : float, optional
        Non-negative and relative; None stands for 1000 machine epsilons of the dtype.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape, or a negative tolerance.
    """
    x = array("x", x, SQUARE)
    tolerance = relative_tolerance(tolerance, x)
    return _indicator_positive_semidefinite(x, tolerance)
