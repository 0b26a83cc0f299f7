"""The solvers, by name."""

from fastadmm.solvers.admmirnn import Admmirnn
from fastadmm.solvers.block import Block
from fastadmm.solvers.condensed import Condensed

SOLVERS = {"condensed": Condensed, "block": Block, "admmirnn": Admmirnn}
