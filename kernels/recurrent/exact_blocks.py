"""The state blocks of ADMM on an unfolded network, with exact sub-problems (algorithm 2.2).

The augmented Lagrangian, with multipliers on every constraint,

    Σ ℓ(o) + Σ_c <λ_c, r_c> + ρ_c/2 |r_c|²,
    r1 = a_t − Θ z_t,    r2 = s_t − f(a_t),    r3 = o_t − Φ [1; s_t],

separates: given the a's all states are independent, given the states all a's are. So no kernel
here runs through time, and time steps can be cut anywhere: a cut needs `pulls` of the step to its
right and the state to its left, nothing else.

Arrays are those of `fastadmm.kernels.recurrent.recurrence`: ``z`` (T + 1, B, n) holds inputs,
states and ones; a, λ1, λ2 are (T, B, H), outputs o and λ3 (L, B, C) with L = T or 1 (the last step
only). ``active`` (T,) says how many of the sequences have a step, see there; variables of those
that have not begun are left alone. ``bounds`` (chunks + 1,) cuts the B sequences, one a thread.

Each kernel adds up what the stopping rules need: ``sums[chunk, c]`` for constraint c holds |r|²,
|left|², |right|², |λ|², <λ, r>, the square of ρ times the change of a, f(a) and o, and ρ/2 |r|²,
with the new multipliers. ρ1 is a vector over the units, whose constraints are apart. States come
before pre-activations and outputs, so those changes are what is left of the states' condition of
optimality, ``λ2 − λ1 W − λ3 V = −ρ2 Δf(a) − ρ1 Δa W − ρ3 Δo V``, with λ1 and Δa of the next step;
all other conditions but those of the weights hold exactly.
"""

from numba import prange

from ..core.blas import gemm
from ..core.coordinates import at, some_or_one
from ..core.jit import jit
from ..core.rows import row
from ..core.tiles import multiply
from ..operators import losses as losses_of
from ..operators.activations import activate, prox

RESIDUAL, LEFT, RIGHT, MULTIPLIER, ALIGNED, CHANGE, PENALTY = range(7)
"""Places of the sums over a constraint."""
SUMS = 7


@jit
def begun(active, t, start, stop):
    """Those of the sequences ``start:stop`` that have step t."""
    return slice(start, max(start, min(stop, active[t])))


@jit
def add_looked_up(tokens, table, sign, rows):
    """``rows[i] <- rows[i] + sign table[tokens[i]]``."""
    factor = rows.dtype.type(sign)
    for i in range(len(tokens)):
        values, entry = row(rows, i), table[tokens[i]]
        for j in range(len(values)):
            values[j] += factor * entry[j]


@jit
def drive(z, tokens, theta_t, t, part, out):
    """``out <- Θ z_t`` for the sequences of a slice; tokens are looked up."""
    looked_up = len(theta_t) - z.shape[2]
    multiply(z[t, part], theta_t[looked_up:], out)
    if looked_up > 0:
        add_looked_up(tokens[t, part], theta_t, 1.0, out)


@jit(parallel=True)
def preactivations(z, tokens, theta_t, out, active, bounds):
    """``out <- Θ z`` of all steps, (T, B, H). Limited by flops: 2 T B H (D + H + 1)."""
    for chunk in prange(len(bounds) - 1):
        for t in range(len(out)):
            part = begun(active, t, bounds[chunk], bounds[chunk + 1])
            drive(z, tokens, theta_t, t, part, out[t, part])
            out[t, part.stop : bounds[chunk + 1]] = 0


@jit
def _pull(z, tokens, theta_t, rho, t, part, targets):
    hidden = targets.shape[1]
    inputs = z.shape[2] - 1 - hidden
    bias = theta_t[len(theta_t) - 1 - hidden]
    if len(theta_t) > z.shape[2]:
        add_looked_up(tokens[t, part], theta_t, -1.0, targets)
    if inputs > 0:
        gemm(-1.0, z[t, part, :inputs], False, theta_t[:inputs], False, 1.0, targets)
    for i in range(len(targets)):
        values = row(targets, i)
        for j in range(hidden):
            values[j] = rho[j] * (values[j] - bias[j])


@jit(parallel=True)
def pulls(z, tokens, theta_t, rho1, targets, active, bounds):
    """``targets <- ρ1 (targets − U x − b)`` in place: what the recurrent weights pull states to.

    With ``targets = a + λ1/ρ1``, as `update_preactivations` leaves them, state t - 1 feels
    ``targets[t] W``. Limited by flops: 2 T B H D.

    Parameters
    ----------
    z : ndarray, (T + 1, B, n)
    tokens : ndarray, (T, B), integers; (0, 0) for dense inputs
    theta_t : ndarray, (D + 1 + H, H): [U b W] transposed
    rho1 : ndarray, (H,)
    targets : ndarray, (T, B, H)
    active : ndarray, (T,), int64
    bounds : ndarray, (chunks + 1,), int64
    """
    for chunk in prange(len(bounds) - 1):
        for t in range(len(targets)):
            part = begun(active, t, bounds[chunk], bounds[chunk + 1])
            _pull(z, tokens, theta_t, rho1, t, part, targets[t, part])


@jit
def _begin_states(a, lambda_, rho, activation, rhs):
    """``rhs <- ρ2 f(a) − λ2``."""
    factor = rhs.dtype.type(rho)
    rhs[:] = a
    activate(activation, rhs)
    for i in range(len(rhs)):
        values, dual = row(rhs, i), row(lambda_, i)
        for j in range(len(values)):
            values[j] = factor * values[j] - dual[j]


@jit(parallel=True)
def update_states(
    z, a, lambda2, pulled, edge, output_pull, theta, phi, inner, last, rho2, activation, work,
    active, bounds,
):  # fmt: skip
    """All states, ``s_t = (ρ2 f(a_t) − λ2 + pulled_{t+1} W + output_pull_t V) K⁻¹``.

    ``K = ρ2 I + Wᵀ diag(ρ1) W + ρ3 VᵀV``, with the W term where a later step exists and the V term
    where an output does: the same matrix for all sequences and all steps but the last.

    Limited by flops: 4 T B H^2, and 2 L B C H for the outputs.

    Parameters
    ----------
    z : ndarray, (T + 1, B, n)
        Its states s_1..s_T are overwritten.
    a, lambda2 : ndarray, (T, B, H)
    pulled : ndarray, (T, B, H)
        From `pulls`.
    edge : ndarray, (B, H), or (0, H) where the sequence ends with this window
        ``pulled`` of the step after the window.
    output_pull : ndarray, (L, B, C)
        ``ρ3 (o − c) + λ3``; L = 0 where the window has no outputs.
    theta, phi : ndarray, (H, D + 1 + H) and (C, 1 + H)
    inner, last : ndarray, (H, H)
        K⁻¹ of all steps but the sequence's last, and of that one.
    rho2 : float
    activation : int
    work : ndarray, (1, B, H) or longer
    active : ndarray, (T,), int64
    bounds : ndarray, (chunks + 1,), int64
    """
    steps, _, hidden = a.shape
    left, first_output = z.shape[2] - hidden, steps - len(output_pull)
    recurrent = theta[:, theta.shape[1] - hidden :]
    for chunk in prange(len(bounds) - 1):
        for t in range(steps):
            part = begun(active, t, bounds[chunk], bounds[chunk + 1])
            rhs = work[0, part]
            _begin_states(a[t, part], lambda2[t, part], rho2, activation, rhs)
            is_last = t == steps - 1 and len(edge) == 0
            if not is_last:
                pull = pulled[t + 1, part] if t < steps - 1 else edge[part]
                gemm(1.0, pull, False, recurrent, False, 1.0, rhs)
            if t >= first_output:
                pull = output_pull[t - first_output, part]
                gemm(1.0, pull, False, phi[:, 1:], False, 1.0, rhs)
            multiply(rhs, last if is_last else inner, z[t + 1, part, left:])


@jit(reassociate=True)
def _aim(driven, states, a, value, lambda1, lambda2, rho1, rho2, relaxation):
    """``λ1 <- m`` and ``λ2 <- σ``: what the two terms pull a and f(a) to.

    With over-relaxation α, ``α Θz + (1 − α) a`` stands for Θz and ``α s + (1 − α) f(a)`` for s.
    """
    real = a.dtype.type
    take, keep = real(relaxation), real(1 - relaxation)
    inverse2 = real(1 / rho2)
    for i in range(len(a)):
        d, s, old, f = row(driven, i), row(states, i), row(a, i), row(value, i)
        l1, l2 = row(lambda1, i), row(lambda2, i)
        for j in range(len(old)):
            l1[j] = take * d[j] + keep * old[j] - l1[j] / rho1[j]
            l2[j] = take * s[j] + keep * f[j] + l2[j] * inverse2


@jit
def _add_row_sums(residual, left, right, multiplier, aligned, weighted, sums):
    """Add one row's squared norms, inner product and ``ρ r²`` to the sums of its constraint."""
    sums[RESIDUAL] += residual
    sums[LEFT] += left
    sums[RIGHT] += right
    sums[MULTIPLIER] += multiplier
    sums[ALIGNED] += aligned
    sums[PENALTY] += 0.5 * weighted


@jit(reassociate=True)
def _ascend(
    fresh, value, old_value, driven, states, a, lambda1, lambda2, targets, rho1, rho2, sums
):
    """Take the new a, and from the aims the multipliers ``ρ1 (a − m)`` and ``ρ2 (σ − f(a))``."""
    real = a.dtype.type
    factor2, zero = real(rho2), real(0)
    for i in range(len(a)):
        new, f, d, s = row(fresh, i), row(value, i), row(driven, i), row(states, i)
        old_f = row(old_value, i)
        old, l1, l2, target = row(a, i), row(lambda1, i), row(lambda2, i), row(targets, i)
        r1, r2, a2, d2, s2, f2 = zero, zero, zero, zero, zero, zero
        m1, m2, al1, al2, change1, change2 = zero, zero, zero, zero, zero, zero
        weighted = zero
        for j in range(len(new)):
            factor1 = rho1[j]
            l1[j] = factor1 * (new[j] - l1[j])
            l2[j] = factor2 * (l2[j] - f[j])
            target[j] = new[j] + l1[j] / factor1
            gap1, gap2 = new[j] - d[j], s[j] - f[j]
            moved1, moved2 = factor1 * (new[j] - old[j]), factor2 * (f[j] - old_f[j])
            old[j] = new[j]
            r1 += gap1 * gap1
            weighted += factor1 * gap1 * gap1
            r2 += gap2 * gap2
            a2 += new[j] * new[j]
            d2 += d[j] * d[j]
            s2 += s[j] * s[j]
            f2 += f[j] * f[j]
            m1 += l1[j] * l1[j]
            m2 += l2[j] * l2[j]
            al1 += l1[j] * gap1
            al2 += l2[j] * gap2
            change1 += moved1 * moved1
            change2 += moved2 * moved2
        _add_row_sums(r1, a2, d2, m1, al1, weighted, sums[0])
        _add_row_sums(r2, s2, f2, m2, al2, factor2 * r2, sums[1])
        sums[0, CHANGE] += change1
        sums[1, CHANGE] += change2


@jit(parallel=True)
def update_preactivations(
    z, tokens, theta_t, a, lambda1, lambda2, rho1, rho2, relaxation, activation, targets, work,
    sums, active, bounds,
):  # fmt: skip
    """All pre-activations, each the global minimiser, and then the multipliers λ1 and λ2.

    ``a_t = argmin ρ1/2 (a − Θ z_t + λ1/ρ1)² + ρ2/2 (s_t + λ2/ρ2 − f(a))²``, element by element;
    ``λ1 <- λ1 + ρ1 (a − Θ z)``, ``λ2 <- λ2 + ρ2 (s − f(a))``. Afterwards ``λ1 = λ2 f'(a)`` holds.

    Limited by the prox of smooth activations (a few Newton steps an entry); 2 T B H (D + H + 1)
    flops in products.

    Parameters
    ----------
    z : ndarray, (T + 1, B, n)
    tokens : ndarray, (T, B), integers; (0, 0) for dense inputs
    theta_t : ndarray, (D + 1 + H, H)
    a, lambda1, lambda2 : ndarray, (T, B, H); overwritten
    rho1 : ndarray, (H,)
    rho2 : float
    relaxation : float
        α in (0, 2); 1 leaves the sub-problem as it is.
    activation : int
    targets : ndarray, (T, B, H); overwritten with ``a + λ1/ρ1``
    work : ndarray, (4, B, H)
    sums : ndarray, (chunks, 3, 7), float64; the first two constraints
    active : ndarray, (T,), int64
    bounds : ndarray, (chunks + 1,), int64
    """
    steps, _, hidden = a.shape
    left = z.shape[2] - hidden
    for chunk in prange(len(bounds) - 1):
        sums[chunk, :2, :] = 0
        for t in range(steps):
            part = begun(active, t, bounds[chunk], bounds[chunk + 1])
            driven, fresh = work[0, part], work[1, part]
            value, old_value = work[2, part], work[3, part]
            old, l1, l2 = a[t, part], lambda1[t, part], lambda2[t, part]
            states = z[t + 1, part, left:]
            drive(z, tokens, theta_t, t, part, driven)
            old_value[:] = old
            activate(activation, old_value)
            _aim(driven, states, old, old_value, l1, l2, rho1, rho2, relaxation)
            for i in range(len(fresh)):
                prox(activation, row(l1, i), row(l2, i), rho1, rho2, row(fresh, i))
            value[:] = fresh
            activate(activation, value)
            _ascend(
                fresh, value, old_value, driven, states, old, l1, l2, targets[t, part], rho1, rho2,
                sums[chunk],
            )  # fmt: skip


@jit(reassociate=True)
def _ascend_outputs(fresh, driven, o, lambda_, targets, rho, sums):
    """Take the new outputs, and from the aims in ``lambda_`` the multipliers ``ρ3 (o − m)``."""
    factor, inverse = o.dtype.type(rho), o.dtype.type(1 / rho)
    for i in range(len(o)):
        new, d, old = fresh[i], driven[i], o[i]
        dual, target = lambda_[i], targets[i]
        for j in range(len(new)):
            dual[j] = factor * (new[j] - dual[j])
            target[j] = new[j] + dual[j] * inverse
            gap, moved = new[j] - d[j], factor * (new[j] - old[j])
            old[j] = new[j]
            sums[RESIDUAL] += gap * gap
            sums[LEFT] += new[j] * new[j]
            sums[RIGHT] += d[j] * d[j]
            sums[MULTIPLIER] += dual[j] * dual[j]
            sums[ALIGNED] += dual[j] * gap
            sums[CHANGE] += moved * moved
    sums[PENALTY] = 0.5 * rho * sums[RESIDUAL]


@jit
def _aim_outputs(driven, o, lambda_, rho, relaxation):
    take, keep = o.dtype.type(relaxation), o.dtype.type(1 - relaxation)
    inverse = o.dtype.type(1 / rho)
    for i in range(len(o)):
        for j in range(o.shape[1]):
            lambda_[i, j] = take * driven[i, j] + keep * o[i, j] - lambda_[i, j] * inverse


@jit(parallel=True)
def update_outputs(
    z, phi, y, weights, o, lambda_, rho, relaxation, targets, work, losses, sums, active, bounds
):
    """All outputs, ``o = prox_{ℓ/ρ3}(Φ [1; s] − λ3/ρ3)``, then λ3. Afterwards ``∇ℓ(o) + λ3 = 0``.

    Parameters
    ----------
    z : ndarray, (T + 1, B, n)
        Its last H + 1 columns are read.
    phi : ndarray, (C, 1 + H)
    y : ndarray, (L B,) int64, or (L B, C)
        Labels for the softmax cross-entropy, numbers for the squared loss.
    weights : ndarray, (L B,), or None for ones
        Of the losses.
    o, lambda_ : ndarray, (L, B, C); overwritten
    rho, relaxation : float
    targets : ndarray, (L, B, C); overwritten with ``o + λ3/ρ3``
    work : ndarray, (2, L, B, C)
    losses : ndarray, (chunks,), float64; overwritten with the sums of losses
    sums : ndarray, (chunks, 3, 7), float64; the third constraint
    active : ndarray, (T,), int64
    bounds : ndarray, (chunks + 1,), int64
    """
    outputs, batch, _ = o.shape
    left, first = z.shape[2] - phi.shape[1], z.shape[0] - 1 - outputs
    for chunk in prange(len(bounds) - 1):
        losses[chunk] = 0
        sums[chunk, 2, :] = 0
        for place in range(outputs):
            part = begun(active, first + place, bounds[chunk], bounds[chunk + 1])
            driven, fresh, dual = work[0, place, part], work[1, place, part], lambda_[place, part]
            gemm(1.0, z[first + place + 1, part, left:], False, phi, True, 0.0, driven)
            _aim_outputs(driven, o[place, part], dual, rho, relaxation)
            own = slice(place * batch + part.start, place * batch + part.stop)
            losses[chunk] += losses_of.prox(dual, y[own], 1 / rho, some_or_one(weights, own), fresh)
            _ascend_outputs(
                fresh, driven, o[place, part], dual, targets[place, part], rho, sums[chunk, 2]
            )


@jit(reassociate=True)
def _add_sums(left, right, lambda_, weight, sums):
    """Add the terms of one constraint to all of its sums but the change.

    ``weight`` is its penalty, or one of every unit.
    """
    real, zero = left.dtype.type, left.dtype.type(0)
    for i in range(len(left)):
        x, y, dual = row(left, i), row(right, i), row(lambda_, i)
        r2, x2, y2, l2, aligned, weighted = zero, zero, zero, zero, zero, zero
        for j in range(len(x)):
            gap = x[j] - y[j]
            r2 += gap * gap
            x2 += x[j] * x[j]
            y2 += y[j] * y[j]
            l2 += dual[j] * dual[j]
            aligned += dual[j] * gap
            weighted += real(at(weight, j)) * gap * gap
        _add_row_sums(r2, x2, y2, l2, aligned, weighted, sums)


@jit(parallel=True)
def measure(
    z, tokens, theta_t, a, lambda1, lambda2, w1, w2, activation, work, sums, active, bounds
):
    """Sums over the first two constraints as all variables are; the changes are left alone.

    Parameters
    ----------
    z, tokens, theta_t, a, lambda1, lambda2, activation, sums, active, bounds
        As in `update_preactivations`.
    w1 : ndarray, (T, H) or longer
        Penalties of every step and unit.
    w2 : ndarray, (T,) or longer
        Penalties of every step.
    work : ndarray, (2, B, H) or longer
    """
    steps, _, hidden = a.shape
    left = z.shape[2] - hidden
    for chunk in prange(len(bounds) - 1):
        for c in range(2):
            sums[chunk, c, :CHANGE] = 0
            sums[chunk, c, PENALTY] = 0
        for t in range(steps):
            part = begun(active, t, bounds[chunk], bounds[chunk + 1])
            driven, value, states = work[0, part], work[1, part], z[t + 1, part, left:]
            drive(z, tokens, theta_t, t, part, driven)
            value[:] = a[t, part]
            activate(activation, value)
            _add_sums(a[t, part], driven, lambda1[t, part], w1[t], sums[chunk, 0])
            _add_sums(states, value, lambda2[t, part], w2[t], sums[chunk, 1])


@jit(parallel=True)
def measure_outputs(z, phi, o, lambda_, w3, work, sums, active, bounds):
    """Sums over the third constraint; ``w3`` (L,) holds the penalties of the steps with outputs.

    Other arguments as in `update_outputs`, with ``work`` (L, B, C).
    """
    outputs = len(o)
    left, first = z.shape[2] - phi.shape[1], z.shape[0] - 1 - outputs
    for chunk in prange(len(bounds) - 1):
        sums[chunk, 2, :CHANGE] = 0
        sums[chunk, 2, PENALTY] = 0
        for place in range(outputs):
            part = begun(active, first + place, bounds[chunk], bounds[chunk + 1])
            driven = work[place, part]
            gemm(1.0, z[first + place + 1, part, left:], False, phi, True, 0.0, driven)
            _add_sums(o[place, part], driven, lambda_[place, part], w3[place], sums[chunk, 2])
