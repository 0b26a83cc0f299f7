"""Every kernel in a user's own cached function, and as plain Python."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases.calls import CALLS

from fastadmm import kernels

USER = """
import sys
import numpy as np
from cases.calls import CALLS
from numba import njit
from fastadmm import kernels
from fastadmm.kernels import *
{functions}
results, hits = {{}}, 0
for name, call in CALLS.items():
    arguments, use = call(), globals()["use_" + name]
    value = use(*arguments)
    hits += sum(use.stats.cache_hits.values())
    results[name + " value"] = np.nan if value is None else value
    for i, argument in enumerate(arguments):
        results[f"{{name}} {{i}}"] = argument
np.savez(sys.argv[1], **results)
print(hits)
"""
FUNCTION = """
@njit(cache=True)
def use_{name}(*arguments):
    return {name}(*arguments)
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What a user's functions return and leave in their arguments: compiled, and from the cache.

    Warnings are errors; the second process finds every function compiled by the first.
    """
    folder = tmp_path_factory.mktemp("user")
    functions = "".join(FUNCTION.format(name=name) for name in CALLS)
    (folder / "user.py").write_text(USER.format(functions=functions))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    hits = [
        subprocess.run(
            [sys.executable, "-W", "error", "user.py", f"{run}.npz"],
            cwd=folder, env=environment, capture_output=True, text=True, check=True,
        ).stdout.split()
        for run in range(2)
    ]  # fmt: skip
    assert hits == [["0"], [str(len(CALLS))]]
    return [np.load(folder / f"{run}.npz") for run in range(2)]


PLAIN = """
import sys
import numpy as np
from cases.calls import CALLS
from numba import njit
from fastadmm import kernels
np.seterr(all="ignore")
results = {}
for name, call in CALLS.items():
    arguments, function = call(), njit(getattr(kernels, name))
    value = function(*arguments)
    results[name + " value"] = np.nan if value is None else value
    for i, argument in enumerate(arguments):
        if argument is not None:
            results[f"{name} {i}"] = argument
np.savez(sys.argv[1], **results)
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The same without a compiler, where a call with the kernel's arguments is the kernel."""
    path = tmp_path_factory.mktemp("plain") / "plain.npz"
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "NUMBA_DISABLE_JIT": "1",
    }
    subprocess.run(
        [sys.executable, "-c", PLAIN, path],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return np.load(path)


TRAIN = """
import numpy as np
from fastadmm import RNN, fit
from fastadmm.kernels import prox_l1
from fastadmm.kernels.core import blas
assert not hasattr(blas.gemm, "py_func")
rng = np.random.default_rng(0)
X, y = rng.normal(size=(12, 4, 3)), rng.integers(0, 2, 12)
for solver in ("condensed", "block", "admmirnn"):
    net = RNN(3, 4, 2, dtype="float64")
    fit(net, X, y, epochs=2, solver=solver, verbose=0)
    assert np.isfinite(net.predict(X)).all()
v = np.array([3.0, -0.2])
np.testing.assert_array_equal(prox_l1(v, 0.5, out=v), [2.5, 0.0])
"""


def test_without_a_compiler_training_and_a_slice_of_the_tests_run():
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    slice_of_tests = [
        Path(__file__).with_name(f"test_{name}.py") for name in ("nonconvex", "grams")
    ]
    for command in (["-c", TRAIN], ["-m", "pytest", "-q", *slice_of_tests]):
        done = subprocess.run(
            [sys.executable, *command], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_kernel_is_called():
    """All but conjugate gradients, whose tests have user code of their own."""
    compiled = {name for name in kernels.__all__ if hasattr(getattr(kernels, name), "kernel")}
    assert compiled == {*CALLS, "conjugate_gradients"}


@pytest.mark.parametrize("name", CALLS)
def test_compiled_cached_and_plain_python_agree(name, results, plain):
    keys = [key for key in plain if key.split()[0] == name]
    assert f"{name} value" in keys
    for key in keys:
        for result in results:
            np.testing.assert_allclose(result[key], plain[key], 1e-11, 1e-13, err_msg=key)
