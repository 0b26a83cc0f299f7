"""Penalties and sets: twins, certificates, and what the public functions promise for any input."""

import re

import numpy as np
import pytest
from cases.penalties import CASES, CONVEX, PENALTIES, SETS
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from reference import penalties as twins

from fastadmm import kernels

REALS = [np.float32, np.float64]
STEP = 0.5
TWINNED = [case for case in CASES if case.name in twins.PROX or case.name in twins.PROJECTION]


def _over_rows(case, x):
    """The parts of x that the twin of a case acts on: rows, or all of it."""
    return x.reshape(-1, x.shape[-1]) if case.shape == "row" else [x]


def _twin_value(case, x):
    n = x.shape[-1]
    arguments = case.twin_parameters(n) + case.weights_for(n)
    return sum(twins.VALUE[case.name](row, *arguments) for row in _over_rows(case, x))


def _twin_prox(case, v, step):
    n = v.shape[-1]
    if case.is_set:
        table, arguments = twins.PROJECTION, case.twin_parameters(n)
    else:
        table, arguments = twins.PROX, (*case.twin_parameters(n), step, *case.weights_for(n))
    each = [table[case.name](row, *arguments) for row in _over_rows(case, v)]
    return np.reshape(each, v.shape)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("case", PENALTIES, ids=str)
def test_value_equals_its_twin(case, real):
    for x in (case.sample(real), np.round(case.sample(real)), case.sample(real, 1)):
        expected = _twin_value(case, x.astype(np.float64))
        value = case.value(x, *case.value_arguments(x.shape[-1]))
        assert value == pytest.approx(expected, rel=20 * float(np.finfo(real).eps))


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("case", TWINNED, ids=str)
def test_prox_equals_its_twin(case, real):
    eps = np.finfo(real).eps
    for scale in (0.1, 2.0, 1e4):
        v = case.sample(real, scale=scale)
        for step in (2.0**-20, STEP, 64.0):
            x = case.prox(v, *case.prox_arguments(v.shape[-1], step))
            assert x.dtype == real
            expected = _twin_prox(case, v.astype(np.float64), step)
            # operators of a row lose bits of its largest entry, others of their own entry
            size = np.maximum(np.abs(v), np.abs(expected))
            size = size if case.shape == "entry" else size.max()
            if case.name == "sum_largest":  # what is taken off an entry is at most tau
                size += step * case.weights[0]
            assert (np.abs(x - expected) <= 60 * eps * size).all(), (scale, step)


def _points_around(case, x, v):
    """Points to compare with the claimed minimiser: near, far, and in the set if there is one."""
    rng = np.random.default_rng(3)
    for scale in (1e-5, 1e-2, 1.0, 100.0):
        for _ in range(5):
            yield x + scale * rng.normal(size=x.shape) * (rng.random(x.shape) < 0.4)
    yield from (0 * x, v, np.round(x))


@pytest.mark.parametrize("case", CONVEX, ids=str)
def test_prox_solves_its_own_argmin(case):
    """``(v - x) / step`` is a subgradient at x: ``g(y) >= g(x) + <(v - x) / step, y - x>``."""
    v = case.sample(np.float64)
    n = v.shape[-1]
    x = case.prox(v, *case.prox_arguments(n, STEP))
    slope = (v - x) / STEP
    for y in _points_around(case, x, v):
        if case.is_set:
            y = _twin_prox(case, y, STEP)
            low = 0.0
        else:
            low = _twin_value(case, x) - _twin_value(case, y)
        rounding = 1e-13 * (1 + np.linalg.norm(slope) * (1 + np.linalg.norm(y) + np.linalg.norm(x)))
        assert low + (slope * (y - x)).sum() <= rounding


@pytest.mark.parametrize("case", CASES, ids=str)
def test_prox_kernel_returns_the_value_there(case):
    for real in REALS:
        v = case.sample(real)
        out = np.empty_like(v)
        value = case.prox.kernel(v, *case.kernel_arguments(v, STEP), out)
        expected = 0.0 if case.is_set else _twin_value(case, out.astype(np.float64))
        # LAPACK's singular values of the result carry the rounding of v
        allowed = 1e-5 if real == np.float32 else 1e-13
        assert value == pytest.approx(expected, rel=allowed, abs=0)
        assert case.value(out, *case.value_arguments(v.shape[-1])) == pytest.approx(
            value, rel=allowed, abs=0
        )


@pytest.mark.parametrize("case", CONVEX, ids=str)
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    step=st.sampled_from([0.01, 1.0, 30.0]),
)
def test_prox_is_firmly_nonexpansive(case, seed, scale, step):
    a, b = (case.sample(np.float64, 9, scale, seed + i) for i in (0, 1))
    x, y = (case.prox(v, *case.prox_arguments(9, step)) for v in (a, b))
    moved = x - y
    assert (moved * moved).sum() <= (moved * (a - b)).sum() + 1e-12 * (1 + scale) ** 2


@pytest.mark.parametrize("case", [case for case in SETS if case.cone], ids=str)
def test_cones_split_a_point_into_two_orthogonal_ones(case):
    """Moreau: these cones are self-dual, so ``v = P(v) - P(-v)``, the two orthogonal."""
    v = case.sample(np.float64)
    if case.shape == "matrix":
        v = v + v.T
    plus, minus = case.prox(v), case.prox(-v)
    np.testing.assert_allclose(plus - minus, v, atol=1e-12)
    assert abs((plus * minus).sum()) <= 1e-11


def test_moreau_between_independent_operators():
    v = 3 * np.random.default_rng(5).normal(size=(4, 10))
    tau = 1.25
    for prox, project in (("l2_norm", "l2_ball"), ("l1", "linf_ball")):
        x = getattr(kernels, f"prox_{prox}")(v, step=0.5, weight=2.5)
        np.testing.assert_allclose(
            x + getattr(kernels, f"project_{project}")(v, tau), v, rtol=1e-14
        )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_layout_in_place_and_out(case):
    v = case.sample(np.float64, 12)
    arguments = case.prox_arguments(12, STEP)
    expected = case.prox(v, *arguments)
    np.testing.assert_array_equal(case.prox(np.asfortranarray(v), *arguments), expected)
    spread = np.zeros((*v.shape, 2))
    spread[..., 0] = v
    np.testing.assert_array_equal(case.prox(spread[..., 0], *arguments), expected)
    strided = np.zeros((*v.shape, 2))[..., 0]
    assert case.prox(v, *arguments, out=strided) is strided
    np.testing.assert_array_equal(strided, expected)
    backwards = v[..., ::-1].copy()[..., ::-1]
    assert case.prox(backwards, *arguments, out=backwards) is backwards
    np.testing.assert_array_equal(backwards, expected)
    again = v.copy()
    assert case.prox(again, *arguments, out=again) is again
    np.testing.assert_array_equal(again, expected)
    overlapping = np.concatenate([v.ravel(), v.ravel()[:1]])
    first, second = overlapping[:-1].reshape(v.shape), overlapping[1:].reshape(v.shape)
    expected = case.prox(first.copy(), *arguments)
    np.testing.assert_array_equal(case.prox(first, *arguments, out=second), expected)
    integers = case.prox(np.ones(v.shape, int), *arguments)
    assert integers.dtype == np.float64
    np.testing.assert_array_equal(integers, case.prox(np.ones(v.shape), *arguments))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_small_shapes(case):
    if case.shape == "matrix":
        assert case.prox(np.empty((0, 0)), *case.prox_arguments(0, STEP)).shape == (0, 0)
        assert case.value(np.empty((0, 0)), *case.value_arguments(0)) == 0
        one = case.prox([[3.0]], *case.prox_arguments(1, STEP))
        assert one == _twin_prox(case, np.array([[3.0]]), STEP)
        return
    one = case.prox(np.array([3.0]), *case.prox_arguments(1, STEP))
    if case in TWINNED:
        assert one == pytest.approx(_twin_prox(case, np.array([3.0]), STEP), rel=1e-15)
    if case.name in ("simplex", "capped_simplex", "second_order_cone"):
        with pytest.raises(ValueError, match=r"v has shape \(0,\): expected rows"):
            case.prox(np.empty(0))
    else:
        arguments = case.prox_arguments(0, STEP)
        assert case.prox(np.empty(0), *arguments).shape == (0,)
        assert case.value(np.empty(0), *case.value_arguments(0)) == 0
    if case.shape == "row":
        none = case.prox(np.empty((0, 4)), *case.prox_arguments(4, STEP))
        assert none.shape == (0, 4)
    if case.name not in ("affine", "second_order_cone"):
        scalar = case.prox(np.float32(3.0), *case.prox_arguments(1, STEP))
        assert scalar.shape == ()
        assert scalar.dtype == np.float32
        assert scalar == pytest.approx(one[0], rel=1e-6)
        assert np.ndim(case.value(3.0, *case.value_arguments(1))) == 0


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nan_reaches_what_depends_on_it(case):
    v = case.sample(np.float64, 12)
    arguments = case.prox_arguments(12, STEP)
    clean = case.prox(v, *arguments)
    v[-1, ...] = np.where(np.arange(12) == 5, np.nan, v[-1, ...]) if v.ndim == 2 else v[-1]
    if v.ndim == 1:
        v[5] = np.nan
    x = case.prox(v, *arguments)
    value = case.value(v, *case.value_arguments(12))
    assert value == np.inf if case.is_set else np.isnan(value)
    if case.name in ("box", "nonnegative", "linf_ball") or case.shape == "entry":
        np.testing.assert_array_equal(np.isnan(x), np.isnan(v))
    elif "group_" in case.name:
        assert np.isnan(x[-1, 3:6]).all()
    elif case.shape == "row":
        assert np.isnan(x[-1]).all()
        np.testing.assert_allclose(x[:-1], clean[:-1], rtol=1e-13)
    else:
        assert np.isnan(x).all()


def _prox_far_out(case, v, scale):
    """The prox of a case and its twin, of data at ``scale`` and a step that goes with it.

    Operators of rows and matrices are norms, and grow with both: the twin works near one. Sets and
    operators of entries do not; their twins have the range of long double, or are LAPACK's.
    """
    n = v.shape[-1]
    if not case.is_set and case.shape != "entry" and case.name != "huber_norm":
        x = case.prox(v, *case.prox_arguments(n, STEP * scale))
        return x, scale * _twin_prox(case, v / np.float64(scale), STEP)
    of_lapack = case.shape == "matrix" or case.name == "affine"
    real = np.float64 if of_lapack else np.longdouble
    return case.prox(v, *case.prox_arguments(n, STEP)), _twin_prox(case, v.astype(real), STEP)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_huge_and_tiny_numbers(case):
    for real, scale in ((np.float32, 1e30), (np.float64, 1e200), (np.float64, 1e-200)):
        v = case.sample(real, 12, scale=1.0) * real(scale)
        if case in TWINNED:
            x, expected = _prox_far_out(case, v, scale)
        else:  # flat far out, and steep at zero
            x, expected = case.prox(v, *case.prox_arguments(12, STEP)), v if scale > 1 else 0 * v
        size = np.abs(expected) if case.shape == "entry" else np.abs(expected).max()
        tiny = np.finfo(real).tiny
        assert (np.abs(x - expected) <= 60 * np.finfo(real).eps * size + tiny).all(), scale


def test_row_kernels_take_any_layout():
    """From compiled code: rows are borrowed only where they are contiguous."""
    v = np.random.default_rng(0).normal(size=(3, 8))
    out = np.zeros((3, 16))[:, ::2]
    kernels.prox_l2_norm.kernel(np.asfortranarray(v), 0.5, 1.0, out)
    np.testing.assert_allclose(out, kernels.prox_l2_norm(v, 0.5, 1.0), rtol=1e-14)


@pytest.mark.parametrize("case", [case for case in CASES if case.shape == "entry"], ids=str)
def test_prox_loop_is_vector_code_without_overlap_checks(case):
    """In place a check that the arrays are apart would send all data through scalar code."""
    kernel, v = case.prox.kernel, np.zeros(4)
    fresh = njit(**{k: kernel.targetoptions[k] for k in ("fastmath", "error_model")})(
        kernel.py_func
    )
    fresh(v, *case.kernel_arguments(v, STEP), v)
    code = fresh.inspect_llvm(fresh.signatures[0])
    assert re.search(r"store <\d+ x double>", code)
    assert "vector.memcheck" not in code


@pytest.mark.parametrize("case", [c for c in PENALTIES if c.shape == "entry"], ids=str)
def test_a_step_and_a_weight_per_entry(case):
    rng = np.random.default_rng(1)
    v = case.sample(np.float64)
    step = rng.uniform(0.1, 5, v.shape)
    weights = [rng.uniform(0, 2, v.shape) for _ in case.weights]
    x = case.prox(v, *case.parameters, step, *weights)
    out = np.empty_like(v)
    value = case.prox.kernel(v, *case.parameters, step, *weights, out)
    each = [
        case.prox(v[i], *case.parameters, step[i], *(w[i] for w in weights)) for i in range(len(v))
    ]
    np.testing.assert_allclose(x, each, rtol=1e-14)
    np.testing.assert_allclose(out, x, rtol=1e-14)
    assert value == pytest.approx(twins.VALUE[case.name](x, *case.parameters, *weights))
    assert case.value(x, *case.parameters, *weights) == pytest.approx(value)
    inside = np.maximum(v, 0) if case.name in ("log_barrier", "entropy") else v
    np.testing.assert_allclose(
        case.prox(v, *case.parameters, 1.0, *(0.0 for _ in weights)), inside, rtol=1e-15
    )


@pytest.mark.parametrize("name", ["l2_norm", "linf_norm", "total_variation"])
def test_a_step_and_a_weight_per_row(name):
    v = 3 * np.random.default_rng(2).normal(size=(2, 3, 7))
    step = np.random.default_rng(3).uniform(0.1, 3, (2, 3))
    weight = 0.7 if name == "total_variation" else step[::-1] * [1, 0, 2]
    prox = getattr(kernels, f"prox_{name}")
    x = prox(v, step, weight)
    w = np.broadcast_to(weight, (2, 3))
    for i in np.ndindex(2, 3):
        np.testing.assert_allclose(x[i], prox(v[i], step[i], w[i]), rtol=1e-14)


@pytest.mark.parametrize("name", ["l2_ball", "l1_ball", "linf_ball", "simplex"])
def test_a_size_per_row_and_the_tolerance(name):
    v = 3 * np.random.default_rng(2).normal(size=(4, 50))
    size = np.array([1e-8, 1.0, 7.0, 1e3])
    project, indicator = (getattr(kernels, f"{p}_{name}") for p in ("project", "indicator"))
    for real in REALS:
        x = project(v.astype(real), size)
        assert indicator(x, size) == 0
        assert indicator(x[0] * real(1.01), size[0]) == np.inf
        assert indicator(x[0] * real(1.01), size[0], tolerance=0.02) == 0
    if name != "simplex":
        np.testing.assert_array_equal(project(v, 0.0), 0)
        assert indicator(0 * v, 0.0) == 0


@pytest.mark.parametrize("case", SETS, ids=str)
def test_indicator_and_projection_agree(case):
    v = case.sample(np.float64)
    arguments = case.value_arguments(24)
    x = case.prox(v, *arguments)
    assert case.value(v, *arguments) == np.inf
    assert case.value(x, *arguments) == 0
    np.testing.assert_allclose(case.prox(x, *arguments), x, rtol=1e-12, atol=1e-13)


def test_group_weights_and_column_weights():
    rng = np.random.default_rng(4)
    v, groups = 2 * rng.normal(size=9), np.array([0, 2, 5, 9])
    step, weight, columns = rng.uniform(0.2, 1, 3), rng.uniform(0, 2, 3), rng.uniform(0, 1, 9)
    per_column = np.repeat(step, [2, 3, 4])
    x = kernels.prox_group_lasso(v, groups, step, weight)
    np.testing.assert_allclose(x, twins.prox_group_lasso(v, groups, step, weight), rtol=1e-14)
    assert kernels.group_lasso(x, groups, weight) == pytest.approx(
        twins.group_lasso(x, groups, weight)
    )
    x = kernels.prox_sparse_group_lasso(v, groups, step, columns, weight)
    moved = twins.soft(v, per_column * columns)
    np.testing.assert_allclose(x, twins.prox_group_lasso(moved, groups, step, weight), rtol=1e-14)


def test_box_with_bounds_per_entry_and_infinities():
    v = np.array([-3.0, -1.0, 0.5, 9.0])
    lower, upper = np.array([-np.inf, 0.0, 0.0, 1.0]), [0, np.inf, 1, 1]
    x = kernels.project_box(v, lower, upper)
    np.testing.assert_array_equal(x, [-3, 0, 0.5, 1])
    assert kernels.indicator_box(x, lower, upper) == 0
    assert kernels.indicator_box(x - 0.25, lower, upper) == np.inf
    assert kernels.indicator_box(x - 0.25, lower, upper, tolerance=0.25) == 0


def test_affine_set():
    rng = np.random.default_rng(6)
    a = rng.normal(size=(4, 9))
    a[3] = a[2] + 1e-6 * a[3]  # the condition number is not squared
    b = a @ rng.normal(size=9)
    factor = kernels.factor_affine(a, b)
    v = rng.normal(size=(5, 9))
    x = kernels.project_affine(v, factor)
    np.testing.assert_allclose(a @ x.T, np.tile(b[:, None], 5), atol=1e-13)
    null = np.linalg.svd(a)[2][4:]
    np.testing.assert_allclose(null @ (x - v).T, 0, atol=1e-9)
    assert kernels.project_affine(v.astype(np.float32), factor).dtype == np.float32
    assert kernels.project_affine(v, kernels.factor_affine(np.empty((0, 9)), [])) is not v
    with pytest.raises(np.linalg.LinAlgError, match="a has 2 rows of rank 1"):
        kernels.factor_affine([[1, 2, 3], [2, 4, 6]], [1, 2])
    with pytest.raises(ValueError, match=r"a has shape \(3, 2\): expected \(m, n\) with m <= n"):
        kernels.factor_affine(np.ones((3, 2)), np.ones(3))
    with pytest.raises(ValueError, match=r"v has shape \(8,\): expected \(..., 9\)"):
        kernels.project_affine(np.ones(8), factor)
    with pytest.raises(TypeError, match="factor is tuple: expected what factor_affine returns"):
        kernels.project_affine(v, (a, b))


@pytest.mark.parametrize("sign", [1, -1])
def test_spectral_operators_with_few_or_many_eigenvalues_left(sign):
    q, _ = np.linalg.qr(np.random.default_rng(8).normal(size=(7, 7)))
    for values in ([-1.0] * 7, [1.0] * 7, [1, 1, 1, 1, 1, -1, -2], [0.0] * 7):
        v = (q * (sign * np.array(values))) @ q.T
        x = kernels.project_positive_semidefinite(v)
        np.testing.assert_allclose(x, twins.project_positive_semidefinite(v), atol=1e-14)
        np.testing.assert_array_equal(x, x.T)
    wide = np.random.default_rng(9).normal(size=(3, 8))
    for v in (wide, wide.T):
        np.testing.assert_allclose(
            kernels.prox_nuclear_norm(v, 0.5, 2.0), twins.prox_nuclear_norm(v, 0.5, 2.0), atol=1e-14
        )
        assert kernels.nuclear_norm(v) == pytest.approx(np.linalg.norm(v, "nuc"))
        assert not kernels.prox_nuclear_norm(v, weight=100.0).any()
    skew = np.array([[1.0, 0.5], [0.0, 1.0]])
    assert kernels.indicator_positive_semidefinite(skew) == np.inf
    assert kernels.indicator_positive_semidefinite(skew, tolerance=0.3) == 0


def test_float32_sums_are_accurate():
    x = np.full(3_000_000, 0.1, np.float32)
    exact = float(x[0]) * len(x)
    assert kernels.l1(x) == pytest.approx(exact, rel=1e-9)
    assert kernels.l2_norm(x) == pytest.approx(float(x[0]) * len(x) ** 0.5, rel=1e-9)
    assert kernels.prox_l1.kernel(x, 1.0, 0.0625, np.empty_like(x)) == pytest.approx(
        0.0625 * float(x[0] - np.float32(0.0625)) * len(x), rel=1e-9
    )


def test_errors_name_the_argument():
    v = np.zeros(3)
    raises = pytest.raises
    with raises(ValueError, match=r"weight is -1.0: expected a non-negative number"):
        kernels.prox_l1(v, weight=-1.0)
    with raises(ValueError, match=r"step is 0.0: expected a positive number"):
        kernels.prox_l2_norm(v, step=0.0)
    with raises(ValueError, match=r"ridge is nan"):
        kernels.elastic_net(v, ridge=np.nan)
    with raises(ValueError, match=r"delta is 0.0: expected a positive number, finite"):
        kernels.prox_huber(v, delta=0)
    with raises(ValueError, match=r"gamma is 1.0: expected a finite number above 1"):
        kernels.scad(v, gamma=1.0)
    with raises(TypeError, match=r"gamma is float64 of shape \(2,\): expected a number"):
        kernels.mcp(v, gamma=[1.0, 2.0])
    with raises(ValueError, match=r"weight has shape \(2,\): expected \(3,\)"):
        kernels.l1(v, weight=[1, 2])
    with raises(ValueError, match=r"radius has shape \(3,\): expected \(2,\)"):
        kernels.project_l1_ball(np.zeros((2, 3)), radius=[1, 2, 3])
    with raises(ValueError, match=r"total is 0.0: expected a positive number"):
        kernels.project_simplex(v, total=0.0)
    with raises(ValueError, match=r"lower is 2.0 where upper is 1.0: expected lower <= upper"):
        kernels.project_box(v, [0, 2, 0], 1)
    with raises(ValueError, match=r"lower is nan"):
        kernels.indicator_box(v, np.nan, 1.0)
    with raises(ValueError, match=r"tolerance is -1.0: expected a non-negative number"):
        kernels.indicator_l2_ball(v, tolerance=-1)
    with raises(ValueError, match=r"groups is \[0 2\]: expected ascending boundaries from 0 to 3"):
        kernels.group_lasso(v, [0, 2])
    with raises(TypeError, match=r"groups has shape \(2,\) and dtype float64: expected 1-D int"):
        kernels.prox_group_lasso(v, [0.0, 3.0])
    with raises(ValueError, match=r"weight has shape \(3,\): expected \(2,\)"):
        kernels.prox_total_variation(v, weight=[1, 2, 3])
    with raises(ValueError, match=r"v has shape \(3,\): expected \(m, n\)"):
        kernels.prox_nuclear_norm(v)
    with raises(ValueError, match=r"v has shape \(2, 3\): expected \(n, n\)"):
        kernels.project_positive_semidefinite(np.zeros((2, 3)))
    with raises(TypeError, match=r"v has dtype complex128"):
        kernels.project_simplex(v + 0j)
    with raises(TypeError, match=r"out is float32: expected an array of float64"):
        kernels.prox_linf_norm(v, out=np.zeros(3, np.float32))
    with raises(ValueError, match=r"out has shape \(2,\): expected \(3,\)"):
        kernels.project_nonnegative(v, out=np.zeros(2))


@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_tiny_balls_around_huge_points(real):
    """The factor radius / |v| vanishes, the projection does not."""
    large, tiny = (1e20, 1e-30) if real == np.float32 else (1e180, 1e-200)
    v = np.array([[3 * large, -4 * large]], real)
    x = kernels.project_l2_ball(v, tiny)
    np.testing.assert_allclose(x, [[0.6 * tiny, -0.8 * tiny]], rtol=1e-6)
    np.testing.assert_array_equal(kernels.project_l2_ball(v, 0.0), [[0, 0]])
