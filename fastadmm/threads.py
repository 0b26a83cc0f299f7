"""How many threads compute, and one BLAS thread inside each of them."""

import contextlib
import os

import numba
from threadpoolctl import threadpool_limits


def available_cores():
    """Cores that this process may run on: its affinity, not the machine's total."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_threads(threads, cores=None):
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
    limit = numba.config.NUMBA_NUM_THREADS
    if threads is None:
        asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
        cores = available_cores() if cores is None else cores
        return min(int(asked) if asked.isdigit() and int(asked) else cores, limit)
    if not 1 <= threads <= limit:
        raise ValueError(f"threads is {threads}: expected 1 to {limit} (NUMBA_NUM_THREADS)")
    return int(threads)


@contextlib.contextmanager
def compute_threads(threads):
    """Run kernels on this many threads with one BLAS thread each; both are restored after.

    A user who sets OPENBLAS_NUM_THREADS keeps what was asked for.
    """
    before = numba.get_num_threads()
    blas = None if "OPENBLAS_NUM_THREADS" in os.environ else 1
    numba.set_num_threads(threads)
    try:
        with threadpool_limits(blas, user_api="blas"):
            yield
    finally:
        numba.set_num_threads(before)
