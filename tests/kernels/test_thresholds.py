"""Simplex, l1 ball and linf norm on rows that are hard for one of the two searches."""

import numpy as np
import pytest
from fastadmm.kernels.core import thresholds
from reference import penalties as twins

from fastadmm import kernels


def _rows():
    rng = np.random.default_rng(0)
    yield "normal", rng.normal(size=5000)
    yield "shifted", 1e6 + rng.normal(size=5000)
    yield "exponential", -(2.0 ** -np.arange(50.0))
    yield "growing", np.cumsum(np.arange(2000.0)) / 2e6
    yield "equal", np.full(777, 3.0)
    yield "ties", rng.integers(0, 3, 5000).astype(float)
    yield "ascending", np.arange(5000.0) / 5000
    yield "heavy", np.append(rng.random(4000) * 1e-7, 0.9)
    yield "infinite", np.array([-np.inf, 1.0, 0.5])


ROWS = list(_rows())
NAMES = [name for name, _ in ROWS]


@pytest.mark.parametrize("v", [v for _, v in ROWS], ids=NAMES)
@pytest.mark.parametrize("total", [1e-6, 1.0, 1e4])
def test_simplex_equals_sorting(v, total):
    x = kernels.project_simplex(v, total)
    shifted = v - v.max()
    np.testing.assert_allclose(x, twins.project_simplex(shifted, total), atol=1e-12 * total)
    assert kernels.indicator_simplex(x, total) == 0
    assert (
        kernels.indicator_simplex(kernels.project_simplex(v.astype(np.float32), total), total) == 0
    )


@pytest.mark.parametrize("v", [v for _, v in ROWS], ids=NAMES)
def test_pivots_find_the_root_that_newton_finds(v):
    w = np.maximum(v - v.max(), -1e300)
    theta = thresholds.level_by_pivots(w.copy(), len(w), 1.0)
    assert np.maximum(w - theta, 0).sum() == pytest.approx(1.0, rel=1e-11)
    assert thresholds.level(w.copy(), len(w), 1.0)[0] == pytest.approx(theta, rel=1e-12)
    assert thresholds.level_by_pivots.py_func(w[:200] - w[:200].max(), min(len(w), 200), 1.0) < 0


@pytest.mark.parametrize("v", [v for _, v in ROWS], ids=NAMES)
def test_pivots_take_over_where_newton_may_not_read_on(v, monkeypatch):
    v = v[:300]
    work = thresholds.surveyed(v)
    largest, _ = thresholds.survey(v, False, work)
    expected = thresholds.row_level(v, 1.0, False, largest, work.copy())
    monkeypatch.setattr(thresholds, "NEWTON_READS", 0)
    monkeypatch.setattr(thresholds, "level", thresholds.level.py_func)
    assert thresholds.level(np.zeros(2), 2, 1.0) == (-0.5, 0)
    theta, rest = thresholds.row_level.py_func(v, 1.0, False, largest, work)
    assert theta + rest == pytest.approx(sum(expected), rel=1e-14)


def test_float32_mass_is_kept_with_a_million_entries():
    v = np.append(np.zeros(1_000_000, np.float32), np.float32(0.5))
    x = kernels.project_simplex(v, 1.0)
    assert x.sum(dtype=np.float64) == pytest.approx(1.0, rel=1e-6)
    x = kernels.project_l1_ball(-v - np.float32(100), 1.0)
    assert np.abs(x).sum(dtype=np.float64) == pytest.approx(1.0, rel=1e-5)


def test_all_blocks_out_of_play_but_one():
    v = np.full(10_000, -50.0)
    v[7_321] = 2.0
    x = kernels.project_simplex(v)
    assert x[7_321] == 1
    assert x.sum() == 1
    x = kernels.prox_linf_norm(v, weight=49.0)
    assert np.abs(x).max() == pytest.approx(50 - 49 / 9_999)
