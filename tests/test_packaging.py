"""The wheel: built, installed elsewhere, and imported under its own names."""

import subprocess
import sys
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def test_wheel_in_a_fresh_environment(tmp_path):
    wheels, environment = tmp_path / "wheels", tmp_path / "environment"
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", wheels, REPOSITORY], check=True)
    (wheel,) = wheels.glob("fastadmm-*.whl")
    with zipfile.ZipFile(wheel) as content:
        typed = {name for name in content.namelist() if name.endswith((".pyi", "py.typed"))}
    assert typed == {
        "fastadmm/py.typed", "fastadmm/__init__.pyi", "fastadmm/kernels/__init__.pyi",
        "fastadmm/kernels/solvers/__init__.pyi", "fastadmm/mpi/__init__.pyi",
    }  # fmt: skip
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", wheel],
        check=True,
    )
    code = (
        "import fastadmm, fastadmm.kernels, fastadmm.mpi.partition, fastadmm.solvers\n"
        "print(fastadmm.__file__)\n"
        "for name in ('kernels', 'mpi'):\n"
        "    try:\n"
        "        __import__(name)\n"
        "    except ImportError:\n"
        "        continue\n"
        "    raise SystemExit(f'{name} is installed under a generic name')\n"
    )
    done = subprocess.run(
        [python, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert Path(done.stdout.strip()).is_relative_to(environment)
    subprocess.run([environment / "bin" / "fastadmm", "--help"], check=True, capture_output=True)
