"""A training run on disk, to be continued where it was: one safetensors file with a JSON header."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastadmm import tensors
from fastadmm.files import StrPath

FORMAT = 2
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
        tensors.write(path, KEY, FORMAT, self.header, self.arrays)

    @classmethod
    def read(cls, path: StrPath) -> "Checkpoint":
        """Read a file written by `write`.

        Raises
        ------
        FileNotFoundError, FileError
            Where it is no such file; nothing in it is ever executed.
        """
        with tensors.opened(path, "checkpoint", KEY, FORMAT) as file:
            return cls(file.header, file.read())

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
