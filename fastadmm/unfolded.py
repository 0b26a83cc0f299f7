"""A recurrent network unfolded over time: its cells' buffers, and the passes that fill them."""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from fastadmm.batches import Batch
from fastadmm.kernels.recurrent import recurrence, stacks
from fastadmm.kernels.recurrent.layout import WEIGHTS, Affine, lay_out
from fastadmm.layers import Layer, Span
from fastadmm.mpi.partition import bounds
from fastadmm.mpi.serial import Serial
from fastadmm.units import Units


@dataclass
class Window:
    """Views of the buffers for T steps of B sequences; see `fastadmm.kernels.recurrent.recurrence`.

    Attributes
    ----------
    spans : list of Span
        Of all cells, in the order of ``RNN.places``.
    threads : int
    sequence_bounds, row_bounds : ndarray of int64
        Cuts of the sequences, and of all rows, over threads.
    read : ndarray, (L + 1, B, n)
        What the read-out acts on: the last columns of ``read[1:]``; rows of the last cell, or
        laid out by `Unfolded.gather`.
    """

    spans: list[Span]
    threads: int
    sequence_bounds: np.ndarray
    row_bounds: np.ndarray
    read: np.ndarray

    @property
    def z(self):
        """(T + 1, B, n) of the first cell: inputs, ones and states."""
        return self.spans[0].z

    @property
    def tokens(self):
        """(T, B) of the first cell, or empty for dense inputs."""
        return self.spans[0].unrolled.tokens

    @property
    def unrolled(self):
        """The first cell, as kernels take it."""
        return self.spans[0].unrolled

    @property
    def states(self):
        """s_0..s_T of the first cell: a view (T + 1, B, H)."""
        return self.spans[0].states

    @property
    def left(self):
        """Columns of the first cell's z before the one and the states, [1; s]."""
        return self.spans[0].left

    def rows(self, first, last):
        """Rows of ``z[first:last]`` of the first cell, (steps * B, n), without a copy."""
        return self.spans[0].rows(first, last)

    def handed_on(self, t, own=slice(None)):
        """What step t of all cells hands on, side by side: a copy."""
        return np.concatenate([span.handed_on(t, own) for span in self.spans], axis=1)

    def begin_with(self, own, carried):
        """Set what all cells begin with, for some sequences: numbers side by side, or one."""
        if isinstance(carried, int):
            for span in self.spans:
                span.fill(own, carried)
            return
        widths = [span.carried for span in self.spans]
        carried = np.broadcast_to(carried, (own.stop - own.start, sum(widths)))
        ends = np.cumsum([0, *widths])
        for span, (start, stop) in zip(self.spans, itertools.pairwise(ends), strict=True):
            span.begin_with(own, carried[:, start:stop])

    def outputs(self, batch, outputs):
        """Where so many outputs with a target are: rows of ``read``, and places of (L B) rows.

        Returns
        -------
        rows : ndarray, (terms, n)
            Without a copy where all sequences have begun.
        places : slice or ndarray of int64
        """
        size, first = len(batch.cases), len(self.read) - outputs
        rows = self.read[first:].reshape(-1, self.read.shape[2])
        active = batch.active[batch.steps - outputs :]
        if outputs == 0 or active[0] == size:
            return rows, slice(0, outputs * size)
        places = np.flatnonzero(np.arange(size) < active[:, None])
        return rows[places], places

    def until(self, steps):
        """The first steps alone: views."""
        return replace(self, spans=[span.until(steps) for span in self.spans])

    def steps_of(self, batch, *arrays):
        """Rows of z that the recurrent weights act on, and the same rows of arrays (T, B, ...).

        Of the first cell, without a copy where all sequences have begun.
        """
        rows, size = self.rows(0, batch.steps), len(batch.cases)
        flat = [array.reshape(batch.steps * size, *array.shape[2:]) for array in arrays]
        if not batch.is_ragged:
            return rows, *flat
        places = np.flatnonzero(np.arange(size) < batch.active[:, None])
        return rows[places], *(array[places] for array in flat)

    def clear(self, batch):
        """Zero the rows of steps before sequences have begun."""
        for span in self.spans:
            for t in range(batch.steps):
                span.z[t, batch.active[t] :] = 0

    def occurrences(self, batch):
        """How often each of the (T, B) tokens counts; None for once."""
        if not batch.is_ragged:
            return None
        counts = np.arange(len(batch.cases)) < batch.active[:, None]
        return counts.astype(np.int64).reshape(-1)


SERIAL = Serial()


def pipeline(window, domain):
    """Micro-batches of a window's sequences, each as the cut of its sequences over threads."""
    if domain.parts == 1:
        return [window.sequence_bounds]
    cuts = bounds(window.z.shape[1], min(domain.parts, max(window.z.shape[1], 1)))
    threads = len(window.sequence_bounds) - 1
    return [a + bounds(b - a, threads) for a, b in itertools.pairwise(cuts)]


def lengths_of(active, batch):
    """Steps of each of so many sequences, (B,), from how many have each step."""
    return (active[:, None] > np.arange(batch)).sum(axis=0)


class Unfolded:
    """Buffers for windows of up to ``steps`` steps of up to ``batch`` sequences of one network.

    Parameters
    ----------
    net : RNN
        Gives shapes and dtype; its weights are passed to `take`, which may be given others.
    tokens : bool
        Inputs are token ids instead of channels.
    steps, batch : int
    threads : int
    units : fastadmm.units.Units, optional
        Of the inputs; by default the weights take them as they are.
    keeps : bool
        What cells keep of every step stays, for the way back.
    readout : str
        See `fastadmm.kernels.recurrent.stacks.READOUTS`.

    Attributes
    ----------
    layers : list of Layer
        Of all cells, in the order of ``RNN.places``.
    is_direct : bool
        The read-out reads rows of the last cell as they lie.
    is_alone : bool
        That cell is the only one.
    start : ndarray, (CARRIED H of all cells, 1), or None
        What sequences begin with, where it is learned.
    affine, widths
        Arguments of `fastadmm.kernels.recurrent.layout.lay_out`: all maps, the read-out last.
    """

    def __init__(self, net, tokens, steps, batch, threads, units=None, keeps=False, readout="last"):
        self.net, self.hidden, self.dtype, self.threads = net, net.hidden, net.dtype, threads
        self.is_tokens, self.readout, self.cell = tokens, readout, net.compiled_cell
        self.steps = steps
        self.is_direct = net.directions == 1 and readout in ("last", "all")
        self.is_alone = self.is_direct and net.layers == 1
        self.layers = [
            Layer(net, place, tokens and place.level == 0, steps, batch, keeps)
            for place in net.places
        ]
        self.left, self.width = self.layers[0].left, self.layers[0].width
        self.units = units or Units.raw(net, tokens)
        self.affine, self.widths = self._affine()
        sizes = lay_out(self.affine, self.widths).sizes
        self.attach(sizes, np.empty(sizes[-1, WEIGHTS], self.dtype))
        self.start = None
        outputs = 0 if self.is_direct else (steps if readout == "all" else 1) + 1
        self._features = np.ones(outputs * batch * (1 + net.width), self.dtype)
        self._no_mask = np.ones((0, 0, 0), self.dtype)
        self._windows = {}

    def _affine(self):
        """The maps as weight systems see them, and the widths of what they act on."""
        net, maps = self.net, self.net.kind.maps
        found = [
            Affine(
                each.blocks * net.hidden, source, 0 if each.driven else layer.left,
                each.width(layer.left, net.hidden), each.columns(layer.left).recurrent.start,
            )
            for source, layer in enumerate(self.layers) for each in maps
        ]  # fmt: skip
        widths = [layer.width for layer in self.layers]
        if net.initial == "learned":
            found.append(Affine(net.carried, len(widths), 0, 1, 1))
            widths.append(1)
        read = 1 + net.width
        return [*found, Affine(net.outputs, len(widths), 0, read, read)], [*widths, read]

    def maps_of(self, i):
        """The numbers of the maps of a cell."""
        count = len(self.net.kind.maps)
        return slice(i * count, (i + 1) * count)

    def attach(self, sizes, values):
        """Use weights in a flat array, of which these are the sizes."""
        for i, layer in enumerate(self.layers):
            layer.attach(sizes[self.maps_of(i)], values)

    def dense(self, weights):
        """Of all maps' weights the columns that are multiplied: of tokens the others."""
        found = list(weights)
        for i, layer in enumerate(self.layers):
            for k, each in enumerate(self.net.kind.maps, self.maps_of(i).start):
                if layer.is_tokens and each.driven:
                    found[k] = found[k][:, self.net.inputs :]
        return found

    def take(self, weights):
        """Use copies of these weights: as in ``RNN.weights``, of which the last is not read."""
        for i, layer in enumerate(self.layers):
            layer.take(weights[self.maps_of(i)])
        if self.net.initial == "learned":
            self.start = weights[-2]

    def window(self, steps, batch):
        """The window of this size; windows of different sizes share memory."""
        if (steps, batch) not in self._windows:
            spans = [layer.span(steps, batch) for layer in self.layers]
            read = spans[-1].z
            if not self.is_direct:
                shape = (steps if self.readout == "all" else 1) + 1, batch, 1 + self.net.width
                read = self._features[: np.prod(shape)].reshape(shape)
            self._windows[steps, batch] = Window(
                spans, self.threads, bounds(batch, self.threads),
                bounds(steps * batch, self.threads), read,
            )  # fmt: skip
        return self._windows[steps, batch]

    def load(self, batch):
        """The window of a `fastadmm.batches.Batch`: its inputs, and the state before it."""
        X, cases, first = batch.data.X, batch.cases, batch.first
        window = self.window(batch.steps, len(cases))
        if self.is_tokens:
            recurrence.load_tokens(X, cases, first, window.z, window.tokens, window.sequence_bounds)
        else:
            units = self.units
            recurrence.load(
                X, cases, first, units.input_shift, units.input_scale, window.z,
                window.sequence_bounds,
            )  # fmt: skip
        for span in window.spans[1:]:
            span.z[:, :, span.left] = 1
        window.begin_with(slice(0, len(cases)), self.start_of(batch))
        return window

    def start_of(self, batch):
        """What the sequences of a mini-batch begin with: numbers side by side, or one."""
        if batch.initial is not None:
            return batch.initial
        if batch.data.initial is not None:
            return batch.data.initial[batch.cases]
        return 0 if self.start is None else self.start.T

    def simulate(self, window, part, active, domain=SERIAL, masks=None):
        """Fill the window's states under the weights, in a pipeline over time.

        Parameters
        ----------
        window : Window
        part, active
            Of the `fastadmm.batches.Batch` that was loaded.
        domain : fastadmm.mpi.serial.Serial
        masks : list of ndarray, (T, B, H directions), optional
            Factors on what each level but the last hands up.
        """
        steps, lengths = len(window.z) - 1, lengths_of(active, window.z.shape[1])
        for cut in pipeline(window, domain):
            own = slice(cut[0], cut[-1])
            carried = window.handed_on(0, own)
            domain.receive_left(part, carried)
            window.begin_with(own, carried)
            for i, layer in enumerate(self.layers):
                self._feed(window, i, lengths, masks, cut)
                unrolled = window.spans[i].unrolled
                recurrence.simulate(self.cell, unrolled, layer.weights, active, cut)
            domain.send_right(part, window.handed_on(steps, own))

    def below(self, i):
        """The cells that a cell reads, each with the first of its columns there."""
        level = self.net.places[i].level - 1
        found = [k for k, place in enumerate(self.net.places) if place.level == level]
        return [(k, self.hidden * column) for column, k in enumerate(found)]

    def masks(self, batch):
        """Dropout in a training step, for `simulate`: None where there is none."""
        net, size = self.net, (batch.steps, len(batch.cases), self.net.width)
        if not net.dropout or batch.noise is None:
            return None
        kept = [batch.noise.random(size[:2], net.width) for _ in range(net.layers - 1)]
        scale = self.dtype.type(1 / (1 - net.dropout))
        return [(each >= net.dropout) * scale for each in kept]

    def mask(self, masks, level):
        """The mask of what a level hands up, or none."""
        return self._no_mask if masks is None else masks[level]

    def _feed(self, window, i, lengths, masks, cut):
        """Lay out the inputs of a cell; those of the first are there."""
        place, span = self.net.places[i], window.spans[i]
        if place.level == 0 and not place.is_reverse:
            return
        if place.level == 0 and self.is_tokens:
            stacks.feed_tokens(window.tokens, span.unrolled.tokens, lengths, cut)
        elif place.level == 0:
            columns, reverse = (0, self.left, 0), (False, True)
            stacks.feed(window.z, columns, span.z, 0, reverse, lengths, self._no_mask, cut)
        for k, at in self.below(i):
            source, mask = window.spans[k], self.mask(masks, place.level - 1)
            columns = source.left + 1, self.hidden, 1
            reverse = self.net.places[k].is_reverse, place.is_reverse
            stacks.feed(source.z, columns, span.z, at, reverse, lengths, mask, cut)

    def top(self):
        """Numbers of the cells that the read-out reads."""
        last = self.net.places[-1].level
        return [i for i, place in enumerate(self.net.places) if place.level == last]

    def gather(self, window, active):
        """Lay out what the read-out acts on; returns ``active`` of it."""
        if self.is_direct:
            return active
        lengths, how = lengths_of(active, window.z.shape[1]), stacks.READOUTS[self.readout]
        window.read[:, :, 0] = 1
        for column, i in enumerate(self.top()):
            span = window.spans[i]
            stacks.pool(
                span.z, (span.left + 1, self.hidden), how, self.net.places[i].is_reverse, lengths,
                window.read, 1 + column * self.hidden, window.sequence_bounds,
            )  # fmt: skip
        return active if self.readout == "all" else active[-1:]

    def simulate_batch(self, batch):
        """Load a mini-batch, simulate it, and lay out what the read-out acts on: its window."""
        window = self.load(batch)
        self.simulate(window, batch.part, batch.active)
        self.gather(window, batch.active)
        return window

    def windows(self, data, weights, steps, batch, initial=None):
        """Simulate all cases in batches, each in windows of ``steps`` that carry their state on.

        Yields
        ------
        batch : fastadmm.batches.Batch
        window : Window
            Valid until the next one.
        """
        self.take(weights)
        n_cases, n_timepoints = data.X.shape[:2]
        order, begin = np.arange(n_cases), 0
        if data.lengths is not None:  # sequences of similar length, from where the first begins
            order = np.argsort(-data.lengths, kind="stable")
        for start in range(0, n_cases, batch):
            cases = order[start : start + batch]
            if data.lengths is not None:
                begin = n_timepoints - int(data.lengths[cases[0]])
            carried = None if initial is None else initial[cases]
            for first in range(begin, n_timepoints, steps):
                length = min(steps, n_timepoints - first)
                own = Batch.alone(data, cases, first, length, initial=carried)
                window = self.simulate_batch(own)
                carried = window.handed_on(length)
                yield own, window
