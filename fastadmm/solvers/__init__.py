"""The solvers, by name."""

from fastadmm.solvers.condensed import Condensed

SOLVERS = {"condensed": Condensed}
