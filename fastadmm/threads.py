"""How many threads compute, how they wait, and one BLAS thread inside each of them."""

import contextlib
import functools
import importlib
import os
from collections.abc import Iterator

import numba
from threadpoolctl import threadpool_info, threadpool_limits

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables by which a user chooses how OpenMP's threads wait for work."""


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
    if not 1 <= threads <= limit:
        raise ValueError(f"threads is {threads}: expected 1 to {limit} (NUMBA_NUM_THREADS)")
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


@contextlib.contextmanager
def compute_threads(threads: int) -> Iterator[None]:
    """Run kernels on this many threads with one BLAS thread each; both are restored after.

    A user who sets OPENBLAS_NUM_THREADS keeps what was asked for.
    """
    start_threads()
    before = numba.get_num_threads()
    blas = None if "OPENBLAS_NUM_THREADS" in os.environ else 1
    numba.set_num_threads(threads)
    try:
        with threadpool_limits(blas, user_api="blas"):
            yield
    finally:
        numba.set_num_threads(before)
