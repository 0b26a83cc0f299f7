"""Training over ranks: the weights of one rank on every grid, messages, the command line."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from cases.launcher import finish, mpirun, needs_mpirun, start
from fastadmm.mpi.part import part_of

from fastadmm.batches import Data, Plan, Share

PROGRAMS = Path(__file__).parents[1] / "cases"


class Virtual:
    """A rank of a grid that never communicates."""

    def __init__(self, size, time, rank):
        self.size, self.grid, self.time_size = size, (rank, time, size // time), time

    def cut(self, n_cases, n_steps, batch):
        return part_of(*self.grid, n_cases, n_steps, batch)


@pytest.mark.parametrize(("n_steps", "places"), [(7, 5), (2, 3), (1, 1)])
@pytest.mark.parametrize(("time", "batch"), [(1, 1), (4, 1), (1, 4), (2, 3), (5, 2)])
def test_parts_tile_a_window_and_neighbours_agree(n_steps, places, time, batch):
    size = time * batch
    parts = [part_of(rank, time, batch, places, n_steps, places) for rank in range(size)]
    owners = np.full((places, n_steps), -1)
    for rank, part in enumerate(parts):
        assert (owners[part.places, part.steps] == -1).all()
        owners[part.places, part.steps] = rank
    assert (owners >= 0).all()
    beside = set(zip(owners[:, :-1].ravel(), owners[:, 1:].ravel(), strict=True))
    for rank, (own, _, left, right, *_) in enumerate(parts):
        if right is not None:
            assert parts[right].left == rank
            assert parts[right].places == own
        if own.stop > own.start:
            before = {a for a, b in beside if b == rank != a}
            after = {b for a, b in beside if a == rank != b}
            assert {left} - {None} == before
            assert {right} - {None} == after


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
            batch_of = share.batch_of(Data(own), cases, k)
            times = slice(batch_of.first, batch_of.first + batch_of.steps)
            seen += own[batch_of.cases, times].ravel().tolist()
            assert len(batch_of.cases) <= share.batch
            assert batch_of.steps <= share.steps
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
        assert np.mean(sizes) == pytest.approx(plan.mean_terms("last"))
    if n > batch:
        assert any(set(a) != set(b) for a, b in zip(*epochs[:2], strict=True))


@pytest.mark.parametrize(("n", "batch"), [(65, 64), (129, 128), (1025, 256), (1001, 64)])
def test_no_case_weighs_more_than_another(n, batch):
    """Every term of a gradient counts one over the mean number of them, here over 200 epochs."""
    plan, rng = Plan(n, 1, batch, 1, 1), np.random.default_rng(0)
    weights, small = np.zeros(n), np.zeros(n)
    for _ in range(200):
        for cases, _ in plan.windows(rng):
            own = cases[cases >= 0]
            weights[own] += 1 / plan.mean_terms("last")
            small[own] += len(own) < plan.batch_size
    np.testing.assert_allclose(weights, weights.mean(), rtol=1e-12)
    if small.any():  # smaller mini-batches are met by all cases alike, too
        assert small.std() < 2 * np.sqrt(small.mean())


def test_windows_are_even():
    plan = Plan(4, 101, 4, 25, 1)
    lengths = [plan.length(window) for window in range(plan.n_windows)]
    assert lengths == [21, 20, 20, 20, 20]
    assert plan.mean_terms("all") == pytest.approx(4 * 20.2)
    unequal = np.array([101, 50, 3, 7])
    assert Plan(4, 101, 2, 25, 1, unequal).mean_terms("all") == pytest.approx(161 / 10)


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
def test_a_run_goes_on_on_the_same_ranks_and_on_others(size, tmp_path):
    code, out, err, _ = mpirun(size, PROGRAMS / "resume_on_ranks.py", tmp_path, timeout=120)
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
def test_command_line_over_ranks_goes_on(tmp_path):
    """The root alone has the folder and the checkpoint; all ranks go on from what is in it."""
    options = ("adding", "--steps", 20, "--hidden", 8, "--dtype", "float64", "--threads", 1)
    losses = []
    for name, epochs, more in (
        ("whole", 4, ()),
        ("parts", 4, ("--time-limit", 0.001, "--checkpoint-every", "1")),
        ("parts", 4, ("--resume", "auto")),
    ):
        code, _, err, _ = mpirun(
            2, "-m", "fastadmm", "train", *options, "--epochs", epochs, *more, "--out",
            tmp_path / name, timeout=120,
        )  # fmt: skip
        assert code == 0, err
        losses.append(json.loads((tmp_path / name / "summary.json").read_text())["test_loss"])
    assert losses[0] == losses[2] != losses[1]
    lines = (tmp_path / "parts" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4]


@needs_mpirun
def test_a_wrong_grid_is_said_once():
    code, _, err, _ = mpirun(2, "-m", "fastadmm", "train", "digits", "--grid", "3x1", timeout=60)
    assert code == 2
    message = "grid is 3x1 (time x batch): expected a product of 2, the number of ranks"
    assert err.count(message) == 1
