"""A training run on disk, to be continued where it was: one safetensors file with a JSON header."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastadmm.files import StrPath, write_atomically
from fastadmm.version import __version__

FORMAT = 1
KEY = "fastadmm_checkpoint"


@dataclass(frozen=True)
class Checkpoint:
    """What `fastadmm.fit` needs to go on.

    Attributes
    ----------
    header : dict
        JSON values: what the run was asked for, and how far it is.
    arrays : dict of ndarray
        Of the solver, the best iterate, the units, and the state that is carried on.
    """

    header: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def write(self, path: StrPath) -> None:
        """Write the file beside ``path``, sync it, and rename: the one before stays till then."""
        from safetensors.numpy import save

        header = {"format": FORMAT, "version": __version__, **self.header}
        arrays = {name: np.ascontiguousarray(array) for name, array in self.arrays.items()}
        write_atomically(path, save(arrays, {KEY: json.dumps(header)}))

    @classmethod
    def read(cls, path: StrPath) -> "Checkpoint":
        """Read a file written by `write`.

        Raises
        ------
        FileNotFoundError
        ValueError
            Where it is no such file; nothing in it is ever executed.
        """
        from safetensors import SafetensorError, safe_open

        if not Path(path).is_file():
            raise FileNotFoundError(f"no checkpoint at {path}")
        try:
            with safe_open(path, framework="numpy") as file:
                header = json.loads((file.metadata() or {}).get(KEY, "null"))
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"{path} is not a safetensors file: {error}") from error
        if header is None:
            raise ValueError(f"{path} is a safetensors file, but no checkpoint of fastadmm")
        if header["format"] > FORMAT:
            raise ValueError(
                f"{path} has format {header['format']}, written by fastadmm {header['version']}: "
                f"this is {__version__}, which reads up to format {FORMAT}"
            )
        return cls(header, arrays)

    def check(self, asked: Mapping[str, Any]) -> None:
        """Refuse to go on with a run that was asked for something else, naming the first of it.

        Parameters
        ----------
        asked : mapping
            What the run to be continued is asked for, as JSON values.

        Raises
        ------
        ValueError
        """
        before = self.header["asked"]
        for name, value in asked.items():
            if before.get(name) != value:
                raise ValueError(
                    f"resume: {name} is {value!r}, but {before.get(name)!r} in the checkpoint: "
                    "expected the same"
                )


def join(parts: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Named states as one: numbers by part for the header, and arrays as ``part.name``."""
    numbers, arrays = {}, {}
    for part, state in parts.items():
        numbers[part] = {k: v for k, v in state.items() if not isinstance(v, np.ndarray)}
        arrays |= {f"{part}.{k}": v for k, v in state.items() if isinstance(v, np.ndarray)}
    return numbers, arrays


def split(
    numbers: Mapping[str, Mapping[str, Any]], arrays: Mapping[str, np.ndarray]
) -> dict[str, dict[str, Any]]:
    """The named states that `join` has joined."""
    parts = {part: dict(state) for part, state in numbers.items()}
    for key, array in arrays.items():
        part, _, name = key.partition(".")
        parts[part][name] = array
    return parts
