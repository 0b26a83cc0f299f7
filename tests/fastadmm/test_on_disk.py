"""Parts of arrays on disk: equal to those of the whole array, and read alone."""

import gzip
import json
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from fastadmm import datasets, on_disk, tasks

ROWS = [0, -1, slice(None), slice(1, 4), slice(-2, None), slice(None, None, 2), [2, 0, 2]]


def check(part, whole, times=(slice(None), slice(1, 3), slice(None, None, -1), 2)):
    """Every kind of index gives what it gives in memory, aligned and contiguous."""
    assert isinstance(part, on_disk.OnDisk)
    assert (part.shape, part.dtype, part.ndim, part.size, len(part)) == (
        whole.shape, whole.dtype, whole.ndim, whole.size, len(whole),
    )  # fmt: skip
    np.testing.assert_array_equal(np.asarray(part), whole)
    chosen = [*ROWS, np.arange(len(whole)) % 2 == 1, np.array([], int)]
    indices = [(row, time) for row in chosen for time in times] if whole.ndim > 1 else []
    for index in [*chosen, *indices]:
        read, expected = part[index], whole[index]
        np.testing.assert_array_equal(read, expected)
        assert (read.shape, read.dtype) == (np.shape(expected), whole.dtype)
        assert not isinstance(read, np.memmap)
        assert read.flags.aligned
        assert read.flags.c_contiguous
    assert part.max() == whole.max()


def write_idx(path, array):
    magic = 0x800 | array.ndim
    content = struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("pixels", [False, True])
def test_idx(tmp_path, pixels):
    rng = np.random.default_rng(0)
    for part, n, end in (("train", 9, ""), ("t10k", 5, ".gz")):
        images = rng.integers(0, 256, (n, 5, 4), np.uint8)
        write_idx(tmp_path / f"{part}-images-idx3-ubyte{end}", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte{end}", images[:, 0, 0] % 10)
    whole = datasets.mnist(tmp_path, pixels)
    lazy = tasks.load("mnist", tmp_path, pixels=pixels, lazy=True)
    assert isinstance(whole.X, np.ndarray)
    assert isinstance(lazy.X.source, np.memmap)
    check(lazy.X, whole.X)
    check(lazy.y, whole.y)
    for part, expected in zip(lazy.held_out, whole.held_out, strict=True):
        check(part, expected)


def test_npz(tmp_path):
    """Mapped: plain arrays. Read: compressed, Fortran order, foreign byte order, empty."""
    rng = np.random.default_rng(0)
    path = tmp_path / "mine.npz"
    X, y = rng.standard_normal((7, 6, 3)), rng.integers(0, 4, (7, 6))
    content = {"X": X, "y": y, "other": X[:, :, 0].astype("f4"), "F": np.asfortranarray(X)}
    content |= {"swapped": y.astype(">i8"), "empty": X[:0], "scalar": np.float64(3)}
    np.savez(path, **content)
    lazy = on_disk.read_npz(path, lazy=True)
    assert list(lazy) == list(content)
    for name in ("X", "y", "other"):
        check(lazy[name], content[name])
    for name in ("F", "swapped", "empty", "scalar"):
        assert isinstance(lazy[name], np.ndarray)
        np.testing.assert_array_equal(lazy[name], content[name])
    task, whole = tasks.load(str(path), lazy=True), datasets.arrays(path)
    assert (task.inputs, task.outputs, task.readout) == (3, 4, "all")
    assert (whole.inputs, whole.outputs, whole.readout) == (3, 4, "all")
    assert isinstance(task.X, on_disk.Mapped)
    np.savez_compressed(path, **content)
    assert isinstance(on_disk.read_npz(path, lazy=True)["X"], np.ndarray)


def test_local_header_of_another_length(tmp_path):
    """The data starts anywhere, aligned or not (numpy.savez has an extra field of its own)."""
    path, array = tmp_path / "mine.npz", np.arange(5.0)
    np.save(tmp_path / "a.npy", array)
    for extra in (0, 3, 60):
        with zipfile.ZipFile(path, "w") as archive:
            info = zipfile.ZipInfo("X.npy")
            info.extra = struct.pack("<HH", 0x9999, extra) + bytes(extra) if extra else b""
            archive.writestr(info, (tmp_path / "a.npy").read_bytes())
        np.testing.assert_array_equal(on_disk.read_npz(path, lazy=True)["X"][1:4], array[1:4])


def test_damaged_npz_is_refused(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, X=np.zeros((3, 4, 2)), y=np.zeros(3))
    content = path.read_bytes()
    for damaged in (content[:-30], content.replace(b"PK\x03\x04", b"PK\x03\x05"), b"text"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"is not a \.npz of plain arrays"):
            datasets.arrays(path, lazy=True)
    np.savez(path, X=np.array([object()]), y=np.zeros(1))
    with pytest.raises(ValueError, match=r"X in .*mine\.npz holds Python objects"):
        datasets.arrays(path, lazy=True)


@pytest.mark.parametrize("block", [1, 7, 1 << 16])
def test_text(tmp_path, monkeypatch, block):
    """Characters of one to four bytes, and line ends of two."""
    monkeypatch.setattr(on_disk.TextFile, "BLOCK", block)
    path = tmp_path / "text"
    content = "aé€😀\nzß\n" * 60 + "end"
    path.write_bytes(content.replace("\n", "\r\n").encode())
    file = on_disk.TextFile(path)
    assert (len(file), file.symbols) == (len(content), "".join(sorted(set(content))))
    for start, stop in ((0, len(content)), (3, 17), (5, 5), (len(content) - 1, len(content))):
        assert file.read(start, stop) == content[start:stop]
    whole = datasets.text(path, streams=5)
    lazy = tasks.load("text", path, batch_size=5, lazy=True)
    assert lazy.about == whole.about
    check(lazy.X, whole.X)
    check(lazy.y, whole.y)
    for part, expected in zip(lazy.held_out, whole.held_out, strict=True):
        check(part, expected)


MEMORY = """
import json, re, sys
import numpy as np
from fastadmm import datasets

def kilobytes():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])

kind, path, lazy = sys.argv[1], sys.argv[2], sys.argv[3] == "lazy"
before = kilobytes()
task = getattr(datasets, kind)(path, lazy=lazy)
part = np.array(task.X[:1]), np.array(task.y[:1])
print(json.dumps([kilobytes() - before, sum(a.nbytes for a in part)]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads peak memory from /proc")
@pytest.mark.parametrize("kind", ["arrays", "mnist", "text"])
def test_memory_is_that_of_the_part(tmp_path, kind):
    """One of 16 parts of 8 to 64 MB of numbers: far less than the whole is ever in memory."""
    path = tmp_path / "data"
    if kind == "arrays":
        path = tmp_path / "data.npz"
        np.savez(path, X=np.ones((16, 500_000, 1)), y=np.zeros(16))
    elif kind == "text":
        path.write_text("some text " * 400_000)
    else:
        path.mkdir()
        for part, n in (("train", 16), ("t10k", 1)):
            write_idx(path / f"{part}-images-idx3-ubyte", np.zeros((n, 1000, 1000), np.uint8))
            write_idx(path / f"{part}-labels-idx1-ubyte", np.zeros(n, np.uint8))
    peak = {}
    for lazy in ("lazy", "whole"):
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, kind, str(path), lazy],
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        peak[lazy], part = json.loads(done.stdout)
    assert peak["whole"] > 20_000  # the measure sees what it should
    assert peak["lazy"] < min(peak["whole"] / 3, 4_000 + part / 256)
