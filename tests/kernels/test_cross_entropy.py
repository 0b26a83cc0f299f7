"""Softmax cross-entropy: twins, finite differences, certificate of the prox."""

import numpy as np
import pytest
from fastadmm.kernels.operators.losses import softmax_cross_entropy
from reference import losses as twins

from fastadmm import kernels

REALS = [np.float32, np.float64]


def _data(real, rows=6, classes=5, magnitude=3.0, soft=False):
    rng = np.random.default_rng(rows + classes)
    z = (magnitude * rng.normal(size=(rows, classes))).astype(real)
    y = rng.integers(0, classes, rows)
    return z, rng.dirichlet(np.ones(classes), rows).astype(real) if soft else y


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("real", REALS)
def test_value_and_gradient_equal_their_twins(real, soft):
    eps = float(np.finfo(real).eps)
    for magnitude in (3, 1e4):
        z, y = _data(real, magnitude=magnitude, soft=soft)
        weight = np.linspace(0, 2, len(z)).astype(real)
        value = kernels.cross_entropy_loss(z, y, weight=weight)
        expected = twins.cross_entropy(z, y, weight)
        assert value == pytest.approx(float(expected), rel=20 * eps)
        slope = kernels.grad_cross_entropy_loss(z, y, weight=weight)
        expected = weight[:, None] * (twins.softmax(z) - twins.soft(y, z.shape[1]))
        assert slope.dtype == real
        np.testing.assert_allclose(slope, expected.astype(float), atol=10 * eps)


@pytest.mark.parametrize("soft", [False, True])
def test_gradient_by_finite_differences(soft):
    z, y = _data(np.float64, soft=soft)
    slope, h = kernels.grad_cross_entropy_loss(z, y), 1e-6
    for i, j in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[i, j] = h
        ends = [kernels.cross_entropy_loss(z + d, y) for d in (step, -step)]
        assert slope[i, j] == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=1e-8)


def test_agrees_with_the_kernel_used_in_training():
    z, y = _data(np.float64)
    gradient = np.empty_like(z)
    value = softmax_cross_entropy(z, y, None, 1.0, gradient)
    assert kernels.cross_entropy_loss(z, y) == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(kernels.grad_cross_entropy_loss(z, y), gradient, atol=1e-15)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("classes", [1, 2, 5, 37])
@pytest.mark.parametrize("real", REALS)
def test_prox_equals_nested_bisection(real, classes, soft):
    eps = float(np.finfo(real).eps)
    for magnitude in (1, 1e4):
        v, y = _data(real, 4, classes, magnitude, soft)
        for step in (1e-6, 0.5, 50.0, 1e5):
            x = kernels.prox_cross_entropy_loss(v, y, step=step)
            tau = float(real(step))
            expected = twins.prox_cross_entropy(v, y, step=tau).astype(float)
            scale = np.abs(v).max(axis=1) + np.abs(expected).max(axis=1) + tau
            assert x.dtype == real
            assert (np.abs(x - expected) <= 8 * eps * scale[:, None]).all(), (magnitude, step)


@pytest.mark.parametrize("soft", [False, True])
def test_prox_is_stationary(soft):
    v, y = _data(np.float64, 50, 10, 4.0, soft)
    x = kernels.prox_cross_entropy_loss(v, y, step=0.7, weight=3.0)
    residual = x - v + 2.1 * (twins.softmax(x) - twins.soft(y, 10))
    assert np.abs(residual).max() < 1e-13


def test_prox_is_nonexpansive_and_weights_are_per_row():
    v, y = _data(np.float64, 40, 4, 5.0)
    other = v + np.random.default_rng(0).normal(size=v.shape)
    step = np.geomspace(1e-3, 1e3, 40)
    a, b = (kernels.prox_cross_entropy_loss(x, y, step=step) for x in (v, other))
    assert (np.linalg.norm(a - b, axis=1) <= np.linalg.norm(v - other, axis=1) + 1e-12).all()
    row = kernels.prox_cross_entropy_loss(v[7], y[7], step=step[7])
    np.testing.assert_allclose(a[7], row, rtol=1e-14)
    np.testing.assert_array_equal(kernels.prox_cross_entropy_loss(v, y, weight=0.0), v)


def test_shapes_in_place_nan_and_huge():
    v, y = _data(np.float64, 6, 5)
    for name in ("grad_", "prox_"):
        function = getattr(kernels, f"{name}cross_entropy_loss")
        flat = function(v, y)
        cube = function(np.asfortranarray(v.reshape(2, 3, 5)), y.reshape(2, 3))
        # sums may be taken in another order
        close = dict(rtol=1e-14, atol=1e-15)
        np.testing.assert_allclose(cube.reshape(6, 5), flat, **close)
        np.testing.assert_allclose(function(v[::2], y[::2]), flat[::2], **close)
        assert function(v[:0], y[:0]).shape == (0, 5)
        again = v.copy()
        assert function(again, y, out=again) is again
        np.testing.assert_allclose(again, flat, **close)
        strided = np.zeros((6, 10))[:, ::2]
        function(v, y, out=strided)
        np.testing.assert_allclose(strided, flat, **close)
        damaged = v.copy()
        damaged[2, 1] = np.nan
        result, others = function(damaged, y), [0, 1, 3, 4, 5]
        assert np.isnan(result[2, 1])
        np.testing.assert_allclose(result[others], flat[others], **close)
        for real in REALS:
            huge = np.array([[1e30, -1e30, 0]], real)
            assert np.isfinite(function(huge, [1])).all()


@pytest.mark.parametrize("prefix", ["", "grad_", "prox_"])
def test_kernel_returns_the_loss(prefix):
    """At the point; that of the prox at the result."""
    v, y = _data(np.float64, 3, 4)
    numbers = (1.0, 0.5) if prefix == "prox_" else (0.5,)
    out = () if prefix == "" else (np.empty_like(v),)
    value = getattr(kernels, f"{prefix}cross_entropy_loss").kernel(v, y, *numbers, *out)
    at = out[0] if prefix == "prox_" else v
    assert value == pytest.approx(float(twins.cross_entropy(at, y, 0.5)))


def test_errors_name_the_argument():
    v = np.zeros((2, 3))
    with pytest.raises(ValueError, match=r"y contains 3: expected labels in \[0, 3\)"):
        kernels.cross_entropy_loss(v, [0, 3])
    with pytest.raises(ValueError, match=r"y has shape \(3,\)"):
        kernels.cross_entropy_loss(v, [0, 1, 2])
    with pytest.raises(ValueError, match=r"no probabilities"):
        kernels.cross_entropy_loss(v, np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"z has shape \(\)"):
        kernels.cross_entropy_loss(1.0, 0)
    with pytest.raises(ValueError, match=r"step is -1.0"):
        kernels.prox_cross_entropy_loss(v, [0, 1], step=-1.0)


@pytest.mark.parametrize("real", REALS)
def test_prox_of_a_single_class_is_the_identity(real):
    v = np.array([[1.0], [-3.0], [1e30], [1e-3]], real)
    for step in (1e-6, 1.0, 1e7, 1e30):
        x = kernels.prox_cross_entropy_loss(v, np.zeros(4, int), step=step, weight=1e8)
        np.testing.assert_array_equal(x, v)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("real", REALS)
def test_prox_with_a_step_that_overflows_stays_near_its_limit(real, soft):
    """tau counts as at most (1 + |v|_inf) / eps: what is lost is of the size of v."""
    v, _ = _data(real)
    y = np.tile(np.eye(5, dtype=real)[3] * 0.8 + real(0.04), (6, 1)) if soft else np.full(6, 3)
    largest = float(np.sqrt(np.finfo(real).max))
    x = kernels.prox_cross_entropy_loss(v, y, step=largest, weight=2 * largest)
    assert np.isfinite(x).all()
    assert soft or (x.argmax(axis=1) == 3).all()
    assert (np.abs(x - v) < 60 + 8 * np.abs(v).max()).all()
