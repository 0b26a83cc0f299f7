"""fit: arguments at the door, reasons to stop, history, determinism of what it returns."""

import re
import signal
import threading
import time

import numpy as np
import pytest
import scipy.sparse

from fastadmm import RNN, datasets, fit
from fastadmm.problem import evaluate, make_problem
from fastadmm.threads import check_threads, compute_threads

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 5, 3))
Y = RNG.integers(0, 4, 40)


def net(outputs=4, **options):
    return RNN(3, 6, outputs, **options)


BAD = {
    "2-D": (
        dict(X=X[:, :, 0]),
        "X has shape (40, 5): expected 3-D (n_cases, n_timepoints, n_channels), "
        "or 2-D (n_cases, n_timepoints) of integers for token ids; one channel is X[:, :, None]",
    ),
    "channels": (dict(X=X[:, :, :2]), "X has shape (40, 5, 2): expected 3 channels"),
    "no cases": (dict(X=X[:0], y=Y[:0]), "X has shape (0, 5, 3): expected at least one case"),
    "cases": (dict(y=Y[:39]), "y has shape (39,): expected (40,) (n_cases,)"),
    "every step": (dict(readout="all"), "y has shape (40,): expected (40, 5) (n_cases, n_time"),
    "label": (dict(y=np.where(np.arange(40) == 7, 4, Y)), "y[7] is 4: expected labels from 0 to 3"),
    "readout": (dict(readout="first"), "readout is 'first': expected one of 'last', 'all'"),
    "loss": (dict(loss="l2"), "loss is 'l2': expected one of 'softmax_cross_entropy', 'squared'"),
    "values": (dict(y=X[:, 0]), "y has shape (40, 3): expected (40, 4) (n_cases, n_outputs)"),
    "solver": (dict(solver="adam"), "solver is 'adam': expected one of 'condensed'"),
    "epochs": (dict(epochs=0), "epochs is 0: expected a positive integer"),
    "batch": (dict(batch_size=2.5), "batch_size is 2.5: expected a positive integer"),
    "limit": (dict(time_limit=-1), "time_limit is -1: expected a positive number of seconds"),
    "threads": (dict(threads=0), "threads is 0: expected 1 to"),
    "steps": (dict(steps=2), "steps cuts sequences into windows: that needs readout='all'"),
    "held-out cases": (dict(validation=(X, Y[:3])), "yv has shape (3,): expected 40 cases, as Xv"),
    "no fraction": (dict(validation=1.5), "validation is 1.5: expected a pair (Xv, yv), or a frac"),
    "no case": (dict(validation=0.01), "a fraction that leaves cases on both sides, of 40"),
    "no patience": (dict(early_stopping=0), "early_stopping is 0: expected a positive integer"),
    "whole numbers": (
        dict(y=Y - 1),
        "expected labels from 0 to 3; integers are labels: for whole numbers to fit, loss=",
    ),
    "column": (
        dict(y=np.tile(Y[:, None], 4)),
        "y has shape (40, 4): expected (40,) (n_cases,); integers are labels",
    ),
    "float labels": (
        dict(y=Y.astype(float)),
        "expected (40, 4) (n_cases, n_outputs); labels are integers, y.astype(int)",
    ),
    "ragged": (dict(X=[[1.0], [1.0, 2.0]]), "X holds sequences of unequal length"),
}


NAN = X.copy()
NAN[3, 2, 1] = np.nan
LISTS = [X[0], X[1, :3]]
BAD_VALIDATION = {
    "number": ((3, Y), "Xv has shape (): expected 3-D"),
    "1-D": ((X[:, 0, 0], Y), "Xv has shape (40,): expected 3-D"),
    "2-D": ((X[:, :, 0], Y), "Xv has shape (40, 5): expected 3-D"),
    "channels": ((X[:, :, :2], Y), "Xv has shape (40, 5, 2): expected 3 channels"),
    "no cases": ((X[:0], Y[:0]), "Xv has shape (0, 5, 3): expected at least one case"),
    "no steps": ((X[:, :0], Y), "Xv has shape (40, 0, 3): expected at least one case"),
    "nan": ((NAN, Y), "Xv[3, 2, 1] is nan: expected finite float32 numbers"),
    "text": ((np.full((2, 5, 3), "a"), Y), "Xv has dtype <U1: expected numbers"),
    "ragged": (([[1.0], [1.0, 2.0]], Y[:2]), "Xv holds sequences of unequal length, each 1-D"),
    "lists": (([X[0], X[1, :3, :2]], Y[:2]), "Xv[1] has shape (3, 2): expected (n_timepoints, 3)"),
    "one target": ((X, 3), "yv has shape (): expected 40 cases, as Xv has"),
    "label": ((X, Y + 1), "]: expected labels from 0 to 3"),
    "floats": ((X, Y + 0.5), "yv has dtype float64: expected integer labels"),
    "labels of text": ((X, Y.astype(str)), "yv has dtype <U21: expected numbers; np.unique(yv,"),
    "every step": ((X, np.tile(Y[:, None], 5)), "yv has shape (40, 5): expected (40,) (n_cases,)"),
}


@pytest.mark.parametrize("case", BAD_VALIDATION)
def test_validation_data_have_names_of_their_own(case):
    validation, message = BAD_VALIDATION[case]
    name = message if message.startswith(("Xv", "yv")) else "yv["
    with pytest.raises((ValueError, TypeError), match=f"^{re.escape(name)}") as told:
        fit(net(), X, Y, validation=validation)
    assert message.removeprefix("]") in str(told.value)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([Y[:5], Y[:2]], "yv[1] has 2 targets: expected 3, as Xv[1] has"),
        (Y[:2], "yv has shape (2,): expected (2, 5)"),
    ],
)
def test_targets_of_held_out_lists(y, message):
    every = np.tile(Y[:, None], 5)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        fit(net(), X, every, readout="all", validation=(LISTS, y))
    with pytest.raises(ValueError, match=r"^washout is 3: expected less than .* of Xv"):
        fit(net(), X, every, readout="all", validation=(X[:, :3], every[:, :3]), washout=3)


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_named_before_any_work(case):
    arguments, message = BAD[case]
    own = net()
    before = own.theta.copy()
    with pytest.raises(ValueError, match=re.escape(message)):
        fit(own, **{"X": X, "y": Y, **arguments})
    np.testing.assert_array_equal(own.theta, before)


class DataLoader:
    """Has a length and iterates, as torch's does."""

    def __len__(self):
        return 3

    def __iter__(self):
        return iter(())


class Categorical:
    """Becomes an array of objects, as pandas' does."""

    def __len__(self):
        return 40

    def __array__(self, dtype=None, copy=None):
        return np.array(list("ab") * 20, object)


NUMBERS = "expected numbers; np.unique(y, return_inverse=True) numbers labels"
WRONG_TYPES = {
    "a number": (dict(validation=2), "validation is 2: expected a pair of arrays (Xv, yv)"),
    "one of two": (dict(validation=(X,)), "validation is a tuple of 1: expected a pair of arrays"),
    "one array": (dict(validation=X), "validation is a ndarray: expected a pair of arrays"),
    "callback": (dict(callbacks=DataLoader), "expected a sequence, as in callbacks=[function]"),
    "callbacks": (dict(callbacks=[3]), "callbacks holds 3: expected callables"),
    "no sequence": (dict(callbacks=3), "callbacks is 3: expected a sequence of callables"),
    "text objects": (dict(y=np.array(list("ab") * 20, object)), f"y holds 'a': {NUMBERS}"),
    "text": (dict(y=np.array(list("ab") * 20)), f"y has dtype <U1: {NUMBERS}"),
    "categorical": (dict(y=Categorical()), f"y holds 'a': {NUMBERS}"),
    "sparse": (dict(X=scipy.sparse.csr_matrix(X[:, :, 0])), "csr_matrix: expected X.toarray()"),
    "loader": (dict(X=DataLoader()), "X is a DataLoader: expected an array of numbers"),
    "none": (dict(y=[None] * 40), "y holds None: expected numbers"),
}


@pytest.mark.parametrize("case", WRONG_TYPES)
def test_wrong_types_are_named_before_any_work(case):
    arguments, message = WRONG_TYPES[case]
    own = net()
    before = own.theta.copy()
    with pytest.raises(TypeError, match=re.escape(message)):
        fit(own, **{"X": X, "y": Y, "epochs": 10**6, **arguments})
    np.testing.assert_array_equal(own.theta, before)


SEVERAL = np.array([1, 2])
ODD_SETTINGS = {
    "seed": ("x", "seed is 'x': expected an integer, at least 0, or a numpy Generator"),
    "time_limit": ("x", "time_limit is 'x': expected a positive number of seconds"),
    "threads": ("2", "threads is '2': expected 1 to"),
    "verbose": ("x", "verbose is 'x': expected an integer, at least 0"),
    "checkpoint": (3, "checkpoint is 3: expected the path of a file"),
    "resume": (b"x", "resume is b'x': expected the path of a file"),
    "class_weight": (SEVERAL, "class_weight is array([1, 2]): expected 'balanced' or a dict"),
    "solver": ([], "solver is []: expected one of 'condensed'"),
    "scale": (SEVERAL, "scale is array([1, 2]): expected one of 'standard', None"),
    "validation": (float("inf"), "validation is inf: expected a pair (Xv, yv), or a fraction"),
    "warm_start": (2, "warm_start is 2: expected Result.state of a run of this solver"),
    "group_by_length": (SEVERAL, "group_by_length is array([1, 2]): expected True or False"),
    "by_rank": (1, "by_rank is 1: expected True or False"),
    "eta": (object(), "eta is <object object>: expected a positive number or 'auto'"),
}


@pytest.mark.parametrize("name", ODD_SETTINGS)
def test_settings_of_other_types_are_named(name):
    value, message = ODD_SETTINGS[name]
    with pytest.raises((ValueError, TypeError), match=f"^{re.escape(message)}"):
        fit(net(), X, Y, epochs=1, **{name: value})


def test_settings_that_would_never_end_or_overflow():
    for solver, name, value in (("block", "sweeps", 2**70), ("admmirnn", "rho3", 1e300)):
        with pytest.raises(ValueError, match=f"^{name} is .*: expected a"):
            fit(net(), X, Y, solver=solver, batch_size=None, **{name: value})


def test_booleans_are_labels():
    one, other = net(2), net(2)
    fit(one, X, Y > 1, epochs=1)
    fit(other, X, (Y > 1).astype(int), epochs=1)
    np.testing.assert_array_equal(one.theta, other.theta)


@pytest.mark.parametrize("shape", [(40,), (40, 1)])
def test_whole_numbers_are_fitted_where_the_loss_says_so(shape):
    own = net(1)
    result = fit(own, X, Y.reshape(shape), loss="squared", epochs=1, validation=(X, Y[:, None]))
    error = np.square(own.predict(X)[:, 0] - Y).mean()
    assert result.history[-1]["validation_loss"] == pytest.approx(error, rel=1e-4)


def test_score_of_labels():
    own = net(dtype="float64")
    scores = own.score(X, Y)
    logits = own.predict(X)
    logp = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert scores["nats"] == pytest.approx(-logp[np.arange(40), Y].mean())
    assert scores["accuracy"] == (logits.argmax(1) == Y).mean()


@pytest.mark.parametrize("readout", ["last", "all"])
def test_score_of_values(readout):
    own = net(2, dtype="float64")
    y = X[:, -1, :2] + [3, 0] if readout == "last" else X[:, :, :2]
    scores = own.score(X, y, readout)
    errors, around = own.predict(X, readout) - y, y - y.reshape(-1, 2).mean(0)
    assert scores["rmse"] == pytest.approx(np.square(errors).mean() ** 0.5)
    assert scores["r2"] == pytest.approx(1 - np.square(errors).sum() / np.square(around).sum())
    assert np.isnan(own.score(X, np.zeros((40, 2)))["r2"])


def test_settings_of_the_result():
    result = fit(net(), X, Y, epochs=2, batch_size=16, eta=0.02)
    settings = result.settings
    assert (settings["epochs"], settings["batch_size"], settings["steps"]) == (2, 16, 5)
    assert (settings["ranks"], settings["grid"], settings["micro_batches"]) == (1, [1, 1], 1)
    assert settings["options"]["eta"] == 0.02
    (rank,) = result.ranks
    assert rank["work_seconds"] == result.train_seconds
    assert rank["wait_seconds"] == 0
    assert 2**20 < rank["peak_bytes"] < 2**36


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_non_finite_data_is_refused_with_its_position(value):
    broken = X.copy()
    broken[3, 1, 2] = value
    with pytest.raises(ValueError, match=r"X\[3, 1, 2\] is .*: expected finite float32"):
        fit(net(), broken, Y)


def test_types_are_named():
    with pytest.raises(TypeError, match="X has dtype <U1: expected numbers"):
        fit(net(), np.full((2, 2, 3), "a"), Y[:2])
    with pytest.raises(TypeError, match="learning_rate: no option of fit or of solver 'condensed'"):
        fit(net(), X, Y, learning_rate=0.1)
    with pytest.raises(TypeError, match="y has dtype float64: expected integer labels"):
        fit(net(), X, Y.astype(float), loss="softmax_cross_entropy")


def test_history_and_result():
    own, seen = net(), []
    result = fit(own, X, Y, epochs=4, batch_size=16, validation=(X, Y), callbacks=[seen.append])
    assert result.status == "max_iter"
    assert seen == result.history
    assert [record["epoch"] for record in seen] == [1, 2, 3, 4]
    assert all(record["batches"] == 3 for record in seen)
    assert seen[-1]["train_loss"] < seen[0]["train_loss"]
    assert 0 < seen[-1]["rho_min"] <= seen[-1]["rho_max"]
    assert 0 < seen[-1]["step_length"] < 0.03
    assert seen[-1]["multiplier_rms"] > 0
    total = sum(record["seconds"] for record in seen)
    assert total == pytest.approx(result.train_seconds)
    problem, data = make_problem(own, X, Y)
    with compute_threads(1):
        loss, accuracy = evaluate(own, problem, data, 1)
    # the network returned is the one that was validated: the averaged iterate
    assert loss == pytest.approx(seen[-1]["validation_loss"], rel=1e-6)
    assert accuracy == seen[-1]["validation_accuracy"]
    assert (own.predict(X).argmax(1) == Y).mean() == accuracy


def test_regression_reports_mean_squared_error():
    y = X[:, -1, :2]
    own = net(2, dtype="float64")
    result = fit(own, X, y, epochs=2, validation=(X, y))
    error = np.mean((own.predict(X) - y) ** 2)
    assert result.history[-1]["validation_loss"] == pytest.approx(error)
    assert result.history[-1]["validation_accuracy"] is None


def test_one_output_takes_plain_values():
    one, column = net(1), net(1)
    fit(one, X, X[:, 0, 0], epochs=1)
    fit(column, X, X[:, 0, :1], epochs=1)
    np.testing.assert_array_equal(one.theta, column.theta)


def test_callbacks_see_the_weights_that_were_scored():
    own, losses = net(), []

    def look(record):
        problem, data = make_problem(own, X, Y)
        losses.append((evaluate(own, problem, data, 1)[0], record["validation_loss"]))

    fit(own, X, Y, epochs=3, batch_size=16, validation=(X, Y), callbacks=[look])
    assert len(losses) == 3
    for seen, scored in losses:
        assert seen == pytest.approx(scored, rel=1e-6)


def test_an_exception_in_a_callback_leaves_the_scored_weights():
    own, kept = net(), {}

    def fail(record):
        kept.update(record)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        fit(own, X, Y, epochs=3, batch_size=16, validation=(X, Y), callbacks=[fail])
    problem, data = make_problem(own, X, Y)
    assert evaluate(own, problem, data, 1)[0] == pytest.approx(kept["validation_loss"], rel=1e-6)


@pytest.mark.parametrize("gain", [1.0, 8.0])
def test_the_training_loss_falls_to_the_end(gain):
    """The growth guard falls with the step length; constant, it raised the loss by a half."""
    task = datasets.digits()
    own = RNN(8, 64, 10, gain=gain)
    losses = [r["train_loss"] for r in fit(own, task.X, task.y, epochs=15).history]
    assert losses[-1] <= 1.1 * min(losses)


def test_an_early_stop_returns_no_stale_average():
    """A plain mean from the first step on had 30 % where the last iterate had 77 %."""
    task, accuracies = datasets.digits(), []
    own = RNN(8, 64, 10, gain=8.0)
    result = fit(
        own, task.X, task.y, epochs=10, validation=task.held_out,
        callbacks=[lambda record: record["epoch"] == 3],
    )  # fmt: skip
    accuracies.append(result.history[-1]["validation_accuracy"])
    last = RNN(8, 64, 10, gain=8.0)
    result = fit(
        last, task.X, task.y, epochs=10, validation=task.held_out, average=0.0,
        callbacks=[lambda record: record["epoch"] == 3],
    )  # fmt: skip
    accuracies.append(result.history[-1]["validation_accuracy"])
    assert accuracies[0] > accuracies[1] - 0.15


def test_callback_ends_training():
    result = fit(net(), X, Y, epochs=9, callbacks=[lambda record: record["epoch"] == 2])
    assert (result.status, len(result.history)) == ("interrupted", 2)


def test_time_limit_counts_callbacks(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("fastadmm.run.time.perf_counter", lambda: clock[0])

    def slow(record):
        clock[0] += 10

    result = fit(net(), X, Y, epochs=10**6, time_limit=25, callbacks=[slow])
    assert (result.status, len(result.history)) == ("time_limit", 4)
    assert result.train_seconds == 0


def test_time_limit_ends_training():
    result = fit(net(), X, Y, epochs=10**6, time_limit=0.05)
    assert result.status == "time_limit"
    assert 0 < result.train_seconds < 5


def test_interrupt_keeps_the_model_so_far():
    own = net()
    before = own.theta.copy()
    threading.Timer(1.0, signal.raise_signal, [signal.SIGINT]).start()
    started = time.perf_counter()
    result = fit(own, X, Y, epochs=10**6)
    assert result.status == "interrupted"
    assert time.perf_counter() - started < 60
    assert np.isfinite(own.theta).all()
    assert not np.array_equal(own.theta, before)


def test_divergence_returns_the_best_finite_iterate():
    """A linear network whose states overflow: stop, say so, and keep what was finite."""
    own = RNN(3, 6, 1, activation="identity", gain=1.0, dtype="float32")
    long = RNG.standard_normal((8, 400, 3))
    result = fit(own, long, long[:, 0, 0], epochs=500, batch_size=8, scale=None, eta=5.0, guard=0.0)
    assert result.status == "diverged"
    assert np.isfinite(own.theta).all()
    assert np.isfinite(own.predict(long)).all()


def test_verbose_zero_prints_nothing(capfd):
    fit(net(), X, Y, epochs=1)
    assert capfd.readouterr() == ("", "")


def test_plain_lines_where_there_is_no_terminal(capfd):
    fit(net(), X, Y, epochs=2, verbose=1, validation=(X, Y))
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(
        r"epoch 2/2  loss \d\.\d{4}  validation \d\.\d{4}  accuracy [\d.]+%  [\d,]+ sequences/s",
        lines[1],
    )


def test_read_only_and_foreign_layouts():
    plain, other = net(), net()
    fit(plain, X, Y, epochs=1)
    frozen = np.asfortranarray(X)
    frozen.flags.writeable = False
    fit(other, frozen, Y.astype(np.uint8), epochs=1)
    np.testing.assert_array_equal(plain.theta, other.theta)


def test_threads_are_as_asked_or_what_the_work_is_enough_for(monkeypatch):
    assert fit(net(), X, Y, epochs=1).threads == 1
    assert fit(net(), X, Y, epochs=1, threads=2).threads == 2
    much = np.tile(X, (100, 1, 1)), np.tile(Y, 100)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert fit(RNN(3, 64, 4), *much, epochs=1, batch_size=4000).threads == check_threads(None)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert check_threads(None) == 1
    assert fit(RNN(3, 64, 4), *much, epochs=1, batch_size=4000).threads == 1


def test_blas_threads_are_restored():
    from threadpoolctl import threadpool_info

    def pools():
        return [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()]

    before = pools()
    fit(net(), X, Y, epochs=1)
    assert [pool for pool in pools() if pool in before] == before
