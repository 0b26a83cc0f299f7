"""Long sequences as chunks that overlap: results of whole ones, and when they are not cut."""

import logging
import re

import numpy as np
import pytest
from fastadmm.mpi.cost import TYPICAL, best_chunks

from fastadmm import RNN, chunks
from fastadmm.batches import Batch, Data
from fastadmm.problem import make_problem, score
from fastadmm.threads import compute_threads

T, D, H, C = 5003, 3, 8, 4
CASES = {
    "elman": {}, "gru": {"cell": "gru"}, "lstm": {"cell": "lstm"},
    "leaky": {"cell": "leaky", "leak": 0.4}, "two layers": {"layers": 2, "initial": "learned"},
}  # fmt: skip


def network(dtype="float64", gain=0.8, **facts):
    rng = np.random.default_rng(1)
    net = RNN(D, H, C, gain=gain, dtype=dtype, **facts)
    for weights in net.weights:
        weights += 0.05 * rng.standard_normal(weights.shape)
    return net


def inputs(n_cases=1, n_timepoints=T, tokens=False):
    rng = np.random.default_rng(2)
    if tokens:
        return rng.integers(0, D, (n_cases, n_timepoints))
    return rng.standard_normal((n_cases, n_timepoints, D))


@pytest.fixture
def passes(caplog):
    """What has been said of passes over chunks: number, overlap, residual."""
    caplog.set_level(logging.DEBUG, "fastadmm")
    pattern = re.compile(r"(\d+) chunks, overlap (\d+): edges agree to (\S+)")
    return lambda: [tuple(map(float, found)) for found in pattern.findall(caplog.text)]


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_states_and_outputs_are_those_of_whole_sequences(name, tokens, passes):
    net, X = network(**CASES[name]), inputs(2, tokens=tokens)
    initial = np.random.default_rng(3).uniform(-0.9, 0.9, (2, net.carried))
    for simulated in (net.simulate, lambda X, **more: net.predict(X, "all", **more)):
        found = simulated(X, threads=2, initial=initial)
        assert abs(found - simulated(X, threads=2, initial=initial, exact=True)).max() < 1e-10
    assert len(passes()) == 2
    assert all(number > 1 and residual <= 1e-11 for number, _, residual in passes())


def test_single_precision_is_near_rounding(passes):
    net, X = network("float32"), inputs().astype("float32")
    assert abs(net.simulate(X) - net.simulate(X, exact=True)).max() < 1e-5
    assert passes()[-1][2] <= 1e-5


@pytest.mark.parametrize("kind", ["labels", "values"])
def test_scores_are_those_of_whole_sequences(kind, passes):
    net, X, rng = network(), inputs(), np.random.default_rng(4)
    y = rng.integers(0, C, (1, T)) if kind == "labels" else rng.standard_normal((1, T, C))
    assert net.score(X, y, "all") == pytest.approx(net.score(X, y, "all", exact=True), rel=1e-12)
    assert passes()


def test_a_washout_is_that_of_the_whole_sequence(passes):
    net, X = network(), inputs(2)
    problem, data = make_problem(net, X, np.zeros((2, T), int), readout="all")
    object.__setattr__(problem, "washout", 3000)
    with compute_threads(1):
        found, whole = (score(net, problem, data, 1, exact=exact) for exact in (False, True))
    assert found[2] == 2 * (T - 3000)
    np.testing.assert_allclose(found, whole, rtol=1e-12)
    assert passes()


def test_a_network_that_does_not_forget_is_not_cut(passes):
    net, X = network(gain=3.0), inputs()
    assert (net.simulate(X) == net.simulate(X, exact=True)).all()
    assert not passes()


def test_edges_that_do_not_agree_overlap_more(passes, monkeypatch):
    """The certificate finds an overlap that is too small, and in the end does without."""
    net, X = network(), inputs()
    exact = net.simulate(X, exact=True)
    monkeypatch.setattr(chunks, "overlap_of", lambda *_: 9)
    assert abs(net.simulate(X) - exact).max() < 1e-10
    overlaps, residuals = np.array(passes())[:, 1:].T
    assert (np.diff(overlaps) > 0).all()
    assert (residuals[:-1] > 1e-11).all()
    assert residuals[-1] <= 1e-11
    wild = network(gain=3.0)
    assert (wild.simulate(X) == wild.simulate(X, exact=True)).all()
    assert passes()[-1][2] > 1e-2


@pytest.mark.parametrize("why", ["short", "lengths", "many", "last"])
def test_others_are_not_cut(why, passes):
    net, readout, lengths = network(), "last" if why == "last" else "all", None
    X = inputs(520 if why == "many" else 2, {"short": 4000, "many": 4096}.get(why, T))
    if why == "many":
        X = np.broadcast_to(X[:1], X.shape)
    if why == "lengths":
        lengths = [T, 10]
    net.predict(X, readout, lengths=lengths)
    assert not passes()


@pytest.mark.parametrize("n_chunks", [1, 2, 7, 13])
def test_a_cut_has_every_step_of_every_sequence_once(n_chunks):
    world = np.arange(3 * 40).reshape(3, 40)
    batch = Batch.alone(Data(world, world), np.array([2, 0]), 5, 29)
    found = chunks.cut(batch, n_chunks)
    own = [
        found.data.y[found.cases[i], found.first + t]
        for t in range(found.steps) for i in range(found.active[t])
    ]  # fmt: skip
    assert sorted(own) == sorted(world[[2, 0], 5:34].ravel())
    assert (found.data.X[found.cases[:2], found.first] == world[[2, 0], 5]).all()
    assert (found.data.X[found.cases[-2:], -1] == world[[2, 0], 33]).all()
    assert found.begun() == slice(2, 2)
    assert chunks.cut(Batch.alone(Data(world), np.arange(3)), n_chunks).begun() == slice(0, 3)


def test_a_distance_is_nearly_the_largest():
    rng = np.random.default_rng(5)
    expected = rng.standard_normal((20, 6))
    error = 1e-3 * rng.standard_normal((20, 6)) * rng.random((20, 1))
    size = np.sqrt(np.square(expected).sum(1).mean())
    largest = np.linalg.norm(error, axis=1).max() / size
    found = chunks.distance(expected + error, expected)
    assert largest <= found <= 20 ** (1 / 8) * largest
    assert chunks.distance(expected, expected) == 0
    assert chunks.distance(expected, 0 * expected) == np.inf
    assert np.isnan(chunks.distance(np.full((2, 3), np.nan), np.ones((2, 3))))


def test_the_number_of_chunks_is_near_its_law():
    h, overlap = TYPICAL.half_batch, 64
    for steps in (10_000, 100_000, 1_000_000):
        found = best_chunks(steps, 1, 1, overlap, 10**9)
        assert 0.5 < found / np.sqrt(steps * h / overlap) < 2
    assert best_chunks(1_000_000, 1, 1, overlap, 32) == 32
    assert best_chunks(1_000_000, 1, 2, overlap, 32) == 64
    assert best_chunks(1_000_000, 64, 1, overlap, 32) == 1
    assert best_chunks(4 * overlap - 1, 1, 1, overlap, 32) == 1
    assert best_chunks(10_000, 1, 1, np.inf, 32) == 1
