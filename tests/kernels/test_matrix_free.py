"""Conjugate gradients on a compiled operator."""

import subprocess
import sys

import numpy as np
import pytest
from numba import njit
from reference import linear as twins

from fastadmm import kernels


@njit
def multiply(matrix, x, y):
    for i in range(len(x)):
        total = x.dtype.type(0)
        for j in range(len(x)):
            total += matrix[i, j] * x[j]
        y[i] = total


@njit
def jacobi(matrix, r, z):
    for i in range(len(r)):
        z[i] = r[i] / matrix[i, i]


def negate(matrix, r, z):
    z[:] = -r


def matrix(n, real=np.float64, spread=1.0):
    rng = np.random.default_rng(0)
    scale = np.logspace(0, np.log10(spread), n)
    dense = twins.ridge(rng.standard_normal((2 * n, n)), 1.0) * np.sqrt(np.outer(scale, scale))
    return dense.astype(real), rng.standard_normal(n).astype(real)


@pytest.mark.parametrize(
    ("real", "precondition"), [(np.float32, None), (np.float64, None), (np.float64, jacobi)]
)
@pytest.mark.parametrize("n", [1, 2, 30])
def test_solves_to_the_tolerance_it_certifies(n, precondition, real):
    dense, b = matrix(n, real)
    tolerance = 1e-5 if real == np.float32 else 1e-12
    x, status, iterations, residual = kernels.conjugate_gradients(
        multiply, dense, b, precondition, eps_rel=tolerance
    )
    assert status == "solved"
    assert x.dtype == real
    assert 1 <= iterations <= 3 * n
    true = np.linalg.norm(b - dense.astype(float) @ x.astype(float))
    assert residual <= tolerance * np.linalg.norm(b)
    assert true <= 2 * tolerance * np.linalg.norm(b)
    expected = twins.solve(dense.astype(float), b)
    np.testing.assert_allclose(x, expected, rtol=0, atol=50 * tolerance * np.abs(expected).max())


def test_iterates_are_the_textbooks():
    dense, b = matrix(12)
    for k in range(4):
        x, status, iterations, residual = kernels.conjugate_gradients(
            multiply, dense, b, max_iter=k, eps_rel=0
        )
        assert (status, iterations) == ("max_iter", k)
        np.testing.assert_allclose(x, twins.conjugate_gradients(dense, b, k), rtol=1e-10)
        assert residual == pytest.approx(np.linalg.norm(b - dense @ x))


def test_preconditioner_saves_iterations():
    dense, b = matrix(40, spread=1e6)
    plain = kernels.conjugate_gradients(multiply, dense, b, eps_rel=1e-9, max_iter=2000)
    better = kernels.conjugate_gradients(multiply, dense, b, jacobi, eps_rel=1e-9)
    assert better.status == "solved"
    assert 2 * better.iterations < plain.iterations


def test_starts_where_told():
    dense, b = matrix(20)
    solution = twins.solve(dense, b)
    assert kernels.conjugate_gradients(multiply, dense, b, start=solution).iterations == 0
    out = solution.copy()
    result = kernels.conjugate_gradients(multiply, dense, b, start=out, out=out)
    assert result.x is out
    assert result.iterations == 0


def test_zero_right_hand_side_and_nothing():
    dense, b = matrix(3)
    result = kernels.conjugate_gradients(multiply, dense, 0 * b)
    assert (result.status, result.iterations) == ("solved", 0)
    np.testing.assert_array_equal(result.x, 0)
    assert kernels.conjugate_gradients(multiply, dense[:0, :0], b[:0]).status == "solved"


def test_unreachable_tolerance_ends():
    dense, b = matrix(30, np.float32)
    result = kernels.conjugate_gradients(multiply, dense, b, eps_rel=1e-12, max_iter=100)
    assert result.status == "max_iter"
    assert result.residual < 1e-5 * np.linalg.norm(b)


@pytest.mark.parametrize("place", ["matrix", "rhs", "start"])
def test_nan_is_reported_and_never_hangs(place):
    dense, b = matrix(4)
    start = np.zeros(4)
    {"matrix": dense, "rhs": b, "start": start}[place].flat[0] = np.nan
    result = kernels.conjugate_gradients(multiply, dense, b, start=start, max_iter=10**9)
    assert result.status == "diverged"
    assert np.isnan(result.residual)


def test_indefinite_raises():
    b = np.ones(3)
    with pytest.raises(np.linalg.LinAlgError, match="found in iteration 1"):
        kernels.conjugate_gradients(multiply, -np.eye(3), b)
    with pytest.raises(np.linalg.LinAlgError, match="apply or precondition is not positive"):
        kernels.conjugate_gradients(multiply, np.zeros((3, 3)), b)
    kernel, work = kernels.conjugate_gradients.kernel.py_func, np.empty((4, 3))
    assert kernel(multiply, np.eye(3), b, negate, 1e-9, 0.0, 9, work, np.zeros(3))[0] == 2


def test_refuses():
    with pytest.raises(TypeError, match=r"apply is function: expected .* numba\.njit"):
        kernels.conjugate_gradients(multiply.py_func, np.eye(2), np.ones(2))
    with pytest.raises(TypeError, match="precondition is int: expected"):
        kernels.conjugate_gradients(multiply, np.eye(2), np.ones(2), 3)
    with pytest.raises(TypeError, match="apply is NoneType: expected"):
        kernels.conjugate_gradients(None, np.eye(2), np.ones(2))
    with pytest.raises(ValueError, match=r"rhs has shape \(2, 2\): expected \(n,\)"):
        kernels.conjugate_gradients(multiply, np.eye(2), np.eye(2))
    with pytest.raises(ValueError, match=r"eps_rel is -1\.0: "):
        kernels.conjugate_gradients(multiply, np.eye(2), np.ones(2), eps_rel=-1)
    with pytest.raises(TypeError, match="max_iter is float: expected a non-negative integer"):
        kernels.conjugate_gradients(multiply, np.eye(2), np.ones(2), max_iter=2.5)
    with pytest.raises(ValueError, match=r"start has shape \(3,\): expected \(2,\)"):
        kernels.conjugate_gradients(multiply, np.eye(2), np.ones(2), start=np.ones(3))


def test_as_plain_python():
    dense, b = matrix(6)
    x, work = np.zeros(6), np.empty((4, 6))
    kernel = kernels.conjugate_gradients.kernel.py_func
    status, _, _ = kernel(multiply, dense, b, jacobi, 1e-10, 0.0, 60, work, x)
    assert status == 0
    np.testing.assert_allclose(x, twins.solve(dense, b), rtol=1e-8)


SOLVER = """
import sys
import numpy as np
from numba import njit
from fastadmm.kernels import conjugate_gradients

@njit(cache=True)
def apply(data, x, y):
    diagonal, shift = data
    for i in range(len(x)):
        y[i] = (diagonal[i] + shift) * x[i]

@njit(cache=True)
def precondition(data, r, z):
    z[:] = r / data[0]

@njit(cache=True)
def solve(diagonal, b):
    x, y, work = np.zeros_like(b), np.zeros_like(b), np.empty((4, len(b)))
    plain = conjugate_gradients(apply, (diagonal, 1.0), b, None, 1e-12, 0.0, 50, work, x)
    better = conjugate_gradients(apply, (diagonal, 1.0), b, precondition, 1e-12, 0.0, 50, work, y)
    return x, y, plain[0] + better[0]

x, y, status = solve(np.array([1.0, 3.0]), np.ones(2))
print(x.round(9).tolist(), y.round(9).tolist(), status, sum(solve.stats.cache_hits.values()))
"""


def test_callable_from_cached_user_code(tmp_path):
    """A user's cached function that hands its operator over is found again by the next process."""
    (tmp_path / "solver.py").write_text(SOLVER)
    answers = [
        subprocess.run(
            [sys.executable, "-W", "error", "solver.py"],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        ).stdout.strip()
        for _ in range(2)
    ]  # fmt: skip
    assert answers == ["[0.5, 0.25] [0.5, 0.25] 0 0", "[0.5, 0.25] [0.5, 0.25] 0 1"]
