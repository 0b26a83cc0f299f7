"""What a run leaves behind: the folder, the history as it grows, the picture."""

import json
import os

import numpy as np
import pytest
from fastadmm.mpi.machine import Machine

from fastadmm import RNN, report

RECORD = {
    "train_loss": 0.5, "validation_loss": None, "validation_accuracy": None, "step_length": 0.01,
    "multiplier_rms": 0.1, "growth": -0.1,
}  # fmt: skip
HISTORY = [RECORD | {"epoch": k, "train_loss": loss} for k, loss in enumerate((3, 1, 2), 1)]
SUMMARY = {"task": "mine.npz", "solver": "condensed", "hidden": 4}


def test_empty_folders_are_taken_back_and_others_stay(tmp_path):
    report.Folder(tmp_path / "a" / "b").leave()
    assert not list(tmp_path.iterdir())
    (tmp_path / "own").mkdir()
    report.Folder(tmp_path / "own").leave()
    assert (tmp_path / "own").is_dir()
    folder = report.Folder(tmp_path / "own" / "run")
    folder.append(HISTORY[0])
    folder.leave()
    assert (tmp_path / "own" / "run" / "history.jsonl").is_file()


def test_the_history_is_there_after_each_epoch(tmp_path):
    folder = report.Folder(tmp_path)
    for k, record in enumerate(HISTORY, 1):
        folder.append(record)
        lines = (tmp_path / "history.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in lines] == HISTORY[:k]


def test_a_history_goes_on_before_the_epoch_that_is_next(tmp_path):
    path = tmp_path / "history.jsonl"
    whole = [json.dumps(record) + "\n" for record in HISTORY]
    path.write_text(whole[0] + whole[1] + whole[2][:7])  # a kill has cut the last line
    report.Folder(tmp_path).append(HISTORY[2])
    assert path.read_text() == "".join(whole)
    report.Folder(tmp_path).append(HISTORY[0])  # of a new run
    assert path.read_text() == whole[0]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_history_that_cannot_grow_is_one_warning(tmp_path, capsys):
    folder = report.Folder(tmp_path)
    (tmp_path / "history.jsonl").symlink_to("/dev/full")
    for record in HISTORY:
        folder.append(record)
    err = capsys.readouterr().err
    assert err == "warning: history.jsonl cannot be written (No space left on device)\n"
    assert folder.write(RNN(2, 4, 2), SUMMARY, HISTORY)[1] == []  # there is room beside it


def test_picture_has_a_title_whole_epochs_and_the_best(tmp_path, monkeypatch):
    figure = pytest.importorskip("matplotlib.figure")
    drawn = []
    save = figure.Figure.savefig
    monkeypatch.setattr(
        figure.Figure, "savefig", lambda self, *a, **k: drawn.append(self) or save(self, *a, **k)
    )
    path = report.draw_convergence(HISTORY, SUMMARY, tmp_path / "convergence.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    (shown,) = drawn
    assert shown.get_suptitle() == "mine.npz, condensed, 4 hidden units"
    loss, accuracy, _, growth = shown.axes
    assert loss.get_yscale() == "log"
    assert all(float(tick).is_integer() for tick in loss.get_xticks())
    assert "best epoch: 2" in loss.get_legend_handles_labels()[1]
    assert not accuracy.lines
    assert growth.get_ylabel() == "growth of multipliers\nper step back in time"


def test_best_epoch():
    assert report._best_epoch([], False) is None
    assert report._best_epoch(HISTORY, False) == 2
    assert report._best_epoch(HISTORY, True) == 1  # its loss is that of the weights before it
    held_out = [r | {"validation_loss": loss} for r, loss in zip(HISTORY, (1, 2, 0), strict=True)]
    assert report._best_epoch(held_out, True) == 3


def test_digest_of_the_source_is_the_same_in_every_process():
    assert report.source_digest() == report.source_digest()
    assert len(report.source_digest()) == 16


def test_usage():
    found = report.usage(3.0, 1.0)
    assert (found["work_seconds"], found["wait_seconds"]) == (2.0, 1.0)
    assert np.iinfo(np.int32).max * 2**10 > found["peak_bytes"] > 2**20


def _left(folder):
    return {name: (folder / name).read_bytes() for name in report.LEFT if (folder / name).exists()}


def _run(path, seed, **asked):
    folder = report.Folder(path, **asked)
    folder.append(HISTORY[0])
    assert folder.write(RNN(2, 4, 2, seed=seed), SUMMARY | {"seed": seed}, HISTORY)[1] == []
    folder.leave()
    return _left(path)


def test_an_earlier_run_stays_whole_until_another_is_and_is_kept(tmp_path):
    first = _run(tmp_path, 0)
    assert set(report.LEFT) >= set(first) >= set(report.LEFT[:4])
    folder = report.Folder(tmp_path)
    folder.append(HISTORY[0])
    assert (tmp_path / "running" / "history.jsonl").exists()
    assert _left(tmp_path) == first  # and so it is where this one is killed
    second = _run(tmp_path, 1)
    assert _left(tmp_path / "earlier" / "1") == first
    third = _run(tmp_path, 2, overwrite=True)
    assert [each.name for each in (tmp_path / "earlier").iterdir()] == ["1"]
    fourth = _run(tmp_path, 3, goes_on=True)
    assert [each.name for each in (tmp_path / "earlier").iterdir()] == ["1"]
    assert _run(tmp_path, 4) == _left(tmp_path)
    assert _left(tmp_path / "earlier" / "2") == fourth
    assert len({left["model.safetensors"] for left in (first, second, third, fourth)}) == 4
    assert {each.name for each in tmp_path.iterdir()} == {*fourth, "earlier"}


def test_a_disk_without_room_is_told_at_the_door(tmp_path, monkeypatch):
    def full(descriptor, start, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ValueError, match=r"cannot be written \(No space left on device\)"):
        report.Folder(tmp_path / "run", size=1000)
    assert not list(tmp_path.iterdir())


def test_a_model_without_room_is_kept_elsewhere(tmp_path, monkeypatch):
    folder = report.Folder(tmp_path / "run")
    net = RNN(2, 4, 2)
    save = net.save

    def full(path):
        if path.parent == tmp_path / "run":
            raise OSError(28, "No space left on device")
        save(path)

    monkeypatch.setattr(net, "save", full)
    monkeypatch.setattr(report.tempfile, "tempdir", str(tmp_path))
    (failure,) = folder.write(net, SUMMARY, HISTORY)[1]
    place = failure.partition("(No space left on device): it is at ")[2]
    assert np.array_equal(RNN.load(place).theta, net.theta)


def test_a_picture_that_cannot_be_drawn_is_a_warning(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "draw_convergence", lambda *_: 1 / 0)
    assert report.Folder(tmp_path).write(RNN(2, 4, 2), SUMMARY, HISTORY) == (False, [])
    said = "warning: convergence.png cannot be written (division by zero)\n"
    assert capsys.readouterr().err == said


def test_names_that_are_too_long_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^out is .*: cannot be written \(File name too long"):
        report.Folder(tmp_path / ("n" * 300))
    with pytest.raises(ValueError, match=r"n: cannot be read \(File name too long"):
        Machine.load(tmp_path / ("n" * 300))
