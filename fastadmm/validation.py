"""Arguments checked at the door: what came, and what is expected."""

import math

import numpy as np


def positive_integer(value, name, least=1):
    """``value`` as an int, at least 1 or ``least``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        expected = "a positive integer" if least == 1 else f"an integer, at least {least}"
        raise ValueError(f"{name} is {value!r}: expected {expected}")
    return int(value)


def nonnegative(value, name):
    """``value`` as a float, finite and at least 0."""
    if not np.isscalar(value) or isinstance(value, str) or not 0 <= value < np.inf:
        raise ValueError(f"{name} is {value!r}: expected a finite number, at least 0")
    return float(value)


def check_fields(options, names, holds, expected):
    """Refuse an option whose value does not hold; ``expected`` may name it as ``{name}``."""
    for name in names:
        value = getattr(options, name)
        if not holds(value):
            raise ValueError(f"{name} is {value}: expected {expected.format(name=name)}")


def positive_fields(options, *names):
    """Refuse options that are not positive and finite."""
    check_fields(options, names, lambda value: 0 < value < math.inf, "a positive number")


def nonnegative_fields(options, *names):
    """Refuse options that are negative or not finite."""
    check_fields(options, names, lambda value: 0 <= value < math.inf, "a number, at least 0")


def counting_fields(options, *names, least=1):
    """Refuse options below ``least``."""
    check_fields(options, names, lambda value: value >= least, f"at least {least}")


def one_of(value, choices, name):
    """``value``, which must be among ``choices``."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}: expected one of {', '.join(map(repr, choices))}")
    return value


def asarray(value, name):
    """``value`` as an array of numbers; ragged lists and other types are refused."""
    try:
        array = np.asarray(value)
    except ValueError:  # ragged nested lists
        array = None
    if array is None or array.dtype == object:
        raise ValueError(f"{name} holds sequences of unequal length: expected one array")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} has dtype {array.dtype}: expected numbers")
    return array


def finite(array, dtype, name):
    """``array`` in ``dtype``, C-contiguous; NaN, infinity and overflow are refused by position."""
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(array, dtype)
    if not np.isfinite(converted).all():
        position = tuple(map(int, np.argwhere(~np.isfinite(converted))[0]))
        where = ", ".join(map(str, position))
        raise ValueError(f"{name}[{where}] is {array[position]}: expected finite {dtype} numbers")
    return converted


def in_range(array, stop, name, what):
    """Refuse integers outside [0, stop), naming the first position."""
    outside = (array < 0) | (array >= stop)
    if outside.any():
        position = tuple(map(int, np.argwhere(outside)[0]))
        where = ", ".join(map(str, position))
        raise ValueError(f"{name}[{where}] is {array[position]}: expected {what} 0 to {stop - 1}")
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
    shape = X.shape[:1] if readout == "last" else X.shape[:2]
    axes = "(n_cases,)" if readout == "last" else "(n_cases, n_timepoints)"
    if loss == "softmax_cross_entropy":
        if y.dtype.kind not in "iu":
            raise TypeError(f"{name} has dtype {y.dtype}: expected integer labels")
        if y.shape != shape:
            raise ValueError(f"{name} has shape {y.shape}: expected {shape} {axes}")
        return np.ascontiguousarray(in_range(y, net.outputs, name, "labels from"), np.int64)
    if y.shape == shape and net.outputs == 1:
        y = y[..., None]
    if y.shape != (*shape, net.outputs):
        raise ValueError(
            f"{name} has shape {y.shape}: expected {(*shape, net.outputs)} "
            f"{axes[:-1].rstrip(',')}, n_outputs)"
        )
    return finite(y, net.dtype, name)
