"""What counts as a fault: all but a clear refusal or a right result, in time and in memory."""

import contextlib
import faulthandler
import os
import re
import signal
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

from numba.core import event

from fastadmm import unfolded  # noqa: F401, what it loads counts in no case
from fastadmm.cells import CELLS

SECONDS = 20
"""Within which a case ends, or compiles a kernel."""
PROCESS = os.getpid()
"""The one that is watched; it watches those that it forks."""
LONGEST = 3 * SECONDS
"""After which the process ends: compiled code hears no signal."""
LEAST_MEMORY = 64 << 20
"""Bytes that a case may take in any case; kernels that are loaded for it among them."""

INTERNAL = re.compile(
    r"object is not|'NoneType'|unsupported operand|not supported between|unexpected keyword|"
    r"positional argument|has no attribute|out of range|allow_pickle|inhomogeneous|"
    r"could not be broadcast|cannot be broadcast|reduction operation|Traceback|must be real number|"
    r"multiple values for|is not iterable|not subscriptable|invalid literal for|"
    r"Failed in nopython|cannot be interpreted| at 0x[0-9a-f]{8}"
)
"""Words of Python's and NumPy's own, which say nothing to a user."""

for each in CELLS.values():
    each.kind()


class Fault(Exception):
    """A case that did not go as it should."""


class Hang(BaseException):
    """The time is over; no Exception, which the case might take for its own."""


class Case(NamedTuple):
    """An attack.

    Attributes
    ----------
    name : str
        Tells, with the seed, how to repeat it.
    run : callable
        Raises where there is a fault; what is right, or clearly refused, returns.
    bytes : int
        Honest size of what is read; twice as much may be taken.
    """

    name: str
    run: Callable[[], object]
    bytes: int = 0


def refused(error: Exception, *words: object) -> None:
    """Check that an exception is a message for a user: one line, in plain words, naming what."""
    text = str(error)
    if "\n" in text or len(text) > 1000 or INTERNAL.search(text) or not text:
        raise Fault(f"unclear: {type(error).__name__}: {text[:300]!r}")
    missing = [str(word) for word in words if str(word) not in text]
    if missing:
        raise Fault(f"unclear: does not name {', '.join(missing)}: {text[:300]!r}")


class _Compiling(event.Listener):
    """Compiling counts neither in time nor in memory, and is not slowed down by the watch."""

    depth = 0

    def on_start(self, event):
        self.depth += 1
        if self.depth == 1:
            _watch(0)
            tracemalloc.stop()

    def on_end(self, event):
        self.depth -= 1
        if not self.depth:
            tracemalloc.start()
            _watch(SECONDS)


def _watch(seconds):
    """Raise `Hang` after some seconds, or, in compiled code, end the process later; 0: no more."""
    if os.getpid() != PROCESS:
        return
    signal.alarm(seconds)
    if seconds:
        faulthandler.dump_traceback_later(LONGEST, exit=True)
    else:
        faulthandler.cancel_dump_traceback_later()


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise `Hang` in the body when the time is over."""

    def over(number, frame):
        raise Hang

    before = signal.signal(signal.SIGALRM, over)
    _watch(seconds)
    try:
        yield
    finally:
        _watch(0)
        signal.signal(signal.SIGALRM, before)


def judge(case: Case) -> str | None:
    """The fault of a case in words, or None."""
    tracemalloc.start()
    try:
        with (
            warnings.catch_warnings(),
            time_limit(SECONDS),
            event.install_listener("numba:compile", _Compiling()),
        ):
            warnings.simplefilter("error", RuntimeWarning)
            case.run()
        _, peak = tracemalloc.get_traced_memory()
    except Hang:
        return f"hang: not over after {SECONDS} s"
    except MemoryError as error:
        return f"memory: {error}"
    except Fault as fault:
        return str(fault)
    except Exception as error:
        return f"traceback: {type(error).__name__}: {str(error)[:300]}"
    finally:
        tracemalloc.stop()
    if peak > LEAST_MEMORY + 2 * case.bytes:
        return f"memory: {peak} bytes for {case.bytes}"
    return None
