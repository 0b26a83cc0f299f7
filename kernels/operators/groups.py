"""Penalties of groups of coordinates: value, and prox ``argmin_x g(x) + 1/(2 step) |x - v|^2``.

`l2_norm` and `linf_norm` act on every row of a matrix. The groups of `group_lasso` and
`sparse_group_lasso` are intervals of the columns: ``groups`` holds their boundaries, group g being
the columns ``groups[g]`` to ``groups[g + 1] - 1``. Prox kernels return the value of g at the
result; sums are accumulated in double precision.
"""

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import (
    Reals,
    as_rows,
    coefficient,
    companion,
    given_array,
    per_row,
    real_array,
    rows,
    rowwise,
)
from ..core.coordinates import at, like, load, store
from ..core.jit import compiled_as, jit
from ..core.kinds import INTEGERS, NUMBER, PER_ROW, read, written
from ..core.norms import largest_magnitude, norm
from ..core.rows import any_row
from ..core.thresholds import SURVEYED, row_level, survey, surveyed
from .penalties import soft


def _over_rows(kernel, x, weight):
    x = real_array("x", x)
    return kernel(as_rows(x), per_row("weight", weight, x))


@jit
def scale_row(row, factor, out):
    """``out <- factor row``; ``out`` may be ``row``."""
    factor = row.dtype.type(factor)
    for j in range(len(row)):
        store(out, j, factor * load(row, j))


@jit
def copy_row(row, out):
    """``out <- row``; ``out`` may be ``row``."""
    for j in range(len(row)):
        store(out, j, load(row, j))


@jit
def fill_row(out, number):
    """``out <- number``."""
    for j in range(len(out)):
        out[j] = number


@jit(inline=True)
def shrink(row, tau, out):
    """Prox of ``tau |x|_2`` into ``out``, which may be ``row``; return the norm of the result."""
    size = norm(row)
    gone = size <= tau
    scale_row(row, 0.0 if gone else (1.0 - tau / size if tau > 0 else 1.0), out)
    return 0.0 if gone else size - tau


@jit
def _l2_norm(x: read("m", "n"), weight: PER_ROW):
    total, weight = 0.0, like(weight, x)
    for i in range(x.shape[0]):
        total += at(weight, i) * norm(any_row(x, i))
    return total


@compiled_as(_l2_norm)
def l2_norm(x: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """l2 norm of every row, weighted: ``sum_i weight_i |x_i|_2``.

    In compiled code ``l2_norm(x, weight)`` with x (m, n); weight a number or (m,).

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    weight : float or array_like, (...)
        Non-negative; one number, or one per row.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _over_rows(_l2_norm, x, weight)


@jit
def _prox_l2_norm(v: read("m", "n"), step: PER_ROW, weight: PER_ROW, out: written("m", "n")):
    total, step, weight = 0.0, like(step, v), like(weight, v)
    for i in range(v.shape[0]):
        tau = np.float64(at(step, i)) * at(weight, i)
        total += at(weight, i) * shrink(any_row(v, i), tau, any_row(out, i))
    return total


@compiled_as(_prox_l2_norm)
def prox_l2_norm(
    v: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the l2 norm, ``argmin_x weight |x|_2 + 1/(2 step) |x - v|_2^2`` for every row.

    ``max(1 - tau / |v|_2, 0) v`` with ``tau = step weight``.

    In compiled code ``prox_l2_norm(v, step, weight, out)`` with v, out (m, n); step, weight a
    number or (m,). It returns the penalty at the result.

    Cost: two reads and one write of every entry.

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    step : float or array_like, (...)
        Positive; one number, or one per row.
    weight : float or array_like, (...)
        Non-negative; one number, or one per row.
    axis : int
        The axis of ``v`` that holds the entries of a row; one number per row has the other axes.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.
    threads : int
        How many may share the rows; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    v = rows("v", v, axis)
    arguments = per_row("step", step, v, positive=True), per_row("weight", weight, v)
    return rowwise(_prox_l2_norm, v, arguments, out, axis, threads)


@jit
def _linf_norm(x: read("m", "n"), weight: PER_ROW):
    total, weight = 0.0, like(weight, x)
    for i in range(x.shape[0]):
        total += np.float64(at(weight, i)) * largest_magnitude(any_row(x, i))
    return total


@compiled_as(_linf_norm)
def linf_norm(x: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """linf norm of every row, weighted: ``sum_i weight_i max_j |x_ij|``.

    In compiled code ``linf_norm(x, weight)`` with x (m, n); weight a number or (m,).

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    weight : float or array_like, (...)
        Non-negative; one number, or one per row.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _over_rows(_linf_norm, x, weight)


@jit
def clip_row(row, bound, out):
    """``out <- row`` clipped to ``[-bound, bound]``; ``out`` may be ``row``."""
    bound = row.dtype.type(bound)
    for j in range(len(row)):
        x = load(row, j)
        store(out, j, -bound if x < -bound else (bound if x > bound else x))


@jit
def _prox_linf_norm(
    v: read("m", "n"), step: PER_ROW, weight: PER_ROW, work: SURVEYED, out: written("m", "n")
):
    total, step, weight = 0.0, like(step, v), like(weight, v)
    for i in range(v.shape[0]):
        row, result = any_row(v, i), any_row(out, i)
        tau = np.float64(at(step, i)) * at(weight, i)
        largest, size = survey(row, True, work)
        if size <= tau:
            fill_row(result, v.dtype.type(0))
        elif tau == 0:
            copy_row(row, result)
            total += np.float64(at(weight, i)) * largest
        else:
            theta, rest = row_level(row, tau, True, largest, work)
            bound = np.float64(largest) + (theta + rest)
            if bound == bound:
                clip_row(row, bound, result)
            else:
                fill_row(result, v.dtype.type(bound))
            total += at(weight, i) * bound
    return total


@compiled_as(_prox_linf_norm)
def prox_linf_norm(
    v: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the linf norm, ``argmin_x weight |x|_inf + 1/(2 step) |x - v|_2^2`` for every row.

    0 where ``|v|_1 <= tau = step weight``; else v clipped to ``[-b, b]``, where b takes tau off
    the l1 norm: ``sum_j max(|v_j| - b, 0) = tau``.

    In compiled code ``prox_linf_norm(v, step, weight, work, out)`` with v, out (m, n); step, weight
    a number or (m,); work (n + n // 128 + 1,). It returns the penalty at the result.

    Cost: O(n) expected per row, no sort.

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    step : float or array_like, (...)
        Positive; one number, or one per row.
    weight : float or array_like, (...)
        Non-negative; one number, or one per row.
    axis : int
        The axis of ``v`` that holds the entries of a row; one number per row has the other axes.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.
    threads : int
        How many may share the rows; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    v = rows("v", v, axis)
    arguments = per_row("step", step, v, positive=True), per_row("weight", weight, v)
    return rowwise(_prox_linf_norm, v, (*arguments, surveyed(v)), out, axis, threads)


def boundaries_of(groups, x):
    """Checked boundaries of the groups as int64."""
    groups = given_array("groups", groups)
    n = x.shape[-1] if x.ndim else 1
    if groups.ndim != 1 or groups.size == 0 or groups.dtype.kind not in "iu":
        raise TypeError(
            f"groups has shape {groups.shape} and dtype {groups.dtype}: expected 1-D integers"
        )
    groups = np.ascontiguousarray(groups, np.int64)
    if groups[0] != 0 or groups[-1] != n or (np.diff(groups) < 0).any():
        shown = " ".join(str(groups).split())
        raise ValueError(f"groups is {shown}: expected ascending boundaries from 0 to {n}")
    return groups


def per_group(name, value, groups, x, positive=False):
    return coefficient(name, value, np.empty(len(groups) - 1, x.dtype), positive=positive)


def _per_column(name, value, x):
    value = coefficient(name, value, np.empty(x.shape[-1:], x.dtype))
    return companion(name, value, np.empty(x.shape[-1:] or 1, x.dtype))


@jit
def _group_lasso(
    x: read("m", "n"),
    groups: read("boundaries", dtype=INTEGERS),
    weight: NUMBER | read("boundaries - 1"),
):
    total, weight = 0.0, like(weight, x)
    for i in range(x.shape[0]):
        for g in range(len(groups) - 1):
            total += at(weight, g) * norm(any_row(x, i)[groups[g] : groups[g + 1]])
    return total


@compiled_as(_group_lasso)
def group_lasso(x: ArrayLike, groups: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """Group lasso, ``sum_g weight_g |x_g|_2``, summed over the rows.

    In compiled code ``group_lasso(x, groups, weight)`` with x (m, n); groups
    (number of groups + 1,); weight a number or (number of groups,).

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    groups : array_like of int, (number of groups + 1,)
        Boundaries, ascending from 0 to n.
    weight : float or array_like, (number of groups,)
        Non-negative; one number, or one per group (often the root of its size).

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    x = real_array("x", x)
    groups = boundaries_of(groups, x)
    return _group_lasso(as_rows(x), groups, per_group("weight", weight, groups, x))


@jit
def _prox_group_lasso(
    v: read("m", "n"),
    groups: read("boundaries", dtype=INTEGERS),
    step: NUMBER | read("boundaries - 1"),
    weight: NUMBER | read("boundaries - 1"),
    out: written("m", "n"),
):
    total, step, weight = 0.0, like(step, v), like(weight, v)
    for i in range(v.shape[0]):
        for g in range(len(groups) - 1):
            part = slice(groups[g], groups[g + 1])
            tau = np.float64(at(step, g)) * at(weight, g)
            total += at(weight, g) * shrink(any_row(v, i)[part], tau, any_row(out, i)[part])
    return total


@compiled_as(_prox_group_lasso)
def prox_group_lasso(
    v: ArrayLike,
    groups: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the group lasso.

    ``argmin_x sum_g weight_g |x_g|_2 + |x_g - v_g|_2^2 / (2 step_g)`` for every row:
    ``max(1 - tau_g / |v_g|_2, 0) v_g`` with ``tau = step weight``.

    In compiled code ``prox_group_lasso(v, groups, step, weight, out)`` with v, out (m, n); groups
    (number of groups + 1,); step, weight a number or (number of groups,). It returns the penalty at
    the result.

    Cost: two reads and one write of every entry.

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    groups : array_like of int, (number of groups + 1,)
        Boundaries, ascending from 0 to n.
    step : float or array_like, (number of groups,)
        Positive; one number, or one per group.
    weight : float or array_like, (number of groups,)
        Non-negative; one number, or one per group (often the root of its size).
    axis : int
        The axis of ``v`` that holds the entries of a row; one number per row has the other axes.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.
    threads : int
        How many may share the rows; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    v = rows("v", v, axis)
    groups = boundaries_of(groups, v)
    step = per_group("step", step, groups, v, positive=True)
    arguments = groups, step, per_group("weight", weight, groups, v)
    return rowwise(_prox_group_lasso, v, arguments, out, axis, threads)


@jit(reassociate=True)
def _weighted_l1(row, weight):
    """``sum_j weight_j |row_j|``."""
    total = 0.0
    for j in range(len(row)):
        total += np.float64(weight[j]) * abs(row[j])
    return total


@jit
def _sparse_group_lasso(
    x: read("m", "n"),
    groups: read("boundaries", dtype=INTEGERS),
    weight: read("n"),
    group_weight: NUMBER | read("boundaries - 1"),
):
    total, group_weight = 0.0, like(group_weight, x)
    for i in range(x.shape[0]):
        total += _weighted_l1(any_row(x, i), weight)
        for g in range(len(groups) - 1):
            total += at(group_weight, g) * norm(any_row(x, i)[groups[g] : groups[g + 1]])
    return total


@compiled_as(_sparse_group_lasso)
def sparse_group_lasso(
    x: ArrayLike, groups: ArrayLike, weight: ArrayLike = 1.0, group_weight: ArrayLike = 1.0
) -> float:
    """Sparse group lasso, ``sum_j weight_j |x_j| + sum_g group_weight_g |x_g|_2``, over the rows.

    In compiled code ``sparse_group_lasso(x, groups, weight, group_weight)`` with x (m, n); groups
    (number of groups + 1,); weight (n,); group_weight a number or (number of groups,).

    Cost: two reads of every entry.

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    groups : array_like of int, (number of groups + 1,)
        Boundaries, ascending from 0 to n.
    weight : float or array_like, (n,)
        Weight of the l1 norm, non-negative; one number, or one per column.
    group_weight : float or array_like, (number of groups,)
        Weight of the l2 norms, non-negative; one number, or one per group.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    x = real_array("x", x)
    groups = boundaries_of(groups, x)
    group_weight = per_group("group_weight", group_weight, groups, x)
    return _sparse_group_lasso(as_rows(x), groups, _per_column("weight", weight, x), group_weight)


@jit
def _prox_sparse_group_lasso(
    v: read("m", "n"),
    groups: read("boundaries", dtype=INTEGERS),
    step: NUMBER | read("boundaries - 1"),
    weight: read("n"),
    group_weight: NUMBER | read("boundaries - 1"),
    out: written("m", "n"),
):
    total, step, group_weight = 0.0, like(step, v), like(group_weight, v)
    for i in range(v.shape[0]):
        for g in range(len(groups) - 1):
            part = slice(groups[g], groups[g + 1])
            row, result, lasso = any_row(v, i)[part], any_row(out, i)[part], weight[part]
            for j in range(len(row)):
                store(result, j, soft(load(row, j), at(step, g) * load(lasso, j)))
            tau = np.float64(at(step, g)) * at(group_weight, g)
            total += at(group_weight, g) * shrink(result, tau, result)
            total += _weighted_l1(result, lasso)
    return total


@compiled_as(_prox_sparse_group_lasso)
def prox_sparse_group_lasso(
    v: ArrayLike,
    groups: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    group_weight: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the sparse group lasso.

    ``argmin_x sum_j weight_j |x_j| + sum_g group_weight_g |x_g|_2 + |x_g - v_g|_2^2 / (2 step_g)``
    for every row: the prox of the l1 norm, then that of the group lasso.

    In compiled code ``prox_sparse_group_lasso(v, groups, step, weight, group_weight, out)`` with v,
    out (m, n); groups (number of groups + 1,); step, group_weight a number or (number of groups,);
    weight (n,). It returns the penalty at the result.

    Cost: a few passes over every group.

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    groups : array_like of int, (number of groups + 1,)
        Boundaries, ascending from 0 to n.
    step : float or array_like, (number of groups,)
        Positive; one number, or one per group.
    weight : float or array_like, (n,)
        Weight of the l1 norm, non-negative; one number, or one per column.
    group_weight : float or array_like, (number of groups,)
        Weight of the l2 norms, non-negative; one number, or one per group.
    axis : int
        The axis of ``v`` that holds the entries of a row; one number per row has the other axes.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.
    threads : int
        How many may share the rows; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    v = rows("v", v, axis)
    groups = boundaries_of(groups, v)
    step = per_group("step", step, groups, v, positive=True)
    group_weight = per_group("group_weight", group_weight, groups, v)
    arguments = groups, step, _per_column("weight", weight, v), group_weight
    return rowwise(_prox_sparse_group_lasso, v, arguments, out, axis, threads)
