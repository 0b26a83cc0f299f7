"""Global minimiser of ``w1/2 (a - m)^2 + w2/2 (s - f(a))^2`` for smooth activations f.

Write P for the objective divided by ``w1 + w2``. For each activation a few **pivots** cut the line
into intervals in each of which P'' dips below zero at most once, and P' is concave before the
bottom of the dip and convex after it. Newton's method that walks downhill from both ends of such
an interval then finds all its minima: it cannot pass the first minimum from the left, nor the last
one from the right, and it stops where P'' <= 0, which says that there is none. A sign change of P'
brackets a minimum, and from then on the bracket is kept (a step that leaves it, or that does not
halve P', is replaced by bisection). The lowest of the points found is the global minimiser.

tanh, sigmoid and softplus: between m and the a with f(a) = s, where the minimiser is, the only dip
lies between m and the root of ``(s - f) f'' = f'^2``, which is the pivot. SiLU: its inflection
points are the pivots, together with two far ends.

A walk ends with the certificate

    |P'(a)| <= 8 eps (w1 (|a| + |m|) + w2 (|s| + |f|) |f'| + |a| P''(a)) / (w1 + w2).
"""

import numpy as np
from numba.core import types
from numba.extending import overload

from .coefficients import at, like
from .elementary import exp, expm1, log, log1p, sigmoid, silu, softplus, tanh, wright_omega
from .jit import jit

BLOCK = 128
"""Coordinates that a walk works on at a time."""
MAX_STEPS = 200
"""Steps after which a walk is left where it is: several times what bisection needs."""
SILU_INFLECTION = 2.3993572805154675
SILU_FAR = 800.0
"""Beyond its negative SiLU is zero in float64."""


def _shapes(real):
    zero, half, one, two, four = real(0), real(0.5), real(1), real(2), real(4)

    @jit(inline=True)
    def of_tanh(a, s):
        e = exp(-two * abs(a))
        f, rest = tanh(a), two * e / (one + e)
        first = four * e / ((one + e) * (one + e))
        # near -1 and 1 the rest is exact, and s - f would cancel
        gap = (s - one) + rest if a > half else ((s + one) - rest if a < -half else s - f)
        return gap, f, first, -two * f * first

    @jit(inline=True)
    def of_sigmoid(a, s):
        e = exp(-abs(a))
        rest = e / (one + e)
        first = rest / (one + e)
        gap = (s - one) + rest if a > 0 else s - rest
        f = one - rest if a > 0 else rest
        return gap, f, first, first * (two * rest - one if a > 0 else one - two * rest)

    @jit(inline=True)
    def of_softplus(a, s):
        f, p = softplus(a), sigmoid(a)
        return s - f, f, p, p * sigmoid(-a)

    @jit(inline=True)
    def of_silu(a, s):
        f, p, q = silu(a), sigmoid(a), sigmoid(-a)
        b = a if abs(a) < real(SILU_FAR) else zero  # there p q is zero, and a may be infinite
        return s - f, f, p + f * q, p * q * (two + b * (q - p))

    return {"tanh": of_tanh, "sigmoid": of_sigmoid, "softplus": of_softplus, "silu": of_silu}


def _pivots(real):
    """Functions ``(m, s, w2 / w1) -> low, high, starts``: where the minimiser is, where walks start."""
    zero, half, one, two, three = real(0), real(0.5), real(1), real(2), real(3)
    slack, sixteenth, eight = real(4 * np.finfo(real).eps), real(1 / 16), real(8)
    inflection, infinity = real(SILU_INFLECTION), real(np.inf)

    @jit(inline=True)
    def least(a, b):
        return a if a < b else b

    @jit(inline=True)
    def clip(x, low, high):
        return low if x < low else (high if x > high else x)

    @jit(inline=True)
    def of_tanh(m, s, ratio):
        sign = one if s >= tanh(m) else -one  # mirrored, so that f(m) <= s and a >= m
        m, s = sign * m, sign * s
        # f'(a) <= 1 and f'(a) <= 4 exp(-2 a) bound the root of a - m = ratio (s - f) f'
        high = least(
            m + ratio * (s - tanh(m)),
            m + half * wright_omega(log(eight * ratio * (s + one)) - two * m),
        )
        high = least(high, half * log1p(two * s / (one - s)) if s < one else infinity)
        high = (high if high > m else m) + slack * (abs(high) + abs(m))
        g = one / (s + np.sqrt(s * s + three))
        pivot = clip(-half * log1p(two * g / (one - g)), m, high)
        low, high = (m if sign > 0 else -high), (high if sign > 0 else -m)
        return low, high, (sign * m, sign * pivot)

    @jit(inline=True)
    def of_sigmoid(m, s, ratio):
        # sigmoid(a) = (1 + tanh(a / 2)) / 2
        low, high, starts = of_tanh(half * m, two * s - one, sixteenth * ratio)
        return two * low, two * high, (m, two * starts[1])

    @jit(inline=True)
    def of_softplus(m, s, ratio):
        f = softplus(m)
        rising = s > f
        up = least(m + ratio * (s - f), s + log(-expm1(-s)))
        up = (up if up > m else m) + slack * (abs(up) + abs(m))
        down = m - ratio * (f - s) * sigmoid(m)
        down = down - slack * (abs(down) + abs(m))
        pivot = clip(log(s - log1p(half * s)), m, up)
        return (m if rising else down), (up if rising else m), (m, pivot if rising else down)

    @jit(inline=True)
    def of_silu(m, s, ratio):
        # at the minimiser w1 (a - m)^2 is at most the second term at m
        reach = np.sqrt(ratio) * abs(s - silu(m)) * (one + slack) + slack * abs(m)
        low, high = m - reach, m + reach
        return low, high, (low, clip(-inflection, low, high), clip(inflection, low, high), high)

    return {"tanh": of_tanh, "sigmoid": of_sigmoid, "softplus": of_softplus, "silu": of_silu}


def _walk(real, shape):
    zero, half, tolerance = real(0), real(0.5), real(8 * np.finfo(real).eps)
    narrow = real(2 * np.finfo(real).eps)

    @jit
    def walk(m, s, p, q, low, high, work, x):
        """Walk downhill from ``x``, in place, inside ``[low, high]``.

        ``work`` (4, n): the bracket, the last |P'|, and the ends' signs known (1: left, 2: right).
        """
        left, right, last, known = work
        for i in range(len(x)):
            left[i], right[i], last[i], known[i] = low[i], high[i], real(np.inf), zero
        for _ in range(MAX_STEPS):
            active = 0
            for i in range(len(x)):
                a = x[i]
                gap, f, f1, f2 = shape(a, s[i])
                d = p[i] * (a - m[i]) - q[i] * gap * f1
                c = p[i] + q[i] * (f1 * f1 - gap * f2)
                upward = zero if c < 0 else c
                scale = p[i] * (abs(a) + abs(m[i])) + q[i] * (abs(s[i]) + abs(f)) * abs(f1)
                searching = abs(d) > tolerance * (scale + abs(a) * upward)
                lo, hi = (left[i] if d > 0 else a), (a if d > 0 else right[i])
                sign = known[i]
                sign = (
                    (real(3) if sign == 1 else (real(2) if sign == 0 else sign))
                    if d > 0
                    else (real(3) if sign == 2 else (real(1) if sign == 0 else sign))
                )
                bracketed = sign == 3
                newton = a - d / c
                inside = (
                    (c > 0)
                    & (newton > lo)
                    & (newton < hi)
                    & ((abs(d) <= half * last[i]) | (last[i] == real(np.inf)))
                )
                clipped = lo if newton < lo else (hi if newton > hi else newton)
                free = clipped if c > 0 else a
                middle = lo + half * (hi - lo)
                following = (newton if inside else middle) if bracketed else free
                searching = searching & (following != a)
                searching = searching & (not (bracketed & (hi - lo <= narrow * abs(a))))
                left[i], right[i], last[i], known[i] = lo, hi, abs(d), sign
                x[i] = following if searching else a
                active += 1 if searching else 0
            if active == 0:
                break

    return walk


def _search(real, shape, pivots, count):
    """The whole search for one activation in one dtype; ``count`` walks."""
    zero, half, infinity, tiny = real(0), real(0.5), real(np.inf), np.finfo(real).tiny
    walk = _walk(real, shape)

    @jit(inline=True)
    def cost(x, m, s, p, q):
        """P in units of the larger of m and s, so that squares neither overflow nor vanish."""
        size = abs(m) if abs(m) > abs(s) else abs(s)
        unit = real(1) / (size if size > tiny else tiny)
        gap, _, _, _ = shape(x, s)
        return p * ((x - m) * unit) * ((x - m) * unit) + q * (gap * unit) * (gap * unit)

    @jit
    def improve(m, s, p, q, x, best, lowest):
        """``best`` where ``x`` costs less, or the same and is nearer to m."""
        for i in range(len(x)):
            found = cost(x[i], m[i], s[i], p[i], q[i])
            tie = (found == lowest[i]) & (abs(x[i] - m[i]) < abs(best[i] - m[i]))
            better = (found < lowest[i]) | tie
            best[i] = x[i] if better else best[i]
            lowest[i] = found if better else lowest[i]

    @jit
    def start_of(m, s, p, q, low, high, starts):
        for i in range(len(m)):
            low[i], high[i], begin = pivots(m[i], s[i], q[i] / p[i])
            for k in range(count):
                starts[k, i] = begin[k]

    @jit
    def finish(m, s, p, q, best, out):
        """Write the result; sum of the squares of s - f(a)."""
        for i in range(len(best)):
            found = cost(best[i], m[i], s[i], p[i], q[i])
            out[i] = best[i] if found == found else found

    @jit(reassociate=True)
    def search(m, s, w1, w2, out):
        w1, w2 = like(w1, m), like(w2, m)
        work = np.empty((9, BLOCK), real)
        walking, starts = np.empty((4, BLOCK), real), np.empty((count, BLOCK), real)
        total = 0.0
        for first in range(0, len(m), BLOCK):
            size = min(BLOCK, len(m) - first)
            p, q, best, lowest = work[0], work[1], work[2], work[3]
            low, high, mm, ss = work[4], work[5], work[6], work[7]
            for i in range(BLOCK):
                # a short block is filled up with copies of its last entry
                j = first + (i if i < size else size - 1)
                whole = at(w1, j) + at(w2, j)
                p[i], q[i] = at(w1, j) / whole, at(w2, j) / whole
                mm[i], ss[i] = m[j], s[j]
            start_of(mm, ss, p, q, low, high, starts)
            for i in range(BLOCK):
                best[i], lowest[i] = mm[i], infinity
            for k in range(count):
                walk(mm, ss, p, q, low, high, walking, starts[k])
                improve(mm, ss, p, q, starts[k], best, lowest)
            finish(mm, ss, p, q, best, best)
            for i in range(size):
                gap, _, _, _ = shape(best[i], ss[i])
                total += at(w2, first + i) * (half * gap * gap)
                out[first + i] = best[i]
        return total

    return search


def _minimiser(name, count):
    """The search as one function of arrays, whatever their dtype."""
    kernels = {
        t: _search(real, _shapes(real)[name], _pivots(real)[name], count)
        for t, real in ((types.float32, np.float32), (types.float64, np.float64))
    }

    def minimise(m, s, w1, w2, out):
        kernel = kernels[types.float32 if m.dtype == np.float32 else types.float64]
        return kernel(m, s, w1, w2, out)

    @overload(minimise)
    def choose(m, s, w1, w2, out):
        kernel = kernels[m.dtype]
        return lambda m, s, w1, w2, out: kernel(m, s, w1, w2, out)

    return minimise


minimise_tanh = _minimiser("tanh", 2)
minimise_sigmoid = _minimiser("sigmoid", 2)
minimise_softplus = _minimiser("softplus", 2)
minimise_silu = _minimiser("silu", 4)
