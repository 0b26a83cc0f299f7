"""Solvers over compiled proxes: one problem, four ways, and what they say when they end."""

import numpy as np
import pytest
from fastadmm.kernels import prox_l1, solvers
from numba import njit

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(30, 12))
TARGETS = ROWS[:, :3] @ RNG.normal(size=3) + 0.1 * RNG.normal(size=30)
PENALTY = 4.0
GRAM, LINEAR = ROWS.T @ ROWS, TARGETS @ ROWS
DATA = GRAM, LINEAR, ROWS, TARGETS


@njit
def gradient(data, x, out):
    out[:] = data[0] @ x - data[1]


@njit
def prox_squares(data, v, step, out):
    out[:] = np.linalg.solve(np.eye(len(v)) + step * data[0], v + step * data[1])


@njit
def prox_penalty(data, v, step, out):
    return prox_l1(v, step, PENALTY, out)


@njit
def prox_residual(data, v, step, out):
    out[:] = (v + step * data[3]) / (1 + step)


@njit
def forward(data, x, out):
    out[:] = data[2] @ x


@njit
def adjoint(data, y, out):
    out[:] = y @ data[2]


@njit
def nothing(data, v, step, out):
    out[:] = np.nan


SIZE = np.linalg.norm(ROWS, 2)
START = np.zeros(12)
RUNS = {
    "admm": lambda **k: solvers.admm(prox_squares, prox_penalty, DATA, START, rho=10.0, **k),
    "fista": lambda **k: solvers.fista(gradient, prox_penalty, DATA, START, step=SIZE**-2, **k),
    "douglas_rachford": lambda **k: solvers.douglas_rachford(
        prox_penalty, prox_squares, DATA, START, step=0.1, **k
    ),
    "chambolle_pock": lambda **k: solvers.chambolle_pock(
        prox_penalty, prox_residual, forward, adjoint, DATA, START, np.zeros(30),
        tau=1 / SIZE, sigma=1 / SIZE, **k,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_solution_is_stationary_and_tolerances_act(name):
    """``Aᵀ(A x - y)`` is within the penalty, and at its bound where x is not zero."""
    errors = []
    for eps in (1e-3, 1e-6, 1e-10):
        x, status, iterations, primal, dual = RUNS[name](eps_abs=eps, eps_rel=0.0)
        assert status == "solved"
        assert primal <= eps * np.sqrt(30)
        assert dual < np.inf
        slope = GRAM @ x - LINEAR
        wrong = np.where(np.abs(x) > 1e-7, slope + PENALTY * np.sign(x), 0)
        errors.append((np.abs(wrong).max() + max(np.abs(slope).max() - PENALTY, 0), iterations))
    assert errors[2][0] < 1e-6
    assert errors[0][1] < errors[1][1] < errors[2][1]
    assert 2 <= np.count_nonzero(np.abs(x) > 1e-7) < 12


@pytest.mark.parametrize("name", RUNS)
def test_max_iter_results_and_float32(name):
    x = np.zeros(12)
    result = RUNS[name](max_iter=3, out=x)
    assert result.status == "max_iter"
    assert result.iterations == 3
    assert result.x is x
    assert RUNS[name](max_iter=0).primal == np.inf


def test_relaxation_saves_iterations_and_keeps_the_solution():
    for name in ("admm", "douglas_rachford", "chambolle_pock"):
        plain, more = (RUNS[name](relaxation=a, eps_abs=1e-9, eps_rel=0.0) for a in (1.0, 1.5))
        assert more.iterations < plain.iterations
        np.testing.assert_allclose(more.x, plain.x, atol=1e-6)


def test_what_is_not_finite_ends_a_run():
    result = solvers.admm(nothing, prox_penalty, DATA, START, max_iter=10**9)
    assert result.status == "diverged"
    assert result.iterations == 1


def test_refuses():
    with pytest.raises(TypeError, match=r"prox_f is function: expected .* numba\.njit"):
        solvers.admm(nothing.py_func, nothing, (), START)
    with pytest.raises(ValueError, match=r"rho is 0.0: expected a positive number"):
        solvers.admm(nothing, nothing, (), START, rho=0.0)
    with pytest.raises(ValueError, match=r"relaxation is 2.0: expected a finite number above 0"):
        solvers.douglas_rachford(nothing, nothing, (), START, relaxation=2.0)
    with pytest.raises(ValueError, match=r"start has shape \(2, 2\): expected \(n,\)"):
        solvers.fista(nothing, nothing, (), np.eye(2), step=1.0)
    with pytest.raises(ValueError, match=r"eps_abs is -1.0: expected a non-negative number"):
        solvers.chambolle_pock(*4 * (nothing,), (), START, START, tau=1.0, sigma=1.0, eps_abs=-1.0)
