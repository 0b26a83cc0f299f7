"""What training costs on a (time x batch) grid of ranks: flops, bytes, messages, seconds, memory.

A model, not a measurement: counts of a solver's own operations, which every solver gives
(`fastadmm.solvers.base.Solver.counts`), turned into seconds by seven numbers that describe a
machine.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple

from .machine import TYPICAL, Machine

ELEMENTWISE = 20
"""Flops that one activation and its derivative count as."""

PROX = 200
"""Flops that the exact update of one pre-activation in `block` counts as (Newton's method)."""


class Cell(NamedTuple):
    """Sizes of a cell, in units of H."""

    name: str = "elman"
    maps: tuple[tuple[int, bool, bool], ...] = ((1, True, True),)
    """Of every affine map its units, and whether it reads the inputs, and the states."""
    kept: int = 0
    """Numbers that a step keeps for the way back."""
    carried: int = 1
    """Numbers that a step hands on."""

    @property
    def gates(self) -> int:
        """Pre-activations of a step."""
        return sum(units for units, _, _ in self.maps)


ELMAN = Cell()


@dataclass(frozen=True)
class Work:
    """Sizes of a training run.

    Attributes
    ----------
    n_cases, n_timepoints : int
        Of the data.
    batch, steps : int
        Sequences of a mini-batch (an iteration), time points of a window.
    inputs, hidden, outputs : int
    every : bool
        Every output has a target (read-out ``all``), rather than the last.
    tokens : bool
        Inputs are token ids.
    itemsize : int
        Bytes of a number.
    cell : Cell
    layers, directions : int
        Cells on top of each other, and on each level.
    """

    n_cases: int
    n_timepoints: int
    batch: int
    steps: int
    inputs: int
    hidden: int
    outputs: int
    every: bool = False
    tokens: bool = False
    itemsize: int = 4
    cell: Cell = ELMAN
    layers: int = 1
    directions: int = 1

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type is int and value < 1:
                raise ValueError(f"{field.name} is {value}: expected a positive integer")

    @property
    def iterations(self) -> int:
        """Iterations of an epoch."""
        return -(-self.n_cases // self.batch) * -(-self.n_timepoints // self.steps)

    @property
    def columns(self) -> int:
        """n, columns of the recurrent weights Θ."""
        return self.inputs + self.hidden + 1

    @property
    def dense(self) -> int:
        """Columns of rows [x; 1; s] that are multiplied: all but those of tokens, looked up."""
        return self.hidden + 1 if self.tokens else self.columns

    @property
    def states(self) -> int:
        """Numbers that the read-out reads: states of the last level."""
        return self.hidden * self.directions

    @property
    def drives(self) -> list[int]:
        """Of every cell the inputs that are multiplied."""
        first = self.dense - self.hidden - 1
        levels = [first, *(self.states for _ in range(1, self.layers))]
        return [drive for drive in levels for _ in range(self.directions)]

    @property
    def maps(self) -> list[tuple[int, int, int, int]]:
        """Of all maps units, columns that are multiplied, how many of them are s, and the cell."""
        h = self.hidden
        return [
            (units * h, drive * driven + 1 + h * reads, h * reads, number)
            for number, drive in enumerate(self.drives)
            for units, driven, reads in self.cell.maps
        ]


@dataclass(frozen=True)
class Counts:
    """Operations of one iteration.

    Attributes
    ----------
    sweep, rows : float
        Flops per step of one sequence: in passes that follow time, and in sums over all steps.
    sweep_output, rows_output : float
        The same per output that has a target.
    weights : float
        Flops of the weight systems, done by every rank.
    reduced : float
        Numbers summed over all ranks.
    kept : float
        Numbers kept per step of a sequence, beside its row [x; 1; s] (of tokens [1; s]).
    held : float
        Numbers held by every rank whatever its part: weights, Grams, workspace.
    pipelined : bool
        Sweeps follow time exactly, from rank to rank; otherwise all ranks sweep at once and
        exchange edges.
    overlaps : bool
        Long sequences may be cut into chunks that overlap, see `best_chunks`, instead.
    """

    sweep: float
    rows: float
    sweep_output: float
    rows_output: float
    weights: float
    reduced: float
    kept: float
    held: float
    pipelined: bool
    overlaps: bool = False


FLOPS_PER_THREAD = 8e6
"""Work of an iteration that makes a thread worth its start: some 0.1 ms of one core."""


def useful_threads(work: Work, cost: Counts, ranks: int, limit: int) -> int:
    """Threads per rank, 1 to ``limit``, that an iteration on so many ranks has enough work for."""
    outputs = work.steps if work.every else 1
    sequence = work.steps * (cost.sweep + cost.rows)
    sequence += outputs * (cost.sweep_output + cost.rows_output)
    flops = min(work.batch, work.n_cases) * sequence / ranks + cost.weights
    return max(1, min(limit, int(flops / FLOPS_PER_THREAD)))


@dataclass(frozen=True)
class Layout:
    """A grid of ranks, and the micro-batches that each mini-batch is cut into."""

    time: int
    batch: int
    micro_batches: int = 1

    @property
    def size(self) -> int:
        """Number of ranks."""
        return self.time * self.batch


@dataclass(frozen=True)
class Prediction:
    """Seconds of one iteration by what they are spent on, and bytes per rank.

    Attributes
    ----------
    sweeps, sums, weights, edges, reductions : float
        Passes that follow time, with the idle ends of the pipeline; sums over steps; the weight
        systems, which all ranks solve alike; messages between neighbours in time; all-reduces.
    memory : float
        Of the data's share, the states and the weights.
    """

    sweeps: float
    sums: float
    weights: float
    edges: float
    reductions: float
    memory: float

    @property
    def seconds(self) -> float:
        """Of one iteration."""
        return self.sweeps + self.sums + self.weights + self.edges + self.reductions


def all_reduce(size: int, nbytes: float, machine: Machine) -> float:
    """Seconds to sum ``nbytes`` over ``size`` ranks.

    Reduce-scatter by recursive halving, all-gather by doubling (Rabenseifner): ``2 log2(P)``
    messages and ``2 (P - 1) / P`` times the bytes, the lower bound of both among such schemes.
    """
    if size == 1:
        return 0.0
    latency = 2 * math.ceil(math.log2(size)) * machine.latency
    return latency + 2 * (size - 1) / size * nbytes / machine.sum_bandwidth


def predict(work: Work, cost: Counts, layout: Layout, machine: Machine = TYPICAL) -> Prediction:
    """Cost of one iteration.

    The rank with the largest part of an uneven cut counts. With P ranks along time and M
    micro-batches the sweeps of `condensed` take ``(M + P - 1) / M`` of their time on one rank's
    share: an efficiency of ``M / (M + P - 1)``. Where they may overlap, long sequences are cut into
    chunks if that is faster, which sweep at once: of L steps with an overlap of w and v, an
    efficiency of ``L / (L + (w + v) / 2)``, of passes back and forth.

    Parameters
    ----------
    work : Work
    cost : Counts
    layout : Layout
    machine : Machine

    Returns
    -------
    Prediction
    """
    m = layout.micro_batches
    steps, batch = -(-work.steps // layout.time), -(-min(work.batch, work.n_cases) // layout.batch)
    micro = -(-batch // m)
    ends = work.steps if work.every else 1  # outputs with a target of one sequence
    here = steps if work.every else 1  # those of the rank that has most
    sweep = steps * cost.sweep + here * cost.sweep_output
    rows = steps * cost.rows + here * cost.rows_output
    edge = work.cell.carried * work.hidden * len(work.drives) * work.itemsize
    if cost.pipelined:
        passes = m + min(layout.time, work.steps) - 1
        sweeps = passes * (machine.overhead + (micro + machine.half_batch) * sweep / machine.flops)
        hop = machine.latency + micro * edge / machine.bandwidth
        edges = 2 * passes * hop if layout.time > 1 else 0.0
        chunks = 1
        if cost.overlaps:
            idle = passes / m
            chunks = best_chunks(steps, batch, 1, OVERLAP, MOST_ROWS, idle)
        if chunks > 1:
            own = 1 / chunks + OVERLAP / steps
            rows_a_step = chunks * batch + machine.half_batch
            sweeps = machine.overhead + own * rows_a_step * sweep / machine.flops
            edges = 2 * (machine.latency + batch * edge / machine.bandwidth) * (layout.time > 1)
    else:
        sweeps = (
            machine.overhead + (batch * sweep + machine.half_batch * cost.sweep) / machine.flops
        )
        hop = machine.latency + 2 * batch * edge / machine.bandwidth
        edges = 2 * hop if layout.time > 1 else 0.0
    return Prediction(
        sweeps=sweeps,
        sums=batch * rows / machine.flops,
        weights=cost.weights / machine.weight_flops,
        edges=edges,
        reductions=all_reduce(layout.size, cost.reduced * work.itemsize, machine),
        memory=_memory(work, cost, layout, steps, batch, ends),
    )


def _memory(work, cost, layout, steps, batch, ends):
    """Bytes of one rank: its share of the data, the variables of a mini-batch, the weights."""
    share = -(-work.n_cases // layout.batch) * -(-work.n_timepoints // layout.time)
    channels = 8 if work.tokens else work.inputs * work.itemsize
    targets = 8 * -(-work.n_cases // layout.batch) * -(-ends // layout.time)
    rows = sum(work.drives) + len(work.drives) * (work.hidden + 1)
    variables = (steps + 1) * batch * rows + steps * batch * cost.kept
    return share * channels + targets + (variables + cost.held) * work.itemsize


OVERLAP, MOST_ROWS = 128, 32
"""Steps that a chunk is expected to overlap, and the rows of a step beyond which more of them make
it no more efficient."""
PAYS = 0.9
"""Sequences are cut where the time is less than this share of that of whole ones."""


def best_chunks(
    steps: int, sequences: int, threads: int, overlap: float, most: int, idle: float = 1.0
) -> int:
    """Chunks that sequences are best cut into, to be rows of one mini-batch; 1 for none.

    A step of n sequences a thread takes a time of ``n + h``, with the h of `Machine.half_batch`; so
    C chunks of B sequences in p threads take ``(steps / C + overlap) (B C / p + h)``, least at
    ``C² = steps h p / (overlap B)``.

    Parameters
    ----------
    steps, sequences, threads : int
    overlap : float
        Steps that a chunk takes more than its own; at most half of these.
    most : int
        Sequences a thread beyond which more of them make no step more efficient.
    idle : float
        How many times as long whole sequences take, for those who wait for each other.

    Returns
    -------
    int
        A power of two.
    """

    def seconds(chunks):
        own = steps / chunks + overlap if chunks > 1 else steps * idle
        return own * (-(-sequences * chunks // threads) + TYPICAL.half_batch)

    found = [1]
    while (more := 2 * found[-1]) * max(2 * overlap, 1) <= steps and (
        more * sequences <= most * threads
    ):
        found.append(more)
    best = min(found, key=seconds)
    return best if seconds(best) < PAYS * seconds(1) else 1


def choose(
    size: int,
    work: Work,
    cost: Counts,
    machine: Machine = TYPICAL,
    grid: tuple[int, int] | None = None,
) -> tuple[Layout, Prediction]:
    """The fastest grid and number of micro-batches for so many ranks.

    Looks at every factorisation of ``size``, or at the ``grid`` (time, batch) alone, and at powers
    of two for the micro-batches. The same arguments always give the same layout: with the default
    machine no clock is read.

    Returns
    -------
    layout : Layout
    prediction : Prediction
    """
    if size < 1:
        raise ValueError(f"size is {size}: expected a positive number of ranks")
    found = []
    for parts in _divisors(size) if grid is None else grid[:1]:
        share = -(-min(work.batch, work.n_cases) // (size // parts))
        piped = parts > 1 and cost.pipelined
        for power in range(share.bit_length() if piped else 1):
            layout = Layout(parts, size // parts, 2**power)
            found.append((layout, predict(work, cost, layout, machine)))
    return min(found, key=lambda choice: choice[1].seconds)


def _divisors(n):
    small = [i for i in range(1, math.isqrt(n) + 1) if n % i == 0]
    return sorted({*small, *(n // i for i in small)})
