# What the package loads when it is asked for, for type checkers and editors.

from fastadmm import constraints as constraints
from fastadmm import datasets as datasets
from fastadmm import kernels as kernels
from fastadmm import mpi as mpi
from fastadmm.estimators import RNNClassifier as RNNClassifier
from fastadmm.estimators import RNNRegressor as RNNRegressor
from fastadmm.network import RNN as RNN
from fastadmm.training import Result as Result
from fastadmm.training import fit as fit
from fastadmm.version import __version__ as __version__
