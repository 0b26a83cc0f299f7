"""Files that are whole at any moment, and numbers as JSON knows them."""

import math
import os
from pathlib import Path
from typing import Any

StrPath = str | os.PathLike[str]
"""What names a file."""


def write_atomically(path: StrPath, content: bytes) -> None:
    """Write bytes beside ``path``, sync, and rename: a reader sees the old file or the new one."""
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def finite_or_none(value: Any) -> Any:
    """A number, or several, as JSON knows it: None in place of NaN and infinity."""
    if isinstance(value, tuple | list):
        return [finite_or_none(each) for each in value]
    return None if value is None or not math.isfinite(value) else float(value)
