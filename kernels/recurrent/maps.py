"""The affine maps of a network in `condensed`: sums over a window, and the proximal step of all.

For the weights Θ (units, n) of a map acting on rows z: the sum ``g = Σ λᵀ z``, the Gram
``R = mean z zᵀ``, and the step ``Θ_i <- Θ_i - (1/ρ_i) m̂_i (R + δI)⁻¹`` of algorithm 2.3. All maps
are done in one call, so that a small network does not wait for Python.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from ..core.blas import potrf, potri
from ..core.jit import jit
from ..core.rows import dot, row
from ..core.tiles import gram as gram_of
from ..core.tiles import multiply, multiply_transposed
from . import token_weights
from .layout import (
    BEGIN,
    COLUMNS,
    FIRST,
    OFFSET,
    RECURRENT,
    SOURCE,
    START,
    SYSTEM,
    UNITS,
    WEIGHTS,
    WIDTH,
    lay_out,
    matrix,
    square,
)  # fmt: skip
from .token_weights import TINY_PENALTY

RHO, CHANGE, OTHERS, V = range(4)
"""Rows of `Maps.of_units`."""
FLEETING = "sizes", "sources", "systems", "g", "batch_gram", "solved"
"""Fields of `Maps` that say nothing about the next step."""


class Maps(NamedTuple):
    """Weights of all maps, the read-out last, and what their steps remember.

    A field holds one array after the other, flat: see `fastadmm.kernels.recurrent.layout`, whose
    `matrix` and `square` are views of a map's own. The names are those of a solver's saved state.
    """

    sizes: np.ndarray
    sources: np.ndarray
    systems: np.ndarray
    """Of `fastadmm.kernels.recurrent.layout.Layout`."""
    values: np.ndarray
    """Θ, (units, n): the moving weights."""
    average: np.ndarray
    """(units, n): the averaged iterate, which training returns."""
    g: np.ndarray
    """(units, n): multiplier sums of the mini-batch."""
    m: np.ndarray
    """(units, n): their average over mini-batches."""
    solved: np.ndarray
    """(units, n): workspace, ``g R̃⁻¹``."""
    solved_m: np.ndarray
    """(units, n): ``m R̃⁻¹``, kept from step to step."""
    batch_gram: np.ndarray
    """(n, n) of every source: the mini-batch's Gram; its lower triangle counts."""
    gram: np.ndarray
    """(n, n) of every source: its average."""
    inverse: np.ndarray
    """(n, n) of every system: R̃⁻¹ of the damped average."""
    of_units: np.ndarray
    """(4, units), float64: penalties ρ of the last move; the squared rms change of each unit's
    pre-activation; what other columns of the same units, with a metric of their own and without
    momentum, add to ``g_i R̃⁻¹ g_iᵀ`` and to ``m̂_i R̃⁻¹ m̂_iᵀ``; mean squares v."""


class Parts(NamedTuple):
    """Workspace of the sums of all maps: a part for every chunk."""

    g: np.ndarray
    """(chunks, weights)."""
    gram: np.ndarray
    """(chunks, numbers in Grams)."""


class Seen(NamedTuple):
    """What the cell that stands first, and the read-out, have seen in a window."""

    maps: int
    """Of the cell."""

    rows: np.ndarray
    """(r, n)."""
    lambda_: np.ndarray
    """(r, units of all maps): multipliers of the rows' pre-activations."""
    bounds: np.ndarray
    """(chunks + 1,), int64: cut of the rows."""
    output_rows: np.ndarray
    """(L B, n) or wider, of which the last columns count."""
    delta: np.ndarray
    """(L B, C): multipliers of the outputs."""
    output_bounds: np.ndarray
    """(chunks + 1,), int64: cut of the outputs."""


class Settings(NamedTuple):
    """Numbers of one step of `move`."""

    k: int
    """Number of the step, from 1."""
    eta: float
    """Bound on the rms change of a unit's pre-activation."""
    momentum: float
    """Weight of the past in ``m``."""
    penalty_memory: float
    """Weight of the past in ``v``."""
    alpha: float
    """Weight of the past in the averaged iterate."""
    gram_memory: float
    """Weight of the past in the Grams; 1 leaves them alone."""
    renewed: bool
    """Renew the inverses."""
    damping: float
    """Ridge on the Grams, as a multiple of their mean diagonals."""
    kept: float
    """The growth guard's factor of the recurrent weights."""


def make_maps(weights, affine, widths, chunks):
    """Maps of these weights, with nothing to remember yet, and the workspace of their sums.

    Parameters
    ----------
    weights : sequence of ndarray
        (units, n) each; copied.
    affine : sequence of fastadmm.kernels.recurrent.layout.Affine
        The map of each of them; the read-out comes last, and has a source of its own.
    widths : sequence of int
        Columns of every source.
    chunks : int

    Returns
    -------
    Maps, Parts
    """
    real = weights[0].dtype
    layout = lay_out(affine, widths)
    values = np.concatenate([each.ravel() for each in weights])
    n_grams, n_inverses = (int(np.square(of[:, WIDTH]).sum()) for of in layout[1:])
    g, m, solved, solved_m = np.zeros((4, len(values)), real)
    batch_gram, gram = np.zeros((2, n_grams), real)
    maps = Maps(
        *layout, values, values.copy(), g, m, solved, solved_m, batch_gram, gram,
        np.zeros(n_inverses, real), np.zeros((4, sum(each.units for each in affine))),
    )  # fmt: skip
    return maps, Parts(np.empty((chunks, len(values)), real), np.zeros((chunks, n_grams), real))


def lower_triangles(maps):
    """Places in ``batch_gram`` of the lower triangles of all Grams, which are all that counts.

    Returns
    -------
    ndarray of int64
    """
    found = []
    for width, start in maps.sources.tolist():
        row, column = np.tril_indices(width)
        found.append(start + row * width + column)
    return np.concatenate(found)


# Stores are in functions of their own: Numba drops those to a NamedTuple's arrays that stand in a
# prange directly.
@jit(internal=True)
def _sum_part(rows, lambda_, bounds, first, last, chunk, with_gram, maps, parts):
    """What a chunk of the rows of a source contributes to the sums of its maps, first:last."""
    sizes, own = maps.sizes, slice(bounds[chunk], bounds[chunk + 1])
    source = maps.systems[sizes[first, SYSTEM], SOURCE]
    z = rows[own, rows.shape[1] - maps.sources[source, WIDTH] :]
    for i in range(first, last):
        unit = sizes[i, FIRST] - sizes[first, FIRST]
        columns = slice(sizes[i, OFFSET], sizes[i, OFFSET] + sizes[i, COLUMNS])
        g = matrix(sizes, i, parts.g[chunk])
        multiply_transposed(lambda_[own, unit : unit + sizes[i, UNITS]], z[:, columns], g)
    if with_gram:
        gram_of(z, square(maps.sources, source, parts.gram[chunk]))


@jit(internal=True)
def _add_parts(parts, scale, total, share, shares):
    """A share of the scaled sum of all parts, in their order."""
    start, stop = share * len(total) // shares, (share + 1) * len(total) // shares
    factor, values, first = total.dtype.type(scale), total[start:stop], parts[0, start:stop]
    for j in range(len(values)):
        values[j] = factor * first[j]
    for part in range(1, len(parts)):
        addend = parts[part, start:stop]
        for j in range(len(values)):
            values[j] += factor * addend[j]


@jit(internal=True)
def _add_sums(rows, first, last, chunk, chunks, with_gram, maps, parts):
    """A chunk's share of the sums of maps first:last, of so many rows."""
    start = maps.sizes[first, WEIGHTS]
    stop = maps.sizes[last, WEIGHTS] if last < len(maps.sizes) else len(maps.g)
    _add_parts(parts.g[:, start:stop], 1.0, maps.g[start:stop], chunk, chunks)
    if with_gram:
        source = maps.systems[maps.sizes[first, SYSTEM], SOURCE]
        start = maps.sources[source, START]
        stop, scale = start + maps.sources[source, WIDTH] ** 2, 1 / max(rows, 1)
        _add_parts(parts.gram[:, start:stop], scale, maps.batch_gram[start:stop], chunk, chunks)


@jit(parallel=True)
def cell_sums(rows, lambda_, first, last, bounds, with_gram, maps, parts):
    """Multiplier sums and Gram of the maps first:last of one cell, or of the read-out.

    Parameters
    ----------
    rows, lambda_, bounds
        As of `Seen`.
    first, last : int
    with_gram, maps, parts
        As of `window_sums`.
    """
    chunks, count = len(bounds) - 1, len(rows)
    for chunk in prange(chunks):
        _sum_part(rows, lambda_, bounds, first, last, chunk, with_gram, maps, parts)
    for chunk in prange(chunks):
        _add_sums(count, first, last, chunk, chunks, with_gram, maps, parts)


@jit(parallel=True)
def window_sums(seen, tokens, occurrences, with_gram, maps, parts, token_sums):
    """Multiplier sums and Grams of the read-out, and of the cell that stands first, over a window.

    Limited by flops: rows (2 units n + n^2) of cell and read-out, the second term with the Gram
    only.

    Parameters
    ----------
    seen : Seen
    tokens : ndarray, (T, B), integers; (0, 0) for dense inputs
    occurrences : ndarray, (T B,), int64, or None
        How often each token counts; None: once.
    with_gram : bool
        False leaves the Grams alone.
    maps : Maps
        Its ``g`` and ``batch_gram`` are overwritten.
    parts : Parts
    token_sums : TokenSums, or None for dense inputs
        Of a capacity of at least T B; overwritten with the sums of the multipliers.

    Returns
    -------
    int
        The number of distinct tokens.
    """
    chunks, distinct = len(seen.bounds) - 1, 0
    last, read = seen.maps, len(maps.sizes) - 1
    rows, outputs = len(seen.rows), len(seen.output_rows)
    if token_sums is not None:
        distinct = token_weights.group(tokens.reshape(tokens.size), occurrences, token_sums)
    for chunk in prange(chunks):
        _sum_part(seen.rows, seen.lambda_, seen.bounds, 0, last, chunk, with_gram, maps, parts)
        if token_sums is not None:
            token_weights.sum_groups(seen.lambda_, distinct, token_sums, chunk, chunks)
        _sum_part(
            seen.output_rows, seen.delta, seen.output_bounds, read, read + 1, chunk, with_gram,
            maps, parts,
        )  # fmt: skip
    for chunk in prange(chunks):
        _add_sums(rows, 0, last, chunk, chunks, with_gram, maps, parts)
        _add_sums(outputs, read, read + 1, chunk, chunks, with_gram, maps, parts)
    return distinct


@jit(internal=True)
def _average(mean, fresh, memory):
    """``mean <- memory mean + (1 - memory) fresh``, all of a matrix."""
    keep, take = mean.dtype.type(memory), mean.dtype.type(1 - memory)
    for i in range(mean.shape[0]):
        old, new = mean[i], fresh[i]
        for j in range(len(old)):
            old[j] = keep * old[j] + take * new[j]


@jit(internal=True)
def average_gram(gram, batch, memory):
    """Lower triangle of ``gram <- memory gram + (1 - memory) batch``."""
    keep, take = gram.dtype.type(memory), gram.dtype.type(1 - memory)
    for i in range(len(gram)):
        old, new = gram[i], batch[i]
        for j in range(i + 1):
            old[j] = keep * old[j] + take * new[j]


@jit(internal=True)
def invert_damped(gram, damping, inverse):
    """``inverse <- (gram + damping mean(diag gram) I)⁻¹`` by Cholesky.

    The damping bounds the condition number by ``1 + n / damping``, so that the explicit inverse,
    which turns every later solve into a plain product, loses nothing that matters.

    Parameters
    ----------
    gram : ndarray, (n, n)
        Its lower triangle is read.
    damping : float
    inverse : ndarray, (n, n); overwritten, both triangles

    Returns
    -------
    int
        0, or the order of the leading minor that is not positive definite.
    """
    n = len(gram)
    trace = 0.0
    for i in range(n):
        trace += gram[i, i]
    ridge = gram.dtype.type(damping * trace / n)
    for i in range(n):
        source, target = gram[i], inverse[i]
        for j in range(i + 1):
            target[j] = source[j]
        target[i] += ridge
    status = potrf(inverse)
    return status if status != 0 else potri(inverse)


@jit(internal=True)
def _step_unit(weights, average, solved_m, rho, momentum_left, alpha):
    """Move one unit and its average."""
    real = weights.dtype.type
    if rho >= TINY_PENALTY:
        length = real(1 / (rho * momentum_left))
        for j in range(len(weights)):
            weights[j] -= length * solved_m[j]
    keep, take = real(alpha), real(1 - alpha)
    for j in range(len(weights)):
        average[j] = keep * average[j] + take * weights[j]


@jit(internal=True)
def _units(maps, i):
    """The columns of map i in ``of_units``."""
    first = maps.sizes[i, FIRST]
    return maps.of_units[:, first : first + maps.sizes[i, UNITS]]


@jit(internal=True)
def step_units(maps, i, settings, start, stop):
    """One proximal linear-system update of some units of map i, and of their average.

    ``m <- momentum m + (1 - momentum) g``, ``v_i <- beta2 v_i + (1 - beta2) g_i R̃⁻¹ g_iᵀ``,
    ``m̂ = m / (1 - momentum^k)``, ``ρ_i = sqrt(max(v_i / (1 - beta2^k), m̂_i R̃⁻¹ m̂_iᵀ)) / eta``,
    ``Θ_i <- Θ_i - m̂_i R̃⁻¹ / ρ_i``, ``average <- alpha average + (1 - alpha) Θ``, with beta2 the
    memory of the penalties.

    The mean square v_i alone would let multipliers that grow from step to step move a unit by up to
    ``(1 - momentum) / sqrt((1 - beta2) (1 - momentum^2 / beta2))`` times eta, 2.345 with the
    defaults (Cauchy-Schwarz). The square of the mean beside it makes eta the bound on the rms
    change ``sqrt(ΔΘ_i R̃ ΔΘ_iᵀ)`` of a unit's pre-activation. Mean squares are in double precision:
    those of small multipliers must not vanish.

    Limited by flops: one product with the inverse, 2 units n^2, and a second one after the inverse
    was renewed; in between ``m R̃⁻¹`` is averaged like m itself.

    Parameters
    ----------
    maps : Maps
        All of the units but ``g`` is updated.
    i : int
    settings : Settings
    start, stop : int
        The units to update.
    """
    sizes = maps.sizes
    weights, average = matrix(sizes, i, maps.values), matrix(sizes, i, maps.average)
    g, m = matrix(sizes, i, maps.g), matrix(sizes, i, maps.m)
    solved, solved_m = matrix(sizes, i, maps.solved), matrix(sizes, i, maps.solved_m)
    inverse = square(maps.systems, sizes[i, SYSTEM], maps.inverse)
    of_units = _units(maps, i)
    rho, change, others, v = of_units[RHO], of_units[CHANGE], of_units[OTHERS], of_units[V]
    momentum, beta2 = settings.momentum, settings.penalty_memory
    momentum_left, beta2_left = 1 - momentum**settings.k, 1 - beta2**settings.k
    multiply(g[start:stop], inverse, solved[start:stop])
    _average(m[start:stop], g[start:stop], momentum)
    if settings.renewed:
        multiply(m[start:stop], inverse, solved_m[start:stop])
    else:
        _average(solved_m[start:stop], solved[start:stop], momentum)
    for u in range(start, stop):
        v[u] = beta2 * v[u] + (1 - beta2) * (dot(solved[u], g[u]) + others[u])
        size = max(0.0, float(dot(m[u], solved_m[u])) / momentum_left**2) + others[u]
        rho[u] = math.sqrt(max(v[u] / beta2_left, size)) / settings.eta
        change[u] = size / rho[u] ** 2 if rho[u] >= TINY_PENALTY else 0.0
        _step_unit(weights[u], average[u], solved_m[u], rho[u], momentum_left, settings.alpha)


@jit(internal=True)
def _scale(a, factor):
    for i in range(len(a)):
        values, by = row(a, i), a.dtype.type(factor)
        for j in range(len(values)):
            values[j] *= by


@jit(internal=True)
def _summary(of_units):
    """Root mean square change, smallest and largest penalty."""
    rho, change = of_units[RHO], of_units[CHANGE]
    total, least, most = 0.0, rho[0], rho[0]
    for i in range(len(rho)):
        total += change[i]
        least, most = min(least, rho[i]), max(most, rho[i])
    return math.sqrt(total / len(rho)), least, most


@jit(internal=True)
def _average_grams(maps, memory):
    for i in range(len(maps.sources)):
        gram, batch = square(maps.sources, i, maps.gram), square(maps.sources, i, maps.batch_gram)
        average_gram(gram, batch, memory)


@jit(internal=True)
def _renew(maps, i, damping, statuses):
    source, first, n = maps.systems[i, SOURCE], maps.systems[i, BEGIN], maps.systems[i, WIDTH]
    gram = square(maps.sources, source, maps.gram)[first : first + n, first : first + n]
    statuses[i] = invert_damped(gram, damping, square(maps.systems, i, maps.inverse))


@jit(internal=True)
def _shrink(maps, kept):
    """The growth guard: scale the recurrent weights of all maps."""
    for i in range(len(maps.sizes)):
        _scale(matrix(maps.sizes, i, maps.values)[:, maps.sizes[i, RECURRENT] :], kept)


@jit(internal=True)
def _step_chunk(maps, settings, chunk, chunks, token_rows, token_sums, distinct):
    """A chunk's share of the units of all maps."""
    others, rho = maps.of_units[OTHERS], maps.of_units[RHO]
    driven = 0 if token_rows is None else token_rows.values.shape[1]
    for i in range(len(maps.sizes)):
        units, first = maps.sizes[i, UNITS], maps.sizes[i, FIRST]
        start, stop = chunk * units // chunks, (chunk + 1) * units // chunks
        if token_rows is not None and first < driven:
            token_weights.add_squares(token_sums, distinct, others, first + start, first + stop)
        step_units(maps, i, settings, start, stop)
        if token_rows is not None and first < driven:
            token_weights.step(
                token_rows, token_sums, distinct, settings.alpha, rho, first + start, first + stop
            )


@jit(parallel=True)
def move(maps, settings, chunks, token_rows, token_sums, visits, statuses):
    """The proximal step of all maps, after the growth guard.

    Parameters
    ----------
    maps : Maps
        All but ``g`` is updated.
    settings : Settings
    chunks : int
        Into which the units are cut.
    token_rows, token_sums : TokenRows and TokenSums, or None for dense inputs
        The first is updated.
    visits : (int, float, float, float, float)
        Arguments of `token_weights.visit`: ``distinct, total, ridge, log_kept, log_alpha``.
    statuses : ndarray, (systems,), int64
        Overwritten as by `invert_damped` where the inverses are renewed.

    Returns
    -------
    step_length, rho_min, rho_max : float
        Root mean square change of the pre-activations, and the extreme penalties of the hidden
        units; NaN where a Gram is not positive definite, and then the weights stay.
    """
    if settings.gram_memory < 1:
        _average_grams(maps, settings.gram_memory)
    if settings.renewed:
        for i in prange(len(statuses)):
            _renew(maps, i, settings.damping, statuses)
        if statuses.any():
            return math.nan, math.nan, math.nan
    if settings.kept < 1:
        _shrink(maps, settings.kept)
    distinct, total, ridge, log_kept, log_alpha = visits
    if token_rows is not None:
        token_weights.visit(token_rows, token_sums, distinct, total, ridge, log_kept, log_alpha)
    for chunk in prange(chunks):
        _step_chunk(maps, settings, chunk, chunks, token_rows, token_sums, distinct)
    return _summary(maps.of_units[:, : maps.sizes[len(maps.sizes) - 1, FIRST]])
