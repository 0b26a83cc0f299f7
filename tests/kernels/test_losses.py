"""Element-wise losses: twins, finite differences, and the certificate of every prox."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import losses as twins

from fastadmm import kernels

REALS = [np.float32, np.float64]
LABELLED = ("logistic", "hinge", "squared_hinge")
PARAMETERS = {"huber": (0.75,), "quantile": (0.25,)}  # exact in float32
NAMES = list(twins.VALUE)


def _of(prefix, name):
    return getattr(kernels, f"{prefix}{name}_loss")


def _data(name, real, size=40, magnitude=3.0, seed=0):
    rng = np.random.default_rng(seed)
    z = (magnitude * rng.normal(size=size)).astype(real)
    y = rng.choice([-1, 1], size) if name in LABELLED else rng.poisson(2, size)
    return z, y.astype(real), PARAMETERS.get(name, ())


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient_equal_their_twins(name, real):
    z, y, parameters = _data(name, real)
    weight = np.random.default_rng(1).uniform(0, 2, len(z)).astype(real)
    eps = float(np.finfo(real).eps)
    for w in (1.0, 0.5, weight):
        value = _of("", name)(z, y, *parameters, weight=w)
        expected = twins.loss(name, z, y, *parameters, weight=np.asarray(w, float))
        assert value == pytest.approx(float(expected), rel=10 * eps)
        slope = _of("grad_", name)(z, y, *parameters, weight=w)
        assert slope.dtype == real
        expected = twins.gradient(name, z, y, *parameters, weight=np.asarray(w, float))
        np.testing.assert_allclose(slope, expected.astype(float), rtol=20 * eps, atol=10 * eps)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_by_finite_differences(name):
    z, y, parameters = _data(name, np.float64)
    h = 1e-6
    slope = _of("grad_", name)(z, y, *parameters)
    difference = np.empty_like(z)
    for i in range(len(z)):
        ends = [_of("", name)(z[i : i + 1] + d, y[i : i + 1], *parameters) for d in (h, -h)]
        difference[i] = (ends[0] - ends[1]) / (2 * h)
    np.testing.assert_allclose(slope, difference, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["logistic", "hinge", "squared_hinge", "squared", "huber"])
@pytest.mark.parametrize("real", REALS)
def test_values_are_stable_far_out(name, real):
    z = np.array([-1e4, 1e4, -88.0, 88.0, 0.0], real)
    y = np.array([1, 1, -1, -1, 1], real)
    parameters = PARAMETERS.get(name, ())
    value = _of("", name)(z, y, *parameters)
    assert value == pytest.approx(float(twins.loss(name, z, y, *parameters)), rel=1e-6)
    assert np.isfinite(_of("grad_", name)(z, y, *parameters)).all()


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", NAMES)
def test_prox_equals_bisection(name, real):
    """Twin; it solves the stationarity of the very argmin, from |v| of 1 to 1e4."""
    eps = float(np.finfo(real).eps)
    for magnitude in (1, 1e4):
        v, y, parameters = _data(name, real, 30, magnitude)
        for step in (1e-6, 0.5, 40.0, 1e5):
            x = _of("prox_", name)(v, y, *parameters, step=step, weight=2.0)
            tau = float(real(step)) * 2
            expected = twins.prox(name, v, y, *parameters, step=tau).astype(float)
            allowed = np.abs(expected) + np.abs(v)
            if name == "poisson":
                # x + log(tau) is what is well determined where tau exp(x) is large
                allowed = allowed + abs(np.log(tau))
            elif name in ("absolute", "quantile", "hinge"):
                allowed = allowed + tau
            elif name == "huber":
                allowed = allowed + 0.75 * tau
            assert (np.abs(x - expected) <= 8 * eps * allowed).all(), (magnitude, step)
            assert x.dtype == real


@pytest.mark.parametrize("name", NAMES)
def test_prox_costs_no_more_than_nearby_points(name):
    v, y, parameters = _data(name, np.float64)
    step, weight = 0.7, 1.3

    def objective(x):
        each = twins.VALUE[name](x, y, *parameters)
        return weight * each + (x - v) ** 2 / (2 * step)

    x = _of("prox_", name)(v, y, *parameters, step=step, weight=weight)
    for d in (1e-3, -1e-3, 0.1, -0.1, 3, -3):
        assert (objective(x) <= objective(x + d) + 1e-12).all()


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(a=st.floats(-1e6, 1e6), b=st.floats(-1e6, 1e6), step=st.floats(1e-6, 1e6), up=st.booleans())
def test_prox_is_firmly_nonexpansive(name, a, b, step, up):
    y = np.full(2, 1.0 if up else -1.0 if name in LABELLED else 3.0)
    x = _of("prox_", name)(np.array([a, b]), y, *PARAMETERS.get(name, ()), step=step)
    moved, distance = x[0] - x[1], a - b
    slack = 1e-14 * (abs(a) + abs(b) + step) * (1 + abs(distance) + abs(moved))
    assert moved * moved <= moved * distance + slack


@pytest.mark.parametrize("prefix", ["grad_", "prox_"])
@pytest.mark.parametrize("name", NAMES)
def test_shapes_strides_in_place_and_nan(name, prefix):
    function = _of(prefix, name)
    v, y, parameters = _data(name, np.float64, 24)
    flat = function(v, y, *parameters)
    grid = np.asfortranarray(v.reshape(4, 6))
    np.testing.assert_array_equal(function(grid, y.reshape(4, 6), *parameters).ravel(), flat)
    np.testing.assert_array_equal(function(v[::2], y[::2], *parameters), flat[::2])
    assert function(v[:0], y[:0], *parameters).shape == (0,)
    assert function(v[:1], y[:1], *parameters) == flat[0]
    scalar = function(v[0], y[0], *parameters)
    assert scalar.shape == ()
    assert scalar == flat[0]
    strided = np.zeros((24, 2))[:, 0]
    assert function(v, y, *parameters, out=strided) is strided
    np.testing.assert_array_equal(strided, flat)
    again = v.copy()
    assert function(again, y, *parameters, out=again) is again
    np.testing.assert_array_equal(again, flat)
    damaged = v.copy()
    damaged[5] = np.nan
    result = function(damaged, y, *parameters)
    assert np.isnan(result[5])
    np.testing.assert_array_equal(np.delete(result, 5), np.delete(flat, 5))
    integers = function(np.arange(3), np.ones(3, int), *parameters)
    assert integers.dtype == np.float64


@pytest.mark.parametrize("name", NAMES)
def test_prox_in_many_blocks_and_huge(name):
    v, y, parameters = _data(name, np.float64, 1000)
    step = np.random.default_rng(2).uniform(0.1, 2, 1000)
    whole = _of("prox_", name)(v, y, *parameters, step=step)
    ends = _of("prox_", name)(v[-3:], y[-3:], *parameters, step=step[-3:])
    np.testing.assert_allclose(whole[-3:], ends, rtol=1e-14)
    for real in REALS:
        huge = np.array([1e30, -1e30], real)
        assert np.isfinite(_of("prox_", name)(huge, np.ones(2, real), *parameters)).all()
    unweighted = _of("prox_", name)(v, y, *parameters, weight=0.0)
    np.testing.assert_array_equal(unweighted, v)


@pytest.mark.parametrize("prefix", ["", "grad_", "prox_"])
@pytest.mark.parametrize("name", NAMES)
def test_kernel_returns_the_loss(name, prefix):
    """At the point; that of a prox at the result."""
    v, y, parameters = _data(name, np.float64, 7)
    numbers = (1.0, 0.5) if prefix == "prox_" else (0.5,)
    out = () if prefix == "" else (np.empty_like(v),)
    value = _of(prefix, name).kernel(v, y, *parameters, *numbers, *out)
    at = out[0] if prefix == "prox_" else v
    assert value == pytest.approx(float(twins.loss(name, at, y, *parameters, weight=0.5)))


def test_errors_name_the_argument():
    v = np.zeros(3)
    with pytest.raises(ValueError, match=r"weight is -1.0: expected a non-negative"):
        kernels.squared_loss(v, v, weight=-1.0)
    with pytest.raises(ValueError, match=r"step is 0.0: expected a positive"):
        kernels.prox_squared_loss(v, v, step=0.0)
    with pytest.raises(ValueError, match=r"delta is nan"):
        kernels.huber_loss(v, v, delta=np.nan)
    with pytest.raises(ValueError, match=r"quantile is 1.0"):
        kernels.quantile_loss(v, v, quantile=1.0)
    with pytest.raises(ValueError, match=r"y has shape \(2,\): expected \(3,\)"):
        kernels.squared_loss(v, np.zeros(2))
    with pytest.raises(ValueError, match=r"y contains 0.0: expected labels -1 or 1"):
        kernels.logistic_loss(v, np.zeros(3))
    with pytest.raises(TypeError, match=r"z has dtype complex128"):
        kernels.squared_loss(v + 0j, v)
    with pytest.raises(TypeError, match=r"out is float32"):
        kernels.prox_squared_loss(v, v, out=np.zeros(3, np.float32))
    with pytest.raises(ValueError, match=r"out has shape \(2,\)"):
        kernels.prox_squared_loss(v, v, out=np.zeros(2))


LIMITS = [
    (v, y, step, weight)
    for v in (-1e33, -1.0, 0.0, 2.0, 1e33)
    for y in (1.0, 3.0, 1e33)
    for step, weight in ((1e6, 1.0), (1e20, 1e20), (1e-30, 1e20), (1e20, 0.0))
]
"""Finite arguments whose products overflow in float32."""


def _mean(v, y, tau):
    return (v + tau * y) / (1 + tau)


CLOSED_FORMS = {
    "squared": _mean,
    "absolute": lambda v, y, tau: np.clip(y, v - tau, v + tau),
    "huber": _mean,  # delta is larger than all
    "quantile": lambda v, y, tau: np.clip(y, v - tau * 3 / 4, v + tau / 4),
    "hinge": lambda v, y, tau: v + y * np.clip(1 - y * v, 0, tau),
    "squared_hinge": lambda v, y, tau: v if y * v >= 1 else _mean(v, y, tau),
}


def _limits(name, real):
    """Cases as long doubles; in float64 their powers, so that products overflow there, too."""
    power = 1 if real == np.float32 else 7
    for v, y, step, weight in LIMITS:
        y = 1.0 if name in LABELLED else y
        numbers = [np.sign(x) * abs(x) ** power for x in (v, y, step, weight)]
        yield tuple(np.longdouble(real(x)) for x in numbers)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_prox_has_its_limits_where_products_overflow(name, real):
    parameters = PARAMETERS | {"huber": (1e34 if real == np.float32 else 1e250,)}
    for v, y, step, weight in _limits(name, real):
        given = [np.array([number], real) for number in (v, y)]
        x = _of("prox_", name)(
            *given, *parameters.get(name, ()), step=real(step), weight=real(weight)
        )
        expected = CLOSED_FORMS[name](v, y, step * weight)
        allowed = abs(expected) + (0 if CLOSED_FORMS[name] is _mean else abs(v))
        assert np.abs(x - expected) <= 8 * np.finfo(real).eps * allowed, (v, y, step, weight)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", ["logistic", "poisson"])
def test_prox_by_newton_clamps_what_overflows(name, real):
    """tau counts as at most the largest number / 1024, for Poisson divided by y.

    For logistic only far out, where what it counts as makes no difference.
    """
    largest = np.longdouble(np.finfo(real).max) / 1024
    for v, y, step, weight in _limits(name, real):
        given = [np.array([number], real) for number in (v, y)]
        x = _of("prox_", name)(*given, step=real(step), weight=real(weight))
        far = name == "poisson" or abs(v) > np.finfo(real).eps * largest
        tau = min(step * weight, largest / y) if far else step * weight
        if tau == 0:  # x is v, which the twin's bisection cannot bracket
            assert x == v
            continue
        expected = twins.prox(name, *given, step=tau)
        allowed = np.abs(expected) + abs(v) + (abs(np.log(tau)) if tau else 0)
        error = np.abs(x - expected)
        assert error <= 8 * np.finfo(real).eps * allowed + 1e-60, (v, y, step, weight)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", NAMES)
def test_no_finite_argument_gives_anything_but_a_number(name, real):
    """The largest and smallest numbers of the dtype, in all combinations."""
    most, tiny = np.finfo(real).max, np.finfo(real).tiny
    ends = np.array([0, 1, -1, most, -most, tiny, 10 * np.sqrt(most)], real)
    v, y, step, weight = (
        part.ravel() for part in np.meshgrid(ends, ends, ends[ends > 0], ends[ends >= 0])
    )
    if name in LABELLED:
        y = np.where(y >= 0, 1, -1).astype(real)
    if name == "poisson":
        y = abs(y)
    wide = ((float(most / 4),),) if name == "huber" else ()
    for parameters in (PARAMETERS.get(name, ()), *wide):
        assert np.isfinite(_of("prox_", name)(v, y, *parameters, step, weight)).all()


def test_a_tau_beyond_all_numbers_leaves_its_logarithm():
    """Where ``step weight`` overflows: far from zero ``x = log(tau) - log(x - v)``."""
    for real, size in ((np.float32, 1e20), (np.float64, 1e200)):
        v = np.array([0.5, -3.0, 1e10], real)
        x = kernels.prox_logistic_loss(v, np.ones(3), size, size).astype(float)
        np.testing.assert_allclose(
            x[:2] + np.log(x[:2] - v[:2]), 2 * np.log(size), rtol=4 * np.finfo(real).eps
        )
        assert x[2] == real(1e10)
