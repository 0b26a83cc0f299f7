"""Threads are started unnoticed by others that use OpenMP, and sleep while they wait."""

import importlib.util
import os
import subprocess
import sys

import pytest

from fastadmm.threads import WAITING

TRAIN = """
import os
import numpy as np
from fastadmm import RNN, fit
from fastadmm.threads import start_threads
before = dict(os.environ)
X = np.random.default_rng(0).standard_normal((20, 4, 3))
fit(RNN(3, 4, 2), X, (X[:, 0, 0] > 0).astype(int), epochs=1, threads=1)
assert dict(os.environ) == before
"""


def run(code, **variables):
    """A process without settings of how threads wait but those given."""
    environment = {name: value for name, value in os.environ.items() if name not in WAITING}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300,
        env={**environment, **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def test_openmp_keeps_its_number_of_threads():
    run(
        "from numba.np.ufunc import omppool\n"
        "from threadpoolctl import threadpool_info, threadpool_limits\n"
        "def counts():\n"
        "    pools = [p for p in threadpool_info() if p['user_api'] == 'openmp']\n"
        "    return {p['filepath']: p['num_threads'] for p in pools}\n"
        "threadpool_limits(1, user_api='openmp')\n"
        "first = counts()\n"
        "assert set(first.values()) == {1}\n"
        f"{TRAIN}\n"
        "assert counts() == first, counts()"
    )


@pytest.mark.peers
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")
def test_torch_keeps_its_number_of_threads():
    run(
        "import torch\n"
        "torch.set_num_threads(1)\n"
        f"{TRAIN}\n"
        "assert torch.get_num_threads() == 1, torch.get_num_threads()"
    )


@pytest.mark.parametrize(
    ("chosen", "shown", "said"),
    [
        ({}, "OMP_WAIT_POLICY = 'PASSIVE'", "asleep"),
        ({"OMP_WAIT_POLICY": "active"}, "OMP_WAIT_POLICY = 'ACTIVE'", "OMP_WAIT_POLICY=active"),
        ({"GOMP_SPINCOUNT": "123"}, "GOMP_SPINCOUNT = '123'", "GOMP_SPINCOUNT=123"),
    ],
)
def test_threads_sleep_unless_the_user_has_chosen(chosen, shown, said):
    done = run(f"{TRAIN}\nprint(start_threads())", OMP_DISPLAY_ENV="verbose", **chosen)
    if "OMP_WAIT_POLICY" not in done.stderr:
        pytest.skip("not GNU OpenMP")
    assert shown in done.stderr.replace("[host] ", "")
    assert said in done.stdout
