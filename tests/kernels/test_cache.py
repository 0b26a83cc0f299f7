"""Kernels on disk: of different processes, damaged, of somebody else, and on a full disk."""

import os
import pickle
import stat
import subprocess
import sys
import warnings

import pytest
from fastadmm.kernels.core import cache, jit

USER = """
import sys
import numpy as np
from numba import njit
from fastadmm.kernels import *
"""
FUNCTION = """
@njit(cache=True)
def use_{name}(m, s, out):
    return prox_{name}_activation(m, s, 1.0, 2.0, out)
"""
MAIN = """
m, s, out = np.linspace(-2, 2, 9), np.linspace(1, 0, 9), np.empty(9)
for name in sys.argv[1:]:
    print(globals()[f"use_{name}"](m, s, out), *out)
"""
NAMES = "sigmoid", "softplus", "hard_tanh", "hard_sigmoid"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Function that prints, in a new process, what the named proxes give; one cache for all."""
    folder = tmp_path_factory.mktemp("cache")
    functions = "".join(FUNCTION.format(name=name) for name in NAMES)
    (folder / "user.py").write_text(USER + functions + MAIN)
    environment = os.environ | {"FASTADMM_CACHE": str(folder / "kernels")}

    def call(*names):
        return subprocess.run(
            [sys.executable, "-W", "error", "user.py", *names],
            cwd=folder, env=environment, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    return call


INTERNAL = """
import numpy as np
from numba import njit
from numba.core import event
from fastadmm.kernels.core.linked import Library
from fastadmm.kernels.core.rows import transpose

class Compiled(event.Listener):
    def on_start(self, event):
        print(event.data["dispatcher"].py_func.__name__, end=" ")
    def on_end(self, event):
        pass

@njit
def caller(a, out):
    transpose(a, out)

out = np.zeros((3, 2))
with event.install_listener("numba:compile", Compiled()):
    caller(np.arange(6.0).reshape(2, 3), out)
print(*out.ravel())
kernel, = transpose.kernel.overloads.values()
assert isinstance(kernel.library, Library)
"""


def test_internal_kernels_are_kept_for_other_callers_without_machine_code(tmp_path):
    environment = os.environ | {"FASTADMM_CACHE": str(tmp_path)}
    first, second = (
        subprocess.run(
            [sys.executable, "-c", INTERNAL], env=environment, capture_output=True, text=True,
            check=True,
        ).stdout.split()
        for _ in range(2)
    )  # fmt: skip
    assert first[:2] == ["caller", "transpose"]
    assert second[0] == "caller"
    assert "transpose" not in second
    assert first[-6:] == second[-6:] == ["0.0", "3.0", "1.0", "4.0", "2.0", "5.0"]


def test_kernels_cached_by_different_processes_are_not_confused(run):
    """Numba numbers functions per process: by number alone, one would be linked for others.

    The first two names differ in closures that they call, the others in the function that stands
    for the public one in a user's code.
    """
    alone = [run(name) for name in NAMES]
    assert len({*alone}) == len(NAMES)
    assert run(*NAMES) == "".join(alone)
    assert run(*NAMES[::-1]) == "".join(alone[::-1])


def double(x):
    return x + x


class Bomb:
    """A pickle that runs a command when it is read."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def compiled(tmp_path, monkeypatch):
    """Function that compiles or loads `double`; the number of hits of the cache, and warnings."""
    monkeypatch.setattr(jit, "CACHE_FOLDER", tmp_path)

    def call():
        cache._warn.cache_clear()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            kernel = jit.jit(double)
            assert kernel(1.5) == 3
            assert kernel(2) == 4
        return sum(kernel.stats.cache_hits.values()), [str(each.message) for each in said]

    return call


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _become_folder(path):
    path.unlink()
    path.mkdir()


def _become_bomb(path):
    mark = path.parent / "executed"
    path.write_bytes(pickle.dumps(Bomb(mark)))


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "garbage": lambda path: path.write_bytes(b"garbage" * 99),
    "a flipped bit": _flip,
    "a folder": _become_folder,
    "a foreign pickle": _become_bomb,
    "may be written by others": lambda path: path.chmod(0o666),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_files_are_compiled_anew(compiled, tmp_path, kind):
    assert compiled() == (0, [])
    assert compiled() == (2, [])
    files = sorted(tmp_path.glob("*.nbc"))
    assert len(files) == 2
    for path in files:
        DAMAGE[kind](path)
    hits, said = compiled()
    assert hits == 0
    assert any("compiled anew" in each and ".nbc cannot be used" in each for each in said)
    assert len(said) <= 3  # one a kind of damage, and of what cannot be written
    assert not (tmp_path / "executed").exists()
    if kind != "a folder":
        assert compiled() == (2, [])  # they were replaced


def test_a_missing_or_outdated_file_is_compiled_without_a_word(compiled, tmp_path, monkeypatch):
    compiled()
    next(tmp_path.glob("*.nbc")).unlink()
    assert compiled() == (1, [])
    monkeypatch.setattr(cache.numba, "__version__", "0.0")
    assert compiled() == (0, [])
    monkeypatch.undo()


def test_a_full_disk_is_one_warning(compiled, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_write", full)
    hits, said = compiled()
    assert (hits, len(said)) == (0, 1)
    assert said[0].endswith("(No space left on device)")


def test_folders_are_private_and_others_are_refused(tmp_path, monkeypatch):
    base = tmp_path / "new"
    monkeypatch.setenv("FASTADMM_CACHE", str(base))
    before = os.umask(0)
    try:
        folder = cache.open_folder()
        cache._write(folder / "a.nbc", b"")
    finally:
        os.umask(before)
    assert folder.parent == base / "fastadmm"
    for path in (folder, folder.parent, base):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "a.nbc").stat().st_mode) == 0o600
    for path in (folder, folder.parent):
        path.chmod(0o770)
        with pytest.warns(RuntimeWarning, match=rf"{path} may be written by others"):
            assert cache.open_folder() is None
        path.chmod(0o700)
    assert cache.open_folder() == folder
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.warns(RuntimeWarning, match="belongs to another user"):
        assert cache.open_folder() is None
    with pytest.raises(PermissionError):
        cache._read(folder / "a.nbc")
