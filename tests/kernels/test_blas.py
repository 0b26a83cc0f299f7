"""BLAS and LAPACK from compiled code: layouts, flags, borders, status codes."""

import numpy as np
import pytest
from fastadmm.kernels.core.blas import gemm, potrf, potrs, syrk
from fastadmm.kernels.core.rows import row
from numba import njit

DTYPES = ("float32", "float64")


def matrix(shape, dtype, margin=0, seed=0):
    """Random matrix; with a margin, a block of columns of a wider one."""
    wide = np.random.default_rng(seed).standard_normal((shape[0], shape[1] + 2 * margin))
    return wide.astype(dtype)[:, margin : margin + shape[1]]


def close(a, b, dtype):
    tolerance = 2e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("margin", [0, 3])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize(("m", "n", "k"), [(4, 5, 6), (1, 5, 3), (4, 1, 1), (3, 2, 0)])
def test_gemm(dtype, margin, transpose_a, transpose_b, m, n, k):
    a = matrix((k, m) if transpose_a else (m, k), dtype, margin, 1)
    b = matrix((n, k) if transpose_b else (k, n), dtype, margin, 2)
    c = matrix((m, n), dtype, margin, 3)
    around = c.base.copy() if margin else None
    op_a, op_b = a.T if transpose_a else a, b.T if transpose_b else b
    expected = 2 * op_a @ op_b - 0.5 * c
    gemm(2.0, a, transpose_a, b, transpose_b, -0.5, c)
    close(c, expected, dtype)
    if margin:  # columns beside the block are untouched
        np.testing.assert_array_equal(c.base[:, :margin], around[:, :margin])
        np.testing.assert_array_equal(c.base[:, -margin:], around[:, -margin:])


def test_gemm_with_zero_beta_forgets_what_was_there():
    c = np.full((2, 2), np.nan)
    gemm(1.0, np.eye(2), False, np.eye(2), False, 0.0, c)
    np.testing.assert_array_equal(c, np.eye(2))


def test_gemm_of_nothing_does_nothing():
    gemm(1.0, np.zeros((0, 3)), False, np.zeros((3, 2)), False, 0.0, np.zeros((0, 2)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("margin", [0, 3])
def test_syrk_writes_the_lower_triangle_only(dtype, margin):
    a, c = matrix((7, 4), dtype, margin), matrix((4, 4), dtype, margin, 1)
    expected, upper = 3 * a.T @ a + 0.5 * c, np.triu(c, 1)
    syrk(3.0, a, 0.5, c)
    close(np.tril(c), np.tril(expected), dtype)
    np.testing.assert_array_equal(np.triu(c, 1), upper)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("margin", [0, 3])
def test_factor_and_solve(dtype, margin):
    a, rows = matrix((9, 5), dtype, margin), matrix((4, 5), dtype, margin, 1)
    gram = matrix((5, 5), dtype, margin, 2)
    gram[:] = np.tril(a.T @ a + np.eye(5)) + np.triu(np.full((5, 5), np.nan), 1)
    full = np.tril(gram) + np.tril(gram, -1).T
    expected = np.linalg.solve(full.astype("float64"), rows.T.astype("float64")).T
    assert potrf(gram) == 0
    close(np.tril(gram), np.linalg.cholesky(full), dtype)
    potrs(gram, rows)
    close(rows, expected, dtype)


def test_status_names_the_failing_minor():
    assert potrf(np.diag([1.0, 2.0, -1.0, 3.0])) == 3
    assert potrf(np.zeros((0, 0))) == 0


def test_callable_from_cached_user_code(tmp_path, monkeypatch):
    """A user's own cached function with BLAS inside runs in a process that only loads it."""
    import subprocess
    import sys

    (tmp_path / "solver.py").write_text(
        "import numpy as np\n"
        "from numba import njit\n"
        "from fastadmm.kernels.core.blas import potrf, potrs\n"
        "@njit(cache=True)\n"
        "def solve(a, b):\n"
        "    status = potrf(a)\n"
        "    potrs(a, b)\n"
        "    return status\n"
        "b = np.ones((1, 2))\n"
        "assert solve(4 * np.eye(2), b) == 0\n"
        "print(b.tolist(), sum(solve.stats.cache_hits.values()))\n"
    )
    results = [
        subprocess.run(
            [sys.executable, "-W", "error", "solver.py"],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        ).stdout.strip()
        for _ in range(2)
    ]  # fmt: skip
    assert results == ["[[0.25, 0.25]] 0", "[[0.25, 0.25]] 1"]


def test_row_is_contiguous_and_shares_memory():
    @njit
    def double(matrix, i):
        values = row(matrix, i)
        for j in range(len(values)):
            values[j] *= 2
        return values.sum()

    block = np.arange(12.0).reshape(3, 4)[:, 1:3]
    assert double(block, 1) == 22
    np.testing.assert_array_equal(block, [[1, 2], [10, 12], [9, 10]])
