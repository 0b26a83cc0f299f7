"""Hard constraints on weights, and penalties, exact at every step of training.

    fit(net, X, y, constraints={"recurrent": Dale(0.8) & Mask(0.1), "read": NonNegative()})

Each acts on a block of weights by the network's own name for it: ``drive`` (U), ``recurrent`` (W)
or ``read`` (V); ``sent`` is what each hidden unit sends, its columns of W and V together. ``&``
joins two. The command line spells them ``recurrent=dale:0.8&mask:0.1``.

Limits of single entries (signs, masks, bounds, l1, l2) and the norms of `Group` belong to the
weight step itself: its minimiser over the set, in the metric of the step. The others project the
weights after it. Bounds, signs and masks hold for the weights of the network, in the units of the
data, at every iterate and in what is returned; penalties are against the mean loss, on weights in
the units that training sees (`fastadmm.units`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastadmm import validation
from fastadmm.cells import READ_OUT

BLOCKS = "drive", "recurrent", "read"
"""Blocks of weights that have constraints, beside ``sent``."""


class Entries(NamedTuple):
    """Limits of every entry of a block; ``weight |x| + ridge x^2 / 2`` within the bounds."""

    lower: np.ndarray
    upper: np.ndarray
    weight: np.ndarray
    ridge: np.ndarray

    @classmethod
    def free(cls, shape):
        """No limits."""
        bounds = np.full(shape, -np.inf), np.full(shape, np.inf)
        return cls(*bounds, np.zeros(shape), np.zeros(shape))

    @property
    def are_any(self):
        """Whether any entry has a limit."""
        has_bounds = np.isfinite(self.lower) | np.isfinite(self.upper)
        return bool((has_bounds | (self.weight != 0) | (self.ridge != 0)).any())

    def meet(self, other):
        """Both at once."""
        return Entries(
            np.maximum(self.lower, other.lower), np.minimum(self.upper, other.upper),
            self.weight + other.weight, self.ridge + other.ridge,
        )  # fmt: skip


@dataclass(frozen=True)
class Constraint:
    """What a block of weights may be; see the module for how they are used."""

    NAME: ClassVar[str]
    """On the command line."""
    of_matrix: ClassVar[bool] = False
    """Whether it acts on a block as a whole, by `project`."""

    def __and__(self, other: "Constraint") -> "Constraint":
        return All(_parts(self) + _parts(other))

    def entries(self, shape: tuple[int, int]) -> Entries:
        """Limits of the entries of a block (units, columns)."""
        return Entries.free(shape)

    def project(self, weights: NDArray[np.floating]) -> NDArray[np.floating]:
        """The weights, or nearest ones that fit the block as a whole."""
        return weights


@dataclass(frozen=True)
class All(Constraint):
    """Several at once; what ``&`` makes."""

    each: tuple[Constraint, ...]

    def entries(self, shape):
        found = Entries.free(shape)
        for constraint in self.each:
            found = found.meet(constraint.entries(shape))
        return found


def _parts(constraint):
    return constraint.each if isinstance(constraint, All) else (constraint,)


@dataclass(frozen=True, eq=False)
class Signs(Constraint):
    """Signs of entries: 1 non-negative, -1 non-positive, 0 free.

    Parameters
    ----------
    signs : array_like, what broadcasts to the block
        A row of them, (columns,), gives what each unit sends one sign.
    """

    signs: ArrayLike

    def __post_init__(self):
        if not np.isin(self.signs, (-1, 0, 1)).all():
            raise ValueError(f"signs are {validation.short(self.signs)}: expected -1, 0 or 1")

    def entries(self, shape):
        signs = _spread("signs", self.signs, shape)
        free = Entries.free(shape)
        free.lower[signs > 0] = 0
        free.upper[signs < 0] = 0
        return free


@dataclass(frozen=True)
class Dale(Constraint):
    """Dale's law: what a unit sends has one sign.

    Parameters
    ----------
    excitatory : float
        Part of the units, the first ones, that excite; the others inhibit.
    """

    NAME = "dale"
    excitatory: float = 0.8

    def __post_init__(self):
        _number(self, "excitatory", 0, 1)

    def entries(self, shape):
        signs = np.where(np.arange(shape[1]) < round(self.excitatory * shape[1]), 1, -1)
        return Signs(signs).entries(shape)


@dataclass(frozen=True, eq=False)
class Mask(Constraint):
    """Entries that are left out, zero for ever.

    Parameters
    ----------
    kept : float or array_like of bool, what broadcasts to the block
        Which entries there are, or their part, drawn at random.
    seed : int
        Of that draw.
    """

    NAME = "mask"
    kept: float | ArrayLike
    seed: int = 0

    def __post_init__(self):
        if np.ndim(self.kept) == 0 and not isinstance(self.kept, bool):
            _number(self, "kept", 0, 1)
        elif np.asarray(self.kept).dtype != bool:
            kind = np.asarray(self.kept).dtype
            raise TypeError(f"kept has dtype {kind}: expected bool, or a number from 0 to 1")

    def entries(self, shape):
        kept: Any = self.kept
        if np.ndim(kept) == 0:
            kept = np.random.default_rng(self.seed).random(shape) < kept
        absent = ~_spread("kept", kept, shape)
        free = Entries.free(shape)
        free.lower[absent] = free.upper[absent] = 0
        return free


@dataclass(frozen=True, eq=False)
class Box(Constraint):
    """Bounds on entries.

    Parameters
    ----------
    lower, upper : float or array_like, what broadcasts to the block
        May be infinite.
    """

    NAME = "box"
    lower: ArrayLike = -np.inf
    upper: ArrayLike = np.inf

    def __post_init__(self):
        if not np.all(np.asarray(self.lower) <= np.asarray(self.upper)):
            raise ValueError(
                f"lower is {validation.short(self.lower)}: expected at most upper, "
                f"{validation.short(self.upper)}"
            )

    def entries(self, shape):
        lower, upper = (_spread(n, getattr(self, n), shape) for n in ("lower", "upper"))
        return Entries.free(shape)._replace(lower=lower.astype(float), upper=upper.astype(float))


@dataclass(frozen=True)
class NonNegative(Constraint):
    """No entry below zero."""

    NAME = "nonnegative"

    def entries(self, shape):
        return Box(0.0).entries(shape)


@dataclass(frozen=True)
class L1(Constraint):
    """The penalty ``strength * sum |entry|``, against the mean loss: exact zeros."""

    NAME = "l1"
    strength: float

    def __post_init__(self):
        _number(self, "strength", 0)

    def entries(self, shape):
        return Entries.free(shape)._replace(weight=np.full(shape, self.strength))


@dataclass(frozen=True)
class L2(Constraint):
    """The penalty ``strength / 2 * sum entry^2``, against the mean loss."""

    NAME = "l2"
    strength: float

    def __post_init__(self):
        _number(self, "strength", 0)

    def entries(self, shape):
        return Entries.free(shape)._replace(ridge=np.full(shape, self.strength))


@dataclass(frozen=True)
class Group(Constraint):
    """The penalty ``strength * sum |sent|``, against the mean loss: whole units are off.

    What a unit sends is its columns of W and V; where they are zero, it has no effect on anything.
    """

    NAME = "group"
    strength: float

    def __post_init__(self):
        _number(self, "strength", 0)


@dataclass(frozen=True)
class SpectralNorm(Constraint):
    """Largest singular value at most ``bound``: projected after every step.

    With a bound below 1 and an activation of slope 1 at most, states forget where they began.
    """

    NAME = "spectral_norm"
    of_matrix = True
    bound: float

    def __post_init__(self):
        _number(self, "bound", 0)

    def project(self, weights):
        left, values, right = np.linalg.svd(weights.astype(float), full_matrices=False)
        if values[0] <= self.bound:
            return weights
        # a hair inside, so that rounding to the weights' precision does not lead out
        inside = self.bound * (1 - len(values) * np.finfo(weights.dtype).eps)
        return (left * np.minimum(values, inside)) @ right


@dataclass(frozen=True)
class LowRank(Constraint):
    """Rank at most ``rank``: singular values beyond it are dropped after every step.

    The set is not convex. What is returned is the average of the iterates, brought to the rank.
    """

    NAME = "low_rank"
    of_matrix = True
    rank: int

    def __post_init__(self):
        validation.positive_integer(self.rank, "rank")

    def project(self, weights):
        left, values, right = np.linalg.svd(weights.astype(float), full_matrices=False)
        rank = self.rank
        return (left[:, :rank] * values[:rank]) @ right[:rank]


@dataclass(frozen=True)
class Orthogonal(Constraint):
    """Orthonormal columns, or rows: the nearest such matrix after every step.

    The set is not convex. What is returned is the orthogonal matrix nearest to the average of the
    iterates.
    """

    NAME = "orthogonal"
    of_matrix = True

    def project(self, weights):
        left, _, right = np.linalg.svd(weights.astype(float), full_matrices=False)
        return left @ right


KINDS = {
    kind.NAME: kind
    for kind in (Dale, Mask, Box, NonNegative, L1, L2, Group, SpectralNorm, LowRank, Orthogonal)
}
"""By their names on the command line."""


def places(net: Any, block: str) -> list[tuple[int, slice]]:
    """Maps that have a block of weights, by their number, and its columns in them.

    ``drive`` is what reads the data: of a stack the weights of the lowest level.
    """
    if block == "sent":
        return places(net, "recurrent") + places(net, "read")
    if block == "read":
        return [(len(net.weights) - 1, READ_OUT.recurrent)]
    maps = [(each, place) for place in net.places for each in net.kind.maps]
    return [
        (i, getattr(each.columns(place.inputs), block))
        for i, (each, place) in enumerate(maps)
        if (each.recurrent if block == "recurrent" else each.driven and place.level == 0)
    ]


def parse(text: str) -> tuple[str, Constraint]:
    """Block and constraint from ``BLOCK=NAME[:NUMBER[:NUMBER]]``, several joined by ``&``."""
    block, separator, spelled = text.partition("=")
    if not separator:
        raise ValueError(f"constraint is {text!r}: expected BLOCK=NAME:NUMBER, as in {EXAMPLE}")
    found: Constraint | None = None
    for part in spelled.split("&"):
        name, *numbers = part.split(":")
        kind: Any = KINDS[validation.one_of(name, KINDS, f"constraint {text!r}")]
        try:
            given = [int(n) if n.lstrip("-").isdigit() else float(n) for n in numbers]
            own = kind(*given)
        except TypeError as error:
            takes = ":".join([name, *(f.name.upper() for f in fields(kind))])
            raise ValueError(f"constraint is {text!r}: expected {takes}") from error
        except ValueError as error:
            raise ValueError(f"constraint {text!r}: {error}") from error
        found = own if found is None else found & own
    assert found is not None
    return block, found


def parse_all(texts: Iterable[str]) -> dict[str, Constraint]:
    """Constraints by block, from several texts."""
    found: dict[str, Constraint] = {}
    for block, constraint in map(parse, texts):
        found[block] = found[block] & constraint if block in found else constraint
    return found


EXAMPLE = "recurrent=dale:0.8"


def check(given: Mapping[str, Constraint] | None, net: Any, tokens: bool) -> dict[str, Constraint]:
    """Refuse what does not fit the network, before any work.

    Raises
    ------
    ValueError, TypeError
        Naming the block, what came and what is expected.
    """
    found = dict(given or {})
    for block, constraint in found.items():
        name = f"constraints[{block!r}]"
        if block not in (*BLOCKS, "sent"):
            expected = ", ".join(map(repr, (*BLOCKS, "sent")))
            raise ValueError(f"constraints has {block!r}: expected {expected}")
        if not isinstance(constraint, Constraint):
            kind = type(constraint).__name__
            raise TypeError(f"{name} is {kind}: expected a Constraint, as fastadmm.constraints has")
        groups = [isinstance(part, Group) for part in _parts(constraint)]
        if block == "sent" and groups != [True]:
            raise ValueError(f"{name} is {constraint}: expected Group, and nothing else")
        if block == "sent" and {"recurrent", "read"} & found.keys():
            raise ValueError("constraints has 'sent' beside 'recurrent' or 'read': expected one")
        if block == "sent" and len(net.places) > 1:
            raise ValueError(f"{name}: units of stacks and of both directions send to other levels")
        if block != "sent" and any(groups):
            raise ValueError(f"{name}: groups are those of 'sent'")
        if block == "drive" and tokens:
            raise ValueError(f"{name}: rows of tokens have no constraints")
        whole = [part.of_matrix for part in _parts(constraint)]
        with validation.within(name):
            if any(whole) and (len(whole) > 1 or block != "recurrent"):
                raise ValueError("what acts on a matrix as a whole stands alone, of 'recurrent'")
            for i, columns in places(net, block):
                entries = constraint.entries(net.weights[i][:, columns].shape)
                if (entries.lower > entries.upper).any():
                    raise ValueError("no weight fits all of them")
    return found


def start(constraints: Mapping[str, Constraint], net: Any) -> None:
    """Give a new network weights to begin with that fit its constraints.

    With signs or masks, recurrent weights get the signs asked for, what inhibits scaled so that
    excitation and inhibition cancel in the mean, and then the spectral radius that the gain asks
    for: the spectrum of the start matters more than the signs.
    """
    for block, constraint in constraints.items():
        for i, columns in places(net, block):
            weights = net.weights[i][:, columns]
            entries = constraint.entries(weights.shape)
            is_absent = (entries.lower == 0) & (entries.upper == 0)
            if (is_absent | (entries.lower == 0) | (entries.upper == 0)).any():
                fresh = np.where(is_absent, 0, _signed(weights.astype(float), entries))
                if block == "recurrent":
                    _scale_to_radius(fresh, net.gain)
                weights[:] = fresh


def _signed(weights, entries):
    """Weights of the signs that bounds allow, excitation and inhibition balanced."""
    up, down = (entries.lower >= 0), (entries.upper <= 0)
    signed = np.where(up & ~down, np.abs(weights), np.where(down & ~up, -np.abs(weights), weights))
    above, below = signed[up & ~down].sum(), -signed[down & ~up].sum()
    if above > 0 and below > 0:
        signed[down & ~up] *= above / below
    return signed


def _scale_to_radius(weights, gain):
    """Scale every square of rows to a spectral radius, in place, where it has one that is not 0."""
    for square in weights.reshape(-1, weights.shape[1], weights.shape[1]):
        radius = np.abs(np.linalg.eigvals(square)).max()
        if radius > RESTING * np.abs(square).max(initial=0):
            square *= gain / radius


RESTING = 1e-6
"""A spectral radius that is so small beside the entries counts as zero."""


def _spread(name, value, shape):
    """An array of a block's shape."""
    try:
        return np.broadcast_to(np.asarray(value), shape)
    except ValueError:
        raise ValueError(
            f"{name} has shape {np.shape(value)}: expected {shape} or what broadcasts to it"
        ) from None


def _number(constraint, name, low, high=np.inf):
    value = getattr(constraint, name)
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not low <= value <= high or value == np.inf:
        expected = f"a number, at least {low}"
        if high < np.inf:
            expected = f"a number from {low} to {high}"
        raise ValueError(f"{name} is {validation.short(value)}: expected {expected}")
