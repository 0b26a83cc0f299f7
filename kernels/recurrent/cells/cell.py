"""What every cell does, chosen by the class of its NamedTuple when a kernel is compiled.

A cell's class says in constants how wide its arrays are, in units of H:

GATES
    Pre-activations of a step, and their multipliers λ.
KEPT
    What a step keeps for the way back. Pre-activations are written there first, and then replaced.
    A cell that keeps nothing has them in the place of its states, and what it takes back in time is
    λ itself, not the adjoint of its states: see `enter`.
CARRIED
    What a step hands on to the next one: the states, which stand in rows z, and the last
    ``CARRIED - 1`` of what is kept.
"""

from functools import singledispatch

from numba.extending import overload


def widths(cell):
    """``(GATES, KEPT, CARRIED)`` of a cell, known when a kernel is compiled."""
    return cell.GATES, cell.KEPT, cell.CARRIED


@overload(widths)
def _compiled_widths(cell):
    kind = cell.instance_class
    found = kind.GATES, kind.KEPT, kind.CARRIED
    return lambda cell: found


@singledispatch
def advance(cell, before, kept_before, after, kept):
    """Element-wise part of a step of some sequences, after the products.

    Parameters
    ----------
    cell : NamedTuple
    before : ndarray, (n, H), unit stride along the last axis
        States before the step.
    kept_before : ndarray, (n, KEPT H)
        What the step before kept.
    after : ndarray, (n, H), unit stride along the last axis; overwritten
        States after the step; of a cell that keeps nothing pre-activations at first.
    kept : ndarray, (n, KEPT H); overwritten
        Pre-activations at first, in its first GATES H columns.
    """
    raise TypeError(f"{cell!r} is no cell")


@singledispatch
def enter(cell, adjoints, after):
    """Turn adjoints of states into what the cell takes back in time, in place.

    Nothing to do, but for a cell that keeps nothing: there, multipliers of pre-activations.

    Parameters
    ----------
    cell : NamedTuple
    adjoints : ndarray, (n, H), unit stride along the last axis
    after : ndarray, (n, H), unit stride along the last axis
        States after the step.
    """
    raise TypeError(f"{cell!r} is no cell")


@singledispatch
def pull(cell, before, kept_before, after, kept, carried, lambda_):
    """Multipliers of a step's pre-activations, and what goes back beside the products.

    Nothing to do for a cell that keeps nothing.

    Parameters
    ----------
    cell : NamedTuple
    before, kept_before, after, kept
        As `advance` left them.
    carried : ndarray, (n, CARRIED H); overwritten
        Adjoints of what the step hands on; then that part of the adjoints of what it was handed
        that does not come through the products.
    lambda_ : ndarray, (n, GATES H); overwritten
        Multipliers.
    """
    raise TypeError(f"{cell!r} is no cell")


def implements(function, kind):
    """Let a kernel be what one of the functions above does for cells of a class."""

    def decorate(kernel):
        function.register(kind)(getattr(kernel, "py_func", kernel))

        @overload(function, strict=False)
        def choose(cell, *rows):
            if getattr(cell, "instance_class", None) is kind:
                return lambda cell, *rows: kernel(cell, *rows)

        return kernel

    return decorate
