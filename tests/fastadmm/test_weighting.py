"""Weights of cases and classes in the loss."""

import numpy as np
import pytest
from fastadmm.mpi.serial import Serial

from fastadmm import RNN, fit
from fastadmm.batches import Batch, Plan, Share
from fastadmm.problem import make_problem
from fastadmm.solvers import SOLVERS
from fastadmm.threads import compute_threads
from fastadmm.weighting import loss_weights

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((12, 5, 3)), RNG.integers(0, 3, 12)


def weighed(y, sample_weight=None, class_weight=None, readout="last", loss=None):
    net = RNN(3, 4, 3, dtype="float64", seed=1)
    problem, data = make_problem(net, X, y, loss, readout)
    share = Share(Plan(*X.shape[:2], len(X), X.shape[1], 1), Serial())
    weights = loss_weights(sample_weight, class_weight, net, problem, data, share)
    return net, problem, data, weights


def sums_of(net, problem, data):
    Options = SOLVERS["condensed"].Options
    with compute_threads(2):
        solver = SOLVERS["condensed"](net, problem, Options(), 12, 5, 9, 2)
        record = solver.measure(Batch.alone(data, np.arange(12)))
    return solver.maps.g.copy(), record.loss


@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "squared"])
def test_sums_are_those_of_weighted_cases(readout, loss):
    from dataclasses import replace

    shape = (12,) if readout == "last" else (12, 5)
    y = RNG.standard_normal((*shape, 3)) if loss == "squared" else RNG.integers(0, 3, shape)
    given = RNG.uniform(0, 3, 12)
    net, problem, data, weights = weighed(y, given, readout=readout, loss=loss)
    assert weights.mean() == pytest.approx(1)
    found, total = sums_of(net, problem, replace(data, weights=weights))
    expected, loss_sum = 0.0, 0.0
    for i in range(12):
        only = np.zeros(12)
        only[i] = 1.0
        g, own = sums_of(net, problem, replace(data, weights=only))
        expected, loss_sum = expected + weights[i] * g, loss_sum + weights[i] * own
    np.testing.assert_allclose(found, expected, atol=1e-13)
    assert total == pytest.approx(loss_sum)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_case_without_weight_has_no_say(solver):
    """Its target may be anything."""
    weights = np.ones(12)
    weights[3] = 0
    found = []
    for label in (0, 2):
        y = Y.copy()
        y[3] = label
        net = RNN(3, 4, 3, dtype="float64")
        fit(net, X, y, solver=solver, epochs=4, batch_size=4, sample_weight=weights)
        found.append(np.concatenate([net.theta.ravel(), net.phi.ravel()]))
    np.testing.assert_allclose(found[0], found[1], atol=1e-12)
    net = RNN(3, 4, 3, dtype="float64")
    fit(net, X, Y, solver=solver, epochs=4, batch_size=4)
    assert np.abs(found[0] - np.concatenate([net.theta.ravel(), net.phi.ravel()])).max() > 1e-6


@pytest.mark.parametrize("solver", ["block", "admmirnn"])
@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "squared"])
def test_updates_with_weights_raise_nothing(solver, loss):
    y = Y if loss == "softmax_cross_entropy" else RNG.standard_normal((12, 3))
    net = RNN(3, 4, 3, dtype="float64")
    result = fit(
        net, X, y, solver=solver, epochs=8, batch_size=None, sample_weight=np.arange(12.0),
        certify=True,
    )  # fmt: skip
    assert result.certificate.violation is None


def test_classes_in_balance():
    y = np.array([0] * 8 + [1] * 3 + [2])
    _, _, _, weights = weighed(y, class_weight="balanced")
    totals = np.bincount(y, weights)
    np.testing.assert_allclose(totals, totals[0])
    assert weights.mean() == pytest.approx(1)
    _, _, _, weights = weighed(y, class_weight={1: 5.0})
    assert weights[8] / weights[0] == pytest.approx(5)
    every = np.tile(y[:, None], 5)
    _, _, _, weights = weighed(every, np.arange(1.0, 13), {1: 5.0}, readout="all")
    assert weights.shape == (12, 5)
    assert weights[8, 2] / weights[0, 2] == pytest.approx(5 * 9)


def test_rare_labels_are_found_with_balanced_classes():
    rng = np.random.default_rng(0)
    y = (rng.random(600) < 0.03).astype(int)
    x = rng.standard_normal((600, 4, 1)) + 1.2 * y[:, None, None]
    recall = {}
    for class_weight in (None, "balanced"):
        net = RNN(1, 8, 2)
        fit(net, x, y, epochs=10, batch_size=32, class_weight=class_weight)
        recall[class_weight] = (net.predict(x).argmax(1)[y == 1] == 1).mean()
    assert recall["balanced"] > recall[None] + 0.2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_weight": np.ones(3)}, r"sample_weight has shape \(3,\): expected \(12,\)"),
        ({"sample_weight": -np.ones(12)}, r"sample_weight\[0\] is -1.0: expected a number, at le"),
        ({"sample_weight": np.zeros(12)}, "sample_weight is zero everywhere"),
        ({"class_weight": "equal"}, "class_weight is 'equal': expected 'balanced' or a dict"),
        ({"class_weight": {7: 1.0}}, "class_weight has label 7: expected 0 to 2"),
        ({"class_weight": {1: -1.0}}, r"class_weight\[1\] is -1.0: expected a finite num"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fit(RNN(3, 4, 3), X, Y, **options)
    with pytest.raises(ValueError, match="class_weight is given: expected None, targets are not"):
        fit(RNN(3, 4, 1), X, np.zeros((12, 1)), class_weight="balanced")
