"""The weight block of `condensed`: multiplier sums, Gram, factor, step with a penalty per unit.

For weights Θ (units, n) acting on rows z: the sum ``g = Σ λᵀ z`` (units, n), the Gram
``R = mean z zᵀ`` (n, n; lower triangle only), and the step
``Θ_i <- Θ_i - (1/ρ_i) m̂_i (R + δI)⁻¹`` of algorithm 2.3.
"""

import math

from numba import prange

from ..core.blas import potrf, potri
from ..core.jit import jit
from ..core.rows import add_by_token, dot, row
from ..core.tiles import gram as gram_of
from ..core.tiles import multiply, multiply_transposed


@jit(internal=True)
def sum_part(rows, lambda_, with_gram, g, gram):
    """What some rows contribute to `sums`."""
    z = rows[:, rows.shape[1] - g.shape[1] :]
    multiply_transposed(lambda_, z, g)
    if with_gram:
        gram_of(z, gram)


@jit(internal=True)
def add_parts(rows, with_gram, g_parts, gram_parts, g, gram, chunk):
    """A chunk's share of the units of ``g`` and ``gram`` in `sums`, from all parts."""
    chunks = len(g_parts)
    _add_units(g_parts, 1.0, g, chunk, chunks)
    if with_gram:
        _add_units(gram_parts, 1.0 / max(len(rows), 1), gram, chunk, chunks)


@jit(parallel=True)
def sums(rows, lambda_, with_gram, g_parts, gram_parts, bounds, g, gram):
    """``g <- λᵀ Z`` and the lower triangle of ``gram <- Zᵀ Z / rows``; Z: last n columns of rows.

    Limited by flops: rows (2 units n + n^2), the second term with the Gram only.

    Parameters
    ----------
    rows : ndarray, (r, n) or wider
    lambda_ : ndarray, (r, units)
    with_gram : bool
        False leaves ``gram`` alone.
    g_parts, gram_parts : ndarray, (chunks, units, n) and (chunks, n, n)
        Workspace.
    bounds : ndarray, (chunks + 1,), int64
        Cut of the rows.
    g : ndarray, (units, n); overwritten
    gram : ndarray, (n, n); overwritten
        Its upper triangle with numbers of no meaning.
    """
    for chunk in prange(len(bounds) - 1):
        own = slice(bounds[chunk], bounds[chunk + 1])
        sum_part(rows[own], lambda_[own], with_gram, g_parts[chunk], gram_parts[chunk])
    for chunk in prange(len(bounds) - 1):
        add_parts(rows, with_gram, g_parts, gram_parts, g, gram, chunk)


@jit(internal=True)
def _add_units(parts, scale, total, share, shares):
    """Rows ``share, share + shares, ...`` of the scaled sum of parts, always in the same order."""
    factor = total.dtype.type(scale)
    for i in range(share, total.shape[0], shares):
        values, first = row(total, i), parts[0, i]
        for j in range(len(values)):
            values[j] = factor * first[j]
        for part in range(1, len(parts)):
            addend = parts[part, i]
            for j in range(len(values)):
                values[j] += factor * addend[j]


@jit(parallel=True)
def token_sums(tokens, rows, lambda_, with_gram, g_parts, cross_parts, bounds, g, gram):
    """The token part of `sums`: inputs are one-hot rows [e_token; z], never formed.

    The Gram's block of the D tokens is diagonal, ``counts / rows``; its block of tokens and dense
    inputs sums the rows z of each token. The dense blocks are what `sums` gives.

    Parameters
    ----------
    tokens : ndarray, (r,), integers in [0, D)
    rows : ndarray, (r, n)
    lambda_ : ndarray, (r, units)
    with_gram : bool
        False leaves ``gram`` alone.
    g_parts, cross_parts : ndarray, (chunks, D, units) and (chunks, D, n)
        Workspace.
    bounds : ndarray, (chunks + 1,), int64
        Cut of the rows.
    g : ndarray, (units, D + n); its first D columns are overwritten
    gram : ndarray, (D + n, D + n); the lower triangle of its first D columns is overwritten
    """
    for chunk in prange(len(bounds) - 1):
        own = slice(bounds[chunk], bounds[chunk + 1])
        token_part(
            tokens[own], rows[own], lambda_[own], with_gram, g_parts[chunk], cross_parts[chunk]
        )
    add_tokens(rows, with_gram, g_parts, cross_parts, g, gram)


@jit(internal=True)
def token_part(tokens, rows, lambda_, with_gram, g, cross):
    """What some rows contribute to `token_sums`."""
    _sum_by_token(tokens, lambda_, g)
    if with_gram:
        _sum_by_token(tokens, rows, cross)


@jit(internal=True)
def add_tokens(rows, with_gram, g_parts, cross_parts, g, gram):
    """All of ``g`` and ``gram`` in `token_sums`, from all parts."""
    width = g_parts.shape[1]
    for token in range(width):
        _add_column(g_parts, 1.0, token, g[:, token])
        if with_gram:
            gram[token, :width] = 0
            _add_column(cross_parts, 1.0 / max(len(rows), 1), token, gram[width:, token])
            # the last dense input is the constant one: its sum is the token's count
            gram[token, token] = gram[gram.shape[0] - 1, token]


@jit(internal=True)
def _sum_by_token(tokens, rows, totals):
    totals[:] = 0
    add_by_token(tokens, rows, 1.0, totals)


@jit(internal=True)
def _add_column(parts, scale, token, column):
    """``column <- scale`` times the sum over parts of the token's totals, in a fixed order."""
    factor = parts.dtype.type(scale)
    for i in range(len(column)):
        total = parts[0, token, i]
        for part in range(1, len(parts)):
            total += parts[part, token, i]
        column[i] = factor * total


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


TINY_PENALTY = 1e-30
"""A penalty below this is rounding: no multiplier has reached the unit, and it stays."""


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
def step_units(
    weights, average, inverse, renewed, g, m, v, memories, k, eta, alpha, solved, solved_m, others,
    rho, change, start, stop,
):  # fmt: skip
    """One proximal linear-system update of some units, and of their average.

    ``m <- momentum m + (1 - momentum) g``, ``v_i <- beta2 v_i + (1 - beta2) g_i R̃⁻¹ g_iᵀ``,
    ``m̂ = m / (1 - momentum^k)``, ``ρ_i = sqrt(max(v_i / (1 - beta2^k), m̂_i R̃⁻¹ m̂_iᵀ)) / eta``,
    ``Θ_i <- Θ_i - m̂_i R̃⁻¹ / ρ_i``, ``average <- alpha average + (1 - alpha) Θ``.

    The mean square v_i alone would let multipliers that grow from step to step move a unit by up to
    ``(1 - momentum) / sqrt((1 - beta2) (1 - momentum^2 / beta2))`` times eta, 2.345 with the
    defaults (Cauchy-Schwarz). The square of the mean beside it makes eta the bound.

    Limited by flops: one product with the inverse, 2 units n^2, and a second one after the inverse
    was renewed; in between ``m R̃⁻¹`` is averaged like m itself.

    Parameters
    ----------
    weights, average, g, m : ndarray, (units, n)
        All but ``g`` are updated.
    inverse : ndarray, (n, n)
        R̃⁻¹, from `invert_damped`.
    renewed : bool
        The inverse is not that of the step before.
    v : ndarray, (units,), float64; updated
        Double precision: squares of small multipliers must not vanish.
    memories : (float, float)
        Weights of the past, ``(momentum, beta2)``.
    k : int
        Number of this step, from 1.
    eta, alpha : float
    solved : ndarray, (units, n)
        Workspace.
    solved_m : ndarray, (units, n)
        ``m R̃⁻¹``, kept from step to step.
    others : ndarray, (units,), float64
        What other columns of the same units, with a metric of their own and without momentum, add
        to ``g_i R̃⁻¹ g_iᵀ`` and to ``m̂_i R̃⁻¹ m̂_iᵀ``.
    rho : ndarray, (units,), float64; overwritten
    change : ndarray, (units,), float64; overwritten
        ``ΔΘ_i R̃ ΔΘ_iᵀ <= eta^2``, the squared rms change of the unit's pre-activation.
    start, stop : int
        The units to update.
    """
    momentum, beta2 = memories
    momentum_left, beta2_left = 1 - momentum**k, 1 - beta2**k
    multiply(g[start:stop], inverse, solved[start:stop])
    _average(m[start:stop], g[start:stop], momentum)
    if renewed:
        multiply(m[start:stop], inverse, solved_m[start:stop])
    else:
        _average(solved_m[start:stop], solved[start:stop], momentum)
    for i in range(start, stop):
        v[i] = beta2 * v[i] + (1 - beta2) * (dot(solved[i], g[i]) + others[i])
        size = max(0.0, float(dot(m[i], solved_m[i])) / momentum_left**2) + others[i]
        rho[i] = math.sqrt(max(v[i] / beta2_left, size)) / eta
        change[i] = size / rho[i] ** 2 if rho[i] >= TINY_PENALTY else 0.0
        _step_unit(weights[i], average[i], solved_m[i], rho[i], momentum_left, alpha)
