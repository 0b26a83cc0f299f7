"""What compiled callers may pass to a kernel, said once: by the annotations of its arguments.

    def _prox_l2_norm(v: read("m", "n"), step: NUMBER | read("m"), ..., out: written("m", "n")):

A kernel itself checks nothing. `Door` stands before it: while a caller is compiled it refuses what
the kernel would get wrong, by the name of the argument, and it writes the function that is called:
one that compares lengths, once a call, and hands on. A length is a letter or an expression in the
letters before it.

All arrays of real numbers in a call have one dtype, float32 or float64.
"""

import contextlib
import inspect
from dataclasses import dataclass, replace
from typing import Any

import numba
from numba.core import types
from numba.core.errors import NumbaError, TypingError

REAL, DOUBLE, INTEGERS = "float32 or float64", "float64", "integers"
_DTYPES = {
    REAL: (types.float32, types.float64),
    DOUBLE: (types.float64,),
    INTEGERS: types.integer_domain,
}


class Kind:
    """What an argument may be; ``a | b`` is one or the other."""

    def __or__(self, other):
        return Either((self, other))

    def fits(self, given):
        """Whether a Numba type is of this kind."""
        raise NotImplementedError

    def of(self, given):
        """The kind that a Numba type is, None where it does not fit."""
        return self if self.fits(given) else None


@dataclass(frozen=True)
class Either(Kind):
    kinds: tuple

    def of(self, given):
        return next((kind for kind in self.kinds if kind.fits(given)), None)

    def __str__(self):
        return " or ".join(map(str, self.kinds))


class _Number(Kind):
    def fits(self, given):
        return isinstance(given, types.Number) and not isinstance(given, types.Complex)

    def __str__(self):
        return "a number"


class _Nothing(Kind):
    def fits(self, given):
        return isinstance(given, types.NoneType)

    def __str__(self):
        return "None"


@dataclass(frozen=True)
class Array(Kind):
    """An array of given lengths, or with ``entries`` of any shape: then it is raveled.

    ``packed``: for BLAS, neighbours in a row are neighbours in memory, rows any distance apart.
    """

    shape: tuple
    dtype: str = REAL
    written: bool = False
    packed: bool = False
    entries: bool = False

    def fits(self, given):
        return (
            isinstance(given, types.Array)
            and given.dtype in _DTYPES[self.dtype]
            and (given.mutable or not self.written)
            and self._laid_out(given)
        )

    def _laid_out(self, given):
        if self.entries:
            return given.ndim == 1 or given.layout == "C"
        if given.ndim != len(self.shape):
            return False
        # strides are not part of the type: those of a matrix are looked at in the call
        return not self.packed or given.layout == "C" or (given.layout == "A" and given.ndim == 2)

    def __str__(self):
        shape = "of any shape, C-contiguous or 1-D" if self.entries else shown(self.shape)
        rows = " with contiguous rows" * self.packed
        return f"{'a writable' if self.written else 'an'} array {shape}{rows}, of {self.dtype}"


def shown(shape):
    """Lengths as Python shows them: ("n",) is "(n,)"."""
    return f"({', '.join(shape)}{',' * (len(shape) == 1)})"


def read(*shape, dtype=REAL):
    """An array that is read, in any layout."""
    return Array(shape, dtype)


def written(*shape, dtype=REAL):
    """An array that is overwritten, in any layout."""
    return Array(shape, dtype, written=True)


def packed(*shape):
    """A matrix that BLAS reads, or a stack of them."""
    return Array(shape, packed=True)


def packed_written(*shape):
    """A matrix that BLAS writes, or a stack of them."""
    return Array(shape, packed=True, written=True)


NUMBER, NOTHING = _Number(), _Nothing()
ENTRIES = Array(("n",), entries=True)
RESULT = replace(ENTRIES, written=True)
PER_ENTRY = NUMBER | ENTRIES
PER_ROW = NUMBER | read("m")


class Door:
    """What stands before a kernel: a check of types, and one of lengths.

    Parameters
    ----------
    name : str
        The public name, for messages.
    kernel : compiled function
        Its arguments are annotated with their `Kind`; one without an annotation may be anything.
    """

    def __init__(self, name: str, kernel: Any):
        self.name, self.kernel = name, kernel
        self.signature = inspect.signature(getattr(kernel, "py_func", kernel))

    def __str__(self):
        return f"{self.name}({', '.join(self.signature.parameters)})"

    def check(self, args, keywords):
        """Kind and Numba type of every annotated argument, by name.

        Parameters
        ----------
        args, keywords : tuple, dict of Numba types

        Raises
        ------
        numba.core.errors.TypingError
            In one line: the argument, what came and what is expected.
        """
        try:
            given = self.signature.bind(*args, **keywords).arguments
        except TypeError as error:
            raise TypingError(f"{self} in compiled code: {error}") from None
        kinds, real = {}, None
        for name, came in given.items():
            expected = self.signature.parameters[name].annotation
            if expected is inspect.Parameter.empty:
                continue
            kind = expected.of(came)
            if kind is None:
                raise TypingError(f"{name} of {self} is {came}: expected {expected}")
            if isinstance(kind, Array) and kind.dtype == REAL:
                real = real or came.dtype
                if came.dtype != real:
                    raise TypingError(f"{name} of {self} is {came}: expected {real}, as before it")
            kinds[name] = kind, came
        return kinds

    def choose(self, *args, **keywords):
        """The function that runs for arguments of these Numba types, by position or keyword."""
        return self._function(self.check(args, keywords))

    def for_values(self, args):
        """The function that runs for these values; None where they are not what it takes."""
        annotations = [p.annotation for p in self.signature.parameters.values()]
        if len(args) != len(annotations):
            return None
        with contextlib.suppress(NumbaError, ValueError):
            return self.choose(
                *(
                    None if annotation is inspect.Parameter.empty else numba.typeof(value)
                    for value, annotation in zip(args, annotations, strict=True)
                )
            )

    def checked(self, args):
        """The function that runs for these values, which have to be what the kernel takes.

        Raises
        ------
        TypeError
        """
        try:
            return self.choose(*map(numba.typeof, args))
        except TypingError as error:
            raise TypeError(str(error)) from None

    def _function(self, kinds):
        """The function of the call, written out for arguments of these kinds and types."""
        lines, letters = [], set()
        for name, (kind, came) in kinds.items():
            if isinstance(kind, Array):
                if kind.entries and came.ndim != 1:
                    lines.append(f"{name} = {name}.reshape(-1)")
                lines += self._lengths(name, kind, letters)
                if kind.packed and came.layout == "A":
                    lines += self._strides(name)
        parameters = ", ".join(self.signature.parameters)
        body = "".join(f"    {line}\n" for line in lines)
        text = f"def {self.name}({parameters}):\n{body}    return kernel({parameters})\n"
        scope = {"kernel": self.kernel, "__name__": __name__}
        exec(compile(text, f"<{self}>", "exec"), scope)
        return scope[self.name]

    def _lengths(self, name, kind, letters):
        """Lines that name the lengths of an array, or compare them with those that are known."""
        for axis, length in enumerate(kind.shape):
            if length.isidentifier() and length not in letters:
                letters.add(length)
                yield f"{length} = {name}.shape[{axis}]"
            else:
                expected = f"{shown(kind.shape)} with the lengths of the arguments before it"
                message = f"{name} of {self} has another shape: expected {expected}"
                yield f"if {name}.shape[{axis}] != ({length}):"
                yield f"    raise ValueError({message!r})"

    def _strides(self, name):
        """Lines that refuse a matrix whose rows have gaps or overlap."""
        yield f"width = {name}.shape[1] * {name}.itemsize"
        yield f"gaps = {name}.shape[1] > 1 and {name}.strides[1] != {name}.itemsize"
        yield f"if gaps or ({name}.shape[0] > 1 and {name}.strides[0] < width):"
        message = f"{name} of {self} is strided: expected contiguous rows"
        yield f"    raise ValueError({message!r})"
