"""Conjugate gradients on an operator that the caller gives as a compiled function.

A function passed to a compiled function keeps the latter from being cached on disk: Numba finds a
new type in every process and writes a new file each time. So the kernel here is not cached, and
compiled callers get its body inlined instead: their own cached function then contains it.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba.core import types
from numba.core.dispatcher import Dispatcher
from numba.extending import overload
from numpy.typing import ArrayLike

from ..core.arguments import Reals, array, count, destination, number
from ..core.jit import config, either, jit
from ..core.kinds import NUMBER, Door, read, written

SOLVED, MAX_ITER, INDEFINITE, DIVERGED = range(4)
STATUS = ("solved", "max_iter", "indefinite", "diverged")


class ConjugateGradients(NamedTuple):
    """What `conjugate_gradients` returns."""

    x: np.ndarray
    status: str
    """"solved", "max_iter" or "diverged" (a number that is not finite turned up)."""
    iterations: int
    """Applications of the operator to a direction."""
    residual: float
    """``|b - A x|`` at x, computed from x and not by recurrence."""


@jit(reassociate=True)
def _inner(x, y):
    """Inner product, accumulated in double precision."""
    total = 0.0
    for i in range(len(x)):
        total += x[i] * y[i]
    return total


@jit(reassociate=True)
def _subtract(rhs, image, residual):
    """``residual <- rhs - image``; returns its norm."""
    total = 0.0
    for i in range(len(rhs)):
        difference = rhs[i] - image[i]
        residual[i] = difference
        total += difference * difference
    return math.sqrt(total)


@jit
def _turn(scaled, beta, direction):
    """``direction <- scaled + beta direction``; with ``beta`` = 0 the old one is not read."""
    factor = direction.dtype.type(beta)
    if beta == 0:
        direction[:] = scaled
    else:
        for i in range(len(direction)):
            direction[i] = scaled[i] + factor * direction[i]


@jit(reassociate=True)
def _advance(step, direction, image, out, residual):
    """``out += step direction``, ``residual -= step image``; returns the norm of the latter."""
    length, total = out.dtype.type(step), 0.0
    for i in range(len(out)):
        out[i] += length * direction[i]
        left = residual[i] - length * image[i]
        residual[i] = left
        total += left * left
    return math.sqrt(total)


def _preconditioned(precondition, data, residual, space):
    """The preconditioned residual, written to ``space``; without one the residual itself."""
    if precondition is None:
        return residual
    precondition(data, residual, space)
    return space


@overload(_preconditioned, inline="always")
def _compiled_preconditioned(precondition, data, residual, space):
    if isinstance(precondition, types.NoneType):
        return lambda precondition, data, residual, space: residual

    def apply(precondition, data, residual, space):
        precondition(data, residual, space)
        return space

    return apply


def _conjugate_gradients(
    apply,
    data,
    rhs: read("n"),
    precondition,
    eps_rel: NUMBER,
    eps_abs: NUMBER,
    max_iter: NUMBER,
    work: written("4", "n"),
    out: written("n"),
):
    """Kernel of `conjugate_gradients`.

    Parameters
    ----------
    apply, precondition : compiled functions ``f(data, x, y)`` that write y; the second may be None
    data
        Handed on to both.
    rhs : ndarray, (n,)
    eps_rel, eps_abs : float
    max_iter : int
    work : ndarray, (4, n)
        Workspace.
    out : ndarray, (n,); the start, overwritten with the solution

    Returns
    -------
    (int, int, float)
        Status (0 solved, 1 max_iter, 2 operator or preconditioner not positive definite, 3 a number
        that is not finite), iterations, and the norm of the residual at ``out``.
    """
    residual, direction, image = work[0], work[1], work[2]
    goal = max(eps_rel * math.sqrt(_inner(rhs, rhs)), eps_abs)
    status, iterations, slope, exact = MAX_ITER, 0, 1.0, False
    size = 0.0  # of a residual known by recurrence only: the first pass computes it
    while True:
        if not exact and not (size > goal and iterations < max_iter):  # NaN too
            apply(data, out, image)
            size = _subtract(rhs, image, residual)
            exact = True
        if size <= goal:
            status = SOLVED
            break
        if not size < np.inf:
            status = DIVERGED
            break
        if iterations >= max_iter:
            break
        scaled = _preconditioned(precondition, data, residual, work[3])
        before, slope = slope, _inner(residual, scaled)
        # a recomputed residual starts over: the old direction belongs to another one
        _turn(scaled, 0.0 if exact else slope / before, direction)
        apply(data, direction, image)
        curvature = _inner(direction, image)
        if slope <= 0 or curvature <= 0:
            status = INDEFINITE
            break
        size = _advance(slope / curvature, direction, image, out, residual)
        exact = False
        iterations += 1
    return status, iterations, size


def conjugate_gradients(
    apply: Callable[..., None],
    data: Any,
    rhs: ArrayLike,
    precondition: Callable[..., None] | None = None,
    *,
    eps_rel: float = 1e-5,
    eps_abs: float = 0.0,
    max_iter: int | None = None,
    start: ArrayLike | None = None,
    out: Reals | None = None,
) -> ConjugateGradients:
    """Solve ``A x = b`` for a symmetric positive definite A that is known by ``x -> A x`` only.

    Stops where ``|b - A x| <= max(eps_rel |b|, eps_abs)``: the recurrence says when, and the
    residual is then computed anew; where it is larger, the iteration starts over from x.

    In exact arithmetic at most n iterations, about ``sqrt(cond(A))`` times the digits wanted.
    Source: Hestenes and Stiefel (1952).

    In compiled code ``conjugate_gradients(apply, data, rhs, precondition, eps_rel, eps_abs,
    max_iter, work, out)`` with rhs, out (n,); work (4, n). The start is in ``out``, and both
    functions are global ones. It returns ``(status, iterations, residual)`` with status 0 solved,
    1 max_iter, 2 not positive definite, 3 diverged.

    Cost: per iteration one application of A (and of the preconditioner) and 12 n numbers of
    memory traffic.

    Parameters
    ----------
    apply : function compiled by ``numba.njit``
        ``apply(data, x, y)`` writes A x into y; both (n,), of the dtype of ``rhs``.
    data
        Anything Numba takes, such as a tuple of arrays; handed on to both functions.
    rhs : array_like, (n,)
        b; float32 or float64; integers become float64. Sets the dtype.
    precondition : function compiled by ``numba.njit``, optional
        ``precondition(data, r, z)`` writes M⁻¹ r into z, M symmetric positive definite.
    eps_rel, eps_abs : float
        Non-negative.
    max_iter : int, optional
        10 n by default.
    start : array_like, (n,), optional
        Zero by default.
    out : ndarray, (n,), optional
        Contiguous, of the dtype of ``rhs``; may be ``start``.

    Returns
    -------
    ConjugateGradients
        x, status, iterations, residual.

    Raises
    ------
    numpy.linalg.LinAlgError
        Where A or M turns out not to be positive definite.
    TypeError, ValueError
        For functions that are not compiled, another dtype or shape, or a number outside its domain.
    """
    for name, function in (("apply", apply), ("precondition", precondition)):
        compiled = callable(function) if config.DISABLE_JIT else isinstance(function, Dispatcher)
        if not compiled and (name == "apply" or function is not None):
            kind = type(function).__name__
            raise TypeError(f"{name} is {kind}: expected a function compiled by numba.njit")
    rhs = array("rhs", rhs, ("n",))
    eps_rel, eps_abs = number("eps_rel", eps_rel, 0), number("eps_abs", eps_abs, 0)
    max_iter = 10 * len(rhs) if max_iter is None else count("max_iter", max_iter)
    begin = np.zeros_like(rhs) if start is None else array("start", start, rhs.shape, rhs)
    out = destination(out, rhs.shape, rhs.dtype, rhs=rhs)
    np.copyto(out, begin)
    work = np.empty((4, len(rhs)), rhs.dtype)
    status, iterations, residual = _door.kernel(
        apply, data, rhs, precondition, eps_rel, eps_abs, max_iter, work, out
    )
    if status == INDEFINITE:
        raise np.linalg.LinAlgError(
            f"apply or precondition is not positive definite: found in iteration {iterations + 1}"
        )
    return ConjugateGradients(out, STATUS[status], iterations, residual)


_door = Door("conjugate_gradients", jit(_conjugate_gradients, cached=False))


@overload(conjugate_gradients, inline="always", strict=False)
def _compiled_conjugate_gradients(*args, **keywords):
    _door.check(args, keywords)
    return _conjugate_gradients


conjugate_gradients = either(conjugate_gradients, _door)
