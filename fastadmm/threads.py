"""How many threads compute, how they wait, and one BLAS thread inside each of them."""

import contextlib
import functools
import importlib
import os
import threading
from collections.abc import Iterator

import numba
import numpy as np
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

from fastadmm.validation import short

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables by which a user chooses how OpenMP's threads wait for work."""
_starting = threading.Lock()


def available_cores() -> int:
    """Cores that this process may run on: its affinity, not the machine's total."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_threads(threads: int | None, cores: int | None = None) -> int:
    """Number of threads to use; None takes OMP_NUM_THREADS where it is set, else ``cores``.

    Parameters
    ----------
    threads : int or None
    cores : int, optional
        Default: all that this process may use. In a distributed run a rank's share of them,
        `fastadmm.mpi.launch.cores_per_rank`.

    Raises
    ------
    ValueError
        Where ``threads`` is not between 1 and Numba's limit (NUMBA_NUM_THREADS).
    """
    limit: int = numba.config.NUMBA_NUM_THREADS  # pyright: ignore  set as Numba is loaded
    if threads is None:
        asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
        cores = available_cores() if cores is None else cores
        return min(int(asked) if asked.isdigit() and int(asked) else cores, limit)
    if not isinstance(threads, int | np.integer) or not 1 <= threads <= limit:
        said = f"threads is {short(threads)}"
        raise ValueError(f"{said}: expected 1 to {limit} (NUMBA_NUM_THREADS)")
    return int(threads)


@functools.cache
def start_threads() -> str:
    """Start Numba's threads, once in a process, unnoticed by others that use OpenMP.

    Threads without work sleep. OpenMP's own way is to keep a core busy for a while, in the hope of
    new work: where another process wants that core, the thread that has work waits for it at every
    parallel loop, which took 40 times as long as one thread. The runtime reads its settings when it
    is loaded, so that a library that has loaded it before decides, as does a user's own setting.

    Numba sets the runtime's number of threads for everybody as it starts: that is put back.

    Returns
    -------
    str
        How the threads wait, and who chose it.
    """
    chosen = [f"{name}={os.environ[name]}" for name in WAITING if name in os.environ]
    loaded = any(pool["user_api"] == "openmp" for pool in threadpool_info())
    if not chosen:
        os.environ["OMP_WAIT_POLICY"] = "passive"
    try:
        with contextlib.suppress(ImportError):  # where Numba was built without OpenMP
            importlib.import_module("numba.np.ufunc.omppool")  # loads the runtime
        with threadpool_limits(None, user_api="openmp"):
            numba.get_num_threads()  # starts them
    finally:
        if not chosen:  # other programs that this one starts choose for themselves
            del os.environ["OMP_WAIT_POLICY"]
    if chosen:
        return f"as set: {', '.join(chosen)}"
    asleep = "asleep (OMP_WAIT_POLICY=passive)"
    return f"{asleep}, or as the library that had loaded OpenMP has it" if loaded else asleep


class _OneBlasThread:
    """One BLAS thread for as long as anybody computes.

    Most libraries have one limit for the whole process: the first one in sets it, the last one out
    restores what was before, so that training in several threads neither changes results nor leaves
    a limit behind. Where BLAS runs on OpenMP, every thread has a limit of its own.
    """

    def __init__(self):
        self._lock, self._inside, self._before = threading.Lock(), 0, []

    @contextlib.contextmanager
    def held(self):
        """Hold the limit while the body runs."""
        found = ThreadpoolController().select(user_api="blas")
        with self._lock:
            if not self._inside:
                shared = [b for b in found.lib_controllers if b.threading_layer != "openmp"]
                self._before = [(blas, blas.num_threads) for blas in shared]
                for blas in shared:
                    _set(blas, 1)
            self._inside += 1
        try:
            with found.limit(limits=1):
                yield
        finally:
            with self._lock:
                self._inside -= 1
                for blas, number in () if self._inside else self._before:
                    _set(blas, number)


def _set(blas, number):
    """Set a library's number of threads, also where threadpoolctl lets the first thread alone."""
    getattr(blas, "_real_set_num_threads", blas.set_num_threads)(number)


_one_blas_thread = _OneBlasThread()


@contextlib.contextmanager
def compute_threads(threads: int) -> Iterator[None]:
    """Run kernels on this many threads with one BLAS thread each; both are restored after.

    A user who sets OPENBLAS_NUM_THREADS keeps what was asked for.
    """
    with _starting:
        start_threads()
    before = numba.get_num_threads()
    asked = "OPENBLAS_NUM_THREADS" in os.environ
    numba.set_num_threads(threads)
    try:
        with contextlib.nullcontext() if asked else _one_blas_thread.held():
            yield
    finally:
        numba.set_num_threads(before)
