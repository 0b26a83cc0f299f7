"""Penalties of the l2 norms of groups that bend: Huber's, MCP and SCAD of a norm, and trees.

The prox of a function of the l2 norm scales the group: its new norm is the prox of that function at
the old one. Groups are intervals of the columns, as in `fastadmm.kernels.operators.groups`; in a
tree one may hold others.
"""

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import (
    Reals,
    as_rows,
    given_array,
    number,
    per_row,
    real_array,
    rows,
    rowwise,
)
from ..core.coordinates import at, like
from ..core.jit import compiled_as, jit
from ..core.kinds import INTEGERS, NUMBER, PER_ROW, read, written
from ..core.norms import norm
from ..core.rows import any_row
from .groups import (
    boundaries_of,
    copy_row,
    per_group,
    scale_row,
    shrink,
)
from .nonconvex import clipped_deviation, firm, mcp_of, scad_of
from .penalties import huber_of


@jit(inline=True)
def _rescaled(row, old, new, out):
    scale_row(row, new / old if old > 0 else (1.0 if new == old else new), out)


@jit
def _huber_norm(x: read("m", "n"), delta: NUMBER, weight: PER_ROW):
    total, weight, delta = 0.0, like(weight, x), np.float64(delta)
    for i in range(x.shape[0]):
        total += at(weight, i) * huber_of(norm(any_row(x, i)), delta)
    return total


@compiled_as(_huber_norm)
def huber_norm(x: ArrayLike, delta: float = 1.0, weight: ArrayLike = 1.0) -> float:
    """Huber function of the l2 norm of every row, weighted: ``sum_i weight_i h(|x_i|_2)``.

    ``h(r) = r^2 / 2`` where ``r <= delta`` and ``delta (r - delta / 2)`` beyond.

    In compiled code ``huber_norm(x, delta, weight)`` with x (m, n); weight a number or (m,).

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    delta : float
        Positive; where the penalty turns linear.
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
    x, delta = real_array("x", x), number("delta", delta, 0, above=True)
    return _huber_norm(as_rows(x), delta, per_row("weight", weight, x))


@jit
def _prox_huber_norm(
    v: read("m", "n"), delta: NUMBER, step: PER_ROW, weight: PER_ROW, out: written("m", "n")
):
    total, step, weight, delta = 0.0, like(step, v), like(weight, v), np.float64(delta)
    for i in range(v.shape[0]):
        tau, old = np.float64(at(step, i)) * at(weight, i), norm(any_row(v, i))
        inside = old / (1.0 + tau)
        new = inside if inside <= delta else old - tau * delta
        _rescaled(any_row(v, i), old, new, any_row(out, i))
        total += at(weight, i) * huber_of(new, delta)
    return total


@compiled_as(_prox_huber_norm)
def prox_huber_norm(
    v: ArrayLike,
    delta: float = 1.0,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of `huber_norm`, ``argmin_x weight h(|x|_2) + 1/(2 step) |x - v|_2^2`` for every row.

    With ``tau = step weight``: ``v / (1 + tau)`` where ``|v|_2 <= delta (1 + tau)``, and
    ``(1 - tau delta / |v|_2) v`` beyond.

    In compiled code ``prox_huber_norm(v, delta, step, weight, out)`` with v, out (m, n); step,
    weight a number or (m,). It returns the penalty at the result.

    Cost: two reads and one write of every entry.

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    delta : float
        Positive; where the penalty turns linear.
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
    v, delta = rows("v", v, axis), number("delta", delta, 0, above=True)
    arguments = delta, per_row("step", step, v, positive=True), per_row("weight", weight, v)
    return rowwise(_prox_huber_norm, v, arguments, out, axis, threads)


@jit
def _group_mcp(
    x: read("m", "n"),
    groups: read("boundaries", dtype=INTEGERS),
    gamma: NUMBER,
    weight: NUMBER | read("boundaries - 1"),
):
    total, weight, gamma = 0.0, like(weight, x), np.float64(gamma)
    for i in range(x.shape[0]):
        for g in range(len(groups) - 1):
            size = norm(any_row(x, i)[groups[g] : groups[g + 1]])
            total += mcp_of(size, gamma, np.float64(at(weight, g)), 0.5 / gamma)
    return total


@compiled_as(_group_mcp)
def group_mcp(
    x: ArrayLike, groups: ArrayLike, gamma: float = 3.0, weight: ArrayLike = 1.0
) -> float:
    """`mcp` of the l2 norms of groups, ``sum_g mcp(|x_g|_2; gamma, weight_g)``, over the rows.

    In compiled code ``group_mcp(x, groups, gamma, weight)`` with x (m, n); groups
    (number of groups + 1,); weight a number or (number of groups,).

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    groups : array_like of int, (number of groups + 1,)
        Boundaries, ascending from 0 to n.
    gamma : float
        Above 0; the penalty is constant beyond ``gamma weight``.
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
    x, gamma = real_array("x", x), number("gamma", gamma, 0, above=True)
    groups = boundaries_of(groups, x)
    return _group_mcp(as_rows(x), groups, gamma, per_group("weight", weight, groups, x))


@jit
def _prox_group_mcp(
    v: read("m", "n"),
    groups: read("boundaries", dtype=INTEGERS),
    gamma: NUMBER,
    step: NUMBER | read("boundaries - 1"),
    weight: NUMBER | read("boundaries - 1"),
    out: written("m", "n"),
):
    total, step, weight, gamma = 0.0, like(step, v), like(weight, v), np.float64(gamma)
    for i in range(v.shape[0]):
        for g in range(len(groups) - 1):
            part = slice(groups[g], groups[g + 1])
            row, result, w = any_row(v, i)[part], any_row(out, i)[part], np.float64(at(weight, g))
            old = norm(row)
            new = firm(old, np.float64(at(step, g)), w, gamma, 1.0)
            _rescaled(row, old, new, result)
            total += mcp_of(new, gamma, w, 0.5 / gamma)
    return total


@compiled_as(_prox_group_mcp)
def prox_group_mcp(
    v: ArrayLike,
    groups: ArrayLike,
    gamma: float = 3.0,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of `group_mcp`.

    ``argmin_x sum_g mcp(|x_g|_2; gamma, weight_g) + |x_g - v_g|_2^2 / (2 step_g)`` for every row:
    every group is scaled to the norm that `prox_mcp` makes of its own.

    In compiled code ``prox_group_mcp(v, groups, gamma, step, weight, out)`` with v, out (m, n);
    groups (number of groups + 1,); step, weight a number or (number of groups,). It returns the
    penalty at the result.

    Cost: two reads and one write of every entry.

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    groups : array_like of int, (number of groups + 1,)
        Boundaries, ascending from 0 to n.
    gamma : float
        Above 0; the penalty is constant beyond ``gamma weight``.
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
    v, gamma = rows("v", v, axis), number("gamma", gamma, 0, above=True)
    groups = boundaries_of(groups, v)
    step = per_group("step", step, groups, v, positive=True)
    arguments = groups, gamma, step, per_group("weight", weight, groups, v)
    return rowwise(_prox_group_mcp, v, arguments, out, axis, threads)


@jit
def _group_scad(
    x: read("m", "n"),
    groups: read("boundaries", dtype=INTEGERS),
    gamma: NUMBER,
    weight: NUMBER | read("boundaries - 1"),
):
    total, weight, gamma = 0.0, like(weight, x), np.float64(gamma)
    for i in range(x.shape[0]):
        for g in range(len(groups) - 1):
            size = norm(any_row(x, i)[groups[g] : groups[g + 1]])
            total += scad_of(size, gamma, np.float64(at(weight, g)), 0.5 / (gamma - 1.0))
    return total


@compiled_as(_group_scad)
def group_scad(
    x: ArrayLike, groups: ArrayLike, gamma: float = 3.7, weight: ArrayLike = 1.0
) -> float:
    """`scad` of the l2 norms of groups, ``sum_g scad(|x_g|_2; gamma, weight_g)``, over the rows.

    In compiled code ``group_scad(x, groups, gamma, weight)`` with x (m, n); groups
    (number of groups + 1,); weight a number or (number of groups,).

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    groups : array_like of int, (number of groups + 1,)
        Boundaries, ascending from 0 to n.
    gamma : float
        Above 1; the penalty is constant beyond ``gamma weight``.
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
    x, gamma = real_array("x", x), number("gamma", gamma, 1, above=True)
    groups = boundaries_of(groups, x)
    return _group_scad(as_rows(x), groups, gamma, per_group("weight", weight, groups, x))


@jit
def _prox_group_scad(
    v: read("m", "n"),
    groups: read("boundaries", dtype=INTEGERS),
    gamma: NUMBER,
    step: NUMBER | read("boundaries - 1"),
    weight: NUMBER | read("boundaries - 1"),
    out: written("m", "n"),
):
    total, step, weight, gamma = 0.0, like(step, v), like(weight, v), np.float64(gamma)
    for i in range(v.shape[0]):
        for g in range(len(groups) - 1):
            part = slice(groups[g], groups[g + 1])
            row, result, w = any_row(v, i)[part], any_row(out, i)[part], np.float64(at(weight, g))
            old = norm(row)
            new = clipped_deviation(old, np.float64(at(step, g)), w, gamma, 1.0)
            _rescaled(row, old, new, result)
            total += scad_of(new, gamma, w, 0.5 / (gamma - 1.0))
    return total


@compiled_as(_prox_group_scad)
def prox_group_scad(
    v: ArrayLike,
    groups: ArrayLike,
    gamma: float = 3.7,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of `group_scad`.

    ``argmin_x sum_g scad(|x_g|_2; gamma, weight_g) + |x_g - v_g|_2^2 / (2 step_g)`` for every row:
    every group is scaled to the norm that `prox_scad` makes of its own.

    In compiled code ``prox_group_scad(v, groups, gamma, step, weight, out)`` with v, out (m, n);
    groups (number of groups + 1,); step, weight a number or (number of groups,). It returns the
    penalty at the result.

    Cost: two reads and one write of every entry.

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    groups : array_like of int, (number of groups + 1,)
        Boundaries, ascending from 0 to n.
    gamma : float
        Above 1; the penalty is constant beyond ``gamma weight``.
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
    v, gamma = rows("v", v, axis), number("gamma", gamma, 1, above=True)
    groups = boundaries_of(groups, v)
    step = per_group("step", step, groups, v, positive=True)
    arguments = groups, gamma, step, per_group("weight", weight, groups, v)
    return rowwise(_prox_group_scad, v, arguments, out, axis, threads)


def _tree_of(groups, x):
    """Checked intervals of a tree as int64."""
    groups, n = given_array("groups", groups), x.shape[-1] if x.ndim else 1
    if groups.ndim != 2 or groups.shape[1] != 2 or groups.dtype.kind not in "iu":
        raise TypeError(
            f"groups has shape {groups.shape} and dtype {groups.dtype}: expected integers (g, 2)"
        )
    groups = np.ascontiguousarray(groups, np.int64)
    starts, stops = groups.T
    if len(groups) and not (starts.min() >= 0 and stops.max() <= n and (starts <= stops).all()):
        raise ValueError(f"groups is {groups.tolist()}: expected intervals within 0 and {n}")
    for g, (start, stop) in enumerate(groups):
        before, after = starts[:g], stops[:g]
        apart = (after <= start) | (before >= stop)
        if not (apart | ((before >= start) & (after <= stop))).all():
            raise ValueError(
                f"groups is {groups.tolist()}: expected each after those that it holds, and apart "
                "from all others before it"
            )
    return groups


def _per_node(weight, groups, x):
    return per_group("weight", weight, np.empty(len(groups) + 1), x)


@jit
def _tree_lasso(
    x: read("m", "n"), groups: read("g", "2", dtype=INTEGERS), weight: NUMBER | read("g")
):
    total, weight = 0.0, like(weight, x)
    for i in range(x.shape[0]):
        for g in range(len(groups)):
            total += at(weight, g) * norm(any_row(x, i)[groups[g, 0] : groups[g, 1]])
    return total


@compiled_as(_tree_lasso)
def tree_lasso(x: ArrayLike, groups: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """Group lasso whose groups form a tree, ``sum_g weight_g |x_g|_2``, summed over the rows.

    In compiled code ``tree_lasso(x, groups, weight)`` with x (m, n); groups (g, 2); weight a number
    or (g,).

    Cost: one read of every group.

    Parameters
    ----------
    x : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    groups : array_like of int, (number of groups, 2)
        First column of each and the one after its last. Two are apart, or one holds the other; a
        group comes after those that it holds.
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
    groups = _tree_of(groups, x)
    return _tree_lasso(as_rows(x), groups, _per_node(weight, groups, x))


@jit
def _prox_tree_lasso(
    v: read("m", "n"),
    groups: read("g", "2", dtype=INTEGERS),
    step: PER_ROW,
    weight: NUMBER | read("g"),
    out: written("m", "n"),
):
    total, step, weight = 0.0, like(step, v), like(weight, v)
    for i in range(v.shape[0]):
        result = any_row(out, i)
        copy_row(any_row(v, i), result)
        for g in range(len(groups)):
            own = result[groups[g, 0] : groups[g, 1]]
            shrink(own, np.float64(at(step, i)) * at(weight, g), own)
        for g in range(len(groups)):
            total += at(weight, g) * norm(result[groups[g, 0] : groups[g, 1]])
    return total


@compiled_as(_prox_tree_lasso)
def prox_tree_lasso(
    v: ArrayLike,
    groups: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    axis: int = -1,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of `tree_lasso`, ``argmin_x sum_g weight_g |x_g|_2 + 1/(2 step) |x - v|_2^2``.

    The proxes of the groups one after the other, from the leaves up (Jenatton et al., 2011).

    In compiled code ``prox_tree_lasso(v, groups, step, weight, out)`` with v, out (m, n); groups
    (g, 2); step a number or (m,); weight a number or (g,). It returns the penalty at the result.

    Cost: three reads and one write of every group.

    Parameters
    ----------
    v : array_like, (..., n)
        Rows: float32 or float64; integers become float64.
    groups : array_like of int, (number of groups, 2)
        First column of each and the one after its last. Two are apart, or one holds the other; a
        group comes after those that it holds.
    step : float or array_like, (...)
        Positive; one number, or one per row.
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
    groups = _tree_of(groups, v)
    arguments = groups, per_row("step", step, v, positive=True), _per_node(weight, groups, v)
    return rowwise(_prox_tree_lasso, v, arguments, out, axis, threads)
