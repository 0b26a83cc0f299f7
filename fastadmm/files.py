"""Files: those of strangers, those that are whole at any moment, and numbers as JSON knows them."""

import contextlib
import math
import os
import platform
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

StrPath = str | os.PathLike[str]
"""What names a file."""


class FileError(ValueError):
    """A file is not what it should be; the message begins with its name."""


@contextlib.contextmanager
def reading(path: StrPath, what: str, kind: str) -> Iterator[None]:
    """Read a file that may be from anybody: whatever goes wrong is one message with its name.

    Parameters
    ----------
    path : path
    what, kind : str
        For messages: "no {what} at ...", "... is not {kind}: ...".

    Raises
    ------
    FileNotFoundError, FileError
        What the body raises itself as a `FileError` stays as it is.
    """
    name = shortened(path)
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"no {what} at {name}") from None
    except (OSError, ValueError) as error:  # too long, forbidden, with a null byte
        raise FileError(f"{name} cannot be read: {_told(error)}") from None
    if not stat.S_ISREG(mode):  # a pipe would be waited for
        found = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise FileError(f"{name} is {found}: expected a {what}")
    try:
        yield
    except FileError:
        raise
    except PermissionError as error:
        raise FileError(f"{name} cannot be read: {_told(error)}") from error
    except MemoryError as error:
        raise FileError(f"{name} does not fit into memory") from error
    except Exception as error:  # readers raise all sorts of them
        raise FileError(f"{name} is not {kind}: {_told(error)}") from error


def shortened(value: object, length: int = 200) -> str:
    """A value as text of one line, its middle left out where it is long."""
    text = " ".join(str(value).split())
    return text if len(text) <= length else f"{text[: length // 2]}...{text[-length // 2 :]}"


def _told(error):
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return shortened(getattr(error, "strerror", None) or str(error) or type(error).__name__)


def write_atomically(path: StrPath, content: bytes) -> None:
    """Write bytes beside ``path``, sync, and rename: a reader sees the old file or the new one."""
    with replacing(path) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: StrPath) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of ``path`` when the body is done, and is synced."""
    path = Path(path)
    _clear_dead(path)
    beside = path.with_name(_beside(path, os.getpid()))
    try:
        with open(beside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def reserve(folder: Path, size: int) -> Path:
    """A file that takes up so many bytes until it is removed, to make room for others.

    Raises
    ------
    OSError
        Where there is no room.
    """
    path = folder / "reserved"
    _clear_dead(path)
    path = path.with_name(_beside(path, os.getpid()))
    try:
        with open(path, "wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return path


def _beside(path, process):
    return f".{path.name}.{platform.node()}.{process}"


def _clear_dead(path):
    """Remove what killed processes of this machine have left beside ``path``."""
    start = _beside(path, "")
    with contextlib.suppress(OSError):
        for each in path.parent.iterdir():
            process = each.name.removeprefix(start)
            if each.name != process and process.isdigit() and not _is_alive(int(process)):
                each.unlink(missing_ok=True)


def _is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        pass
    return True


def finite_or_none(value: Any) -> Any:
    """A number, or several, as JSON knows it: None in place of NaN and infinity."""
    if isinstance(value, tuple | list):
        return [finite_or_none(each) for each in value]
    return None if value is None or not math.isfinite(value) else float(value)
