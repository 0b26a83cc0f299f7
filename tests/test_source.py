"""Rules of the source: one decorator compiles, and docstrings name the parameters there are."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import fastadmm.kernels
import fastadmm.mpi
import pytest

import fastadmm

REPOSITORY = Path(__file__).parents[1]
ROOMS = ("fastadmm", "kernels", "mpi")
COMPILERS = {"jit", "njit", "vectorize", "guvectorize", "stencil", "cfunc"}
"""Numba's own, which know nothing of the floating-point policy and the cache of `core.jit`."""


def compilers_used(text):
    """Lines of a module in which a compiler of Numba's is named."""
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    numba = {
        alias.asname or alias.name
        for node in nodes if isinstance(node, ast.Import)
        for alias in node.names if alias.name == "numba"
    }  # fmt: skip
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "numba":
            named = {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in numba:
            named = {node.attr}
        else:
            continue
        if named & COMPILERS:
            yield node.lineno


@pytest.mark.parametrize("room", ROOMS)
def test_kernels_are_compiled_by_one_decorator(room):
    found = {
        f"{path.relative_to(REPOSITORY)}:{line}"
        for path in (REPOSITORY / room).rglob("*.py")
        for line in compilers_used(path.read_text(encoding="utf-8"))
        if path != REPOSITORY / "kernels" / "core" / "jit.py"
    }
    assert not found, f"compiled by Numba's own decorators: {', '.join(sorted(found))}"


@pytest.mark.parametrize(
    "text",
    [
        "import numba\n@numba.njit\ndef f(): pass",
        "import numba as nb\nf = nb.njit(parallel=True)(f)",
        "from numba import prange, njit as compiled",
        "from numba.core.decorators import jit",
    ],
)
def test_every_way_to_a_compiler_is_seen(text):
    assert list(compilers_used(text))


def modules():
    """Every module of the package, the one that runs the command line left out."""
    for package in (fastadmm, fastadmm.kernels, fastadmm.mpi):
        yield package.__name__
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not info.name.endswith("__main__"):
                yield info.name


def functions():
    """Name, class or None, and function of all that have parameters; of kernels their source."""
    for module in map(importlib.import_module, dict.fromkeys(modules())):
        for name, value in vars(module).items():
            value = getattr(value, "py_func", value)
            if getattr(value, "__module__", None) != module.__name__:
                continue
            path = f"{module.__name__}.{name}"
            if inspect.isclass(value):
                yield path, value, value
                for key, method in vars(value).items():
                    method = getattr(method, "__func__", method)
                    if inspect.isfunction(method):
                        yield f"{path}.{key}", value, method
            elif inspect.isfunction(value):
                yield path, None, value


def documented(function):
    """Names in the docstring's section of parameters, with their stars; None without a section."""
    section = re.search(
        r"^Parameters\n-+\n(.*?)(?:\n\n\w+\n-+\n|\Z)",
        inspect.cleandoc(function.__doc__ or ""),
        re.DOTALL | re.MULTILINE,
    )
    if section is None:
        return None
    entries = [line for line in section[1].splitlines() if line and not line.startswith(" ")]
    return [name.strip() for entry in entries for name in entry.partition(" : ")[0].split(",")]


def parameters(function):
    """Names in the signature, with their stars."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    found = inspect.signature(function).parameters.values()
    return [stars.get(p.kind, "") + p.name for p in found if p.name not in ("self", "cls")]


def inherited(owner, function):
    """Names that the docstring of a class may leave to those of the classes above it."""
    above = owner.__mro__[1:] if function is owner else ()
    return {name for each in above for name in documented(each) or ()}


def test_docstrings_name_the_parameters_of_the_signature():
    """Several may share an entry, as in "a, b : float", and entries have any order."""
    wrong, checked = {}, 0
    for path, owner, function in functions():
        names = documented(function)
        if names is None:
            continue
        checked += 1
        expected = set(parameters(function))
        missing = expected - set(names) - inherited(owner, function)
        unknown = set(names) - expected
        if missing or unknown or len(names) != len(set(names)):
            wrong[path] = {"missing": missing, "unknown": unknown, "documented": names}
    assert not wrong, wrong
    assert checked > 200  # sections are found at all


def test_public_functions_have_their_parameters_documented():
    public = [(f"fastadmm.{name}", getattr(fastadmm, name)) for name in ("RNN", "fit")]
    public += [
        (f"fastadmm.kernels.{name}", getattr(fastadmm.kernels, name))
        for name in fastadmm.kernels.__all__
        if not inspect.isclass(getattr(fastadmm.kernels, name))
    ]
    assert not [path for path, function in public if documented(function) is None]
