"""How this process was started: by an MPI launcher or not, and which MPI there is."""

import os

SIZE_VARIABLES = (
    "OMPI_COMM_WORLD_SIZE",
    "PMI_SIZE",
    "PMIX_SIZE",
    "MPI_LOCALNRANKS",
    "MV2_COMM_WORLD_SIZE",
)


def launched_size():
    """Number of processes that an MPI launcher says it started, 1 without a launcher."""
    for name in SIZE_VARIABLES:
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return 1


def library():
    """First line of the MPI library's own description, None where mpi4py cannot load one."""
    try:
        import mpi4py

        mpi4py.rc.initialize = mpi4py.rc.finalize = False  # asking must not start MPI
        from mpi4py import MPI
    except (ImportError, RuntimeError):
        return None
    return MPI.Get_library_version().strip("\0").splitlines()[0]
