"""The page for clusters and its recipe: options exist, and the recipe runs without Slurm."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases.launcher import LAUNCHER, mpirun, needs_mpirun
from fastadmm.kernels.core import jit

from fastadmm.checkpoint import Checkpoint

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "hpc.md").read_text(encoding="utf-8")
RECIPE = DOCS / "train.sbatch"

CACHE = "0" if jit.CACHE_FOLDER is None else str(jit.CACHE_FOLDER.parents[1])
SLURM = {
    "FASTADMM_CACHE": CACHE,
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NAME": "fastadmm",
    "SLURM_NTASKS": "1",
    "SLURM_CPUS_PER_TASK": "1",
}

STUB = """
srun() {
    while [[ $1 == --* ]]; do shift; done
    (echo $BASHPID > srun.pid; exec %s "$@")
}
scontrol() { echo "scontrol $*"; }
export -f srun scontrol
exec bash "$0" "$@"
"""
"""Bash that runs a recipe with a srun that drops its own options."""


def recipe(folder, *arguments, launcher="", **environment):
    """Popen of the recipe in a folder, with Slurm's variables."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = {**os.environ, **SLURM, "PATH": path, **environment}
    return subprocess.Popen(
        ["bash", "-c", STUB % launcher, str(RECIPE), *map(str, arguments)],
        cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


ADDING = ("adding", "--steps", 2, "--hidden", 2)


def test_recipe_is_bash_with_what_the_page_says():
    subprocess.run(["bash", "-n", RECIPE], check=True)
    text = RECIPE.read_text(encoding="utf-8")
    for option in ("--requeue", "--signal=USR1@120", "--cpus-per-task=4"):
        assert re.search(rf"^#SBATCH {re.escape(option)}( |$)", text, re.MULTILINE)
    first_command = re.search(r"^[^#\n]", text, re.MULTILINE).start()
    assert "#SBATCH" not in text[first_command:]  # Slurm stops reading there


@pytest.mark.parametrize("launcher", ["", pytest.param("mpirun", marks=needs_mpirun)])
def test_recipe_trains(tmp_path, launcher):
    options = f"{LAUNCHER} -n 1" if launcher else ""
    job = recipe(
        tmp_path, *ADDING, "--epochs", 1, launcher=options,
        OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
    )  # fmt: skip
    out, err = job.communicate(timeout=200)
    assert job.returncode == 0, err
    assert "runs/fastadmm-7: trained" in out
    summary = json.loads((tmp_path / "runs" / "fastadmm-7" / "summary.json").read_text())
    assert (summary["status"], summary["threads"]) == ("max_iter", 1)


def test_threads_and_cache_of_the_recipe(tmp_path):
    show = "bash -c 'echo $OMP_NUM_THREADS $NUMBA_NUM_THREADS $FASTADMM_CACHE'"
    job = recipe(
        tmp_path, launcher=show, SLURM_CPUS_PER_TASK="4", SLURM_TMPDIR="/node", FASTADMM_CACHE=""
    )
    out, _ = job.communicate(timeout=60)
    assert re.fullmatch(r"4 4 /node/fastadmm-\w{10}", out.splitlines()[0])


@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGUSR1, "the time is over"), (signal.SIGTERM, "preempted")]
)
def test_recipe_goes_on_where_a_signal_ended_it(tmp_path, number, said):
    job = recipe(tmp_path, *ADDING, "--epochs", 10**6)
    assert any("epoch" in line for line in iter(job.stderr.readline, ""))
    os.kill(int((tmp_path / "srun.pid").read_text()), number)
    out, _ = job.communicate(timeout=60)
    assert job.returncode == 128 + number
    assert f"runs/fastadmm-7: {said}" in out
    assert ("scontrol requeue 7" in out) == (number == signal.SIGUSR1)
    folder = tmp_path / "runs" / "fastadmm-7"
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "interrupted"
    done = Checkpoint.read(folder / "checkpoint.safetensors").header["epoch"]
    job = recipe(tmp_path, *ADDING, "--epochs", done, SLURM_RESTART_COUNT="1")
    out, err = job.communicate(timeout=100)
    assert job.returncode == 0, err
    assert "runs/fastadmm-7: trained" in out
    history = (folder / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in history] == list(range(1, done + 1))


def test_a_mistake_is_the_exit_code_of_the_job(tmp_path):
    job = recipe(tmp_path, "nothing")
    out, err = job.communicate(timeout=60)
    assert job.returncode == 2
    assert "error: task is 'nothing'" in err
    assert "failed with exit code 2" in out


START = """
import sys
{before}
from fastadmm.cli import main
sys.argv = ["fastadmm", "train", *{arguments!r}]
main()
"""
VIOLATE = """
from fastadmm.solvers import certificate
def check(self, iteration, block, value, size, dtype):
    self.violation = {
        "iteration": 1, "block": block, "quantity": "augmented Lagrangian", "before": 0.0,
        "after": 1.0,
    }  # fmt: skip
certificate.Certificate.check = check
"""
FILLED_DISK = """
import resource, signal
from fastadmm import report
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
write = report.Folder.write
def full(*args):
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
    return write(*args)
report.Folder.write = full
"""
OUTCOMES = {
    0: ("", (*ADDING, "--epochs", "1"), "max_iter"),
    1: (FILLED_DISK, (*ADDING, "--epochs", "1"), None),
    2: ("", ("nothing",), None),
    3: ("", ("mine.npz", "--activation", "identity", "--gain", "2"), "diverged"),
    4: (
        VIOLATE,
        (*ADDING, "--solver", "block", "--certify", "--epochs", "1", "--grid", "2x1"),
        "max_iter",
    ),
}


@needs_mpirun
@pytest.mark.parametrize("code", OUTCOMES)
def test_exit_codes_of_the_page_are_those_of_mpirun(tmp_path, code):
    """Signals are tested in `mpi/test_ranks.py`."""
    before, arguments, status = OUTCOMES[code]
    assert re.search(rf"^\| {code} \| ", PAGE, re.MULTILINE)
    X = np.random.default_rng(0).standard_normal((8, 400, 3))
    np.savez(tmp_path / "mine.npz", X=X, y=X[:, 0, 0])
    arguments = [str(tmp_path / a) if a == "mine.npz" else str(a) for a in arguments]
    arguments += ["--threads", "1", "--out", str(tmp_path / "out")]
    program = START.format(before=before, arguments=arguments)
    found, _, err, _ = mpirun(2, "-c", program, timeout=240, FASTADMM_CACHE=CACHE)
    assert found == code, err
    if status is not None:
        summary = json.loads((tmp_path / "out" / "summary.json").read_text())
        assert summary["status"] == status
        assert len(summary["per_rank"]) == summary["ranks"] == 2
        for rank in summary["per_rank"]:
            assert 0 < rank["wait_seconds"] < summary["train_seconds"] * 1.01
            assert rank["peak_bytes"] > 2**20
    if code == 1:
        lines = [line for line in err.splitlines() if line.startswith("error: ")]
        assert "summary.json cannot be written (File too large)" in lines[0]
        assert len(lines) == 1


def test_options_of_the_page_exist():
    commands = re.findall(r"fastadmm (\w+)((?: --[\w-]+ \S+)*)", PAGE + RECIPE.read_text())
    commands = [found for found in commands if found[0] in ("plan", "warmup", "doctor", "train")]
    assert {name for name, _ in commands} == {"plan", "warmup", "doctor", "train"}
    known = {
        name: subprocess.run(
            [sys.executable, "-m", "fastadmm", name, "--help"],
            capture_output=True, text=True, check=True,
        ).stdout
        for name, _ in commands
    }  # fmt: skip
    for name, options in commands:
        for option in re.findall(r"--[\w-]+", options):
            assert option in known[name], (name, option)
