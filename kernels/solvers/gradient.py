"""A gradient and a prox: FISTA."""

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
    distance,
    size_of,
    solved,
    verdict,
    with_body,
)


def _fista(
    gradient,
    prox_g,
    data,
    step: NUMBER,
    eps_abs: NUMBER,
    eps_rel: NUMBER,
    max_iter: NUMBER,
    work: written("3", "n"),
    out: written("n"),
):
    y, slope, before = work[0], work[1], work[2]
    real, n, momentum = out.dtype.type, len(out), 1.0
    y[:] = out
    status, iterations, moved = MAX_ITER, 0, np.inf
    while iterations < max_iter:
        iterations += 1
        gradient(data, y, slope)
        for i in range(n):
            before[i] = out[i]
            slope[i] = y[i] - real(step) * slope[i]
        prox_g(data, slope, step, out)
        moved = distance(out, y)
        ended = verdict(moved, eps_abs * math.sqrt(n) + eps_rel * size_of(out), 0.0, 0.0)
        if ended >= 0:
            status = ended
            break
        # where the momentum points uphill it begins anew
        uphill = 0.0
        for i in range(n):
            uphill += np.float64(y[i] - out[i]) * np.float64(out[i] - before[i])
        after = 1.0 if uphill > 0 else 0.5 + math.sqrt(0.25 + momentum * momentum)
        ahead = real(0.0 if uphill > 0 else (momentum - 1.0) / after)
        momentum = after
        for i in range(n):
            y[i] = out[i] + ahead * (out[i] - before[i])
    return status, iterations, moved, moved / step


@with_body(_fista)
def fista(
    gradient: Callable[..., Any],
    prox_g: Callable[..., Any],
    data: Any,
    start: ArrayLike,
    *,
    step: float,
    eps_abs: float = 1e-8,
    eps_rel: float = 1e-6,
    max_iter: int = 10_000,
    out: Reals | None = None,
) -> Solution:
    """Minimise ``f(x) + g(x)``, f smooth, by FISTA; returns x.

    ``x = prox_g(y - step f'(y))``, y ahead of x by Nesterov's momentum (Beck and Teboulle, 2009),
    which begins anew where it points uphill (O'Donoghue and Candes, 2015). Stops where ``|x - y|``,
    the primal residual, is at most ``eps_abs sqrt(n) + eps_rel |x|``. The dual one is that by the
    step: the size of the generalised gradient.

    In compiled code ``fista(gradient, prox_g, data, step, eps_abs, eps_rel, max_iter, work, out)``
    with work (3, n); out (n,). The start is in ``out``. It returns
    ``(status, iterations, primal, dual)`` with status 0 solved, 1 max_iter, 2 diverged.

    Parameters
    ----------
    gradient : function compiled by ``numba.njit``
        ``gradient(data, x, out)`` writes the gradient of f at x into out.
    prox_g : function compiled by ``numba.njit``
        ``prox_g(data, v, step, out)`` writes the prox at v into out.
    data
        Anything Numba takes, such as a tuple of arrays; handed on to both.
    start : array_like, (n,)
        float32 or float64; integers become float64.
    step : float
        Positive; at most 1 over the Lipschitz constant of the gradient.
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
    check_compiled(gradient=gradient, prox_g=prox_g)
    step = number("step", step, 0, above=True)
    goals, x = check_goals(eps_abs, eps_rel, max_iter), begun(start, out)
    work = np.empty((3, len(x)), x.dtype)
    return solved(fista.kernel, x, gradient, prox_g, data, step, *goals, work, x)
