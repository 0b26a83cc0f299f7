"""Penalties, sets and losses beside pyproximal and cvxpy, where these are installed."""

import numpy as np
import pytest
from cases.calls import CALLS, LOSSES
from cases.peers import cvxpy_loss_prox, cvxpy_prox, pyproximal_prox
from cases.penalties import CASES, CONVEX

from fastadmm import kernels

pytestmark = pytest.mark.peers
STEP = 0.5
# pyproximal stops its own iterations early on these
ROUGH = {"total_variation": 1e-2, "l1_ball": 1e-4, "simplex": 1e-6}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_prox_equals_pyproximal(case):
    pytest.importorskip("pyproximal")
    if case.name == "huber":
        pytest.skip("pyproximal's is not the minimiser of its own objective")
    peer = pyproximal_prox(case, 24)
    if peer is None:
        pytest.skip(f"pyproximal has no {case.name}")
    v = case.sample(np.float64)
    v = v if case.shape == "matrix" else np.atleast_2d(v)[0]
    expected = peer(v.ravel(), STEP).reshape(v.shape)
    x = case.prox(v, *case.prox_arguments(24, STEP))
    np.testing.assert_allclose(x, expected, atol=ROUGH.get(case.name, 1e-12))


@pytest.mark.parametrize("case", CONVEX, ids=str)
def test_prox_equals_an_interior_point_method(case):
    pytest.importorskip("cvxpy")
    v = case.sample(np.float64, 8)
    v = v if case.shape == "matrix" else np.atleast_2d(v)[0]
    expected, least = cvxpy_prox(case, v, STEP)
    x = case.prox(v, *case.prox_arguments(8, STEP))
    np.testing.assert_allclose(x, expected, atol=2e-4)
    value = case.value(x, *case.value_arguments(8)) + np.sum((x - v) ** 2) / (2 * STEP)
    assert value == pytest.approx(least, rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_prox_equals_an_interior_point_method(name):
    pytest.importorskip("cvxpy")
    weight = 0.75
    v, y, *parameters = CALLS[f"{name}_loss"]()[:-1]
    expected, least = cvxpy_loss_prox(name, v, y, parameters, STEP, weight)
    x = getattr(kernels, f"prox_{name}_loss")(v, y, *parameters, STEP, weight)
    np.testing.assert_allclose(x, expected, atol=2e-4)
    value = getattr(kernels, f"{name}_loss")(x, y, *parameters, weight)
    assert value + np.sum((x - v) ** 2) / (2 * STEP) == pytest.approx(least, rel=1e-6)
