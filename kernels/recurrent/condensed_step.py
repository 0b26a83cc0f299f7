"""The step of `condensed` in two calls, so that a small network does not wait for Python."""

import math

from numba import prange

from ..core.jit import jit
from ..core.rows import row
from . import token_weights
from .weights import add_parts, average_gram, invert_damped, step_units, sum_part


@jit(internal=True)
def _rows(steps):
    """Rows of all steps, (T B, n), without a copy."""
    return steps.reshape(steps.shape[0] * steps.shape[1], steps.shape[2])


@jit(parallel=True)
def window_sums(
    z, lambda_, delta, tokens, with_gram, row_bounds, output_bounds, theta_sums, token_sums,
    phi_sums,
):  # fmt: skip
    """Multiplier sums and Grams of both weight blocks over a window.

    Parameters
    ----------
    z : ndarray, (T + 1, B, n)
        As `recurrence.simulate` left it.
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
    token_sums : TokenSums, or None for dense inputs
        Of a capacity of at least T B; overwritten with the sums of ``lambda_``.

    Returns
    -------
    int
        The number of distinct tokens.
    """
    rows, output_rows = _rows(z[: len(lambda_)]), _rows(z[len(z) - len(delta) :])
    lambda_rows, delta_rows = _rows(lambda_), _rows(delta)
    g, gram, g_parts, gram_parts = theta_sums
    phi_g, phi_gram, phi_g_parts, phi_gram_parts = phi_sums
    chunks, distinct = len(row_bounds) - 1, 0
    if token_sums is not None:
        distinct = token_weights.group(tokens.reshape(tokens.size), None, token_sums)
    for chunk in prange(chunks):
        own = slice(row_bounds[chunk], row_bounds[chunk + 1])
        sum_part(rows[own], lambda_rows[own], with_gram, g_parts[chunk], gram_parts[chunk])
        if token_sums is not None:
            token_weights.sum_groups(lambda_rows, distinct, token_sums, chunk, chunks)
        own = slice(output_bounds[chunk], output_bounds[chunk + 1])
        sum_part(
            output_rows[own], delta_rows[own], with_gram, phi_g_parts[chunk], phi_gram_parts[chunk]
        )
    for chunk in prange(chunks):
        add_parts(rows, with_gram, g_parts, gram_parts, g, gram, chunk)
        add_parts(output_rows, with_gram, phi_g_parts, phi_gram_parts, phi_g, phi_gram, chunk)
    return distinct


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
    theta, phi, token_rows, token_sums, visits, inputs, kept, gram_memory, renewed, damping,
    memories, k, eta, alpha, statuses,
):  # fmt: skip
    """The proximal step of both weight blocks, after the growth guard.

    Parameters
    ----------
    theta, phi : tuple of ndarray
        ``weights, average, gram, batch_gram, inverse, g, m, solved, solved_m, of_units, bounds``,
        see `weights.step_units`; all but ``g`` and ``bounds`` are updated. ``of_units`` (4, units)
        has the rows ``v, rho, change, others``: every array of a call takes time to hand over.
    token_rows, token_sums : TokenRows and TokenSums, or None for dense inputs
        The first is updated.
    visits : (int, float, float, float, float)
        Arguments of `token_weights.visit`: ``distinct, total, ridge, log_kept, log_alpha``.
    inputs : int
        Columns of ``theta`` before the recurrent weights.
    kept : float
        The growth guard's factor of the recurrent weights.
    gram_memory : float
        Weight of the past in the Grams; 1 leaves them alone.
    renewed : bool
        Renew the inverses.
    damping : float
        As of `weights.invert_damped`, where the inverses are renewed.
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
    weights, average, gram, fresh, inverse, g, m, solved, solved_m, of_units, bounds = theta
    (
        phi_weights, phi_average, phi_gram, phi_fresh, phi_inverse, phi_g, phi_m, phi_solved,
        phi_solved_m, of_phi, phi_bounds,
    ) = phi  # fmt: skip
    v, rho, change, others = of_units[0], of_units[1], of_units[2], of_units[3]
    phi_v, phi_rho, phi_change, phi_others = of_phi[0], of_phi[1], of_phi[2], of_phi[3]
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
    distinct, total, ridge, log_kept, log_alpha = visits
    if token_rows is not None:
        token_weights.visit(token_rows, token_sums, distinct, total, ridge, log_kept, log_alpha)
    for chunk in prange(len(bounds) - 1):
        if token_rows is not None:
            token_weights.add_squares(
                token_sums, distinct, others, bounds[chunk], bounds[chunk + 1]
            )
        step_units(
            weights, average, inverse, renewed, g, m, v, memories, k, eta, alpha, solved, solved_m,
            others, rho, change, bounds[chunk], bounds[chunk + 1],
        )  # fmt: skip
        if token_rows is not None:
            token_weights.step(
                token_rows, token_sums, distinct, alpha, rho, bounds[chunk], bounds[chunk + 1]
            )
        step_units(
            phi_weights, phi_average, phi_inverse, renewed, phi_g, phi_m, phi_v, memories, k, eta,
            alpha, phi_solved, phi_solved_m, phi_others, phi_rho, phi_change, phi_bounds[chunk],
            phi_bounds[chunk + 1],
        )  # fmt: skip
    return _summary(change, rho)
