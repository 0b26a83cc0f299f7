"""Train recurrent networks with ADMM, fast, on CPUs.

`RNN` is the network, `fit` trains it. Compiled kernels are in `fastadmm.kernels`, the distribution
over MPI ranks in `fastadmm.mpi`. Importing this package compiles nothing and loads neither Numba
nor mpi4py: what needs them loads them.
"""

from fastadmm.network import RNN
from fastadmm.version import __version__

__all__ = ["RNN", "Result", "__version__", "fit"]


def __getattr__(name):
    if name in ("fit", "Result"):
        from fastadmm import training

        return getattr(training, name)
    raise AttributeError(f"module 'fastadmm' has no attribute {name!r}")
