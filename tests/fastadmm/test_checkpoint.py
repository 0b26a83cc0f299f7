"""A run that is ended and goes on gives what one gives that is not, bit by bit."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from fastadmm import RNN, fit
from fastadmm.checkpoint import Checkpoint
from fastadmm.solvers import SOLVERS

RNG = np.random.default_rng(0)
D, H, C, EPOCHS = 3, 6, 4, 6
CASES = {  # inputs, labels, and what fit is asked for
    "mini-batches": (RNG.standard_normal((23, 5, D)), RNG.integers(0, C, 23), {"batch_size": 6}),
    "all data": (RNG.standard_normal((9, 5, D)), RNG.integers(0, C, 9), {"batch_size": None}),
    "windows": (
        RNG.integers(0, D, (7, 17)), RNG.integers(0, C, (7, 17)),
        {"readout": "all", "steps": 4, "batch_size": 3},
    ),
    "values": (
        RNG.standard_normal((8, 5, D)), RNG.standard_normal((8, 5, C)),
        {"readout": "all", "batch_size": None, "sweeps": 2},
    ),
    "lists": (
        [RNG.standard_normal((n, D)) for n in (4, 2, 7, 3, 5)], RNG.integers(0, C, 5),
        {"batch_size": None},
    ),
}  # fmt: skip
UNLIKE = "seconds", "age_mean", "age_max"


def run(name, solver, net=None, **more):
    X, y, asked = CASES[name]
    if solver == "condensed":
        asked = {k: v for k, v in asked.items() if k != "sweeps"}
    net = net or RNN(D, H, C, dtype="float64")
    validation = (X, y) if name == "mini-batches" else None
    settings = asked | {"epochs": EPOCHS, "validation": validation, "threads": 2} | more
    result = fit(net, X, y, solver=solver, **settings)
    return net, result


def weights_of(net):
    return np.concatenate([net.theta.ravel(), net.phi.ravel()])


def measured(history):
    return [{k: v for k, v in record.items() if k not in UNLIKE} for record in history]


def stopping_at(monkeypatch, kind, k):
    """SIGTERM in the step number k of a solver."""

    class Stopping(SOLVERS[kind]):
        steps = 0

        def step(self, batch):
            if self.net.hidden == H:  # not the small one that compiles the kernels
                type(self).steps += 1
                if type(self).steps == k:
                    os.kill(os.getpid(), signal.SIGTERM)
            return super().step(batch)

    monkeypatch.setitem(SOLVERS, kind, Stopping)


@pytest.mark.parametrize("k", [1, 3, 5, 9])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", CASES)
def test_a_run_goes_on_where_it_was_ended(name, solver, k, tmp_path, monkeypatch):
    expected, whole = run(name, solver)
    path = tmp_path / "checkpoint.safetensors"
    with monkeypatch.context() as patch:
        stopping_at(patch, solver, k)
        _, ended = run(name, solver, checkpoint=path)
    if ended.status != "interrupted":
        pytest.skip("fewer steps than that")
    assert ended.signal == signal.SIGTERM
    found, result = run(name, solver, seed=99, checkpoint=path, resume="auto")
    assert result.status == whole.status
    np.testing.assert_array_equal(weights_of(found), weights_of(expected))
    assert measured(result.history) == measured(whole.history)
    assert result.kkt == whole.kkt


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_run_is_extended(solver, tmp_path):
    """Epochs are added after the last one, under the schedule of the longer run."""
    path = tmp_path / "c.safetensors"
    run("all data", solver, checkpoint=path)
    net, result = run("all data", solver, epochs=9, resume=path)
    assert [record["epoch"] for record in result.history] == list(range(1, 10))
    again, _ = run("all data", solver, epochs=6, resume=path)
    if solver == "condensed":  # nothing is left to do: the weights that were returned
        np.testing.assert_array_equal(weights_of(again), weights_of(run("all data", solver)[0]))
    assert np.abs(weights_of(net) - weights_of(again)).max() > 1e-6


def test_regulariser_and_certificate_go_on(tmp_path):
    asked = {"regulariser": "l1", "strength": 0.01, "certify": True}
    expected, whole = run("all data", "block", **asked)
    path = tmp_path / "c.safetensors"
    run("all data", "block", checkpoint=path, callbacks=[lambda r: r["epoch"] == 2], **asked)
    found, result = run("all data", "block", resume=path, **asked)
    np.testing.assert_array_equal(weights_of(found), weights_of(expected))
    assert result.certificate.checks == whole.certificate.checks


def test_when_checkpoints_are_written(tmp_path):
    path, epochs = tmp_path / "c.safetensors", []

    def look(record):
        epochs.append(Checkpoint.read(path).header["epoch"] if path.exists() else None)

    run("mini-batches", "condensed", checkpoint=path, checkpoint_every=2, callbacks=[look])
    assert epochs == [None, None, 3, 3, 5, 5]
    path.unlink()
    epochs.clear()
    run("mini-batches", "condensed", checkpoint=path, checkpoint_every="0.000001s",
        callbacks=[look])  # fmt: skip
    assert epochs == [1, 2, 3, 4, 5, 6]
    _, result = run("mini-batches", "condensed", time_limit=1e-9, checkpoint=path)
    assert result.status == "time_limit"
    assert len(Checkpoint.read(path).header["parts"]["epoch"]["records"]) == 1


def test_time_counts_for_its_call_and_for_its_epoch(tmp_path, monkeypatch):
    """An epoch ended in its third step is as long as its parts; limits are those of a call."""
    path, clock = tmp_path / "c.safetensors", iter(range(1_000_000))
    with monkeypatch.context() as patch:
        patch.setattr("fastadmm.run.time.perf_counter", lambda: float(next(clock)))
        _, whole = run("mini-batches", "condensed")
        limit = next(clock) - 4  # of what all of it takes, this call needs less
        stopping_at(patch, "condensed", 3)
        run("mini-batches", "condensed", checkpoint=path)
        header = Checkpoint.read(path).header
        assert header["parts"]["epoch"]["seconds"] == header["train_seconds"] >= 3
        _, result = run("mini-batches", "condensed", resume=path, time_limit=limit)
    assert result.status == "max_iter"
    assert result.train_seconds == whole.train_seconds
    for record, expected in zip(result.history, whole.history, strict=True):
        assert record["seconds"] == expected["seconds"]


def test_warm_start_of_something_else_is_refused():
    net, first = run("all data", "condensed", epochs=1)
    wrong = {
        "warm_start has solver condensed: expected block": ("block", net, first.state),
        "warm_start has network {'inputs': ": ("condensed", RNN(7, 9, 2), first.state),
        "warm_start has no 'solver': expected Result.state": ("condensed", net, {"k": 1}),
        "warm_start is 5: expected Result.state of a run of this solver": ("condensed", net, 5),
    }
    for message, (solver, other, state) in wrong.items():
        with pytest.raises((ValueError, TypeError), match=re.escape(message)):
            run("all data", solver, net=other, epochs=1, warm_start=state)


@pytest.mark.parametrize("solver", SOLVERS)
def test_warm_start_goes_on_with_what_the_solver_remembers(solver):
    net, first = run("all data", solver)
    state = first.state
    _, second = run("all data", solver, net=net, epochs=2, warm_start=state)
    assert second.state["k"] > 0
    _, cold = run("all data", solver, net=RNN(D, H, C, dtype="float64"), epochs=2)
    assert second.history[0]["train_loss"] < cold.history[0]["train_loss"]
    if solver == "condensed":
        assert second.state["k"] == first.state["k"] + 2
        assert second.state["begun"] == first.state["k"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"solver": "block"}, "resume: solver is 'block', but 'condensed' in the checkpoint"),
        ({"eta": 0.1}, "resume: options is .*'eta': 0.1.*, but .*'eta': 'auto'"),
        ({"batch_size": 5}, "resume: batch_size is 5, but 6 in the checkpoint: expected the same"),
        ({"resume": "auto"}, "resume is 'auto': it needs checkpoint, the file to look for"),
        ({"checkpoint_every": 3}, "checkpoint_every is 3: it needs checkpoint, the file to write"),
        ({"checkpoint": "nowhere/c"}, "checkpoint is nowhere/c: there is no folder nowhere"),
        ({"checkpoint": "c", "checkpoint_every": "2h"}, "checkpoint_every is '2h': expected epoch"),
        ({"checkpoint": "c", "checkpoint_every": 0}, "checkpoint_every is 0: expected epochs, or"),
    ],
)
def test_mistakes_are_named(asked, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("mini-batches", "condensed", checkpoint="c.safetensors")
    if "checkpoint_every" not in asked and "checkpoint" not in asked:
        asked = {"resume": "c.safetensors"} | asked
    solver = asked.pop("solver", "condensed")
    with pytest.raises(ValueError, match=message):
        run("mini-batches", solver, **asked)
    with pytest.raises(FileNotFoundError, match="no checkpoint at there"):
        run("mini-batches", "condensed", resume="there")
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(ValueError, match="text is not a safetensors file"):
        run("mini-batches", "condensed", resume="text")
    RNN(2, 2, 2).save("model.safetensors")
    with pytest.raises(ValueError, match="a safetensors file, but no checkpoint of fastadmm"):
        run("mini-batches", "condensed", resume="model.safetensors")


def test_a_full_disk_leaves_the_checkpoint_of_before(tmp_path, monkeypatch, caplog):
    from fastadmm import tensors

    path = tmp_path / "c.safetensors"
    run("mini-batches", "condensed", checkpoint=path, epochs=2)
    before = path.read_bytes()

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensors, "write_atomically", full)
    _, result = run("mini-batches", "condensed", checkpoint=path)
    assert result.status == "max_iter"
    assert path.read_bytes() == before
    assert f"no checkpoint is written to {path}: No space left on device" in caplog.text


COMMAND = [sys.executable, "-m", "fastadmm", "train", "adding", "--steps", "20", "--hidden", "16",
           "--threads", "1", "--epochs", "6"]  # fmt: skip


def command(folder, *more):
    done = subprocess.run([*COMMAND, "--out", folder, *more], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return (folder / "model.safetensors").read_bytes()


def test_a_killed_command_goes_on(tmp_path):
    """kill -9, once a checkpoint is there: the same model, in new processes."""
    expected = command(tmp_path / "whole")
    folder = tmp_path / "killed"
    saved = folder / "checkpoint.safetensors"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    arguments = [*COMMAND, "--out", folder, "--checkpoint-every", "1"]
    with subprocess.Popen(arguments, **quiet) as process:
        while not saved.exists() and process.poll() is None:
            time.sleep(0.005)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    with (folder / "history.jsonl").open("a") as history:
        history.write('{"epoch": ')  # as a kill leaves it
    assert command(folder, "--resume", "auto") == expected
    lines = (folder / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert command(folder, "--resume", "auto") == expected  # nothing is left to do
