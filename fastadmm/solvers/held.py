"""Constraints and penalties bound to the weights of a network, and the steps that keep them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastadmm.constraints import Constraint, Entries, Group, places
from fastadmm.kernels.recurrent import held
from fastadmm.units import Units

TOLERANCE = 0.05
"""The descent to a step in a set ends where a sweep changes it by so much of the step's bound."""


class Bound:
    """Constraints of the weights that training moves, in the units that it sees.

    Parameters
    ----------
    constraints : dict of Constraint
        Checked by `fastadmm.constraints.check`.
    net : RNN
    units : Units

    Attributes
    ----------
    entries : list of Entries
        Of every map.
    members, strength : list of (int, slice), float
        Maps and columns that are groups, and the weight of their norms.
    whole : list of (int, slice, Constraint)
        Columns that are projected as a matrix.
    """

    def __init__(self, constraints: Mapping[str, Constraint], net: Any, units: Units):
        self.entries = [Entries.free(weights.shape) for weights in net.weights]
        self.members: list[tuple[int, slice]] = []
        self.strength = 0.0
        self.whole: list[tuple[int, slice, Constraint]] = []
        for block, constraint in constraints.items():
            for i, columns in places(net, block):
                if isinstance(constraint, Group):
                    self.members.append((i, columns))
                    self.strength = constraint.strength
                if constraint.of_matrix:
                    self.whole.append((i, columns, constraint))
                own = constraint.entries(self.entries[i].lower[:, columns].shape)
                for field, values in zip(self.entries[i], own, strict=True):
                    field[:, columns] = values
        self._enter(places(net, "drive"), units)

    def _enter(self, driven, units):
        """Bounds for weights that will be divided by the inputs' units and multiplied by e."""
        for i, columns in driven if len(units.input_scale) else ():  # not those of tokens
            for side in (self.entries[i].lower, self.entries[i].upper):
                side[:, columns] *= units.input_scale
        for side in (self.entries[-1].lower, self.entries[-1].upper):
            side /= units.target_scale

    def clip(self, weights):
        """Bring entries into their bounds, which rounding may have led out of; in place."""
        for own, entries in zip(weights, self.entries, strict=True):
            np.clip(own, entries.lower, entries.upper, out=own)

    def project(self, weights):
        """Bring blocks that have a limit as a whole into it, in place.

        They are the last columns of their maps, also where those of tokens are no part of them.
        """
        for i, columns, constraint in self.whole:
            first = columns.start - self.entries[i].lower.shape[1]
            weights[i][:, first:] = constraint.project(weights[i][:, first:])


class Held:
    """What keeps the maps of `condensed` within their limits.

    Parameters
    ----------
    bound : Bound
    maps : fastadmm.kernels.recurrent.maps.Maps
    views : callable
        The weights of all maps in a field of theirs, as a list of views.
    """

    def __init__(self, bound, maps, views):
        self.bound, self.maps, self.views = bound, maps, views
        real, size = maps.values.dtype, maps.values.size
        dropped = [  # columns of tokens, which are no part of the maps
            own.lower.shape[1] - weights.shape[1]
            for own, weights in zip(bound.entries, views("values"), strict=True)
        ]
        entries = [
            Entries(*(field[:, first:] for field in own))
            for own, first in zip(bound.entries, dropped, strict=True)
        ]
        lower, upper, weight, ridge = (
            np.concatenate([field.ravel() for field in fields]).astype(real)
            for fields in zip(*entries, strict=True)
        )
        members = [(i, columns.start - dropped[i]) for i, columns in bound.members]
        units = sum(len(entries[i].lower) for i, _ in members)
        groups = entries[-1].lower.shape[1] - 1 if members else 0
        self.limits = held.Limits(
            lower, upper, weight, ridge, np.array([own.are_any for own in entries]),
            np.array(members, np.int64).reshape(-1, 2), np.full(groups, bound.strength),
            np.zeros(size, real), np.zeros((2, units), real),
        )  # fmt: skip

    def returned(self, values, average):
        """The averaged iterate as training returns it: copies of the weights of all maps.

        The average is zero where all iterates were. What penalties have made zero in the last
        iterate is zero in what is returned, and blocks that are limited as a whole are projected.
        """
        found = [own.copy() for own in average]
        for own, last, weight in zip(found, values, self.views_of(self.limits.weight), strict=True):
            own[(weight > 0) & (last == 0)] = 0
        for i, first in self.limits.members:
            off = ~np.concatenate([values[k][:, c:] for k, c in self.limits.members]).any(0)
            found[i][:, first:][:, off] = 0
        self.bound.project(found)
        return found

    def views_of(self, flat):
        """The part of every map in a field of the limits."""
        shapes = [own.shape for own in self.views("values")]
        ends = np.cumsum([rows * columns for rows, columns in shapes])
        return [part.reshape(s) for part, s in zip(np.split(flat, ends[:-1]), shapes, strict=True)]

    def state(self):
        """What the next step depends on, by name."""
        return {"push": self.limits.push}

    def restore(self, state):
        """Take up what `state` has given; of a run without constraints nothing."""
        if "push" in state:
            self.limits.push[:] = state["push"]

    def step(self, average, settings, threads):
        """Bring the weights that have moved into their limits, and average them anew.

        Parameters
        ----------
        average : ndarray
            The averaged iterate before the step, flat.
        settings : fastadmm.kernels.recurrent.maps.Settings
        threads : int
        """
        maps = self.maps
        alpha = maps.values.dtype.type(settings.alpha)
        held.hold(maps, self.limits, TOLERANCE * settings.eta, threads)
        self.bound.project(self.views("values"))
        maps.average[:] = alpha * average + (1 - alpha) * maps.values
        np.clip(maps.average, self.limits.lower, self.limits.upper, out=maps.average)
