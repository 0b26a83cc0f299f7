"""What every cell does, chosen by the class of its NamedTuple when a kernel is compiled."""

from functools import singledispatch

from numba.extending import overload


@singledispatch
def advance(cell, states):
    """Pre-activations become states, in place.

    Parameters
    ----------
    cell : NamedTuple
    states : ndarray, (n, H), unit stride along the last axis
        Pre-activations at first.
    """
    raise TypeError(f"{cell!r} is no cell")


@singledispatch
def pull(cell, adjoints, states):
    """Adjoints of states become multipliers of pre-activations, in place.

    Parameters
    ----------
    cell : NamedTuple
    adjoints : ndarray, (n, H), unit stride along the last axis
    states : ndarray, (n, H), unit stride along the last axis
        As `advance` left them.
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
