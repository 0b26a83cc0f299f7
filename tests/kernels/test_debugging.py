"""NUMBA_BOUNDSCHECK=1: what compiled code reads and writes outside arrays is an exception."""

import os
import subprocess
import sys

PROGRAM = """
import numpy as np
from fastadmm import kernels
from fastadmm.kernels.core.jit import jit
from numba import prange

@jit(parallel=True)
def beyond(x, out):
    for i in prange(len(x)):
        out[i] = x[i]

one, rows = np.ones(9), np.ones((2, 3))
counts, sums, gram = np.zeros(2), np.zeros((2, 3)), np.zeros((3, 3))
token = kernels.token_gram.kernel, np.array([0, 10**9]), rows, 0.0, 1.0, counts, sums, gram
for kernel, *arguments in (
    (kernels.prox_l1.kernel, one, 0.5, 1.0, np.zeros(3)),
    (kernels.prox_l1.kernel, one, 0.5, 1.0, np.zeros(9, np.float32)),
    token,
    (beyond, one, np.zeros(3)),
):
    try:
        print("accepted", kernel(*arguments))
    except (ValueError, TypeError, IndexError) as error:
        print(type(error).__name__, error)
out = np.zeros(9)
print(kernels.prox_l1.kernel(one, 0.5, 1.0, out), *out)
"""


def test_checked_kernels_raise(tmp_path):
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "FASTADMM_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shape, dtype, *indices, right = done.stdout.splitlines()
    assert shape.startswith("ValueError out of prox_l1(v, step, weight, out) has another shape")
    assert dtype.startswith("TypeError out of prox_l1(v, step, weight, out) is array(float32")
    assert len(indices) == 2
    assert all(line.startswith("IndexError index") for line in indices), indices
    assert right == "4.5" + 9 * " 0.5"
