"""Proxes and projections beside pyproximal, or NumPy where that lacks them, and a copy."""

import numpy as np
import pytest
from cases.peers import pyproximal_prox
from cases.penalties import CASES
from reference import penalties as twins

from bench.numpy_peers import PROX
from bench.timing import measure, normal
from fastadmm import kernels

SIZES = [1_000, 100_000, 10_000_000]
REALS = [np.float32, np.float64]
STEP = 0.5
SPECTRAL = ("nuclear_norm", "positive_semidefinite", "spectral_ball", "rank", "orthogonal")
LARGEST = dict.fromkeys(SPECTRAL, 100_000)
# pyproximal's total variation takes minutes at the largest size
PEER_LARGEST = LARGEST | {"total_variation": 1_000}
every = pytest.mark.parametrize


def _data(case, n, real):
    """A row, or a square matrix of about n entries; with it the length of a row."""
    if n > LARGEST.get(case.name, n):
        pytest.skip(f"{case.name} of {n} entries takes minutes")
    length = int(n**0.5) if case.shape == "matrix" else n
    shape = {"entry": (n,), "row": (1, n), "matrix": (length, length)}[case.shape]
    return normal(np.prod(shape), real).reshape(shape), length


def _check(case, v, x, length):
    """Compare with the slow twin: some of the entries, or all of a short row or matrix."""
    assert np.isfinite(x).all()
    if case.shape == "entry":
        v, x = v[:500], x[:500]
    elif v.size > 1_000:
        return
    table = twins.PROJECTION if case.is_set else twins.PROX
    if case.name in table:
        arguments = case.twin_parameters(length) + (
            () if case.is_set else (STEP, *case.weights_for(length))
        )
        part = v[0] if case.shape == "row" else v
        expected = table[case.name](part.astype(np.float64), *arguments)
        np.testing.assert_allclose(x.reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)


def _facts(case, n, real, by):
    return {"operator": case.prox.__name__, "n": n, "dtype": real.__name__, "by": by}


@every("real", REALS)
@every("n", SIZES)
@every("case", CASES, ids=str)
def test_prox(benchmark, case, n, real):
    v, length = _data(case, n, real)
    out = np.zeros_like(v)
    measure(
        benchmark, case.prox.kernel, v, *case.kernel_arguments(v, STEP), out,
        streams=2 if case.shape == "entry" else 0, **_facts(case, n, real, "fastadmm"),
    )  # fmt: skip
    _check(case, v, out, length)


@every("real", REALS)
@every("case", [case for case in CASES if case.shape == "entry"], ids=str)
def test_prox_in_place(benchmark, case, real):
    start, length = _data(case, 10_000_000, real)
    v = start.copy()
    arguments = (v, *case.kernel_arguments(v, STEP), v)
    measure(benchmark, case.prox.kernel, *arguments, **_facts(case, len(v), real, "in place"))
    v[...] = start  # the rounds shrank it again and again
    case.prox.kernel(*arguments)
    _check(case, start, v, length)


@every("real", REALS)
@every("n", SIZES)
@every("case", CASES, ids=str)
def test_peer(benchmark, case, n, real):
    v, length = _data(case, n, real)
    if n > PEER_LARGEST.get(case.name, n):
        pytest.skip(f"pyproximal's {case.name} of {n} entries takes minutes")
    if case.name in PROX:
        by, peer, arguments = "numpy", PROX[case.name], (v, *case.prox_arguments(length, STEP))
    else:
        pytest.importorskip("pyproximal")
        by, peer, arguments = "pyproximal", pyproximal_prox(case, length), (v.ravel(), STEP)
    if peer is None:
        pytest.skip(f"neither pyproximal nor one line of NumPy has {case.name}")
    x = measure(benchmark, peer, *arguments, **_facts(case, n, real, by))
    assert np.isfinite(x).all()
    if case.name != "huber":  # pyproximal's is not the minimiser of its own objective
        expected = case.prox(v, *case.prox_arguments(length, STEP)).reshape(x.shape)
        assert np.abs(x - expected).mean() < 1e-2


@every("real", REALS)
@every("n", SIZES)
@every("by", ["fastadmm", "pyproximal"])
def test_l2_norm_of_short_rows(benchmark, by, n, real):
    """Groups of eight; pyproximal holds a group in a column."""
    facts = {"operator": "prox_l2_norm, rows of 8", "n": n, "dtype": real.__name__, "by": by}
    v = normal(n, real).reshape(n // 8, 8)
    expected = kernels.prox_l2_norm(v, STEP, 0.75)
    if by == "fastadmm":
        x = np.zeros_like(v)
        measure(benchmark, kernels.prox_l2_norm.kernel, v, STEP, 0.75, x, **facts)
    else:
        peer = pytest.importorskip("pyproximal").L21(8, 0.75)
        columns = np.ascontiguousarray(v.T).ravel()
        x = measure(benchmark, peer.prox, columns, STEP, **facts).reshape(8, -1).T
    np.testing.assert_allclose(x, expected, rtol=1e-5)
