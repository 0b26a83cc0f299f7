"""Threads beside others: of OpenMP, of BLAS, of Python, and of a process that forks."""

import importlib.util
import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from fastadmm import RNN, fit
from fastadmm.threads import WAITING, compute_threads

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


def blas_threads():
    return {p["filepath"]: p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"}


def test_the_limit_of_blas_stays_until_the_last_one_is_out(monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    before, seen = blas_threads(), []
    inside, leave = threading.Event(), threading.Event()

    def other():
        with compute_threads(1):
            inside.set()
            leave.wait(60)
            seen.append(blas_threads())

    thread = threading.Thread(target=other)
    with compute_threads(1):
        thread.start()
        assert inside.wait(60)
    seen.append(blas_threads())
    leave.set()
    thread.join()
    assert [set(each.values()) for each in seen] == [{1}, {1}]
    assert blas_threads() == before


def trained(seed):
    rng = np.random.default_rng(seed)
    net = RNN(3, 4, 2, seed=seed)
    fit(net, rng.standard_normal((20, 4, 3)), rng.integers(0, 2, 20), epochs=2, threads=2)
    return net.theta


def test_runs_in_threads_of_python_give_what_they_give_alone():
    alone = [trained(seed) for seed in range(3)]
    found = {}
    threads = [
        threading.Thread(target=lambda seed=seed: found.update({seed: trained(seed)}))
        for seed in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(3):
        np.testing.assert_array_equal(found[seed], alone[seed])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_trains_as_its_parent_does():
    alone = trained(0)  # has started threads, which a fork leaves behind
    context = multiprocessing.get_context("fork")
    answer = context.Queue()
    child = context.Process(target=lambda: answer.put(trained(0)))
    child.start()
    np.testing.assert_array_equal(answer.get(timeout=300), alone)
    child.join(60)
    assert child.exitcode == 0
