"""Data files: .npz, IDX, gzip and text that are damaged, or claim what they do not have."""

import gzip
import io
import struct
import zipfile
from functools import partial

import numpy as np

from fastadmm import RNN, datasets, fit, tasks
from fastadmm.files import FileError

from .watch import Case, Fault, refused

DTYPES = "f2", "f4", "f8", "i1", "i8", "u1", "?", "c8", "U3", "S3", "M8[s]", ">f4", "O", "i8,f4"
SHAPES = (
    (), (0,), (6,), (6, 1), (6, 4), (6, 4, 0), (0, 4, 2), (6, 1, 2), (6, 4, 2), (6, 4, 2, 1),
    (5, 4, 2), (1, 4, 2),
)  # fmt: skip
ODD = np.nan, np.inf, -1, 0, 1e30, 1e300, 10**6, 10**9, 2**62, -(2**62)


def cases(rng, folder, count):
    """As many as asked for, over all formats."""
    for number in range(count):
        make = (npz, npz, npz_member, idx, text)[number % 5]
        yield make(rng, folder)


def _train(task):
    """A task that has been read trains, or is refused in words."""
    if task.inputs * task.outputs > 10**4 or np.prod(task.X.shape) > 10**5:
        return
    net = RNN(task.inputs, 2, task.outputs)
    try:
        fit(
            net, task.X, task.y, readout=task.readout, steps=task.steps, epochs=1, threads=1,
            validation=tasks.held_out(task), lengths=task.lengths,
        )  # fmt: skip
    except (ValueError, TypeError) as error:
        refused(error)
    if not all(np.isfinite(weights).all() for weights in net.state_dict().values()):
        raise Fault("silent: trained to weights that are not finite")


def read(path, content, load):
    """Refused with the file's name, or trained on."""
    path.write_bytes(content)
    try:
        task = load(path)
    except (FileError, FileNotFoundError) as error:
        return refused(error, path.name)
    except ValueError as error:
        return refused(error)
    return _train(task)


def _array(rng, shape, dtype):
    array = rng.integers(0, 3, shape).astype(dtype if dtype != "M8[s]" else "i8")
    if array.size and rng.random() < 0.3 and array.dtype.kind in "fi":
        with np.errstate(all="ignore"):
            array.flat[0] = np.array(ODD)[rng.integers(len(ODD))].astype(array.dtype)
    return array.astype(dtype)


def npz(rng, folder):
    """Arrays of any shapes and kinds."""
    content = {"X": rng.standard_normal((6, 4, 2)).astype("f4"), "y": rng.integers(0, 3, 6)}
    told = []
    for name in ("X", "y", "Xv", "yv", "lengths", "lengthsv", "other"):
        if rng.random() < (0.5 if name in "Xy" else 0.15):
            shape = SHAPES[rng.integers(len(SHAPES))]
            dtype = DTYPES[rng.integers(len(DTYPES))]
            content[name] = _array(rng, shape, dtype)
            told.append(f"{name} {dtype} {shape}")
    if rng.random() < 0.05:
        del content["y"]
    buffer = io.BytesIO()
    (np.savez if rng.random() < 0.7 else np.savez_compressed)(buffer, **content)
    damaged = bytearray(buffer.getvalue())
    if rng.random() < 0.3:
        damaged[rng.integers(len(damaged))] ^= 1 << int(rng.integers(8))
        told.append("a bit")
    if rng.random() < 0.1:
        damaged = damaged[: rng.integers(len(damaged))]
        told.append("cut")
    lazy = bool(rng.integers(2))
    load = partial(datasets.arrays, lazy=lazy)
    return Case(
        f"npz, lazy {lazy}: {', '.join(told)}",
        partial(read, folder / "mine.npz", bytes(damaged), load), len(damaged),
    )  # fmt: skip


def npz_member(rng, folder):
    """A member with a header of its own."""
    shapes = "(6, 4, 2)", "(10**12,)", f"({10**12}, 4, 2)", "(-6, 4, 2)", "(6, 4)", "()", "6", "[6]"
    shape = shapes[rng.integers(len(shapes))]
    descr = ("'<f4'", "'|O'", "'<f8'", "'<U1000000'", "'x'", "[('a', '<f4')]")[rng.integers(6)]
    fortran = ("False", "True", "2", "'no'")[rng.integers(4)]
    header = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"
    version = bytes([int(rng.integers(1, 4)), 0])
    size = struct.pack("<H" if version[0] == 1 else "<I", len(header))
    body = bytes(int(rng.choice([0, 1, 192, 384, 10**6])))
    content = b"\x93NUMPY" + version + size + header.encode() + body
    if rng.random() < 0.1:
        content = bytes(rng.integers(0, 256, 50, np.uint8))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", int(rng.choice([0, 8]))) as archive:
        archive.writestr("X.npy" if rng.random() < 0.9 else "X", content)
        with archive.open("y.npy", "w") as file:
            np.lib.format.write_array(file, np.arange(6) % 2)
    load = partial(datasets.arrays, lazy=bool(rng.integers(2)))
    return Case(
        f"member {header} {len(body)}", partial(read, folder / "mine.npz", buffer.getvalue(), load),
        max(len(buffer.getvalue()), len(content)),
    )  # fmt: skip


def idx(rng, folder):
    """MNIST whose images or labels are damaged."""
    images = struct.pack(">4I", 2051, 4, 3, 2) + bytes(24)
    labels = struct.pack(">2I", 2049, 4) + bytes([0, 1, 2, 9])
    for part in ("train", "t10k"):
        for suffix in ("", ".gz"):
            (folder / f"{part}-images-idx3-ubyte{suffix}").unlink(missing_ok=True)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(images)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    name, good = (("train-images-idx3-ubyte", images), ("t10k-labels-idx1-ubyte", labels))[
        rng.integers(2)
    ]
    content = bytearray(good)
    kind = int(rng.integers(4))
    if kind == 0:
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        content = content[: rng.integers(len(content))]
    elif kind == 2:
        content += bytes(int(rng.integers(1, 10**6)))
    else:
        sizes = [int(n) for n in rng.choice([0, 1, 4, 2**16, 2**31, 2**32 - 1], 3)]
        content[4:16] = struct.pack(">3I", *sizes)[: max(0, len(content) - 4)]
    packed = gzip.compress(bytes(content)) if rng.random() < 0.5 and "images" in name else None
    path = folder / (name if packed is None else f"{name}.gz")
    if packed is not None:
        (folder / name).unlink(missing_ok=True)
        content = bytearray(packed)
        if rng.random() < 0.5:
            content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    pixels, lazy = bool(rng.integers(2)), bool(rng.integers(2))
    load = partial(datasets.mnist, folder, pixels, lazy)
    return Case(f"{path.name}, kind {kind}", partial(_mnist, path, bytes(content), load), 10**6)


def _mnist(path, content, load):
    path.write_bytes(content)
    try:
        task = load()
    except (ValueError, FileNotFoundError) as error:
        return refused(error, path.parent)
    return _train(task)


def text(rng, folder):
    """Bytes that may be no text, or a short one."""
    size = int(rng.choice([0, 1, 9, 99, 2000]))
    alphabet = (b"ab", bytes(range(256)), "aé∑😀".encode(), b"\x00\r\n")[rng.integers(4)]
    content = bytes(rng.choice(np.frombuffer(alphabet, np.uint8), size))
    steps, streams = int(rng.choice([-1, 0, 1, 2, 50])), int(rng.choice([1, 2, 32]))
    load = partial(datasets.text, steps=steps, streams=streams, lazy=bool(rng.integers(2)))
    return Case(
        f"text {size} {alphabet[:4]!r}", partial(read, folder / "text", content, load), size
    )
