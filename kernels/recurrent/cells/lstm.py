"""The LSTM (Hochreiter and Schmidhuber, 1997), with forget gates, as torch has it.

``c_t = f_t c_{t-1} + i_t g_t``, ``s_t = o_t tanh(c_t)``, with gates i, f, o = σ(a) and g = tanh(a)
of pre-activations ``a = [i f g o] = Θ [x_t; 1; s_{t-1}]``.
"""

from typing import NamedTuple

from ...core.elementary import tanh
from ...core.jit import jit
from ...core.rows import row
from .cell import advance, enter, implements, pull
from .gates import bend, gate, pull_sigmoid, pull_tanh, scale, squash


class Lstm(NamedTuple):
    """Constants of the cell."""

    hidden: int
    """H."""

    GATES, KEPT, CARRIED = 4, 5, 2  # pyright: ignore[reportGeneralTypeIssues]


I, F, G, O, C = range(5)  # noqa: E741
"""Blocks of what is kept: gates, and the cell's memory."""


@jit(internal=True)
def _remember(i, f, g, before, c):
    for j in range(len(c)):
        c[j] = f[j] * before[j] + i[j] * g[j]


@jit(internal=True)
def _show(o, c, s):
    for j in range(len(s)):
        s[j] = o[j] * tanh(c[j])


@implements(advance, Lstm)
@jit(internal=True)
def _advance(cell, before, kept_before, after, kept):
    hidden = after.shape[1]
    for i in range(len(after)):
        squash(row(kept, i)[: G * hidden])
        bend(gate(kept, i, G, hidden))
        squash(gate(kept, i, O, hidden))
        c = gate(kept, i, C, hidden)
        _remember(
            gate(kept, i, I, hidden), gate(kept, i, F, hidden), gate(kept, i, G, hidden),
            gate(kept_before, i, C, hidden), c,
        )  # fmt: skip
        _show(gate(kept, i, O, hidden), c, row(after, i))


@implements(enter, Lstm)
@jit(internal=True)
def _enter(cell, adjoints, after):
    pass


@jit(internal=True)
def _pull_output(o, c, of_state, of_memory, lambda_):
    """λ of the output gate, and all of the adjoint of the memory."""
    one = o.dtype.type(1)
    for j in range(len(lambda_)):
        shown = tanh(c[j])
        lambda_[j] = of_state[j] * shown * (o[j] * (one - o[j]))
        of_memory[j] += of_state[j] * o[j] * (one - shown * shown)


@implements(pull, Lstm)
@jit(internal=True)
def _pull(cell, before, kept_before, after, kept, carried, lambda_):
    hidden = after.shape[1]
    for row_ in range(len(after)):
        i, f = gate(kept, row_, I, hidden), gate(kept, row_, F, hidden)
        g, o = gate(kept, row_, G, hidden), gate(kept, row_, O, hidden)
        of_state, of_memory = gate(carried, row_, 0, hidden), gate(carried, row_, 1, hidden)
        _pull_output(
            o, gate(kept, row_, C, hidden), of_state, of_memory, gate(lambda_, row_, O, hidden)
        )
        pull_sigmoid(of_memory, g, i, gate(lambda_, row_, I, hidden))
        pull_sigmoid(
            of_memory, gate(kept_before, row_, C, hidden), f, gate(lambda_, row_, F, hidden)
        )
        pull_tanh(of_memory, i, g, gate(lambda_, row_, G, hidden))
        scale(of_memory, f)
        of_state[:] = 0
