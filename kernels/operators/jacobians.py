"""Products with the Jacobians of proxes and projections of rows, and of the semidefinite cone.

All but that of a weighted isotonic regression are symmetric. That of a norm turns with the row; one
whose result has pieces averages over each; that of a simplex or an l1 ball takes the mean off the
entries that are left.
"""

import inspect

import numpy as np
from numpy.typing import ArrayLike

from ..core.arguments import Reals, per_row, rows, rowwise, run, shaped
from ..core.coordinates import at, like
from ..core.elementary import exp
from ..core.jit import compiled_as, jit
from ..core.kinds import DOUBLE, INTEGERS, NUMBER, PER_ROW, Array, Either, read, shown, written
from ..core.norms import largest_magnitude, norm, sum_of_magnitudes
from ..core.rows import any_row
from .bent_groups import prox_huber_norm
from .capped import _room, project_capped_simplex, prox_sum_largest
from .cross_entropy import _targets, prox_cross_entropy_loss
from .curvatures import ARGUMENTS, DOCUMENTED, KEYWORDS, KINKS, bound, like_v
from .groups import (
    boundaries_of,
    copy_row,
    fill_row,
    per_group,
    prox_group_lasso,
    prox_l2_norm,
    prox_linf_norm,
)
from .ordered import _weights_of_entries, project_isotonic
from .projections import (
    project_l1_ball,
    project_l2_ball,
    project_linf_ball,
    project_second_order_cone,
    project_simplex,
)
from .spectral import SQUARE, _symmetric_part, project_positive_semidefinite
from .variation import _per_difference, prox_fused_lasso, prox_total_variation

ROWS, RESULT_ROWS = read("m", "n"), written("m", "n")


@jit(reassociate=True)
def _inner(x, y):
    total = 0.0
    for j in range(len(x)):
        total += np.float64(x[j]) * np.float64(y[j])
    return total


@jit
def _turned(v, u, size, across, along, out):
    """``across`` times u, and ``along`` times its part along the row v of norm ``size``."""
    more = (along - across) * _inner(v, u) / size / size if size > 0 else 0.0
    for j in range(len(v)):
        out[j] = v.dtype.type(across * np.float64(u[j]) + more * np.float64(v[j]))


@jit
def _of_l2_norm(v: ROWS, x: ROWS, u: ROWS, step: PER_ROW, weight: PER_ROW, out: RESULT_ROWS):
    for i in range(v.shape[0]):
        old, new = norm(any_row(v, i)), norm(any_row(x, i))
        across = new / old if old > 0 else 0.0
        _turned(any_row(v, i), any_row(u, i), old, across, 1.0 if new > 0 else 0.0, any_row(out, i))
    return 0.0


@jit
def _of_huber_norm(
    v: ROWS,
    x: ROWS,
    u: ROWS,
    delta: NUMBER,
    step: PER_ROW,
    weight: PER_ROW,
    out: RESULT_ROWS,
):
    step, weight = like(step, v), like(weight, v)
    for i in range(v.shape[0]):
        old, new = norm(any_row(v, i)), norm(any_row(x, i))
        inside = 1.0 / (1.0 + np.float64(at(step, i)) * at(weight, i))
        across, along = (new / old, 1.0) if new > delta else (inside, inside)
        _turned(any_row(v, i), any_row(u, i), old, across, along, any_row(out, i))
    return 0.0


@jit
def _of_l2_ball(v: ROWS, x: ROWS, u: ROWS, radius: PER_ROW, out: RESULT_ROWS):
    radius = like(radius, v)
    for i in range(v.shape[0]):
        size, r = norm(any_row(v, i)), np.float64(at(radius, i))
        across, along = (1.0, 1.0) if size <= r else (r / size, 0.0)
        _turned(any_row(v, i), any_row(u, i), size, across, along, any_row(out, i))
    return 0.0


@jit
def _of_group_lasso(
    v: ROWS,
    x: ROWS,
    u: ROWS,
    groups: read("boundaries", dtype=INTEGERS),
    step: NUMBER | read("boundaries - 1"),
    weight: NUMBER | read("boundaries - 1"),
    out: RESULT_ROWS,
):
    for i in range(v.shape[0]):
        for g in range(len(groups) - 1):
            part = slice(groups[g], groups[g + 1])
            row, old, new = any_row(v, i)[part], norm(v[i, part]), norm(x[i, part])
            across, along = (new / old, 1.0) if new > 0 else (0.0, 0.0)
            _turned(row, any_row(u, i)[part], old, across, along, any_row(out, i)[part])
    return 0.0


@jit
def _of_linf_ball(v: ROWS, x: ROWS, u: ROWS, radius: PER_ROW, out: RESULT_ROWS):
    radius, zero = like(radius, v), v.dtype.type(0)
    for i in range(v.shape[0]):
        for j in range(v.shape[1]):
            out[i, j] = u[i, j] if abs(v[i, j]) < at(radius, i) else zero
    return 0.0


@jit
def _off_mean(x, u, low, high, signed, out):
    """u less its mean where x is between the bounds, else 0; or the same with the signs of x."""
    total, count = 0.0, 0
    for j in range(len(x)):
        if low < abs(x[j]) < high:
            total += -np.float64(u[j]) if (x[j] < 0) & signed else np.float64(u[j])
            count += 1
    mean = total / count if count else 0.0
    for j in range(len(x)):
        own = -mean if (x[j] < 0) & signed else mean
        out[j] = x.dtype.type(np.float64(u[j]) - own if low < abs(x[j]) < high else 0.0)


@jit
def _of_simplex(v: ROWS, x: ROWS, u: ROWS, total: PER_ROW, out: RESULT_ROWS):
    for i in range(v.shape[0]):
        _off_mean(any_row(x, i), any_row(u, i), 0.0, np.inf, False, any_row(out, i))
    return 0.0


@jit
def _of_capped_simplex(v: ROWS, x: ROWS, u: ROWS, cap: PER_ROW, total: PER_ROW, out: RESULT_ROWS):
    cap = like(cap, v)
    for i in range(v.shape[0]):
        high = np.float64(at(cap, i))
        _off_mean(any_row(x, i), any_row(u, i), 0.0, high, False, any_row(out, i))
    return 0.0


@jit
def _of_l1_ball(v: ROWS, x: ROWS, u: ROWS, radius: PER_ROW, out: RESULT_ROWS):
    radius = like(radius, v)
    for i in range(v.shape[0]):
        if sum_of_magnitudes(any_row(v, i)) <= at(radius, i):
            copy_row(any_row(u, i), any_row(out, i))
        else:
            _off_mean(any_row(x, i), any_row(u, i), 0.0, np.inf, True, any_row(out, i))
    return 0.0


@jit
def _of_linf_norm(v: ROWS, x: ROWS, u: ROWS, step: PER_ROW, weight: PER_ROW, out: RESULT_ROWS):
    for i in range(v.shape[0]):
        row, given, result = any_row(x, i), any_row(u, i), any_row(out, i)
        most, total, count = largest_magnitude(row), 0.0, 0
        for j in range(len(row)):
            if abs(row[j]) == most:
                total += np.float64(given[j]) * np.sign(row[j])
                count += 1
        for j in range(len(row)):
            clipped = abs(row[j]) == most
            result[j] = v.dtype.type(np.sign(row[j]) * total / count) if clipped else given[j]
    return 0.0


@jit
def _of_sum_largest(
    v: ROWS,
    x: ROWS,
    u: ROWS,
    k: NUMBER,
    step: PER_ROW,
    weight: PER_ROW,
    out: RESULT_ROWS,
):
    step, weight = like(step, v), like(weight, v)
    slack = np.sqrt(np.finfo(v.dtype).eps)
    for i in range(v.shape[0]):
        given, result = any_row(u, i), any_row(out, i)
        tau, total, count = np.float64(at(step, i)) * at(weight, i), 0.0, 0
        for j in range(v.shape[1]):
            if slack * tau < v[i, j] - x[i, j] < tau - slack * tau:
                total, count = total + np.float64(given[j]), count + 1
        for j in range(v.shape[1]):
            between = slack * tau < v[i, j] - x[i, j] < tau - slack * tau
            result[j] = v.dtype.type(total / count) if between else given[j]
    return 0.0


@jit
def _over_pieces(x, u, zero_stays, out):
    """The means of u over the pieces of x; 0 where x is and ``zero_stays``."""
    start = 0
    while start < len(x):
        stop, total = start + 1, np.float64(u[start])  # a NaN is no piece with itself
        while stop < len(x) and x[stop] == x[start]:
            total += np.float64(u[stop])
            stop += 1
        mean = 0.0 if zero_stays and x[start] == 0 else total / (stop - start)
        fill_row(out[start:stop], x.dtype.type(mean))
        start = stop


@jit
def _of_total_variation(
    v: ROWS,
    x: ROWS,
    u: ROWS,
    step: PER_ROW,
    weight: NUMBER | read("max(n - 1, 0)"),
    out: RESULT_ROWS,
):
    for i in range(v.shape[0]):
        _over_pieces(any_row(x, i), any_row(u, i), False, any_row(out, i))
    return 0.0


@jit
def _of_fused_lasso(
    v: ROWS,
    x: ROWS,
    u: ROWS,
    step: PER_ROW,
    weight: NUMBER,
    difference_weight: NUMBER | read("max(n - 1, 0)"),
    out: RESULT_ROWS,
):
    for i in range(v.shape[0]):
        _over_pieces(any_row(x, i), any_row(u, i), weight > 0, any_row(out, i))
    return 0.0


@jit
def _of_isotonic(v: ROWS, x: ROWS, u: ROWS, weight: read("n", dtype=DOUBLE), out: RESULT_ROWS):
    for i in range(v.shape[0]):
        start = 0
        while start < v.shape[1]:
            stop, total, whole = start + 1, np.float64(u[i, start]), weight[start]
            while stop < v.shape[1] and x[i, stop] == x[i, start]:
                total, whole, stop = total + np.float64(u[i, stop]), whole + weight[stop], stop + 1
            for j in range(start, stop):
                out[i, j] = v.dtype.type(weight[j] * (total / whole))
            start = stop
    return 0.0


@jit
def _of_second_order_cone(v: ROWS, x: ROWS, u: ROWS, out: RESULT_ROWS):
    real = v.dtype.type
    for i in range(v.shape[0]):
        z, w = any_row(v, i)[1:], any_row(u, i)[1:]
        t, size, s = np.float64(v[i, 0]), norm(z), np.float64(u[i, 0])
        if size <= t:
            copy_row(any_row(u, i), any_row(out, i))
        elif size <= -t:
            fill_row(any_row(out, i), real(0))
        else:
            along, slope = _inner(z, w) / size, t / size
            _turned(z, w, size, 0.5 + 0.5 * slope, 0.5, any_row(out, i)[1:])
            for j in range(len(z)):
                out[i, j + 1] += real(0.5 * s * (z[j] / size))
            out[i, 0] = real(0.5 * s + 0.5 * along)
    return 0.0


@jit
def _of_cross_entropy_loss(
    v: ROWS,
    x: ROWS,
    u: ROWS,
    y: read("m", dtype=INTEGERS) | read("m", "n"),
    step: PER_ROW,
    weight: PER_ROW,
    out: RESULT_ROWS,
):
    step, weight = like(step, v), like(weight, v)
    for i in range(v.shape[0]):
        tau, mass, largest = np.float64(at(step, i)) * at(weight, i), 0.0, x[i, 0]
        for j in range(v.shape[1]):
            largest = max(largest, x[i, j])
        for j in range(v.shape[1]):
            mass += np.float64(exp(x[i, j] - largest))
        along, rest = 0.0, 0.0
        for j in range(v.shape[1]):
            p = np.float64(exp(x[i, j] - largest)) / mass
            along += p * np.float64(u[i, j]) / (1.0 + tau * p)
            rest += p / (1.0 + tau * p)  # one less what the rank-one part takes
        for j in range(v.shape[1]):
            p = np.float64(exp(x[i, j] - largest)) / mass
            out[i, j] = v.dtype.type(
                (np.float64(u[i, j]) + tau * p * along / rest) / (1.0 + tau * p)
            )
    return 0.0


@jit
def _of_positive_semidefinite(
    v: read("n", "n"), x: read("n", "n"), u: read("n", "n"), out: written("n", "n")
):
    """Löwner's formula: divided differences of ``max(value, 0)`` between eigenvalues."""
    part = np.empty(v.shape, v.dtype)
    _symmetric_part(v, part)
    values, vectors = np.linalg.eigh(part)
    _symmetric_part(u, part)
    vectors = np.ascontiguousarray(vectors)
    inner = vectors.T @ part @ vectors
    for i in range(len(values)):
        for j in range(len(values)):
            a, b = max(values[i], values[j]), min(values[i], values[j])
            inner[i, j] *= v.dtype.type(1.0 if b >= 0 else (a / (a - b) if a > 0 else 0.0))
    out[:] = vectors @ inner @ vectors.T
    return 0.0


def _numbers(named, v, axis):
    """Arguments of a kernel, from those that its prox has checked."""
    converted = {
        "groups": lambda value: boundaries_of(value, v),
        "y": lambda value: _targets(value, v, axis),
        "difference_weight": lambda value: _per_difference(value, v),
        "delta": float,
        "k": int,
    }
    for name, value in named.items():
        if name in converted:
            yield converted[name](value)
        elif "groups" in named:
            yield per_group(name, value, boundaries_of(named["groups"], v), v)
        else:
            yield per_row(name, value, v)


_OWN = {
    prox_total_variation: lambda named, v: (
        per_row("step", named["step"], v),
        _per_difference(named["weight"], v),
    ),
    prox_fused_lasso: lambda named, v: (
        per_row("step", named["step"], v),
        float(named["weight"]),
        _per_difference(named["difference_weight"], v),
    ),
    project_isotonic: lambda named, v: (_weights_of_entries(named["weight"], v),),
    project_capped_simplex: lambda named, v: _room(named["cap"], named["total"], v),
}


def _of_rows(of, kernel):
    """The public function of a prox of rows, and its kernel under one name."""

    def vjp(
        v: ArrayLike,
        u: ArrayLike,
        *arguments: ArrayLike,
        axis: int = -1,
        out: Reals | None = None,
        **keywords: ArrayLike,
    ) -> Reals:
        v = rows("v", v, axis)
        named = bound(of, v, arguments, keywords)
        u = like_v(rows("u", u, axis), v)
        if "y" in named:  # probabilities have the axis that v had
            named["y"] = _targets(named["y"], v, axis)
            named["y"] = named["y"].reshape(v.shape[: v.ndim - 1] + named["y"].shape[1:])
        x = of(v, **named)
        given = _OWN[of](named, v) if of in _OWN else tuple(_numbers(named, v, -1))
        n = v.shape[-1] if v.ndim else 1
        others = np.ascontiguousarray(x).reshape(-1, n), np.ascontiguousarray(u).reshape(-1, n)
        return rowwise(kernel, v, (*others, *given), out, axis)

    arguments = ARGUMENTS.format(of=of.__name__) + _AXIS
    return _named(vjp, of, kernel, arguments, KEYWORDS)


def _of_matrix(of, kernel):
    """The same for a set of square matrices."""

    def vjp(v: ArrayLike, u: ArrayLike, *, out: Reals | None = None) -> Reals:
        v = shaped("v", v, SQUARE)
        form = np.ascontiguousarray(v)
        others = np.ascontiguousarray(of(v)), np.ascontiguousarray(like_v(u, v))
        return run(kernel, v, form, others, out)

    return _named(vjp, of, kernel)


def _spelled(parameter):
    kind = parameter.annotation
    kinds = kind.kinds if isinstance(kind, Either) else (kind,)
    each = [shown(k.shape) if isinstance(k, Array) else "a number" for k in kinds]
    text = " or ".join(each).replace("max(n - 1, 0)", "n - 1")
    text = text.replace("boundaries - 1", "number of groups")
    return text.replace("boundaries", "number of groups + 1")


_AXIS = "axis : int\n    The axis that holds the entries of a row.\n"


def _named(vjp, of, kernel, arguments="", keywords=""):
    """The function under the name of its prox, documented, with its kernel."""
    parameters = inspect.signature(getattr(kernel, "py_func", kernel)).parameters
    shapes = "; ".join(
        f"{name} {_spelled(parameter)}"
        for name, parameter in parameters.items()
        if parameter.annotation is not NUMBER
    )
    vjp.__name__ = vjp.__qualname__ = f"vjp_{of.__name__}"
    vjp.__doc__ = DOCUMENTED.format(
        of=of.__name__, kinks=KINKS, arguments=arguments, keywords=keywords,
        signature=f"{vjp.__name__}({', '.join(parameters)})", shapes=f" with {shapes}",
    )  # fmt: skip
    return compiled_as(kernel)(vjp)


vjp_prox_l2_norm = _of_rows(prox_l2_norm, _of_l2_norm)
vjp_prox_linf_norm = _of_rows(prox_linf_norm, _of_linf_norm)
vjp_prox_huber_norm = _of_rows(prox_huber_norm, _of_huber_norm)
vjp_prox_group_lasso = _of_rows(prox_group_lasso, _of_group_lasso)
vjp_prox_sum_largest = _of_rows(prox_sum_largest, _of_sum_largest)
vjp_prox_total_variation = _of_rows(prox_total_variation, _of_total_variation)
vjp_prox_fused_lasso = _of_rows(prox_fused_lasso, _of_fused_lasso)
vjp_prox_cross_entropy_loss = _of_rows(prox_cross_entropy_loss, _of_cross_entropy_loss)
vjp_project_l1_ball = _of_rows(project_l1_ball, _of_l1_ball)
vjp_project_l2_ball = _of_rows(project_l2_ball, _of_l2_ball)
vjp_project_linf_ball = _of_rows(project_linf_ball, _of_linf_ball)
vjp_project_simplex = _of_rows(project_simplex, _of_simplex)
vjp_project_capped_simplex = _of_rows(project_capped_simplex, _of_capped_simplex)
vjp_project_isotonic = _of_rows(project_isotonic, _of_isotonic)
vjp_project_second_order_cone = _of_rows(project_second_order_cone, _of_second_order_cone)
vjp_project_positive_semidefinite = _of_matrix(
    project_positive_semidefinite, _of_positive_semidefinite
)
