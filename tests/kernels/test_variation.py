"""Total variation: the dual certificate, which is sufficient, on long, rough and flat data."""

import numpy as np
import pytest
from fastadmm.kernels.operators import variation
from hypothesis import given, settings
from hypothesis import strategies as st

from fastadmm import kernels


def _violation(v, x, bound):
    """Largest violation of the conditions of optimality.

    ``u_k = sum_(j <= k) (v_j - x_j)`` has ``|u_k| <= bound_k``, ``u_k = -bound_k`` where x jumps
    up and ``bound_k`` where it jumps down, and ends at 0.
    """
    u = np.cumsum(v - x)
    jump = np.sign(np.diff(x))
    wrong = [
        np.abs(u[:-1]) - bound,
        np.where(jump == 0, 0, np.abs(u[:-1] + jump * bound)),
        [abs(u[-1])],
    ]
    return max(np.max(part, initial=0) for part in wrong)


SIGNALS = {
    "noise": lambda rng, n: rng.normal(size=n),
    "walk": lambda rng, n: np.cumsum(rng.normal(size=n)),
    "steps": lambda rng, n: (
        np.repeat(rng.normal(size=n // 50 + 1), 50)[:n] + 0.1 * rng.normal(size=n)
    ),
    "offset": lambda rng, n: 1e6 + rng.normal(size=n),
    "ramp": lambda rng, n: np.arange(n) / 10.0,
    "zigzag": lambda rng, n: np.where(np.arange(n) % 2, 1.0, -1.0),
    "flat": lambda rng, n: np.full(n, 3.0),
    "integers": lambda rng, n: rng.integers(0, 4, n).astype(float),
}


@pytest.mark.parametrize("name", SIGNALS)
def test_hulls_alone_give_what_the_scan_gives(name):
    v = SIGNALS[name](np.random.default_rng(1), 500)
    bound = np.random.default_rng(2).uniform(0.1, 2, 499)
    expected = kernels.prox_total_variation(v, weight=bound)
    x, hulls = np.zeros(500), np.zeros((4, 502))
    variation.taut_string(v, 0, 0.0, 1.0, bound, 1e9, hulls, x)
    np.testing.assert_allclose(x, expected, atol=1e-12 * np.abs(v).max())


def test_data_on_which_the_scan_starts_anew_too_often():
    """Each scan of a smooth curve goes far and fixes little: the hulls take over in the middle."""
    v = -np.sqrt(np.arange(3000.0))
    x = kernels.prox_total_variation(v, weight=200.0)
    assert _violation(v, x, 200.0) <= 1e-8


@pytest.mark.parametrize("weight", [0.0, 0.3, 5.0, 1e3])
@pytest.mark.parametrize("name", SIGNALS)
def test_long_signals(name, weight):
    v = SIGNALS[name](np.random.default_rng(0), 20_000)
    x = kernels.prox_total_variation(v, step=2.0, weight=weight)
    rounding = 1e-15 * np.abs(v).max() * len(v)  # of the sums in the certificate itself
    assert _violation(v, x, 2.0 * weight) <= 5 * rounding + 1e-12 * weight
    allowed = 1e-4 * np.abs(v).max()
    narrow = kernels.prox_total_variation(v.astype(np.float32), step=2.0, weight=weight)
    assert np.abs(narrow - x).max() <= allowed


@settings(max_examples=60, deadline=None)
@given(
    v=st.lists(st.floats(-100, 100), min_size=2, max_size=40),
    scale=st.sampled_from([1e-3, 0.5, 10.0, 1e6]),
    seed=st.integers(0, 1000),
)
def test_a_weight_per_difference(v, scale, seed):
    v = np.array(v)
    bound = scale * np.random.default_rng(seed).random(len(v) - 1)
    bound[seed % len(bound)] = 0
    x = kernels.prox_total_variation(v, weight=bound)
    assert _violation(v, x, bound) <= 1e-11 * (1 + np.abs(v).sum())


def test_a_weight_beyond_all_gives_the_mean():
    v = np.random.default_rng(1).normal(size=1000)
    for weight in (1e4, 1e15, 1e300):
        x = kernels.prox_total_variation(v, weight=weight)
        np.testing.assert_allclose(x, v.mean(), atol=1e-12)


def test_kernel_in_place_with_weights_per_difference():
    v = np.random.default_rng(2).normal(size=(3, 50))
    weight = np.random.default_rng(3).random(49)
    expected = kernels.prox_total_variation(v, 1.0, weight)
    value = kernels.prox_total_variation.kernel(v, 1.0, weight, np.empty((4, 52)), v)
    np.testing.assert_array_equal(v, expected)
    assert value == pytest.approx((weight * np.abs(np.diff(v))).sum())
