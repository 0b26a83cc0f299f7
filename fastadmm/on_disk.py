"""Arrays on disk: of each, only the part that an index asks for is read into memory."""

import math
import struct
import zipfile
from collections.abc import Callable, Iterator
from io import BufferedIOBase
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastadmm.files import FileError, StrPath, reading, shortened

MAX_ROWS_BYTES = 1 << 22
"""Bytes read at a time where all of an array has to be looked at."""


class OnDisk:
    """Part of an array's interface; indexing reads, and returns a new contiguous array.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
        Of what indexing returns.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike):
        self.shape = tuple(shape)
        self.dtype: np.dtype[Any] = np.dtype(dtype)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        """What the index asks for, read now."""
        raise NotImplementedError

    def of(self, cases: Any) -> Any:
        """Some of the cases: a slice, or indices in order; read now, where nothing else is said."""
        return self[cases]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def parts(self) -> Iterator[np.ndarray]:
        """The array in pieces, little of it in memory at a time."""
        rows = max(1, MAX_ROWS_BYTES * len(self) // max(1, self.size * self.dtype.itemsize))
        return (self[i : i + rows] for i in range(0, len(self), rows))

    def max(self) -> Any:
        """Largest element."""
        return max(part.max() for part in self.parts())

    def min(self) -> Any:
        """Smallest element."""
        return min(part.min() for part in self.parts())


class Mapped(OnDisk):
    """A memory map whose parts are converted as they are read.

    Parameters
    ----------
    source : ndarray
        A memory map; not necessarily aligned.
    dtype : dtype, optional
        Default: that of the source.
    divisor : number, optional
        Divides the converted numbers.
    """

    def __init__(
        self, source: np.ndarray, dtype: DTypeLike | None = None, divisor: float | None = None
    ):
        super().__init__(source.shape, dtype or source.dtype)
        self.source, self.divisor = source, divisor

    def __getitem__(self, index):
        part = np.array(self.source[index], self.dtype, order="C", subok=False)
        if self.divisor is not None:
            part /= self.dtype.type(self.divisor)
        return part


_BLOCK = 1 << 20
"""Bytes unpacked at a time."""
MAX_RATIO, MAX_RATIO_FROM = 200, 1 << 28
"""What unpacks to more than so many times its size, and to more than so many bytes, is refused."""


def check_unpacked(name: object, size: int, packed: int) -> None:
    """Refuse to believe a file that claims to unpack to far more than it has.

    Raises
    ------
    FileError
    """
    if size > max(MAX_RATIO_FROM, MAX_RATIO * packed):
        raise FileError(
            f"{shortened(name)} unpacks to {size} bytes from {packed}: expected at most "
            f"{MAX_RATIO} times as many; where that is right, store it unpacked"
        )


def read_most(file: BufferedIOBase, size: int) -> bytearray:
    """What is left of a file, up to so many bytes; memory is taken as they come."""
    content = bytearray()
    while len(content) < size:
        block = file.read(min(_BLOCK, size - len(content)))
        if not block:
            break
        content += block
    return content


def read_npz(path: StrPath, lazy: bool = False) -> dict[str, np.ndarray | OnDisk]:
    """Arrays of an ``.npz`` by name; nothing in it is unpickled, and no size believed unseen.

    Parameters
    ----------
    path : path
    lazy : bool
        `Mapped` where they are stored as they are: uncompressed (`numpy.savez`), in C order and
        native byte order; others, and empty ones, are read at once. Checksums are not compared for
        mapped arrays.

    Raises
    ------
    FileNotFoundError, FileError
    """
    with reading(path, ".npz", "a .npz of plain arrays"), zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        return {name.removesuffix(".npy"): _member(path, archive, name, lazy) for name in names}


def _member(path, archive, name, lazy):
    """An array of a zip archive, `Mapped` where that is asked for and possible."""
    info, which = archive.getinfo(name), f"{name.removesuffix('.npy')} in {shortened(path)}"
    check_unpacked(which, info.file_size, info.compress_size)
    with archive.open(info) as file:
        shape, fortran, dtype = _header(file, which)
        size, start = math.prod(shape) * dtype.itemsize, file.tell()
    if start + size != info.file_size:
        raise FileError(
            f"{which} has {info.file_size - start} bytes, its header says {size}: {shape} {dtype}"
        )
    is_plain = dtype.isnative and not fortran and shape and size
    if lazy and is_plain and info.compress_type == zipfile.ZIP_STORED:
        return Mapped(np.memmap(path, dtype, "r", _first_byte(path, info) + start, shape))
    with archive.open(info) as file:
        file.read(start)
        content = read_most(file, size)
    if len(content) < size:
        raise FileError(f"{which} is truncated: {len(content)} bytes, its header says {size}")
    return np.ndarray(shape, dtype, content, order="F" if fortran else "C")


def _header(file, name):
    """Shape, order and dtype that a ``.npy`` begins with."""
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise FileError(f"{name} has version {version} of the .npy format: expected 1.0 or 2.0")
    try:
        shape, fortran, dtype = read(file)
    except ValueError as error:  # in words of the parser
        raise FileError(f"{name} has a header that is none of a .npy") from error
    if dtype.hasobject:
        raise FileError(f"{name} holds Python objects: expected an array of numbers or texts")
    if any(type(length) is not int or length < 0 for length in shape):
        raise FileError(f"{name} has shape {shape}: expected lengths")
    return shape, fortran, dtype


def _first_byte(path, info):
    """Where a member of a zip archive begins in the file."""
    with open(path, "rb") as file:
        file.seek(info.header_offset)
        local = file.read(30)  # it repeats the name, and its extra field may differ in length
        if local[:4] != b"PK\x03\x04":
            raise zipfile.BadZipFile(f"no local header of {info.filename}")
        return file.seek(sum(struct.unpack("<HH", local[26:])), 1)


class TextFile:
    """Characters of a UTF-8 file by position.

    Opening it reads the whole file once, a block at a time, and keeps where the blocks begin.

    Attributes
    ----------
    symbols : str
        All that occur, sorted.
    """

    BLOCK = 1 << 16

    def __init__(self, path: StrPath):
        self.path, self.length, self._marks = path, 0, []
        symbols = set()
        with reading(path, "text", "a text in UTF-8"), self._open() as file:
            mark, block = file.tell(), file.read(self.BLOCK)
            while block:
                self._marks.append(mark)
                self.length += len(block)
                symbols.update(block)
                mark, block = file.tell(), file.read(self.BLOCK)
        self.symbols = "".join(sorted(symbols))

    def _open(self):
        return open(self.path, encoding="utf-8")

    def __len__(self) -> int:
        return self.length

    def read(self, start: int, stop: int) -> str:
        """Characters ``start`` to ``stop - 1``."""
        if start >= stop:
            return ""
        block, rest = divmod(start, self.BLOCK)
        with self._open() as file:
            file.seek(self._marks[block])
            file.read(rest)
            return file.read(stop - start)


class Streams(OnDisk):
    """Parallel streams (streams, length) of the ids of consecutive characters.

    Rows may be indexed in any of NumPy's ways, time points by a slice or an integer.

    Parameters
    ----------
    file : TextFile
    encode : callable
        Ids, int64, of a string.
    start : int
        Position of the first character of the first stream.
    streams, length : int
    """

    def __init__(
        self,
        file: TextFile,
        encode: Callable[[str], np.ndarray],
        start: int,
        streams: int,
        length: int,
    ):
        super().__init__((streams, length), np.int64)
        self.file, self.encode, self.start = file, encode, start

    def __getitem__(self, index):
        rows, times = index if isinstance(index, tuple) else (index, slice(None))
        rows, times = np.arange(len(self))[rows], range(self.shape[1])[times]
        shape = np.shape(rows) + np.shape(times)
        if 0 in shape:
            return np.empty(shape, self.dtype)
        first, last = (times, times) if isinstance(times, int) else sorted((times[0], times[-1]))
        part = np.empty((rows.size, np.size(times)), self.dtype)
        for out, row in zip(part, rows.flat, strict=True):
            begin = self.start + int(row) * self.shape[1]
            ids = self.encode(self.file.read(begin + first, begin + last + 1))
            out[:] = ids[np.asarray(times) - first]
        return part.reshape(shape)
