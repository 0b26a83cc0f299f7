"""Held-out fractions, and training that ends where they get no better."""

import numpy as np
import pytest

from fastadmm import RNN, fit
from fastadmm.batches import Data
from fastadmm.checkpoint import Checkpoint
from fastadmm.held_out import parted

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 5, 3))
Y = RNG.integers(0, 4, 40)


def net():
    return RNN(3, 6, 4)


def test_a_fraction_has_its_share_of_every_label_and_leaves_the_rest():
    y = np.repeat([0, 1, 2], [60, 30, 10])
    whole = Data(np.arange(100)[:, None, None], y, np.arange(100), np.arange(100.0))
    kept, held = parted(whole, None, 0.2, "last")
    assert np.bincount(held.y).tolist() == [12, 6, 2]
    for part in (kept, held):
        np.testing.assert_array_equal(part.X[:, 0, 0], part.lengths)
        np.testing.assert_array_equal(part.y, y[part.lengths])
        np.testing.assert_array_equal(part.weights, part.lengths)
    np.testing.assert_array_equal(np.sort([*kept.lengths, *held.lengths]), np.arange(100))
    assert np.ptp(np.diff(held.lengths[held.y == 0])) > 0  # not every fifth: data may be periodic


def test_a_fraction_is_as_if_given():
    kept, held = parted(Data(X, Y), None, 0.25, "last")
    one, other = net(), net()
    weights = RNG.random(40)
    chosen = [i for i in range(40) if any((X[i] == x).all() for x in kept.X)]
    a = fit(one, X, Y, epochs=3, validation=0.25, sample_weight=weights)
    b = fit(
        other, kept.X, kept.y, epochs=3, validation=(held.X, held.y), sample_weight=weights[chosen]
    )
    np.testing.assert_array_equal(one.theta, other.theta)
    assert [r["validation_loss"] for r in a.history] == [r["validation_loss"] for r in b.history]


def test_a_fraction_of_sequences_of_unequal_length():
    ragged = [x[: 1 + i % 5] for i, x in enumerate(X)]
    steps = [np.arange(len(x)) % 4 for x in ragged]
    for readout, y in (("last", Y), ("all", steps)):
        result = fit(net(), ragged, y, epochs=2, validation=0.3, readout=readout)
        assert result.history[-1]["validation_accuracy"] is not None


def test_training_stops_and_the_best_weights_come_back(tmp_path):
    """Labels are noise: the held-out loss rises from an early epoch on."""
    own, path = net(), tmp_path / "c.safetensors"
    asked = dict(validation=0.5, early_stopping=4, eta=0.2)
    result = fit(own, X, Y, epochs=200, checkpoint=path, **asked)
    losses = [record["validation_loss"] for record in result.history]
    assert result.status == "stopped"
    assert result.best_epoch == int(np.argmin(losses)) + 1 == len(losses) - 4
    held = parted(Data(X, Y), None, 0.5, "last")[1]
    assert own.score(held.X, held.y)["nats"] == pytest.approx(min(losses), rel=1e-5)
    assert Checkpoint.read(path).header["epoch"] == len(losses) + 1
    again = net()
    assert fit(again, X, Y, epochs=200, resume=path, **asked).best_epoch == result.best_epoch
    all_done = net()
    result = fit(all_done, X, Y, epochs=len(losses), **(asked | {"early_stopping": 50}))
    assert result.status == "max_iter"
    best = min(record["validation_loss"] for record in result.history)
    assert all_done.score(held.X, held.y)["nats"] == pytest.approx(best, rel=1e-5)


def test_without_held_out_cases_the_training_loss_counts():
    result = fit(net(), X, Y, epochs=300, early_stopping=1, eta=1.0)
    assert result.status == "stopped"
    losses = [record["train_loss"] for record in result.history]
    assert losses[-1] > losses[-2]
