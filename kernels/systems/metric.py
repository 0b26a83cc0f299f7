"""Proxes in the metric of a matrix: ``argmin_x 1/2 (x - t) A (x - t)ᵀ + g(x)`` for rows t.

A is symmetric and positive definite, as a damped Gram is, and the same for all rows. Where g is a
sum over entries or over columns there is no closed form, since A couples them: cyclic coordinate
descent, started where the caller says, each coordinate exactly. Every iterate lies in the set, and
none has a larger objective than the one before.

How far an iterate is from the minimum is known without it. With e the distance of ``-A (x - t)``
from the subdifferential of g at x, and l the smallest eigenvalue of A, the objective is at most
``e^2 / (2 l)`` above its minimum, and x at most ``e / sqrt(l)`` from the minimiser in A's norm.
Source: coordinate descent of Friedman, Hastie and Tibshirani (2010); the bound follows from the
strong convexity of the quadratic.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import Reals, array, count, destination, number, real_array, rows_of
from ..core.coordinates import at
from ..core.jit import compiled_as, jit
from ..core.kinds import NUMBER, packed, packed_written, read, written
from ..core.rows import dot, row
from .descent import add_scaled, column_aim, column_distance, column_move, descend, group_norm


class MetricProx(NamedTuple):
    """What the proxes in a metric return."""

    x: np.ndarray
    """(m, n), or (n,) for a single row."""
    gap: np.ndarray
    """(m,), of groups (1,): bound on what the objective is above its minimum, but for rounding."""
    sweeps: int
    """Sweeps over the coordinates that the slowest row took."""


@jit(internal=True)
def _begin(matrix, target, gradient, x):
    """``gradient <- A (x - t)``; returns the norm of ``A t``."""
    gradient[:] = 0
    for k in range(len(x)):
        add_scaled(gradient, -target[k], row(matrix, k))
    size = math.sqrt(dot(gradient, gradient))
    for k in range(len(x)):
        if x[k] != 0:
            add_scaled(gradient, x[k], row(matrix, k))
    return size


@jit(internal=True)
def _solve_row(matrix, target, lower, upper, weight, eps_rel, eps_abs, max_iter, gradient, x):
    """One row from the start in ``x``, which is first brought into the box."""
    for j in range(len(x)):
        x[j] = min(max(x[j], at(lower, j)), at(upper, j))
    size = _begin(matrix, target, gradient, x)
    goal = max(eps_rel * size, eps_abs)
    return descend(matrix, gradient, x, lower, upper, weight, 0.0, goal, max_iter)


@jit(internal=True)
def _solve_rows(
    matrix, target, lower, upper, weight, eps_rel, eps_abs, max_iter, gradient, out, errors
):
    """All rows; returns the sweeps of the slowest. Coefficients are numbers or (m, n)."""
    slowest = 0
    for i in range(len(out)):
        errors[i], taken = _solve_row(
            matrix, row(target, i), at(lower, i), at(upper, i), at(weight, i), eps_rel, eps_abs,
            max_iter, row(gradient, i), row(out, i),
        )  # fmt: skip
        slowest = max(slowest, taken)
    return slowest


@jit
def _metric_nonnegative(
    matrix: packed("n", "n"),
    target: packed("m", "n"),
    eps_rel: NUMBER,
    eps_abs: NUMBER,
    max_iter: NUMBER,
    gradient: packed_written("m", "n"),
    out: packed_written("m", "n"),
    errors: written("m"),
):
    """Kernel of `metric_nonnegative`.

    Parameters
    ----------
    matrix : ndarray, (n, n)
    target : ndarray, (m, n)
    eps_rel, eps_abs : float
    max_iter : int
    gradient : ndarray, (m, n); overwritten with ``A (x - t)``
    out : ndarray, (m, n); the start, overwritten
    errors : ndarray, (m,); overwritten with the distances from optimality

    Returns
    -------
    int
        Sweeps of the slowest row.
    """
    return _solve_rows(
        matrix, target, 0.0, np.inf, 0.0, eps_rel, eps_abs, max_iter, gradient, out, errors
    )


@jit
def _metric_box(
    matrix: packed("n", "n"),
    target: packed("m", "n"),
    lower: packed("m", "n"),
    upper: packed("m", "n"),
    eps_rel: NUMBER,
    eps_abs: NUMBER,
    max_iter: NUMBER,
    gradient: packed_written("m", "n"),
    out: packed_written("m", "n"),
    errors: written("m"),
):
    """Kernel of `metric_box`.

    Parameters
    ----------
    matrix, target, eps_rel, eps_abs, max_iter, gradient, out, errors
        As in `_metric_nonnegative`.
    lower, upper : ndarray, (m, n)
    """
    return _solve_rows(
        matrix, target, lower, upper, 0.0, eps_rel, eps_abs, max_iter, gradient, out, errors
    )


@jit
def _metric_l1(
    matrix: packed("n", "n"),
    target: packed("m", "n"),
    weight: packed("m", "n"),
    eps_rel: NUMBER,
    eps_abs: NUMBER,
    max_iter: NUMBER,
    gradient: packed_written("m", "n"),
    out: packed_written("m", "n"),
    errors: written("m"),
):
    """Kernel of `metric_l1`.

    Parameters
    ----------
    matrix, target, eps_rel, eps_abs, max_iter, gradient, out, errors
        As in `_metric_nonnegative`.
    weight : ndarray, (m, n)
    """
    return _solve_rows(
        matrix, target, -np.inf, np.inf, weight, eps_rel, eps_abs, max_iter, gradient, out, errors
    )


@jit
def _metric_group(
    matrix: packed("n", "n"),
    target: packed("m", "n"),
    weight: read("n"),
    scale: read("m"),
    eps_rel: NUMBER,
    eps_abs: NUMBER,
    max_iter: NUMBER,
    gradient: packed_written("m", "n"),
    work: written("2", "m"),
    out: packed_written("m", "n"),
    errors: written("1"),
):
    """Kernel of `metric_group`.

    Parameters
    ----------
    matrix, target, eps_rel, eps_abs, max_iter, gradient, out
        As in `_metric_nonnegative`.
    weight : ndarray, (n,)
    scale : ndarray, (m,)
    work : ndarray, (2, m)
        Workspace.
    errors : ndarray, (1,)
    """
    size, pull, curvature = 0.0, work[0], work[1]
    for i in range(len(out)):
        own = _begin(matrix, row(target, i), row(gradient, i), row(out, i))
        size += (scale[i] * own) ** 2
    goal = max(eps_rel * math.sqrt(size), eps_abs)
    for sweep in range(max_iter + 1):
        total = 0.0
        for j in range(out.shape[1]):
            total += column_distance(gradient, out, scale, j, weight[j])
        errors[0] = math.sqrt(total)
        if sweep == max_iter or not errors[0] > goal:
            return sweep
        for j in range(out.shape[1]):
            column_aim(matrix, gradient, out, scale, j, pull, curvature)
            norm = group_norm(pull, curvature, float(weight[j]))
            column_move(matrix, gradient, out, j, pull, curvature, norm, float(weight[j]))
    return max_iter


"""What the docstrings of all proxes in a metric share."""
BOUNDS = """lower, upper : array_like, what broadcasts to ``target``
    May be infinite; the lower one is not above the upper one.
"""
WEIGHTS = """weight : array_like, what broadcasts to ``target``
    Non-negative.
"""
GROUPS = """weight : array_like, (n,), or a number
    Non-negative.
scale : array_like, (m,), or a number
    Positive.
"""


def _given(matrix, target, start, eps_rel, eps_abs, max_iter, out):
    """Checked arguments: matrix and its smallest eigenvalue, rows, their shape, out and numbers."""
    matrix = array("matrix", matrix, ("n", "n"))
    least = float(np.linalg.eigvalsh(matrix)[0]) if len(matrix) else 1.0
    if not least > 0:
        raise np.linalg.LinAlgError(
            f"matrix is not positive definite: its smallest eigenvalue is {least:.3g}"
        )
    rows, shape = rows_of("target", target, len(matrix), matrix)
    begin = rows if start is None else array("start", start, shape, matrix).reshape(rows.shape)
    out = destination(out, shape, matrix.dtype, matrix=matrix, target=rows)
    flat = out.reshape(rows.shape)
    np.copyto(flat, begin)
    numbers = (
        number("eps_rel", eps_rel, 0),
        number("eps_abs", eps_abs, 0),
        count("max_iter", max_iter),
    )
    return matrix, least, rows, out, flat, numbers


def _spread(name, value, shape, like, low=-np.inf) -> Reals:
    """A coefficient of every entry of a shape, from a number or what broadcasts to it."""
    value = real_array(name, value)
    if not np.all(value >= low):
        expected = "no NaN" if low == -np.inf else "non-negative numbers"
        raise ValueError(f"{name} is {value[~(value >= low)].flat[0]}: expected {expected}")
    try:
        spread = np.broadcast_to(value, shape)
    except ValueError:
        raise ValueError(
            f"{name} has shape {value.shape}: expected {shape} or what broadcasts to it"
        ) from None
    return np.ascontiguousarray(spread, dtype=like.dtype)


def _run(kernel, matrix, least, rows, coefficients, numbers, out, flat):
    gradient, errors = np.empty_like(rows), np.empty(len(rows), rows.dtype)
    sweeps = kernel(matrix, rows, *coefficients, *numbers, gradient, flat, errors)
    return MetricProx(out, np.square(errors, dtype=float) / (2 * least), int(sweeps))


@compiled_as(_metric_nonnegative)
def metric_nonnegative(
    matrix: ArrayLike,
    target: ArrayLike,
    *,
    start: ArrayLike | None = None,
    eps_rel: float = 1e-6,
    eps_abs: float = 0.0,
    max_iter: int = 1000,
    out: Reals | None = None,
) -> MetricProx:
    """Non-negative rows nearest in a metric.

    ``argmin_{x >= 0} 1/2 (x - t) A (x - t)ᵀ`` for every row t, by coordinate descent: non-negative
    least squares ``|B x - y|`` with ``A = BᵀB`` and ``t = A⁻¹ Bᵀ y``. Zeros are exact.

    In compiled code ``metric_nonnegative(matrix, target, eps_rel, eps_abs, max_iter, gradient, out,
    errors)`` with matrix (n, n); target, gradient, out (m, n); errors (m,). ``out`` is the
    start; ``errors`` gets the distances from optimality. It returns the sweeps of the slowest row.

    Cost: 4 n^2 flops per row, and per sweep 2 n for every coordinate that moves.

    Parameters
    ----------
    matrix : array_like, (n, n)
        A, symmetric and positive definite; float32 or float64; integers become float64. Sets the
        dtype.
    target : array_like, (m, n) or (n,)
        The rows t.
    start : array_like, the shape of ``target``, optional
        The nearer to the minimiser, the fewer sweeps; ``target`` by default.
    eps_rel, eps_abs : float
        Non-negative; done where the distance from optimality, that of a row or of all groups, is at
        most ``eps_rel`` times the size of the gradient at zero, or ``eps_abs``.
    max_iter : int
        Most sweeps.
    out : ndarray, the shape of ``target``, optional
        C-contiguous, of the dtype of ``matrix``.

    Returns
    -------
    MetricProx
        x, gap, sweeps.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where ``matrix`` is not positive definite.
    TypeError, ValueError
        For another dtype or shape, or a number outside its domain.
    """
    matrix, least, rows, out, flat, numbers = _given(
        matrix, target, start, eps_rel, eps_abs, max_iter, out
    )
    return _run(_metric_nonnegative, matrix, least, rows, (), numbers, out, flat)


@compiled_as(_metric_box)
def metric_box(
    matrix: ArrayLike,
    target: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    *,
    start: ArrayLike | None = None,
    eps_rel: float = 1e-6,
    eps_abs: float = 0.0,
    max_iter: int = 1000,
    out: Reals | None = None,
) -> MetricProx:
    """Rows within bounds, nearest in a metric.

    ``argmin_{lower <= x <= upper} 1/2 (x - t) A (x - t)ᵀ`` for every row t, by coordinate descent.
    Signs are bounds at zero and infinity, and an entry that is left out has both at zero.

    In compiled code ``metric_box(matrix, target, lower, upper, eps_rel, eps_abs, max_iter,
    gradient, out, errors)`` with matrix (n, n); target, lower, upper, gradient, out (m, n); errors
    (m,). The start is in ``out``; ``errors`` gets the distances from optimality. It returns the
    sweeps of the slowest row.

    Cost: 4 n^2 flops per row, and per sweep 2 n for every coordinate that moves.

    Parameters
    ----------
    matrix : array_like, (n, n)
        A, symmetric and positive definite; float32 or float64; integers become float64. Sets the
        dtype.
    target : array_like, (m, n) or (n,)
        The rows t.
    lower, upper : array_like, what broadcasts to ``target``
        May be infinite; the lower one is not above the upper one.
    start : array_like, the shape of ``target``, optional
        The nearer to the minimiser, the fewer sweeps; ``target`` by default.
    eps_rel, eps_abs : float
        Non-negative; done where the distance from optimality, that of a row or of all groups, is at
        most ``eps_rel`` times the size of the gradient at zero, or ``eps_abs``.
    max_iter : int
        Most sweeps.
    out : ndarray, the shape of ``target``, optional
        C-contiguous, of the dtype of ``matrix``.

    Returns
    -------
    MetricProx
        x, gap, sweeps.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where ``matrix`` is not positive definite.
    TypeError, ValueError
        For another dtype or shape, or a number outside its domain.
    """
    matrix, least, rows, out, flat, numbers = _given(
        matrix, target, start, eps_rel, eps_abs, max_iter, out
    )
    lower, upper = (
        _spread("lower", lower, rows.shape, rows),
        _spread("upper", upper, rows.shape, rows),
    )
    if (lower > upper).any():
        i, j = np.argwhere(lower > upper)[0]
        raise ValueError(f"lower[{i}, {j}] is {lower[i, j]}: expected at most {upper[i, j]}")
    return _run(_metric_box, matrix, least, rows, (lower, upper), numbers, out, flat)


@compiled_as(_metric_l1)
def metric_l1(
    matrix: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike,
    *,
    start: ArrayLike | None = None,
    eps_rel: float = 1e-6,
    eps_abs: float = 0.0,
    max_iter: int = 1000,
    out: Reals | None = None,
) -> MetricProx:
    """Prox of the l1 norm in a metric.

    ``argmin_x 1/2 (x - t) A (x - t)ᵀ + sum_j weight_j |x_j|`` for every row t, by coordinate
    descent: the lasso with ``A = BᵀB`` and ``t = A⁻¹ Bᵀ y``. Zeros are exact.

    In compiled code ``metric_l1(matrix, target, weight, eps_rel, eps_abs, max_iter, gradient, out,
    errors)`` with matrix (n, n); target, weight, gradient, out (m, n); errors (m,). ``out`` is
    the start; ``errors`` gets the distances from optimality. It returns the slowest row's sweeps.

    Cost: 4 n^2 flops per row, and per sweep 2 n for every coordinate that moves.

    Parameters
    ----------
    matrix : array_like, (n, n)
        A, symmetric and positive definite; float32 or float64; integers become float64. Sets the
        dtype.
    target : array_like, (m, n) or (n,)
        The rows t.
    weight : array_like, what broadcasts to ``target``
        Non-negative.
    start : array_like, the shape of ``target``, optional
        The nearer to the minimiser, the fewer sweeps; ``target`` by default.
    eps_rel, eps_abs : float
        Non-negative; done where the distance from optimality, that of a row or of all groups, is at
        most ``eps_rel`` times the size of the gradient at zero, or ``eps_abs``.
    max_iter : int
        Most sweeps.
    out : ndarray, the shape of ``target``, optional
        C-contiguous, of the dtype of ``matrix``.

    Returns
    -------
    MetricProx
        x, gap, sweeps.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where ``matrix`` is not positive definite.
    TypeError, ValueError
        For another dtype or shape, or a number outside its domain.
    """
    matrix, least, rows, out, flat, numbers = _given(
        matrix, target, start, eps_rel, eps_abs, max_iter, out
    )
    weight = _spread("weight", weight, rows.shape, rows, 0)
    return _run(_metric_l1, matrix, least, rows, (weight,), numbers, out, flat)


@compiled_as(_metric_group)
def metric_group(
    matrix: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike,
    scale: ArrayLike = 1.0,
    *,
    start: ArrayLike | None = None,
    eps_rel: float = 1e-6,
    eps_abs: float = 0.0,
    max_iter: int = 1000,
    out: Reals | None = None,
) -> MetricProx:
    """Prox of the norms of columns in a metric of rows: whole columns become zero.

    ``argmin_X sum_i scale_i/2 (x_i - t_i) A (x_i - t_i)ᵀ + sum_j weight_j |X_j|`` with rows x_i and
    columns X_j of X, by descent over the columns, each of them exactly.

    In compiled code ``metric_group(matrix, target, weight, scale, eps_rel, eps_abs, max_iter,
    gradient, work, out, errors)`` with matrix (n, n); target, gradient, out (m, n); weight (n,);
    scale (m,); work (2, m); errors (1,). The start is in ``out``; ``errors`` gets the distance from
    optimality. It returns the sweeps.

    Cost: 4 m n^2 flops, and per sweep 2 m n for every column that moves.

    Parameters
    ----------
    matrix : array_like, (n, n)
        A, symmetric and positive definite; float32 or float64; integers become float64. Sets the
        dtype.
    target : array_like, (m, n) or (n,)
        The rows t.
    weight : array_like, (n,), or a number
        Non-negative.
    scale : array_like, (m,), or a number
        Positive.
    start : array_like, the shape of ``target``, optional
        The nearer to the minimiser, the fewer sweeps; ``target`` by default.
    eps_rel, eps_abs : float
        Non-negative; done where the distance from optimality, that of a row or of all groups, is at
        most ``eps_rel`` times the size of the gradient at zero, or ``eps_abs``.
    max_iter : int
        Most sweeps.
    out : ndarray, the shape of ``target``, optional
        C-contiguous, of the dtype of ``matrix``.

    Returns
    -------
    MetricProx
        x, gap, sweeps.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where ``matrix`` is not positive definite.
    TypeError, ValueError
        For another dtype or shape, or a number outside its domain.
    """
    matrix, least, rows, out, flat, numbers = _given(
        matrix, target, start, eps_rel, eps_abs, max_iter, out
    )
    m, n = rows.shape
    weight = _spread("weight", weight, (n,), rows, 0)
    scale = _spread("scale", scale, (m,), rows, 0)
    smallest = float(scale.min()) if m else 1.0
    if not smallest > 0:
        raise ValueError(f"scale is {smallest}: expected positive numbers")
    gradient, errors, work = (
        np.empty_like(rows),
        np.empty(1, rows.dtype),
        np.empty((2, m), rows.dtype),
    )
    sweeps = _metric_group(matrix, rows, weight, scale, *numbers, gradient, work, flat, errors)
    return MetricProx(out, np.square(errors, dtype=float) / (2 * least * smallest), int(sweeps))
