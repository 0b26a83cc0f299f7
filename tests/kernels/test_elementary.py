"""Accuracy of the elementary functions over the whole range of both dtypes, and vectorisation."""

import platform
import re

import numba
import numpy as np
import pytest
import scipy.special
from fastadmm.kernels.core import elementary
from fastadmm.kernels.core.jit import jit

LONG = np.longdouble
REALS = [np.float32, np.float64]


def _expit(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def _silu(x):
    return np.where(np.isneginf(x), -LONG(0), np.where(x > -12000, x, -12000) * _expit(x))


def _softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _omega(x):
    """SciPy's float64 result, polished in extended precision."""
    u = np.real(scipy.special.wrightomega(np.asarray(x, np.float64))).astype(LONG)
    moderate = (x > -700) & (x < 1e18)
    y, v = np.where(moderate, x, LONG(1)), np.where(moderate, u, LONG(1))
    for _ in range(3):
        v = v + v * (y - v - np.log(v)) / (1 + v)
    return np.where(moderate, v, np.where(x < 0, np.exp(x), x))


TWINS = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": _expit,
    "silu": lambda x: np.where(np.isposinf(x), x, _silu(x)),
    "softplus": _softplus,
    "wright_omega": _omega,
}


def _loop(function):
    @jit(reassociate=True)  # also where the caller lets sums be reordered
    def run(x, out):
        for i in range(len(x)):
            out[i] = function(x[i])

    return run


LOOPS = {name: _loop(getattr(elementary, name)) for name in TWINS}

needs_long = pytest.mark.skipif(
    np.finfo(LONG).nmant < 63, reason="the twins need extended precision"
)


def _whole_range(real):
    if real is np.float32:
        bits = np.arange(0, 2**32, 9973, dtype=np.uint64).astype(np.uint32)
        return bits.view(np.float32)
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**64, 100_000, dtype=np.uint64)
    return np.concatenate(
        [bits.view(np.float64), rng.uniform(-800, 800, 100_000), rng.normal(size=100_000)]
    )


@needs_long
@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", TWINS)
def test_within_four_ulp_over_the_whole_range(name, real):
    x = _whole_range(real)
    out = np.empty_like(x)
    LOOPS[name](x, out)
    with np.errstate(all="ignore"):
        exact = TWINS[name](x.astype(LONG))
        rounded = exact.astype(real)
        error = np.abs(out - exact) / np.spacing(np.abs(rounded)).astype(LONG)
    finite = np.isfinite(rounded)
    np.testing.assert_array_equal(out[~finite], rounded[~finite])
    worst = np.argmax(np.where(finite, error, 0))
    assert not (error[finite] > 4).any(), (x[worst], out[worst], rounded[worst])
    assert np.isfinite(out[finite]).all()


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("name", TWINS)
def test_special_values(name, real):
    tiny = np.finfo(real).smallest_subnormal
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, tiny, -tiny, -1, -2], real)
    out = np.empty_like(x)
    LOOPS[name](x, out)
    with np.errstate(all="ignore"):
        expected = TWINS[name](x.astype(LONG)).astype(real)
    close = np.isclose(out, expected, rtol=1e-6, atol=0, equal_nan=True)
    assert close.all(), (x[~close], out[~close], expected[~close])
    zero = expected == 0
    odd = name in ("expm1", "log1p", "tanh", "silu")
    if odd:
        np.testing.assert_array_equal(np.signbit(out[zero]), np.signbit(x[zero]))
        # halving a subnormal number may round, the others return it
        if name != "silu":
            np.testing.assert_array_equal(out[5:7], x[5:7])


@pytest.mark.parametrize("name", TWINS)
def test_plain_python_form_is_the_same_function(name):
    x = np.linspace(0.1, 5, 7)
    out = np.empty_like(x)
    LOOPS[name](x, out)
    np.testing.assert_allclose([getattr(elementary, name)(v) for v in x], out, rtol=1e-14)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly")
@pytest.mark.parametrize("name", TWINS)
def test_loops_vectorise(name):
    function = getattr(elementary, name)

    def run(x, out):
        for i in range(len(x)):
            out[i] = function(x[i])

    compiled = numba.njit("void(float32[::1],float32[::1])", error_model="numpy")(run)
    assembly = next(iter(compiled.inspect_asm().values()))
    assert re.search(r"\bv?(mul|add|fmadd\d+|fnmadd\d+|sub)ps\s.*%[xyz]mm", assembly)
