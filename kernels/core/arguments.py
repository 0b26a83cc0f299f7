"""What public functions do before a kernel runs: check, convert, and find a place for the result.

Every check raises with the name of the argument, what came and what is expected. Integers and
booleans become float64; the first array of a call sets the dtype of all others. A call on a few
numbers costs what its checks cost: what comes most often, a float and an array that fits, is
recognised first, by identity.
"""

import math
import operator
from typing import Any, SupportsIndex, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .parallel import in_parallel

Reals = NDArray[np.floating]
"""An array of float32 or float64."""

Factor = TypeVar("Factor")


_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


def real_array(name: str, x: ArrayLike) -> Reals:
    """``x`` as a float32 or float64 array; integers and booleans become float64."""
    x = x if type(x) is np.ndarray else given_array(name, x)
    dtype = x.dtype
    if dtype is _DOUBLE or dtype is _SINGLE:
        return x
    if dtype in (_SINGLE, _DOUBLE):  # equal, but no such object, as after unpickling
        return x
    if dtype.kind in "iub":
        return x.astype(np.float64)
    raise TypeError(f"{name} has dtype {dtype}: expected float32, float64 or integers")


def given_array(name: str, x: ArrayLike) -> np.ndarray:
    """``x`` as an array of any dtype."""
    try:
        return np.asarray(x)
    except ValueError:
        kind = type(x).__name__
        raise ValueError(
            f"{name} is a {kind} of parts of unequal shape: expected an array of numbers"
        ) from None


def shaped(name: str, x: ArrayLike, shape: tuple) -> Reals:
    """``x`` as a float array of a shape: numbers, and letters for lengths that are free.

    Equal letters are equal lengths.
    """
    x, lengths = real_array(name, x), {}
    fits = x.ndim == len(shape) and all(
        length == (lengths.setdefault(expected, length) if isinstance(expected, str) else expected)
        for length, expected in zip(x.shape, shape, strict=True)
    )
    if not fits:
        spelled = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        raise ValueError(f"{name} has shape {x.shape}: expected ({spelled})")
    return x


def array(name: str, x: ArrayLike, shape: tuple, like: Reals | None = None) -> Reals:
    """The same, C-contiguous; with ``like`` in the dtype of another array."""
    x = shaped(name, x, shape)
    return np.ascontiguousarray(x, dtype=x.dtype if like is None else like.dtype)


def rows_of(name: str, x: ArrayLike, n: int, like: Reals) -> tuple[Reals, tuple[int, ...]]:
    """Rows (m, n), and the shape that came: (n,) stands for a single row."""
    single = np.ndim(x) == 1
    x = array(name, x, (n,) if single else ("m", n), like)
    return (x[np.newaxis] if single else x), x.shape


def as_rows(x: Reals) -> Reals:
    """Contiguous (rows, n) form of an array; a view where that is possible.

    The last axis is the row that an operator acts on; all other axes are counted together. A vector
    is one row, and so is a single number.
    """
    x = np.ascontiguousarray(x)
    if x.ndim == 1:
        return x[np.newaxis]
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def companion(name: str, y: ArrayLike, like: Reals) -> Reals:
    """``y`` in the dtype of ``like``, contiguous and raveled, broadcast to its shape."""
    y = real_array(name, y).astype(like.dtype, copy=False)
    if y.shape != like.shape:
        try:
            y = np.broadcast_to(y, like.shape)
        except ValueError:
            raise ValueError(
                f"{name} has shape {y.shape}: expected {like.shape} or what broadcasts to it"
            ) from None
    return np.ascontiguousarray(y).reshape(-1)


def coefficient(
    name: str, value: ArrayLike, like: Reals, *, positive: bool = False
) -> Reals | float:
    """A checked finite number, or a raveled array of them in the dtype of ``like``."""
    if type(value) is float and 0.0 < value < math.inf:
        return value
    numbers = real_array(name, value)
    fits = (numbers > 0 if positive else numbers >= 0) & (numbers < np.inf)
    if not np.all(fits):
        kind = "positive" if positive else "non-negative"
        raise ValueError(f"{name} is {numbers[~fits].flat[0]}: expected a {kind} number, finite")
    return float(numbers) if numbers.ndim == 0 else companion(name, numbers, like)


def per_row(name: str, value: ArrayLike, x: Reals, *, positive: bool = False) -> Reals | float:
    """A checked number, or a raveled array with one number per row in the dtype of ``x``."""
    if type(value) is float and 0.0 < value < math.inf:
        return value
    return coefficient(name, value, np.empty(x.shape[:-1], x.dtype), positive=positive)


def rows(name: str, x: ArrayLike, axis: SupportsIndex = -1) -> Reals:
    """``x`` as a float array, the axis that an operator acts on moved to the end."""
    x = real_array(name, x)
    return x if axis is LAST else np.moveaxis(x, checked_axis(axis, x), -1)


LAST = -1
"""The usual axis; small integers are single objects in CPython, others are merely slower."""


def checked_axis(axis: SupportsIndex, x: Reals) -> int:
    """An axis of ``x``; a single number counts as a row of one."""
    try:
        axis = operator.index(axis)
    except TypeError:
        raise TypeError(f"axis is {type(axis).__name__}: expected an integer") from None
    if x.ndim == 0 and axis in (0, -1):
        return 0
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis is {axis}: expected one of the {x.ndim} axes of an array {x.shape}")
    return axis


def labels(name: str, y: ArrayLike) -> Reals:
    """``y`` after a check that its entries are -1 or 1."""
    y = real_array(name, y)
    wrong = np.abs(y) != 1
    if wrong.any():
        raise ValueError(
            f"{name} contains {y[wrong].flat[0]}: expected labels -1 or 1 (2 y - 1 of labels 0, 1)"
        )
    return y


def number(
    name: str, value: float, low: float = -np.inf, *, above: bool = False, below: float = np.inf
) -> float:
    """A finite float, at least ``low``, or with ``above`` greater than it, and under ``below``."""
    if type(value) is float and low < value < below and value < math.inf:
        return value
    given = given_array(name, value)
    if given.ndim or given.dtype.kind not in "biuf":
        kind = f"{given.dtype} of shape {given.shape}" if given.ndim else type(value).__name__
        raise TypeError(f"{name} is {kind}: expected a number")
    if not (np.isfinite(given) and low <= given < below) or (above and given == low):
        if low == 0 and below == np.inf:
            expected = f"a {'positive' if above else 'non-negative'} number, finite"
        else:
            bounds = [] if low == -np.inf else [f"{'above' if above else 'not below'} {low:g}"]
            bounds += [] if below == np.inf else [f"below {below:g}"]
            expected = " ".join(["a finite number", " and ".join(bounds)]).strip()
        raise ValueError(f"{name} is {float(given)}: expected {expected}")
    return float(given)


def count(name: str, value: SupportsIndex) -> int:
    """A non-negative integer."""
    try:
        value = operator.index(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"{name} is {kind}: expected a non-negative integer") from None
    if value < 0:
        raise ValueError(f"{name} is {value}: expected a non-negative integer")
    return value


def factored(name: str, value: Factor, kind: type[Factor]) -> Factor:
    """``value`` after a check that it is what the matching factor function returned."""
    if not isinstance(value, kind):
        expected = kind.__name__
        raise TypeError(f"{name} is {type(value).__name__}: expected a {expected}")
    return value


def definite(status: int, what: str) -> None:
    """Raise for a kernel's status that is the order of a leading minor."""
    if status:
        raise np.linalg.LinAlgError(
            f"{what} is not positive definite: its leading minor of order {status} is not"
        )


def checked_out(out: Reals | None, shape: tuple[int, ...], dtype: DTypeLike) -> Reals:
    """``out`` after a check of its shape and dtype; a new array for None."""
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray) or (out.dtype is not dtype and out.dtype != dtype):
        kind = getattr(out, "dtype", type(out).__name__)
        raise TypeError(f"out is {kind}: expected an array of {np.dtype(dtype)}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}: expected {tuple(shape)}")
    if not out.flags.writeable:
        raise ValueError("out is read-only: expected a writable array")
    return out


def destination(
    out: Reals | None, shape: tuple[int, ...], dtype: DTypeLike, **apart: Reals
) -> Reals:
    """A contiguous ``out`` after a check; none of the arrays ``apart`` may overlap it."""
    out = checked_out(out, shape, dtype)
    if not out.flags.c_contiguous:
        raise ValueError("out is strided: expected a C-contiguous array")
    for name, operand in apart.items():
        if np.may_share_memory(out, operand):
            raise ValueError(f"out overlaps {name}: expected an array of its own")
    return out


def solution(
    out: Reals | None, rhs: ArrayLike, rows: Reals, shape: tuple[int, ...], **apart: Reals
) -> tuple[Reals, Reals]:
    """Array for the solutions (m, n) of right-hand sides ``rows``, and the same in ``shape``.

    In place, ``out`` is ``rhs`` itself; a mere overlap of the two is refused.
    """
    if out is not rhs:
        apart["rhs"] = rows
    out = destination(out, shape, rows.dtype, **apart)
    return out.reshape(rows.shape), out


def run(
    kernel: Any,
    x: Reals,
    form: Reals,
    arguments: tuple,
    out: Reals | None,
    threads: SupportsIndex = 1,
) -> Reals:
    """Run ``kernel(form, *arguments, out)``, ``form`` being x in the contiguous shape it takes.

    Returns ``out`` in the shape of x. It may be x itself, strided, or overlap anything: where the
    kernel cannot write into it directly, the result is copied.
    """
    if out is None:
        result, fits = np.empty(x.shape, x.dtype), True
    else:
        result = checked_out(out, x.shape, x.dtype)
        fits = result.flags.carray and (
            result is x or not (_overlap(result, x) or any(_overlap(result, a) for a in arguments))
        )
    if fits:
        written = result if result.ndim == form.ndim else result.reshape(form.shape)
    else:
        written = np.empty_like(form)
    if threads is ONE:
        kernel(form, *arguments, written)
    else:
        in_parallel(kernel, (form, *arguments, written), checked_threads(threads))
    if not fits:
        result[...] = written.reshape(x.shape)
    return result


ONE = 1


def _overlap(a, b):
    """Whether two arrays may overlap; two that own their memory cannot."""
    if type(b) is not np.ndarray or (a.base is None and b.base is None and a is not b):
        return False
    return np.may_share_memory(a, b)


def checked_threads(threads: SupportsIndex) -> int:
    """A number of threads."""
    threads = count("threads", threads)
    if threads == 0:
        raise ValueError("threads is 0: expected a positive integer")
    return threads


def elementwise(
    kernel: Any, x: Reals, arguments: tuple, out: Reals | None, threads: SupportsIndex = 1
) -> Reals:
    """`run` on the raveled entries of x."""
    form = np.ascontiguousarray(x)  # at least a vector
    form = form if form.ndim == 1 else form.reshape(-1)
    return run(kernel, x, form, arguments, out, threads)


def rowwise(
    kernel: Any,
    x: Reals,
    arguments: tuple,
    out: Reals | None,
    axis: SupportsIndex = -1,
    threads: SupportsIndex = 1,
) -> Reals:
    """`run` on what `rows` made of an array; the result has the axes that came."""
    if axis is LAST:
        return run(kernel, x, as_rows(x), arguments, out, threads)
    axis = checked_axis(axis, x)
    moved = (
        np.moveaxis(out, axis, -1) if isinstance(out, np.ndarray) and out.ndim == x.ndim else out
    )
    result = np.moveaxis(run(kernel, x, as_rows(x), arguments, moved, threads), -1, axis)
    return result if out is None else out
