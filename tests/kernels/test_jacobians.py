"""Products with Jacobians, by finite differences of the proxes away from their kinks."""

import numpy as np
import pytest
from cases.calls import LOSSES
from cases.penalties import CASES

from fastadmm import kernels

STEP = 0.5
PRODUCTS = [case for case in CASES if f"vjp_{case.prox.__name__}" in kernels.__all__]
H = 1e-6


def _agrees(prox, vjp, v, *arguments):
    """``<u, J d>`` by differences against ``<vjp(u), d>``, for a few u and d."""
    rng = np.random.default_rng(3)
    for _ in range(4):
        u, d = rng.normal(size=(2, *v.shape))
        ends = [prox(v + h * d, *arguments) for h in (H, -H)]
        expected = (u * (ends[0] - ends[1])).sum() / (2 * H)
        product = vjp(v, u, *arguments)
        assert product.dtype == v.dtype
        assert (product * d).sum() == pytest.approx(expected, rel=2e-5, abs=2e-6)


@pytest.mark.parametrize("case", PRODUCTS, ids=str)
def test_products_equal_finite_differences(case):
    """At scales where few, some and most entries are at their bounds."""
    vjp = getattr(kernels, f"vjp_{case.prox.__name__}")
    for scale in (0.4, 2.0, 6.0):
        v = case.sample(np.float64, 12, scale=scale, seed=4)
        if case.name == "positive_semidefinite":
            v = v + v.T
        _agrees(case.prox, vjp, v, *case.prox_arguments(12, STEP))


@pytest.mark.parametrize("name", LOSSES)
def test_products_of_losses(name):
    rng = np.random.default_rng(0)
    v, y = 2 * rng.normal(size=12), rng.normal(size=12)
    y = np.sign(y) if "hinge" in name or name == "logistic" else abs(y)
    parameters = {"huber": (0.75,), "quantile": (0.25,)}.get(name, ())
    weight = rng.uniform(0.1, 2, 12)
    prox, vjp = (getattr(kernels, f"{p}prox_{name}_loss") for p in ("", "vjp_"))
    _agrees(prox, vjp, v, y, *parameters, STEP, weight)


def test_products_of_cross_entropy():
    rng = np.random.default_rng(0)
    v, soft = rng.normal(size=(5, 4)), rng.dirichlet(np.ones(4), 5)
    prox, vjp = kernels.prox_cross_entropy_loss, kernels.vjp_prox_cross_entropy_loss
    for y in (np.array([0, 3, 1, 1, 2]), soft):
        _agrees(prox, vjp, v, y, 2.0, rng.uniform(0.5, 3, 5))
    u = rng.normal(size=(5, 4))
    np.testing.assert_array_equal(vjp(v.T, u.T, soft.T, 2.0, axis=0), vjp(v, u, soft, 2.0).T)


def test_weighted_isotonic_regression_has_a_jacobian_that_is_not_symmetric():
    rng = np.random.default_rng(1)
    v, weight = rng.normal(size=12), rng.uniform(0.2, 3, 12)
    _agrees(kernels.project_isotonic, kernels.vjp_project_isotonic, v, weight)


def test_axes_results_dtypes_and_keywords():
    rng = np.random.default_rng(2)
    v, u = rng.normal(size=(2, 4, 3)).astype(np.float32)
    x = kernels.vjp_project_simplex(v, u, total=2.0)
    assert x.dtype == np.float32
    out = np.zeros((3, 4), np.float32)
    assert kernels.vjp_project_simplex(v.T, u.T, 2.0, axis=0, out=out) is out
    np.testing.assert_array_equal(out.T, x)
    again = u.copy()
    kernels.vjp_prox_l1(v, again, step=0.5, out=again)
    np.testing.assert_array_equal(again, kernels.vjp_prox_l1(v, u, 0.5))
    with pytest.raises(ValueError, match=r"u has shape \(4,\): expected \(4, 3\), that of v"):
        kernels.vjp_prox_l2_norm(v, u[:, 0])
    with pytest.raises(ValueError, match=r"step is -1.0: expected a positive number"):
        kernels.vjp_prox_l2_norm(v, u, -1.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rows_that_are_not_numbers_have_an_end(value):
    """A NaN is not equal to itself: pieces of equal values were none, for ever."""
    v = np.full(6, value)
    for vjp in (
        kernels.vjp_prox_total_variation, kernels.vjp_prox_fused_lasso,
        kernels.vjp_project_isotonic,
    ):  # fmt: skip
        assert vjp(v, np.ones(6)).shape == (6,)
