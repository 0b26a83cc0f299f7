"""The solvers, by name."""

from fastadmm.solvers.admmirnn import Admmirnn
from fastadmm.solvers.block import Block
from fastadmm.solvers.condensed import Condensed
from fastadmm.validation import one_of

SOLVERS = {"condensed": Condensed, "block": Block, "admmirnn": Admmirnn}


def counts(work, solver, options=None):
    """`fastadmm.mpi.cost.Counts` of an iteration of a solver, by name, with options or its own."""
    kind = SOLVERS[one_of(solver, SOLVERS, "solver")]
    return kind.counts(work, options or kind.Options())
