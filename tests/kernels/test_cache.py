"""Kernels of one source that different processes have compiled and cached."""

import os
import subprocess
import sys

import pytest

USER = """
import sys
import numpy as np
from numba import njit
from fastadmm.kernels import prox_sigmoid_activation, prox_softplus_activation


@njit(cache=True)
def use_sigmoid(m, s, out):
    return prox_sigmoid_activation(m, s, 1.0, 2.0, out)


@njit(cache=True)
def use_softplus(m, s, out):
    return prox_softplus_activation(m, s, 1.0, 2.0, out)


m, s, out = np.linspace(-2, 2, 9), np.linspace(1, 0, 9), np.empty(9)
for name in sys.argv[1:]:
    direct = globals()[f"prox_{name}_activation"].kernel(m, s, 1.0, 2.0, out)
    print(direct, globals()[f"use_{name}"](m, s, out), *out)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Function that prints, in a new process, what the named proxes give; one cache for all."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / "user.py").write_text(USER)
    environment = os.environ | {"FASTADMM_CACHE": str(folder / "kernels")}

    def call(*names):
        return subprocess.run(
            [sys.executable, "-W", "error", "user.py", *names],
            cwd=folder, env=environment, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    return call


def test_kernels_cached_by_different_processes_are_not_confused(run):
    """Numba numbers functions per process: by number alone, one would be linked for both."""
    alone = [run(name) for name in ("sigmoid", "softplus")]
    assert run("sigmoid", "softplus") == "".join(alone)
    assert run("softplus", "sigmoid") == "".join(alone[::-1])
    assert len({*alone}) == 2
