"""What the solvers share: their result, their checks, and how compiled callers get their body."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba.core.dispatcher import Dispatcher
from numba.extending import overload
from numpy.typing import ArrayLike

from ..core.arguments import Reals, array, count, destination, number
from ..core.jit import config, either, jit
from ..core.kinds import Door

SOLVED, MAX_ITER, DIVERGED = range(3)
STATUS = ("solved", "max_iter", "diverged")


class Solution(NamedTuple):
    """What a solver returns."""

    x: np.ndarray
    status: str
    """"solved", "max_iter" or "diverged" (a number that is not finite turned up)."""
    iterations: int
    primal: float
    """Norm of the primal residual in the last iteration."""
    dual: float
    """Norm of the dual residual in the last iteration."""


@jit(reassociate=True)
def size_of(x):
    """Euclidean norm, accumulated in double precision."""
    total = 0.0
    for i in range(len(x)):
        total += np.float64(x[i]) * np.float64(x[i])
    return math.sqrt(total)


@jit(reassociate=True)
def distance(x, y):
    """``|x - y|_2``, accumulated in double precision."""
    total = 0.0
    for i in range(len(x)):
        difference = np.float64(x[i]) - np.float64(y[i])
        total += difference * difference
    return math.sqrt(total)


@jit
def verdict(primal, primal_goal, dual, dual_goal):
    """Status where an iteration ends the run, else -1."""
    if not primal + dual < np.inf:
        return DIVERGED
    return SOLVED if primal <= primal_goal and dual <= dual_goal else -1


def check_compiled(**functions: Any) -> None:
    """Raise for what is no function compiled by ``numba.njit``."""
    for name, function in functions.items():
        if not (callable(function) if config.DISABLE_JIT else isinstance(function, Dispatcher)):
            kind = type(function).__name__
            raise TypeError(f"{name} is {kind}: expected a function compiled by numba.njit")


def check_goals(eps_abs: float, eps_rel: float, max_iter: int) -> tuple[float, float, int]:
    """The three after a check."""
    eps_abs, eps_rel = number("eps_abs", eps_abs, 0), number("eps_rel", eps_rel, 0)
    return eps_abs, eps_rel, count("max_iter", max_iter)


def check_relaxation(relaxation: float) -> float:
    """A number above 0 and below 2."""
    return number("relaxation", relaxation, 0, above=True, below=2)


def begun(start: ArrayLike, out: Reals | None) -> Reals:
    """A vector for the iterate, which holds the start."""
    start = array("start", start, ("n",))
    out = destination(out, start.shape, start.dtype)
    np.copyto(out, start)
    return out


def solved(kernel: Any, x: Reals, *arguments: Any) -> Solution:
    """The result of a run of a kernel."""
    status, iterations, primal, dual = kernel(*arguments)
    return Solution(x, STATUS[status], iterations, primal, dual)


def with_body(body: Callable) -> Callable:
    """Decorator that gives a public solver its kernel, and compiled callers the body of it.

    A function passed to a compiled function keeps the latter from being cached on disk, so the
    kernel is not; the body is inlined where it is called.
    """

    def decorate(function):
        door = Door(function.__name__, jit(body, cached=False))

        def choose(*args, **keywords):
            door.check(args, keywords)
            return body

        overload(function, inline="always", strict=False)(choose)
        return either(function, door)

    return decorate
