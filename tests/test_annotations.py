"""Every public function says what it takes and returns, for editors and type checkers."""

import dataclasses
import importlib
import inspect

import pytest

from fastadmm import kernels, mpi

MODULES = (
    *(
        f"fastadmm.{name}"
        for name in (
            "checkpoint",
            "cli",
            "config",
            "datasets",
            "estimators",
            "files",
            "network",
            "on_disk",
        )
    ),
    *(
        f"fastadmm.{name}"
        for name in ("options", "plan", "report", "tasks", "text", "training", "version")
    ),
    *(f"fastadmm.mpi.{name}" for name in mpi.__all__),
)


def is_public(name):
    return name == "__init__" or not name.startswith("_")


def functions_of(thing):
    """A function itself, or the public methods that a class defines."""
    if inspect.isfunction(thing):
        return [thing]
    members = {name: m for name, m in vars(thing).items() if is_public(name)}
    if dataclasses.is_dataclass(thing):  # whose fields are typed by nature
        members.pop("__init__", None)
    plain = [getattr(m, "fget", None) or getattr(m, "__func__", m) for m in members.values()]
    return [m for m in plain if inspect.isfunction(m)]


def public_functions():
    things = [getattr(kernels, name) for name in kernels.__all__]
    for name in MODULES:
        module = importlib.import_module(name)
        things += [
            thing
            for key, thing in vars(module).items()
            if is_public(key)
            and (inspect.isfunction(thing) or inspect.isclass(thing))
            and thing.__module__ == name
        ]
    for thing in things:
        yield from functions_of(thing)


@pytest.mark.parametrize(
    "function", list(public_functions()), ids=lambda f: f"{f.__module__}.{f.__qualname__}"
)
def test_public_functions_are_annotated(function):
    signature, empty = inspect.signature(function), inspect.Signature.empty
    bare = [p.name for p in signature.parameters.values() if p.annotation is empty]
    assert [name for name in bare if name not in ("self", "cls")] == []
    assert signature.return_annotation is not empty or function.__name__ == "__init__"
