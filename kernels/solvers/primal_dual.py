"""Two proxes and a linear map between them: Chambolle-Pock."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import Reals, array, number
from ..core.kinds import NUMBER, written
from .solution import (
    MAX_ITER,
    Solution,
    begun,
    check_compiled,
    check_goals,
    check_relaxation,
    size_of,
    solved,
    verdict,
    with_body,
)


def _chambolle_pock(
    prox_f,
    prox_g,
    forward,
    adjoint,
    data,
    tau: NUMBER,
    sigma: NUMBER,
    relaxation: NUMBER,
    eps_abs: NUMBER,
    eps_rel: NUMBER,
    max_iter: NUMBER,
    work: written("4", "n"),
    dual_work: written("4", "m"),
    dual: written("m"),
    out: written("n"),
):
    pulled, x, change, own = work[0], work[1], work[2], work[3]
    y, image, moved, other = dual_work[0], dual_work[1], dual_work[2], dual_work[3]
    real, n, m = out.dtype.type, len(out), len(dual)
    adjoint(data, dual, pulled)
    forward(data, out, image)
    status, iterations, primal, gap = MAX_ITER, 0, np.inf, np.inf
    while iterations < max_iter:
        iterations += 1
        for i in range(n):
            change[i] = out[i] - real(tau) * pulled[i]
        prox_f(data, change, tau, x)
        for i in range(n):
            change[i] = x[i] - out[i]
        forward(data, change, moved)
        # Moreau: the prox of the conjugate of g is what that of g leaves
        for i in range(m):
            other[i] = dual[i] / real(sigma) + (image[i] + moved[i] + moved[i])
        prox_g(data, other, 1.0 / sigma, y)
        for i in range(m):
            y[i] = real(sigma) * (other[i] - y[i]) - dual[i]  # the change of the dual variable
        adjoint(data, y, own)
        # residuals of both inclusions (Goldstein et al., 2015)
        for i in range(n):
            x[i] = change[i] / real(tau) - own[i]
        for i in range(m):
            other[i] = y[i] / real(sigma) - moved[i]
        primal, gap = size_of(x), size_of(other)
        a = real(relaxation)
        for i in range(n):
            out[i] += a * change[i]
            pulled[i] += a * own[i]
        for i in range(m):
            dual[i] += a * y[i]
            image[i] += a * moved[i]
        goal = eps_abs * math.sqrt(n) + eps_rel * size_of(pulled)
        ended = verdict(primal, goal, gap, eps_abs * math.sqrt(m) + eps_rel * size_of(image))
        if ended >= 0:
            status = ended
            break
    return status, iterations, primal, gap


@with_body(_chambolle_pock)
def chambolle_pock(
    prox_f: Callable[..., Any],
    prox_g: Callable[..., Any],
    forward: Callable[..., Any],
    adjoint: Callable[..., Any],
    data: Any,
    start: ArrayLike,
    dual_start: ArrayLike,
    *,
    tau: float,
    sigma: float,
    relaxation: float = 1.0,
    eps_abs: float = 1e-8,
    eps_rel: float = 1e-6,
    max_iter: int = 10_000,
    out: Reals | None = None,
) -> Solution:
    """Minimise ``f(x) + g(K x)`` by the primal-dual method of Chambolle and Pock (2011); returns x.

    ``x' = prox_f(x - tau Kᵀ y)``, ``y' = prox of the conjugate of g at y + sigma K (2 x' - x)``,
    and both go on to ``x + a (x' - x)``, ``y + a (y' - y)`` with the relaxation a (Condat, 2013).
    Stops where the residual of x is at most ``eps_abs sqrt(n) + eps_rel |Kᵀ y|``, and that of y at
    most ``eps_abs sqrt(m) + eps_rel |K x|``.

    In compiled code ``chambolle_pock(prox_f, prox_g, forward, adjoint, data, tau, sigma,
    relaxation, eps_abs, eps_rel, max_iter, work, dual_work, dual, out)`` with work (4, n);
    dual_work (4, m); dual (m,); out (n,). The start is in ``out`` and ``dual``. It returns
    ``(status, iterations, primal, dual)`` with status 0 solved, 1 max_iter, 2 diverged.

    Parameters
    ----------
    prox_f, prox_g : functions compiled by ``numba.njit``
        ``prox(data, v, step, out)`` writes the prox at v into out. That of g is of g itself.
    forward, adjoint : functions compiled by ``numba.njit``
        ``forward(data, x, out)`` writes K x into out, (m,), ``adjoint(data, y, out)`` Kᵀ y, (n,).
    data
        Anything Numba takes, such as a tuple of arrays; handed on to all.
    start : array_like, (n,)
        float32 or float64; integers become float64. Sets the dtype.
    dual_start : array_like, (m,)
    tau, sigma : float
        Positive; ``tau sigma |K|^2`` at most 1.
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
    check_compiled(prox_f=prox_f, prox_g=prox_g, forward=forward, adjoint=adjoint)
    steps = number("tau", tau, 0, above=True), number("sigma", sigma, 0, above=True)
    goals, x = check_goals(eps_abs, eps_rel, max_iter), begun(start, out)
    dual = array("dual_start", dual_start, ("m",), x).copy()
    work, dual_work = np.empty((4, len(x)), x.dtype), np.empty((4, len(dual)), x.dtype)
    return solved(
        chambolle_pock.kernel, x, prox_f, prox_g, forward, adjoint, data, *steps,
        check_relaxation(relaxation), *goals, work, dual_work, dual, x,
    )  # fmt: skip
