"""What this installation computes with."""

import importlib.metadata
import os
import platform

import numba
import threadpoolctl

from fastadmm.kernels.core import jit
from fastadmm.mpi import launch
from fastadmm.threads import available_cores, check_threads, compute_threads, start_threads
from fastadmm.version import versions


def cache_state() -> str:
    """Where compiled kernels are kept, and how many."""
    folder = jit.CACHE_FOLDER
    if folder is None:
        return "off" if os.environ.get("FASTADMM_CACHE") == "0" else "off: folder not writable"
    compiled = list(folder.rglob("*.nbc"))
    size = sum(path.stat().st_size for path in compiled) / 2**20
    return f"{folder} ({len(compiled)} kernels, {size:.1f} MiB)"


def facts() -> dict[str, object]:
    """Name and value of everything worth knowing in a bug report; touches every library once."""
    from fastadmm.kernels.core import blas  # noqa: F401  loads the BLAS that kernels call

    comm = launch.world()
    threads = check_threads(None, None if comm is None else launch.cores_per_rank(comm))
    with compute_threads(threads):
        _start_threads(2)
    blas_in_use = {
        f"{pool['internal_api']} {pool['version']} ({pool['architecture']}, "
        f"{pool['num_threads']} threads; 1 inside kernels)"
        for pool in threadpoolctl.threadpool_info()
        if pool["user_api"] == "blas"
    }
    optional = ("mpi4py", "matplotlib", "scikit-learn", "torch")
    return {
        "versions": ", ".join(f"{name} {v}" for name, v in versions().items()),
        "optional": ", ".join(f"{name} {_installed(name)}" for name in optional),
        "machine": f"{platform.machine()}, {jit.config.CPU_NAME or _cpu()}",
        "cores": f"{available_cores()} available of {os.cpu_count()}",
        "threads": threads,
        "BLAS": "; ".join(sorted(blas_in_use)) or "unknown",
        "threading layer": numba.threading_layer(),  # pyright: ignore[reportPrivateImportUsage]
        "idle threads": start_threads(),
        "SVML": "in use" if jit.config.USING_SVML else "absent (not needed)",
        "cache": cache_state(),
        "MPI": launch.library() or f"none: {launch.REMEDY}",
        "ranks": "1" if comm is None else launch.placement(comm, threads),
    }


def _installed(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _cpu():
    import llvmlite.binding

    return llvmlite.binding.get_host_cpu_name()


@jit.jit(parallel=True)
def _start_threads(n):
    """Any parallel loop: Numba chooses its threading layer when the first one runs."""
    total = 0
    for i in numba.prange(n):
        total += i
    return total
