"""Separable convex penalties: value, and ``prox(v) = argmin_x g(x) + 1/(2 step) |x - v|^2``.

Every coordinate minimises on its own, in closed form; ``tau = step weight``. A penalty reads its
input once, its prox reads it once and writes once, at the speed of a copy, and the prox kernel
returns the value of g at the result. Sums are accumulated in double precision. Nonconvex penalties
are in `fastadmm.kernels.operators.nonconvex`, those of groups in
`fastadmm.kernels.operators.groups`.
"""

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import Reals, coefficient, elementwise, number, real_array
from ..core.coordinates import at, like, load, store
from ..core.jit import compiled_as, jit
from ..core.kinds import ENTRIES, NUMBER, PER_ENTRY, RESULT


def value(kernel, x, parameters, *weights):
    """Value of a separable penalty; ``weights`` are pairs (name, value)."""
    x = real_array("x", x)
    coefficients = [coefficient(name, w, x) for name, w in weights]
    return kernel(x.ravel(), *parameters, *coefficients)  # ravel is a view where x is contiguous


def prox(kernel, v, parameters, step, *weights, out, threads):
    """Prox of a separable penalty; ``weights`` are pairs (name, value)."""
    v = real_array("v", v)
    arguments = *parameters, coefficient("step", step, v, positive=True)
    for name, weight in weights:
        arguments += (coefficient(name, weight, v),)
    return elementwise(kernel, v, arguments, out, threads)


@jit(inline=True)
def soft(x, tau):
    """x moved by tau towards zero; NaN kept."""
    return x - (-tau if x < -tau else (tau if x > tau else x))


@jit(reassociate=True)
def _l1(x: ENTRIES, weight: PER_ENTRY):
    total, weight = 0.0, like(weight, x)
    for i in range(len(x)):
        total += np.float64(at(weight, i)) * abs(x[i])
    return total


@compiled_as(_l1)
def l1(x: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """l1 norm, weighted: ``sum_i weight_i |x_i|``.

    In compiled code ``l1(x, weight)``, arrays C-contiguous or 1-D.

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
    return value(_l1, x, (), ("weight", weight))


@jit(reassociate=True)
def _prox_l1(v: ENTRIES, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT):
    total, step, weight = 0.0, like(step, v), like(weight, v)
    for i in range(len(v)):
        x = soft(load(v, i), at(step, i) * at(weight, i))
        total += np.float64(at(weight, i)) * abs(x)
        store(out, i, x)
    return total


@compiled_as(_prox_l1)
def prox_l1(
    v: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the l1 norm, ``argmin_x sum_i weight_i |x_i| + (x_i - v_i)^2 / (2 step_i)``.

    ``sign(v) max(|v| - tau, 0)`` with ``tau = step weight``.

    In compiled code ``prox_l1(v, step, weight, out)``, arrays C-contiguous or 1-D. It returns the
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
    return prox(_prox_l1, v, (), step, ("weight", weight), out=out, threads=threads)


@jit(reassociate=True)
def _squared_l2(x: ENTRIES, weight: PER_ENTRY):
    total, weight = 0.0, like(weight, x)
    for i in range(len(x)):
        xi = np.float64(x[i])
        total += np.float64(at(weight, i)) * (xi * xi)
    return 0.5 * total


@compiled_as(_squared_l2)
def squared_l2(x: ArrayLike, weight: ArrayLike = 1.0) -> float:
    """Half the squared l2 norm, weighted: ``sum_i weight_i / 2 x_i^2``.

    In compiled code ``squared_l2(x, weight)``, arrays C-contiguous or 1-D.

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
    return value(_squared_l2, x, (), ("weight", weight))


@jit(reassociate=True)
def _prox_squared_l2(v: ENTRIES, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT):
    one = v.dtype.type(1)
    total, step, weight = 0.0, like(step, v), like(weight, v)
    for i in range(len(v)):
        x = load(v, i) / (one + at(step, i) * at(weight, i))
        total += np.float64(at(weight, i)) * (np.float64(x) * np.float64(x))
        store(out, i, x)
    return 0.5 * total


@compiled_as(_prox_squared_l2)
def prox_squared_l2(
    v: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of half the squared l2 norm.

    ``argmin_x sum_i weight_i / 2 x_i^2 + (x_i - v_i)^2 / (2 step_i)``:
    ``v / (1 + tau)`` with ``tau = step weight``.

    In compiled code ``prox_squared_l2(v, step, weight, out)``, arrays C-contiguous or 1-D. It
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
    return prox(_prox_squared_l2, v, (), step, ("weight", weight), out=out, threads=threads)


@jit(reassociate=True)
def _elastic_net(x: ENTRIES, weight: PER_ENTRY, ridge: PER_ENTRY):
    total, weight, ridge = 0.0, like(weight, x), like(ridge, x)
    for i in range(len(x)):
        size = np.float64(abs(x[i]))
        total += size * (at(weight, i) + 0.5 * at(ridge, i) * size)
    return total


@compiled_as(_elastic_net)
def elastic_net(x: ArrayLike, weight: ArrayLike = 1.0, ridge: ArrayLike = 1.0) -> float:
    """Elastic net, ``sum_i weight_i |x_i| + ridge_i / 2 x_i^2``.

    In compiled code ``elastic_net(x, weight, ridge)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like
        Point, of any shape: float32 or float64; integers become float64.
    weight, ridge : float or array_like
        Non-negative; one number, or one per entry.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For another dtype, a shape that does not broadcast, or a number outside its domain.
    """
    return value(_elastic_net, x, (), ("weight", weight), ("ridge", ridge))


@jit(reassociate=True)
def _prox_elastic_net(
    v: ENTRIES, step: PER_ENTRY, weight: PER_ENTRY, ridge: PER_ENTRY, out: RESULT
):
    one, total = v.dtype.type(1), 0.0
    step, weight, ridge = like(step, v), like(weight, v), like(ridge, v)
    for i in range(len(v)):
        moved = soft(load(v, i), at(step, i) * at(weight, i))
        x = moved / (one + at(step, i) * at(ridge, i))
        size = np.float64(abs(x))
        total += size * (at(weight, i) + 0.5 * at(ridge, i) * size)
        store(out, i, x)
    return total


@compiled_as(_prox_elastic_net)
def prox_elastic_net(
    v: ArrayLike,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    ridge: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the elastic net.

    ``argmin_x sum_i weight_i |x_i| + ridge_i / 2 x_i^2 + (x_i - v_i)^2 / (2 step_i)``:
    ``sign(v) max(|v| - step weight, 0) / (1 + step ridge)``.

    In compiled code ``prox_elastic_net(v, step, weight, ridge, out)``, arrays C-contiguous or 1-D.
    It returns the penalty at the result.

    Cost: one pass over memory.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
    step : float or array_like
        Positive; one number, or one per entry.
    weight, ridge : float or array_like
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
    return prox(
        _prox_elastic_net,
        v,
        (),
        step,
        ("weight", weight),
        ("ridge", ridge),
        out=out,
        threads=threads,
    )


@jit(inline=True)
def huber_of(size, delta):
    """Huber function of a magnitude: quadratic up to delta, linear beyond."""
    inner = delta if size > delta else size
    return inner * (size - 0.5 * inner)


@jit(reassociate=True)
def _huber(x: ENTRIES, delta: NUMBER, weight: PER_ENTRY):
    total, weight, delta = 0.0, like(weight, x), np.float64(delta)
    for i in range(len(x)):
        total += at(weight, i) * huber_of(np.float64(abs(x[i])), delta)
    return total


@compiled_as(_huber)
def huber(x: ArrayLike, delta: float = 1.0, weight: ArrayLike = 1.0) -> float:
    """Huber penalty, ``sum_i weight_i h(x_i)``.

    ``h(x) = x^2 / 2`` where ``|x| <= delta`` and ``delta (|x| - delta / 2)`` beyond.

    In compiled code ``huber(x, delta, weight)``, arrays C-contiguous or 1-D.

    Cost: one pass over memory.

    Parameters
    ----------
    x : array_like
        Point, of any shape: float32 or float64; integers become float64.
    delta : float
        Positive; where the penalty turns linear.
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
    return value(_huber, x, (number("delta", delta, 0, above=True),), ("weight", weight))


@jit(reassociate=True)
def _prox_huber(v: ENTRIES, delta: NUMBER, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT):
    one, knee, delta = v.dtype.type(1), v.dtype.type(delta), np.float64(delta)
    total, step, weight = 0.0, like(step, v), like(weight, v)
    for i in range(len(v)):
        vi, tau = load(v, i), at(step, i) * at(weight, i)
        inside = vi / (one + tau)
        outside = vi - (tau * knee if vi > 0 else -tau * knee)
        x = inside if abs(inside) <= knee else outside
        total += at(weight, i) * huber_of(np.float64(abs(x)), delta)
        store(out, i, x)
    return total


@compiled_as(_prox_huber)
def prox_huber(
    v: ArrayLike,
    delta: float = 1.0,
    step: ArrayLike = 1.0,
    weight: ArrayLike = 1.0,
    *,
    out: Reals | None = None,
    threads: int = 1,
) -> Reals:
    """Prox of the Huber penalty, ``argmin_x sum_i weight_i h(x_i) + (x_i - v_i)^2 / (2 step_i)``.

    ``h`` as in `huber`. With ``tau = step weight``: ``v / (1 + tau)`` where
    ``|v| <= delta (1 + tau)``, and ``v`` moved by ``tau delta`` towards zero beyond.

    In compiled code ``prox_huber(v, delta, step, weight, out)``, arrays C-contiguous or 1-D. It
    returns the penalty at the result.

    Cost: one pass over memory.

    Parameters
    ----------
    v : array_like
        Point, of any shape: float32 or float64; integers become float64.
    delta : float
        Positive; where the penalty turns linear.
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
    delta = number("delta", delta, 0, above=True)
    return prox(_prox_huber, v, (delta,), step, ("weight", weight), out=out, threads=threads)
