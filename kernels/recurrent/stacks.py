"""What goes from cell to cell of a network, and from its cells to the read-out, and back.

Cells of a level see the same sequences, one forward in time and, of networks in both directions,
one backward. A cell's own time is the order in which it takes the time points; in any of them
sequences of unequal length end together. So a sequence that has the last l of T steps has its own
time point t at ``2 T - 1 - l - t`` of the other direction.

`fastadmm.kernels.recurrent.recurrence` has the passes within a cell.
"""

from numba import prange

from ..core.jit import jit
from ..core.rows import row
from ..core.tiles import multiply, multiply_add
from .layout import FIRST, OFFSET, UNITS, matrix

EVERY, LAST, MEAN, MAX = range(4)
READOUTS = {"all": EVERY, "last": LAST, "mean": MEAN, "max": MAX}
"""What the read-out acts on: all states of a sequence, the last one, their mean or largest."""


@jit(internal=True)
def _place(t, length, steps, is_reverse):
    """Own time of a cell at time point t of a sequence of some length."""
    return 2 * steps - 1 - length - t if is_reverse and t >= steps - length else t


@jit(parallel=True)
def feed(source, states, target, at, reverse, lengths, mask, bounds):
    """Columns of a cell's rows become inputs of another one: its states, or its inputs.

    Parameters
    ----------
    source : ndarray, (T + 1, B, n)
        Rows of the cell that is read.
    states : (int, int, int)
        First of the columns to read, how many, and 1 where they belong to the row after a step
        (states), 0 where they belong to that before it (inputs).
    target : ndarray, (T + 1, B, n)
        Rows of the cell that reads; some columns are overwritten.
    at : int
        First of these.
    reverse : (bool, bool)
        Whether each of the two cells goes backward in time.
    lengths : ndarray, (B,), int64
        Steps of every sequence.
    mask : ndarray, (T, B, w), or (0, 0, 0) for ones
        Factors, by time point; their columns are those of ``target``.
    bounds : ndarray, (chunks + 1,), int64
        Cut of the B sequences.
    """
    left, width, later = states
    steps = source.shape[0] - 1
    for chunk in prange(len(bounds) - 1):
        for i in range(bounds[chunk], bounds[chunk + 1]):
            for t in range(steps):
                a = _place(t, lengths[i], steps, reverse[0]) + later
                b = _place(t, lengths[i], steps, reverse[1])
                values, new = row(source[a], i), row(target[b], i)
                for j in range(width):
                    new[at + j] = values[left + j]
                if len(mask) > 0:
                    factors = row(mask[t], i)
                    for j in range(width):
                        new[at + j] *= factors[at + j]


@jit(parallel=True)
def feed_tokens(source, target, lengths, bounds):
    """Tokens (T, B) in the order of the other direction."""
    steps = len(source)
    for chunk in prange(len(bounds) - 1):
        for i in range(bounds[chunk], bounds[chunk + 1]):
            for t in range(steps):
                target[_place(t, lengths[i], steps, True), i] = source[t, i]


@jit(internal=True)
def _input_adjoints(weights, lambda_, out, start, stop):
    sizes, first = weights.sizes, weights.sizes[0, FIRST]
    for t in range(len(lambda_)):
        adds = False
        for i in range(len(sizes)):
            if sizes[i, OFFSET] > 0:  # reads no inputs
                continue
            unit = sizes[i, FIRST] - first
            own = lambda_[t, start:stop, unit : unit + sizes[i, UNITS]]
            drive = matrix(sizes, i, weights.values)[:, : out.shape[2]]
            if adds:
                multiply_add(own, drive, out[t, start:stop])
            else:
                multiply(own, drive, out[t, start:stop])
            adds = True


@jit(parallel=True)
def input_adjoints(weights, lambda_, out, bounds):
    """Adjoints of a cell's inputs, ``λ_t U`` summed over the maps that read them.

    Limited by flops: 2 T B D (units of these maps).

    Parameters
    ----------
    weights : fastadmm.kernels.recurrent.recurrence.Weights
        Its ``values`` are read.
    lambda_ : ndarray, (T, B, GATES H)
    out : ndarray, (T, B, D); overwritten
    bounds : ndarray, (chunks + 1,), int64
        Cut of the B sequences.
    """
    for chunk in prange(len(bounds) - 1):
        _input_adjoints(weights, lambda_, out, bounds[chunk], bounds[chunk + 1])


@jit(parallel=True)
def bring_down(adjoints, at, above, reverse, lengths, mask, adds, bounds):
    """The way back of `feed`: adjoints of a cell's inputs become adjoints of another's states.

    Parameters
    ----------
    adjoints : ndarray, (T, B, D)
        In the order of the cell that has read.
    at : int
        First of the columns that belong to the other cell.
    above : ndarray, (T, B, H)
        In the order of the other cell; overwritten, or added to.
    reverse, lengths, mask, bounds
        As of `feed`, the cell that was read first.
    adds : bool
    """
    steps, _, width = above.shape
    for chunk in prange(len(bounds) - 1):
        for i in range(bounds[chunk], bounds[chunk + 1]):
            for t in range(steps - lengths[i], steps):
                a = _place(t, lengths[i], steps, reverse[0])
                b = _place(t, lengths[i], steps, reverse[1])
                total, values = above[a, i], adjoints[b, i]
                for j in range(width):
                    value = values[at + j]
                    if len(mask) > 0:
                        value *= mask[t, i, at + j]
                    total[j] = total[j] + value if adds else value


@jit(internal=True)
def _pool(z, how, left, length, i, out):
    """Last, mean or largest state of a sequence, whose states are columns from ``left`` on."""
    steps = z.shape[0] - 1
    last = row(z[steps], i)
    for j in range(len(out)):
        out[j] = last[left + j]
    if how == LAST:
        return
    for t in range(steps - length + 1, steps):
        values = row(z[t], i)
        for j in range(len(out)):
            value = values[left + j]
            out[j] = out[j] + value if how == MEAN else max(out[j], value)
    if how == MEAN:
        share = out.dtype.type(1 / length)
        for j in range(len(out)):
            out[j] *= share


@jit(parallel=True)
def pool(z, states, how, is_reverse, lengths, features, at, bounds):
    """What the read-out acts on, from the states of a cell.

    Parameters
    ----------
    z : ndarray, (T + 1, B, n)
    states : (int, int)
        First column of the states, and how many there are: H.
    how : int
        A value of `READOUTS`.
    is_reverse : bool
        The cell goes backward in time.
    lengths : ndarray, (B,), int64
    features : ndarray, (L + 1, B, w)
        ``features[1:]``, L = T for all states and else 1, get H columns from ``at`` on.
    at : int
    bounds : ndarray, (chunks + 1,), int64
        Cut of the B sequences.
    """
    (left, hidden), steps = states, z.shape[0] - 1
    for chunk in prange(len(bounds) - 1):
        for i in range(bounds[chunk], bounds[chunk + 1]):
            if how != EVERY:
                _pool(z, how, left, lengths[i], i, features[1, i, at : at + hidden])
                continue
            for t in range(steps):
                source = row(z[_place(t, lengths[i], steps, is_reverse) + 1], i)
                new = features[t + 1, i, at : at + hidden]
                for j in range(hidden):
                    new[j] = source[left + j]


@jit(internal=True)
def _spread(adjoint, z, how, left, length, feature, i, above):
    """The way back of `_pool`."""
    steps, width = len(above), len(adjoint)
    for t in range(steps - length, steps):
        total = above[t, i]
        for j in range(width):
            total[j] = adjoint[j] / total.dtype.type(length) if how == MEAN else 0
    if how == LAST:
        for j in range(width):
            above[steps - 1, i, j] = adjoint[j]
    elif how == MAX:
        for j in range(width):
            for t in range(steps - length, steps):
                if z[t + 1, i, left + j] == feature[j]:  # the first one, where there are several
                    above[t, i, j] = adjoint[j]
                    break


@jit(parallel=True)
def spread(adjoints, z, states, how, is_reverse, lengths, features, at, above, bounds):
    """The way back of `pool`: adjoints of its results become adjoints of states.

    Parameters
    ----------
    adjoints : ndarray, (L, B, w - 1)
        Of ``features``, whose first column is the constant one.
    z, states, how, is_reverse, lengths, features, at, bounds
        As of `pool`.
    above : ndarray, (T, B, H); overwritten
    """
    (left, hidden), steps = states, len(above)
    for chunk in prange(len(bounds) - 1):
        for i in range(bounds[chunk], bounds[chunk + 1]):
            if how != EVERY:
                own, feature = adjoints[0, i, at - 1 :], features[1, i, at : at + hidden]
                _spread(own[:hidden], z, how, left, lengths[i], feature, i, above)
                continue
            for t in range(steps - lengths[i], steps):
                total = above[_place(t, lengths[i], steps, is_reverse), i]
                source = adjoints[t, i, at - 1 :]
                for j in range(hidden):
                    total[j] = source[j]
