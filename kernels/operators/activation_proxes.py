"""Proxes of activations: the global minimiser of ``w1/2 (a - m)^2 + w2/2 (s - f(a))^2`` over a.

This is the sub-problem of a pre-activation that is tied to ``m = z theta`` on one side and to the
state s on the other. It is not convex. For piecewise linear f the minimisers on the pieces are
compared; for smooth f see `fastadmm.kernels.operators.activation_search`. Where two minimisers cost
the same, the one nearer to m is returned. The kernels return the sum of ``w2/2 (s - f(a))^2``.
"""

from numpy.typing import ArrayLike

from ..core.arguments import Reals, coefficient, companion, elementwise, number, real_array
from ..core.coordinates import at, like
from ..core.elementary import clip
from ..core.jit import compiled_as, jit
from ..core.kinds import ENTRIES, NUMBER, PER_ENTRY, RESULT
from .activation_search import (
    minimise_sigmoid,
    minimise_silu,
    minimise_softplus,
    minimise_tanh,
)


def _prox(kernel, m, s, parameters, w1, w2, out, threads):
    m = real_array("m", m)
    s = companion("s", s, m)
    w1 = coefficient("w1", w1, m, positive=True)
    w2 = coefficient("w2", w2, m)
    return elementwise(kernel, m, (s, *parameters, w1, w2), out, threads)


@jit(inline=True)
def _unit(m, s, one):
    """One over the larger of ``|m|`` and ``|s|``: with it squares neither overflow nor vanish."""
    size = abs(m) if abs(m) > abs(s) else abs(s)
    return one / size if size > 0 else one


@jit(inline=True)
def _cost(a, gap, m, p, q, unit):
    near, far = (a - m) * unit, gap * unit
    return p * near * near + q * far * far


@jit(inline=True)
def _better(a, cost, b, other, m):
    """Of two points with their costs the cheaper one, at equal costs the one nearer to m."""
    second = (other < cost) | ((other == cost) & (abs(b - m) < abs(a - m)))
    return (b, other) if second else (a, cost)


@jit(reassociate=True)
def _prox_identity_activation(m: ENTRIES, s: ENTRIES, w1: PER_ENTRY, w2: PER_ENTRY, out: RESULT):
    half, total = m.dtype.type(0.5), 0.0
    w1, w2 = like(w1, m), like(w2, m)
    for i in range(len(m)):
        whole = at(w1, i) + at(w2, i)
        gap = (at(w1, i) / whole) * (s[i] - m[i])
        out[i] = (at(w1, i) / whole) * m[i] + (at(w2, i) / whole) * s[i]
        total += at(w2, i) * (half * gap * gap)
    return total


@compiled_as(_prox_identity_activation)
def prox_identity_activation(
    m: ArrayLike,
    s: ArrayLike,
    w1: ArrayLike = 1.0,
    w2: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the identity, ``argmin_a w1/2 (a - m)^2 + w2/2 (s - a)^2``: the weighted mean.

    In compiled code ``prox_identity_activation(m, s, w1, w2, out)``, arrays C-contiguous or 1-D. It
    returns the sum of ``w2/2 (s - f(a))^2``.

    Cost: one pass over memory, a few divisions per entry.

    Parameters
    ----------
    m : array_like
        What a is pulled to, of any shape: float32 or float64; integers become float64.
    s : array_like
        What f(a) is pulled to, of the shape of ``m`` or broadcast to it.
    w1, w2 : float or array_like
        Weights of the two terms, w1 positive and w2 non-negative; one number, or one per entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``m``; may be ``m`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``m``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _prox(_prox_identity_activation, m, s, (), w1, w2, out, threads)


@jit(reassociate=True)
def _prox_leaky_relu_activation(
    m: ENTRIES, s: ENTRIES, slope: NUMBER, w1: PER_ENTRY, w2: PER_ENTRY, out: RESULT
):
    half, one, zero = m.dtype.type(0.5), m.dtype.type(1), m.dtype.type(0)
    w1, w2, slope, total = like(w1, m), like(w2, m), m.dtype.type(slope), 0.0
    for i in range(len(m)):
        whole = at(w1, i) + at(w2, i)
        p, q, unit = at(w1, i) / whole, at(w2, i) / whole, _unit(m[i], s[i], one)
        below = (p * m[i] + q * slope * s[i]) / (p + q * slope * slope)
        below = m[i] if slope == 0 else below
        below = zero if below > 0 else below
        above = p * m[i] + q * s[i]
        above = zero if above < 0 else above
        gap_below, gap_above = s[i] - slope * below, s[i] - above
        a, cost = _better(
            below,
            _cost(below, gap_below, m[i], p, q, unit),
            above,
            _cost(above, gap_above, m[i], p, q, unit),
            m[i],
        )
        gap = s[i] - (slope if a < 0 else one) * a
        total += at(w2, i) * (half * gap * gap)
        out[i] = a if cost == cost else cost
    return total


@compiled_as(_prox_leaky_relu_activation)
def prox_leaky_relu_activation(
    m: ArrayLike,
    s: ArrayLike,
    slope: float = 0.01,
    w1: ArrayLike = 1.0,
    w2: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the leaky ReLU, ``argmin_a w1/2 (a - m)^2 + w2/2 (s - f(a))^2``.

    ``f(a) = a`` where ``a > 0``, else ``slope a``. The better of the minimisers on the two pieces.

    In compiled code ``prox_leaky_relu_activation(m, s, slope, w1, w2, out)``, arrays C-contiguous
    or 1-D. It returns the sum of ``w2/2 (s - f(a))^2``.

    Cost: one pass over memory, a few divisions per entry.

    Parameters
    ----------
    m : array_like
        What a is pulled to, of any shape: float32 or float64; integers become float64.
    s : array_like
        What f(a) is pulled to, of the shape of ``m`` or broadcast to it.
    slope : float
        Slope of f below zero, non-negative.
    w1, w2 : float or array_like
        Weights of the two terms, w1 positive and w2 non-negative; one number, or one per entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``m``; may be ``m`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``m``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _prox(
        _prox_leaky_relu_activation, m, s, (number("slope", slope, 0),), w1, w2, out, threads
    )


@jit
def _prox_relu_activation(m: ENTRIES, s: ENTRIES, w1: PER_ENTRY, w2: PER_ENTRY, out: RESULT):
    return _prox_leaky_relu_activation(m, s, m.dtype.type(0), w1, w2, out)


@compiled_as(_prox_relu_activation)
def prox_relu_activation(
    m: ArrayLike,
    s: ArrayLike,
    w1: ArrayLike = 1.0,
    w2: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the ReLU, ``argmin_a w1/2 (a - m)^2 + w2/2 (s - max(a, 0))^2``.

    The better of the minimisers on the two pieces.

    In compiled code ``prox_relu_activation(m, s, w1, w2, out)``, arrays C-contiguous or 1-D. It
    returns the sum of ``w2/2 (s - f(a))^2``.

    Cost: one pass over memory, a few divisions per entry.

    Parameters
    ----------
    m : array_like
        What a is pulled to, of any shape: float32 or float64; integers become float64.
    s : array_like
        What f(a) is pulled to, of the shape of ``m`` or broadcast to it.
    w1, w2 : float or array_like
        Weights of the two terms, w1 positive and w2 non-negative; one number, or one per entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``m``; may be ``m`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``m``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _prox(_prox_relu_activation, m, s, (), w1, w2, out, threads)


@jit(reassociate=True)
def _prox_clipped(m, s, slope, offset, end, w1, w2, out):
    """``f(a) = slope a + offset`` on ``[-end, end]``, constant beyond."""
    half, one = m.dtype.type(0.5), m.dtype.type(1)
    w1, w2, total = like(w1, m), like(w2, m), 0.0
    lowest, highest = offset - slope * end, offset + slope * end
    for i in range(len(m)):
        whole = at(w1, i) + at(w2, i)
        p, q, unit = at(w1, i) / whole, at(w2, i) / whole, _unit(m[i], s[i], one)
        left, right = (-end if m[i] > -end else m[i]), (end if m[i] < end else m[i])
        inner = (p * m[i] + q * slope * (s[i] - offset)) / (p + q * slope * slope)
        inner = clip(inner, -end, end)
        gap = (s[i] - offset) - slope * inner
        a, cost = inner, _cost(inner, gap, m[i], p, q, unit)
        a, cost = _better(a, cost, left, _cost(left, s[i] - lowest, m[i], p, q, unit), m[i])
        a, cost = _better(a, cost, right, _cost(right, s[i] - highest, m[i], p, q, unit), m[i])
        gap = s[i] - clip(slope * a + offset, lowest, highest)
        total += at(w2, i) * (half * gap * gap)
        out[i] = a if cost == cost else cost
    return total


@jit
def _prox_hard_tanh_activation(m: ENTRIES, s: ENTRIES, w1: PER_ENTRY, w2: PER_ENTRY, out: RESULT):
    one = m.dtype.type(1)
    return _prox_clipped(m, s, one, m.dtype.type(0), one, w1, w2, out)


@compiled_as(_prox_hard_tanh_activation)
def prox_hard_tanh_activation(
    m: ArrayLike,
    s: ArrayLike,
    w1: ArrayLike = 1.0,
    w2: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the hard tanh, ``argmin_a w1/2 (a - m)^2 + w2/2 (s - clip(a, -1, 1))^2``.

    The best of the minimisers on the three pieces.

    In compiled code ``prox_hard_tanh_activation(m, s, w1, w2, out)``, arrays C-contiguous or 1-D.
    It returns the sum of ``w2/2 (s - f(a))^2``.

    Cost: one pass over memory, a few divisions per entry.

    Parameters
    ----------
    m : array_like
        What a is pulled to, of any shape: float32 or float64; integers become float64.
    s : array_like
        What f(a) is pulled to, of the shape of ``m`` or broadcast to it.
    w1, w2 : float or array_like
        Weights of the two terms, w1 positive and w2 non-negative; one number, or one per entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``m``; may be ``m`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``m``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _prox(_prox_hard_tanh_activation, m, s, (), w1, w2, out, threads)


@jit
def _prox_hard_sigmoid_activation(
    m: ENTRIES, s: ENTRIES, w1: PER_ENTRY, w2: PER_ENTRY, out: RESULT
):
    slope, offset, end = m.dtype.type(1 / 6), m.dtype.type(0.5), m.dtype.type(3)
    return _prox_clipped(m, s, slope, offset, end, w1, w2, out)


@compiled_as(_prox_hard_sigmoid_activation)
def prox_hard_sigmoid_activation(
    m: ArrayLike,
    s: ArrayLike,
    w1: ArrayLike = 1.0,
    w2: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the hard sigmoid, ``argmin_a w1/2 (a - m)^2 + w2/2 (s - f(a))^2``.

    ``f(a) = clip(a / 6 + 1/2, 0, 1)``. The best of the minimisers on the three pieces.

    In compiled code ``prox_hard_sigmoid_activation(m, s, w1, w2, out)``, arrays C-contiguous or
    1-D. It returns the sum of ``w2/2 (s - f(a))^2``.

    Cost: one pass over memory, a few divisions per entry.

    Parameters
    ----------
    m : array_like
        What a is pulled to, of any shape: float32 or float64; integers become float64.
    s : array_like
        What f(a) is pulled to, of the shape of ``m`` or broadcast to it.
    w1, w2 : float or array_like
        Weights of the two terms, w1 positive and w2 non-negative; one number, or one per entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``m``; may be ``m`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``m``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _prox(_prox_hard_sigmoid_activation, m, s, (), w1, w2, out, threads)


@jit
def _prox_tanh_activation(m: ENTRIES, s: ENTRIES, w1: PER_ENTRY, w2: PER_ENTRY, out: RESULT):
    return minimise_tanh(m, s, w1, w2, out)


@compiled_as(_prox_tanh_activation)
def prox_tanh_activation(
    m: ArrayLike,
    s: ArrayLike,
    w1: ArrayLike = 1.0,
    w2: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the tanh, ``argmin_a w1/2 (a - m)^2 + w2/2 (s - f(a))^2``.

    ``f(a) = tanh(a)``. The best end of two Newton walks, each with a certificate.

    In compiled code ``prox_tanh_activation(m, s, w1, w2, out)``, arrays C-contiguous or 1-D. It
    returns the sum of ``w2/2 (s - f(a))^2``.

    Cost: two Newton walks per entry, an exponential a step.

    Parameters
    ----------
    m : array_like
        What a is pulled to, of any shape: float32 or float64; integers become float64.
    s : array_like
        What f(a) is pulled to, of the shape of ``m`` or broadcast to it.
    w1, w2 : float or array_like
        Weights of the two terms, w1 positive and w2 non-negative; one number, or one per entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``m``; may be ``m`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``m``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _prox(_prox_tanh_activation, m, s, (), w1, w2, out, threads)


@jit
def _prox_sigmoid_activation(m: ENTRIES, s: ENTRIES, w1: PER_ENTRY, w2: PER_ENTRY, out: RESULT):
    return minimise_sigmoid(m, s, w1, w2, out)


@compiled_as(_prox_sigmoid_activation)
def prox_sigmoid_activation(
    m: ArrayLike,
    s: ArrayLike,
    w1: ArrayLike = 1.0,
    w2: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the sigmoid, ``argmin_a w1/2 (a - m)^2 + w2/2 (s - f(a))^2``.

    ``f(a) = 1 / (1 + exp(-a))``. The best end of two Newton walks, each with a certificate.

    In compiled code ``prox_sigmoid_activation(m, s, w1, w2, out)``, arrays C-contiguous or 1-D. It
    returns the sum of ``w2/2 (s - f(a))^2``.

    Cost: two Newton walks per entry, an exponential a step.

    Parameters
    ----------
    m : array_like
        What a is pulled to, of any shape: float32 or float64; integers become float64.
    s : array_like
        What f(a) is pulled to, of the shape of ``m`` or broadcast to it.
    w1, w2 : float or array_like
        Weights of the two terms, w1 positive and w2 non-negative; one number, or one per entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``m``; may be ``m`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``m``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _prox(_prox_sigmoid_activation, m, s, (), w1, w2, out, threads)


@jit
def _prox_softplus_activation(m: ENTRIES, s: ENTRIES, w1: PER_ENTRY, w2: PER_ENTRY, out: RESULT):
    return minimise_softplus(m, s, w1, w2, out)


@compiled_as(_prox_softplus_activation)
def prox_softplus_activation(
    m: ArrayLike,
    s: ArrayLike,
    w1: ArrayLike = 1.0,
    w2: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the softplus, ``argmin_a w1/2 (a - m)^2 + w2/2 (s - f(a))^2``.

    ``f(a) = log(1 + exp(a))``. The best end of two Newton walks, each with a certificate.

    In compiled code ``prox_softplus_activation(m, s, w1, w2, out)``, arrays C-contiguous or 1-D. It
    returns the sum of ``w2/2 (s - f(a))^2``.

    Cost: two Newton walks per entry, an exponential a step.

    Parameters
    ----------
    m : array_like
        What a is pulled to, of any shape: float32 or float64; integers become float64.
    s : array_like
        What f(a) is pulled to, of the shape of ``m`` or broadcast to it.
    w1, w2 : float or array_like
        Weights of the two terms, w1 positive and w2 non-negative; one number, or one per entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``m``; may be ``m`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``m``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _prox(_prox_softplus_activation, m, s, (), w1, w2, out, threads)


@jit
def _prox_silu_activation(m: ENTRIES, s: ENTRIES, w1: PER_ENTRY, w2: PER_ENTRY, out: RESULT):
    return minimise_silu(m, s, w1, w2, out)


@compiled_as(_prox_silu_activation)
def prox_silu_activation(
    m: ArrayLike,
    s: ArrayLike,
    w1: ArrayLike = 1.0,
    w2: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the SiLU, ``argmin_a w1/2 (a - m)^2 + w2/2 (s - f(a))^2``.

    ``f(a) = a / (1 + exp(-a))``. The best end of four Newton walks, each with a certificate.

    In compiled code ``prox_silu_activation(m, s, w1, w2, out)``, arrays C-contiguous or 1-D. It
    returns the sum of ``w2/2 (s - f(a))^2``.

    Cost: four Newton walks per entry, an exponential a step.

    Parameters
    ----------
    m : array_like
        What a is pulled to, of any shape: float32 or float64; integers become float64.
    s : array_like
        What f(a) is pulled to, of the shape of ``m`` or broadcast to it.
    w1, w2 : float or array_like
        Weights of the two terms, w1 positive and w2 non-negative; one number, or one per entry.
    out : ndarray, optional
        Array for the result, of the shape and dtype of ``m``; may be ``m`` itself.
    threads : int
        How many may share the work; the result is the same for any number.

    Returns
    -------
    ndarray, of the shape and dtype of ``m``

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return _prox(_prox_silu_activation, m, s, (), w1, w2, out, threads)
