"""Products and factors in NumPy, where Numba compiles nothing (NUMBA_DISABLE_JIT=1).

Every other kernel runs as plain Python as it stands; these are calls of BLAS and LAPACK by symbol
name, or register tiles in LLVM's language. Arguments, results and statuses are those of
`fastadmm.kernels.core.blas` and `fastadmm.kernels.core.tiles`.
"""

import numpy as np
import scipy.linalg


def _update(alpha, product, beta, c):
    """``c <- alpha product + beta c``; with ``beta`` = 0 the old content is not read."""
    np.copyto(c, c.dtype.type(alpha) * product + (c.dtype.type(beta) * c if beta else 0))


def _update_lower(alpha, product, beta, c):
    lower = np.tril_indices(len(c))
    kept = c.dtype.type(beta) * c[lower] if beta else 0
    c[lower] = c.dtype.type(alpha) * product[lower] + kept


def gemm(alpha, a, transpose_a, b, transpose_b, beta, c):
    _update(alpha, (a.T if transpose_a else a) @ (b.T if transpose_b else b), beta, c)


def syrk(alpha, a, beta, c):
    _update_lower(alpha, a.T @ a, beta, c)


def syrk_rows(alpha, a, beta, c):
    _update_lower(alpha, a @ a.T, beta, c)


def trsm(factor, transpose, rows):
    if rows.size:
        rows[:] = scipy.linalg.solve_triangular(
            factor, rows.T, trans=int(transpose), lower=True, check_finite=False
        ).T


def potrf(a):
    if not len(a):
        return 0
    (routine,) = scipy.linalg.get_lapack_funcs(("potrf",), (a,))
    factor, status = routine(a, lower=True, clean=False)
    a[np.tril_indices(len(a))] = factor[np.tril_indices(len(a))]
    return status


def potri(factor):
    if not len(factor):
        return 0
    (routine,) = scipy.linalg.get_lapack_funcs(("potri",), (factor,))
    inverse, status = routine(factor, lower=True)
    factor[:] = np.tril(inverse) + np.tril(inverse, -1).T
    return status


def potrs(factor, rows):
    trsm(factor, False, rows)
    trsm(factor, True, rows)


def multiply(a, b, c):
    np.copyto(c, a @ b)


def multiply_add(a, b, c):
    np.copyto(c, c + a @ b)


def multiply_transposed(a, b, c):
    np.copyto(c, a.T @ b)


def gram(a, c):
    np.copyto(c, a.T @ a)
