"""Norms of one row, accumulated in double precision, without overflow or underflow; NaN kept."""

import math

import numpy as np
from llvmlite import ir
from numba.extending import intrinsic, overload

from .jit import jit

_SMALLEST, _LARGEST = 1e-280, 1e300
"""Between these a sum of squares in double precision is accurate."""


@intrinsic
def _maximum(typingctx, a, b):
    def codegen(context, builder, signature, args):
        real = context.get_value_type(a)
        kind = ir.FunctionType(real, [real, real])
        function = builder.module.declare_intrinsic("llvm.maximum", [real], kind)
        return builder.call(function, args)

    return a(a, a), codegen


def maximum(a, b):
    """The larger of two numbers of one type; NaN if either is. Reductions by it vectorise."""
    return np.maximum(a, b)


@overload(maximum)
def _compiled_maximum(a, b):
    return lambda a, b: _maximum(a, b)


@jit
def largest_magnitude(row):
    """``max |row_j|``; 0 for an empty row."""
    largest = row.dtype.type(0)
    for j in range(len(row)):
        largest = maximum(largest, abs(row[j]))
    return largest


@jit(reassociate=True)
def sum_of_magnitudes(row):
    """``sum |row_j|`` in double precision."""
    total = 0.0
    for j in range(len(row)):
        total += abs(row[j])
    return total


@jit(reassociate=True)
def norm(row):
    """``sqrt(sum row_j^2)`` in double precision."""
    total = 0.0
    for j in range(len(row)):
        total += np.float64(row[j]) * np.float64(row[j])
    if _SMALLEST < total < _LARGEST:
        return math.sqrt(total)
    scale = np.float64(largest_magnitude(row))
    if scale == 0 or not scale < np.inf:
        return scale
    total = 0.0
    for j in range(len(row)):
        scaled = np.float64(row[j]) / scale
        total += scaled * scaled
    return scale * math.sqrt(total)


@jit
def spread_of(row):
    """Largest less smallest entry, in double precision; not finite if an entry is not."""
    largest, smallest = row[0], row[0]
    for j in range(len(row)):
        largest, smallest = maximum(largest, row[j]), -maximum(-smallest, -row[j])
    return np.float64(largest) - np.float64(smallest)
