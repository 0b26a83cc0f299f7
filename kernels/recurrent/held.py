"""Limits on weights in `condensed`: the step of every map, brought into a set in its own metric.

`maps.move` has led the weights of a unit to t_i, the minimiser of a quadratic with the metric R̃ and
the penalty ρ_i. With limits h the step is the minimiser of the same quadratic plus h,

    θ_i = argmin ρ_i/2 (θ - t_i) R̃ (θ - t_i)ᵀ + h(θ) = t_i + μ_i R̃⁻¹.

The push μ is zero but where a limit is felt, and changes little from step to step. So the descent
is over μ, from that of the last step, coordinate by coordinate or group by group, each exactly:

    v = θ_ij - μ_ij p,  p = (R̃⁻¹)_jj,    θ⁺ = argmin ρ_i/(2 p) (θ - v)^2 + h(θ),    μ⁺ = (θ⁺ - v)/p.

Few entries need more than a comparison. In the end every entry is set to its own θ⁺, which is in
the set. Source: Hildreth (1957), and dual coordinate ascent in general.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from ..core.jit import jit
from ..core.rows import row
from ..core.tiles import multiply
from ..operators.penalties import soft
from ..systems.descent import add_scaled, group_norm
from .layout import FIRST, SYSTEM, UNITS, matrix, square
from .maps import RHO
from .token_weights import TINY_PENALTY

SWEEPS = 50
"""Most sweeps of a step."""
NOTHING = 3e-3
"""Moves are left out whose square is so much of what ends the descent."""


class Limits(NamedTuple):
    """What the weights of all maps may be; fields are flat as those of `maps.Maps`."""

    lower: np.ndarray
    upper: np.ndarray
    weight: np.ndarray
    """Of the l1 norm of every entry, against the mean loss."""
    ridge: np.ndarray
    """Of half the square of every entry."""
    has_entries: np.ndarray
    """(maps,), bool: whether any entry of a map has a limit of its own."""
    members: np.ndarray
    """(k, 2), int64: maps that share groups, and their first column that has one. Group j is column
    j from there of all of them."""
    group: np.ndarray
    """(groups,), float64: weights of the norms of the groups, against the mean loss."""
    push: np.ndarray
    """(units, n): μ."""
    pulls: np.ndarray
    """(2, units of the members): workspace."""


@jit(internal=True)
def _inverse(maps, i):
    """R̃⁻¹ of map i."""
    return square(maps.systems, maps.sizes[i, SYSTEM], maps.inverse)


@jit(inline=True)
def _landing(v, p, lower, upper, weight, ridge, rho):
    """``argmin (x - v)^2 / (2 p) + (weight |x| + ridge x^2 / 2) / rho`` within bounds."""
    one = p / p
    return min(max(soft(v, weight * p / rho) / (one + ridge * p / rho), lower), upper)


@jit(internal=True)
def _hold_row(inverse, x, push, lower, upper, weight, ridge, rho, goal):
    """One unit; ``goal`` is the square of the rms change by the last sweep."""
    real = x.dtype.type
    penalty, least = real(rho), real(NOTHING * goal)
    for _ in range(SWEEPS):
        moved = 0.0
        for j in range(len(x)):
            entries = row(inverse, j)
            p, old = entries[j], push[j]
            v = x[j] - old * p
            new = _landing(v, p, lower[j], upper[j], weight[j], ridge[j], penalty)
            change = (new - v) / p - old
            square = change * change * p
            if square > least:
                push[j] += change
                add_scaled(x, change, entries)
                moved += square
        if not moved > goal:
            break
    for j in range(len(x)):
        p = inverse[j, j]
        x[j] = _landing(x[j] - push[j] * p, p, lower[j], upper[j], weight[j], ridge[j], penalty)


@jit(internal=True)
def _hold_units(maps, limits, i, start, stop, goal):
    """Entries of some units of map i."""
    sizes, own = maps.sizes, slice(start, stop)
    x, pushed = matrix(sizes, i, maps.values)[own], matrix(sizes, i, maps.solved)[own]
    push, inverse = matrix(sizes, i, limits.push)[own], _inverse(maps, i)
    lower, upper = matrix(sizes, i, limits.lower)[own], matrix(sizes, i, limits.upper)[own]
    weight, ridge = matrix(sizes, i, limits.weight)[own], matrix(sizes, i, limits.ridge)[own]
    rho = maps.of_units[RHO, sizes[i, FIRST] + start : sizes[i, FIRST] + stop]
    multiply(push, inverse, pushed)
    for u in range(len(x)):
        if rho[u] >= TINY_PENALTY:  # others have not moved
            add_scaled(row(x, u), x.dtype.type(1), row(pushed, u))
            _hold_row(
                inverse, row(x, u), row(push, u), row(lower, u), row(upper, u), row(weight, u),
                row(ridge, u), rho[u], goal,
            )  # fmt: skip


@jit(internal=True)
def _column(maps, limits, member, j):
    """Map, column in it, units and ``R̃⁻¹`` of a group's part in one of the members."""
    i = limits.members[member, 0]
    return (
        i,
        limits.members[member, 1] + j,
        maps.sizes[i, UNITS],
        _inverse(maps, i),
    )


@jit(internal=True)
def _find_group(maps, limits, j):
    """What group j is pulled to; its norm there, from which its entries follow."""
    first = 0
    for member in range(len(limits.members)):
        i, column, units, inverse = _column(maps, limits, member, j)
        x, push = matrix(maps.sizes, i, maps.values), matrix(maps.sizes, i, limits.push)
        p, rho = inverse[column, column], maps.of_units[RHO, maps.sizes[i, FIRST] :]
        for u in range(units):
            limits.pulls[1, first + u] = rho[u] / p
            limits.pulls[0, first + u] = rho[u] / p * (x[u, column] - push[u, column] * p)
        first += units
    return group_norm(limits.pulls[0], limits.pulls[1], limits.group[j])


@jit(internal=True)
def _move_group(maps, limits, j, norm, ends):
    """Move group j and all that it pushes; in the end only its own entries. Returns the square."""
    first, moved, weight = 0, 0.0, limits.group[j]
    for member in range(len(limits.members)):
        i, column, units, inverse = _column(maps, limits, member, j)
        x, push = matrix(maps.sizes, i, maps.values), matrix(maps.sizes, i, limits.push)
        entries, real = row(inverse, column), x.dtype.type
        for u in range(units):
            pull, curvature = limits.pulls[0, first + u], limits.pulls[1, first + u]
            new = real(pull * norm / (curvature * norm + weight)) if norm > 0 else real(0)
            if ends:
                x[u, column] = new
            else:
                v = x[u, column] - push[u, column] * entries[column]
                change = (new - v) / entries[column] - push[u, column]
                push[u, column] += change
                add_scaled(row(x, u), change, entries)
                moved += float(change) ** 2 * entries[column]
        first += units
    return moved


@jit(internal=True)
def _hold_groups(maps, limits, goal):
    """Whole columns of the maps that share groups."""
    units = 0
    for member in range(len(limits.members)):
        i = limits.members[member, 0]
        x, pushed = matrix(maps.sizes, i, maps.values), matrix(maps.sizes, i, maps.solved)
        multiply(matrix(maps.sizes, i, limits.push), _inverse(maps, i), pushed)
        units += len(x)
        for u in range(len(x)):
            add_scaled(row(x, u), x.dtype.type(1), row(pushed, u))
    for _ in range(SWEEPS):
        moved = 0.0
        for j in range(len(limits.group)):
            moved += _move_group(maps, limits, j, _find_group(maps, limits, j), False)
        if not moved > goal * units:
            break
    for j in range(len(limits.group)):
        _move_group(maps, limits, j, _find_group(maps, limits, j), True)


@jit(parallel=True)
def hold(maps, limits, length, chunks):
    """Bring the weights of all maps into their limits.

    Parameters
    ----------
    maps : Maps
        After `maps.move`; its ``values`` change, ``solved`` is overwritten.
    limits : Limits
        Its ``push`` is updated.
    length : float
        The descent ends where a sweep changes a unit's pre-activation by this, in root mean square.
    chunks : int
        Into which the units are cut.
    """
    sizes = maps.sizes
    for chunk in prange(chunks):
        for i in range(len(sizes)):
            if limits.has_entries[i]:
                units = sizes[i, UNITS]
                first, last = chunk * units // chunks, (chunk + 1) * units // chunks
                _hold_units(maps, limits, i, first, last, length**2)
    if len(limits.group) > 0:
        _hold_groups(maps, limits, length**2)
