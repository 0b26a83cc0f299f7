"""Sequences of unequal length: lists of arrays, or padded arrays with their lengths.

Inside, all sequences end together: padding stands before them. So the last step is the same for
all of them, and where they have not begun their state is the initial one.
"""

from typing import Any

import numpy as np

from fastadmm.on_disk import OnDisk
from fastadmm.validation import asarray


def padded(value: Any, name: str) -> tuple[Any, Any]:
    """A list of arrays of unequal length as one array, with zeros before them, and the lengths.

    Parameters
    ----------
    value : object
    name : str
        Of the argument, for messages.

    Returns
    -------
    value : object
        As it came where it is no such list.
    lengths : ndarray, (n_cases,), int64, or None

    Raises
    ------
    ValueError, TypeError
        Where a sequence is empty or has other channels than the first one.
    """
    if not isinstance(value, list | tuple) or not all(np.ndim(each) for each in value):
        return value, None
    if len({len(each) for each in value}) < 2:
        return value, None
    arrays = [asarray(each, f"{name}[{i}]") for i, each in enumerate(value)]
    first = arrays[0]
    for i, each in enumerate(arrays):
        if len(each) == 0:
            raise ValueError(f"{name}[{i}] is empty: expected at least one time point")
        if each.shape[1:] != first.shape[1:]:
            raise ValueError(
                f"{name}[{i}] has shape {each.shape}: expected (n_timepoints, "
                f"{', '.join(map(str, first.shape[1:]))}), as {name}[0] has"
            )
    lengths = np.array([len(each) for each in arrays])
    joined = np.zeros((len(arrays), lengths.max(), *first.shape[1:]), np.result_type(*arrays))
    for row, each in zip(joined, arrays, strict=True):
        row[-len(each) :] = each
    return joined, lengths


def inputs(X, lengths, name="X"):
    """Inputs as one array in which sequences end together, and their lengths or None.

    Parameters
    ----------
    X : object
        An array, or a list of sequences.
    lengths : array_like or None
        Of sequences with padding after them.
    name : str

    Raises
    ------
    ValueError, TypeError
        Where lengths do not fit X.
    """
    X, found = padded(X, name)
    if found is not None and X.ndim < 3 and X.dtype.kind not in "iu":
        raise ValueError(
            f"{name} holds sequences of unequal length, each 1-D of {X.dtype}: expected 2-D "
            "(n_timepoints, n_channels), or integers for token ids"
        )
    if lengths is None:
        return X, found
    if found is not None:
        raise ValueError(f"lengths is given: expected None, {name} is a list of sequences")
    lengths = asarray(lengths, "lengths")
    X = X if isinstance(X, OnDisk) else asarray(X, name)
    shape = X.shape
    if len(shape) < 2:
        return X, None  # refused for that, as without lengths
    lengths = check_lengths(lengths, shape)
    return at_the_end(X, lengths), lengths


def check_lengths(lengths, shape, name="lengths"):
    """Numbers of time points of the sequences in an array of a shape, int64.

    Raises
    ------
    ValueError
    """
    if lengths.dtype.kind not in "iu" or lengths.shape != shape[:1]:
        raise ValueError(
            f"{name} has shape {lengths.shape} and dtype {lengths.dtype}: expected an integer for "
            f"each of {shape[0]} cases"
        )
    wrong = (lengths < 1) | (lengths > shape[1])
    if wrong.any():
        i = int(wrong.argmax())
        raise ValueError(f"{name}[{i}] is {lengths[i]}: expected 1 to {shape[1]}, the time points")
    return lengths.astype(np.int64)


def targets(y, lengths, readout, is_list, names=("X", "y")):
    """Targets as one array; one for every time point of a list of sequences is a list, too.

    Raises
    ------
    ValueError, TypeError
        Where their numbers are not the lengths of the inputs.
    """
    if readout != "all" or lengths is None:
        return y
    of, name = names
    if not is_list:
        y = y if isinstance(y, OnDisk) else asarray(y, name)
        fits = y.ndim > 1 and len(y) == len(lengths) and y.shape[1] >= lengths.max()
        return at_the_end(y, lengths) if fits else y  # or it is refused, as without lengths
    y, found = padded(y, name)
    if np.ndim(y) < 2:
        return y  # refused for that, as without lengths
    found = np.full(len(y), np.shape(y)[1]) if found is None else found
    wrong = found != lengths if len(found) == len(lengths) else np.zeros(0, bool)
    if wrong.any():
        i = int(wrong.argmax())
        raise ValueError(
            f"{name}[{i}] has {found[i]} targets: expected {lengths[i]}, as {of}[{i}] has"
        )
    return y


def pair(X, y, lengths, readout, names=("X", "y")):
    """Inputs and targets as arrays in which sequences end together, and the lengths or None."""
    is_list = lengths is None
    X, lengths = inputs(X, lengths, names[0])
    return X, targets(y, lengths, readout, is_list, names), lengths


def mask(lengths, times, n_timepoints):
    """Which of some time points sequences have that end together, (n_cases, times)."""
    return times >= n_timepoints - lengths[:, None]


def at_the_end(array, lengths):
    """An array (n_cases, n_timepoints, ...) with padding after sequences, moved before them."""
    if isinstance(array, OnDisk):
        return AtTheEnd(array, lengths)
    moved = np.zeros_like(array)
    for row, source, length in zip(moved, array, lengths, strict=True):
        row[-length:] = source[:length]
    return moved


class AtTheEnd(OnDisk):
    """An array on disk with padding after sequences, which is moved before them as it is read."""

    def __init__(self, source, lengths):
        super().__init__(source.shape, source.dtype)
        self.source, self.lengths = source, lengths

    def __getitem__(self, index):
        cases, *times = index if isinstance(index, tuple) else (index,)
        moved = at_the_end(np.asarray(self.source[cases]), self.lengths[cases])
        return moved[(slice(None), *times)]


def parts(array, lengths):
    """Results for sequences that end together as a list of arrays, one a sequence."""
    return [row[-length:] for row, length in zip(array, lengths, strict=True)]


def at_the_start(array, lengths):
    """Results for sequences that end together, with padding moved after them."""
    moved = np.zeros_like(array)
    for row, source, length in zip(moved, array, lengths, strict=True):
        row[:length] = source[-length:]
    return moved
