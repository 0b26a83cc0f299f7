"""Nonconvex separable penalties: value, and a global minimiser as prox.

``prox(v)`` is an ``argmin_x g(x) + 1/(2 step) |x - v|^2`` over all x, for every step. Where two
points of a coordinate share the least objective, the one nearer to zero is returned, up to the
rounding of the threshold. Cost and conventions are those of `fastadmm.kernels.operators.penalties`.
"""

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import Reals, number
from ..core.coordinates import at, like, load, store
from ..core.elementary import exp, log, log1p
from ..core.jit import compiled_as, jit
from ..core.kinds import ENTRIES, NUMBER, PER_ENTRY, RESULT
from .penalties import prox, soft, value


@jit(reassociate=True)
def _l0(x: ENTRIES, weight: PER_ENTRY):
    total, weight = 0.0, like(weight, x)
    for i in range(len(x)):
        # a NaN counts as itself
        total += np.float64(at(weight, i)) * (1.0 if abs(x[i]) > 0 else np.float64(abs(x[i])))
    return total


@compiled_as(_l0)
def l0(x: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """Number of entries that are not zero, weighted: ``sum_i weight_i [x_i != 0]``.

    In compiled code ``l0(x, weight)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like
        Point, of any shape: float32 or float64; integers become float64.
    weight : float or array_like
        Non-negative; one number, or one per entry.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return value(_l0, x, (), ("weight", weight))


@jit(reassociate=True)
def _prox_l0(v: ENTRIES, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT):
    zero, two = v.dtype.type(0), v.dtype.type(2)
    total, step, weight = 0.0, like(step, v), like(weight, v)
    for i in range(len(v)):
        vi = load(v, i)
        threshold = np.sqrt(two * at(step, i) * at(weight, i))
        x = zero if abs(vi) <= threshold else vi
        total += np.float64(at(weight, i)) * (1.0 if abs(x) > 0 else np.float64(abs(x)))
        store(out, i, x)
    return total


@compiled_as(_prox_l0)
def prox_l0(
    v: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of l0, ``argmin_x sum_i weight_i [x_i != 0] + (x_i - v_i)^2 / (2 step_i)``.

    ``v`` where ``|v| > sqrt(2 step weight)``, else 0 (at a tie as well).

    In compiled code ``prox_l0(v, step, weight, out)``, arrays C-contiguous or 1-D. It returns the
    penalty at the result.

    Cost: one pass over memory.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
    step : float or array_like
        Positive; one number, or one per entry.
    weight : float or array_like
        Non-negative; one number, or one per entry.
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
    return prox(_prox_l0, v, (), step, ("weight", weight), out=out, threads=threads)


@jit(reassociate=True)
def _l_half(x: ENTRIES, weight: PER_ENTRY):
    total, weight = 0.0, like(weight, x)
    for i in range(len(x)):
        total += np.float64(at(weight, i)) * np.sqrt(abs(x[i]))
    return total


@compiled_as(_l_half)
def l_half(x: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """l1/2 penalty, ``sum_i weight_i |x_i|^(1/2)``.

    In compiled code ``l_half(x, weight)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like
        Point, of any shape: float32 or float64; integers become float64.
    weight : float or array_like
        Non-negative; one number, or one per entry.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return value(_l_half, x, (), ("weight", weight))


_TIE = 1.5**1.5
"""At ``|v|^(3/2) = _TIE tau`` the points 0 and 2 v / 3 are both minimisers of l1/2."""
# Polynomial through the Chebyshev points of 0 <= d <= 1 / (2 _TIE), within 1.2e-6 of the root.
_C0, _C1, _C2, _C3 = (
    1.0000003389677952,
    -0.5001586341617689,
    -0.3630659945798988,
    -0.833996574566704,
)
_C4, _C5, _C6, _C7 = 3.6275987972562, -32.148171806645, 104.093607229082, -161.572091189004


@jit(inline=True)
def _half_root(d, real):
    """Largest root t of ``t^3 - t + d``: a start, and one step of Halley's method to rounding."""
    t = real(_C4) + d * (real(_C5) + d * (real(_C6) + d * real(_C7)))
    t = real(_C0) + d * (real(_C1) + d * (real(_C2) + d * (real(_C3) + d * t)))
    f = t * (t * t - real(1)) + d
    slope = real(3) * t * t - real(1)
    return t - f * slope / (slope * slope - real(3) * t * f)


@jit(reassociate=True)
def _prox_l_half(v: ENTRIES, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT):
    real = v.dtype.type
    total, step, weight = 0.0, like(step, v), like(weight, v)
    zero, half, tie = real(0), real(0.5), real(_TIE)
    largest = half / tie
    for i in range(len(v)):
        vi, tau = load(v, i), at(step, i) * at(weight, i)
        root = np.sqrt(abs(vi))
        power = abs(vi) * root
        d = half * tau / power
        t = _half_root(largest if d > largest else d, real)
        t = zero if power <= tie * tau else t
        total += np.float64(at(weight, i)) * (root * t)
        store(out, i, vi * (t * t))
    return total


@compiled_as(_prox_l_half)
def prox_l_half(
    v: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of l1/2, ``argmin_x sum_i weight_i |x_i|^(1/2) + (x_i - v_i)^2 / (2 step_i)``.

    With ``tau = step weight``: 0 where ``|v| <= 3/2 tau^(2/3)`` (at the tie as well), else
    ``v t^2`` with t the largest root of ``t^3 - t + tau / (2 |v|^(3/2))`` (Xu et al., 2012, write
    it with cosines). The root comes from a polynomial and one step of Halley's method, to rounding.

    In compiled code ``prox_l_half(v, step, weight, out)``, arrays C-contiguous or 1-D. It returns
    the penalty at the result.

    Cost: one pass over memory.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
    step : float or array_like
        Positive; one number, or one per entry.
    weight : float or array_like
        Non-negative; one number, or one per entry.
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
    return prox(_prox_l_half, v, (), step, ("weight", weight), out=out, threads=threads)


@jit(inline=True)
def mcp_of(size, gamma, weight, bend):
    """One entry of `mcp`; ``bend`` is ``1 / (2 gamma)``."""
    inner = gamma * weight if size > gamma * weight else size
    return inner * (weight - bend * inner)


@jit(reassociate=True)
def _mcp(x: ENTRIES, gamma: NUMBER, weight: PER_ENTRY):
    total, weight, gamma = 0.0, like(weight, x), np.float64(gamma)
    bend = 0.5 / gamma
    for i in range(len(x)):
        total += mcp_of(np.float64(abs(x[i])), gamma, np.float64(at(weight, i)), bend)
    return total


@compiled_as(_mcp)
def mcp(x: ArrayLike, gamma: float = 3.0, weight: ArrayLike = 1.0) -> float:
    """Minimax concave penalty (Zhang, 2010), ``sum_i g(x_i; gamma, weight_i)``.

    ``g(x) = weight |x| - x^2 / (2 gamma)`` where ``|x| <= gamma weight``, and
    ``gamma weight^2 / 2`` beyond.

    In compiled code ``mcp(x, gamma, weight)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like
        Point, of any shape: float32 or float64; integers become float64.
    gamma : float
        Above 0; the penalty is constant beyond ``gamma weight``.
    weight : float or array_like
        Non-negative; one number, or one per entry.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return value(_mcp, x, (number("gamma", gamma, 0, above=True),), ("weight", weight))


@jit(inline=True)
def firm(vi, s, w, gamma, one):
    """Prox of `mcp` for one entry."""
    shrinks = s < gamma
    jump = w * (np.sqrt(s) * np.sqrt(gamma))
    low, high = (s * w, gamma * w) if shrinks else (jump, jump)
    inner = soft(vi, s * w) / (one - s / gamma)
    return one - one if abs(vi) <= low else (inner if abs(vi) <= high else vi)


@jit(reassociate=True)
def _prox_mcp(v: ENTRIES, gamma: NUMBER, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT):
    real, wide = v.dtype.type, np.float64(gamma)
    total, step, weight, gamma = 0.0, like(step, v), like(weight, v), real(gamma)
    bend = 0.5 / wide
    for i in range(len(v)):
        w = at(weight, i)
        x = firm(load(v, i), at(step, i), w, gamma, real(1))
        total += mcp_of(np.float64(abs(x)), wide, np.float64(w), bend)
        store(out, i, x)
    return total


@compiled_as(_prox_mcp)
def prox_mcp(
    v: ArrayLike,
    gamma: float = 3.0,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of `mcp`, ``argmin_x sum_i g(x_i; gamma, weight_i) + (x_i - v_i)^2 / (2 step_i)``.

    With ``step < gamma`` (firm thresholding): 0 where ``|v| <= step weight``, v beyond
    ``gamma weight``, and ``sign(v) (|v| - step weight) / (1 - step / gamma)`` between. With
    ``step >= gamma`` the objective is concave in between: v where
    ``|v| > weight sqrt(step gamma)``, else 0 (at the tie as well).

    In compiled code ``prox_mcp(v, gamma, step, weight, out)``, arrays C-contiguous or 1-D. It
    returns the penalty at the result.

    Cost: one pass over memory.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
    gamma : float
        Above 0; the penalty is constant beyond ``gamma weight``.
    step : float or array_like
        Positive; one number, or one per entry.
    weight : float or array_like
        Non-negative; one number, or one per entry.
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
    gamma = number("gamma", gamma, 0, above=True)
    return prox(_prox_mcp, v, (gamma,), step, ("weight", weight), out=out, threads=threads)


@jit(inline=True)
def scad_of(size, gamma, weight, bend):
    """One entry of `scad`; ``bend`` is ``1 / (2 (gamma - 1))``."""
    linear = weight if size > weight else size
    rest = (gamma * weight if size > gamma * weight else size) - linear
    return weight * linear + rest * (weight - bend * rest)


@jit(reassociate=True)
def _scad(x: ENTRIES, gamma: NUMBER, weight: PER_ENTRY):
    total, weight, gamma = 0.0, like(weight, x), np.float64(gamma)
    bend = 0.5 / (gamma - 1.0)
    for i in range(len(x)):
        total += scad_of(np.float64(abs(x[i])), gamma, np.float64(at(weight, i)), bend)
    return total


@compiled_as(_scad)
def scad(x: ArrayLike, gamma: float = 3.7, weight: ArrayLike = 1.0) -> float:
    """Smoothly clipped absolute deviation (Fan and Li, 2001), ``sum_i g(x_i; gamma, weight_i)``.

    With ``w = weight``: ``g(x) = w |x|`` where ``|x| <= w``,
    ``(2 gamma w |x| - x^2 - w^2) / (2 (gamma - 1))`` up to ``gamma w``, and
    ``w^2 (gamma + 1) / 2`` beyond.

    In compiled code ``scad(x, gamma, weight)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like
        Point, of any shape: float32 or float64; integers become float64.
    gamma : float
        Above 1; the penalty is constant beyond ``gamma weight``.
    weight : float or array_like
        Non-negative; one number, or one per entry.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return value(_scad, x, (number("gamma", gamma, 1, above=True),), ("weight", weight))


@jit(inline=True)
def clipped_deviation(vi, s, w, gamma, one):
    """Prox of `scad` for one entry."""
    convex = s < gamma - one
    # where the soft threshold and v itself cost the same: it may have reached zero or not
    even = (gamma + one + s) / (one + one)
    jump = even if s <= gamma + one else np.sqrt(s) * np.sqrt(gamma + one)
    low = w * (one + s if convex else jump)
    high = gamma * w if convex else low
    pull = -w if vi < 0 else w
    # v plus a correction: no small difference of large numbers
    middle = vi + s / (gamma - one - s) * (vi - gamma * pull)
    return soft(vi, s * w) if abs(vi) <= low else (middle if abs(vi) <= high else vi)


@jit(reassociate=True)
def _prox_scad(v: ENTRIES, gamma: NUMBER, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT):
    real, wide = v.dtype.type, np.float64(gamma)
    total, step, weight, gamma = 0.0, like(step, v), like(weight, v), real(gamma)
    bend = 0.5 / (wide - 1.0)
    for i in range(len(v)):
        w = at(weight, i)
        x = clipped_deviation(load(v, i), at(step, i), w, gamma, real(1))
        total += scad_of(np.float64(abs(x)), wide, np.float64(w), bend)
        store(out, i, x)
    return total


@compiled_as(_prox_scad)
def prox_scad(
    v: ArrayLike,
    gamma: float = 3.7,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of `scad`, ``argmin_x sum_i g(x_i; gamma, weight_i) + (x_i - v_i)^2 / (2 step_i)``.

    With ``s = step``, ``w = weight`` and ``soft(v) = sign(v) max(|v| - s w, 0)``.
    ``s < gamma - 1``: soft(v) where ``|v| <= (1 + s) w``, v beyond ``gamma w``, and
    ``((gamma - 1) v - sign(v) s gamma w) / (gamma - 1 - s)`` between. ``s >= gamma - 1``: soft(v)
    where ``|v|`` is at most ``w (gamma + 1 + s) / 2``, or ``w sqrt(s (gamma + 1))`` for
    ``s > gamma + 1``, and v beyond (the former at the tie).

    In compiled code ``prox_scad(v, gamma, step, weight, out)``, arrays C-contiguous or 1-D. It
    returns the penalty at the result.

    Cost: one pass over memory.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
    gamma : float
        Above 1; the penalty is constant beyond ``gamma weight``.
    step : float or array_like
        Positive; one number, or one per entry.
    weight : float or array_like
        Non-negative; one number, or one per entry.
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
    gamma = number("gamma", gamma, 1, above=True)
    return prox(_prox_scad, v, (gamma,), step, ("weight", weight), out=out, threads=threads)


@jit(inline=True)
def _cube_root(x, real):
    """Of a positive number; 0 of 0."""
    root = exp(log(x) / real(3))
    return root - (root - x / (root * root)) / real(3) if x > 0 else x


@jit(reassociate=True)
def _l_two_thirds(x: ENTRIES, weight: PER_ENTRY):
    total, weight = 0.0, like(weight, x)
    for i in range(len(x)):
        root = _cube_root(np.float64(abs(x[i])), np.float64)
        total += at(weight, i) * (root * root)
    return total


@compiled_as(_l_two_thirds)
def l_two_thirds(x: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """l2/3 penalty, ``sum_i weight_i |x_i|^(2/3)``.

    In compiled code ``l_two_thirds(x, weight)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like
        Point, of any shape: float32 or float64; integers become float64.
    weight : float or array_like
        Non-negative; one number, or one per entry.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return value(_l_two_thirds, x, (), ("weight", weight))


_TIE_TWO_THIRDS = 2.0 ** (-4 / 3)
"""At ``d = 2/3 tau |v|^(-4/3)`` of this size the points 0 and v / 2 are both minimisers of l2/3."""


@jit(inline=True)
def _two_thirds_root(d, real):
    """Largest root of ``t^4 - t + d``: the quartic is convex, Newton's method descends to it."""
    one, three, four = real(1), real(3), real(4)
    t = one - d / three
    for _ in range(5):
        t = t - (t * (t * t * t - one) + d) / (four * t * t * t - one)
    return t


@jit(reassociate=True)
def _prox_l_two_thirds(v: ENTRIES, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT):
    real = v.dtype.type
    total, step, weight = 0.0, like(step, v), like(weight, v)
    zero, one, three = real(0), real(1), real(3)
    most = real(_TIE_TWO_THIRDS)
    for i in range(len(v)):
        vi, tau = load(v, i), at(step, i) * at(weight, i)
        root = _cube_root(abs(vi), real)
        d = (tau + tau) / three / root / abs(vi)
        gone = (d >= most) | (vi == 0)
        inner = most if d > most else d
        t = _two_thirds_root(inner, real)
        t = t if tau > 0 else one
        x = zero if gone & (tau > 0) else vi * (t * t * t)
        size = np.float64(zero if gone & (tau > 0) else t * root)
        total += at(weight, i) * (size * size)
        store(out, i, x)
    return total


@compiled_as(_prox_l_two_thirds)
def prox_l_two_thirds(
    v: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of l2/3, ``argmin_x sum_i weight_i |x_i|^(2/3) + (x_i - v_i)^2 / (2 step_i)``.

    With ``tau = step weight``: 0 where ``|v| <= 2 (2/3 tau)^(3/4)`` (at the tie as well), else
    ``v t^3`` with t the largest root of ``t^4 - t + 2/3 tau |v|^(-4/3)``, by Newton's method.

    In compiled code ``prox_l_two_thirds(v, step, weight, out)``, arrays C-contiguous or 1-D. It
    returns the penalty at the result.

    Cost: one pass over memory.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
    step : float or array_like
        Positive; one number, or one per entry.
    weight : float or array_like
        Non-negative; one number, or one per entry.
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
    return prox(_prox_l_two_thirds, v, (), step, ("weight", weight), out=out, threads=threads)


@jit(reassociate=True)
def _log_sum(x: ENTRIES, scale: NUMBER, weight: PER_ENTRY):
    total, weight, scale = 0.0, like(weight, x), np.float64(scale)
    for i in range(len(x)):
        total += at(weight, i) * log1p(np.float64(abs(x[i])) / scale)
    return total


@compiled_as(_log_sum)
def log_sum(x: ArrayLike, scale: float = 1.0, weight: ArrayLike = 1.0) -> float:
    """Log-sum penalty (Candes et al., 2008), ``sum_i weight_i log(1 + |x_i| / scale)``.

    In compiled code ``log_sum(x, scale, weight)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like
        Point, of any shape: float32 or float64; integers become float64.
    scale : float
        Positive; where the penalty has bent to half its slope.
    weight : float or array_like
        Non-negative; one number, or one per entry.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return value(_log_sum, x, (number("scale", scale, 0, above=True),), ("weight", weight))


@jit(reassociate=True)
def _prox_log_sum(v: ENTRIES, scale: NUMBER, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT):
    real, wide = v.dtype.type, np.float64(scale)
    total, step, weight, scale = 0.0, like(step, v), like(weight, v), real(scale)
    zero, half, one = real(0), real(0.5), real(1)
    for i in range(len(v)):
        vi, tau = load(v, i), at(step, i) * at(weight, i)
        size = abs(vi)
        ratio = (tau / (size + scale)) / (size + scale)  # real roots where it is at most 1/4
        spread = one - ratio * real(4)
        # the larger root of (x - v) (x + scale) + tau, less v: no difference of close numbers
        less = (size + scale) * (half - half * np.sqrt(spread if spread > 0 else zero))
        x = size - less
        x = zero if x < 0 else x
        # of the two candidates the cheaper one
        gain = x * (size - half * x) - tau * log1p(x / scale)
        gone = (spread < 0) | (gain <= 0)
        x = zero if gone else x
        total += at(weight, i) * log1p(np.float64(x) / wide)
        store(out, i, -x if vi < 0 else x)
    return total


@compiled_as(_prox_log_sum)
def prox_log_sum(
    v: ArrayLike,
    scale: float = 1.0,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of `log_sum`.

    ``argmin_x sum_i weight_i log(1 + |x_i| / scale) + (x_i - v_i)^2 / (2 step_i)``: the cheaper of
    0 and, where it is real, the larger root of ``(x - |v|) (x + scale) + tau`` with
    ``tau = step weight`` and the sign of v.

    In compiled code ``prox_log_sum(v, scale, step, weight, out)``, arrays C-contiguous or 1-D. It
    returns the penalty at the result.

    Cost: one pass over memory.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
    scale : float
        Positive; where the penalty has bent to half its slope.
    step : float or array_like
        Positive; one number, or one per entry.
    weight : float or array_like
        Non-negative; one number, or one per entry.
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
    scale = number("scale", scale, 0, above=True)
    return prox(_prox_log_sum, v, (scale,), step, ("weight", weight), out=out, threads=threads)
