"""How separable loops read and write coordinates.

A coefficient is one number for all coordinates, or one for each. A kernel reads both alike:
``weight = like(weight, x)`` once, then ``at(weight, i)`` in its loop. Which of the two it is
follows from the type, so every compiled form has a plain loop.

A loop that reads ``v[i]`` and writes ``out[i]`` is vectorised behind a check that the two arrays
do not overlap; in place that check fails, and scalar code runs, an order of magnitude slower.
`load` and `store` tell LLVM that a store never changes what another coordinate's load reads. That
holds where ``out`` is ``v`` or apart from it, and is broken where they overlap by a shift. Read a
coordinate once, into a local variable, before it is written.
"""

from numba.core import types
from numba.extending import intrinsic, overload
from numba.np.arrayobj import make_array

from .cache import config


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


def _scopes(module):
    domain = module.add_metadata(["fastadmm separable kernels"])
    return module.add_metadata([module.add_metadata(["fastadmm coordinates", domain])])


def _pointer(context, builder, signature, args):
    """Address of entry ``args[1]`` of the contiguous vector ``args[0]``."""
    data = make_array(signature.args[0])(context, builder, args[0]).data
    index = context.cast(builder, args[1], signature.args[1], types.intp)
    return builder.gep(data, [index], inbounds=True)


@intrinsic
def _load(typingctx, v, i):
    def codegen(context, builder, signature, args):
        value = builder.load(_pointer(context, builder, signature, args))
        value.set_metadata("alias.scope", _scopes(builder.module))
        return value

    return v.dtype(v, i), codegen


@intrinsic
def _store(typingctx, out, i, x):
    def codegen(context, builder, signature, args):
        written = builder.store(args[2], _pointer(context, builder, signature, args))
        written.set_metadata("noalias", _scopes(builder.module))
        return context.get_dummy_value()

    return types.void(out, i, out.dtype), codegen


def load(v, i):
    """``v[i]``, i not negative, of a vector that no `store` to another coordinate changes."""
    return v[i]


def store(out, i, x):
    """``out[i] = x``, i not negative."""
    out[i] = x


def _needs_no_check(array):
    return array.layout in "CF" and not config.BOUNDSCHECK


@overload(load, jit_options={"forceinline": True})
def _compiled_load(v, i):
    if _needs_no_check(v):
        return lambda v, i: _load(v, i)
    return lambda v, i: v[i]


@overload(store, jit_options={"forceinline": True})
def _compiled_store(out, i, x):
    if _needs_no_check(out):
        return lambda out, i, x: _store(out, i, x)

    def strided(out, i, x):
        out[i] = x

    return strided


def some(weights, own):
    """A slice of the weights; None where there are none, which is known when it is compiled."""
    return None if weights is None else weights[own]


@overload(some)
def _some(weights, own):
    if isinstance(weights, types.NoneType):
        return lambda weights, own: None
    return lambda weights, own: weights[own]


def some_or_one(weights, own):
    """A slice of the weights; one where there are none, which is known when it is compiled."""
    return 1.0 if weights is None else weights[own]


@overload(some_or_one)
def _some_or_one(weights, own):
    if isinstance(weights, types.NoneType):
        return lambda weights, own: 1.0
    return lambda weights, own: weights[own]
