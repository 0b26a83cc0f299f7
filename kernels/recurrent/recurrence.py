"""The hidden states of a network: simulate them, and pull multipliers back through them.

One array ``z`` of shape (T + 1, B, n) holds everything that the weight systems need, so nothing is
ever concatenated or transposed: ``z[t] = [x_{t+1}; 1; s_t]`` for t = 0..T (the input part of
``z[T]`` is not used). The affine maps of the cell act on neighbouring columns of ``z[t]``, the
read-out on its last H + 1. For token inputs the x part is absent: the tokens are looked up in the
rows of a table. What cells do between the products is in `fastadmm.kernels.recurrent.cells`.

Sequences of unequal length end together and stand in order, the longest first: ``active[t]`` of
them (T,) have step t, and the others their initial state until they begin.

``bounds`` (chunks + 1,) cuts sequences into contiguous chunks, one a thread.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange

from ..core.coordinates import some
from ..core.elementary import log
from ..core.jit import jit
from ..core.rows import row, squared_norm, transpose
from ..core.tiles import multiply, multiply_add
from ..operators.losses import loss
from .cells.cell import advance, enter, pull, widths
from .layout import COLUMNS, FIRST, OFFSET, RECURRENT, UNITS, matrix

SEQUENCES = 32
"""Sequences that run through time together: their states of one step stay in a near cache."""


class Unrolled(NamedTuple):
    """A cell over the T steps of a window."""

    z: np.ndarray
    """(T + 1, B, D + 1 + H), or (T + 1, B, 1 + H) for tokens: inputs, ones and states."""
    tokens: np.ndarray
    """(T, B), integers; (0, 0) for dense inputs."""
    kept: np.ndarray
    """(T + 1, B, KEPT H): what the step before keeps, in ``kept[0]`` that before the window; or of
    fewer places, in turn, where nothing goes back."""


class Weights(NamedTuple):
    """Weights of the maps of a cell, and their transposes."""

    sizes: np.ndarray
    """(maps, 7), int64: rows of `fastadmm.kernels.recurrent.layout`, of the cell's maps alone."""
    values: np.ndarray
    """Flat: the weights (units, n) of all maps of the network; of tokens without their columns."""
    transposed: np.ndarray
    """(D + 1 + H, GATES H), of tokens (1 + H, GATES H): each map at its columns and units."""
    table: np.ndarray
    """(D, units): the tokens' rows, of the maps that are driven; (0, units) for dense inputs."""


class ReadOut(NamedTuple):
    """Weights of the read-out."""

    phi: np.ndarray
    """[c V], (C, 1 + H)."""
    phi_t: np.ndarray
    """(1 + H, C)."""


class Targets(NamedTuple):
    """What the outputs of a window are compared with."""

    values: np.ndarray
    """(L B,) labels, int64, or (L B, C) numbers, for the last L steps: L = T with a target at every
    step, else 1, or 0 where a later window has it."""
    weights: np.ndarray | None
    """(L B,), of the losses; None for ones."""
    scale: float
    """Factor on the gradient of the loss."""


class Backward(NamedTuple):
    """What the way back through time writes."""

    delta: np.ndarray
    """(L, B, C): gradient of the loss at the last L outputs."""
    lambda_: np.ndarray
    """(T, B, GATES H): multipliers of the pre-activations; zero where a sequence has not begun."""
    carried: np.ndarray
    """(B, CARRIED H): workspace, adjoints of what a step hands on."""
    own: np.ndarray
    """(B, H): workspace, adjoints by way of a step's own output."""
    above: np.ndarray
    """(T, B, H): adjoints by way of what reads the states, other than the read-out, of which
    ``delta`` then is no part; overwritten. (0, 0, H) where there is nothing else."""
    arriving: np.ndarray
    """(B, CARRIED H + 1): what the step after the window hands to its last one, the adjoint of what
    is carried and the squared norm by which it is bounded; (0, ...) where sequences end here."""
    leaving: np.ndarray
    """(B, CARRIED H + 1): what the first step of every sequence hands on; (0, ...) where nobody
    asks."""
    squares: np.ndarray
    """(2, B), float64: workspace."""
    totals: np.ndarray
    """(chunks, 4), float64: sums of the losses; of the logarithms of growth before rescaling, and
    the number of its terms; of squared norms of the multipliers, or of the adjoints of states."""


@jit(parallel=True)
def load(x, cases, first, shift, scale, z, bounds):
    """Gather and scale a window of dense inputs; set the ones.

    ``z[t, i, :D] <- (x[cases[i], first + t] - shift) / scale``

    Parameters
    ----------
    x : ndarray, (n_cases, n_timepoints, D)
    cases : ndarray, (B,), int64
    first : int
        First time point of the window.
    shift, scale : ndarray, (D,)
    z : ndarray, (T + 1, B, D + 1 + H); its states are left alone
    bounds : ndarray, (chunks + 1,), int64
    """
    width = x.shape[2]
    for chunk in prange(len(bounds) - 1):
        for i in range(bounds[chunk], bounds[chunk + 1]):
            for t in range(z.shape[0] - 1):
                for d in range(width):
                    z[t, i, d] = (x[cases[i], first + t, d] - shift[d]) / scale[d]
            for t in range(z.shape[0]):
                z[t, i, width] = 1


@jit(parallel=True)
def load_tokens(x, cases, first, z, tokens, bounds):
    """Gather a window of tokens, ``tokens[t, i] <- x[cases[i], first + t]``; set the ones of z."""
    for chunk in prange(len(bounds) - 1):
        for i in range(bounds[chunk], bounds[chunk + 1]):
            for t in range(tokens.shape[0]):
                tokens[t, i] = x[cases[i], first + t]
            for t in range(z.shape[0]):
                z[t, i, 0] = 1


@jit(internal=True)
def _add_looked_up(rows, tokens, table):
    for i in range(len(tokens)):
        values, entry = row(rows, i), table[tokens[i]]
        for j in range(len(entry)):
            values[j] += entry[j]


@jit(internal=True)
def _copy(source, target):
    for i in range(len(source)):
        values, old = row(target, i), row(source, i)
        for j in range(len(values)):
            values[j] = old[j]


@jit(internal=True)
def _map_rows(weights, rows, a):
    """Pre-activations ``a`` (r, GATES H) of all maps, of rows z."""
    sizes, first = weights.sizes, weights.sizes[0, FIRST]
    for i in range(len(sizes)):
        columns = slice(sizes[i, OFFSET], sizes[i, OFFSET] + sizes[i, COLUMNS])
        units = slice(sizes[i, FIRST] - first, sizes[i, FIRST] - first + sizes[i, UNITS])
        multiply(rows[:, columns], weights.transposed[columns, units], a[:, units])


@jit(internal=True)
def _simulate(cell, unrolled, weights, active, start, stop):
    z, kept, tokens = unrolled.z, unrolled.kept, unrolled.tokens
    gates, keeps, carried = widths(cell)
    hidden, places = cell.hidden, len(kept)
    left, memory = z.shape[2] - hidden, (keeps - carried + 1) * hidden
    for t in range(z.shape[0] - 1):
        here = max(start, min(stop, active[t]))
        rows, after = z[t, start:here], z[t + 1, start:here, left:]
        old, new = kept[t % places], kept[(t + 1) % places]
        a = after if keeps == 0 else new[start:here, : gates * hidden]
        _map_rows(weights, rows, a)
        if len(weights.table) > 0:
            _add_looked_up(a, tokens[t, start:here], weights.table)
        advance(cell, rows[:, left:], old[start:here], after, new[start:here])
        if here < stop:
            _copy(z[t, here:stop, left:], z[t + 1, here:stop, left:])
            if keeps > 0:
                _copy(old[here:stop, memory:], new[here:stop, memory:])


@jit(parallel=True)
def simulate(cell, unrolled, weights, active, bounds):
    """States forward in time, of the Elman cell ``s_t = f(U x_t + W s_{t-1} + b)``.

    Limited by flops: 2 T B (weights of the maps), in products of (chunk, n) by (n, units).

    Parameters
    ----------
    cell : NamedTuple
        See `fastadmm.kernels.recurrent.cells`.
    unrolled : Unrolled
        Inputs, ones, s_0 and the first of ``kept`` are read, the rest written.
    weights : Weights
        Its ``transposed`` and ``table`` are read.
    active : ndarray, (T,), int64
    bounds : ndarray, (chunks + 1,), int64
        Cut of the B sequences.
    """
    for chunk in prange(len(bounds) - 1):
        for start in range(bounds[chunk], bounds[chunk + 1], SEQUENCES):
            stop = min(start + SEQUENCES, bounds[chunk + 1])
            _simulate(cell, unrolled, weights, active, start, stop)


@jit
def transpose_maps(weights):
    """Bring ``weights.transposed`` up to ``weights.values``."""
    sizes, first = weights.sizes, weights.sizes[0, FIRST]
    for i in range(len(sizes)):
        columns = slice(sizes[i, OFFSET], sizes[i, OFFSET] + sizes[i, COLUMNS])
        units = slice(sizes[i, FIRST] - first, sizes[i, FIRST] - first + sizes[i, UNITS])
        transpose(matrix(sizes, i, weights.values), weights.transposed[columns, units])


@jit(internal=True)
def _read_out(z, phi_t, targets, delta, active, start, stop):
    """Sum of losses of some sequences, and its gradient times the scale, over ``delta``."""
    outputs, batch, _ = delta.shape
    left, first_output, total = z.shape[2] - len(phi_t), z.shape[0] - 1 - outputs, 0.0
    for place in range(outputs):
        t = first_output + place
        here = max(start, min(stop, active[t]))
        own = slice(place * batch + start, place * batch + here)
        gradient, y = delta[place, start:here], targets.values[own]
        multiply(z[t + 1, start:here, left:], phi_t, gradient)
        weights = some(targets.weights, own)
        total += loss(gradient, y, weights, targets.scale, gradient)
    return total


@jit(parallel=True)
def read_out(z, phi_t, targets, delta, active, totals, bounds):
    """Outputs, their loss and its gradient, ``delta = scale ∇ℓ(Φ [1; s])``.

    Parameters
    ----------
    z : ndarray, (T + 1, B, n)
        Its last H + 1 columns are read.
    phi_t : ndarray, (1 + H, C): [c V] transposed
    targets : Targets
    delta : ndarray, (L, B, C); overwritten where there is an output
    active : ndarray, (T,), int64
    totals : ndarray, (chunks, 4), float64
        The first column is overwritten with the sum of losses of each chunk.
    bounds : ndarray, (chunks + 1,), int64
        Cut of the B sequences.
    """
    for chunk in prange(len(bounds) - 1):
        first, last = bounds[chunk], bounds[chunk + 1]
        totals[chunk, 0] = _read_out(z, phi_t, targets, delta, active, first, last)


@jit(reassociate=True, internal=True)
def _log_growth(before, after):
    """Sum of ``log(after / before) / 2`` over rows where both are above zero, and their number."""
    growth, counted = 0.0, 0
    for i in range(len(before)):
        counts = (before[i] > 0) & (after[i] > 0)
        growth += 0.5 * log(after[i] / before[i] if counts else 1.0)
        counted += counts
    return growth, counted


@jit(internal=True)
def _shrinkage(before, after):
    """``after <- sqrt(before / after)`` where after > before, else 1; ``before`` their minimum."""
    for i in range(len(after)):  # no branches: square roots and divisions vectorise
        is_longer = after[i] > before[i]
        factor = math.sqrt(before[i] / after[i]) if is_longer else 1.0
        before[i] = before[i] if is_longer else after[i]
        after[i] = factor


@jit(internal=True)
def _bound(carried, before, after, safeguard):
    """Rescale rows of ``carried`` to the norm of the step after it where they are longer.

    ``before`` (n,) holds the squared norms of the later rows, and of these rows afterwards;
    ``after`` is workspace. Returns the sum of logarithms of the growth of norms before rescaling,
    and over how many rows: those where both norms are above zero.
    """
    for i in range(len(after)):
        after[i] = squared_norm(row(carried, i))
    growth, counted = _log_growth(before, after)
    if not safeguard:
        for i in range(len(after)):
            before[i] = after[i]
        return growth, counted
    _shrinkage(before, after)
    for i in range(len(after)):
        values, factor = row(carried, i), carried.dtype.type(after[i])
        for j in range(len(values)):
            values[j] *= factor
    return growth, counted


@jit(internal=True)
def _add_rows(total, addend, squares):
    """Add to the first columns of ``total``, and take the squared norms of its rows."""
    for i in range(total.shape[0]):
        values, extra = row(total, i), row(addend, i)
        for j in range(len(extra)):
            values[j] += extra[j]
        squares[i] = squared_norm(values)


@jit(internal=True)
def _bring_back(cell, weights, lambda_, carried):
    """Adjoints of the states before a step, from its multipliers.

    Added to what goes back beside the products, or in its place where nothing does.
    """
    _, keeps, _ = widths(cell)
    sizes, first, adds = weights.sizes, weights.sizes[0, FIRST], keeps > 0
    states = carried[:, : cell.hidden]
    for i in range(len(sizes)):
        left = sizes[i, RECURRENT]
        if left < sizes[i, COLUMNS]:
            own = lambda_[:, sizes[i, FIRST] - first : sizes[i, FIRST] - first + sizes[i, UNITS]]
            recurrent = matrix(sizes, i, weights.values)[:, left:]
            if adds:
                multiply_add(own, recurrent, states)
            else:
                multiply(own, recurrent, states)
            adds = True


@jit(internal=True)
def _take_edge(edge, carried, squares):
    """What a window hands to the one before, see `multipliers`."""
    width = edge.shape[1] - 1
    for i in range(len(edge)):
        values, source = row(carried, i), row(edge, i)
        for j in range(width):
            values[j] = source[j]
        squares[i] = source[width]


@jit(internal=True)
def _leave_edge(cell, weights, lambda_, carried, squares, edge):
    """What `_take_edge` takes, of some sequences whose last multipliers and adjoints these are."""
    _, keeps, _ = widths(cell)
    own, width = edge[:, : edge.shape[1] - 1], edge.shape[1] - 1
    if keeps > 0:
        _copy(carried, own)
    _bring_back(cell, weights, lambda_, own)
    for i in range(len(edge)):
        edge[i, width] = squares[i]


@jit(internal=True)
def _pull(cell, unrolled, weights, phi, safeguard, backward, active, totals, start, stop):
    arriving, leaving, above = backward.arriving, backward.leaving, backward.above
    z, kept, delta, lambda_ = unrolled.z, unrolled.kept, backward.delta, backward.lambda_
    _, keeps, _ = widths(cell)
    steps, left = len(lambda_), z.shape[2] - cell.hidden
    first_output = steps - len(delta) if len(above) == 0 else 0
    norms, workspace = backward.squares[0], backward.squares[1]
    growth, counted, square, later = 0.0, 0, 0.0, stop
    for t in range(steps - 1, -1, -1):
        here = max(start, min(stop, active[t]))
        after, old = z[t + 1, start:here, left:], z[t, start:here, left:]
        # a cell that keeps nothing takes back λ itself, and has it in its place at once
        current = lambda_[t, start:here] if keeps == 0 else backward.carried[start:here]
        is_end = t == steps - 1 and len(arriving) == 0
        if is_end:
            current[:] = 0
        elif t == steps - 1:
            _take_edge(arriving[start:here], current, norms[start:here])
        else:
            if len(leaving) > 0 and here < later:  # sequences that begin with the step after
                gone = slice(here, later)
                _leave_edge(
                    cell, weights, lambda_[t + 1, gone], backward.carried[gone], norms[gone],
                    leaving[gone],
                )  # fmt: skip
            _bring_back(cell, weights, lambda_[t + 1, start:here], current)
        if not is_end:
            enter(cell, current[:, : cell.hidden], after)
            g, n = _bound(current, norms[start:here], workspace[start:here], safeguard)
            growth += g
            counted += n
        if t >= first_output:
            own = backward.own[start:here] if len(above) == 0 else above[t, start:here]
            if len(above) == 0:
                multiply(delta[t - first_output, start:here], phi[:, 1:], own)
            enter(cell, own, after)
            _add_rows(current, own, norms[start:here])
        pull(
            cell, old, kept[t % len(kept), start:here], after,
            kept[(t + 1) % len(kept), start:here], current, lambda_[t, start:here],
        )  # fmt: skip
        square += norms[start:here].sum()
        if here < stop:
            lambda_[t, here:stop] = 0
        later = here
    if len(leaving) > 0 and steps > 0:
        gone = slice(start, later)
        _leave_edge(
            cell, weights, lambda_[0, gone], backward.carried[gone], norms[gone], leaving[gone]
        )
    totals[1] += growth
    totals[2] += counted
    totals[3] += square


# Loops over a chunk are functions of their own: Numba drops stores to a NamedTuple's arrays that
# stand in a prange directly.
@jit(internal=True)
def _multipliers(cell, unrolled, weights, phi, safeguard, backward, active, totals, first, last):
    totals[1:] = 0
    for start in range(first, last, SEQUENCES):
        stop = min(start + SEQUENCES, last)
        _pull(cell, unrolled, weights, phi, safeguard, backward, active, totals, start, stop)


@jit(parallel=True)
def multipliers(cell, unrolled, weights, phi, safeguard, backward, active, bounds):
    """Multipliers of the affine maps, backward in time: they make the Lagrangian stationary.

    Of the Elman cell, ``λ_t = f'(a_t) ⊙ (δ_t V) + c_t`` with ``c_t = f'(a_t) ⊙ (λ_{t+1} W)``. With
    the safeguard c_t is rescaled to |λ_{t+1}|, sequence by sequence, where it is longer: the
    recurrence never expands, and where it would have, λ is bounded, not stationary. Of other cells
    the adjoints of what a step hands on are bounded like that, all together.

    Limited by flops: 2 T B (recurrent weights of the maps), and 2 L B C H for the outputs.

    Parameters
    ----------
    cell : NamedTuple
        See `fastadmm.kernels.recurrent.cells`.
    unrolled : Unrolled
        As `simulate` left it, with T + 1 places of ``kept``.
    weights : Weights
        Its ``values`` are read.
    phi : ndarray, (C, 1 + H)
    safeguard : bool
    backward : Backward
        ``delta``, ``above`` and ``arriving`` are read; ``lambda_``, ``leaving``, and all but the
        first column of ``totals`` are overwritten.
    active : ndarray, (T,), int64
    bounds : ndarray, (chunks + 1,), int64
        Cut of the B sequences.
    """
    for chunk in prange(len(bounds) - 1):
        totals = backward.totals[chunk]
        _multipliers(
            cell, unrolled, weights, phi, safeguard, backward, active, totals,
            bounds[chunk], bounds[chunk + 1],
        )  # fmt: skip


@jit(internal=True)
def _sweep(
    cell, unrolled, weights, read, targets, safeguard, backward, active, totals, first, last
):
    totals[:] = 0
    for start in range(first, last, SEQUENCES):
        stop = min(start + SEQUENCES, last)
        _simulate(cell, unrolled, weights, active, start, stop)
        totals[0] += _read_out(unrolled.z, read.phi_t, targets, backward.delta, active, start, stop)
        _pull(
            cell, unrolled, weights, read.phi, safeguard, backward, active, totals, start,
            stop,
        )  # fmt: skip


@jit(parallel=True)
def sweep(cell, unrolled, weights, read, targets, safeguard, backward, active, bounds):
    """`simulate`, `read_out` and `multipliers` at once, for sequences that end with the window.

    Nothing arrives in ``backward``, and only the read-out reads the states.

    A few sequences go forward and back again before the next ones, while what they have written is
    in a near cache.

    Parameters
    ----------
    cell, unrolled
        As of `simulate`.
    weights : Weights
        Its ``transposed`` are overwritten.
    read : ReadOut
        Its ``phi_t`` is overwritten.
    targets : Targets
    safeguard : bool
    backward : Backward
        All of it is overwritten.
    active : ndarray, (T,), int64
    bounds : ndarray, (chunks + 1,), int64
        Cut of the B sequences.
    """
    transpose_maps(weights)
    transpose(read.phi, read.phi_t)
    for chunk in prange(len(bounds) - 1):
        totals = backward.totals[chunk]
        _sweep(
            cell, unrolled, weights, read, targets, safeguard, backward, active, totals,
            bounds[chunk], bounds[chunk + 1],
        )  # fmt: skip
