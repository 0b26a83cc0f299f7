"""The step of `condensed` in two calls, so that a small network does not wait for Python."""

import math

from numba import prange

from .jit import jit
from .rows import row
from .weights import (
    add_parts,
    add_tokens,
    average_gram,
    invert_damped,
    step_units,
    sum_part,
    token_part,
)


@jit(internal=True)
def _rows(steps):
    """Rows of all steps, (T B, n), without a copy."""
    return steps.reshape(steps.shape[0] * steps.shape[1], steps.shape[2])


@jit(parallel=True)
def window_sums(
    z, lambda_, delta, tokens, with_gram, row_bounds, output_bounds, theta_sums, token_parts,
    phi_sums,
):  # fmt: skip
    """Multiplier sums and Grams of both weight blocks over a window.

    Parameters
    ----------
    z : ndarray, (T + 1, B, n)
        As `states.simulate` left it.
    lambda_ : ndarray, (T, B, H)
    delta : ndarray, (L, B, C)
        Multipliers of the last L outputs.
    tokens : ndarray, (T, B), integers; (0, 0) for dense inputs
    with_gram : bool
        False leaves the Grams alone.
    row_bounds, output_bounds : ndarray, (chunks + 1,), int64
        Cuts of the T B rows and of the L B outputs.
    theta_sums, phi_sums : tuple of ndarray
        ``g, gram, g_parts, gram_parts`` of `weights.sums`; the first two are overwritten.
    token_parts : tuple of ndarray, or None for dense inputs
        ``g_parts, cross_parts`` of `weights.token_sums`.
    """
    rows, output_rows = _rows(z[: len(lambda_)]), _rows(z[len(z) - len(delta) :])
    lambda_rows, delta_rows, tokens = _rows(lambda_), _rows(delta), tokens.reshape(tokens.size)
    g, gram, g_parts, gram_parts = theta_sums
    width = g.shape[1] - rows.shape[1]  # of the tokens
    phi_g, phi_gram, phi_g_parts, phi_gram_parts = phi_sums
    for chunk in prange(len(row_bounds) - 1):
        own = slice(row_bounds[chunk], row_bounds[chunk + 1])
        sum_part(rows[own], lambda_rows[own], with_gram, g_parts[chunk], gram_parts[chunk])
        if token_parts is not None:
            token_part(
                tokens[own], rows[own], lambda_rows[own], with_gram, token_parts[0][chunk],
                token_parts[1][chunk],
            )  # fmt: skip
        own = slice(output_bounds[chunk], output_bounds[chunk + 1])
        sum_part(
            output_rows[own], delta_rows[own], with_gram, phi_g_parts[chunk], phi_gram_parts[chunk]
        )
    for chunk in prange(len(row_bounds) - 1):
        add_parts(rows, with_gram, g_parts, gram_parts, g[:, width:], gram[width:, width:], chunk)
        add_parts(
            output_rows, with_gram, phi_g_parts, phi_gram_parts, phi_g[:, 0:], phi_gram[0:, 0:],
            chunk,
        )  # fmt: skip
    if token_parts is not None:
        add_tokens(rows, with_gram, token_parts[0], token_parts[1], g, gram)


@jit(internal=True)
def _scale(a, factor):
    for i in range(len(a)):
        values, by = row(a, i), a.dtype.type(factor)
        for j in range(len(values)):
            values[j] *= by


@jit(internal=True)
def _summary(change, rho):
    """Root mean square change, smallest and largest penalty."""
    total, least, most = 0.0, rho[0], rho[0]
    for i in range(len(rho)):
        total += change[i]
        least, most = min(least, rho[i]), max(most, rho[i])
    return math.sqrt(total / len(rho)), least, most


@jit(parallel=True)
def move(
    theta, phi, inputs, kept, gram_memory, renewed, damping, memories, k, eta, alpha, statuses
):
    """The proximal step of both weight blocks, after the growth guard.

    Parameters
    ----------
    theta, phi : tuple of ndarray
        ``weights, average, gram, batch_gram, inverse, g, m, solved, solved_m, v, rho, change,
        bounds``, see `weights.step_units`; all but ``g`` and ``bounds`` are updated.
    inputs : int
        Columns of Θ before the recurrent weights.
    kept : float
        The growth guard's factor of the recurrent weights.
    gram_memory : float
        Weight of the past in the Grams; 1 leaves them alone.
    renewed : bool
        Renew the inverses, with this ``damping``.
    memories, k, eta, alpha
        As of `weights.step_units`.
    statuses : ndarray, (2,), int64
        Overwritten as by `weights.invert_damped` where the inverses are renewed.

    Returns
    -------
    step_length, rho_min, rho_max : float
        Root mean square change of the pre-activations, and the extreme penalties of the hidden
        units; NaN where a Gram is not positive definite, and then the weights stay.
    """
    weights, average, gram, fresh, inverse, g, m, solved, solved_m, v, rho, change, bounds = theta
    (
        phi_weights, phi_average, phi_gram, phi_fresh, phi_inverse, phi_g, phi_m, phi_solved,
        phi_solved_m, phi_v, phi_rho, phi_change, phi_bounds,
    ) = phi  # fmt: skip
    if gram_memory < 1:
        average_gram(gram, fresh, gram_memory)
        average_gram(phi_gram, phi_fresh, gram_memory)
    if renewed:
        grams, inverses = (gram, phi_gram), (inverse, phi_inverse)
        for i in prange(2):
            statuses[i] = invert_damped(grams[i], damping, inverses[i])
        if statuses[0] != 0 or statuses[1] != 0:
            return math.nan, math.nan, math.nan
    if kept < 1:
        _scale(weights[:, inputs : weights.shape[1] - 1], kept)
    for chunk in prange(len(bounds) - 1):
        step_units(
            weights, average, inverse, renewed, g, m, v, memories, k, eta, alpha, solved, solved_m,
            rho, change, bounds[chunk], bounds[chunk + 1],
        )  # fmt: skip
        step_units(
            phi_weights, phi_average, phi_inverse, renewed, phi_g, phi_m, phi_v, memories, k, eta,
            alpha, phi_solved, phi_solved_m, phi_rho, phi_change, phi_bounds[chunk],
            phi_bounds[chunk + 1],
        )  # fmt: skip
    return _summary(change, rho)
