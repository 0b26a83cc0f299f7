"""Training over ranks that do not wait for each other."""

from pathlib import Path

import numpy as np
import pytest
from cases.launcher import mpirun, needs_mpirun

from fastadmm import RNN, fit

PROGRAM = Path(__file__).parents[1] / "cases" / "asynchronous.py"


@needs_mpirun
@pytest.mark.parametrize("size", [1, pytest.param(2, marks=pytest.mark.every_mpi), 3])
def test_bound_order_and_end(size):
    code, out, err, _ = mpirun(size, PROGRAM, timeout=120)
    assert code == 0, err
    assert out.count("done") == size


@needs_mpirun
def test_command_line(tmp_path):
    command = ("digits", "--epochs", 2, "--hidden", 16, "--staleness", 2, "--threads", 1)
    code, _, err, _ = mpirun(2, "-m", "fastadmm", "train", *command, "--out", tmp_path, timeout=120)
    assert code == 0, err
    assert '"age_max"' in (tmp_path / "history.jsonl").read_text()
    code, _, err, _ = mpirun(
        2, "-m", "fastadmm", "train", "digits", "--solver", "block", "--batch-size", "1797",
        "--staleness", 2, "--out", tmp_path, timeout=120,
    )  # fmt: skip
    assert code == 2
    assert err.count("it needs epochs of several iterations: mini-batches, or sweeps above 1") == 1


def test_staleness_needs_ranks_and_an_integer():
    net, X, y = RNN(2, 3, 2), np.zeros((4, 3, 2)), np.zeros(4, int)
    with pytest.raises(ValueError, match=r"staleness is 1: it needs ranks, comm="):
        fit(net, X, y, staleness=1)
    with pytest.raises(ValueError, match=r"staleness is -1: expected an integer, at least 0"):
        fit(net, X, y, staleness=-1)
