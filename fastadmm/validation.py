"""Arguments checked at the door: what came, and what is expected."""

import contextlib
import os
import re
from typing import Any

import numpy as np


def positive_integer(value, name, least=1):
    """``value`` as an int, at least 1 or ``least``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        expected = "a positive integer" if least == 1 else f"an integer, at least {least}"
        raise ValueError(f"{name} is {short(value)}: expected {expected}")
    return int(value)


def nonnegative(value, name):
    """``value`` as a float, finite and at least 0."""
    if not isinstance(value, int | float | np.integer | np.floating) or not 0 <= value < np.inf:
        raise ValueError(f"{name} is {short(value)}: expected a finite number, at least 0")
    return float(value)


def seconds(value: Any, name) -> Any:
    """``value`` as a positive float, which may be infinite, or None."""
    if value is None:
        return None
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if not is_number or isinstance(value, bool) or not value > 0:
        raise ValueError(f"{name} is {short(value)}: expected a positive number of seconds")
    return min(value, np.inf)


def path(value, name):
    """``value``, which must name a file, or be None."""
    if value is not None and not (isinstance(value, str | os.PathLike) and os.fspath(value)):
        raise TypeError(f"{name} is {short(value)}: expected the path of a file")
    return value


def flag(value, name):
    """``value``, which must be True or False, as a bool."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} is {short(value)}: expected True or False")
    return bool(value)


def one_of(value: Any, choices, name) -> Any:
    """``value``, which must be among ``choices``."""
    if not (value is None or isinstance(value, str)) or value not in choices:
        raise ValueError(
            f"{name} is {short(value)}: expected one of {', '.join(map(repr, choices))}"
        )
    return value


def pair(value, name):
    """``value``, which must be None or two arrays, as a tuple."""
    if value is None:
        return None
    is_sequence = isinstance(value, tuple | list)
    if not is_sequence or len(value) != 2:
        shown = repr(value) if np.isscalar(value) else f"a {type(value).__name__}"
        shown += f" of {len(value)}" if is_sequence else ""
        raise TypeError(f"{name} is {shown}: expected a pair of arrays (Xv, yv), held out")
    return value[0], value[1]


def callables(value, name):
    """``value`` as a tuple of callables."""
    if callable(value):
        raise TypeError(f"{name} is {short(value)}: expected a sequence, as in {name}=[function]")
    try:
        found = tuple(value)
    except TypeError:
        raise TypeError(f"{name} is {short(value)}: expected a sequence of callables") from None
    for each in found:
        if not callable(each):
            raise TypeError(f"{name} holds {short(each)}: expected callables")
    return found


@contextlib.contextmanager
def within(name):
    """Begin messages about the arrays of an argument with its name."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise type(error)(f"{name}: {error}") from error


def short(value):
    """A value in one short line, without addresses."""
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(repr(value).split()))
    return text if len(text) < 60 else f"{text[:57]}..."


def asarray(value, name):
    """``value`` as an array of numbers; ragged lists and other types are refused."""
    if type(value).__module__.startswith("scipy.sparse"):
        raise TypeError(f"{name} is a sparse {type(value).__name__}: expected {name}.toarray()")
    try:
        array = np.asarray(value)
    except ValueError:  # ragged nested lists
        raise ValueError(f"{name} {_UNEQUAL}") from None
    if array.dtype.kind in "biuf":
        return array
    if array.dtype == object:
        if array.ndim == 0:
            raise TypeError(f"{name} is a {type(value).__name__}: expected an array of numbers")
        first: Any = next(array.flat, None)
        if not isinstance(first, str) and np.ndim(first):
            raise ValueError(f"{name} {_UNEQUAL}")
        what = f"holds {short(first)}"
    else:
        what = f"has dtype {array.dtype}"
        first = array.flat[0] if array.size else None
    is_label = name[0] == "y" and isinstance(first, str | bytes)
    hint = f"; np.unique({name}, return_inverse=True) numbers labels" if is_label else ""
    raise TypeError(f"{name} {what}: expected numbers{hint}")


_UNEQUAL = "holds sequences of unequal length: expected one array"


def finite(array, dtype, name):
    """``array`` in ``dtype``, C-contiguous; NaN, infinity and overflow are refused by position."""
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(array, dtype)
    if not np.isfinite(converted).all():
        position = tuple(map(int, np.argwhere(~np.isfinite(converted))[0]))
        where = ", ".join(map(str, position))
        raise ValueError(f"{name}[{where}] is {array[position]}: expected finite {dtype} numbers")
    return converted


REGRESSION = "; integers are labels: for whole numbers to fit, loss='squared'"


def in_range(array, stop, name, what, hint=""):
    """Refuse integers outside [0, stop), naming the first position."""
    outside = (array < 0) | (array >= stop)
    if outside.any():
        position = tuple(map(int, np.argwhere(outside)[0]))
        where = ", ".join(map(str, position))
        raise ValueError(
            f"{name}[{where}] is {array[position]}: expected {what} 0 to {stop - 1}{hint}"
        )
    return array


def inputs(net, X, name="X", empty=False):
    """Inputs as the kernels take them: channels in the network's dtype, or int64 tokens.

    With ``empty`` there may be no case or no time point.

    Returns
    -------
    ndarray, C-contiguous, (n_cases, n_timepoints, n_channels) or (n_cases, n_timepoints)
    """
    X = asarray(X, name)
    if X.ndim == 2 and X.dtype.kind in "iu":
        in_range(X, net.inputs, name, "tokens from")
        X = np.ascontiguousarray(X, np.int64)
    elif X.ndim != 3:
        raise ValueError(
            f"{name} has shape {X.shape}: expected 3-D (n_cases, n_timepoints, n_channels), "
            "or 2-D (n_cases, n_timepoints) of integers for token ids; "
            f"one channel is {name}[:, :, None]"
        )
    elif X.shape[2] != net.inputs:
        raise ValueError(
            f"{name} has shape {X.shape}: expected {net.inputs} channels, the network's inputs"
        )
    else:
        X = finite(X, net.dtype, name)
    if 0 in X.shape[:2] and not empty:
        raise ValueError(f"{name} has shape {X.shape}: expected at least one case and time point")
    return X


def targets(net, X, y, loss, readout, name="y"):
    """Targets as the kernels take them: int64 labels, or values in the network's dtype.

    Returns
    -------
    ndarray, C-contiguous
        Labels (n_cases,) or (n_cases, n_timepoints); values with one more axis of C outputs.
    """
    y = asarray(y, name)
    shape = X.shape[:1] if readout != "all" else X.shape[:2]
    axes = "(n_cases,)" if readout != "all" else "(n_cases, n_timepoints)"
    if loss.has_labels:
        if y.dtype.kind not in "iub":
            raise TypeError(f"{name} has dtype {y.dtype}: expected integer labels")
        if y.shape != shape:
            hint = REGRESSION if y.shape == (*shape, net.outputs) else ""
            raise ValueError(f"{name} has shape {y.shape}: expected {shape} {axes}{hint}")
        y = y.astype(np.int64) if y.dtype.kind == "b" else y
        in_range(y, net.outputs, name, "labels from", REGRESSION)
        return np.ascontiguousarray(y, np.int64)
    if y.shape == shape and net.outputs == 1:
        y = y[..., None]
    if y.shape != (*shape, net.outputs):
        hint = f"; labels are integers, {name}.astype(int)" if y.shape == shape else ""
        raise ValueError(
            f"{name} has shape {y.shape}: expected {(*shape, net.outputs)} "
            f"{axes[:-1].rstrip(',')}, n_outputs){hint}"
        )
    return finite(y, net.dtype, name)
