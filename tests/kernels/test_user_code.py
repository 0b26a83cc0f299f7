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


def test_every_kernel_is_called():
    """All but conjugate gradients, whose tests have user code of their own."""
    compiled = {name for name in kernels.__all__ if hasattr(getattr(kernels, name), "kernel")}
    assert compiled == {*CALLS, "conjugate_gradients"}


@pytest.mark.parametrize("name", CALLS)
def test_compiled_cached_and_plain_python_agree(name, results):
    arguments = CALLS[name]()
    with np.errstate(all="ignore"):
        value = getattr(kernels, name).kernel.py_func(*arguments)
    parts = {f"{name} {i}": argument for i, argument in enumerate(arguments)}
    for key, part in {f"{name} value": np.nan if value is None else value, **parts}.items():
        for result in results:
            np.testing.assert_allclose(result[key], part, rtol=1e-11, atol=1e-13, err_msg=key)
