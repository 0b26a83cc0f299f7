"""Data: what is read, and what is refused."""

import gzip
import re
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from fastadmm import datasets, tasks
from fastadmm.files import FileError


def idx(magic, array):
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    """A small MNIST: 7 training images of 5 x 4 (gzipped), 3 test images (not)."""
    rng = np.random.default_rng(0)
    for part, n, packed in (("train", 7, True), ("t10k", 3, False)):
        images = rng.integers(0, 256, (n, 5, 4), np.uint8)
        labels = rng.integers(0, 10, n, np.uint8)
        for kind, content in (
            ("images-idx3-ubyte", idx(2051, images)),
            ("labels-idx1-ubyte", idx(2049, labels)),
        ):
            path = tmp_path / f"{part}-{kind}"
            if packed:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
            else:
                path.write_bytes(content)
    return tmp_path


def test_mnist(folder):
    task = datasets.mnist(folder)
    assert task.X.shape == (7, 5, 4)
    assert task.held_out[0].shape == (3, 5, 4)
    assert (task.inputs, task.outputs, task.readout) == (4, 10, "last")
    raw = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())
    assert task.X[1, 2, 3] == np.float32(raw[16 + 20 + 11]) / np.float32(255)
    assert task.X.dtype == np.float32
    by_pixel = datasets.mnist(folder, pixels=True)
    np.testing.assert_array_equal(by_pixel.X, task.X.reshape(7, 20, 1))
    assert by_pixel.inputs == 1


LABELS = "t10k-labels-idx1-ubyte"
DAMAGE = {
    "magic": (LABELS, lambda c: b"\0\0\x08\x03" + c[4:], "has magic number 2051: expected 2049"),
    "cut": (LABELS, lambda c: c[:-1], "is truncated: 10 bytes, its header says 11"),
    "header": (LABELS, lambda c: c[:5], "is truncated: 5 bytes, the header has 8"),
    "long": (LABELS, lambda c: c + b"\0", "is too long: more bytes than its header says, 11"),
    "label": (LABELS, lambda c: c[:-1] + b"\x0b", "t10k label 2 is 11: expected digits 0 to 9"),
    "count": (LABELS, lambda c: idx(2049, np.zeros(4, np.uint8)), "3 t10k images, but 4 labels"),
    "empty": (LABELS, lambda c: idx(2049, np.zeros(0, np.uint8)), "is empty: its header says [0]"),
    "gzip": ("train-images-idx3-ubyte.gz", lambda c: c[:-9], "is not a whole IDX file"),
    "no gzip": ("train-images-idx3-ubyte.gz", lambda c: b"plain", "is not a whole IDX file"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_mnist_is_refused(folder, case):
    name, damage, message = DAMAGE[case]
    path = folder / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=re.escape(message)):
        datasets.mnist(folder)


def test_missing_mnist_is_named(folder):
    (folder / LABELS).unlink()
    with pytest.raises(FileNotFoundError, match=f"no {LABELS} or {LABELS}.gz in"):
        datasets.mnist(folder)


def test_digits_holds_out_360():
    task = datasets.digits()
    assert task.X.shape == (1437, 8, 8)
    assert task.held_out[0].shape == (360, 8, 8)
    assert 0 <= task.X.min() <= task.X.max() == 1
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(1797)
    np.testing.assert_array_equal(task.X.reshape(-1, 64) * 16, images[order[360:]])
    np.testing.assert_array_equal(task.held_out[1], labels[order[:360]])
    every = np.concatenate([task.X, task.held_out[0]]).reshape(1797, -1)
    assert len(np.unique(every, axis=0)) == 1797  # no image on both sides


def test_text(tmp_path):
    path = tmp_path / "text"
    content = "hello wörld, " * 100
    path.write_text(content, encoding="utf-8")
    task = datasets.text(path, steps=5, streams=4)
    alphabet = task.about["alphabet"]
    assert alphabet == "".join(sorted(set(content)))
    decode = np.array(list(alphabet))
    read = "".join(decode[task.X.reshape(-1)])
    assert read == content[: len(read)]
    assert task.X.shape == (4, (1170 - 1) // 4)
    np.testing.assert_array_equal(task.X[:, 1:], task.y[:, :-1])  # targets are the next symbols
    np.testing.assert_array_equal(task.X[1:, 0], task.y[:-1, -1])
    held = "".join(decode[task.held_out[0].reshape(-1)])
    assert held == content[1170 : 1170 + len(held)]
    assert (task.inputs, task.outputs, task.readout, task.steps) == (10, 10, "all", 5)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, "is empty"),
        ("ab", {}, "shorter than two steps"),
        ("ab" * 1000, {"steps": 1}, "steps is 1: expected at least 2"),
        ("ab" * 1000, {"alphabet": "a"}, "'b', which is not in the model's alphabet"),
    ],
)
def test_bad_text_is_refused(tmp_path, content, options, message):
    (tmp_path / "text").write_text(content)
    with pytest.raises(ValueError, match=message):
        datasets.text(tmp_path / "text", **options)


def test_adding():
    task = datasets.adding(11, cases=500, held_out=7, seed=3)
    assert task.X.shape == (500, 11, 2)
    assert (task.X[:, :, 1].sum(1) == 2).all()
    assert (task.X[:, :5, 1].sum(1) == 1).all()  # one mark in each half
    np.testing.assert_allclose(task.y[:, 0], (task.X[..., 0] * task.X[..., 1]).sum(1), rtol=1e-6)
    np.testing.assert_array_equal(task.X, datasets.adding(11, 500, 7, seed=3).X)
    assert task.y.var() == pytest.approx(1 / 6, rel=0.1)
    with pytest.raises(ValueError, match="steps is 1: expected at least 2"):
        datasets.adding(1)


def test_npz_reads_the_kind_of_problem_off_the_shapes(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "mine.npz"
    dense, tokens = rng.random((6, 4, 3)), rng.integers(0, 5, (6, 4))
    tokens[0, 0] = 4
    for X, y, expected in (
        (dense, np.array([0, 2, 1, 0, 1, 2]), (3, 3, "last")),
        (dense, tokens, (3, 5, "all")),
        (dense, rng.random(6), (3, 1, "last")),
        (dense, rng.random((6, 2)), (3, 2, "last")),
        (dense, rng.random((6, 4, 2)), (3, 2, "all")),
        (tokens, tokens, (5, 5, "all")),
    ):
        np.savez(path, X=X, y=y)
        task = datasets.arrays(path)
        assert (task.inputs, task.outputs, task.readout) == expected
        assert task.held_out is None


NPZ = {
    "short": ({"X": np.zeros((3, 1, 2)), "y": np.zeros(3)}, "shorter than two steps"),
    "2-D": ({"X": np.zeros((3, 4)), "y": np.zeros(3)}, "has shape (3, 4): expected 3-D"),
    "no y": ({"X": np.zeros((3, 4, 2))}, "holds X: expected y too"),
    "no yv": (
        {"X": np.zeros((3, 4, 2)), "y": np.zeros(3), "Xv": np.zeros((3, 4, 2))},
        "has one of Xv and yv: expected both or none",
    ),
    "y of no axis": ({"X": np.zeros((3, 4, 2)), "y": np.int64(1)}, "y in {} has shape ()"),
    "no output": ({"X": np.zeros((3, 4, 2)), "y": np.zeros((3, 4, 0))}, "y in {} has shape (3, 4"),
    "lengths": (
        {"X": np.zeros((3, 4, 2)), "y": np.zeros(3), "lengths": np.int64(2)},
        "lengths in {} has shape () and dtype int64: expected an integer for each of 3 cases",
    ),
    "other labels": (
        {
            "X": np.zeros((3, 4, 2)), "y": np.arange(3),
            "Xv": np.zeros((3, 4, 2)), "yv": np.zeros(3, "M8[s]"),
        },
        "yv in {} has dtype datetime64[s]: expected labels as y has, int64",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NPZ)
def test_bad_npz_is_refused(tmp_path, case):
    content, message = NPZ[case]
    np.savez(tmp_path / "mine.npz", **content)
    with pytest.raises(ValueError, match=re.escape(message.format(tmp_path / "mine.npz"))):
        datasets.arrays(tmp_path / "mine.npz")


def test_npz_with_a_pickle_is_refused(tmp_path):
    np.savez(tmp_path / "mine.npz", X=np.array([object()]), y=np.zeros(1))
    with pytest.raises(ValueError, match=r"X in .*mine\.npz holds Python objects"):
        datasets.arrays(tmp_path / "mine.npz")
    (tmp_path / "mine.npz").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"is not a \.npz of plain arrays"):
        datasets.arrays(tmp_path / "mine.npz")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("digit",), "task is 'digit': expected digits, mnist, text, adding, or a .npz file"),
        (("mnist",), "task mnist needs --data: the folder of its IDX files"),
        (("text",), "task text needs --data: the text file"),
        (("digits", "x"), "data is an option of tasks mnist and text, not of digits"),
        (("digits", None, 3), "steps is an option of tasks text, adding and .npz, not of digits"),
        (("text", "x", 3, True), "pixels is an option of task mnist, not of text"),
    ],
)
def test_options_of_another_task_are_refused(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        tasks.load(*arguments)


def member(path, content, name="X"):
    """A .npz with good targets, and another member of any bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.npy", content)
        with archive.open("y.npy", "w") as file:
            np.lib.format.write_array(file, np.zeros(4))


def header(shape, dtype="<f4"):
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


CLAIMS = {
    "rows": (header((10**12, 4, 2)), "its header says 32"),
    "negative": (header("(-4, 4, 2)"), "has shape (-4, 4, 2): expected lengths"),
    "nothing": (b"", "is not a .npz of plain arrays"),
    "version": (b"\x93NUMPY\x03\x00" + bytes(99), "has version (3, 0) of the .npy format"),
}


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("case", CLAIMS)
def test_claims_of_a_npz_are_compared_with_what_it_has(tmp_path, case, lazy):
    content, message = CLAIMS[case]
    member(tmp_path / "mine.npz", content)
    with pytest.raises(FileError, match=re.escape(message)) as told:
        datasets.arrays(tmp_path / "mine.npz", lazy=lazy)
    assert str(tmp_path / "mine.npz") in str(told.value)


def test_what_unpacks_to_very_much_is_refused(tmp_path, folder, monkeypatch):
    monkeypatch.setattr("fastadmm.on_disk.MAX_RATIO_FROM", 1000)
    member(tmp_path / "mine.npz", header("(1000, 4, 20)") + bytes(4 * 80000))
    with pytest.raises(FileError, match="unpacks to 320128 bytes from"):
        datasets.arrays(tmp_path / "mine.npz")
    images = folder / "train-images-idx3-ubyte.gz"
    images.write_bytes(gzip.compress(idx(2051, np.zeros((2000, 20, 20), np.uint8))))
    with pytest.raises(FileError, match="unpacks to 800000 bytes from"):
        datasets.mnist(folder)
    images.write_bytes(gzip.compress(struct.pack(">4I", 2051, 2**31, 2**31, 4)))
    with pytest.raises(FileError, match="unpacks to 18446744073709551616 bytes from"):
        datasets.mnist(folder)


@pytest.mark.parametrize("kind", ["idx", "npz"])
def test_what_claims_to_unpack_to_more_takes_no_memory(tmp_path, folder, kind):
    size = 10**8
    if kind == "idx":
        path = folder / "train-images-idx3-ubyte.gz"
        path.write_bytes(gzip.compress(struct.pack(">4I", 2051, size // 4, 2, 2) + bytes(1000)))
        load, path = datasets.mnist, folder
    else:
        path, load = tmp_path / "mine.npz", datasets.arrays
        content = header((size // 8, 2, 1)) + bytes(1000)
        member(path, content)
        claimed = struct.pack("<I", len(content)), struct.pack("<I", len(header((1,))) + size)
        path.write_bytes(path.read_bytes().replace(*claimed))
    tracemalloc.start()
    with pytest.raises(FileError, match=r"truncated|bytes"):
        load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**22


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (
            np.array([[0, 10**9]]),
            np.zeros(1),
            "X in .* ask for 1000000001 tokens: expected at most",
        ),
        (np.array([[0, -5]]), np.zeros(1), "X in .* holds other than integers from 0"),
        (np.array([[0, 1]]), np.array([[0, 10**6]]), "y in .* ask for 1000001 tokens"),
        (np.zeros((9, 2, 1)), np.arange(9), "y in .* has 9 classes: expected at most 8; max_class"),
    ],
)
def test_sizes_that_data_ask_for_have_a_limit(tmp_path, X, y, message):
    np.savez(tmp_path / "mine.npz", X=X, y=y)
    most = 8 if X.ndim == 3 else datasets.MAX_CLASSES
    for lazy in (False, True):
        with pytest.raises(FileError, match=message):
            datasets.arrays(tmp_path / "mine.npz", lazy=lazy, max_classes=most)


def test_text_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "text").write_bytes(b"ab\xff" * 100)
    with pytest.raises(FileError, match=r"text is not a text in UTF-8: .*invalid start byte"):
        datasets.text(tmp_path / "text")
    with pytest.raises(FileError, match="is a folder: expected a text"):
        datasets.text(tmp_path)
