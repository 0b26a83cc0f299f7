"""Coefficients of separable kernels: one number for all coordinates, or one for each.

A kernel reads both alike: ``weight = like(weight, x)`` once, then ``at(weight, i)`` in its loop.
Which of the two it is follows from the type, so every compiled form has a plain loop.
"""

from numba.core import types
from numba.extending import overload


def like(coefficient, x):
    """A number in the dtype of array ``x``; an array as it is."""
    return coefficient if getattr(coefficient, "ndim", 0) else x.dtype.type(coefficient)


@overload(like)
def _like(coefficient, x):
    if isinstance(coefficient, types.Array):
        return lambda coefficient, x: coefficient
    return lambda coefficient, x: x.dtype.type(coefficient)


def at(coefficient, i):
    """The number, or entry i of the array."""
    return coefficient[i] if getattr(coefficient, "ndim", 0) else coefficient


@overload(at)
def _at(coefficient, i):
    if isinstance(coefficient, types.Array):
        return lambda coefficient, i: coefficient[i]
    return lambda coefficient, i: coefficient
