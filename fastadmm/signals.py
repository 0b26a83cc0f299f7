"""Signals that ask training to stop: at the end of the mini-batch, with the model kept.

While kernels compile, they are obeyed between two of them.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator

STOPPING = (signal.SIGTERM, signal.SIGUSR1)
"""What batch systems send before they end a job."""

_requested, _bodies = 0, 0


def requested() -> int:
    """Number of the signal that has asked to stop since the last `stop_requests` began, or 0."""
    return _requested


def _note(number, frame):
    global _requested
    _requested = int(number)


@contextlib.contextmanager
def stop_requests(keyboard: bool = False) -> Iterator[None]:
    """While the body runs, SIGTERM and SIGUSR1 are noted for `requested` instead of killing.

    Also a decorator.

    Handlers are installed in the main thread only, and only where there is none: one of the
    user's own stays in charge. They are removed after.

    Parameters
    ----------
    keyboard : bool
        Note SIGINT too, instead of raising KeyboardInterrupt: an exception on one rank of a
        distributed run would leave the others waiting for it.
    """
    global _requested, _bodies
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = STOPPING + ((signal.SIGINT,) if keyboard else ())
    default = (signal.SIG_DFL, signal.default_int_handler)
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) in default}
    if not _bodies:  # what was noted in the body around this one still has to be obeyed
        _requested = 0
    _bodies += 1
    for number in before:
        signal.signal(number, _note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _bodies -= 1
        if not _bodies:  # a later run in another thread, which installs nothing, is not meant
            _requested = 0
