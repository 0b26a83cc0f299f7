"""Fixtures of the tests of the package."""

import pytest

from fastadmm.threads import compute_threads


@pytest.fixture
def two_threads():
    with compute_threads(2):
        yield
