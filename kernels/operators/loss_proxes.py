"""Proxes of the element-wise losses: ``prox(v) = argmin_x loss(x, y) + 1/(2 step) |x - v|^2``.

With ``tau = step weight`` every coordinate minimises ``l(x; y) + (x - v)^2 / (2 tau)`` on its own.
All but two have a closed form. Logistic and Poisson are solved by Newton's method, many coordinates
at a time so that it vectorises: it stops when every coordinate of a block holds the certificate

    |h(x)| <= 8 eps (|v| + tau |l'(x)| + |x| h'(x)),    h(x) = x - v + tau l'(x),

which says that x is, up to rounding, the exact answer for data perturbed by a few eps; one more
step is taken from there. Since h' >= 1, ``|h(x)|`` bounds the distance to the exact prox.

The losses are those of `fastadmm.kernels.operators.pointwise_losses`.
"""

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import Reals, coefficient, companion, elementwise, labels, real_array
from ..core.coordinates import at, like
from ..core.elementary import exp, log, log1p, sigmoid, softplus, wright_omega
from ..core.jit import compiled_as, jit
from ..core.kinds import ENTRIES, NUMBER, PER_ENTRY, RESULT
from .pointwise_losses import checked_delta, checked_quantile

BLOCK = 256
"""Coordinates that Newton's method works on at a time."""
MAX_STEPS = 60
"""Newton steps after which a block is left as it is."""

_FAR = 80


def _prox(kernel, v, y, parameters, step, weight, out, threads):
    v = real_array("v", v)
    y = companion("y", y, v)
    step = coefficient("step", step, v, positive=True)
    weight = coefficient("weight", weight, v)
    return elementwise(kernel, v, (y, *parameters, step, weight), out, threads)


@jit(inline=True)
def _shares(tau, one):
    """``1 / (1 + tau)`` and ``tau / (1 + tau)``: shares of v and y in ``(v + tau y) / (1 + tau)``.

    No product of tau with y, which may overflow; the limits 0 and 1 where tau itself has.
    ``v + (y - v) tau / (1 + tau)`` would lose y where v is much larger.
    """
    keep = one / (one + tau)
    return keep, tau * keep if tau <= one else one / (one + one / tau)


@jit(reassociate=True)
def _prox_squared_loss(v: ENTRIES, y: ENTRIES, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT):
    half, one = v.dtype.type(0.5), v.dtype.type(1)
    total, step, weight = 0.0, like(step, v), like(weight, v)
    for i in range(len(v)):
        tau = at(step, i) * at(weight, i)
        keep, share = _shares(tau, one)
        x = keep * v[i] + share * y[i]
        r = x - y[i]
        total += at(weight, i) * (half * r * r)
        out[i] = x
    return total


@compiled_as(_prox_squared_loss)
def prox_squared_loss(
    v: ArrayLike,
    y: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the squared loss, ``argmin_x weight/2 (x - y)^2 + 1/(2 step) (x - v)^2``.

    ``(v + tau y) / (1 + tau)`` with ``tau = step weight``.

    In compiled code ``prox_squared_loss(v, y, step, weight, out)``, arrays C-contiguous or 1-D. It
    returns the loss at the result.

    Cost: one pass over memory.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
    y : array_like
        Targets, of the shape of ``v`` or broadcast to it.
    step, weight : float or array_like
        Step of the prox, positive, and weight of the loss, non-negative; one number, or one per
        entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _prox(_prox_squared_loss, v, y, (), step, weight, out, threads)


@jit(inline=True)
def _towards(v, y, low, high):
    """``y`` clipped to ``[v + low, v + high]``, low <= 0 <= high; NaN kept."""
    r = y - v
    moved = low if r < low else (high if r > high else r)
    return y if moved == r else v + moved


@jit(reassociate=True)
def _prox_absolute_loss(v: ENTRIES, y: ENTRIES, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT):
    total, step, weight = 0.0, like(step, v), like(weight, v)
    for i in range(len(v)):
        tau = at(step, i) * at(weight, i)
        x = _towards(v[i], y[i], -tau, tau)
        total += at(weight, i) * abs(x - y[i])
        out[i] = x
    return total


@compiled_as(_prox_absolute_loss)
def prox_absolute_loss(
    v: ArrayLike,
    y: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the absolute loss, ``argmin_x weight |x - y| + 1/(2 step) (x - v)^2``.

    ``y`` clipped to ``[v - tau, v + tau]`` with ``tau = step weight``.

    In compiled code ``prox_absolute_loss(v, y, step, weight, out)``, arrays C-contiguous or 1-D. It
    returns the loss at the result.

    Cost: one pass over memory.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
    y : array_like
        Targets, of the shape of ``v`` or broadcast to it.
    step, weight : float or array_like
        Step of the prox, positive, and weight of the loss, non-negative; one number, or one per
        entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _prox(_prox_absolute_loss, v, y, (), step, weight, out, threads)


@jit(reassociate=True)
def _prox_quantile_loss(
    v: ENTRIES, y: ENTRIES, quantile: NUMBER, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT
):
    below = v.dtype.type(quantile)
    above = v.dtype.type(1) - below
    total, step, weight = 0.0, like(step, v), like(weight, v)
    for i in range(len(v)):
        tau = at(step, i) * at(weight, i)
        x = _towards(v[i], y[i], -tau * above, tau * below)
        r = x - y[i]
        total += at(weight, i) * ((above if r > 0 else -below) * r)
        out[i] = x
    return total


@compiled_as(_prox_quantile_loss)
def prox_quantile_loss(
    v: ArrayLike,
    y: ArrayLike,
    quantile: float = 0.5,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the quantile loss.

    ``argmin_x weight max(q (y - x), (q - 1) (y - x)) + 1/(2 step) (x - v)^2``:
    ``y`` clipped to ``[v - (1 - q) tau, v + q tau]`` with ``tau = step weight``.

    In compiled code ``prox_quantile_loss(v, y, quantile, step, weight, out)``, arrays C-contiguous
    or 1-D. It returns the loss at the result.

    Cost: one pass over memory.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
    y : array_like
        Targets, of the shape of ``v`` or broadcast to it.
    quantile : float
        Above 0 and below 1.
    step, weight : float or array_like
        Step of the prox, positive, and weight of the loss, non-negative; one number, or one per
        entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _prox(
        _prox_quantile_loss, v, y, (checked_quantile(quantile),), step, weight, out, threads
    )


@jit(reassociate=True)
def _prox_huber_loss(
    v: ENTRIES, y: ENTRIES, delta: NUMBER, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT
):
    half, one, delta = v.dtype.type(0.5), v.dtype.type(1), v.dtype.type(delta)
    total, step, weight = 0.0, like(step, v), like(weight, v)
    for i in range(len(v)):
        tau = at(step, i) * at(weight, i)
        keep, share = _shares(tau, one)
        slope = keep * v[i] - keep * y[i]
        inside = keep * v[i] + share * y[i]
        outside = v[i] - (tau * delta if slope > 0 else -tau * delta)
        x = outside if abs(slope) > delta else inside
        r = x - y[i]
        clipped = -delta if r < -delta else (delta if r > delta else r)
        total += at(weight, i) * (clipped * (r - half * clipped))
        out[i] = x
    return total


@compiled_as(_prox_huber_loss)
def prox_huber_loss(
    v: ArrayLike,
    y: ArrayLike,
    delta: float = 1.0,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the Huber loss, ``argmin_x weight h(x - y) + 1/(2 step) (x - v)^2``.

    ``h(r) = r^2 / 2`` where ``|r| <= delta`` and ``delta (|r| - delta / 2)`` beyond. With
    ``tau = step weight``: ``(v + tau y) / (1 + tau)`` where ``|v - y| <= delta (1 + tau)``, and
    ``v`` moved by ``tau delta`` towards ``y`` beyond.

    In compiled code ``prox_huber_loss(v, y, delta, step, weight, out)``, arrays C-contiguous or
    1-D. It returns the loss at the result.

    Cost: one pass over memory.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
    y : array_like
        Targets, of the shape of ``v`` or broadcast to it.
    delta : float
        Positive; where the loss turns linear.
    step, weight : float or array_like
        Step of the prox, positive, and weight of the loss, non-negative; one number, or one per
        entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _prox(_prox_huber_loss, v, y, (checked_delta(delta),), step, weight, out, threads)


@jit(reassociate=True)
def _prox_hinge_loss(v: ENTRIES, y: ENTRIES, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT):
    zero, one = v.dtype.type(0), v.dtype.type(1)
    total, step, weight = 0.0, like(step, v), like(weight, v)
    for i in range(len(v)):
        tau = at(step, i) * at(weight, i)
        missing = one - y[i] * v[i]
        moved = zero if missing < 0 else (tau if missing > tau else missing)
        # the margin that is reached exactly is exactly one
        x = y[i] if (moved == missing) & (missing > 0) else v[i] + y[i] * moved
        loss = one - y[i] * x
        total += at(weight, i) * (zero if loss < 0 else loss)
        out[i] = x
    return total


@compiled_as(_prox_hinge_loss)
def prox_hinge_loss(
    v: ArrayLike,
    y: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the hinge loss, ``argmin_x weight max(0, 1 - y x) + 1/(2 step) (x - v)^2``.

    ``v + y clip(1 - y v, 0, tau)`` with ``tau = step weight``.

    In compiled code ``prox_hinge_loss(v, y, step, weight, out)``, arrays C-contiguous or 1-D. It
    returns the loss at the result.

    Cost: one pass over memory.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
    y : array_like
        Labels, -1 or 1, of the shape of ``v`` or broadcast to it.
    step, weight : float or array_like
        Step of the prox, positive, and weight of the loss, non-negative; one number, or one per
        entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _prox(_prox_hinge_loss, v, labels("y", y), (), step, weight, out, threads)


@jit(reassociate=True)
def _prox_squared_hinge_loss(
    v: ENTRIES, y: ENTRIES, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT
):
    half, zero, one = v.dtype.type(0.5), v.dtype.type(0), v.dtype.type(1)
    total, step, weight = 0.0, like(step, v), like(weight, v)
    for i in range(len(v)):
        tau = at(step, i) * at(weight, i)
        keep, share = _shares(tau, one)
        x = v[i] if y[i] * v[i] >= 1 else keep * v[i] + share * y[i]
        loss = one - y[i] * x
        loss = zero if loss < 0 else loss
        total += at(weight, i) * (half * loss * loss)
        out[i] = x
    return total


@compiled_as(_prox_squared_hinge_loss)
def prox_squared_hinge_loss(
    v: ArrayLike,
    y: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the squared hinge, ``argmin_x weight/2 max(0, 1 - y x)^2 + 1/(2 step) (x - v)^2``.

    ``v`` where ``y v >= 1``, else ``(v + tau y) / (1 + tau)`` with ``tau = step weight``.

    In compiled code ``prox_squared_hinge_loss(v, y, step, weight, out)``, arrays C-contiguous or
    1-D. It returns the loss at the result.

    Cost: one pass over memory.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
    y : array_like
        Labels, -1 or 1, of the shape of ``v`` or broadcast to it.
    step, weight : float or array_like
        Step of the prox, positive, and weight of the loss, non-negative; one number, or one per
        entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _prox(_prox_squared_hinge_loss, v, labels("y", y), (), step, weight, out, threads)


@jit(inline=True)
def _largest_tau(v):
    """What tau counts as at most: it leaves room for products with logarithms of its size.

    There the term of the prox is lost in the rounding of the loss.
    """
    return v.dtype.type(np.finfo(v.dtype).max / 1024)


@jit(inline=True)
def _omega_start(b, one):
    """The solution of ``u + log(u) = b`` within 1.2 % (Iacono and Boyd, 2017)."""
    s = softplus(b)
    return s * (one - log1p(s) / (one + one + s))


@jit
def _logistic_block(t, tau, x):
    """Roots of ``h(x) = x - t - tau / (1 + exp(x))``, all of them known to be non-negative.

    There h is concave and increasing: from the left Newton's method climbs to the root without
    passing it, and one step from anywhere is on the left.
    """
    one, tolerance = x.dtype.type(1), x.dtype.type(8 * np.finfo(x.dtype).eps)
    zero = x.dtype.type(0)
    for i in range(len(x)):
        x[i] = t[i] + _omega_start(log(tau[i]) - t[i], one)
        x[i] = zero if x[i] < 0 else x[i]
    for _ in range(MAX_STEPS):
        active = 0
        for i in range(len(x)):
            p = sigmoid(-x[i])
            h = (x[i] - t[i]) - tau[i] * p
            slope = one + tau[i] * (p * (one - p))
            certified = abs(h) <= tolerance * (abs(t[i]) + tau[i] * p + x[i] * slope)
            moved = x[i] - h / slope
            moved = zero if moved < 0 else moved
            # NaN stays as it is and does not keep the block going
            active += 1 if (not certified) & (moved != x[i]) & (h == h) else 0
            x[i] = moved if h == h else x[i]
        if active == 0:
            break


@jit
def _far_logistic(margin, log_tau):
    """The root where tau is beyond all numbers: there ``tau / (1 + exp(x))`` is ``tau exp(-x)``.

    With ``u = x - margin`` the equation is ``u + log(u) = log_tau - margin``.
    """
    u = wright_omega(log_tau - margin)
    return log_tau - log(u) if u > 1 else margin + u


@jit(reassociate=True)
def _prox_logistic_loss(v: ENTRIES, y: ENTRIES, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT):
    step, weight = like(step, v), like(weight, v)
    half, most = v.dtype.type(0.5), _largest_tau(v)
    t, tau, x = np.empty(BLOCK, v.dtype), np.empty(BLOCK, v.dtype), np.empty(BLOCK, v.dtype)
    total = 0.0
    for start in range(0, len(v), BLOCK):
        size = min(BLOCK, len(v) - start)
        for i in range(size):
            j = start + i
            tau[i] = at(step, j) * at(weight, j)
            tau[i] = most if tau[i] > most else tau[i]
            margin = y[j] * v[j]
            # x -> -x maps t to -t - tau: the root of one of both is non-negative
            t[i] = -margin - tau[i] if margin < -half * tau[i] else margin
        _logistic_block(t[:size], tau[:size], x[:size])
        for i in range(size):
            j = start + i
            x[i] = -x[i] if y[j] * v[j] < -half * tau[i] else x[i]
            if tau[i] == most and abs(v[j]) < most * np.finfo(v.dtype).eps:
                # all that is left of tau is its logarithm
                x[i] = _far_logistic(y[j] * v[j], log(at(step, j)) + log(at(weight, j)))
            out[j] = y[j] * x[i] if tau[i] > 0 else v[j]
        for i in range(size):
            total += at(weight, start + i) * softplus(-x[i])
    return total


@compiled_as(_prox_logistic_loss)
def prox_logistic_loss(
    v: ArrayLike,
    y: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the logistic loss, ``argmin_x weight log(1 + exp(-y x)) + 1/(2 step) (x - v)^2``.

    Newton's method with a certificate (see the module).

    In compiled code ``prox_logistic_loss(v, y, step, weight, out)``, arrays C-contiguous or 1-D. It
    returns the loss at the result.

    Cost: an exponential per entry and Newton step, and two logarithms per entry.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
    y : array_like
        Labels, -1 or 1, of the shape of ``v`` or broadcast to it.
    step, weight : float or array_like
        Step of the prox, positive, and weight of the loss, non-negative; one number, or one per
        entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _prox(_prox_logistic_loss, v, labels("y", y), (), step, weight, out, threads)


@jit
def _poisson_block(c, tau, log_tau, x):
    """Roots of ``h(x) = x - c + tau exp(x)``.

    h is convex and increasing: from the right Newton's method descends to the root without
    passing it, and one step from anywhere is on the right. ``x = c`` is an upper bound.
    """
    one, tolerance = x.dtype.type(1), x.dtype.type(8 * np.finfo(x.dtype).eps)
    most = x.dtype.type(np.finfo(x.dtype).max)
    for i in range(len(x)):
        u = _omega_start(c[i] + log_tau[i], one)
        x[i] = c[i] - u if u < 1 else log(u) - log_tau[i]
    for _ in range(MAX_STEPS):
        active = 0
        for i in range(len(x)):
            far = x[i] > _FAR  # the product is moderate although exp(x) may overflow
            u = (one if far else tau[i]) * exp(x[i] + log_tau[i] if far else x[i])
            u = most if u > most else u
            h = (x[i] - c[i]) + u
            inverse = one / (one + u)  # products with it cannot overflow
            allowed = abs(c[i]) * inverse + u * inverse + abs(x[i])
            certified = abs(h) * inverse <= tolerance * allowed
            moved = x[i] - h * inverse
            moved = c[i] if moved > c[i] else moved
            active += 1 if (not certified) & (moved != x[i]) & (h == h) else 0
            x[i] = moved if h == h else x[i]
        if active == 0:
            break


@jit(reassociate=True)
def _prox_poisson_loss(v: ENTRIES, y: ENTRIES, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT):
    step, weight = like(step, v), like(weight, v)
    c, tau, x = np.empty(BLOCK, v.dtype), np.empty(BLOCK, v.dtype), np.empty(BLOCK, v.dtype)
    log_tau, most, one = np.empty(BLOCK, v.dtype), _largest_tau(v), v.dtype.type(1)
    top = v.dtype.type(np.finfo(v.dtype).max)
    total = 0.0
    for start in range(0, len(v), BLOCK):
        size = min(BLOCK, len(v) - start)
        for i in range(size):
            j = start + i
            tau[i] = at(step, j) * at(weight, j)
            bound = most / (y[j] if y[j] > one else one)  # leaves tau y finite, too
            tau[i] = bound if tau[i] > bound else tau[i]
            c[i] = v[j] + tau[i] * y[j]
            c[i] = top if c[i] > top else c[i]
            log_tau[i] = log(tau[i])
        _poisson_block(c[:size], tau[:size], log_tau[:size], x[:size])
        for i in range(size):
            j = start + i
            total += at(weight, j) * (exp(x[i]) - y[j] * x[i])
            out[j] = x[i]
    return total


@compiled_as(_prox_poisson_loss)
def prox_poisson_loss(
    v: ArrayLike,
    y: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the Poisson loss, ``argmin_x weight (exp(x) - y x) + 1/(2 step) (x - v)^2``.

    Newton's method with a certificate (see the module).

    In compiled code ``prox_poisson_loss(v, y, step, weight, out)``, arrays C-contiguous or 1-D. It
    returns the loss at the result.

    Cost: an exponential per entry and Newton step, and two logarithms per entry.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
    y : array_like
        Targets, of the shape of ``v`` or broadcast to it.
    step, weight : float or array_like
        Step of the prox, positive, and weight of the loss, non-negative; one number, or one per
        entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``v``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _prox(_prox_poisson_loss, v, y, (), step, weight, out, threads)
