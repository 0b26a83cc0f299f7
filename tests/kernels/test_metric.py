"""Proxes in the metric of a matrix: against twins and SciPy, conditions of optimality, mistakes."""

import numpy as np
import pytest
from reference import metric as twin
from scipy.optimize import lsq_linear, nnls

from fastadmm import kernels

M, N = 5, 12
SCALE = np.array([0.5, 1, 2, 1, 3.0])
PROXES = {
    "nonnegative": (kernels.metric_nonnegative, (), lambda v, step: np.maximum(v, 0)),
    "box": (kernels.metric_box, (-0.3, 0.5), lambda v, step: np.clip(v, -0.3, 0.5)),
    "l1": (kernels.metric_l1, (8.0,), lambda v, step: twin.soft(v, 8 * step)),
    "group": (
        kernels.metric_group, (16.0, SCALE), lambda v, step: twin.shrink_columns(v, 16 * step)
    ),
}  # fmt: skip
VALUES = {
    "l1": lambda x: 8 * np.abs(x).sum(1),
    "group": lambda x: 16 * np.linalg.norm(x, axis=0).sum(),
}


def drawn(real=np.float64):
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((2 * N, N))
    return (rows.T @ rows).astype(real), rng.standard_normal((M, N)).astype(real)


@pytest.mark.parametrize(
    ("name", "real"), [*((name, np.float64) for name in PROXES), ("box", np.float32)]
)
def test_against_proximal_gradient_steps(name, real):
    prox, coefficients, project = PROXES[name]
    matrix, target = drawn(real)
    scale = SCALE if name == "group" else 1.0
    expected = twin.prox(matrix.astype(float), target.astype(float), project, scale)
    eps = np.finfo(real).eps
    found = prox(matrix, target, *coefficients, eps_rel=30 * eps)
    assert found.x.dtype == real
    np.testing.assert_allclose(found.x, expected, atol=3e3 * eps)
    zeros = np.abs(expected) < 1e-9
    assert zeros.any() == (name != "box")
    np.testing.assert_array_equal(found.x[zeros], 0)


@pytest.mark.parametrize("name", PROXES)
def test_gap_bounds_the_distance_from_the_minimum_sweep_by_sweep(name):
    prox, coefficients, project = PROXES[name]
    matrix, target = drawn()
    scale = SCALE if name == "group" else 1.0
    least = twin.prox(matrix, target, project, scale)

    def objective(x):
        of_rows = twin.objective(matrix, target, x, scale)
        own = VALUES.get(name, lambda x: 0.0)(x)
        return of_rows.sum() + own if name == "group" else of_rows + own

    before = np.inf
    for sweeps in range(6):
        found = prox(matrix, target, *coefficients, max_iter=sweeps, start=np.zeros_like(target))
        assert found.sweeps == sweeps
        np.testing.assert_array_equal(project(found.x, 0.0), found.x)  # in the set, all the way
        above = objective(found.x) - objective(least)
        assert (above <= found.gap + 1e-9).all()
        assert (found.gap > 1e-6).any()
        assert (objective(found.x) <= before + 1e-9).all()
        before = objective(found.x)


def test_non_negative_and_bounded_least_squares_of_scipy():
    matrix, target = drawn()
    root = np.linalg.cholesky(matrix).T
    for row in target:
        found = kernels.metric_nonnegative(matrix, row, eps_rel=1e-12).x
        np.testing.assert_allclose(found, nnls(root, root @ row)[0], atol=1e-9)
        found = kernels.metric_box(matrix, row, -0.2, 0.4, eps_rel=1e-12).x
        peer = lsq_linear(root, root @ row, (-0.2, 0.4), tol=1e-14).x
        np.testing.assert_allclose(found, peer, atol=1e-9)


def test_bounds_of_every_entry_with_entries_left_out():
    matrix, target = drawn()
    rng = np.random.default_rng(1)
    sign, kept = np.where(rng.random(N) < 0.5, 1, -1), rng.random((M, N)) < 0.5
    lower = np.where(kept & (sign < 0), -np.inf, 0.0)
    upper = np.where(kept & (sign > 0), np.inf, 0.0)
    found = kernels.metric_box(matrix, target, lower, upper, eps_rel=1e-10)
    assert (found.x[~kept] == 0).all()
    assert (found.x * sign >= 0).all()
    pull = -(found.x - target) @ matrix
    inside = (found.x != 0) & kept
    np.testing.assert_allclose(pull[inside], 0, atol=1e-7)
    outward = (pull * sign)[kept & ~inside]
    assert outward.size
    assert (outward <= 1e-7).all()


def test_a_start_at_the_minimiser_takes_no_sweep_and_out_is_written():
    matrix, target = drawn()
    x = kernels.metric_l1(matrix, target, 8.0, eps_rel=1e-10).x
    out = np.empty_like(x)
    again = kernels.metric_l1(matrix, target, 8.0, start=x, eps_rel=1e-9, out=out)
    assert again.sweeps == 0
    assert again.x is out
    np.testing.assert_array_equal(out, x)


def test_equal_penalties_and_no_rows():
    matrix, target = drawn()
    unweighted = kernels.metric_group(matrix, target, 0.0)
    np.testing.assert_array_equal(unweighted.x, target)
    for prox, coefficients, _ in PROXES.values():
        coefficients = coefficients[:1] if prox is kernels.metric_group else coefficients
        assert prox(matrix, target[:0], *coefficients).x.shape == (0, N)


def test_nan_spoils_its_own_row_only():
    matrix, target = drawn()
    expected = kernels.metric_box(matrix, target, -0.3, 0.5).x
    target[2, 0] = np.nan
    found = kernels.metric_box(matrix, target, -0.3, 0.5, start=np.zeros_like(target))
    assert np.isnan(found.gap[2])
    np.testing.assert_allclose(np.delete(found.x, 2, 0), np.delete(expected, 2, 0), atol=1e-4)


MISTAKES = {
    "matrix is not positive definite: its smallest eigenvalue is -1": (-np.eye(N), {}),
    r"lower\[0, 0\] is 1.0: expected at most 0.5": (np.eye(N), dict(lower=1.0)),
    "lower is nan: expected no NaN": (np.eye(N), dict(lower=np.nan)),
    r"upper has shape \(3,\): expected \(5, 12\) or what broadcasts": (
        np.eye(N), dict(upper=np.ones(3)),
    ),
    "eps_rel is -1.0: expected a non-negative number, finite": (np.eye(N), dict(eps_rel=-1)),
    r"target has shape \(5, 12\): expected \(m, 11\)": (np.eye(N - 1), {}),
}  # fmt: skip


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_named(message):
    matrix, changed = MISTAKES[message]
    with pytest.raises(ValueError, match=message):
        kernels.metric_box(matrix, drawn()[1], **dict(lower=-0.3, upper=0.5) | changed)
