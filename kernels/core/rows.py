"""Rows of a matrix whose columns are a block of a wider one, as contiguous vectors."""

from numba.core import cgutils, types
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array, populate_array

from .jit import jit


@intrinsic
def _contiguous_row(typingctx, matrix, i):
    result = types.Array(matrix.dtype, 1, "C", readonly=not matrix.mutable)

    def codegen(context, builder, signature, args):
        source = make_array(matrix)(context, builder, args[0])
        shape = cgutils.unpack_tuple(builder, source.shape)
        strides = cgutils.unpack_tuple(builder, source.strides)
        index = context.cast(builder, args[1], signature.args[1], types.intp)
        view = make_array(result)(context, builder)
        populate_array(
            view,
            data=cgutils.pointer_add(builder, source.data, builder.mul(index, strides[0])),
            shape=shape[1:],
            strides=[source.itemsize],
            itemsize=source.itemsize,
            meminfo=None,  # borrowed: lives no longer than the matrix
            parent=None,
        )
        return view._getvalue()

    return result(matrix, i), codegen


def row(matrix, i):
    """``matrix[i]`` of a matrix with unit stride along its last axis, typed as contiguous.

    Numba forgets the unit stride when columns are sliced off, and then no loop over the row can be
    vectorised. The view borrows the matrix's memory: use it while the matrix is alive.
    """
    return matrix[i]


@overload(row)
def _compiled_row(matrix, i):
    return lambda matrix, i: _contiguous_row(matrix, i)


def any_row(matrix, i):
    """``matrix[i]`` of any matrix; of a contiguous one as `row` has it.

    Borrowing spares the reference counts, which cost as much as the work on a short row.
    """
    return matrix[i]


@overload(any_row)
def _compiled_any_row(matrix, i):
    if matrix.layout == "C":
        return lambda matrix, i: _contiguous_row(matrix, i)
    return lambda matrix, i: matrix[i]


@jit(reassociate=True)
def dot(x, y):
    """Inner product of two vectors, in their precision."""
    total = x.dtype.type(0)
    for j in range(len(x)):
        total += x[j] * y[j]
    return total


@jit
def squared_norm(x):
    """Squared Euclidean norm of a vector, in its precision."""
    return dot(x, x)


@jit
def add_by_token(tokens, rows, scale, totals):
    """``totals[token] += scale row`` for the token of every row."""
    factor = totals.dtype.type(scale)
    for i in range(len(tokens)):
        total, addend = totals[tokens[i]], rows[i]
        for j in range(len(total)):
            total[j] += factor * addend[j]


_BLOCK = 16


@jit(internal=True)
def transpose(a, out):
    """``out <- aᵀ``, both row-major: by narrow bands of columns, whose rows of out stay near."""
    for first in range(0, a.shape[1], _BLOCK):
        last = min(first + _BLOCK, a.shape[1])
        for i in range(a.shape[0]):
            for j in range(first, last):
                out[j, i] = a[i, j]
