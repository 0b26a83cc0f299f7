"""The one decorator of all kernels: floating-point policy, threads, and the cache on disk.

Floating point: results may use fused multiply-add; NaN and infinity always count, and a division
by zero gives infinity as in IEEE arithmetic (an exception branch would keep loops from being
vectorised). Only kernels marked ``reassociate`` may also reorder sums.
"""

import hashlib
import importlib.metadata
import os
import tempfile
import warnings
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

import numba
from numba.core import config as _config
from numba.core import types
from numba.extending import intrinsic, overload

from .kinds import Door

config: Any = _config
"""Numba's settings, which come to be as it is loaded: no checker can know them."""

ELEMENTWISE = frozenset({"contract"})
REDUCTION = frozenset({"contract", "reassoc", "nsz"})


def _source_digest():
    """Digest of the kernels' own text: editing one file outdates the kernels inlined from it."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _requested_folder():
    """Folder that the environment asks for, None where it switches caching off."""
    own = os.environ.get("FASTADMM_CACHE", "")
    if own == "0":
        return None
    version = importlib.metadata.version("fastadmm")
    base = own or config.CACHE_DIR or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "fastadmm" / f"{version}-{_source_digest()}"


def _writable(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _open_cache():
    try:
        folder = _requested_folder()
    except RuntimeError:  # no home directory to expand
        folder = Path("~/.cache/fastadmm")
    if folder is None or _writable(folder):
        return folder
    warnings.warn(
        f"compiled kernels are not kept: {folder} is not writable. "
        "Set FASTADMM_CACHE to a writable folder, or to 0 to silence this",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


CACHE_FOLDER = _open_cache()
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
        Run ``prange`` loops on Numba's threads.
    reassociate : bool
        Let the compiler reorder sums, so that reductions vectorise.
    inline : bool
        Make LLVM inline every call of it, also where it finds it too large: a loop that calls is
        never vectorised.
    internal : bool
        Called from compiled code only: leave out the entry from Python, which converts every
        argument, and whose code takes as long to compile as a small kernel's own.
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
        "parallel": parallel,
        "forceinline": inline,
        "no_cpython_wrapper": internal,
        "no_cfunc_wrapper": internal,
    }
    kernel = _compiled(function, options, cached)
    return _Internal(kernel) if internal and not config.DISABLE_JIT else kernel


def _compiled(function, options, cached):
    if CACHE_FOLDER is None or not cached:
        return numba.njit(**options)(function)
    # Numba reads the folder when the decorator runs; the user's own setting is put back.
    before, config.CACHE_DIR = config.CACHE_DIR, str(CACHE_FOLDER)
    try:
        return numba.njit(cache=True, **options)(function)
    finally:
        config.CACHE_DIR = before


class _Internal:
    """A kernel without an entry from Python, where calling it would crash."""

    def __init__(self, kernel):
        self.kernel, self.py_func = kernel, kernel.py_func  # Numba's type does not keep it alive
        self._numba_type_ = types.Dispatcher(kernel)

    def __call__(self, *args):
        raise TypeError(f"{self.py_func.__name__} is called from compiled code only")


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
    public.kernel = door.kernel
    return public
