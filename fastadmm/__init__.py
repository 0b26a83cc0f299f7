"""Train recurrent networks with ADMM, fast, on CPUs.

`RNN` is the network, `fit` trains it and returns a `Result`; `datasets` has data to try it on,
`constraints` what its weights may be held to.
`RNNClassifier` and `RNNRegressor` are estimators by scikit-learn's rules.
Compiled kernels are in `fastadmm.kernels`, the distribution over MPI ranks in `fastadmm.mpi`.
Importing this package compiles nothing and loads neither Numba nor mpi4py: what needs them loads
them.
"""

import importlib

from fastadmm.network import RNN
from fastadmm.version import __version__

__all__ = [
    "RNN", "RNNClassifier", "RNNRegressor", "Result", "__version__", "constraints", "datasets",
    "fit", "kernels", "mpi",
]  # fmt: skip

_MODULE_OF = {
    "fit": "training", "Result": "training",
    "RNNClassifier": "estimators", "RNNRegressor": "estimators",
}  # fmt: skip


def __getattr__(name):
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"fastadmm.{_MODULE_OF[name]}"), name)
    if name in ("constraints", "datasets", "kernels", "mpi"):
        return importlib.import_module(f"fastadmm.{name}")
    raise AttributeError(f"module 'fastadmm' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
