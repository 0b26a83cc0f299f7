"""Matrix products on register tiles: for matrices too small or too skinny for a packing GEMM.

A tile of C, a few rows by a few vectors, stays in registers while the inner dimension runs; rows of
B are read as they lie and elements of A are broadcast. Nothing is packed, so a product of 64 rows
runs as fast as one of thousands, and ``AᵀB`` reads both operands row by row. Meant for an inner
panel of B (inner dimension times one tile's columns) that fits the first-level cache: recurrent
steps, multiplier sums, Grams.

All matrices are row-major with unit stride along the last axis; rows may be any distance apart.
"""

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from .jit import config, jit, never_inline

_FEATURES = llvmlite.binding.get_host_cpu_features()
_BYTES = 64 if _FEATURES.get("avx512f") else 32 if _FEATURES.get("avx") else 16
_MANY_REGISTERS = bool(_FEATURES.get("avx512f") or _FEATURES.get("neon"))  # 32, else 16
ROWS = 8 if _MANY_REGISTERS else 4
VECTORS = 3
_INNER = 128
"""Rows of both operands per block of `multiply_transposed`: two panels of it fit in 32 KiB."""


def lanes(array):
    """Numbers in one vector register, for the dtype of an array; inside compiled code only."""
    return _BYTES // array.itemsize


@overload(lanes)
def _compiled_lanes(array):
    count = _BYTES * 8 // array.dtype.bitwidth
    return lambda array: count


class _TileBuilder:
    """Emits the loop of one tile shape."""

    def __init__(self, builder, real, lanes, a, b, c, steps, last, accumulate):
        self.builder, self.real, self.lanes = builder, real, lanes
        self.vector = ir.VectorType(real, lanes)
        self.a, self.b, self.c = a, b, c  # each (pointer, row stride, ...) in elements
        self.steps, self.accumulate = steps, accumulate
        index = ir.IntType(32)
        iota = ir.Constant(ir.VectorType(index, lanes), list(range(lanes)))
        self.mask = builder.icmp_signed("<", iota, self._splat(builder.trunc(last, index)))

    def _splat(self, scalar):
        kind = ir.VectorType(scalar.type, self.lanes)
        single = self.builder.insert_element(
            ir.Constant(kind, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0)
        )
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(single, ir.Constant(kind, ir.Undefined), zeros)

    def _masked(self, operation, arguments, result):
        suffix = f"v{self.lanes}{'f32' if self.real == ir.FloatType() else 'f64'}.p0"
        name = f"llvm.masked.{operation}.{suffix}"
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        function = self.builder.module.globals.get(name)
        if function is None:
            function = ir.Function(self.builder.module, kind, name)
        return self.builder.call(function, arguments)

    def _align(self):
        return ir.Constant(ir.IntType(32), 4 if self.real == ir.FloatType() else 8)

    def _vector_at(self, row, v):
        """Pointer to vector v of the row that starts at ``row``."""
        offset = ir.Constant(ir.IntType(64), v * self.lanes)
        return self.builder.bitcast(self.builder.gep(row, [offset]), self.vector.as_pointer())

    def _load(self, row, v, is_last):
        pointer = self._vector_at(row, v)
        if not is_last:
            return self.builder.load(pointer, align=self.real_bytes)
        nothing = ir.Constant(self.vector, [0.0] * self.lanes)
        return self._masked("load", [pointer, self._align(), self.mask, nothing], self.vector)

    def _store(self, value, row, v, is_last):
        pointer = self._vector_at(row, v)
        if not is_last:
            self.builder.store(value, pointer, align=self.real_bytes)
            return
        self._masked("store", [value, pointer, self._align(), self.mask], ir.VoidType())

    @property
    def real_bytes(self):
        return 4 if self.real == ir.FloatType() else 8

    def emit(self, rows, vectors):
        """The loop over the inner dimension, and the update of C."""
        builder, index = self.builder, ir.IntType(64)
        before = builder.block
        head = builder.append_basic_block("inner")
        body = builder.append_basic_block("step")
        done = builder.append_basic_block("update")
        builder.branch(head)
        builder.position_at_end(head)
        k = builder.phi(index)
        k.add_incoming(ir.Constant(index, 0), before)
        zero = ir.Constant(self.vector, [0.0] * self.lanes)
        sums = []
        for _ in range(rows * vectors):
            total = builder.phi(self.vector)
            total.add_incoming(zero, before)
            sums.append(total)
        builder.cbranch(builder.icmp_signed("<", k, self.steps), body, done)

        builder.position_at_end(body)
        a, a_row, a_step = self.a
        b, b_step = self.b
        b_row = builder.gep(b, [builder.mul(k, b_step)])
        b_vectors = [self._load(b_row, v, v == vectors - 1) for v in range(vectors)]
        a_first = builder.gep(a, [builder.mul(k, a_step)])
        for i in range(rows):
            place = builder.gep(a_first, [builder.mul(ir.Constant(index, i), a_row)])
            factor = self._splat(builder.load(place))
            for v in range(vectors):
                product = builder.fmul(factor, b_vectors[v], flags=("contract",))
                total = sums[i * vectors + v]
                total.add_incoming(builder.fadd(total, product, flags=("contract",)), body)
        k.add_incoming(builder.add(k, ir.Constant(index, 1)), body)
        builder.branch(head)

        builder.position_at_end(done)
        c, c_row = self.c
        for i in range(rows):
            row = builder.gep(c, [builder.mul(ir.Constant(index, i), c_row)])
            for v in range(vectors):
                is_last = v == vectors - 1
                old = self._load(row, v, is_last)
                kept = builder.select(self.accumulate, old, zero)
                self._store(builder.fadd(sums[i * vectors + v], kept), row, v, is_last)


@intrinsic
def _tile(
    typingctx, rows, vectors, last, steps, a, a_at, a_row, a_step, b, b_at, b_step, c, c_at, c_row,
    accumulate,
):  # fmt: skip
    """``C (+)= A B`` for one tile of ``rows`` by ``vectors``, the last one of ``last`` lanes.

    Offsets and strides are in elements: A's element (i, k) is at ``a_at + i a_row + k a_step``, row
    k of B starts at ``b_at + k b_step``, row i of C at ``c_at + i c_row``.
    """
    size = types.int64
    signature = types.void(
        size, size, size, size, a, size, size, size, b, size, size, c, size, size, types.boolean
    )
    count = _BYTES * 8 // c.dtype.bitwidth

    def codegen(context, builder, signature, args):
        def pointer(kind, value, at):
            return builder.gep(context.make_array(kind)(context, builder, value).data, [at])

        rows, vectors, last, steps, a, a_at, a_row, a_step, b, b_at, b_step, c, c_at, c_row, add = (
            args
        )
        kinds = signature.args
        tile = _TileBuilder(
            builder, context.get_data_type(kinds[11].dtype), count,
            (pointer(kinds[4], a, a_at), a_row, a_step), (pointer(kinds[8], b, b_at), b_step),
            (pointer(kinds[11], c, c_at), c_row), steps, last, add,
        )  # fmt: skip
        end = builder.append_basic_block("end")
        code = builder.add(builder.mul(rows, ir.Constant(rows.type, VECTORS + 1)), vectors)
        switch = builder.switch(code, end)
        tall = ROWS
        while tall >= 1:
            for wide in range(1, VECTORS + 1):
                block = builder.append_basic_block(f"tile{tall}x{wide}")
                switch.add_case(ir.Constant(rows.type, tall * (VECTORS + 1) + wide), block)
                builder.position_at_end(block)
                tile.emit(tall, wide)
                builder.branch(end)
            tall //= 2
        builder.position_at_end(end)
        return context.get_dummy_value()

    return signature, codegen


@jit(internal=True)
def _stride(matrix):
    return matrix.strides[0] // matrix.itemsize


@jit(internal=True)
def _tile_rows(left):
    """Rows of the next tile: the largest tile that ``left`` rows fill."""
    rows = ROWS
    while rows > left:
        rows //= 2
    return rows


@jit(internal=True)
def _cut(columns, lanes):
    """Vectors of the next panel of so many columns left, and lanes of its last vector."""
    vectors = min(VECTORS, -(-columns // lanes))
    return vectors, min(lanes, columns - (vectors - 1) * lanes)


@jit
def multiply(a, b, c):
    """``c <- a b``.

    Parameters
    ----------
    a : ndarray, (m, k)
    b : ndarray, (k, n)
    c : ndarray, (m, n); overwritten
        All float32 or float64, row-major with unit stride along the last axis.
    """
    _multiply(_block(a), _block(b), _block(c), np.bool_(False))


@jit
def multiply_add(a, b, c):
    """``c <- c + a b``; arguments as of `multiply`."""
    _multiply(_block(a), _block(b), _block(c), np.bool_(True))


@jit(internal=True)
def _block(matrix):
    """A matrix typed as a block of a wider one, contiguous or not: products are compiled once."""
    return matrix[:, 0:]


@jit(internal=True)
def _multiply(a, b, c, accumulate):
    never_inline()
    m, n = c.shape
    width = lanes(c)
    for j in range(0, n, VECTORS * width):
        vectors, last = _cut(n - j, width)
        i = 0
        while i < m:
            rows = _tile_rows(m - i)
            _tile(
                rows, vectors, last, len(b), a, i * _stride(a), _stride(a), 1,
                b, j, _stride(b), c, i * _stride(c) + j, _stride(c), accumulate,
            )  # fmt: skip
            i += rows


@jit
def multiply_transposed(a, b, c):
    """``c <- aᵀ b``.

    Parameters
    ----------
    a : ndarray, (k, m)
    b : ndarray, (k, n)
    c : ndarray, (m, n); overwritten
    """
    _sum_products(_block(a), _block(b), _block(c), np.bool_(False))  # literals compile twice


@jit
def gram(a, c):
    """``c <- aᵀ a``, its lower triangle; the upper one is left with part of the numbers.

    Parameters
    ----------
    a : ndarray, (k, n)
    c : ndarray, (n, n); overwritten
    """
    _sum_products(_block(a), _block(a), _block(c), np.bool_(True))


@jit(internal=True)
def _sum_products(a, b, c, lower):
    """``c <- aᵀ b`` by blocks of the inner dimension; ``lower`` leaves out the upper triangle."""
    never_inline()
    m, n = c.shape
    width = lanes(c)
    if len(a) == 0:
        c[:] = 0
    for k in range(0, len(a), _INNER):
        steps = min(_INNER, len(a) - k)
        for j in range(0, n, VECTORS * width):
            i = j // ROWS * ROWS if lower else 0
            while i < m:
                rows = _tile_rows(m - i)
                needed = min(n, i + rows) - j if lower else n - j
                vectors, last = _cut(needed, width)
                _tile(
                    rows, vectors, last, steps, a, k * _stride(a) + i, 1, _stride(a),
                    b, k * _stride(b) + j, _stride(b), c, i * _stride(c) + j, _stride(c), k > 0,
                )  # fmt: skip
                i += rows


if config.DISABLE_JIT:
    from .uncompiled import gram, multiply, multiply_add, multiply_transposed  # noqa: F401
