"""Tasks: data cut into a training and a held-out part, and what a network must know of them."""

import gzip
import importlib.util
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastadmm import on_disk
from fastadmm.files import FileError, StrPath, reading, shortened
from fastadmm.on_disk import Mapped, OnDisk, Streams, TextFile, check_unpacked, read_most
from fastadmm.sequences import check_lengths

IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049
MAX_CLASSES = 100_000
"""Most classes, tokens or symbols that data may ask for, unless the caller says another number."""
TEXT_STREAMS = 8
"""Held-out text is read as so many parallel streams, each from a zero state."""


@dataclass
class Task:
    """A training problem.

    Attributes
    ----------
    name : str
    X, y : ndarray or OnDisk
        Training part, as `fastadmm.fit` takes it; on disk where the loader was asked to be lazy and
        the format allows it.
    held_out : pair of ndarray or OnDisk, or None
    inputs, outputs : int
        Of the network.
    readout : {"last", "all"}
    steps : int or None
        Window of streams longer than it.
    about : dict
        Kept in the model file: what is needed to read data of this task again.
    lengths, held_out_lengths : ndarray or None
        Of sequences of unequal length, in arrays with padding after them.
    """

    name: str
    X: np.ndarray | OnDisk
    y: np.ndarray | OnDisk
    held_out: tuple[np.ndarray | OnDisk, np.ndarray | OnDisk] | None
    inputs: int
    outputs: int
    readout: str = "last"
    steps: int | None = None
    about: dict[str, Any] = field(default_factory=dict)
    lengths: np.ndarray | None = None
    held_out_lengths: np.ndarray | None = None


def digits() -> Task:
    """scikit-learn's 1,797 digits as 8 steps of 8 pixels in [0, 1]; 360 held out at random."""
    # the file alone: importing scikit-learn takes longer than training on it
    package = importlib.util.find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError(
            "task digits reads scikit-learn's data: pip install 'fastadmm[sklearn]'"
        )
    path = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    table = np.loadtxt(path, delimiter=",", dtype=np.int64)
    order = np.random.default_rng(0).permutation(len(table))
    X = (table[order, :-1].reshape(-1, 8, 8) / 16).astype(np.float32)
    y = table[order, -1]
    return Task("digits", X[360:], y[360:], (X[:360], y[:360]), 8, 10)


def mnist(folder: StrPath, pixels: bool = False, lazy: bool = False) -> Task:
    """MNIST from a folder of IDX files, gzipped or not.

    Parameters
    ----------
    folder : path
        Holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-...``, each as it is
        or with ``.gz``.
    pixels : bool
        784 steps of one pixel instead of 28 rows of 28.
    lazy : bool
        Leave images and labels on disk, see `fastadmm.on_disk`; what is gzipped is unpacked into
        memory, as bytes.
    """
    parts = []
    for part in ("train", "t10k"):
        images = read_idx(_find(folder, f"{part}-images-idx3-ubyte"), IMAGES_MAGIC)
        labels = read_idx(_find(folder, f"{part}-labels-idx1-ubyte"), LABELS_MAGIC)
        if len(images) != len(labels):
            raise ValueError(f"{folder}: {len(images)} {part} images, but {len(labels)} labels")
        if labels.max() > 9:
            where = int(labels.argmax())
            raise ValueError(
                f"{folder}: {part} label {where} is {labels[where]}: expected digits 0 to 9"
            )
        X = Mapped(images.reshape(len(images), -1, 1) if pixels else images, np.float32, 255)
        y = Mapped(labels, np.int64)
        parts.append((X, y) if lazy else (X[:], y[:]))
    (X, y), held_out = parts
    if X.shape[1:] != held_out[0].shape[1:]:
        raise ValueError(f"{folder}: training images differ in size from test images")
    return Task("mnist", X, y, held_out, X.shape[2], 10, about={"pixels": pixels})


def _find(folder, name):
    for path in (Path(folder) / name, Path(folder) / f"{name}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"no {name} or {name}.gz in {folder}")


def read_idx(path: StrPath, magic: int) -> np.ndarray:
    """Array of unsigned bytes from an IDX file: mapped, or unpacked into memory where gzipped.

    Raises
    ------
    ValueError
        Where the magic number is not ``magic``, or the file is shorter or longer than it says.
    """
    with reading(path, "IDX file", "a whole IDX file"):
        if str(path).endswith(".gz"):
            return _unpacked_idx(path, magic)
        size = Path(path).stat().st_size
        content = np.memmap(path, np.uint8, "r") if size else np.empty(0, np.uint8)
        header = 4 + 4 * (magic & 0xFF)
        shape = _idx_shape(path, content[:header].tobytes(), magic)
        _check_length(path, len(content), header + math.prod(shape))
        return content[header:].reshape(shape)


def _unpacked_idx(path, magic):
    """The array of a gzipped IDX file, which is no larger than its header says."""
    with gzip.open(path) as file:
        header = 4 + 4 * (magic & 0xFF)
        shape = _idx_shape(path, file.read(header), magic)
        size = math.prod(shape)
        check_unpacked(path, size, Path(path).stat().st_size)
        content = read_most(file, size + 1)
    _check_length(path, header + len(content), header + size)
    return np.frombuffer(content, np.uint8).reshape(shape)


def _idx_shape(path, header, magic):
    """Lengths that the header of an IDX file tells."""
    expected = 4 + 4 * (magic & 0xFF)
    if len(header) < expected:
        raise FileError(f"{path} is truncated: {len(header)} bytes, the header has {expected}")
    found, *shape = struct.unpack(f">{expected // 4}I", header)
    if found != magic:
        raise FileError(f"{path} has magic number {found}: expected {magic}")
    if 0 in shape:
        raise FileError(f"{path} is empty: its header says {shape}")
    return shape


def _check_length(path, found, expected):
    if found < expected:
        raise FileError(f"{path} is truncated: {found} bytes, its header says {expected}")
    if found > expected:
        raise FileError(f"{path} is too long: more bytes than its header says, {expected}")


def text(
    path: StrPath,
    steps: int = 50,
    streams: int = 32,
    alphabet: str | None = None,
    lazy: bool = False,
    max_classes: int = MAX_CLASSES,
) -> Task:
    """Characters of a text file; the last 10 % are held out.

    Parameters
    ----------
    path : path
        UTF-8.
    steps : int
        Window of training, over which multipliers reach back; the state is carried on.
    streams : int
        The training part is cut into so many parallel streams (a rest of fewer characters than
        there are streams is left off).
    alphabet : str, optional
        Symbols in the order of their ids; by default those of the text, sorted.
    lazy : bool
        Leave the streams on disk, see `fastadmm.on_disk`; the file is read once for its alphabet,
        a block at a time.
    max_classes : int
        Most symbols.
    """
    file = TextFile(path)
    _check_number(len(file.symbols), max_classes, f"{path} has", "symbols")
    if not len(file):
        raise ValueError(f"{path} is empty")
    if steps < 2:
        raise ValueError(f"steps is {steps}: expected at least 2")
    alphabet = alphabet or file.symbols
    encode(file.symbols, alphabet, path)  # all are known
    cut = len(file) - len(file) // 10
    X, y = _streams(file, alphabet, 0, cut, streams)
    held_out = _streams(file, alphabet, cut, len(file), TEXT_STREAMS)
    if not lazy:
        X, y, held_out = X[:], y[:], (held_out[0][:], held_out[1][:])
    about = {"alphabet": alphabet}
    size = len(alphabet)
    return Task("text", X, y, held_out, size, size, "all", steps, about)


def encode(content: str, alphabet: str, name: object) -> np.ndarray:
    """Ids of the characters of a text, int64."""
    known = {symbol: i for i, symbol in enumerate(alphabet)}
    unknown = sorted(set(content) - set(known))
    if unknown:
        raise ValueError(f"{name} has {unknown[0]!r}, which is not in the model's alphabet")
    return np.fromiter((known[symbol] for symbol in content), np.int64, len(content))


def _streams(file, alphabet, start, stop, streams):
    """Parallel streams (streams, length) of inputs, and of the symbols that follow them."""
    length = (stop - start - 1) // streams
    if length < 2:
        raise ValueError(
            f"{file.path} is too short: {stop - start} characters in {streams} streams are "
            "sequences shorter than two steps"
        )

    def ids(content):
        return encode(content, alphabet, file.path)

    def shifted(by):
        return Streams(file, ids, start + by, streams, length)

    return shifted(0), shifted(1)


def adding(steps: int = 100, cases: int = 19_200, held_out: int = 2_000, seed: int = 0) -> Task:
    """The adding problem: sum the two marked numbers of a sequence (Hochreiter, Schmidhuber 1997).

    The first channel is uniform in [0, 1], the second marks one place in each half. Predicting the
    mean gives a mean squared error of 1/6.
    """
    if steps < 2:
        raise ValueError(f"steps is {steps}: expected at least 2")
    rng = np.random.default_rng(seed)

    def draw(n):
        X = np.zeros((n, steps, 2), np.float32)
        X[:, :, 0] = rng.random((n, steps), np.float32)
        case = np.arange(n)
        first = rng.integers(0, steps // 2, n)
        second = rng.integers(steps // 2, steps, n)
        X[case, first, 1] = X[case, second, 1] = 1
        return X, (X[case, first, 0] + X[case, second, 0])[:, None]

    held = draw(held_out)
    return Task("adding", *draw(cases), held, 2, 1, about={"steps": steps, "seed": seed})


def _check_number(found, most, whose, what):
    """Refuse a network that data would make too large."""
    if found > most:
        raise FileError(
            f"{whose} {found} {what}: expected at most {most}; max_classes allows for more"
        )


def arrays(
    path: StrPath,
    steps: int | None = None,
    lazy: bool = False,
    classes: list | None = None,
    max_classes: int = MAX_CLASSES,
) -> Task:
    """A user's own ``.npz`` with X, y and optionally Xv, yv; ``lazy`` leaves them on disk.

    For sequences of unequal length it has ``lengths`` too, and ``lengthsv``: numbers of time
    points, with padding after them.

    The read-out follows from the shape of ``y``: labels (n_cases,) or values (n_cases[, C]) are
    targets of the last time point; labels (n_cases, n_timepoints) or values
    (n_cases, n_timepoints, C) of every one. Labels are integers of any value, strings or booleans;
    the network has an output for each that occurs, in their order, which the model file keeps as
    ``classes``. Only where every token of a sequence of tokens has a target, targets are tokens.

    Parameters
    ----------
    path : path
    steps : int, optional
    lazy : bool
    classes : list, optional
        Those of a trained model, which the labels must be among.
    max_classes : int
        Most classes and tokens.
    """
    content = read_npz(path, ("X", "y"), lazy)
    held_out = ("Xv", "yv") if {"Xv", "yv"} <= set(content) else ()
    if not held_out and {"Xv", "yv"} & set(content):
        raise ValueError(f"{path} has one of Xv and yv: expected both or none")
    X, y = content["X"], content["y"]
    tokens = X.ndim == 2 and X.dtype.kind in "iu"
    if X.ndim != 3 and not tokens:
        raise FileError(
            f"X in {path} has shape {X.shape}: expected 3-D (n_cases, n_timepoints, n_channels), "
            "or 2-D (n_cases, n_timepoints) of integers for token ids"
        )
    for name in ("X", "y"):
        if content[name].size == 0 or content[name].ndim == 0:
            shape = content[name].shape
            raise FileError(f"{name} in {path} has shape {shape}: expected at least one of each")
    if X.shape[1] < 2:
        raise FileError(f"X in {path} has shape {X.shape}: sequences shorter than two steps")
    labels = y.dtype.kind in "iubU"
    every = [name for name in ("y", *held_out[1:]) if content[name].size]
    for name in every[1:]:
        if labels and content[name].dtype.kind not in "iubU":
            raise FileError(
                f"{name} in {path} has dtype {content[name].dtype}: expected labels as y has, "
                f"{y.dtype}"
            )
    about = {}
    if labels and not (tokens and y.ndim == 2):
        found = [_classes(content[name]) for name in every] if classes is None else [classes]
        known = about["classes"] = np.unique(np.concatenate(found)).tolist()
        _check_number(len(known), max_classes, f"y in {path} has", "classes")
        content |= {name: Labels(content[name], known, f"{name} in {path}") for name in every}
        if not lazy:
            content |= {name: content[name][:] for name in every}
        outputs = len(known)
    elif labels:
        outputs = _tokens(content, every, path, max_classes)
    else:
        outputs = y.shape[-1] if y.ndim > 1 else 1
    readout = "all" if y.ndim == (2 if labels else 3) else "last"
    every = [name for name in ("X", *held_out[:1]) if content[name].size]
    inputs = _tokens(content, every, path, max_classes) if tokens else X.shape[2]
    tested = (content["Xv"], content["yv"]) if held_out else None
    lengths = [_lengths(content, *names, path) for names in (("lengths", "X"), ("lengthsv", "Xv"))]
    return Task(
        Path(path).name, X, content["y"], tested, inputs, outputs, readout, steps, about, *lengths
    )


def _lengths(content, name, of, path):
    """Numbers of time points of sequences, None where there are none."""
    if not {name, of} <= set(content):
        return None
    lengths, shape = np.asarray(content[name]), content[of].shape
    return check_lengths(lengths, shape, f"{name} in {path}") if len(shape) > 1 else None


def _tokens(content, names, path, most):
    """Size of the alphabet of token ids."""
    for name in names:
        if content[name].dtype.kind not in "iu" or content[name].min() < 0:
            raise FileError(f"{name} in {path} holds other than integers from 0: expected tokens")
    found = max(int(content[name].max()) for name in names) + 1
    _check_number(found, most, f"{' and '.join(names)} in {path} ask for", "tokens")
    return found


def _classes(labels):
    """Different labels of an array, sorted; of one on disk a part at a time."""
    if not isinstance(labels, OnDisk):
        return np.unique(labels)
    return np.unique(np.concatenate([np.unique(part) for part in labels.parts()]))


class Labels(OnDisk):
    """Places of labels among the classes, int64.

    Parameters
    ----------
    source : ndarray or OnDisk
    classes : list
        Sorted.
    name : str
        Of the labels, for messages.
    """

    def __init__(self, source: np.ndarray | OnDisk, classes: list, name: str):
        super().__init__(source.shape, np.int64)
        self.source, self.classes, self.name = source, np.array(classes), name

    def __getitem__(self, index):
        part = np.asarray(self.source[index])
        places = np.searchsorted(self.classes, part)
        unknown = self.classes[np.minimum(places, len(self.classes) - 1)] != part
        if unknown.any():
            expected = ", ".join(map(str, self.classes[:10].tolist()))
            more = ", ..." if len(self.classes) > 10 else ""
            raise ValueError(f"{self.name} has label {part[unknown][0]}: expected {expected}{more}")
        return places


def read_npz(
    path: StrPath, names: Sequence[str], lazy: bool = False
) -> dict[str, np.ndarray | OnDisk]:
    """Arrays of an ``.npz`` file, which must hold ``names``; nothing in it is unpickled.

    With ``lazy`` those that are not compressed stay on disk, see `fastadmm.on_disk.read_npz`.
    """
    content = on_disk.read_npz(path, lazy)
    missing = [name for name in names if name not in content]
    if missing:
        raise FileError(
            f"{path} holds {shortened(', '.join(sorted(content))) or 'nothing'}: "
            f"expected {', '.join(missing)} too"
        )
    return content
