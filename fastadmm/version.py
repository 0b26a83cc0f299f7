"""The package's version, read from its metadata, and those of what it computes with."""

import sys
from importlib.metadata import version

__version__ = version("fastadmm")


def versions() -> dict[str, str]:
    """Versions of this package, of Python and of the libraries that compute, by name."""
    names = ("numba", "numpy", "scipy", "llvmlite")
    return {
        "fastadmm": __version__,
        "python": sys.version.split()[0],
        **{name: version(name) for name in names},
    }
