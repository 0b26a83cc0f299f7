"""One way to time a call, one way to name what was timed."""

from functools import cache
from time import perf_counter

import numpy as np

SECONDS = 0.12
"""Time that the rounds of a benchmark take together, unless a single call is longer."""
SHORTEST = 5e-5
"""A round repeats calls until it is this long: the clock is no part of what is measured."""


def measure(benchmark, function, *arguments, streams=0, **facts):
    """Time ``function(*arguments)`` and store ``facts`` with it; returns the last result.

    With ``streams``, the number of arrays that a separable operator reads or writes, the time of a
    copy of the same bytes is stored too, taken right after.
    """
    function(*arguments)  # compiles
    start = perf_counter()
    function(*arguments)
    once = perf_counter() - start
    calls = max(1, int(SHORTEST / once))
    rounds = int(np.clip(SECONDS / (once * calls), 3 if once < 0.5 else 1, 200))
    result = benchmark.pedantic(function, arguments, rounds=rounds, iterations=calls)
    benchmark.group = " ".join(str(facts[key]) for key in ("operator", "n", "dtype"))
    if streams:
        facts["copy"] = streams / 2 * _copy_seconds(arguments[0])
    benchmark.extra_info.update(facts)
    return result


def _copy_seconds(x):
    out, best = np.zeros_like(x), np.inf
    for _ in range(8):
        start = perf_counter()
        np.copyto(out, x)
        best = min(best, perf_counter() - start)
    return best


@cache
def normal(n, real, seed=0):
    """Standard normal numbers; not to be written to."""
    numbers = np.random.default_rng(seed).standard_normal(n).astype(real)
    numbers.flags.writeable = False
    return numbers
