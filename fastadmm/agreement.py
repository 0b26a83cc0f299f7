"""What ranks have to agree on: the arguments that they begin with, and the weights that they have.

Every rank of a run computes the same steps for its part of the data. Where one was asked for
something else, messages would not fit together, or all of them would train to nothing in silence.
"""

import contextlib
import logging
import zlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastadmm.mpi.serial import Serial
from fastadmm.network import RNN
from fastadmm.on_disk import OnDisk
from fastadmm.validation import short

if TYPE_CHECKING:
    from mpi4py import MPI

OWN = frozenset({"callbacks", "comm", "options", "threads", "verbose"})
"""Arguments of `fastadmm.fit` that are a rank's own affair; options come one by one, too."""
PRESENT = frozenset({"checkpoint", "resume", "warm_start"})
"""Those of which the root's alone count, so that all ranks have them or none."""

LARGEST_DIFFERENCE = 1e-3
"""Of the norms of the ranks' weights, relative: more is no rounding."""
BY_CASE = PRESENT | {"X", "y", "lengths", "initial", "sample_weight", "validation"}
"""The same with ``by_rank``, where every rank has cases of its own."""
_WHOLE, _SOME = 1 << 22, 16
"""Bytes up to which an array is compared as a whole; of larger ones so many cases are."""


def agree(comm: "MPI.Intracomm", arguments: Mapping[str, Any]) -> None:
    """Refuse arguments of `fastadmm.fit` that differ between ranks, on all of them; collective.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
    arguments : mapping
        By name, as they came: nothing has to have been checked.

    Raises
    ------
    ValueError
    """
    mine = {"by_rank": described(arguments.get("by_rank"))}  # first, since others hang on it
    own = BY_CASE if mine["by_rank"] == "True" else PRESENT
    for name, value in arguments.items():
        if name not in OWN:
            is_own = name in own and not isinstance(value, float)  # a fraction to hold out
            mine[name] = _present(value) if is_own else described(value)
    found = comm.allgather(mine)
    for name in dict.fromkeys(name for each in found for name in each):
        _refuse(name, [each.get(name, "not given") for each in found])


def same(comm: "MPI.Intracomm", name: str, said: str) -> None:
    """Refuse what ranks say of an argument where that differs, on all of them; collective.

    Raises
    ------
    ValueError
    """
    _refuse(name, comm.allgather(said))


def _present(value):
    return "None" if value is None else "given"


def _refuse(name, values):
    """Raise where the ranks' values of an argument are not the same."""
    groups = {}
    for rank, value in enumerate(values):
        groups.setdefault(value, []).append(rank)
    if len(groups) > 1:
        said = "; ".join(f"{value} on {ranks(owners)}" for value, owners in groups.items())
        raise ValueError(f"{name} differs between ranks: {said}: expected the same on all")


def compare_weights(domain: Serial, net: RNN, epoch: int) -> None:
    """Stop where ranks have come to other weights; collective.

    Processors of several kinds may round differently: that is a warning.

    Raises
    ------
    RuntimeError
        On all ranks.
    """
    if domain.size == 1:
        return
    weights = net.state_dict().values()
    norm = float(sum(np.square(each, dtype=float).sum() for each in weights)) ** 0.5
    found = domain.gather((_digest(*weights), norm))
    digests, norms = zip(*found, strict=True)
    if len(set(digests)) == 1:
        return
    said = f"after epoch {epoch} weights differ between ranks, their norms are {sorted(set(norms))}"
    if max(norms) - min(norms) > LARGEST_DIFFERENCE * max(norms):
        raise RuntimeError(f"{said}: ranks do not compute the same")
    logging.getLogger("fastadmm").warning("%s: are these processors of several kinds?", said)


def ranks(numbers: Iterable[int]) -> str:
    """Numbers of ranks in words, the first of them."""
    numbers = list(numbers)
    shown = ", ".join(map(str, numbers[:8])) + ", ..." * (len(numbers) > 8)
    return f"rank{'s' if len(numbers) > 1 else ''} {shown}"


def described(value: Any) -> str:
    """A value in one line that is equal where the values are.

    Of large arrays only shape, dtype and some of the cases.
    """
    if isinstance(value, RNN):
        return f"{value!r} with weights {_digest(*value.state_dict().values())}"
    if isinstance(value, np.random.Generator):
        return f"a generator in state {zlib.crc32(repr(value.bit_generator.state).encode()):08x}"
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray | OnDisk):
        return _array(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(sorted(f'{key!r}: {described(v)}' for key, v in value.items()))}}}"
    if isinstance(value, list | tuple):
        return _sequence(value)
    if hasattr(value, "__array__"):
        return _array(np.asarray(value))
    return short(value)


def _sequence(values):
    """Of few values all; of many, or of arrays, a digest."""
    if all(isinstance(each, int | float | str | None) for each in values[:9]) and len(values) < 9:
        return short(values)
    with contextlib.suppress(ValueError, TypeError):  # unequal lengths
        array = np.asarray(values)
        if array.dtype != object:
            return _array(array)
    inner = zlib.crc32("".join(map(described, values)).encode())
    return f"{type(values).__name__} of {len(values)} ({inner:08x})"


def _array(array):
    size = array.size * array.dtype.itemsize
    if size <= _WHOLE or array.ndim == 0:
        some = array[...] if isinstance(array, np.ndarray) else array[:]
    else:
        cases = range(0, len(array), max(1, len(array) // _SOME))
        rest = (slice(0, 64),) if array.ndim > 1 else ()
        some = np.concatenate([array[(slice(i, i + 1), *rest)] for i in cases])
    return f"{array.dtype} {tuple(array.shape)} ({_digest(some)})"


def _digest(*arrays):
    found = 0
    for array in arrays:
        content = array.tobytes() if array.dtype != object else repr(array.tolist()).encode()
        found = zlib.crc32(content, found)
    return f"{found:08x}"
