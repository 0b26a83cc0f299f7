"""Rows, or entries, on several threads: the same numbers whatever their number.

An operator treats each row, or each entry, for itself. So a call is cut along the first axis of its
first argument into one call of the same compiled kernel per thread. Kernels hold no lock, and no
second, parallel form of them has to be compiled.
"""

import functools
import inspect
import itertools
import os
from typing import Any

import numpy as np

from .kinds import Array, Either

GRAIN = 1 << 15
"""Entries that are worth a thread of their own."""
_WHOLE = 256
"""Vectors are cut where a loop begins a round anew: its last entries run through other code, whose
roundings are others."""


@functools.cache
def _pool():
    """Threads that wait for work, as many as there are cores."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(os.cpu_count(), "fastadmm-kernels")


os.register_at_fork(after_in_child=_pool.cache_clear)


def _parts(kernel, arguments, cuts):
    """The arguments of each call: those that follow the first axis cut, workspace of its own."""
    signature = inspect.signature(getattr(kernel, "py_func", kernel))
    kinds: list[Any] = [parameter.annotation for parameter in signature.parameters.values()]
    letter = kinds[0].shape[0]
    for start, stop in cuts:
        yield [
            _part(kind, argument, letter, slice(start, stop))
            for kind, argument in zip(kinds, arguments, strict=True)
        ]


def _part(kind, argument, letter, own):
    if not isinstance(argument, np.ndarray):
        return argument
    kinds = kind.kinds if isinstance(kind, Either) else (kind,)
    kind = next(k for k in kinds if isinstance(k, Array) and len(k.shape) == argument.ndim)
    if kind.shape[0] == letter:
        return argument[own]
    return np.empty_like(argument) if kind.written else argument


def in_parallel(kernel: Any, arguments: tuple, threads: int) -> None:
    """Run a kernel on up to ``threads`` parts of its arguments at a time."""
    x = arguments[0]
    parts = max(1, min(threads, len(x), x.size // GRAIN))
    unit = _WHOLE if x.ndim == 1 else 1
    bounds = [len(x) * i // (parts * unit) * unit for i in range(parts)] + [len(x)]
    first, *others = _parts(kernel, arguments, itertools.pairwise(bounds))
    waiting = [_pool().submit(kernel, *part) for part in others]
    kernel(*first)
    for part in waiting:
        part.result()
