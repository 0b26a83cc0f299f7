"""Grams and ridge systems on one thread, beside the same LAPACK and BLAS called through SciPy."""

import numpy as np
import pytest
from scipy.linalg import blas, lapack

from bench.timing import measure
from fastadmm import kernels

REALS = [np.float32, np.float64]
GRAMS = [(64, 64), (4096, 64), (1024, 256), (4096, 1024)]
RIDGES = [(128, 64), (1024, 256), (256, 1024), (2048, 1024)]
DELTA = 0.5
K = 64
"""Right-hand sides."""


def _normal(shape, real):
    return np.random.default_rng(0).standard_normal(shape).astype(real)


def _facts(operator, n, real, by):
    return {"operator": operator, "n": n, "dtype": real.__name__, "by": by}


def _routines(module, real, *names):
    letter = "s" if real == np.float32 else "d"
    return [getattr(module, letter + name) for name in names]


@pytest.mark.parametrize("by", ["fastadmm", "scipy"])
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize(("m", "n"), GRAMS)
def test_gram(benchmark, m, n, real, by):
    facts = _facts("gram", f"{m} x {n}", real, by)
    rows = _normal((m, n), real)
    out = np.zeros((n, n), real)
    if by == "fastadmm":
        work = np.empty((1, n), real)
        measure(benchmark, kernels.gram.kernel, rows, None, 0.0, 1.0, work, out, **facts)
    else:
        (syrk,) = _routines(blas, real, "syrk")
        measure(benchmark, lambda: syrk(1.0, rows.T, c=out.T, overwrite_c=True), **facts)
    expected = np.tril(rows.T @ rows)
    np.testing.assert_allclose(np.tril(out), expected, atol=m * 10 * np.finfo(real).eps)


@pytest.mark.parametrize("by", ["fastadmm", "scipy"])
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize(("m", "n"), RIDGES)
def test_ridge_factor_and_solve(benchmark, m, n, real, by):
    """`scipy` calls SYRK, POTRF, POTRS and GEMM on the smaller Gram, on the very same arrays."""
    facts = _facts("ridge factor and solve", f"{m} x {n}", real, by)
    rows, rhs = _normal((m, n), real), _normal((K, n), real)
    size = min(m, n)
    factor, work, out = np.zeros((size, size), real), np.empty((K, m), real), np.empty_like(rhs)

    def ours():
        status = kernels.factor_ridge.kernel(rows, DELTA, factor)
        kernels.solve_ridge.kernel(rows, DELTA, factor, rhs, work, out)
        return status

    (syrk, gemm), (potrf, potrs) = (
        _routines(blas, real, "syrk", "gemm"),
        _routines(lapack, real, "potrf", "potrs"),
    )
    diagonal = factor.reshape(-1)[:: size + 1]

    def theirs():
        syrk(1.0, rows.T, trans=m < n, c=factor.T, overwrite_c=True)
        np.add(diagonal, real(DELTA), out=diagonal)
        _, status = potrf(factor.T, clean=False, overwrite_a=True)
        np.copyto(out, rhs)
        if m >= n:
            potrs(factor.T, out.T, overwrite_b=True)
        else:
            gemm(1.0, rows.T, rhs.T, trans_a=True, c=work.T, overwrite_c=True)
            potrs(factor.T, work.T, overwrite_b=True)
            gemm(
                -1 / DELTA, rows.T, work.T, beta=1 / DELTA, c=out.T, overwrite_c=True
            )  # fmt: skip
        return status

    assert measure(benchmark, ours if by == "fastadmm" else theirs, **facts) == 0
    image = out @ rows.T @ rows + real(DELTA) * out
    cond = np.linalg.norm(rows, 2) ** 2 / DELTA
    np.testing.assert_allclose(image, rhs, atol=10 * cond * np.finfo(real).eps)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("k", [1, 16])
@pytest.mark.parametrize("by", ["fastadmm", "refactor"])
def test_update_of_a_factor(benchmark, by, k, real):
    n = 512
    facts = _facts("update_cholesky", f"{k} rows of {n}", real, by)
    matrix, rows = np.eye(n, dtype=real) * real(4), _normal((k, n), real) / real(n)
    factor, work = np.zeros_like(matrix), np.empty((32 + 2 * k, 32), real)
    kernels.factor_cholesky.kernel(matrix, 0.0, factor)
    fresh = np.empty_like(rows)

    def update():
        np.copyto(fresh, rows)
        return kernels.update_cholesky.kernel(factor, fresh, work)

    def refactor():
        return kernels.factor_cholesky.kernel(matrix, 0.0, factor)

    assert measure(benchmark, update if by == "fastadmm" else refactor, **facts) == 0


@pytest.mark.parametrize("by", ["fastadmm", "scipy"])
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize(("m", "n"), [(1, 10_000), (64, 10_000)])
def test_tridiagonal(benchmark, m, n, real, by):
    """Solves with a kept factor; `scipy` calls PTTRS, whose right-hand sides lie the same way."""
    facts = _facts("solve_tridiagonal", f"{m} x {n}", real, by)
    diagonal, below = np.full(n, 3, real), np.ones(n - 1, real)
    rhs, out = _normal((m, n), real), np.empty((m, n), real)
    if by == "fastadmm":
        system = kernels.factor_tridiagonal(diagonal, below)
        work = np.empty((n, 16), real)
        measure(benchmark, kernels.solve_tridiagonal.kernel, *system, rhs, work, out, **facts)
    else:
        pttrf, pttrs = _routines(lapack, real, "pttrf", "pttrs")
        pivots, multipliers, _ = pttrf(diagonal, below)
        solution, _ = measure(benchmark, pttrs, pivots, multipliers, rhs.T, **facts)
        out = solution.T
    image = 3 * out
    image[:, 1:] += out[:, :-1]
    image[:, :-1] += out[:, 1:]
    np.testing.assert_allclose(image, rhs, atol=50 * np.finfo(real).eps)
