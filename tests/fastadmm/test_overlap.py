"""`condensed` on chunks of long sequences that overlap, against whole sequences."""

import logging
from pathlib import Path

import numpy as np
import pytest
from cases.launcher import mpirun, needs_mpirun

from fastadmm import RNN, chunks, fit
from fastadmm.batches import Batch
from fastadmm.problem import make_problem
from fastadmm.solvers.condensed import Condensed, CondensedOptions
from fastadmm.threads import compute_threads

from .test_chunks import CASES, C, D, inputs, network

N, T = 2, 3011


def solver_of(name, tokens, overlap, weights=None, gain=0.8):
    net, X = network(gain=gain, **CASES[name]), inputs(N, T, tokens)
    y = np.random.default_rng(6).integers(0, C, (N, T))
    problem, data = make_problem(net, X, y, readout="all")
    if weights is not None:
        object.__setattr__(data, "weights", weights)
    batch = Batch.alone(data, np.array([1, 0]))
    solver = Condensed(net, problem, CondensedOptions(overlap=overlap), N, T, 10, 2)
    return solver, batch


def sums_of(solver):
    """Multiplier sums of all maps, those by token, and Grams."""
    found = [*solver.of_maps("g"), *map(np.tril, solver.of_maps("batch_gram"))]
    if solver.tokens is not None:
        entries, n = solver.tokens.sums, solver.tokens.distinct
        found.append(entries.g[:n][np.argsort(entries.ids[:n])])
    return found


def measured(name, tokens, overlap, **more):
    with compute_threads(2):
        solver, batch = solver_of(name, tokens, overlap, **more)
        own = solver.overlap.cut(batch) if overlap else batch
        record = solver.measure(own)
        if overlap:
            solver.overlap.judge(record)
        if overlap and solver.overlap.has_failed:  # what has been predicted is not enough
            own = solver.overlap.cut(batch)
            record = solver.measure(own)
            solver.overlap.judge(record)
        solver._last = own
        return own, record, [*sums_of(solver), solver.final_state(batch)]


def assert_alike(found, expected, tolerance):
    for own, other in zip(found, expected, strict=True):
        assert abs(own - other).max() <= tolerance * abs(other).max()


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_sums_are_those_of_whole_sequences(name, tokens):
    _, expected, whole = measured(name, tokens, False)
    own, record, found = measured(name, tokens, True)
    assert own.chunks > 1
    assert 0 < record.edge_residual <= 1e-8
    assert_alike(found, whole, 1e-8)
    for one in ("loss", "growth", "multiplier_square"):
        assert getattr(record, one) == pytest.approx(getattr(expected, one), rel=1e-8)


@pytest.mark.parametrize("of", ["cases", "terms"])
def test_weights_of_the_loss_are_those_of_the_whole(of):
    rng = np.random.default_rng(7)
    weights = rng.uniform(0.5, 1.5, N if of == "cases" else (N, T))
    whole = measured("elman", False, False, weights=weights)[2]
    own, _, found = measured("elman", False, True, weights=weights)
    assert own.chunks > 1
    assert_alike(found, whole, 1e-8)


def stream():
    return inputs(1, 4001), np.random.default_rng(8).integers(0, C, (1, 4001))


def trained(net, X, y, **others):
    settings = dict(readout="all", epochs=3, batch_size=None, scale=None, eta=0.01, threads=1)
    result = fit(net, X, y, **{**settings, **others})
    return np.concatenate([weights.ravel() for weights in net.weights]), result


@pytest.mark.parametrize("steps", [None, 2000])
def test_a_stream_trains_as_a_whole(steps):
    X, y = stream()
    weights, result = trained(network(), X, y, steps=steps)
    expected, _ = trained(network(), X, y, steps=steps, overlap=False)
    assert abs(weights - expected).max() < 1e-7
    for record in result.history:
        assert 0 < record["edge_residual"] <= 1e-8
        assert min(record["overlap"]) > 0


def test_a_network_that_does_not_forget_takes_exact_steps(caplog):
    """Said once, and bitwise what it is without."""
    X, y = stream()
    weights, result = trained(network(gain=3.0), 0.01 * X, y, epochs=8)
    expected, _ = trained(network(gain=3.0), 0.01 * X, y, epochs=8, overlap=False)
    assert (weights == expected).all()
    assert all("overlap" not in record for record in result.history)
    said = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert len(said) == 1
    assert "does not forget in time" in said[0].getMessage()


def test_a_step_whose_edges_differ_is_repeated(monkeypatch):
    """With more overlap, until they agree; then overlaps come down to what is needed."""
    X, y = stream()
    monkeypatch.setattr(chunks, "overlap_of", lambda *_: 8)
    weights, result = trained(network(), X, y)
    expected, _ = trained(network(), X, y, overlap=False)
    assert abs(weights - expected).max() < 1e-7
    repeated = [record["repeated"] for record in result.history]
    assert repeated[0] > 0
    assert repeated[1:] == [0, 0]
    monkeypatch.setattr(chunks, "overlap_of", lambda *_: 400)
    _, result = trained(network(), X, y)
    overlaps = [record["overlap"] for record in result.history]
    assert overlaps[0] == [400, 400]
    assert overlaps[2][0] < overlaps[1][0] < 400


def test_edges_that_cannot_agree_are_done_exactly(monkeypatch):
    """A prediction that is wrong costs one step done over, and nothing of the result."""
    X, y = stream()
    monkeypatch.setattr(chunks, "overlap_of", lambda *_: 8)
    weights, result = trained(network(gain=3.0), 0.01 * X, y, epochs=1)
    expected, _ = trained(network(gain=3.0), 0.01 * X, y, epochs=1, overlap=False)
    assert (weights == expected).all()
    assert result.history[0]["repeated"] == 1
    assert result.history[0]["edge_residual"] == 0


def test_a_run_goes_on_bitwise(tmp_path):
    X, y = stream()
    expected, _ = trained(network(), X, y)
    path = tmp_path / "half"
    trained(network(), X, y, epochs=3, checkpoint=path, callbacks=[lambda r: r["epoch"] == 1])
    weights, _ = trained(network(), X, y, resume=path)
    assert (weights == expected).all()


@pytest.mark.parametrize("name", ["last", "dropout", "both directions", "short"])
def test_others_are_never_cut(name):
    more = {
        "dropout": {"layers": 2, "dropout": 0.2}, "both directions": {"bidirectional": True},
    }.get(name, {})  # fmt: skip
    net, T = RNN(D, 4, C, dtype="float64", **more), 200 if name == "short" else 1000
    y = np.zeros(1 if name == "last" else (1, T), int)
    problem, _ = make_problem(net, inputs(1, T), y, readout="last" if name == "last" else "all")
    assert Condensed(net, problem, CondensedOptions(), 1, T, 1, 1).overlap is None


@needs_mpirun
def test_a_stream_over_ranks_is_that_of_one():
    program = Path(__file__).parents[1] / "cases" / "one_stream.py"
    code, out, err, _ = mpirun(3, program, timeout=240)
    assert code == 0, out + err
    assert "wrong: 0" in out
