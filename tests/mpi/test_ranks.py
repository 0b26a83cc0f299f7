"""Training over ranks: the weights of one rank on every grid, messages, the command line."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from cases.launcher import finish, mpirun, needs_mpirun, start

from fastadmm.shares import Plan, Share

PROGRAMS = Path(__file__).parents[1] / "cases"


class Virtual:
    """Grid of ranks that never communicate."""

    def __init__(self, size, time, rank):
        from fastadmm.mpi.partition import partition

        self.partition, self.size = partition, size
        self.time, self.rank = time, rank

    def cut(self, n_cases, n_steps, batch):
        places = self.partition(batch, self.size // self.time, self.rank // self.time)
        steps = self.partition(n_steps, self.time, self.rank % self.time)
        return slice(*places), slice(*steps)


@pytest.mark.parametrize(
    ("n", "T", "batch", "window"), [(11, 7, 4, 7), (5, 10, 5, 3), (3, 2, 3, 2)]
)
@pytest.mark.parametrize(("time", "size"), [(1, 1), (1, 4), (4, 4), (2, 6), (5, 5)])
def test_every_step_of_every_sequence_is_trained_on_once(n, T, batch, window, time, size):
    plan = Plan(n, T, batch, window, 1)
    world = np.arange(n * T).reshape(n, T)
    seen = []
    for rank in range(size):
        share = Share(plan, Virtual(size, time, rank))
        own = share.of(world) if size > 1 else world
        for cases, k in plan.windows(np.random.default_rng(0)):
            local, first, steps = share.cut(cases, k)
            seen += own[local, first : first + steps].ravel().tolist()
            assert len(local) <= share.batch
            assert steps <= share.steps
    assert sorted(seen) == list(range(n * T))


@pytest.mark.parametrize(
    ("n", "batch"), [(10, 3), (9, 3), (4, 4), (1, 1), (65, 64), (100, 14), (7, 2), (99, 2)]
)
def test_an_epoch_has_every_case_once_and_even_batches(n, batch):
    plan = Plan(n, 2, batch, 2, 1)
    rng = np.random.default_rng(0)
    epochs = [[cases[cases >= 0] for cases, _ in plan.windows(rng)] for _ in range(4)]
    for epoch in epochs:
        assert sorted(np.concatenate(epoch)) == list(range(n))
        sizes = [len(cases) for cases in epoch]
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) == plan.batch_size <= batch
        assert len(epoch) == plan.batches == -(-n // batch)
        weights = [plan.weight(size, 0, "last") for size in sizes]
        assert np.mean(weights) == pytest.approx(1)
    if n > batch:
        assert any(set(a) != set(b) for a, b in zip(*epochs[:2], strict=True))


@pytest.mark.parametrize(("n", "batch"), [(65, 64), (129, 128), (1025, 256), (1001, 64)])
def test_no_case_weighs_more_than_another(n, batch):
    """Every term of a gradient counts weight / size of its mini-batch, here over 200 epochs."""
    plan, rng = Plan(n, 1, batch, 1, 1), np.random.default_rng(0)
    weights, small = np.zeros(n), np.zeros(n)
    for _ in range(200):
        for cases, window in plan.windows(rng):
            own = cases[cases >= 0]
            weights[own] += plan.weight(len(own), window, "last") / len(own)
            small[own] += len(own) < plan.batch_size
    np.testing.assert_allclose(weights, weights.mean(), rtol=1e-12)
    if small.any():  # smaller mini-batches are met by all cases alike, too
        assert small.std() < 2 * np.sqrt(small.mean())


def test_windows_are_even_and_weighed_by_their_length():
    plan = Plan(4, 101, 4, 25, 1)
    lengths = [plan.length(window) for window in range(plan.n_windows)]
    assert lengths == [21, 20, 20, 20, 20]
    weights = [plan.weight(4, window, "all") for window in range(5)]
    np.testing.assert_allclose(weights, np.array(lengths) / 20.2, rtol=1e-12)


@needs_mpirun
@pytest.mark.every_mpi
@pytest.mark.parametrize("size", [3, 4])
def test_messages(size):
    code, out, err, _ = mpirun(size, PROGRAMS / "messages.py", timeout=60)
    assert code == 0, err
    assert out.count("done") == size


@needs_mpirun
@pytest.mark.parametrize("size", [pytest.param(2, marks=pytest.mark.every_mpi), 3, 4, 5])
def test_weights_are_those_of_one_rank(size):
    code, out, err, _ = mpirun(size, PROGRAMS / "equal_to_one_rank.py", timeout=240)
    assert code == 0, out + err
    assert "wrong: 0" in out


@needs_mpirun
@pytest.mark.parametrize("size", [2, 3])
def test_a_mistake_in_one_ranks_values_is_told_by_all(size):
    code, out, err, _ = mpirun(size, PROGRAMS / "one_ranks_mistake.py", timeout=60)
    assert code == 0, err
    assert out.count("done") == size


@needs_mpirun
@pytest.mark.every_mpi
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_to_one_rank_ends_all_and_keeps_the_model(tmp_path, number):
    job = start(
        2, PROGRAMS / "train_and_say_pid.py", "digits", "--quiet", "--epochs", 100_000,
        "--hidden", 16, "--threads", 1, "--out", tmp_path,
    )  # fmt: skip
    os.kill(int(job.stdout.readline()), number)
    code, _, err, _ = finish(job, timeout=60)
    assert code == 128 + number, err
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["status"] == "interrupted"
    assert (tmp_path / "model.safetensors").stat().st_size > 0


@needs_mpirun
@pytest.mark.every_mpi
def test_command_line_over_ranks(tmp_path):
    options = ("digits", "--epochs", 2, "--hidden", 16, "--dtype", "float64", "--threads", 1)
    losses = []
    for size, grid in ((1, ()), (2, ("--grid", "2x1"))):
        folder = tmp_path / str(size)
        code, out, err, _ = mpirun(
            size, "-m", "fastadmm", "train", *options, *grid, "--out", folder, timeout=120
        )
        assert code == 0, err
        losses.append(json.loads((folder / "summary.json").read_text())["test_loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)
    assert "2 ranks on 1 node, 1 thread per rank" in out
    assert out.count("test accuracy") == 1  # rank 0 alone prints


@needs_mpirun
def test_a_wrong_grid_is_said_once():
    code, _, err, _ = mpirun(2, "-m", "fastadmm", "train", "digits", "--grid", "3x1", timeout=60)
    assert code == 2
    message = "grid is 3x1 (time x batch): expected a product of 2, the number of ranks"
    assert err.count(message) == 1
