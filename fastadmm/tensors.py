"""Arrays in a safetensors file with a JSON header and a checksum: models and checkpoints."""

import contextlib
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fastadmm.files import FileError, StrPath, reading, shortened, write_atomically
from fastadmm.version import __version__

WITHOUT_CHECKSUM = 1
"""Format whose files have none."""


def write(
    path: StrPath, key: str, form: int, header: dict[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write a file; what was there before stays until it is whole.

    Parameters
    ----------
    path : path
    key : str
        Of the file's metadata, which tells what the file is.
    form : int
        Number of the format.
    header : dict
        JSON values.
    arrays : mapping of ndarray
    """
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    header = {"format": form, "version": __version__, **header}
    header["checksum"] = _checksum(json.loads(json.dumps(header)), arrays)
    write_atomically(path, save(arrays, {key: json.dumps(header)}))


class Tensors:
    """An open file: its header has been read, its arrays have not.

    Attributes
    ----------
    path : path
    header : dict
        JSON values, of a format that is known.
    shapes : dict of tuple
        Of the arrays, which have so many bytes on disk.
    """

    def __init__(self, path: StrPath, file: Any, header: dict[str, Any]):
        self.path, self.header, self._file = path, header, file
        self._slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        self.shapes = {name: tuple(each.get_shape()) for name, each in self._slices.items()}

    def wrong(self, message: str) -> FileError:
        """An exception that names the file."""
        return FileError(f"{shortened(self.path)}: {message}")

    def read(self) -> dict[str, np.ndarray]:
        """All arrays.

        Raises
        ------
        FileError
            Where the checksum says that a bit of the file has changed.
        """
        arrays = {name: self._file.get_tensor(name) for name in self._slices}
        header = dict(self.header)
        if header["format"] > WITHOUT_CHECKSUM and header.pop("checksum") != _checksum(
            header, arrays
        ):
            raise self.wrong("damaged, its checksum is another")
        return arrays

    def kinds(self) -> set[str]:
        """Types of the arrays, by safetensors' names."""
        return {each.get_dtype() for each in self._slices.values()}


@contextlib.contextmanager
def opened(path: StrPath, what: str, key: str, newest: int) -> Iterator[Tensors]:
    """Open a file that `write` has written, or anybody; nothing in it is ever executed.

    Parameters
    ----------
    path : path
    what : str
        "model", for messages.
    key : str
        As of `write`.
    newest : int
        The largest number of a format that can be read.

    Raises
    ------
    FileNotFoundError, FileError
        For anything that goes wrong in the body, too.
    """
    with reading(path, what, "a safetensors file"):
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(key)
            name = shortened(path)
            if text is None:
                raise FileError(f"{name} is a safetensors file, but no {what} of fastadmm")
            with reading(path, what, f"a {what} of fastadmm"):
                header = json.loads(text)
                if not isinstance(header, dict) or type(header.get("format")) is not int:
                    raise FileError(f"{name} has a header without format: expected a {what}'s")
                if not 1 <= header["format"] <= newest:
                    raise FileError(
                        f"{name} has format {header['format']}, written by fastadmm "
                        f"{shortened(header.get('version'))}: this is {__version__}, which reads "
                        f"up to format {newest}"
                    )
                yield Tensors(path, file, header)


def _checksum(header, arrays):
    """CRC of the header and of all that is known of the arrays."""
    found = zlib.crc32(json.dumps(header, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        found = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), found)
        found = zlib.crc32(array, found)
    return found
