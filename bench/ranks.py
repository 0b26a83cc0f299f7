"""Measurements on the ranks of an MPI job, which the script starts itself."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from fastadmm.threads import available_cores

ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def launch(module, size, *arguments):
    """Run a module on so many ranks, one thread each; Open MPI's launcher."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    mpirun = shutil.which("mpirun", path=path)
    options = ["--oversubscribe", "--bind-to", "none"]
    if size > available_cores():
        options += ["--mca", "mpi_yield_when_idle", "1"]
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    subprocess.run(
        [mpirun, *options, "-n", str(size), sys.executable, "-m", module, *map(str, arguments)],
        env={**os.environ, **ROOT, **threads}, check=True,
    )  # fmt: skip


def wait(comm):
    """Barrier that leaves the core to others."""
    request = comm.Ibarrier()
    while not request.Test():
        time.sleep(1e-3)
