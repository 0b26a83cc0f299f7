"""Activations: twins, finite differences, and the global minimiser of every prox."""

import numpy as np
import pytest
from reference import activations as twins

from fastadmm import kernels

REALS = [np.float32, np.float64]
PARAMETERS = {"leaky_relu": (0.125,)}  # exact in float32
NAMES = list(twins.VALUE)
SMOOTH = ("tanh", "sigmoid", "softplus", "silu")


def _of(prefix, name):
    return getattr(kernels, f"{prefix}{name}_activation")


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", NAMES)
def test_value_and_derivative_equal_their_twins(name, real):
    parameters = PARAMETERS.get(name, ())
    rng = np.random.default_rng(0)
    a = np.concatenate([4 * rng.normal(size=200), [0, 1, -1, 3, -3, 1e4, -1e4, 30, -30]])
    a = a.astype(real)
    eps = np.finfo(real).eps
    with np.errstate(over="ignore", under="ignore"):
        for prefix, twin in (("", twins.VALUE), ("grad_", twins.DERIVATIVE)):
            result = _of(prefix, name)(a, *parameters)
            expected = twin[name](a.astype(twins.LONG), *parameters).astype(float)
            assert result.dtype == real
            # SiLU's derivative has a zero: there it is accurate absolutely
            absolute = 4 * eps if (name, prefix) == ("silu", "grad_") else np.finfo(real).tiny
            np.testing.assert_allclose(result, expected, rtol=8 * eps, atol=absolute)


@pytest.mark.parametrize("name", NAMES)
def test_derivative_by_finite_differences(name):
    parameters = PARAMETERS.get(name, ())
    a, h = 3 * np.random.default_rng(1).normal(size=100), 1e-6
    f = _of("", name)
    difference = (f(a + h, *parameters) - f(a - h, *parameters)) / (2 * h)
    np.testing.assert_allclose(_of("grad_", name)(a, *parameters), difference, atol=1e-8)


def _cases(real, seed):
    """(m, s, w2) with w1 = 1: near and far, s inside and outside the range, extreme weights."""
    rng = np.random.default_rng(seed)
    m, s, w2 = [], [], []
    for ratio in (1e-6, 1e-3, 0.3, 3.0, 50.0, 1e3, 1e4, 1e8):
        for magnitude in (1, 6, 1e4):
            for spread in (0.3, 1.5, magnitude):
                m.append(magnitude * rng.normal())
                s.append(spread * rng.normal())
                w2.append(ratio)
    m += [-3.0, -4, -2, -30, 5, 8, -1.3, 0, 1e-20, -1.3, -5]
    s += [0.9, 1, 0.5, 0.99, -40, -0.25, -0.2, 0, 1e-21, -0.3, -0.01]
    w2 += [30.0, 100, 8, 1e6, 1e3, 1e4, 1e5, 2, 1, 1e4, 1e6]
    return (np.array(x).astype(real) for x in (m, s, w2))


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", NAMES)
def test_prox_is_the_global_minimiser(name, real):
    """Against a dense grid; a worse local minimum is off by far more than rounding."""
    parameters = PARAMETERS.get(name, ())
    m, s, w2 = _cases(real, seed=3)
    a = _of("prox_", name)(m, s, *parameters, w2=w2)
    eps = float(np.finfo(real).eps)
    for i in range(len(m)):
        case = float(m[i]), float(s[i]), 1.0, float(w2[i])
        lowest = twins.lowest_on_grid(name, *case, *parameters)
        cost = twins.objective(name, a[i], *case, *parameters)
        # what rounding of a and of f(a) costs
        slope = twins.DERIVATIVE[name](np.asarray(a[i], twins.LONG), *parameters)
        in_f = eps * (abs(case[1]) + 1 + abs(slope * a[i]))
        rounding = (eps * (abs(a[i]) + abs(case[0]))) ** 2 + case[3] * in_f**2
        assert cost <= lowest * (1 + 16 * eps) + 4 * rounding, case


@pytest.mark.parametrize("name", SMOOTH)
def test_prox_is_stationary(name):
    m, s, w2 = _cases(np.float64, seed=4)
    a = _of("prox_", name)(m, s, w2=w2)
    f, slope = twins.VALUE[name](a), twins.DERIVATIVE[name](a)
    gradient = (a - m) - w2 * (s - f) * slope
    # rounding of a moves the gradient by eps |a P''|
    h = 1e-4
    second = w2 * (slope**2 + np.abs(s - f) * np.abs(twins.DERIVATIVE[name](a + h) - slope) / h)
    scale = np.abs(a) + np.abs(m) + w2 * (np.abs(s) + np.abs(f)) * slope + np.abs(a) * second
    assert (np.abs(gradient) <= 1e-14 * (scale + 1e-300)).all()


@pytest.mark.parametrize("name", NAMES)
def test_without_second_weight_the_point_itself(name):
    m = np.array([-1e4, -2, -1e-3, 0, 0.5, 3, 50])
    parameters = PARAMETERS.get(name, ())
    result = _of("prox_", name)(m, np.ones(7), *parameters, w2=0.0)
    np.testing.assert_allclose(result, m, rtol=1e-15)


def test_ties_go_to_the_nearer_minimiser():
    # m = -1, s: on a <= 0 the cost is s^2 / 2 at a = m, on a >= 0 it is (1 + s)^2 / 4
    s = 1 + np.sqrt(2.0)
    m = np.full(2, -1.0)
    below, above = kernels.prox_relu_activation(m, np.array([s - 1e-9, s + 1e-9]))
    assert below == -1
    assert above == pytest.approx((s - 1) / 2)
    # an exact tie: |m| = 1, w2 = 1/3, s = 3: 3/2 = 3/2
    tie = kernels.prox_relu_activation(-1.0, 3.0, w1=3.0, w2=1.0)
    assert tie == -1


@pytest.mark.parametrize("prefix", ["", "grad_", "prox_"])
@pytest.mark.parametrize("name", NAMES)
def test_shapes_strides_in_place_nan_and_huge(name, prefix):
    parameters = PARAMETERS.get(name, ())
    rng = np.random.default_rng(0)
    m, s = 2 * rng.normal(size=300), rng.normal(size=300)
    prox = prefix == "prox_"

    def run(x, y, **keywords):
        return _of(prefix, name)(x, *((y,) if prox else ()), *parameters, **keywords)

    flat = run(m, s)
    grid = np.asfortranarray(m.reshape(20, 15))
    np.testing.assert_array_equal(run(grid, s.reshape(20, 15)).ravel(), flat)
    np.testing.assert_array_equal(run(m[::-3], s[::-3]), flat[::-3])
    assert run(m[:0], s[:0]).shape == (0,)
    np.testing.assert_array_equal(run(m[:1], s[:1]), flat[:1])
    assert run(m[0], s[0]).shape == ()
    again = m.copy()
    assert run(again, s, out=again) is again
    np.testing.assert_array_equal(again, flat)
    damaged = m.copy()
    damaged[7] = np.nan
    result = run(damaged, s)
    assert np.isnan(result[7])
    np.testing.assert_array_equal(np.delete(result, 7), np.delete(flat, 7))
    if prox:
        assert np.isnan(run(m[:1], np.array([np.nan]))).all()
    for real in REALS:
        huge = np.array([1e30, -1e30, 1e30, -1e30], real)
        result = run(huge, np.array([1, 1, -1e30, 1e30], real))
        assert result.dtype == real
        assert not np.isnan(result).any()


@pytest.mark.parametrize("name", NAMES)
def test_prox_kernel_returns_its_second_term(name):
    parameters = PARAMETERS.get(name, ())
    m, s, out = np.linspace(-3, 3, 7), np.linspace(1, -1, 7), np.empty(7)
    value = _of("prox_", name).kernel(m, s, *parameters, 1.5, 2.0, out)
    assert value == pytest.approx(np.sum((s - twins.VALUE[name](out, *parameters)) ** 2))


def test_errors_name_the_argument():
    m = np.zeros(3)
    with pytest.raises(ValueError, match=r"w1 is 0.0: expected a positive"):
        kernels.prox_tanh_activation(m, m, w1=0.0)
    with pytest.raises(ValueError, match=r"w2 is -1.0: expected a non-negative"):
        kernels.prox_tanh_activation(m, m, w2=-1.0)
    with pytest.raises(ValueError, match=r"s has shape \(2,\): expected \(3,\)"):
        kernels.prox_silu_activation(m, np.zeros(2))
    with pytest.raises(ValueError, match=r"slope is -0.1"):
        kernels.leaky_relu_activation(m, slope=-0.1)
    with pytest.raises(TypeError, match=r"a has dtype float16"):
        kernels.relu_activation(m.astype(np.float16))
