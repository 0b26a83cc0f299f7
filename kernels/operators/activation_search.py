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

from ..core.coordinates import at, like
from ..core.elementary import (
    clip,
    exp,
    expm1,
    log,
    log1p,
    sigmoid,
    silu,
    softplus,
    tanh,
    wright_omega,
)
from ..core.jit import distinct, jit

BLOCK = 128
"""Coordinates that a walk works on at a time."""
MAX_STEPS = 200
"""Steps after which a walk is left where it is."""
# One array holds all of a block, field after field: with a single base address and constant
# distances the compiler sees that the fields do not overlap, and vectorises.
M, S, P, Q, LOW, HIGH, LEFT, RIGHT, LAST, ENDS, BEST, COST, X, STARTS = range(0, 14 * BLOCK, BLOCK)
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
    """Functions ``(m, s, w2 / w1) -> low, high, starts``: bounds of the minimiser, pivots."""
    half, one, two, three = real(0.5), real(1), real(2), real(3)
    slack, sixteenth, eight = real(4 * np.finfo(real).eps), real(1 / 16), real(8)
    nudge, inflection, infinity = real(0.01), real(SILU_INFLECTION), real(np.inf)

    @jit(inline=True)
    def least(a, b):
        return a if a < b else b

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
        # a little to the right, where P'' is clearly positive
        pivot = clip(nudge - half * log1p(two * g / (one - g)), m, high)
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
    narrow, unknown = real(2 * np.finfo(real).eps), real(np.inf)

    @jit
    def walk(lanes, start):
        """Walk downhill from the points at ``start`` inside ``[LOW, HIGH]``; the ends go to ``X``.

        ``LAST`` is |P'| of the step before. ``ENDS`` says at which ends of the bracket the sign
        of P' is known: 1 left, 2 right, 3 both; -1 once the walk has ended.
        """
        for i in range(BLOCK):
            lanes[LEFT + i], lanes[RIGHT + i] = lanes[LOW + i], lanes[HIGH + i]
            lanes[LAST + i], lanes[ENDS + i] = unknown, zero
            lanes[X + i] = lanes[start + i]
        for _ in range(MAX_STEPS):
            active = 0
            for i in range(BLOCK):
                a, m, s = lanes[X + i], lanes[M + i], lanes[S + i]
                p, q = lanes[P + i], lanes[Q + i]
                gap, f, f1, f2 = shape(a, s)
                d = p * (a - m) - q * gap * f1
                c = p + q * (f1 * f1 - gap * f2)
                scale = p * (abs(a) + abs(m)) + q * (abs(s) + abs(f)) * abs(f1)
                certified = abs(d) <= tolerance * (scale + abs(a) * (zero if c < 0 else c))
                left = lanes[LEFT + i] if d > 0 else a
                right = a if d > 0 else lanes[RIGHT + i]
                ends, last = lanes[ENDS + i], lanes[LAST + i]
                new_end = real(2) if d > 0 else real(1)
                ends = new_end if (ends == 0) | (ends == new_end) else real(3)
                newton = a - d / c
                clipped = left if newton < left else (right if newton > right else newton)
                halving = (abs(d) <= half * last) | (last == unknown)
                bisect = (ends == 3) & ((c <= 0) | (newton != clipped) | (not halving))
                following = clipped if c > 0 else a
                following = left + half * (right - left) if bisect & (not certified) else following
                following = following if d == d else a
                wide = (ends != 3) | (right - left > narrow * abs(a))
                on = (not certified) & (following != a) & wide
                # a lane that is done keeps its point, whatever its neighbours still do
                done = lanes[ENDS + i] < 0
                lanes[LEFT + i], lanes[RIGHT + i], lanes[LAST + i] = left, right, abs(d)
                lanes[ENDS + i] = ends if on & (not done) else -real(1)
                lanes[X + i] = a if done else following
                active += 1 if on & (not done) else 0
            if active == 0:
                break

    return walk


def _search(real, shape, pivots, count):
    """The whole search for one activation in one dtype; ``count`` walks."""
    half, infinity, least = real(0.5), real(np.inf), real(np.sqrt(np.finfo(real).tiny))
    walk = _walk(real, shape)

    @jit(inline=True)
    def cost(x, m, s, p, q):
        """P in units of the larger of m and s, so that squares neither overflow nor vanish."""
        size = abs(m) if abs(m) > abs(s) else abs(s)
        unit = real(1) / (size if size > least else least)  # f(a) may be 1 where m = s = 0
        gap, _, _, _ = shape(x, s)
        near, far = (x - m) * unit, gap * unit
        return p * near * near + q * far * far

    @jit
    def begin(lanes):
        for i in range(BLOCK):
            m, s, p, q = lanes[M + i], lanes[S + i], lanes[P + i], lanes[Q + i]
            lanes[LOW + i], lanes[HIGH + i], starts = pivots(m, s, q / p)
            for k in range(count):
                lanes[STARTS + k * BLOCK + i] = starts[k]
            lanes[BEST + i], lanes[COST + i] = m, infinity

    @jit
    def improve(lanes):
        """Take the end of a walk where it costs less, or the same and is nearer to m."""
        for i in range(BLOCK):
            m, x, best, lowest = lanes[M + i], lanes[X + i], lanes[BEST + i], lanes[COST + i]
            found = cost(x, m, lanes[S + i], lanes[P + i], lanes[Q + i])
            better = (found < lowest) | ((found == lowest) & (abs(x - m) < abs(best - m)))
            # NaN in m or s makes every cost NaN
            lanes[BEST + i] = (x if better else best) if found == found else found
            lanes[COST + i] = found if better else lowest

    @jit(reassociate=True)
    def search(m, s, w1, w2, out):
        w1, w2 = like(w1, m), like(w2, m)
        lanes = np.empty((STARTS + count * BLOCK), real)
        total = 0.0
        for first in range(0, len(m), BLOCK):
            size = min(BLOCK, len(m) - first)
            for i in range(BLOCK):
                j = first + (i if i < size else size - 1)  # a short block repeats its last entry
                whole = at(w1, j) + at(w2, j)
                lanes[P + i], lanes[Q + i] = at(w1, j) / whole, at(w2, j) / whole
                lanes[M + i], lanes[S + i] = m[j], s[j]
            begin(lanes)
            for k in range(count):
                walk(lanes, STARTS + k * BLOCK)
                improve(lanes)
            for i in range(size):
                gap, _, _, _ = shape(lanes[BEST + i], lanes[S + i])
                total += at(w2, first + i) * (half * gap * gap)
                out[first + i] = lanes[BEST + i]
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
        return distinct(lambda m, s, w1, w2, out: kernel(m, s, w1, w2, out))

    return minimise


minimise_tanh = _minimiser("tanh", 2)
minimise_sigmoid = _minimiser("sigmoid", 2)
minimise_softplus = _minimiser("softplus", 2)
minimise_silu = _minimiser("silu", 4)
