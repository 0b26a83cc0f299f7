"""Products with the Jacobians of separable proxes: penalties, losses and bounds.

Where the result x of a prox is no kink of the function g, the derivative of the prox there is
``1 / (1 + step g''(x))``; at a kink the result stays, and the derivative is 0. So every product
needs no more than the second derivative of g at the result, infinity at a kink.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import Reals, coefficient, companion, elementwise, number, real_array
from ..core.coordinates import at, like, load, store
from ..core.elementary import exp, sigmoid
from ..core.jit import compiled_as, jit
from ..core.kinds import ENTRIES, NUMBER, PER_ENTRY, RESULT
from .entropy import prox_entropy, prox_log_barrier
from .loss_proxes import (
    prox_absolute_loss,
    prox_hinge_loss,
    prox_huber_loss,
    prox_logistic_loss,
    prox_poisson_loss,
    prox_quantile_loss,
    prox_squared_hinge_loss,
    prox_squared_loss,
)
from .nonconvex import (
    _cube_root,
    prox_l0,
    prox_l_half,
    prox_l_two_thirds,
    prox_log_sum,
    prox_mcp,
    prox_scad,
)
from .penalties import prox_elastic_net, prox_huber, prox_l1, prox_squared_l2
from .projections import _bounds, project_box, project_nonnegative

DOCUMENTED = """Product of the Jacobian of `{of}` with ``u``, which its transpose has as well.

``sum_i u_i dx_i / dv_j`` for the result x at ``v``{kinks}.

In compiled code ``{signature}``{shapes}. There x is what `{of}` has made of v.

Cost: one pass over memory, besides that of `{of}` from Python.

Parameters
----------
v : array_like
    Where the Jacobian is taken: float32 or float64; integers become float64.
u : array_like
    What it is multiplied with, of the shape of ``v``.
{arguments}out : ndarray, optional
    Array for the result, of the shape and dtype of ``v``.
{keywords}
Returns
-------
ndarray, of the shape and dtype of ``v``

Raises
------
TypeError, ValueError
    As `{of}`, and for a ``u`` of another shape.
"""
ARGUMENTS = "*arguments : float or array_like\n    Those of `{of}` after ``v``, as there.\n"
KEYWORDS = "**keywords : float or array_like\n    The same by name.\n"
KINKS = "; between two pieces of a prox it is that of one of them"


def bound(of: Callable, v: Reals, arguments: tuple, keywords: dict) -> dict[str, Any]:
    """Arguments of a prox after its point, by name, defaults included."""
    given = inspect.signature(of).bind(v, *arguments, **keywords)
    given.apply_defaults()
    return {
        name: value
        for name, value in list(given.arguments.items())[1:]
        if name not in ("axis", "out", "threads")
    }


def like_v(u: ArrayLike, v: Reals) -> Reals:
    """``u`` after a check that it has the shape of ``v``, in its dtype."""
    u = real_array("u", u)
    if u.shape != v.shape:
        raise ValueError(f"u has shape {u.shape}: expected {v.shape}, that of v")
    return u.astype(v.dtype, copy=False)


def _converted(name, value, v):
    """An argument that `prox` has checked, as the kernel takes it."""
    if name == "y":
        return companion(name, value, v)
    if name in ("step", "weight", "ridge"):
        return coefficient(name, value, v)
    return number(name, value)


def _of_entries(of, kernel):
    """The public function of a prox of the entries, and its kernel under one name."""

    def vjp(
        v: ArrayLike,
        u: ArrayLike,
        *arguments: ArrayLike,
        out: Reals | None = None,
        **keywords: ArrayLike,
    ) -> Reals:
        v = real_array("v", v)
        named = bound(of, v, arguments, keywords)
        x, u = of(v, **named), like_v(u, v)
        if of is project_box:
            given = _bounds(named["lower"], named["upper"], v)
        else:
            given = tuple(_converted(name, value, v) for name, value in named.items())
        others = np.ascontiguousarray(x).reshape(-1), np.ascontiguousarray(u).reshape(-1)
        return elementwise(kernel, v, (*others, *given), out)

    vjp.__name__ = vjp.__qualname__ = f"vjp_{of.__name__}"
    parameters = ", ".join(inspect.signature(getattr(kernel, "py_func", kernel)).parameters)
    vjp.__doc__ = DOCUMENTED.format(
        of=of.__name__, kinks=KINKS, keywords=KEYWORDS,
        arguments=ARGUMENTS.format(of=of.__name__), signature=f"{vjp.__name__}({parameters})",
        shapes=", arrays C-contiguous or 1-D",
    )  # fmt: skip
    return compiled_as(kernel)(vjp)


def _weighted(curvature):
    """Kernel of a penalty without parameters."""

    @jit
    def kernel(v: ENTRIES, x: ENTRIES, u: ENTRIES, step: PER_ENTRY, weight: PER_ENTRY, out: RESULT):
        one, step, weight = x.dtype.type(1), like(step, x), like(weight, x)
        for i in range(len(x)):
            bend = at(step, i) * curvature(load(x, i), at(weight, i))
            store(out, i, load(u, i) / (one + bend))
        return 0.0

    return kernel


def _shaped(curvature):
    """Kernel of a penalty with a parameter."""

    @jit
    def kernel(
        v: ENTRIES,
        x: ENTRIES,
        u: ENTRIES,
        parameter: NUMBER,
        step: PER_ENTRY,
        weight: PER_ENTRY,
        out: RESULT,
    ):
        one, step, weight = x.dtype.type(1), like(step, x), like(weight, x)
        parameter = x.dtype.type(parameter)
        for i in range(len(x)):
            bend = at(step, i) * curvature(load(x, i), at(weight, i), parameter)
            store(out, i, load(u, i) / (one + bend))
        return 0.0

    return kernel


def _fitted(curvature):
    """Kernel of a loss without parameters."""

    @jit
    def kernel(
        v: ENTRIES,
        x: ENTRIES,
        u: ENTRIES,
        y: ENTRIES,
        step: PER_ENTRY,
        weight: PER_ENTRY,
        out: RESULT,
    ):
        one, step, weight = x.dtype.type(1), like(step, x), like(weight, x)
        for i in range(len(x)):
            bend = at(step, i) * curvature(load(x, i), load(y, i), at(weight, i))
            store(out, i, load(u, i) / (one + bend))
        return 0.0

    return kernel


def _fitted_and_shaped(curvature):
    """Kernel of a loss with a parameter."""

    @jit
    def kernel(
        v: ENTRIES,
        x: ENTRIES,
        u: ENTRIES,
        y: ENTRIES,
        parameter: NUMBER,
        step: PER_ENTRY,
        weight: PER_ENTRY,
        out: RESULT,
    ):
        one, step, weight = x.dtype.type(1), like(step, x), like(weight, x)
        parameter = x.dtype.type(parameter)
        for i in range(len(x)):
            bend = at(step, i) * curvature(load(x, i), load(y, i), at(weight, i), parameter)
            store(out, i, load(u, i) / (one + bend))
        return 0.0

    return kernel


@jit(inline=True)
def _kink(is_kink, w, otherwise):
    return w * np.inf if is_kink & (w > 0) else otherwise


@jit(inline=True)
def _l1(x, w):
    return _kink(x == 0, w, w - w)


@jit(inline=True)
def _squared(x, w):
    return w


@jit(inline=True)
def _huber(x, w, delta):
    return w if abs(x) < delta else w - w


@jit(inline=True)
def _log_barrier(x, w):
    return (w / x) / x if w > 0 else _kink(x == 0, x + 1, w)


@jit(inline=True)
def _entropy(x, w):
    return w / x if w > 0 else _kink(x == 0, x + 1, w)


@jit(inline=True)
def _l_half(x, w):
    size = abs(x)
    return _kink(x == 0, w, -w / (4 * size * np.sqrt(size)))


@jit(inline=True)
def _l_two_thirds(x, w):
    root = _cube_root(np.float64(abs(x)), np.float64)
    return _kink(x == 0, w, -(w + w) / (9 * abs(x) * root))


@jit(inline=True)
def _log_sum(x, w, scale):
    whole = abs(x) + scale
    return _kink(x == 0, w, -(w / whole) / whole)


@jit(inline=True)
def _mcp(x, w, gamma):
    return _kink(x == 0, w, -1 / gamma if abs(x) < gamma * w else w - w)


@jit(inline=True)
def _scad(x, w, gamma):
    bends = (abs(x) > w) & (abs(x) < gamma * w)
    return _kink(x == 0, w, -1 / (gamma - 1) if bends else w - w)


@jit(inline=True)
def _squared_loss(x, y, w):
    return w


@jit(inline=True)
def _absolute_loss(x, y, w):
    return _kink(x == y, w, w - w)


@jit(inline=True)
def _quantile_loss(x, y, w, quantile):
    return _kink(x == y, w, w - w)


@jit(inline=True)
def _huber_loss(x, y, w, delta):
    return w if abs(x - y) < delta else w - w


@jit(inline=True)
def _logistic_loss(x, y, w):
    p = sigmoid(-abs(x))
    return w * p * (1 - p)


@jit(inline=True)
def _hinge_loss(x, y, w):
    return _kink(x == y, w, w - w)  # labels are -1 and 1


@jit(inline=True)
def _squared_hinge_loss(x, y, w):
    return w if x * y < 1 else w - w


@jit(inline=True)
def _poisson_loss(x, y, w):
    return w * exp(x)


@jit
def _of_elastic_net(
    v: ENTRIES,
    x: ENTRIES,
    u: ENTRIES,
    step: PER_ENTRY,
    weight: PER_ENTRY,
    ridge: PER_ENTRY,
    out: RESULT,
):
    one, step = x.dtype.type(1), like(step, x)
    weight, ridge = like(weight, x), like(ridge, x)
    for i in range(len(x)):
        bend = at(step, i) * _kink(load(x, i) == 0, at(weight, i), at(ridge, i))
        store(out, i, load(u, i) / (one + bend))
    return 0.0


@jit
def _of_box(v: ENTRIES, x: ENTRIES, u: ENTRIES, lower: PER_ENTRY, upper: PER_ENTRY, out: RESULT):
    zero, lower, upper = x.dtype.type(0), like(lower, x), like(upper, x)
    for i in range(len(x)):
        inside = (load(v, i) > at(lower, i)) & (load(v, i) < at(upper, i))
        store(out, i, load(u, i) if inside else zero)
    return 0.0


@jit
def _of_nonnegative(v: ENTRIES, x: ENTRIES, u: ENTRIES, out: RESULT):
    zero = x.dtype.type(0)
    for i in range(len(x)):
        store(out, i, load(u, i) if load(v, i) > 0 else zero)
    return 0.0


vjp_prox_l1 = _of_entries(prox_l1, _weighted(_l1))
vjp_prox_l0 = _of_entries(prox_l0, _weighted(_l1))
vjp_prox_squared_l2 = _of_entries(prox_squared_l2, _weighted(_squared))
vjp_prox_elastic_net = _of_entries(prox_elastic_net, _of_elastic_net)
vjp_prox_huber = _of_entries(prox_huber, _shaped(_huber))
vjp_prox_log_barrier = _of_entries(prox_log_barrier, _weighted(_log_barrier))
vjp_prox_entropy = _of_entries(prox_entropy, _weighted(_entropy))
vjp_prox_l_half = _of_entries(prox_l_half, _weighted(_l_half))
vjp_prox_l_two_thirds = _of_entries(prox_l_two_thirds, _weighted(_l_two_thirds))
vjp_prox_log_sum = _of_entries(prox_log_sum, _shaped(_log_sum))
vjp_prox_mcp = _of_entries(prox_mcp, _shaped(_mcp))
vjp_prox_scad = _of_entries(prox_scad, _shaped(_scad))
vjp_project_box = _of_entries(project_box, _of_box)
vjp_project_nonnegative = _of_entries(project_nonnegative, _of_nonnegative)
vjp_prox_squared_loss = _of_entries(prox_squared_loss, _fitted(_squared_loss))
vjp_prox_absolute_loss = _of_entries(prox_absolute_loss, _fitted(_absolute_loss))
vjp_prox_quantile_loss = _of_entries(prox_quantile_loss, _fitted_and_shaped(_quantile_loss))
vjp_prox_huber_loss = _of_entries(prox_huber_loss, _fitted_and_shaped(_huber_loss))
vjp_prox_logistic_loss = _of_entries(prox_logistic_loss, _fitted(_logistic_loss))
vjp_prox_hinge_loss = _of_entries(prox_hinge_loss, _fitted(_hinge_loss))
vjp_prox_squared_hinge_loss = _of_entries(prox_squared_hinge_loss, _fitted(_squared_hinge_loss))
vjp_prox_poisson_loss = _of_entries(prox_poisson_loss, _fitted(_poisson_loss))
