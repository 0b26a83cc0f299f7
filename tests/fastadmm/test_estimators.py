"""The estimators: scikit-learn's own checks, its tools around them, and sequences of all kinds."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastadmm import RNNClassifier, RNNRegressor

SMALL = {
    "hidden": 8, "threads": 1, "dtype": "float64", "random_state": 0, "options": {"eta": 0.03}
}  # fmt: skip
MINI_BATCHES = "cases are weighted within mini-batches, which other cases would fill otherwise"


def not_of_sequences(estimator):
    return {"check_sample_weight_equivalence_on_dense_data": MINI_BATCHES}


@parametrize_with_checks(
    [RNNClassifier(**SMALL), RNNRegressor(**SMALL)], expected_failed_checks=not_of_sequences
)
def test_rules_of_scikit_learn(estimator, check):
    check(estimator)


def waves(n=60, channels=2):
    """Sequences of unequal length, channels first, of two frequencies, and which it is."""
    rng = np.random.default_rng(0)
    labels, lengths, phases = rng.integers(0, 2, n), rng.integers(20, 40, n), rng.uniform(0, 6, n)
    X = [
        np.sin((0.3 + 0.5 * k) * np.arange(t) + p + np.arange(channels)[:, None])
        for k, t, p in zip(labels, lengths, phases, strict=True)
    ]
    return X, np.array(["slow", "fast"])[labels]


def test_a_classifier_of_sequences_of_unequal_length():
    X, y = waves()
    model = RNNClassifier(**SMALL).fit(X, y)
    assert model.classes_.tolist() == ["fast", "slow"]
    assert model.score(X, y) > 0.95
    assert model.n_features_in_ == 2
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(1)], model.predict(X))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), probabilities)
    with pytest.raises(ValueError, match=r"X\[1\] has shape \(3, 20\): expected \(2, n_timepoint"):
        model.predict([X[0], np.zeros((3, 20))])


def test_axes_are_channels_before_time():
    X, y = waves()
    cut = np.stack([x[:, :20] for x in X])
    model = RNNClassifier(**SMALL).fit(cut, y)
    assert model.network_.inputs == 2
    np.testing.assert_allclose(model.predict_proba(cut), model.predict_proba(list(cut)))
    one = RNNClassifier(**SMALL).fit(cut[:, 0], y)
    other = RNNClassifier(**SMALL).fit(cut[:, :1], y)
    np.testing.assert_array_equal(one.predict_proba(cut[:, 0]), other.predict_proba(cut[:, :1]))
    with pytest.raises(ValueError, match=r"X has shape .*: expected \(n_cases, n_channels, n_time"):
        model.fit(cut[:, None], y)


def test_labels_of_every_time_point():
    X, _ = waves()
    y = [np.where(x[0] > 0, "up", "down") for x in X]
    model = RNNClassifier(readout="all", **SMALL).fit(X, y)
    assert model.score(X, y) > 0.9
    found = model.predict(X)
    assert [len(row) for row in found] == [len(row) for row in y]
    assert model.predict_proba(X)[3].shape == (len(y[3]), 2)


def test_values_of_sequences_and_of_every_time_point():
    X, _ = waves()
    last = np.array([x[:, -1] for x in X]) * 1000 + 5000
    for y in (last[:, 0], last):
        model = RNNRegressor(**SMALL).fit(X, y)
        assert model.predict(X).shape == y.shape
        assert model.score(X, y) > 0.9
    cut = np.stack([x[:, :20] for x in X])
    for y in (cut[:, 0], cut[:, ::-1] + 3):
        model = RNNRegressor(readout="all", **SMALL).fit(cut, y)
        assert model.predict(cut).shape == y.shape
        assert model.score(cut, y) > 0.9
        ragged = RNNRegressor(readout="all", **SMALL).fit(X, [x[0] for x in X])
    assert [row.shape for row in ragged.predict(X)] == [x[0].shape for x in X]


def test_tools_of_scikit_learn():
    X, y = waves()
    cut = np.stack([x[:, :20] for x in X])
    model = make_pipeline(FunctionTransformer(np.tanh), RNNClassifier(epochs=5, **SMALL))
    search = GridSearchCV(model, {"rnnclassifier__hidden": [4, 8]}, cv=2, n_jobs=2)
    assert search.fit(cut, y).best_score_ > 0.5
    assert len(cross_val_score(clone(model), cut, y, cv=2)) == 2


def test_going_on():
    X, y = waves()
    model = RNNClassifier(epochs=3, warm_start=True, **SMALL).fit(X, y)
    first = model.network_.theta.copy()
    loss = model.history_[-1]["train_loss"]
    model.fit(X, y)
    assert model.history_[0]["train_loss"] < loss
    fresh = clone(model).set_params(warm_start=False).fit(X, y)
    np.testing.assert_array_equal(fresh.fit(X, y).network_.theta, first)
    parts = RNNClassifier(**SMALL)
    slow = np.flatnonzero(y == "slow")
    parts.partial_fit([X[i] for i in slow], y[slow], classes=["slow", "fast"])
    for _ in range(100):
        parts.partial_fit(X, y)
    assert parts.n_iter_ == 1
    assert parts.score(X, y) > 0.8
    with pytest.raises(ValueError, match=r"y has label .*'other'.*: expected one of \['fast'"):
        parts.partial_fit(X, np.where(y == "slow", "other", y))


def test_early_stopping_and_weights_reach_training():
    X, y = waves()
    model = RNNClassifier(epochs=300, early_stopping=True, n_iter_no_change=3, **SMALL)
    model.fit(X, np.random.default_rng(0).permutation(y))
    assert model.status_ == "stopped"
    assert model.n_iter_ < 300
    heavy = RNNClassifier(class_weight={"fast": 1e-6, "slow": 1.0}, **SMALL).fit(X, y)
    assert (heavy.predict(X) == "slow").mean() > 0.9
    weights = np.where(y == "fast", 1.0, 1e-6)
    heavy = RNNClassifier(**SMALL).fit(X, y, sample_weight=weights)
    assert (heavy.predict(X) == "fast").mean() > 0.9
