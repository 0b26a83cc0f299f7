"""Ranks that were asked for different things, or have come to different weights."""

import logging
from pathlib import Path

import numpy as np
import pytest
from cases.launcher import mpirun, needs_mpirun

from fastadmm import RNN
from fastadmm.agreement import compare_weights, described
from fastadmm.on_disk import Mapped

PROGRAM = Path(__file__).parents[1] / "cases" / "ranks_that_differ.py"


@needs_mpirun
@pytest.mark.parametrize("size", [pytest.param(2, marks=pytest.mark.every_mpi), 3])
def test_what_differs_is_named_on_all_ranks(size):
    code, out, err, _ = mpirun(size, PROGRAM, timeout=200)
    assert code == 0, out + err
    assert "wrong: 0 of 40" in out, out


@needs_mpirun
@pytest.mark.parametrize("size", [2, 3])
def test_cases_by_rank_are_the_data_of_one(size):
    program = PROGRAM.with_name("data_by_rank.py")
    code, out, err, _ = mpirun(size, program, timeout=400)
    assert code == 0, out + err
    assert "wrong: 0" in out, out


def test_values_are_described_alike_where_they_are_equal():
    X = np.random.default_rng(0).standard_normal((3, 4))
    for same in (X, np.asfortranarray(X), Mapped(X), X.tolist()):
        assert described(same) == described(X)
    for other in (X.astype("f4"), X[:2], X + 1e-9, X.T):
        assert described(other) != described(X)
    assert described({"b": 1, "a": X}) == described({"a": X, "b": 1})
    assert described(np.int64(3)) == described(3) == "3"
    assert described([X, X[:2]]) != described([X, X[:1]])
    assert described(object()) == described(object())


def test_of_large_arrays_some_cases_are_compared(monkeypatch):
    monkeypatch.setattr("fastadmm.agreement._WHOLE", 100)
    X = np.zeros((1000, 70, 2))
    late, seldom = X.copy(), X.copy()
    late[::2, :3] = 1
    seldom[1] = 1
    for own in (X, Mapped(X)):
        assert described(own) == described(seldom)  # not seen
        assert described(own) != described(late)


class Two:
    """Two ranks, of which the other one has weights of its own."""

    size = 2

    def __init__(self, other):
        self.other = other

    def gather(self, facts):
        from fastadmm import agreement

        weights = self.other.state_dict().values()
        norm = float(sum(np.square(each, dtype=float).sum() for each in weights)) ** 0.5
        return [facts, (agreement._digest(*weights), norm)]


def test_weights_that_part_end_training(caplog):
    net, close, far = RNN(2, 3, 2), RNN(2, 3, 2), RNN(2, 3, 2, seed=1)
    compare_weights(Two(close), net, 1)
    assert not caplog.records
    close.theta[0, 0] *= 1 + 1e-6
    with caplog.at_level(logging.WARNING, "fastadmm"):
        compare_weights(Two(close), net, 1)
    assert "processors of several kinds" in caplog.text
    with pytest.raises(RuntimeError, match="after epoch 7 weights differ between ranks"):
        compare_weights(Two(far), net, 7)
