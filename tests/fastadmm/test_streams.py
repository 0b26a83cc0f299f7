"""Windows of streams with the time points that they warm up on."""

from dataclasses import replace

import numpy as np
import pytest

from fastadmm import RNN, fit
from fastadmm.batches import Batch, Data
from fastadmm.problem import make_problem
from fastadmm.solvers.condensed import Condensed, CondensedOptions
from fastadmm.streams import windows
from fastadmm.threads import compute_threads

D, H, C, T = 2, 5, 3, 47


def data(n=1, n_timepoints=T):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, n_timepoints, D)), rng.integers(0, C, (n, n_timepoints))


@pytest.mark.parametrize(("n", "steps", "warmup"), [(1, 10, 4), (3, 7, 12), (2, 100, 3), (1, 1, 0)])
def test_windows_tile_the_stream_behind_the_first_warm_up(n, steps, warmup):
    world = np.arange(n * T).reshape(n, T)
    found = windows(Data(world, -world, weights=np.arange(1.0, n + 1)), steps, warmup)
    length = found.X.shape[1] - warmup
    assert 1 <= length <= steps
    assert (found.y == -found.X).all()
    assert (np.diff(found.X, axis=1) == 1).all()
    own = found.X[:, warmup:].ravel()
    assert len(set(own)) == len(own)
    assert own[-1] == n * T - 1
    assert n * (T - warmup) - own.size < n * len(found.X)
    assert (found.weights == 1 + found.X[:, 0] // T).all()


def one_step(net, X, y, **others):
    fit(net, X, y, readout="all", epochs=1, scale=None, eta=0.01, threads=1, **others)
    return np.concatenate([weights.ravel() for weights in net.weights])


def network():
    return RNN(D, H, C, gain=0.5, dtype="float64")


def test_a_window_is_a_sequence_whose_beginning_counts_nothing():
    X, y = data()
    found = one_step(network(), X, y, steps=T, warmup=10, batch_size=1)
    expected = one_step(network(), X, y, washout=10, batch_size=1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def multiplier_sum(X, y, begin):
    """Of the recurrent weights, with losses from time point ``begin`` of every sequence on."""
    net = network()
    problem, found = make_problem(net, X, y, readout="all")
    weights = np.broadcast_to(np.arange(X.shape[1]) >= begin, X.shape[:2]).astype(float)
    batch = Batch.alone(replace(found, weights=weights), np.arange(len(X)))
    with compute_threads(1):
        solver = Condensed(net, problem, CondensedOptions(), *X.shape[:2], 1, 1)
        record = solver.measure(batch)
    return record.rows * solver.of_maps("g")[0]


def test_a_long_warm_up_has_the_gradient_of_the_stream():
    """All windows together, against the stream without its beginning."""
    X, y = data(n_timepoints=240)
    whole, errors = multiplier_sum(X, y, 40), []
    for warmup in (40, 2):
        found = windows(Data(X[:, 40 - warmup :], y[:, 40 - warmup :]), 20, warmup)
        errors.append(abs(multiplier_sum(found.X, found.y, warmup) - whole).max())
    assert errors[0] < 1e-6 * abs(whole).max()
    assert errors[1] > 1e-3 * abs(whole).max()


def test_history_and_settings():
    X, y = data(2)
    net = network()
    result = fit(
        net, X, y, readout="all", steps=10, warmup=5, batch_size=4, epochs=2, validation=data()
    )
    assert result.settings["steps"] <= 10
    assert result.settings["warmup"] == 5
    assert result.history[0]["batches"] == 3  # 2 streams of 5 windows, by 4 at most
    assert np.isfinite(result.history[-1]["validation_loss"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"warmup": 3}, "warmup is 3: expected steps=, the length of windows"),
        ({"steps": 5, "warmup": -1}, "warmup is -1"),
        ({"steps": 5, "warmup": T}, f"warmup is {T}: expected less than the time points of X, {T}"),
        ({"steps": 5, "warmup": 3, "washout": 2}, "warmup is 3: expected no washout"),
        ({"steps": 5, "warmup": 3, "lengths": [T]}, "warmup is 3: expected no lengths"),
        ({"steps": 5, "warmup": 3, "solver": "block"}, "warmup is 3: solver 'block' trains 0"),
    ],
)
def test_a_warm_up_without_meaning_is_refused(arguments, message):
    X, y = data()
    with pytest.raises(ValueError, match="^" + message):
        fit(network(), X, y, readout="all", **arguments)


def test_a_start_is_not_that_of_windows():
    net, (X, y) = RNN(D, H, C, initial="learned"), data()
    with pytest.raises(ValueError, match="warmup is 3: expected no initial"):
        fit(net, X, y, readout="all", steps=5, warmup=3)
