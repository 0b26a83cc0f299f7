"""The GRU (Cho et al., 2014) as torch has it: reset after the product.

``s_t = (1 - u_t) n_t + u_t s_{t-1}`` with ``n_t = tanh(a_n + r_t a_p)``, gates r, u = σ(a), and
pre-activations ``[r u] = Θ [x_t; 1; s_{t-1}]``, ``a_n = Θ' [x_t; 1]``, ``a_p = Θ'' [1; s_{t-1}]``.
"""

from typing import NamedTuple

from ...core.elementary import tanh
from ...core.jit import jit
from ...core.rows import row
from .cell import advance, enter, implements, pull
from .gates import gate, pull_sigmoid, scale, squash


class Gru(NamedTuple):
    """Constants of the cell."""

    hidden: int
    """H."""

    GATES, KEPT, CARRIED = 4, 4, 1  # pyright: ignore[reportGeneralTypeIssues]


R, U, N, P = range(4)
"""Blocks of what is kept: gates, the candidate, and its pre-activation from the past."""


@jit(internal=True)
def _propose(r, p, n):
    for j in range(len(n)):
        n[j] = tanh(n[j] + r[j] * p[j])


@jit(internal=True)
def _mix(u, n, before, s):
    for j in range(len(s)):
        s[j] = n[j] + u[j] * (before[j] - n[j])


@implements(advance, Gru)
@jit(internal=True)
def _advance(cell, before, kept_before, after, kept):
    hidden = after.shape[1]
    for i in range(len(after)):
        squash(row(kept, i)[: N * hidden])
        n = gate(kept, i, N, hidden)
        _propose(gate(kept, i, R, hidden), gate(kept, i, P, hidden), n)
        _mix(gate(kept, i, U, hidden), n, row(before, i), row(after, i))


@implements(enter, Gru)
@jit(internal=True)
def _enter(cell, adjoints, after):
    pass


@jit(internal=True)
def _pull_candidate(adjoint, u, n, lambda_):
    one = u.dtype.type(1)
    for j in range(len(lambda_)):
        lambda_[j] = adjoint[j] * (one - u[j]) * (one - n[j] * n[j])


@jit(internal=True)
def _pull_update(adjoint, u, n, before, lambda_):
    one = u.dtype.type(1)
    for j in range(len(lambda_)):
        lambda_[j] = adjoint[j] * (before[j] - n[j]) * (u[j] * (one - u[j]))


@jit(internal=True)
def _pull_past(of_candidate, r, lambda_):
    for j in range(len(lambda_)):
        lambda_[j] = of_candidate[j] * r[j]


@implements(pull, Gru)
@jit(internal=True)
def _pull(cell, before, kept_before, after, kept, carried, lambda_):
    hidden = after.shape[1]
    for i in range(len(after)):
        adjoint, of_candidate = row(carried, i), gate(lambda_, i, N, hidden)
        r, u = gate(kept, i, R, hidden), gate(kept, i, U, hidden)
        n = gate(kept, i, N, hidden)
        _pull_candidate(adjoint, u, n, of_candidate)
        _pull_update(adjoint, u, n, row(before, i), gate(lambda_, i, U, hidden))
        _pull_past(of_candidate, r, gate(lambda_, i, P, hidden))
        pull_sigmoid(of_candidate, gate(kept, i, P, hidden), r, gate(lambda_, i, R, hidden))
        scale(adjoint, u)
