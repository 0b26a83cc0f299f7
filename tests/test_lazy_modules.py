"""Packages that load a name when it is asked for: complete, light, and as their stubs say."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import fastadmm
from fastadmm import kernels, mpi


def stubbed(package):
    """Names that a package's stub gives to type checkers, each with its module."""
    text = Path(package.__file__).with_suffix(".pyi").read_text()
    found = {}
    for statement in ast.parse(text).body:
        assert isinstance(statement, ast.ImportFrom)
        module = "." * statement.level + (statement.module or "")
        for alias in statement.names:
            assert alias.asname == alias.name  # else it is private to the stub
            found[alias.name] = importlib.import_module(module, package.__name__)
    return found


@pytest.mark.parametrize("package", [fastadmm, kernels, mpi], ids=lambda package: package.__name__)
def test_stubs_have_every_name_from_its_module(package):
    names = stubbed(package)
    assert sorted(names) == sorted(package.__all__)
    for name, module in names.items():
        assert getattr(package, name) is getattr(module, name)
        assert name in dir(package)


def test_the_stub_of_kernels_has_their_table():
    assert {name: module.__name__ for name, module in stubbed(kernels).items()} == {
        name: f"fastadmm.kernels.{module}" for name, module in kernels._MODULE_OF.items()
    }


@pytest.mark.parametrize("package", [fastadmm, kernels, mpi], ids=lambda package: package.__name__)
def test_unknown_names_are_attribute_errors(package):
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'no'"):
        package.no  # noqa: B018


def test_modules_are_there_after_the_package_is_imported_and_load_little():
    heavy = ["numba", "scipy", "mpi4py", "matplotlib", "torch", "sklearn", "rich", "typer"]
    code = (
        "import sys, fastadmm\n"
        "dir(fastadmm), fastadmm.datasets.adding, dir(fastadmm.kernels)\n"
        "fastadmm.mpi.launch.world, dir(fastadmm.mpi)\n"
        f"print([m for m in {heavy} if m in sys.modules])\n"
        "from fastadmm import *\n"
        "print(fit.__module__, Result.__module__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "fastadmm.training fastadmm.training"]
