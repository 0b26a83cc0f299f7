"""BLAS and LAPACK called from compiled code, on row-major matrices.

The routines are those that SciPy links to, reached by symbol name: a name, unlike an address, can
be kept in Numba's cache on disk. Every matrix has unit stride along its last axis; rows may be any
distance apart, so blocks of columns are passed without a copy. Fortran reads a row-major matrix as
its transpose, hence the swapped operands below.
"""

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import get_cython_function_address, intrinsic

from .jit import config, jit

_PREFIX = {types.float32: "s", types.float64: "d"}
_ROUTINES = {
    "scipy.linalg.cython_blas": ("gemm", "syrk", "trsm"),
    "scipy.linalg.cython_lapack": ("potrf", "potri", "potrs"),
}
for _module, _names in _ROUTINES.items():
    for _name in _names:
        for _letter in _PREFIX.values():
            llvmlite.binding.add_symbol(
                f"fastadmm_{_letter}{_name}", get_cython_function_address(_module, _letter + _name)
            )


def _call(context, builder, signature, args, name):
    """Emit ``name(&arg, ...)``: arrays pass their data, integers and reals a slot on the stack."""
    pointers = []
    for kind, value in zip(signature.args, args, strict=True):
        if isinstance(kind, types.Array):
            data = context.make_array(kind)(context, builder, value).data
            pointers.append(builder.bitcast(data, cgutils.voidptr_t))
            continue
        if isinstance(kind, types.Integer):
            value = builder.trunc(value, ir.IntType(32))
        pointers.append(
            builder.bitcast(cgutils.alloca_once_value(builder, value), cgutils.voidptr_t)
        )
    kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t] * len(pointers))
    routine = cgutils.get_or_insert_function(builder.module, kind, f"fastadmm_{name}")
    builder.call(routine, pointers)
    return pointers


def _integers(count):
    return (types.int64,) * count


@intrinsic
def _gemm(typingctx, transa, transb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc):
    real = c.dtype
    signature = types.void(
        *_integers(5), real, a, types.int64, b, types.int64, real, c, types.int64
    )

    def codegen(context, builder, signature, args):
        _call(context, builder, signature, args, _PREFIX[real] + "gemm")
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _syrk(typingctx, uplo, trans, n, k, alpha, a, lda, beta, c, ldc):
    real = c.dtype
    signature = types.void(*_integers(4), real, a, types.int64, real, c, types.int64)

    def codegen(context, builder, signature, args):
        _call(context, builder, signature, args, _PREFIX[real] + "syrk")
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _trsm(typingctx, side, uplo, trans, diag, m, n, alpha, a, lda, b, ldb):
    real = b.dtype
    signature = types.void(*_integers(6), real, a, types.int64, b, types.int64)

    def codegen(context, builder, signature, args):
        _call(context, builder, signature, args, _PREFIX[real] + "trsm")
        return context.get_dummy_value()

    return signature, codegen


def _status(context, builder, signature, args, name):
    """Call a routine whose last argument is LAPACK's info, and return that."""
    pointers = _call(context, builder, signature, args, name)
    info = builder.load(builder.bitcast(pointers[-1], ir.IntType(32).as_pointer()))
    return builder.sext(info, ir.IntType(64))


@intrinsic
def _potrf(typingctx, uplo, n, a, lda, info):
    signature = types.int64(*_integers(2), a, types.int64, types.int64)

    def codegen(context, builder, signature, args):
        return _status(context, builder, signature, args, _PREFIX[a.dtype] + "potrf")

    return signature, codegen


@intrinsic
def _potri(typingctx, uplo, n, a, lda, info):
    signature = types.int64(*_integers(2), a, types.int64, types.int64)

    def codegen(context, builder, signature, args):
        return _status(context, builder, signature, args, _PREFIX[a.dtype] + "potri")

    return signature, codegen


@intrinsic
def _potrs(typingctx, uplo, n, nrhs, a, lda, b, ldb, info):
    signature = types.void(*_integers(3), a, types.int64, b, types.int64, types.int64)

    def codegen(context, builder, signature, args):
        _call(context, builder, signature, args, _PREFIX[a.dtype] + "potrs")
        return context.get_dummy_value()

    return signature, codegen


_NO, _YES, _UPPER, _LEFT = ord("N"), ord("T"), ord("U"), ord("L")


@jit
def _leading(a):
    """Distance between rows in elements; a single row may carry any stride."""
    return max(a.shape[1], a.strides[0] // a.itemsize, 1)


@jit
def gemm(alpha, a, transpose_a, b, transpose_b, beta, c):
    """``c <- alpha op(a) op(b) + beta c``; op transposes where its flag is set.

    Parameters
    ----------
    alpha, beta : float
    a, b, c : ndarray, 2-D, float32 or float64 (all the same), unit stride along the last axis
        ``c`` is overwritten; with ``beta`` = 0 its old content is not read.
    transpose_a, transpose_b : bool
    """
    m, n = c.shape
    k = a.shape[0] if transpose_a else a.shape[1]
    if m == 0 or n == 0:
        return
    real = c.dtype.type
    _gemm(
        _YES if transpose_b else _NO, _YES if transpose_a else _NO, n, m, k,
        real(alpha), b, _leading(b), a, _leading(a), real(beta), c, _leading(c),
    )  # fmt: skip


@jit
def syrk(alpha, a, beta, c):
    """Lower triangle of ``c <- alpha aᵀ a + beta c``; the upper one is neither read nor written.

    Parameters
    ----------
    alpha, beta : float
    a : ndarray, (k, n), unit stride along the last axis
    c : ndarray, (n, n), the dtype of ``a``; overwritten
    """
    k, n = a.shape
    if n == 0:
        return
    real = c.dtype.type
    _syrk(_UPPER, _NO, n, k, real(alpha), a, _leading(a), real(beta), c, _leading(c))


@jit
def syrk_rows(alpha, a, beta, c):
    """Lower triangle of ``c <- alpha a aᵀ + beta c``; the upper one is neither read nor written.

    Parameters
    ----------
    alpha, beta : float
    a : ndarray, (n, k), unit stride along the last axis
    c : ndarray, (n, n), the dtype of ``a``; overwritten
    """
    n, k = a.shape
    if n == 0:
        return
    real = c.dtype.type
    _syrk(_UPPER, _YES, n, k, real(alpha), a, _leading(a), real(beta), c, _leading(c))


@jit
def trsm(factor, transpose, rows):
    """Solve ``L x = r``, or ``Lᵀ x = r`` with ``transpose``, for every row r of ``rows``, in place.

    Parameters
    ----------
    factor : ndarray, (n, n)
        Lower triangular, L; the upper triangle is not read.
    transpose : bool
    rows : ndarray, (m, n), the dtype of ``factor``; overwritten
    """
    m, n = rows.shape
    if m == 0 or n == 0:
        return
    _trsm(
        _LEFT, _UPPER, _NO if transpose else _YES, _NO, n, m,
        rows.dtype.type(1), factor, _leading(factor), rows, _leading(rows),
    )  # fmt: skip


@jit
def potrf(a):
    """Cholesky factor ``a = L Lᵀ``, L written over the lower triangle of ``a``.

    Returns
    -------
    int
        0, or the order of the leading minor that is not positive definite. NaN is not noticed:
        it spreads through the factor.
    """
    n = len(a)
    if n == 0:
        return 0
    return _potrf(_UPPER, n, a, _leading(a), 0)


@jit
def potri(factor):
    """Inverse of ``L Lᵀ`` over its factor, the lower triangle mirrored into the upper one.

    Parameters
    ----------
    factor : ndarray, (n, n)
        What `potrf` left; overwritten with the whole symmetric inverse.

    Returns
    -------
    int
        0, or the index from 1 of a zero on the factor's diagonal.
    """
    n = len(factor)
    if n == 0:
        return 0
    status = _potri(_UPPER, n, factor, _leading(factor), 0)
    for i in range(n):
        for j in range(i):
            factor[j, i] = factor[i, j]
    return status


@jit
def potrs(factor, rows):
    """Solve ``(L Lᵀ) x = r`` for every row r of ``rows``, in place.

    Parameters
    ----------
    factor : ndarray, (n, n)
        What `potrf` left; the upper triangle is not read.
    rows : ndarray, (m, n), the dtype of ``factor``; overwritten
    """
    m, n = rows.shape
    if m == 0 or n == 0:
        return
    _potrs(_UPPER, n, m, factor, _leading(factor), rows, _leading(rows), 0)


if config.DISABLE_JIT:
    from .uncompiled import gemm, potrf, potri, potrs, syrk, syrk_rows, trsm  # noqa: F401
