"""Nonconvex penalties: no point of a dense grid costs less, on either side of every threshold."""

import numpy as np
import pytest
from cases.penalties import SEPARABLE_NONCONVEX
from reference import penalties as twins

from fastadmm import kernels

REALS = [np.float32, np.float64]


def _cost(name, x, v, parameters, step, weight):
    """The objective of one coordinate for an array of points x."""
    penalty = {
        "l0": lambda: weight * (x != 0),
        "l_half": lambda: weight * np.sqrt(np.abs(x)),
        "l_two_thirds": lambda: weight * np.cbrt(x * x),
        "log_sum": lambda: weight * np.log1p(np.abs(x) / parameters[0]),
        "mcp": lambda: twins.mcp(x, *parameters, weight),
        "scad": lambda: twins.scad(x, *parameters, weight),
    }[name]()
    return penalty + (x - v) ** 2 / (2 * step)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("case", SEPARABLE_NONCONVEX, ids=str)
def test_prox_is_a_global_minimiser(case, real):
    """Steps below, at and above gamma and gamma +- 1, where the cases of MCP and SCAD change."""
    eps = np.finfo(real).eps
    for step in (0.05, 1.0, 2.5, 2.75, 3.0, 3.5, 4.5, 4.75, 5.0, 40.0):
        for weight in (0.25, 1.5):
            v = np.linspace(-20, 20, 401).astype(real)
            x = case.prox(v, *case.parameters, step, weight)
            assert x.dtype == real
            for vi, xi in zip(v.astype(np.float64), x.astype(np.float64), strict=True):
                grid = np.append(np.linspace(-1.05, 1.05, 841) * abs(vi), xi)
                costs = _cost(case.name, grid, vi, case.parameters, step, weight)
                # a point within rounding of a threshold may fall on the other side
                slack = 8 * eps * (vi * vi / step + weight * (abs(vi) + 1))
                assert costs[-1] <= costs.min() + slack, (step, weight, vi)


@pytest.mark.parametrize("case", SEPARABLE_NONCONVEX, ids=str)
def test_prox_is_stationary_and_odd(case):
    """Between thresholds the minimiser is found to rounding, not to the spacing of a grid."""
    v = np.linspace(0.01, 12, 500)
    for step in (0.3, 1.7, 6.0):
        x = case.prox(v, *case.parameters, step, 1.0)
        np.testing.assert_array_equal(case.prox(-v, *case.parameters, step, 1.0), -x)
        inside = x > 0
        x, pull = x[inside], (v[inside] - x[inside]) / step
        slope = {
            "l0": lambda x: 0 * x,
            "l_half": lambda x: 0.5 / np.sqrt(x),
            "l_two_thirds": lambda x: 2 / 3 / np.cbrt(x),
            "log_sum": lambda x: 1 / (case.parameters[0] + x),
            "mcp": lambda x: np.maximum(1 - x / case.parameters[0], 0),
            "scad": lambda x: np.clip((case.parameters[0] - x) / (case.parameters[0] - 1), 0, 1),
        }[case.name](x)
        assert len(x) > 20
        np.testing.assert_allclose(pull, slope, atol=1e-12)


def test_ties_go_to_the_smaller_point():
    assert kernels.prox_l0(2.0, step=2.0, weight=1.0) == 0
    assert kernels.prox_l0(2.0 + 1e-15, step=2.0, weight=1.0) > 2
    assert kernels.prox_mcp(8.0, gamma=4.0, step=4.0, weight=2.0) == 0
    assert kernels.prox_mcp(8.0 + 1e-14, gamma=4.0, step=4.0, weight=2.0) > 8
    # SCAD, step = gamma: 4.5 costs the same at soft(4.5) = 0.5 and at 4.5
    assert kernels.prox_scad(4.5, gamma=4.0, step=4.0, weight=1.0) == 0.5
    assert kernels.prox_scad(4.5 + 1e-14, gamma=4.0, step=4.0, weight=1.0) > 4.5
    at = 1.5 * 8.0 ** (2 / 3)
    assert kernels.prox_l_half(at * (1 - 1e-14), weight=8.0) == 0
    assert kernels.prox_l_half(at * (1 + 1e-14), weight=8.0) == pytest.approx(at * 2 / 3)


@pytest.mark.parametrize("real", REALS)
def test_l_half_is_accurate_over_its_whole_range(real):
    """Against 60 Newton steps in extended precision, for every ratio of v to the threshold."""
    d = np.linspace(0, 0.5 / 1.5**1.5, 20_001)[1:-1]
    v = ((0.5 / d) ** (2 / 3)).astype(real)
    d = 0.5 / v.astype(np.longdouble) ** 1.5
    t = np.ones_like(d)
    for _ in range(60):
        t = (2 * t**3 - d) / (3 * t * t - 1)
    x = kernels.prox_l_half(v)
    assert np.abs(x / (v * t * t) - 1).max() <= 8 * np.finfo(real).eps


@pytest.mark.parametrize("name", ["mcp", "scad"])
def test_groups_are_scaled_to_the_norm_that_the_scalar_prox_makes(name):
    rng, groups, gamma = np.random.default_rng(0), np.array([0, 2, 2, 5, 9]), 3.75
    for scale in (0.3, 1.0, 4.0):
        v = scale * rng.normal(size=9)
        for step in (0.5, 3.0, 6.0):
            x = getattr(kernels, f"prox_group_{name}")(v, groups, gamma, step, 0.75)
            for old, new in zip(twins.parts(v, groups), twins.parts(x, groups), strict=True):
                size = getattr(kernels, f"prox_{name}")(np.linalg.norm(old), gamma, step, 0.75)
                np.testing.assert_allclose(
                    new, old * (size / max(np.linalg.norm(old), 1e-300)), rtol=1e-13
                )
