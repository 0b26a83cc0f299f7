"""Elementary functions of one number, written so that loops over them vectorise.

Numba calls the C library one number at a time unless Intel's SVML is installed. The functions here
are branch-free polynomials: inside any compiled loop LLVM turns them into vector code.

The exponentials reduce x = k ln 2 + r with |r| <= ln(2)/2, evaluate ``expm1(r)`` as a polynomial
(truncated below half an ulp) and build 2^k in the exponent bits. The logarithms split x = 2^k m
with m in [sqrt(1/2), sqrt(2)) and evaluate log(m) = 2 atanh((m - 1) / (m + 1)) as a Taylor
polynomial. NaN propagates; signed zeros, infinities and subnormal numbers are right.

All are within 4 ulp over the whole range in both types (``tests/kernels/test_elementary.py``).
"""

import math

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from .jit import distinct, jit

_inlined = jit(inline=True)
_MANTISSA = {types.float32: 23, types.float64: 52}


@_inlined
def clip(x, low, high):
    """x within bounds; NaN stays."""
    return low if x < low else (high if x > high else x)


@intrinsic
def _two_to(typingctx, t):
    """2^k from ``t = k + 1.5 * 2^mantissa``, whose low bits hold the integer k."""
    bits, mantissa = t.bitwidth, _MANTISSA[t]

    def codegen(context, builder, signature, args):
        integer = ir.IntType(bits)
        bias = (1 << (bits - mantissa - 2)) - 1
        raw = builder.shl(builder.bitcast(args[0], integer), ir.Constant(integer, mantissa))
        raw = builder.add(raw, ir.Constant(integer, bias << mantissa))
        return builder.bitcast(raw, context.get_value_type(t))

    return t(t), codegen


def _split_at(t):
    """Exponent k and bits of m of ``x = 2^k m``, m in [sqrt(1/2), sqrt(2)), x > 0 and normal."""
    bits, mantissa = t.bitwidth, _MANTISSA[t]
    real = np.float32 if bits == 32 else np.float64
    root = int(np.sqrt(real(0.5)).view(f"int{bits}"))
    integer = ir.IntType(bits)

    def pieces(builder, x):
        offset = builder.sub(builder.bitcast(x, integer), ir.Constant(integer, root))
        return offset, ir.Constant(integer, mantissa), ir.Constant(integer, root), integer

    return pieces


@intrinsic
def _exponent(typingctx, x):
    pieces = _split_at(x)

    def codegen(context, builder, signature, args):
        offset, mantissa, _, _ = pieces(builder, args[0])
        return builder.sitofp(builder.ashr(offset, mantissa), context.get_value_type(x))

    return x(x), codegen


@intrinsic
def _significand(typingctx, x):
    pieces, mask = _split_at(x), (1 << _MANTISSA[x]) - 1

    def codegen(context, builder, signature, args):
        offset, _, root, integer = pieces(builder, args[0])
        raw = builder.add(builder.and_(offset, ir.Constant(integer, mask)), root)
        return builder.bitcast(raw, context.get_value_type(x))

    return x(x), codegen


@intrinsic
def _copysign(typingctx, x, sign):
    def codegen(context, builder, signature, args):
        real = context.get_value_type(x)
        kind = ir.FunctionType(real, [real, real])
        return builder.call(builder.module.declare_intrinsic("llvm.copysign", [real], kind), args)

    return x(x, x), codegen


def _series32():
    """(expm1(r) - r) / r^2 on |r| <= ln(2)/2 in float32."""
    c = [np.float32(1 / math.factorial(i)) for i in range(8)]
    c2, c3, c4, c5, c6, c7 = c[2:]

    @_inlined
    def series(r):
        return ((((c7 * r + c6) * r + c5) * r + c4) * r + c3) * r + c2

    return series


def _series64():
    """(expm1(r) - r) / r^2 on |r| <= ln(2)/2 in float64, through Chebyshev points."""
    c2, c3, c4 = 0.5000000000000001, 0.16666666666666669, 0.04166666666662413
    c5, c6, c7 = 0.008333333333330062, 0.0013888888917213717, 0.00019841269863053618
    c8, c9, c10 = 2.4801521295954376e-05, 2.7557268459997064e-06, 2.7620088445409746e-07
    c11 = 2.510038549551032e-08

    @_inlined
    def series(r):
        p = (((c11 * r + c10) * r + c9) * r + c8) * r + c7
        return ((((p * r + c6) * r + c5) * r + c4) * r + c3) * r + c2

    return series


def _atanh_series32():
    """2 (atanh(s) - s) / s as a function of z = s^2 on s <= 0.172 in float32."""
    c3, c5, c7, c9, c11 = (np.float32(2 / i) for i in range(3, 13, 2))

    @_inlined
    def series(z):
        return ((((c11 * z + c9) * z + c7) * z + c5) * z + c3) * z

    return series


def _atanh_series64():
    """2 (atanh(s) - s) / s as a function of z = s^2 on s <= 0.172 in float64."""
    c3, c5, c7, c9, c11, c13, c15, c17, c19, c21 = (2 / i for i in range(3, 23, 2))

    @_inlined
    def series(z):
        p = (((c21 * z + c19) * z + c17) * z + c15) * z + c13
        return (((((p * z + c11) * z + c9) * z + c7) * z + c5) * z + c3) * z

    return series


def _exponentials(real, mantissa, series, ln2_high, ln2_low, exp_range, tanh_range):
    """Functions built on the exponential in one floating-point type.

    ``ln2_high + ln2_low`` is ln 2, cut so that ``k * ln2_high`` is exact. Outside ``exp_range``
    exp is 0 or infinity; beyond ``tanh_range`` tanh rounds to one.
    """
    log2e, magic = real(1 / math.log(2)), real(1.5 * 2.0**mantissa)
    ln2_high, ln2_low = real(ln2_high), real(ln2_low)
    lowest, highest = map(real, exp_range)
    vanished = real(exp_range[0] * 1.1)  # there even x exp(x) rounds to zero
    saturated, digits = real(tanh_range), real(mantissa + 2)
    half, one, two = real(0.5), real(1), real(2)

    @_inlined
    def reduced(x):
        k = (x * log2e + magic) - magic
        r = (x - k * ln2_high) - k * ln2_low
        return r + (r * r) * series(r), k

    @_inlined
    def scales(k):
        """2^k in two factors: k itself may lie outside the exponent's range."""
        first = half * k + magic
        return _two_to(first), _two_to((k - (first - magic)) + magic)

    @_inlined
    def exp(x):
        y = highest if x > highest else x  # comparisons, unlike min and max, keep NaN
        em1, k = reduced(lowest if y < lowest else y)
        first, second = scales(k)
        return ((em1 + one) * first) * second

    @_inlined
    def expm1(x):
        y = highest if x > highest else x
        em1, k = reduced(-two * saturated if y < -two * saturated else y)
        first, second = scales(k)
        small = _two_to((-digits if k > digits else -k) + magic)
        return _copysign(((em1 + (one - small)) * first) * second, x)

    @_inlined
    def tanh(x):
        y = saturated if abs(x) > saturated else abs(x)
        em1, k = reduced(y + y)
        scale = _two_to(k + magic)
        em1 = scale * em1 + (scale - one)
        return _copysign(em1 / (em1 + two), x)

    @_inlined
    def sigmoid(x):
        e = exp(-abs(x))
        return (one if x >= 0 else e) / (one + e)

    @_inlined
    def silu(x):
        y = vanished if x < vanished else x
        em1, k = reduced(vanished if abs(y) > -vanished else -abs(y))
        first, second = scales(k)
        scaled = (em1 + one) * first
        # x exp(x) is rounded once, after the last factor: exp(x) alone may be subnormal
        return (y if y >= 0 else (y * scaled) * second) / (one + scaled * second)

    return {"exp": exp, "expm1": expm1, "tanh": tanh, "sigmoid": sigmoid, "silu": silu}


def _logarithms(real, mantissa, series, ln2_high, ln2_low, exp, omega_range):
    """Functions built on the logarithm in one floating-point type; ln 2 as in `_exponentials`.

    Below the first number of ``omega_range`` wright_omega rounds to exp, beyond the second to x.
    """
    ln2_high, ln2_low = real(ln2_high), real(ln2_low)
    tiny, rescale, digits = np.finfo(real).tiny, real(2.0**mantissa), real(mantissa)
    half, one, two, infinity = real(0.5), real(1), real(2), real(np.inf)
    zero, nan, thirty, two_thirds = real(0), real(np.nan), real(30), real(2 / 3)
    ln2, upper = real(math.log(2)), real(math.sqrt(2) - 1)
    lowest, highest = map(real, omega_range)

    @_inlined
    def log(x):
        subnormal = x < tiny
        y = x * rescale if subnormal else x
        k = _exponent(y) - (digits if subnormal else zero)
        f = _significand(y) - one
        s = f / (two + f)
        square = half * f * f
        value = k * ln2_high + (f - (square - (s * (square + series(s * s)) + k * ln2_low)))
        value = value if x < infinity else x  # NaN too
        value = -infinity if x == zero else value
        return nan if x < zero else value

    @_inlined
    def log1p(x):
        u = one + x
        lost = (one - (u - x)) if u > two else (x - (u - one))
        value = log(u) + (lost / u if (u > zero) & (u < infinity) else zero)
        return _copysign(value, x)

    @_inlined
    def softplus(x):
        """max(x, 0) + log1p(e), where 1 + e is between 1 and 2: one division does."""
        e = exp(-abs(x))
        f = half * (e - one) if e > upper else e
        s = f / (two + f)
        square = half * f * f
        value = f - (square - s * (square + series(s * s)))
        return (zero if x < zero else x) + (ln2 + value if e > upper else value)

    @_inlined
    def improved(u, x, e):
        """One step of Fritsch, Shafer and Crowley: the relative error goes to its 4th power."""
        below = x < one  # there x - log(u) would cancel
        logarithm = log(e / u if below else u)
        r = (logarithm - u) if below else ((x - u) - logarithm)
        w = one + u
        q = two * w * (w + two_thirds * r)
        return u + u * ((r / w) * ((q - r) / (q - two * r)))

    @_inlined
    def wright_omega(x):
        y = lowest if x < lowest else (highest if x > highest else x)
        e = exp(y)
        above = y if y > thirty else log1p(e)
        u = above * (one - log1p(above) / (two + above))
        u = improved(improved(u, y, e), y, e)
        u = exp(x) if x < lowest else u
        return x if x > highest else u

    return {"log": log, "log1p": log1p, "softplus": softplus, "wright_omega": wright_omega}


def _implement(real, mantissa, exp_series, log_series, ln2, exp_range, tanh_range, omega_range):
    functions = _exponentials(real, mantissa, exp_series, *ln2, exp_range, tanh_range)
    return functions | _logarithms(real, mantissa, log_series, *ln2, functions["exp"], omega_range)


_IMPLEMENTED = {
    types.float32: _implement(
        np.float32, 23, _series32(), _atanh_series32(),
        (0.693359375, -2.1219444005469057e-4), (-104, 89), 9.1, (-87, 1e9),
    ),
    types.float64: _implement(
        np.float64, 52, _series64(), _atanh_series64(),
        (float.fromhex("0x1.62e42fee00000p-1"), 1.9082149292705877e-10), (-746, 710), 19.1,
        (-708, 1e18),
    ),
}  # fmt: skip


def exp(x):
    """Exponential of a float32 or float64 number, inside compiled code; 0 and infinity beyond."""
    return np.exp(x)


def expm1(x):
    """exp(x) - 1 of a float32 or float64 number, inside compiled code."""
    return np.expm1(x)


def log(x):
    """Natural logarithm of a float32 or float64 number, inside compiled code."""
    return np.log(x)


def log1p(x):
    """log(1 + x) of a float32 or float64 number, inside compiled code."""
    return np.log1p(x)


def tanh(x):
    """Hyperbolic tangent of a float32 or float64 number, inside compiled code."""
    return np.tanh(x)


def sigmoid(x):
    """Logistic function 1 / (1 + exp(-x)) of a float32 or float64 number, inside compiled code."""
    e = np.exp(-abs(x))
    return (1 if x >= 0 else e) / (1 + e)


def silu(x):
    """x / (1 + exp(-x)) of a float32 or float64 number, inside compiled code."""
    return np.copysign(0.0, x).astype(x.dtype) if np.isneginf(x) else x * sigmoid(x)


def softplus(x):
    """log(1 + exp(x)) of a float32 or float64 number, inside compiled code."""
    return np.logaddexp(x, 0)


def wright_omega(x):
    """The solution u of ``u + log(u) = x`` for a float32 or float64 number, in compiled code."""
    from scipy.special import wrightomega  # slow to load, and not needed by compiled code

    return wrightomega(x)


def _compile_as(function):
    name = function.__name__

    @overload(function, jit_options={"forceinline": True}, inline="never")
    def choose(x):
        implemented = _IMPLEMENTED.get(x)
        if implemented is None:
            return None
        kernel = implemented[name]
        return distinct(lambda x: kernel(x))


for _function in (exp, expm1, log, log1p, tanh, sigmoid, silu, softplus, wright_omega):
    _compile_as(_function)
