"""What the public functions of linear systems do before a kernel runs: check and convert."""

import operator

import numpy as np

from .arguments import real_array


def array(name, x, shape, like=None):
    """``x`` as a C-contiguous float array of a shape; integers and booleans become float64.

    ``shape`` holds numbers, and letters for lengths that are free; equal letters are equal lengths.
    With ``like`` the dtype is that of another array.
    """
    x = real_array(name, x)
    _check_shape(name, x, shape)
    return np.ascontiguousarray(x, dtype=x.dtype if like is None else like.dtype)


def _check_shape(name, x, shape):
    lengths = {}
    fits = x.ndim == len(shape) and all(
        length == (lengths.setdefault(expected, length) if isinstance(expected, str) else expected)
        for length, expected in zip(x.shape, shape, strict=True)
    )
    if not fits:
        spelled = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise ValueError(f"{name} has shape {x.shape}: expected ({spelled})")


def rows_of(name, x, n, like):
    """Rows (m, n), and the shape that came: (n,) stands for a single row."""
    single = np.ndim(x) == 1
    x = array(name, x, (n,) if single else ("m", n), like)
    return (x[np.newaxis] if single else x), x.shape


def number(name, value, low=-np.inf, *, above=False):
    """A finite number, not below ``low``; with ``above``, not equal to it either."""
    try:
        value = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {type(value).__name__}: expected a number") from None
    if not np.isfinite(value) or value < low or (above and value == low):
        bound = "" if low == -np.inf else f" {'above' if above else 'not below'} {low:g}"
        raise ValueError(f"{name} is {value}: expected a finite number{bound}")
    return value


def count(name, value):
    """A non-negative integer."""
    try:
        value = operator.index(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"{name} is {kind}: expected a non-negative integer") from None
    if value < 0:
        raise ValueError(f"{name} is {value}: expected a non-negative integer")
    return value


def destination(out, shape, dtype, **apart):
    """``out`` after a check, a new array for None; none of the arrays ``apart`` may overlap it."""
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        kind = getattr(out, "dtype", type(out).__name__)
        raise TypeError(f"out is {kind}: expected an array of {np.dtype(dtype)}")
    _check_shape("out", out, shape)
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError("out is strided or read-only: expected a writable C-contiguous array")
    for name, operand in apart.items():
        if np.may_share_memory(out, operand):
            raise ValueError(f"out overlaps {name}: expected an array of its own")
    return out


def solution(out, rhs, rows, shape, **apart):
    """Array for the solutions (m, n) of right-hand sides ``rows``, and the same in ``shape``.

    In place, ``out`` is ``rhs`` itself; a mere overlap of the two is refused.
    """
    if out is not rhs:
        apart["rhs"] = rows
    out = destination(out, shape, rows.dtype, **apart)
    return out.reshape(rows.shape), out


def definite(status, what):
    """Raise for a kernel's status that is the order of a leading minor."""
    if status:
        raise np.linalg.LinAlgError(
            f"{what} is not positive definite: its leading minor of order {status} is not"
        )


def factored(name, value, kind):
    """``value`` after a check that it is what the matching factor function returned."""
    if not isinstance(value, kind):
        expected = kind.__name__
        raise TypeError(f"{name} is {type(value).__name__}: expected a {expected}")
    return value
