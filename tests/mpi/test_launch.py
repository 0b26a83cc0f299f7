"""What the environment says of a launcher."""

import pytest
from fastadmm.mpi import launch


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in launch.SIZE_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_no_launcher_is_one_process():
    assert launch.launched_size() == 1


@pytest.mark.parametrize("name", launch.SIZE_VARIABLES)
def test_launcher_variables(monkeypatch, name):
    monkeypatch.setenv(name, "6")
    assert launch.launched_size() == 6
    monkeypatch.setenv(name, "")
    assert launch.launched_size() == 1
