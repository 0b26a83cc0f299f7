"""Losses, their gradients and proxes on one thread, beside a copy of the same bytes."""

import numpy as np
import pytest

from fastadmm import kernels

LOSSES = (
    "squared", "absolute", "huber", "quantile", "logistic", "hinge", "squared_hinge", "poisson",
)  # fmt: skip
SIZES = [1_000, 100_000, 10_000_000]
REALS = [np.float32, np.float64]


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("prefix", ["", "grad_", "prox_"])
@pytest.mark.parametrize("name", LOSSES)
def test_loss(benchmark, name, prefix, n, real):
    benchmark.group = f"{prefix}{name} {n} {real.__name__}"
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=n).astype(real), rng.choice([-1, 1], n).astype(real)
    kernel = getattr(kernels, f"{prefix}{name}_loss").kernel
    parameters = {"huber": (1.0,), "quantile": (0.5,)}.get(name, ())
    numbers = (1.0, 1.0) if prefix == "prox_" else (1.0,)
    out = () if prefix == "" else (np.empty_like(z),)
    kernel(z, y, *parameters, *numbers, *out)  # compiles
    assert np.isfinite(benchmark(kernel, z, y, *parameters, *numbers, *out))


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize(("rows", "classes"), [(100, 10), (10_000, 10), (100, 1_000)])
@pytest.mark.parametrize("prefix", ["", "grad_", "prox_"])
def test_cross_entropy(benchmark, prefix, rows, classes, real):
    benchmark.group = f"{prefix}cross_entropy {rows} x {classes} {real.__name__}"
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(rows, classes)).astype(real), rng.integers(0, classes, rows)
    kernel = getattr(kernels, f"{prefix}cross_entropy_loss").kernel
    numbers = (1.0, 1.0) if prefix == "prox_" else (1.0,)
    out = () if prefix == "" else (np.empty_like(z),)
    kernel(z, y, *numbers, *out)  # compiles
    assert np.isfinite(benchmark(kernel, z, y, *numbers, *out))


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("n", SIZES)
def test_copy(benchmark, n, real):
    benchmark.group = f"copy {n} {real.__name__}"
    x = np.ones(n, real)
    out = np.empty_like(x)
    benchmark(np.copyto, out, x)
    assert out[-1] == 1
