"""Losses, their gradients and proxes beside NumPy and a copy of the same bytes."""

import numpy as np
import pytest
from cases.calls import LOSSES, PREFIXES

from bench.numpy_peers import LOSS
from bench.timing import measure, normal
from fastadmm import kernels

SIZES = [1_000, 100_000, 10_000_000]
REALS = [np.float32, np.float64]
STREAMS = {"": 2, "grad_": 3, "prox_": 3}
every = pytest.mark.parametrize


def _data(n, real):
    return normal(n, real), np.sign(normal(n, real, seed=1))


def _facts(prefix, name, n, real, by):
    return {"operator": f"{prefix}{name}_loss", "n": n, "dtype": real.__name__, "by": by}


@every("real", REALS)
@every("n", SIZES)
@every("prefix", PREFIXES)
@every("name", LOSSES)
def test_loss(benchmark, name, prefix, n, real):
    z, y = _data(n, real)
    parameters = {"huber": (1.0,), "quantile": (0.5,)}.get(name, ())
    numbers = (1.0, 1.0) if prefix == "prox_" else (1.0,)
    out = () if prefix == "" else (np.zeros_like(z),)
    value = measure(
        benchmark, getattr(kernels, f"{prefix}{name}_loss").kernel,
        z, y, *parameters, *numbers, *out,
        streams=STREAMS[prefix], **_facts(prefix, name, n, real, "fastadmm"),
    )  # fmt: skip
    if f"{prefix}{name}" in LOSS:
        expected = LOSS[f"{prefix}{name}"](z, y)
        np.testing.assert_allclose(out[0] if out else value, expected, rtol=1e-3, atol=1e-5)
    assert np.isfinite(value)


@every("real", REALS)
@every("n", SIZES)
@every("name", LOSS)
def test_numpy(benchmark, name, n, real):
    z, y = _data(n, real)
    x = measure(benchmark, LOSS[name], z, y, **_facts("", name, n, real, "numpy"))
    assert np.isfinite(x).all()


@every("real", REALS)
@every(("rows", "classes"), [(100, 10), (10_000, 10), (100, 1_000)])
@every("prefix", PREFIXES)
def test_cross_entropy(benchmark, prefix, rows, classes, real):
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(rows, classes)).astype(real), rng.integers(0, classes, rows)
    numbers = (1.0, 1.0) if prefix == "prox_" else (1.0,)
    out = () if prefix == "" else (np.zeros_like(z),)
    kernel = getattr(kernels, f"{prefix}cross_entropy_loss").kernel
    facts = _facts(prefix, "cross_entropy", f"{rows} x {classes}", real, "fastadmm")
    value = measure(benchmark, kernel, z, y, *numbers, *out, **facts)
    at = out[0] if prefix == "prox_" else z
    expected = np.sum(np.log(np.exp(at).sum(axis=1)) - at[np.arange(rows), y])
    assert value == pytest.approx(expected, rel=1e-4)
