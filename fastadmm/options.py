"""Options of a solver: the annotation of a field says, once, what the option may be.

    eta: Annotated[float, POSITIVE] = 0.03
    rho3: Annotated[float | None, POSITIVE] = None
    certify: bool = False

`check` refuses all else, by name and in one line, whether it comes from Python or from the command
line, whose texts `read` turns into values.
"""

import contextlib
import sys
from collections.abc import Callable, Collection
from dataclasses import fields
from types import NoneType
from typing import Any, NamedTuple, get_args, get_type_hints

import numpy as np

from fastadmm.validation import short


class Range(NamedTuple):
    """Which values of its type an option may have.

    Attributes
    ----------
    words : str
        For messages; may name the option as ``{name}``.
    holds : callable
        True of a value of the type that is in the range.
    """

    words: str
    holds: Callable[[Any], bool]

    def __repr__(self) -> str:  # in the signature that `help` shows
        return self.words


POSITIVE = Range("a positive number", lambda value: value > 0)
NONNEGATIVE = Range("a number, at least 0", lambda value: value >= 0)
FRACTION = Range("0 <= {name} < 1", lambda value: 0 <= value < 1)
UNIT_INTERVAL = Range("0 <= {name} <= 1", lambda value: 0 <= value <= 1)
COUNTING = Range("a positive integer", lambda value: value >= 1)
COUNTING_FROM_0 = Range("an integer, at least 0", lambda value: value >= 0)
PENALTY = Range("a number from 1e-30 to 1e30", lambda value: 1e-30 <= value <= 1e30)
"""Which has an inverse in single precision."""
SWEEPS = Range("an integer from 1 to 1000", lambda value: 1 <= value <= 1000)
"""Neither a signal nor a time limit ends a step before its last one."""
_TRUTH = Range("True or False", lambda value: True)


def between(low: float, high: float) -> Range:
    """Numbers between two others, without these."""
    return Range(f"{low:g} < {{name}} < {high:g}", lambda value: low < value < high)


def above(low: float) -> Range:
    """Numbers greater than another one."""
    return Range(f"a number above {low:g}", lambda value: value > low)


def one_of(choices: Collection[str]) -> Range:
    """Some names."""
    return Range(f"one of {', '.join(map(repr, choices))}", lambda value: value in choices)


def check(options: Any) -> None:
    """Refuse values that a frozen dataclass's annotations do not allow; make the others plain.

    NumPy's scalars become Python's, and integers become floats where a float is expected. Booleans
    are no numbers; NaN and infinity are neither.

    Raises
    ------
    ValueError
        In one line: the option, what came and what is expected.
    """
    for name, annotation in _annotations(type(options)).items():
        types, allowed = _parts(annotation)
        value = getattr(options, name)
        value = value.item() if isinstance(value, np.generic) else value
        if not _fits(value, types, allowed):
            expected = "None or " * (NoneType in types) + allowed.words.format(name=name)
            raise ValueError(f"{name} is {short(value)}: expected {expected}")
        if float in types and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        object.__setattr__(options, name, value)  # though it is frozen


def check_names(kind: type, given: Collection[str], taker: str) -> None:
    """Refuse names that are no fields of a dataclass of options.

    Parameters
    ----------
    kind : type
    given : collection of str
    taker : str
        Whose options they are, for the message.

    Raises
    ------
    TypeError
    """
    names = [field.name for field in fields(kind)]
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise TypeError(
            f"{', '.join(unknown)}: no option of {taker}, which takes {', '.join(names)}"
        )


def read(kind: type, name: str, text: str) -> Any:
    """Value that a text means for an option; `check` then says whether it may have it.

    A text stays what it is where the option is a text, or where it spells neither a number nor a
    truth value nor None.
    """
    types, _ = _parts(_annotations(kind)[name])
    value = {"true": True, "false": False, "none": None, "null": None}.get(text.lower(), text)
    if str in types and float not in types:
        return None if value is None else text
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    return value


def _annotations(kind):
    return get_type_hints(kind, include_extras=True)


def _parts(annotation):
    """Types of an annotation, and the range within them."""
    plain, *ranges = get_args(annotation) if hasattr(annotation, "__metadata__") else (annotation,)
    return get_args(plain) or (plain,), ranges[0] if ranges else _TRUTH


def _fits(value, types, allowed):
    if value is None or isinstance(value, bool):
        return type(value) in types
    if isinstance(value, str):
        return str in types and allowed.holds(value)
    if float in types:
        is_finite = isinstance(value, int | float) and abs(value) <= sys.float_info.max
        return is_finite and allowed.holds(value)
    return isinstance(value, types) and allowed.holds(value)
