"""The one decorator of all kernels: floating-point policy, threads, and the cache on disk.

Floating point: results may use fused multiply-add; NaN and infinity always count, and a division
by zero gives infinity as in IEEE arithmetic (an exception branch would keep loops from being
vectorised). Only kernels marked ``reassociate`` may also reorder sums.

With NUMBA_BOUNDSCHECK=1 kernels are compiled for debugging: an index outside an array raises
IndexError, ``function.kernel`` compares types and lengths as it does in compiled callers, and loops
over threads are plain ones, out of which an exception finds its way. What BLAS and the tiles of
`fastadmm.kernels.core.tiles` read through pointers is not checked.
"""

import hashlib
import os
from collections.abc import Callable
from functools import cache, partial, wraps
from typing import Any, ParamSpec, Protocol, TypeVar

import numba
from numba.core import types
from numba.extending import intrinsic, overload
from numba.np.ufunc import parallel as numba_threads

from .cache import Files, config, open_folder
from .kinds import Door
from .linked import LinkedOnly

ELEMENTWISE = frozenset({"contract"})
REDUCTION = frozenset({"contract", "reassoc", "nsz"})


CACHE_FOLDER = open_folder()
"""Folder of the compiled kernels, None where caching is off."""


def _identity(value):
    """What tells a value that a closure holds from others, the same in every process."""
    function = getattr(value, "py_func", value)
    if hasattr(function, "__qualname__"):
        return function.__module__, function.__qualname__
    return type(value).__qualname__, repr(value)


def distinct(function):
    """Name a closure after what it holds, and return it; other functions keep their name.

    Numba names machine code after the qualified name, the argument types and a count of functions
    that begins anew in each process. Two closures of one source that different processes have
    compiled and cached may so carry one name, and a process that loads both links one for both.
    """
    if function.__closure__:
        held = repr([_identity(cell.cell_contents) for cell in function.__closure__])
        function.__qualname__ += "_" + hashlib.sha256(held.encode()).hexdigest()[:12]
    return function


def jit(
    function: Any = None,
    *,
    parallel: bool = False,
    reassociate: bool = False,
    inline: bool = False,
    internal: bool = False,
    cached: bool = True,
) -> Any:
    """Compile a kernel on its first call, without the GIL, kept on disk.

    Parameters
    ----------
    function : callable
        None for a decorator with these options.
    parallel : bool
        Run ``prange`` loops on Numba's threads. Called from Python only.
    reassociate : bool
        Let the compiler reorder sums, so that reductions vectorise.
    inline : bool
        Make LLVM inline every call of it, also where it finds it too large: a loop that calls is
        never vectorised.
    internal : bool
        Called from compiled code only: leave out the entry from Python, which converts every
        argument, and machine code of its own, see `fastadmm.kernels.core.linked`.
    cached : bool
        Keep it on disk. A function that takes compiled functions has a new type, and would have a
        new file, in every process.
    """
    if function is None:
        return partial(
            jit, parallel=parallel, reassociate=reassociate, inline=inline, internal=internal,
            cached=cached,
        )  # fmt: skip
    distinct(function)
    options = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": set(REDUCTION if reassociate else ELEMENTWISE),
        "parallel": parallel and not config.BOUNDSCHECK,
        "forceinline": inline,
        "no_cpython_wrapper": internal,
        "no_cfunc_wrapper": internal,
    }
    if internal and not config.BOUNDSCHECK:  # whose exceptions need what a whole function has
        options["pipeline_class"] = LinkedOnly
    kernel = _compiled(function, options, cached)
    if config.DISABLE_JIT:
        return kernel
    if parallel:
        plain = options | {"parallel": False}
        return _Parallel(kernel, partial(_compiled, function, plain, cached))
    return _Internal(kernel) if internal else kernel


def _compiled(function, options, cached):
    kernel: Any = numba.njit(**options)(function)
    has_source = os.path.exists(function.__code__.co_filename)  # which tells whether it is outdated
    if CACHE_FOLDER is not None and cached and has_source and not config.DISABLE_JIT:
        kernel._cache = Files(function, CACHE_FOLDER, options["parallel"])
    return kernel


class _Stand:
    """What stands for a kernel where Python calls it; compiled code calls the kernel itself."""

    def __init__(self, kernel):
        self.kernel, self.py_func = kernel, kernel.py_func  # Numba's type does not keep it alive
        self._numba_type_ = types.Dispatcher(kernel)


class _Parallel:
    """A kernel on Numba's threads; where a fork has left these behind, the same without them.

    GNU OpenMP kills a process that was forked from one with threads, as soon as it asks for some.
    The plain code goes through the same chunks, and gives the same bits. Compiled code cannot call
    it: a user's function that does, loaded from a cache, would not start the threads.
    """

    def __init__(self, kernel, compile_plain):
        self.kernel, self.py_func, self.plain = kernel, kernel.py_func, cache(compile_plain)

    def __call__(self, *args):
        return (self.plain() if _threads_are_lost else self.kernel)(*args)


_threads_are_lost = False


def _note_fork():
    global _threads_are_lost
    _threads_are_lost = _threads_are_lost or getattr(numba_threads, "_is_initialized", True)


os.register_at_fork(after_in_child=_note_fork)


class _Internal(_Stand):
    """A kernel without an entry from Python, where calling it would crash."""

    def __call__(self, *args):
        raise TypeError(f"{self.py_func.__name__} is called from compiled code only")


class _Checked(_Stand):
    """A kernel behind its door, for debugging."""

    def __init__(self, door):
        super().__init__(door.kernel)
        self.door = door

    def __call__(self, *args):
        return self.door.checked(args)(*args)


def never_inline():  # pyright: ignore[reportRedeclaration]
    """Keep the compiled function that calls this a function of its own.

    For large code with several callers: LLVM optimises every copy anew, wherever it is linked.
    """


if not config.DISABLE_JIT:

    @intrinsic
    def never_inline(typingctx):
        def codegen(context, builder, signature, args):
            builder.function.attributes.add("noinline")
            return context.get_dummy_value()

        return types.void(), codegen


Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned", covariant=True)


class Public(Protocol[Arguments, Returned]):
    """A public function as type checkers see it: as Python calls it, with its ``kernel``."""

    __name__: str
    kernel: Any

    def __call__(self, *args: Arguments.args, **keywords: Arguments.kwargs) -> Returned: ...


def compiled_as(
    kernel: Any,
) -> Callable[[Callable[Arguments, Returned]], Public[Arguments, Returned]]:
    """Give a public Python function a compiled twin under the same name.

    From Python the decorated function runs as written: it validates, converts and allocates. Inside
    ``@njit`` code the same name, with the arguments of ``kernel``, is ``kernel`` behind a check of
    types and lengths (`fastadmm.kernels.core.kinds`). ``function.kernel`` is the compiled function.
    """

    def decorate(function):
        door = Door(function.__name__, kernel)
        # in the caller's body the checks cost nothing, and counts of references cancel out
        overload(function, strict=False, jit_options={"forceinline": True})(door.choose)
        return either(function, door)

    return decorate


def either(function: Callable, door: Door) -> Any:
    """The public function with its ``kernel``; without a compiler both under one name.

    With NUMBA_DISABLE_JIT=1 nothing tells a caller that is to be compiled from another one: a call
    by position with all arguments of the kernel, of the types it takes, is the kernel.
    """

    @wraps(function)
    def by_values(*args, **keywords):
        chosen = None if keywords else door.for_values(args)
        return (chosen or function)(*args, **keywords)

    public: Any = by_values if config.DISABLE_JIT else function
    checks = config.BOUNDSCHECK and not config.DISABLE_JIT
    public.kernel = _Checked(door) if checks else door.kernel
    return public
