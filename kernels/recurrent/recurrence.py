"""The hidden states of an Elman network: simulate them, and pull multipliers back through them.

One array ``z`` of shape (T + 1, B, n) holds everything that the weight systems need, so nothing is
ever concatenated or transposed: ``z[t] = [x_{t+1}; s_t; 1]`` for t = 0..T (the input part of
``z[T]`` is not used). The recurrent weights act on ``z[t]``, the read-out on its last H + 1
columns. For token inputs the x part is absent: the tokens are looked up in the rows of
``theta_t``, the transposed weights.

``bounds`` (chunks + 1,) cuts sequences (or rows) into contiguous chunks, one a thread.
"""

import math

from numba import prange

from ..core.elementary import log
from ..core.jit import jit
from ..core.rows import row, squared_norm, transpose
from ..core.tiles import multiply
from ..operators.activations import activate, times_derivative
from ..operators.losses import softmax_cross_entropy, squared

SEQUENCES = 32
"""Sequences that run through time together: their states of one step stay in a near cache."""


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
    z : ndarray, (T + 1, B, D + H + 1); its states are left alone
    bounds : ndarray, (chunks + 1,), int64
    """
    width = x.shape[2]
    for chunk in prange(len(bounds) - 1):
        for i in range(bounds[chunk], bounds[chunk + 1]):
            for t in range(z.shape[0] - 1):
                for d in range(width):
                    z[t, i, d] = (x[cases[i], first + t, d] - shift[d]) / scale[d]
            for t in range(z.shape[0]):
                z[t, i, z.shape[2] - 1] = 1


@jit(parallel=True)
def load_tokens(x, cases, first, z, tokens, bounds):
    """Gather a window of tokens, ``tokens[t, i] <- x[cases[i], first + t]``; set the ones of z."""
    for chunk in prange(len(bounds) - 1):
        for i in range(bounds[chunk], bounds[chunk + 1]):
            for t in range(tokens.shape[0]):
                tokens[t, i] = x[cases[i], first + t]
            for t in range(z.shape[0]):
                z[t, i, z.shape[2] - 1] = 1


@jit(internal=True)
def _add_looked_up(rows, tokens, table):
    for i in range(len(tokens)):
        values, entry = row(rows, i), table[tokens[i]]
        for j in range(len(entry)):
            values[j] += entry[j]


@jit(internal=True)
def _simulate(z, tokens, theta_t, activation, start, stop):
    width, hidden = z.shape[2], theta_t.shape[1]
    left, looked_up = width - 1 - hidden, len(theta_t) - width
    for t in range(z.shape[0] - 1):
        states = z[t + 1, start:stop, left : left + hidden]
        multiply(z[t, start:stop], theta_t[looked_up:], states)
        if looked_up > 0:
            _add_looked_up(states, tokens[t, start:stop], theta_t)
        activate(activation, states)


@jit(parallel=True)
def simulate(z, tokens, theta_t, activation, bounds):
    """States forward in time, ``s_t = f(U x_t + W s_{t-1} + b)``, written into ``z``.

    Limited by flops: 2 T B H (D + H + 1) in products of (chunk, n) by (n, H).

    Parameters
    ----------
    z : ndarray, (T + 1, B, D + H + 1), or (T + 1, B, H + 1) for tokens
        Inputs, ones and s_0 are read, the states s_1..s_T written.
    tokens : ndarray, (T, B), integers; (0, 0) for dense inputs
    theta_t : ndarray, (D + H + 1, H): [U W b] transposed
    activation : int
    bounds : ndarray, (chunks + 1,), int64
        Cut of the B sequences.
    """
    for chunk in prange(len(bounds) - 1):
        for start in range(bounds[chunk], bounds[chunk + 1], SEQUENCES):
            stop = min(start + SEQUENCES, bounds[chunk + 1])
            _simulate(z, tokens, theta_t, activation, start, stop)


@jit(internal=True)
def _read_out(states, phi_t, targets, scale, outputs):
    multiply(states, phi_t, outputs)
    if targets.ndim == 1:  # known when it is compiled
        return softmax_cross_entropy(outputs, targets, scale, outputs)
    return squared(outputs, targets, scale, outputs)


@jit(parallel=True)
def read_out(z_rows, phi_t, targets, scale, delta, totals, bounds):
    """Outputs, their loss and its gradient, ``delta = scale ∇ℓ(Φ [s; 1])``.

    Parameters
    ----------
    z_rows : ndarray, (rows, n)
        Rows of ``z`` whose last H + 1 columns are read.
    phi_t : ndarray, (H + 1, C): [V c] transposed
    targets : ndarray, (rows,) int64, or (rows, C)
        Labels for the softmax cross-entropy, numbers for the squared loss.
    scale : float
    delta : ndarray, (rows, C); overwritten
    totals : ndarray, (chunks, 4), float64
        The first column is overwritten with the sum of losses of each chunk.
    bounds : ndarray, (chunks + 1,), int64
        Cut of the rows.
    """
    left = z_rows.shape[1] - phi_t.shape[0]
    for chunk in prange(len(bounds) - 1):
        own = slice(bounds[chunk], bounds[chunk + 1])
        totals[chunk, 0] = _read_out(z_rows[own, left:], phi_t, targets[own], scale, delta[own])


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
def _pull(
    z, delta, edge, theta, phi, activation, safeguard, lambda_, carried, squares, start, stop
):
    steps, _, hidden = lambda_.shape
    left = z.shape[2] - 1 - hidden
    recurrent = theta[:, theta.shape[1] - 1 - hidden : theta.shape[1] - 1]
    first_output = steps - len(delta)
    norms, workspace = squares[0, start:stop], squares[1, start:stop]
    growth, counted, square = 0.0, 0, 0.0
    if len(edge) > 0:
        for i in range(len(norms)):
            norms[i] = squared_norm(edge[start + i])
    for t in range(steps - 1, -1, -1):
        states = z[t + 1, start:stop, left : left + hidden]
        current = lambda_[t, start:stop]
        arriving = current  # without an output of its own, a step has the carried part only
        if t >= first_output:
            multiply(delta[t - first_output, start:stop], phi[:, :hidden], current)
            times_derivative(activation, current, states)
            arriving = carried[start:stop]
        if t == steps - 1 and len(edge) == 0:
            for i in range(len(norms)):
                norms[i] = squared_norm(current[i])
        else:
            later = lambda_[t + 1, start:stop] if t < steps - 1 else edge[start:stop]
            multiply(later, recurrent, arriving)
            times_derivative(activation, arriving, states)
            g, n = _bound(arriving, norms, workspace, safeguard)
            growth += g
            counted += n
            if t >= first_output:
                _add_rows(current, arriving, norms)
        square += norms.sum()
    return growth, counted, square


@jit(parallel=True)
def multipliers(
    z, delta, edge, theta, phi, activation, safeguard, lambda_, carried, squares, totals, bounds
):
    """Multipliers of ``a_t = Θ z_t``, backward in time.

    ``λ_t = f'(a_t) ⊙ (δ_t V) + c_t`` with ``c_t = f'(a_t) ⊙ (λ_{t+1} W)`` makes the Lagrangian
    stationary. With the safeguard c_t is rescaled to |λ_{t+1}|, sequence by sequence, where it is
    longer: the recurrence never expands, and where it would have, λ is bounded, not stationary.

    Limited by flops: 2 T B H^2, and 2 L B C H for the outputs.

    Parameters
    ----------
    z : ndarray, (T + 1, B, n)
        As `simulate` left it.
    delta : ndarray, (L, B, C)
        Gradient of the loss at the last L outputs: L = 1 or T, or 0 where a later window has them.
    edge : ndarray, (B, H), or (0, H) where the sequence ends with this window
        λ of the step after the window.
    theta, phi : ndarray, (H, D + H + 1) and (C, H + 1)
    activation : int
    safeguard : bool
    lambda_ : ndarray, (T, B, H); overwritten
    carried, squares : ndarray, (B, H) and (2, B) float64
        Workspace.
    totals : ndarray, (chunks, 4), float64
        All but the first column are overwritten: sum of ``log(|c_t| / |λ_{t+1}|)`` before
        rescaling, the number of its terms, and the sum of squares of the multipliers.
    bounds : ndarray, (chunks + 1,), int64
        Cut of the B sequences.
    """
    for chunk in prange(len(bounds) - 1):
        totals[chunk, 1:] = 0
        for start in range(bounds[chunk], bounds[chunk + 1], SEQUENCES):
            growth, counted, square = _pull(
                z, delta, edge, theta, phi, activation, safeguard, lambda_, carried, squares,
                start, min(start + SEQUENCES, bounds[chunk + 1]),
            )  # fmt: skip
            totals[chunk, 1] += growth
            totals[chunk, 2] += counted
            totals[chunk, 3] += square


@jit(parallel=True)
def sweep(
    z, tokens, theta, theta_t, phi, phi_t, activation, targets, scale, safeguard, delta, lambda_,
    carried, squares, totals, bounds,
):  # fmt: skip
    """`simulate`, `read_out` and `multipliers` at once, for sequences that end with the window.

    A few sequences go forward and back again before the next ones, while what they have written is
    in a near cache. Arguments as there, but: ``theta_t`` and ``phi_t`` are workspace for the
    transposed weights, ``delta`` is (L, B, C) with ``targets`` in the order of its rows, and all
    four columns of ``totals`` are overwritten.
    """
    transpose(theta, theta_t[len(theta_t) - theta.shape[1] :])
    transpose(phi, phi_t)
    steps, batch, hidden = lambda_.shape
    outputs, left = len(delta), z.shape[2] - 1 - hidden
    for chunk in prange(len(bounds) - 1):
        totals[chunk] = 0
        for start in range(bounds[chunk], bounds[chunk + 1], SEQUENCES):
            stop = min(start + SEQUENCES, bounds[chunk + 1])
            _simulate(z, tokens, theta_t, activation, start, stop)
            for t in range(outputs):
                totals[chunk, 0] += _read_out(
                    z[steps + 1 - outputs + t, start:stop, left:], phi_t,
                    targets[t * batch + start : t * batch + stop], scale, delta[t, start:stop],
                )  # fmt: skip
            growth, counted, square = _pull(
                z, delta, carried[:0], theta, phi, activation, safeguard, lambda_, carried,
                squares, start, stop,
            )  # fmt: skip
            totals[chunk, 1] += growth
            totals[chunk, 2] += counted
            totals[chunk, 3] += square
