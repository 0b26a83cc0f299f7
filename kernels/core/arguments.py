"""What public functions do before a kernel runs: check, convert, and find a place for the result.

Every check raises with the name of the argument, what came and what is expected. Integers and
booleans become float64; the first array of a call sets the dtype of all others.
"""

import math
import operator
from typing import Any, SupportsIndex, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Reals = NDArray[np.floating]
"""An array of float32 or float64."""

Factor = TypeVar("Factor")


def real_array(name: str, x: ArrayLike) -> Reals:
    """``x`` as a float32 or float64 array; integers and booleans become float64."""
    x = np.asarray(x)
    if x.dtype in (np.float32, np.float64):
        return x
    if x.dtype.kind in "iub":
        return x.astype(np.float64)
    raise TypeError(f"{name} has dtype {x.dtype}: expected float32, float64 or integers")


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
    n = x.shape[-1] if x.ndim else 1
    return np.ascontiguousarray(x).reshape(math.prod(x.shape[:-1]), n)


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
) -> Reals | np.floating:
    """A checked finite number in the dtype of ``like``, or a raveled array of them."""
    value = real_array(name, value)
    fits = (value > 0 if positive else value >= 0) & (value < np.inf)
    if not np.all(fits):
        kind = "positive" if positive else "non-negative"
        raise ValueError(f"{name} is {value[~fits].flat[0]}: expected a {kind} number, finite")
    if value.ndim == 0:
        return like.dtype.type(value)
    return companion(name, value, like)


def per_row(
    name: str, value: ArrayLike, x: Reals, *, positive: bool = False
) -> Reals | np.floating:
    """A checked number in the dtype of ``x``, or a raveled array with one number per row."""
    return coefficient(name, value, np.empty(x.shape[:-1], x.dtype), positive=positive)


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
    given = np.asarray(value)
    if given.ndim or given.dtype.kind not in "biuf":
        kind = f"{given.dtype} of shape {given.shape}" if given.ndim else type(value).__name__
        raise TypeError(f"{name} is {kind}: expected a number")
    if not (np.isfinite(given) and low <= given < below) or (above and given == low):
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
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        kind = getattr(out, "dtype", type(out).__name__)
        raise TypeError(f"out is {kind}: expected an array of {np.dtype(dtype)}")
    if out.shape != tuple(shape):
        raise ValueError(f"out has shape {out.shape}: expected {tuple(shape)}")
    return out


def destination(
    out: Reals | None, shape: tuple[int, ...], dtype: DTypeLike, **apart: Reals
) -> Reals:
    """A contiguous ``out`` after a check; none of the arrays ``apart`` may overlap it."""
    out = checked_out(out, shape, dtype)
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError("out is strided or read-only: expected a writable C-contiguous array")
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


def run(kernel: Any, x: Reals, form: Reals, arguments: tuple, out: Reals | None) -> Reals:
    """Run ``kernel(form, *arguments, out)``, ``form`` being x in the contiguous shape it takes.

    Returns ``out`` in the shape of x. It may be x itself, strided, or overlap anything: where the
    kernel cannot write into it directly, the result is copied.
    """
    result = checked_out(out, x.shape, x.dtype)
    arrays = (form, *(a for a in arguments if isinstance(a, np.ndarray)))
    fits = result.flags.c_contiguous and (
        result is x or not any(np.may_share_memory(result, a) for a in arrays)
    )
    written = result.reshape(form.shape) if fits else np.empty_like(form)
    kernel(form, *arguments, written)
    if not fits:
        result[...] = written.reshape(x.shape)
    return result


def elementwise(kernel: Any, x: Reals, arguments: tuple, out: Reals | None) -> Reals:
    """`run` on the raveled entries of x."""
    return run(kernel, x, np.ascontiguousarray(x).reshape(-1), arguments, out)


def rowwise(kernel: Any, x: Reals, arguments: tuple, out: Reals | None) -> Reals:
    """`run` on the rows of x."""
    return run(kernel, x, as_rows(x), arguments, out)
