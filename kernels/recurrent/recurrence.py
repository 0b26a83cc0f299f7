"""The hidden states of a network: simulate them, and pull multipliers back through them.

One array ``z`` of shape (T + 1, B, n) holds everything that the weight systems need, so nothing is
ever concatenated or transposed: ``z[t] = [x_{t+1}; 1; s_t]`` for t = 0..T (the input part of
``z[T]`` is not used). The recurrent weights act on ``z[t]``, the read-out on its last H + 1
columns. For token inputs the x part is absent: the tokens are looked up in the rows of
``theta_t``, the transposed weights.

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
from ..core.tiles import multiply
from ..operators.losses import softmax_cross_entropy, squared
from .cells.cell import advance, pull

SEQUENCES = 32
"""Sequences that run through time together: their states of one step stay in a near cache."""


class Weights(NamedTuple):
    """Weights of the recurrence and of the read-out, with their transposes."""

    theta: np.ndarray
    """[U b W], (H, D + 1 + H); of tokens [b W], (H, 1 + H)."""
    theta_t: np.ndarray
    """(D + 1 + H, H), of tokens too."""
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
    """(T, B, H): multipliers of the pre-activations; zero where a sequence has not begun."""
    carried: np.ndarray
    """(B, H): workspace."""
    squares: np.ndarray
    """(2, B), float64: workspace."""
    totals: np.ndarray
    """(chunks, 4), float64: sums of the losses; of ``log(|c_t| / |λ_{t+1}|)`` before rescaling, and
    the number of its terms; of the squares of the multipliers."""


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
def _simulate(cell, z, tokens, theta_t, active, start, stop):
    width, hidden = z.shape[2], theta_t.shape[1]
    looked_up = len(theta_t) - width
    for t in range(z.shape[0] - 1):
        here = max(start, min(stop, active[t]))
        states = z[t + 1, start:here, width - hidden :]
        multiply(z[t, start:here], theta_t[looked_up:], states)
        if looked_up > 0:
            _add_looked_up(states, tokens[t, start:here], theta_t)
        advance(cell, states)
        z[t + 1, here:stop, width - hidden :] = z[t, here:stop, width - hidden :]


@jit(parallel=True)
def simulate(cell, z, tokens, theta_t, active, bounds):
    """States forward in time, ``s_t = f(U x_t + W s_{t-1} + b)``, written into ``z``.

    Limited by flops: 2 T B H (D + H + 1) in products of (chunk, n) by (n, H).

    Parameters
    ----------
    cell : NamedTuple
        See `fastadmm.kernels.recurrent.cells`.
    z : ndarray, (T + 1, B, D + 1 + H), or (T + 1, B, 1 + H) for tokens
        Inputs, ones and s_0 are read, the states s_1..s_T written.
    tokens : ndarray, (T, B), integers; (0, 0) for dense inputs
    theta_t : ndarray, (D + 1 + H, H): [U b W] transposed
    active : ndarray, (T,), int64
    bounds : ndarray, (chunks + 1,), int64
        Cut of the B sequences.
    """
    for chunk in prange(len(bounds) - 1):
        for start in range(bounds[chunk], bounds[chunk + 1], SEQUENCES):
            stop = min(start + SEQUENCES, bounds[chunk + 1])
            _simulate(cell, z, tokens, theta_t, active, start, stop)


@jit(internal=True)
def _loss(outputs, y, weights, scale):
    """Sum of losses, and its gradient over the outputs."""
    if y.ndim == 1:  # known when it is compiled, of an argument
        return softmax_cross_entropy(outputs, y, weights, scale, outputs)
    return squared(outputs, y, weights, scale, outputs)


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
        total += _loss(gradient, y, weights, targets.scale)
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
    """``total <- total + addend``, and the squared norms of the sums."""
    for i in range(total.shape[0]):
        values, extra = row(total, i), row(addend, i)
        for j in range(len(values)):
            values[j] += extra[j]
        squares[i] = squared_norm(values)


@jit(internal=True)
def _pull(cell, z, edge, weights, safeguard, backward, active, totals, start, stop):
    delta, lambda_ = backward.delta, backward.lambda_
    steps, _, hidden = lambda_.shape
    left, recurrent = z.shape[2] - hidden, weights.theta[:, weights.theta.shape[1] - hidden :]
    first_output = steps - len(delta)
    norms, workspace = backward.squares[0], backward.squares[1]
    growth, counted, square = 0.0, 0, 0.0
    if len(edge) > 0:
        for i in range(start, stop):
            norms[i] = squared_norm(edge[i])
    for t in range(steps - 1, -1, -1):
        here = max(start, min(stop, active[t]))
        states = z[t + 1, start:here, left:]
        current = lambda_[t, start:here]
        arriving = current  # without an output of its own, a step has the carried part only
        if t >= first_output:
            multiply(delta[t - first_output, start:here], weights.phi[:, 1:], current)
            pull(cell, current, states)
            arriving = backward.carried[start:here]
        if t == steps - 1 and len(edge) == 0:
            for i in range(start, here):
                norms[i] = squared_norm(lambda_[t, i])
        else:
            later = lambda_[t + 1, start:here] if t < steps - 1 else edge[start:here]
            multiply(later, recurrent, arriving)
            pull(cell, arriving, states)
            g, n = _bound(arriving, norms[start:here], workspace[start:here], safeguard)
            growth += g
            counted += n
            if t >= first_output:
                _add_rows(current, arriving, norms[start:here])
        square += norms[start:here].sum()
        lambda_[t, here:stop] = 0
    totals[1] += growth
    totals[2] += counted
    totals[3] += square


# Loops over a chunk are functions of their own: Numba drops stores to a NamedTuple's arrays that
# stand in a prange directly.
@jit(internal=True)
def _multipliers(cell, z, edge, weights, safeguard, backward, active, totals, first, last):
    totals[1:] = 0
    for start in range(first, last, SEQUENCES):
        stop = min(start + SEQUENCES, last)
        _pull(cell, z, edge, weights, safeguard, backward, active, totals, start, stop)


@jit(parallel=True)
def multipliers(cell, z, edge, weights, safeguard, backward, active, bounds):
    """Multipliers of ``a_t = Θ z_t``, backward in time.

    ``λ_t = f'(a_t) ⊙ (δ_t V) + c_t`` with ``c_t = f'(a_t) ⊙ (λ_{t+1} W)`` makes the Lagrangian
    stationary. With the safeguard c_t is rescaled to |λ_{t+1}|, sequence by sequence, where it is
    longer: the recurrence never expands, and where it would have, λ is bounded, not stationary.

    Limited by flops: 2 T B H^2, and 2 L B C H for the outputs.

    Parameters
    ----------
    cell : NamedTuple
        See `fastadmm.kernels.recurrent.cells`.
    z : ndarray, (T + 1, B, n)
        As `simulate` left it.
    edge : ndarray, (B, H), or (0, H) where the sequences end with this window
        λ of the step after the window.
    weights : Weights
        The transposes are not read.
    safeguard : bool
    backward : Backward
        ``delta`` is read; all but the first column of ``totals`` are overwritten, and ``lambda_``.
    active : ndarray, (T,), int64
    bounds : ndarray, (chunks + 1,), int64
        Cut of the B sequences.
    """
    for chunk in prange(len(bounds) - 1):
        totals = backward.totals[chunk]
        _multipliers(
            cell, z, edge, weights, safeguard, backward, active, totals, bounds[chunk],
            bounds[chunk + 1],
        )  # fmt: skip


@jit(internal=True)
def _sweep(cell, z, tokens, weights, targets, safeguard, backward, active, totals, first, last):
    edge, theta_t = backward.carried[:0], weights.theta_t
    totals[:] = 0
    for start in range(first, last, SEQUENCES):
        stop = min(start + SEQUENCES, last)
        _simulate(cell, z, tokens, theta_t, active, start, stop)
        totals[0] += _read_out(z, weights.phi_t, targets, backward.delta, active, start, stop)
        _pull(cell, z, edge, weights, safeguard, backward, active, totals, start, stop)


@jit(parallel=True)
def sweep(cell, z, tokens, weights, targets, safeguard, backward, active, bounds):
    """`simulate`, `read_out` and `multipliers` at once, for sequences that end with the window.

    A few sequences go forward and back again before the next ones, while what they have written is
    in a near cache.

    Parameters
    ----------
    cell, z, tokens
        As of `simulate`.
    weights : Weights
        The transposes are overwritten.
    targets : Targets
    safeguard : bool
    backward : Backward
        All of it is overwritten.
    active : ndarray, (T,), int64
    bounds : ndarray, (chunks + 1,), int64
        Cut of the B sequences.
    """
    transpose(weights.theta, weights.theta_t[len(weights.theta_t) - weights.theta.shape[1] :])
    transpose(weights.phi, weights.phi_t)
    for chunk in prange(len(bounds) - 1):
        totals = backward.totals[chunk]
        _sweep(
            cell, z, tokens, weights, targets, safeguard, backward, active, totals, bounds[chunk],
            bounds[chunk + 1],
        )  # fmt: skip
