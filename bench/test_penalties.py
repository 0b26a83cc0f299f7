"""Proxes and projections on one thread, beside pyproximal and a copy of the same bytes.

Out of place, and in place where ``out`` is the input. Values are checked after the timing, on what
the last round left.
"""

import numpy as np
import pytest
from cases.peers import pyproximal_prox
from cases.penalties import CASES
from threadpoolctl import threadpool_limits

from fastadmm import kernels

SIZES = [1_000, 100_000, 10_000_000]
REALS = [np.float32, np.float64]
STEP = 0.5
ROUNDS = {1_000: 200, 100_000: 50, 10_000_000: 5}
LARGEST = {"nuclear_norm": 100_000, "positive_semidefinite": 100_000}
# pyproximal's total variation takes minutes at the largest size
PEER_LARGEST = {"nuclear_norm": 100_000, "total_variation": 100_000}


@pytest.fixture(autouse=True)
def one_thread():
    with threadpool_limits(1):
        yield


def _data(case, n, real):
    """A row, or a square matrix of about n entries; with what is the length of a row."""
    if n > LARGEST.get(case.name, n):
        pytest.skip(f"{case.name} of {n} entries takes minutes")
    length = int(n**0.5) if case.shape == "matrix" else n
    shape = (length, length) if case.shape == "matrix" else (1, n) if case.shape == "row" else (n,)
    return np.random.default_rng(0).normal(size=shape).astype(real), length


def _run(benchmark, n, function, *arguments):
    function(*arguments)  # compiles
    return benchmark.pedantic(function, arguments, rounds=ROUNDS[n], warmup_rounds=1)


def _group(benchmark, case, n, real):
    benchmark.group = f"{case.name} {n} {real.__name__}"


def _check(case, v, x, length):
    assert np.isfinite(x).all()
    expected = case.prox(v, *case.prox_arguments(length, STEP))
    np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_prox(benchmark, case, n, real):
    _group(benchmark, case, n, real)
    v, length = _data(case, n, real)
    out = np.empty_like(v)
    _run(benchmark, n, case.prox.kernel, v, *case.kernel_arguments(v, STEP), out)
    _check(case, v, out, length)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("case", [case for case in CASES if case.shape == "entry"], ids=str)
def test_prox_in_place(benchmark, case, n, real):
    _group(benchmark, case, n, real)
    start, length = _data(case, n, real)
    v = start.copy()
    arguments = (v, *case.kernel_arguments(v, STEP), v)
    _run(benchmark, n, case.prox.kernel, *arguments)
    v[...] = start  # the rounds shrank it again and again
    case.prox.kernel(*arguments)
    _check(case, start, v, length)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_pyproximal(benchmark, case, n, real):
    pytest.importorskip("pyproximal")
    _group(benchmark, case, n, real)
    v, length = _data(case, n, real)
    if n > PEER_LARGEST.get(case.name, n):
        pytest.skip(f"pyproximal's {case.name} of {n} entries takes minutes")
    peer = pyproximal_prox(case, length)
    if peer is None:
        pytest.skip(f"pyproximal has no {case.name}")
    x = _run(benchmark, n, peer, v.ravel(), STEP)
    assert np.isfinite(x).all()
    assert x.size == v.size


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("whose", ["kernel", "pyproximal"])
def test_l2_norm_of_short_rows(benchmark, whose, n, real):
    """Groups of eight; pyproximal holds a group in a column."""
    benchmark.group = f"l2_norm of short rows {n} {real.__name__}"
    v = np.random.default_rng(0).normal(size=(n // 8, 8)).astype(real)
    expected = kernels.prox_l2_norm(v, STEP, 0.75)
    if whose == "kernel":
        x = np.empty_like(v)
        _run(benchmark, n, kernels.prox_l2_norm.kernel, v, STEP, 0.75, x)
    else:
        peer = pytest.importorskip("pyproximal").L21(8, 0.75)
        columns = np.ascontiguousarray(v.T).ravel()
        x = _run(benchmark, n, peer.prox, columns, STEP).reshape(8, -1).T
    np.testing.assert_allclose(x, expected, rtol=1e-5)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("n", SIZES)
def test_copy(benchmark, n, real):
    benchmark.group = f"copy {n} {real.__name__}"
    v = np.ones(n, real)
    out = np.empty_like(v)
    _run(benchmark, n, np.copyto, out, v)
    assert out[-1] == 1
