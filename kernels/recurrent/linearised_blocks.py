"""The state blocks of `admmirnn`: proximal linearised steps, swept through time (algorithm 2.1).

Every update is ``x <- x − ∇_x L / τ_x`` with τ_x at least the Lipschitz constant of ∇_x L, so that
none raises the augmented Lagrangian

    Σ ℓ(o) + Σ_t <λ1_t, r1_t> + w1_t/2 |r1_t|² + <λ2_t, r2_t> + w2_t/2 |r2_t|² + (outputs),
    r1 = a_t − Θ z_t,    r2 = s_t − f(a_t).

The weights w depend on the step: the last one has penalties with multipliers, those before it a
penalty alone. Unlike the exact blocks (`fastadmm.kernels.recurrent.exact_blocks`), each step here
sees what its neighbour has just become; sequences are independent. Array names are those of that
module.
"""

from numba import prange

from ..core.blas import gemm
from ..core.jit import jit
from ..core.rows import row
from ..operators.activations import activate, limits, times_derivative
from .exact_blocks import begun, drive

HALVINGS = 10
"""Proposals of a step, each half of the one before; the last one is to stay."""


@jit(reassociate=True)
def _step_states(states, gradient, tau):
    """``s <- s − gradient / τ``."""
    inverse = gradient.dtype.type(1 / tau)
    for i in range(len(gradient)):
        s, g = row(states, i), row(gradient, i)
        for j in range(len(g)):
            s[j] -= inverse * g[j]


@jit
def _state_gradient(states, a, lambda2, weight, activation, value, gradient):
    """``gradient <- λ2 + w2 (s − f(a))``; leaves f(a) in ``value``."""
    factor = gradient.dtype.type(weight)
    value[:] = a
    activate(activation, value)
    for i in range(len(a)):
        s, f, l2, g = row(states, i), row(value, i), row(lambda2, i), row(gradient, i)
        for j in range(len(g)):
            g[j] = l2[j] + factor * (s[j] - f[j])


@jit
def _pull(a, driven, lambda1, weight, out):
    """``out <- λ1 + w1 (a − Θ z)``."""
    factor = out.dtype.type(weight)
    for i in range(len(out)):
        x, d, l1, p = row(a, i), row(driven, i), row(lambda1, i), row(out, i)
        for j in range(len(p)):
            p[j] = l1[j] + factor * (x[j] - d[j])


@jit
def _cost(a, f, d, s, l1, l2, w1, w2):
    near, far = a - d, s - f
    return l1 * near + l2 * far + (w1 * near * near + w2 * far * far) / 2


@jit
def _propose(a, value, slope, driven, states, lambda1, lambda2, w1, w2, within, steps, fresh):
    """First proposal ``a − ∇/τ``; ``steps`` keeps ∇/τ for shorter ones."""
    real = a.dtype.type
    first, second, largest = real(within[0]), real(within[1]), real(within[2])
    p, q = real(w1), real(w2)
    for i in range(len(a)):
        x, f, f1, d = row(a, i), row(value, i), row(slope, i), row(driven, i)
        s, l1, l2 = row(states, i), row(lambda1, i), row(lambda2, i)
        step, new = row(steps, i), row(fresh, i)
        for j in range(len(x)):
            reach = abs(l2[j] + q * s[j]) + q * largest
            tau = p + q * first * first + second * reach
            gradient = l1[j] + p * (x[j] - d[j]) - (l2[j] + q * (s[j] - f[j])) * f1[j]
            step[j] = gradient / tau
            new[j] = x[j] - step[j]


@jit
def _shorten(a, value, driven, states, lambda1, lambda2, w1, w2, shrink, steps, fresh, fresh_value):
    """Shrink the steps that cost more than they save; returns how many did."""
    real = a.dtype.type
    factor, p, q, worse = real(shrink), real(w1), real(w2), 0
    for i in range(len(a)):
        x, f, d, s = row(a, i), row(value, i), row(driven, i), row(states, i)
        l1, l2, step = row(lambda1, i), row(lambda2, i), row(steps, i)
        new, g = row(fresh, i), row(fresh_value, i)
        for j in range(len(x)):
            before = _cost(x[j], f[j], d[j], s[j], l1[j], l2[j], p, q)
            after = _cost(new[j], g[j], d[j], s[j], l1[j], l2[j], p, q)
            rises = after > before
            step[j] = factor * step[j] if rises else step[j]
            new[j] = x[j] - step[j] if rises else new[j]
            worse += 1 if rises else 0
    return worse


@jit
def _step_preactivations(a, driven, states, lambda1, lambda2, w1, w2, activation, work):
    """One linearised step of a, entry by entry."""
    value, steps, fresh, other = work[0], work[1], work[2], work[3]
    value[:] = a
    activate(activation, value)
    other[:] = 1
    times_derivative(activation, other, value)
    within = limits(activation)
    _propose(a, value, other, driven, states, lambda1, lambda2, w1, w2, within, steps, fresh)
    if within[3]:  # across it the bound on the curvature does not hold
        for k in range(HALVINGS):
            other[:] = fresh
            activate(activation, other)
            shrink = 0.5 if k < HALVINGS - 1 else 0.0
            worse = _shorten(
                a, value, driven, states, lambda1, lambda2, w1, w2, shrink, steps, fresh, other
            )
            if worse == 0:
                break
    a[:] = fresh


@jit
def _step_state(
    z, t, part, a, lambda2, pull, has_next, output_gradient, theta, phi, w2, tau, activation, work
):
    """One linearised step of the states after step t, given the pull of step t + 1."""
    hidden = a.shape[2]
    left, recurrent = z.shape[2] - hidden, theta[:, theta.shape[1] - hidden :]
    states, gradient = z[t + 1, part, left:], work[1]
    _state_gradient(states, a[t, part], lambda2[t, part], w2, activation, work[0], gradient)
    if has_next:
        gemm(-1.0, pull, False, recurrent, False, 1.0, gradient)
    if len(output_gradient) > 0:
        gemm(-1.0, output_gradient, False, phi[:, 1:], False, 1.0, gradient)
    _step_states(states, gradient, tau)


@jit
def _output_gradient(z, t, part, first_output, o, lambda3, phi, w3, work):
    """``λ3 + w3 (o − Φ [1; s])`` after step t; no rows where it has no output."""
    out = work[part]
    if t < first_output:
        return out[:0]
    left = z.shape[2] - phi.shape[1]
    gemm(1.0, z[t + 1, part, left:], False, phi, True, 0.0, out)
    factor = out.dtype.type(w3)
    own, dual = o[t - first_output, part], lambda3[t - first_output, part]
    for i in range(len(out)):
        for j in range(out.shape[1]):
            out[i, j] = dual[i, j] + factor * (own[i, j] - out[i, j])
    return out


@jit
def _edge_pull(z, part, edge, theta, weight, hidden, out):
    """``edge − w1 s_T Wᵀ``: the pull of the step after the window."""
    left, recurrent = z.shape[2] - hidden, theta[:, theta.shape[1] - hidden :]
    out[:] = edge[part]
    states = z[z.shape[0] - 1, part, left:]
    gemm(-weight, states, False, recurrent, True, 1.0, out)


@jit(parallel=True)
def sweep_backward(
    z, tokens, theta, theta_t, phi, a, lambda1, lambda2, o, lambda3, edge, w1, w2, w3, taus,
    activation, work, output_work, active, bounds,
):  # fmt: skip
    """For t = T..1: a linearised step of s_t, then of a_t.

    Limited by flops: 2 T B H (D + 2H + 1), and 4 L B C H for the outputs.

    Parameters
    ----------
    z : ndarray, (T + 1, B, n)
        Its states s_1..s_T are overwritten.
    tokens : ndarray, (T, B), integers; (0, 0) for dense inputs
    theta, theta_t, phi : ndarray, (H, D + 1 + H), its transpose, and (C, 1 + H)
    a : ndarray, (T, B, H); overwritten
    lambda1, lambda2 : ndarray, (T, B, H)
    o, lambda3 : ndarray, (L, B, C)
    edge : ndarray, (B, H), or (0, H) where the sequence ends with this window
        ``λ1 + w1 (a − U x − b)`` of the step after the window.
    w1, w2, w3 : ndarray, (T + 1,)
        Weights of the constraints of every step; the last one is that of the step after the window.
    taus : ndarray, (T,)
        Lipschitz constants of the states.
    activation : int
    work : ndarray, (6, B, H)
    output_work : ndarray, (B, C)
    active : ndarray, (T,), int64
    bounds : ndarray, (chunks + 1,), int64
    """
    steps, _, hidden = a.shape
    left = z.shape[2] - hidden
    for chunk in prange(len(bounds) - 1):
        for t in range(steps - 1, -1, -1):
            part = begun(active, t, bounds[chunk], bounds[chunk + 1])
            own, pull, driven = work[:4, part], work[4, part], work[5, part]
            has_next = t < steps - 1 or len(edge) > 0
            if t < steps - 1:
                _pull(a[t + 1, part], driven, lambda1[t + 1, part], w1[t + 1], pull)
            elif has_next:
                _edge_pull(z, part, edge, theta, w1[t + 1], hidden, pull)
            gradient = _output_gradient(
                z, t, part, steps - len(o), o, lambda3, phi, w3[t], output_work
            )
            _step_state(
                z, t, part, a, lambda2, pull, has_next, gradient, theta, phi, w2[t], taus[t],
                activation, own,
            )  # fmt: skip
            drive(z, tokens, theta_t, t, part, driven)
            _step_preactivations(
                a[t, part], driven, z[t + 1, part, left:], lambda1[t, part],
                lambda2[t, part], w1[t], w2[t], activation, own,
            )  # fmt: skip


@jit(parallel=True)
def sweep_forward(
    z, tokens, theta, theta_t, phi, a, lambda1, lambda2, o, lambda3, edge, w1, w2, w3, taus,
    activation, work, output_work, active, bounds,
):  # fmt: skip
    """For t = 1..T: a linearised step of a_t, then of s_t. Arguments as in `sweep_backward`.

    Limited by flops: 2 T B H (2D + 3H + 2), and 4 L B C H for the outputs.
    """
    steps, _, hidden = a.shape
    left = z.shape[2] - hidden
    for chunk in prange(len(bounds) - 1):
        for t in range(steps):
            part = begun(active, t, bounds[chunk], bounds[chunk + 1])
            own, pull, driven = work[:4, part], work[4, part], work[5, part]
            drive(z, tokens, theta_t, t, part, driven)
            _step_preactivations(
                a[t, part], driven, z[t + 1, part, left:], lambda1[t, part],
                lambda2[t, part], w1[t], w2[t], activation, own,
            )  # fmt: skip
            has_next = t < steps - 1 or len(edge) > 0
            if t < steps - 1:
                drive(z, tokens, theta_t, t + 1, part, driven)
                _pull(a[t + 1, part], driven, lambda1[t + 1, part], w1[t + 1], pull)
            elif has_next:
                _edge_pull(z, part, edge, theta, w1[t + 1], hidden, pull)
            gradient = _output_gradient(
                z, t, part, steps - len(o), o, lambda3, phi, w3[t], output_work
            )
            _step_state(
                z, t, part, a, lambda2, pull, has_next, gradient, theta, phi, w2[t], taus[t],
                activation, own,
            )  # fmt: skip
