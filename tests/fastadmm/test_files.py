"""Files: whole at any moment; numbers that JSON has no word for."""

import os
import platform
import subprocess

import pytest

from fastadmm.files import finite_or_none, write_atomically


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full_disk(_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_atomically(path, b"new content")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_what_is_not_finite_is_null():
    assert finite_or_none((1, float("nan"), [float("inf"), None])) == [1.0, None, [None, None]]


def test_what_killed_processes_left_is_cleared(tmp_path):
    path, child = tmp_path / "file", subprocess.Popen(["true"])
    child.wait()
    dead, alive = (tmp_path / f".file.{platform.node()}.{pid}" for pid in (child.pid, os.getppid()))
    others = tmp_path / f".file.another-host.{child.pid}", tmp_path / f".other.x.{child.pid}"
    for each in (dead, alive, *others):
        each.touch()
    write_atomically(path, b"new")
    assert not dead.exists()
    assert all(each.exists() for each in (path, alive, *others))
