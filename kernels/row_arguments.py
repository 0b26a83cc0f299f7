"""What the public functions of row-wise kernels do before a kernel runs: check and convert.

The last axis is the row that an operator acts on; all other axes are counted together. A vector is
one row, and so is a single number.
"""

import math

import numpy as np

from .arguments import checked_out, coefficient, real_array

ROW_VALUE_SECTIONS = """
Parameters
----------
x : array_like, (..., n)
    Rows: float32 or float64; integers become float64.
{parameters}
Returns
-------
float

Raises
------
TypeError, ValueError
    For another dtype, a shape that does not broadcast, or a number outside its domain.
"""
ROW_RESULT_SECTIONS = """
Parameters
----------
v : array_like, (..., n)
    Rows: float32 or float64; integers become float64.
{parameters}out : ndarray, optional
    Array for the result, of the shape and dtype of ``v``; may be ``v`` itself.

Returns
-------
ndarray, of the shape and dtype of ``v``

Raises
------
TypeError, ValueError
    For another dtype, a shape that does not broadcast, or a number outside its domain.
"""
ROW_STEP = """step : float or array_like, (...)
    Positive; one number, or one per row.
"""
ROW_WEIGHT = """weight : float or array_like, (...)
    Non-negative; one number, or one per row.
"""


def as_rows(x):
    """Contiguous (rows, n) form of an array; a view where that is possible."""
    n = x.shape[-1] if x.ndim else 1
    return np.ascontiguousarray(x).reshape(math.prod(x.shape[:-1]), n)


def per_row(name, value, x, *, positive=False):
    """A checked number in the dtype of ``x``, or a raveled array with one number per row."""
    return coefficient(name, value, np.empty(x.shape[:-1], x.dtype), positive=positive)


def row_value(kernel, x, parameters, *weights):
    """Value of a row-wise function; ``weights`` are pairs (name, value)."""
    x = real_array("x", x)
    return kernel(as_rows(x), *parameters, *(per_row(name, w, x) for name, w in weights))


def rowwise(kernel, v, arguments, out):
    """Run ``kernel(rows, *arguments, out)``; return ``out`` in the shape of v."""
    result = checked_out(out, v)
    rows = as_rows(v)
    arrays = (rows, *(a for a in arguments if isinstance(a, np.ndarray)))
    fits = result.flags.c_contiguous and (
        result is v or not any(np.may_share_memory(result, a) for a in arrays)
    )
    written = result.reshape(rows.shape) if fits else np.empty_like(rows)
    kernel(rows, *arguments, written)
    if not fits:
        result[...] = written.reshape(v.shape)
    return result
