"""Long sequences cut into chunks of time, the rows of one mini-batch.

A network that forgets has, some w steps on, the same states whatever it began with. So a chunk of a
sequence is simulated from w steps before its start, of which nothing is kept, and needs no other
chunk: all of them run at once. The certificate is the constraint that the cut has taken away: what
a chunk began with against what the chunk before it hands on, see `distance`.

How far chunks overlap follows from how fast states forget: where two simulations of the same
inputs come nearer to each other by a factor exp(-κ) a step, a tolerance of ε takes

    w = log(1 / ε) / κ

steps. `overlap_of` measures κ on the sequences themselves, before they are cut.
"""

import logging
import math
from dataclasses import replace
from typing import Any

import numpy as np

from fastadmm.batches import Batch
from fastadmm.kernels.recurrent.recurrence import SEQUENCES
from fastadmm.mpi.cost import OVERLAP, best_chunks
from fastadmm.mpi.partition import bounds

TOLERANCES = {"float32": 1e-5, "float64": 1e-11}
"""Largest `distance` of edges in simulations without training: some 100 times the rounding of a
number."""
MARGIN = 0.01
"""Overlaps are chosen for this share of a tolerance: the rate is a first one, and the last steps of
forgetting are slower."""
POWER = 8
"""Distances of rows count with this power: nearly the largest of them alone, and yet a sum."""
PIECE = 32
"""Steps between two looks at how far two simulations still are from each other."""
NEAR = 1e-2
"""They have come near enough to tell the rate where their distance has fallen by this factor."""
TRANSIENT = 128
"""Steps after which a rate that is too slow is believed."""
LONG = 4096
"""Time points from which on sequences are worth a look whether to cut them."""


def cut(batch, chunks):
    """A mini-batch whose cases are chunks of the sequences of another one.

    Chunk k of sequence i is case ``k B + i``. Their lengths differ by one at most, the longer ones
    come first, and all end together.

    Parameters
    ----------
    batch : fastadmm.batches.Batch
        Of sequences that all have begun.
    chunks : int

    Returns
    -------
    fastadmm.batches.Batch
        Its ``initial`` is still that of the sequences, (B, CARRIED H) or None.
    """
    size, steps = len(batch.cases), -(-batch.steps // chunks)
    firsts = bounds(batch.steps, chunks)[1:] - steps
    cases = firsts[:, None] + batch.cases * batch.data.X.shape[1] + batch.first
    active = np.full(steps, chunks * size)
    active[0] = (batch.steps % chunks or chunks) * size
    return replace(
        batch, data=batch.data.in_stretches(steps), cases=cases.reshape(-1), first=0, steps=steps,
        active=active, chunks=chunks,
    )  # fmt: skip


def simulated(unfolded, batch, first, stop, carried: Any = None) -> Any:
    """What the steps ``first:stop`` of a mini-batch hand on, (B, CARRIED H).

    Parameters
    ----------
    unfolded : fastadmm.unfolded.Unfolded
        With weights.
    batch : fastadmm.batches.Batch
    first, stop : int
    carried : ndarray, (B, CARRIED H), optional
        What they begin with; by default what new sequences do.
    """
    for start in range(first, stop, unfolded.steps):
        steps = min(unfolded.steps, stop - start)
        own = replace(
            batch, first=batch.first + start, steps=steps,
            active=batch.active[start : start + steps], initial=carried,
        )  # fmt: skip
        window = unfolded.load(own)
        unfolded.simulate(window, own.part, own.active)
        carried = window.handed_on(steps)
    return carried


def powers(found, expected):
    """Sum of the powers of the rows' distances, relative to the root mean square of rows."""
    if not found.size:
        return 0.0
    difference, size = found.astype(float) - expected, expected.astype(float)
    squares = np.square(difference).sum(axis=1)
    mean = np.square(size).sum(axis=1).mean()
    with np.errstate(all="ignore"):
        ratios = squares / mean if mean > 0 else np.where(squares > 0, np.inf, 0.0)
        return float(np.power(ratios, POWER / 2).sum())


def root(total):
    """The distance that a sum of powers stands for."""
    return float(total) ** (1 / POWER)


def distance(found, expected):
    """How far rows are from those expected: at least the largest of their distances.

    The 8-norm of ``|found_i - expected_i|_2``, relative to the root mean square of
    ``|expected_i|_2``; of n rows at most ``n ** (1 / 8)`` times the largest.

    Parameters
    ----------
    found, expected : ndarray, (n, width)
    """
    return root(powers(found, expected))


def overlap_of(unfolded, batch, tolerance, useful):
    """Steps after which states have forgotten what they began with, to a tolerance, from a rate.

    Every chunk goes on from its own states and from those of another one, until both have come
    near, or will not in time.

    Parameters
    ----------
    unfolded : fastadmm.unfolded.Unfolded
        With weights.
    batch : fastadmm.batches.Batch
        Chunks, two at least.
    tolerance : float
    useful : int
        Largest overlap that anybody would use.

    Returns
    -------
    float
        Infinite where states do not come nearer.
    """
    start = 1 + PIECE  # all have begun at 1
    states = simulated(unfolded, batch, 1, start)
    others = np.roll(states, 1, axis=0)
    first, left, found = distance(others, states), 1.0, math.inf
    for stop in range(start + PIECE, batch.steps + 1, PIECE):
        states = simulated(unfolded, batch, stop - PIECE, stop, states)
        others = simulated(unfolded, batch, stop - PIECE, stop, others)
        left = distance(others, states) / first if first else 0.0
        found = from_distance(stop - start, left, MARGIN * tolerance)
        if left < NEAR or (found > useful and stop - start >= TRANSIENT):
            break
    return found


def from_distance(steps, left, tolerance):
    """Steps to a tolerance, where ``steps`` leave so much of a distance."""
    if not left < 1:  # nan, too
        return math.inf
    return steps * math.log(1 / tolerance) / -math.log(max(left, 1e-300))


def rounded(steps):
    """An overlap, up to the next multiple of 8."""
    return 8 * math.ceil(steps / 8)


class Chunked:
    """One simulation of sequences as overlapping chunks; all have as many steps.

    Parameters
    ----------
    unfolded : fastadmm.unfolded.Unfolded
        With weights, and room for all chunks.
    data : fastadmm.batches.Data
    chunks, overlap : int

    Attributes
    ----------
    residual : float
        Distance between what chunks have begun with and what those before them hand on; known once
        `windows` is at its end.
    """

    def __init__(self, unfolded, data, chunks, overlap):
        self.unfolded, self.data, self.chunks, self.overlap = unfolded, data, chunks, overlap
        self.size, self.n_timepoints = data.X.shape[:2]
        self.steps, self.residual = self.n_timepoints // chunks, math.inf
        whole = Batch.alone(data, np.arange(self.size), steps=chunks * self.steps)
        self.batch = cut(whole, chunks)

    def windows(self, steps, initial):
        """As `fastadmm.unfolded.Unfolded.windows`."""
        size, batch = self.size, self.batch
        warm = simulated(self.unfolded, batch, self.steps - self.overlap, self.steps)
        carried = np.empty_like(warm)
        carried[size:] = warm[:-size]
        whole = Batch.alone(self.data, np.arange(size), initial=initial)
        carried[:size] = self.unfolded.start_of(whole)
        for first in range(0, self.steps, steps):
            stop = min(first + steps, self.steps)
            own = replace(
                batch, first=first, steps=stop - first, active=batch.active[first:stop],
                initial=carried,
            )  # fmt: skip
            window = self.unfolded.simulate_batch(own)
            carried = window.handed_on(own.steps)
            yield own, window
        self.residual = distance(warm[:-size], carried[:-size])
        first = self.chunks * self.steps
        if first < self.n_timepoints:  # less than a step of every chunk
            left = self.n_timepoints - first
            own = Batch.alone(self.data, whole.cases, first, left, initial=carried[-size:])
            yield own, self.unfolded.simulate_batch(own)


def rows_of(n_cases, n_timepoints, threads):
    """Most cases of a mini-batch of chunks: how many an `Unfolded` has to have room for."""
    return max(n_cases, SEQUENCES * threads) if n_timepoints >= LONG else n_cases


def passes(unfolded, data, weights, steps, batch, initial=None, exact=False):
    """`fastadmm.unfolded.Unfolded.windows` of long sequences, as chunks where that is faster.

    Few sequences are cut into chunks that overlap as far as their states need to forget. Where
    edges turn out not to agree, chunks overlap more; where that would take longer than not to cut,
    and of networks that do not forget, the last pass goes over all time points in turn.

    Parameters
    ----------
    unfolded, data, weights, steps, batch, initial
        As of `Unfolded.windows`; with room for `rows_of` sequences.
    exact : bool
        Never cut.

    Yields
    ------
    iterable of (batch, window)
        To be gone through. Where there is another one, what has been found in the last one does not
        count.
    """
    unfolded.take(weights)
    tolerance, overlap = TOLERANCES[unfolded.dtype.name], math.inf
    if not exact and _may_be_cut(unfolded, data, batch):
        overlap = _predicted(unfolded, data, tolerance)
    while (chunks := _best(unfolded, data, overlap)) > 1:
        chunked = Chunked(unfolded, data, chunks, rounded(overlap))
        yield chunked.windows(steps, initial)
        logging.getLogger("fastadmm").debug(
            "%d chunks, overlap %d: edges agree to %.1e", chunks, overlap, chunked.residual
        )
        if chunked.residual <= tolerance:
            return
        overlap = max(2 * overlap, from_distance(overlap, chunked.residual, MARGIN * tolerance))
    yield unfolded.windows(data, weights, steps, batch, initial)


def _may_be_cut(unfolded, data, batch):
    """Whether sequences are few and long, in memory, and as long as each other."""
    n_cases, n_timepoints = data.X.shape[:2]
    is_whole = data.lengths is None and isinstance(data.X, np.ndarray)
    has_all = unfolded.is_direct and unfolded.readout == "all"
    return is_whole and has_all and n_timepoints >= LONG and n_cases <= batch


def _predicted(unfolded, data, tolerance):
    """`overlap_of` the data."""
    chunks = _best(unfolded, data, OVERLAP)
    if chunks == 1:
        return math.inf
    batch = Chunked(unfolded, data, chunks, OVERLAP).batch
    return overlap_of(unfolded, batch, tolerance, data.X.shape[1] // 4)


def _best(unfolded, data, overlap):
    n_cases, n_timepoints = data.X.shape[:2]
    return best_chunks(n_timepoints, n_cases, unfolded.threads, overlap, SEQUENCES)
