"""Two proxes: ADMM and Douglas-Rachford."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import Reals, number
from ..core.kinds import NUMBER, written
from .solution import (
    MAX_ITER,
    Solution,
    begun,
    check_compiled,
    check_goals,
    check_relaxation,
    distance,
    size_of,
    solved,
    verdict,
    with_body,
)


def _admm(
    prox_f,
    prox_g,
    data,
    rho: NUMBER,
    relaxation: NUMBER,
    eps_abs: NUMBER,
    eps_rel: NUMBER,
    max_iter: NUMBER,
    work: written("3", "n"),
    out: written("n"),
):
    x, u, before = work[0], work[1], work[2]
    real, n = out.dtype.type, len(out)
    u[:] = real(0)
    status, iterations, primal, dual = MAX_ITER, 0, np.inf, np.inf
    while iterations < max_iter:
        iterations += 1
        for i in range(n):
            before[i] = out[i]
            x[i] = out[i] - u[i]
        prox_f(data, x, 1.0 / rho, x)
        for i in range(n):
            u[i] += real(relaxation) * x[i] + real(1.0 - relaxation) * before[i]
        prox_g(data, u, 1.0 / rho, out)
        for i in range(n):
            u[i] -= out[i]
        primal, dual = distance(x, out), rho * distance(out, before)
        goal = eps_abs * math.sqrt(n) + eps_rel * max(size_of(x), size_of(out))
        ended = verdict(primal, goal, dual, eps_abs * math.sqrt(n) + eps_rel * rho * size_of(u))
        if ended >= 0:
            status = ended
            break
    return status, iterations, primal, dual


@with_body(_admm)
def admm(
    prox_f: Callable[..., Any],
    prox_g: Callable[..., Any],
    data: Any,
    start: ArrayLike,
    *,
    rho: float = 1.0,
    relaxation: float = 1.6,
    eps_abs: float = 1e-8,
    eps_rel: float = 1e-6,
    max_iter: int = 10_000,
    out: Reals | None = None,
) -> Solution:
    """Minimise ``f(x) + g(x)`` by ADMM on ``f(x) + g(z), x = z``; returns z.

    With the scaled multiplier u: ``x = prox_f(z - u)``, ``z = prox_g(a x + (1 - a) z + u)``,
    ``u = u + a x + (1 - a) z_before - z`` with the relaxation a. Stops where ``|x - z|`` is at most
    ``eps_abs sqrt(n) + eps_rel max(|x|, |z|)`` and ``rho |z - z_before|`` at most ``eps_abs sqrt(n)
    + eps_rel rho |u|`` (Boyd et al., 2011).

    In compiled code ``admm(prox_f, prox_g, data, rho, relaxation, eps_abs, eps_rel, max_iter, work,
    out)`` with work (3, n); out (n,). The start is in ``out``. It returns
    ``(status, iterations, primal, dual)`` with status 0 solved, 1 max_iter, 2 diverged.

    Parameters
    ----------
    prox_f, prox_g : functions compiled by ``numba.njit``
        ``prox(data, v, step, out)`` writes the prox at v into out, which may be v.
    data
        Anything Numba takes, such as a tuple of arrays; handed on to both.
    start : array_like, (n,)
        z at the start: float32 or float64; integers become float64.
    rho : float
        Penalty, positive; the step of both proxes is ``1 / rho``.
    relaxation : float
        Above 0 and below 2; 1 is plain ADMM.
    eps_abs, eps_rel : float
        Non-negative.
    max_iter : int
    out : ndarray, (n,), optional
        Array for z, contiguous.

    Returns
    -------
    Solution

    Raises
    ------
    TypeError, ValueError
        For functions that are not compiled, another dtype or shape, or a number outside its domain.
    """
    check_compiled(prox_f=prox_f, prox_g=prox_g)
    numbers = number("rho", rho, 0, above=True), check_relaxation(relaxation)
    goals, z = check_goals(eps_abs, eps_rel, max_iter), begun(start, out)
    work = np.empty((3, len(z)), z.dtype)
    return solved(admm.kernel, z, prox_f, prox_g, data, *numbers, *goals, work, z)


def _douglas_rachford(
    prox_f,
    prox_g,
    data,
    step: NUMBER,
    relaxation: NUMBER,
    eps_abs: NUMBER,
    eps_rel: NUMBER,
    max_iter: NUMBER,
    work: written("3", "n"),
    out: written("n"),
):
    point, reflected, y = work[0], work[1], work[2]
    real, n = out.dtype.type, len(out)
    point[:] = out
    status, iterations, gap = MAX_ITER, 0, np.inf
    while iterations < max_iter:
        iterations += 1
        prox_f(data, point, step, out)
        for i in range(n):
            reflected[i] = out[i] + out[i] - point[i]
        prox_g(data, reflected, step, y)
        gap = distance(out, y)
        ended = verdict(gap, eps_abs * math.sqrt(n) + eps_rel * size_of(out), 0.0, 0.0)
        if ended >= 0:
            status = ended
            break
        for i in range(n):
            point[i] += real(relaxation) * (y[i] - out[i])
    return status, iterations, gap, gap / step


@with_body(_douglas_rachford)
def douglas_rachford(
    prox_f: Callable[..., Any],
    prox_g: Callable[..., Any],
    data: Any,
    start: ArrayLike,
    *,
    step: float = 1.0,
    relaxation: float = 1.0,
    eps_abs: float = 1e-8,
    eps_rel: float = 1e-6,
    max_iter: int = 10_000,
    out: Reals | None = None,
) -> Solution:
    """Minimise ``f(x) + g(x)`` by Douglas-Rachford splitting; returns x.

    ``x = prox_f(p)``, ``y = prox_g(2 x - p)``, ``p = p + a (y - x)`` with the relaxation a (Lions
    and Mercier, 1979). Stops where ``|x - y|``, the primal residual, is at most
    ``eps_abs sqrt(n) + eps_rel |x|``. The dual one is that by the step.

    In compiled code ``douglas_rachford(prox_f, prox_g, data, step, relaxation, eps_abs, eps_rel,
    max_iter, work, out)`` with work (3, n); out (n,). The start of p is in ``out``. It returns
    ``(status, iterations, primal, dual)`` with status 0 solved, 1 max_iter, 2 diverged.

    Parameters
    ----------
    prox_f, prox_g : functions compiled by ``numba.njit``
        ``prox(data, v, step, out)`` writes the prox at v into out.
    data
        Anything Numba takes, such as a tuple of arrays; handed on to both.
    start : array_like, (n,)
        p at the start: float32 or float64; integers become float64.
    step : float
        Positive.
    relaxation : float
        Above 0 and below 2.
    eps_abs, eps_rel : float
        Non-negative.
    max_iter : int
    out : ndarray, (n,), optional
        Array for x, contiguous.

    Returns
    -------
    Solution

    Raises
    ------
    TypeError, ValueError
        For functions that are not compiled, another dtype or shape, or a number outside its domain.
    """
    check_compiled(prox_f=prox_f, prox_g=prox_g)
    numbers = number("step", step, 0, above=True), check_relaxation(relaxation)
    goals, x = check_goals(eps_abs, eps_rel, max_iter), begun(start, out)
    work = np.empty((3, len(x)), x.dtype)
    return solved(douglas_rachford.kernel, x, prox_f, prox_g, data, *numbers, *goals, work, x)
