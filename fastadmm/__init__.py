"""Train recurrent networks with ADMM, fast, on CPUs.

`RNN` is the network, `fit` trains it and returns a `Result`; `datasets` has data to try it on.
Compiled kernels are in `fastadmm.kernels`, the distribution over MPI ranks in `fastadmm.mpi`.
Importing this package compiles nothing and loads neither Numba nor mpi4py: what needs them loads
them.
"""

import importlib

from fastadmm.network import RNN
from fastadmm.version import __version__

__all__ = ["RNN", "Result", "__version__", "datasets", "fit", "kernels", "mpi"]


def __getattr__(name):
    if name in ("fit", "Result"):
        return getattr(importlib.import_module("fastadmm.training"), name)
    if name in ("datasets", "kernels", "mpi"):
        return importlib.import_module(f"fastadmm.{name}")
    raise AttributeError(f"module 'fastadmm' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
