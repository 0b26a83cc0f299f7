# What the package loads when it is asked for, for type checkers and editors.

from .gradient import fista as fista
from .primal_dual import chambolle_pock as chambolle_pock
from .solution import Solution as Solution
from .splitting import admm as admm
from .splitting import douglas_rachford as douglas_rachford
