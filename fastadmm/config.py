"""Options of `fastadmm train` as TOML: read in place of its defaults, and written by each run."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastadmm.files import StrPath, reading

LEFT_OUT = "config", "out", "quiet", "resume", "overwrite"
"""Options that say where a run goes, not what it is."""


def read(path: StrPath, names: Mapping[str, Any] | list[str]) -> dict[str, Any]:
    """Options in a file.

    Parameters
    ----------
    path : path
    names : collection of str
        Options that there are.

    Raises
    ------
    FileNotFoundError
    ValueError
        Where the file is no TOML, or has a key that is no option.
    """
    with reading(path, "config", "TOML"):
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    unknown = [name for name in found if name not in names]
    if unknown:
        raise ValueError(f"{path}: {unknown[0]} is no option: expected {', '.join(names)}")
    return found


def text(options: Mapping[str, Any]) -> str:
    """Options as TOML, a line each; those without a value, and `LEFT_OUT`, are not written."""
    given = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in options.items()
        if value is not None and name not in LEFT_OUT
    }
    # numbers, strings, truths and lists of them are spelled in TOML as in JSON
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in given.items())
