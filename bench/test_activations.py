"""Activations and derivatives beside NumPy and SciPy; their proxes, which have no peer."""

import numpy as np
import pytest
from cases.calls import ACTIVATIONS

from bench.numpy_peers import ACTIVATION
from bench.timing import measure, normal
from fastadmm import kernels

SIZES = [1_000, 100_000, 10_000_000]
REALS = [np.float32, np.float64]
every = pytest.mark.parametrize


def _facts(prefix, name, n, real, by):
    return {"operator": f"{prefix}{name}_activation", "n": n, "dtype": real.__name__, "by": by}


@every("real", REALS)
@every("n", SIZES)
@every("prefix", ["", "grad_"])
@every("name", ACTIVATIONS)
def test_activation(benchmark, name, prefix, n, real):
    a = normal(n, real)
    out, slope = np.zeros_like(a), (0.1,) if name == "leaky_relu" else ()
    kernel = getattr(kernels, f"{prefix}{name}_activation").kernel
    facts = _facts(prefix, name, n, real, "fastadmm")
    measure(benchmark, kernel, a, *slope, out, streams=2, **facts)
    assert np.isfinite(out).all()
    if f"{prefix}{name}" in ACTIVATION:
        expected = ACTIVATION[f"{prefix}{name}"](a)
        np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-6)


@every("real", REALS)
@every("n", SIZES)
@every("name", ACTIVATION)
def test_numpy(benchmark, name, n, real):
    x = measure(benchmark, ACTIVATION[name], normal(n, real), **_facts("", name, n, real, "numpy"))
    assert np.isfinite(x).all()


@every("real", REALS)
@every("n", SIZES[:2])
@every("name", ACTIVATIONS)
def test_prox(benchmark, name, n, real):
    m, s = 2 * normal(n, real), normal(n, real, seed=1)
    out, slope = np.zeros_like(m), (0.1,) if name == "leaky_relu" else ()
    kernel = getattr(kernels, f"prox_{name}_activation").kernel
    facts = _facts("prox_", name, n, real, "fastadmm")
    value = measure(benchmark, kernel, m, s, *slope, 1.0, 2.0, out, **facts)
    f = getattr(kernels, f"{name}_activation")(out, *slope)
    assert value == pytest.approx(np.sum((s - f).astype(np.float64) ** 2), rel=1e-3)
