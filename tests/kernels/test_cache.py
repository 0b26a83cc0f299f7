"""Kernels of one source that different processes have compiled and cached."""

import os
import subprocess
import sys

import pytest

USER = """
import sys
import numpy as np
from numba import njit
from fastadmm.kernels import *
"""
FUNCTION = """
@njit(cache=True)
def use_{name}(m, s, out):
    return prox_{name}_activation(m, s, 1.0, 2.0, out)
"""
MAIN = """
m, s, out = np.linspace(-2, 2, 9), np.linspace(1, 0, 9), np.empty(9)
for name in sys.argv[1:]:
    print(globals()[f"use_{name}"](m, s, out), *out)
"""
NAMES = "sigmoid", "softplus", "hard_tanh", "hard_sigmoid"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Function that prints, in a new process, what the named proxes give; one cache for all."""
    folder = tmp_path_factory.mktemp("cache")
    functions = "".join(FUNCTION.format(name=name) for name in NAMES)
    (folder / "user.py").write_text(USER + functions + MAIN)
    environment = os.environ | {"FASTADMM_CACHE": str(folder / "kernels")}

    def call(*names):
        return subprocess.run(
            [sys.executable, "-W", "error", "user.py", *names],
            cwd=folder, env=environment, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    return call


def test_kernels_cached_by_different_processes_are_not_confused(run):
    """Numba numbers functions per process: by number alone, one would be linked for others.

    The first two names differ in closures that they call, the others in the function that stands
    for the public one in a user's code.
    """
    alone = [run(name) for name in NAMES]
    assert len({*alone}) == len(NAMES)
    assert run(*NAMES) == "".join(alone)
    assert run(*NAMES[::-1]) == "".join(alone[::-1])
