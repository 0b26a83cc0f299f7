"""What a run would cost on many ranks, before asking for them: ``fastadmm plan``."""

import re
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastadmm.batches import Batch, Data
from fastadmm.cells import CELLS
from fastadmm.datasets import Task
from fastadmm.losses import CROSS_ENTROPY
from fastadmm.mpi import cost
from fastadmm.mpi.machine import Machine
from fastadmm.network import RNN
from fastadmm.problem import Problem
from fastadmm.solvers import counts
from fastadmm.solvers.condensed import Condensed, CondensedOptions
from fastadmm.threads import check_threads, compute_threads
from fastadmm.units import Units
from fastadmm.validation import one_of

ENOUGH = 0.5
"""Efficiency under which more ranks do not pay."""

CYCLE = CondensedOptions.gram_every
"""Iterations after which Gram and factorisation have had their turn."""

CYCLES = 6
"""Cycles of which the fastest counts."""


def parse_ranks(text: str) -> list[int]:
    """Numbers of ranks to plan for: ``"8"``, or ``"1..1000"``, its ends and powers of two between.

    Raises
    ------
    ValueError
    """
    found = re.fullmatch(r"(\d+)(?:\.\.(\d+))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= first <= last:
        raise ValueError(f"ranks is {text!r}: expected a number, or A..B with 1 <= A <= B")
    between = {2**power for power in range(last.bit_length())}
    return sorted({first, last} | {n for n in between if first < n < last})


def work_of(
    task: Task, hidden: int, batch_size: int, dtype: str = "float32", cell: str = "elman"
) -> cost.Work:
    """`fastadmm.mpi.cost.Work` of training a loaded task."""
    n_cases, n_timepoints = task.X.shape[:2]
    return cost.Work(
        n_cases,
        n_timepoints,
        min(batch_size, n_cases),
        min(task.steps or n_timepoints, n_timepoints),
        task.inputs,
        hidden,
        task.outputs,
        every=task.readout == "all",
        tokens=task.X.ndim == 2,
        itemsize=np.dtype(dtype).itemsize,
        cell=CELLS[one_of(cell, CELLS, "cell")].sizes(),
    )


def rates(work: cost.Work, threads: int = 1) -> dict[str, Any]:
    """Speed of the kernels of one rank at the shapes of ``work``, as `cost.Machine` wants it.

    Times the passes of `condensed` over random sequences of two lengths, up to that of the task,
    and two batch sizes, and its weight step; a second or two, after compiling.
    """
    per_row = counts(work, "condensed")
    sweep, rows = per_row.sweep, per_row.rows
    if work.every:
        sweep, rows = sweep + per_row.sweep_output, rows + per_row.rows_output
    many = max(8, min(work.batch, 512))
    few = max(1, many // 8)
    long = int(max(4, min(work.steps, 5e8 / (many * (sweep + rows)))))
    short = long // 4
    shapes = ((short, few), (long, few), (long, many))
    threads = check_threads(threads)
    with compute_threads(threads):
        runs = [_cycles(work, *shape, threads) for shape in shapes]
        # in turn, so that a busy moment meets all alike; the best, so that it does not count
        best = np.min([[next(run) for run in runs] for _ in range(CYCLES)], axis=0)
    (start, more_steps, most), weights = best[:, 0], best[:, 1].min()
    flops = long * (many - few) * (sweep + rows) / max(most - more_steps, 1e-9)
    per_step = max(more_steps - start, 0) / (long - short)
    half = (per_step * flops - few * (sweep + rows)) / sweep
    return {
        "flops": flops,
        "weight_flops": per_row.weights / weights,
        "half_batch": max(0.0, half),
        "overhead": max(0.0, start - short * per_step),
        "about": {
            "shape": f"D {work.inputs}, H {work.hidden}, C {work.outputs}, {threads} threads"
        },
    }


def _cycles(work, steps, batch, threads):
    """Yields mean seconds of an iteration's passes, and of its weight step, over a cycle each."""
    rng = np.random.default_rng(0)
    net = RNN(
        work.inputs, work.hidden, work.outputs, dtype=f"float{8 * work.itemsize}",
        cell=work.cell.name,
        leak=0.5 if work.cell.name == "leaky" else None,
    )  # fmt: skip
    readout = "all" if work.every else "last"
    problem = Problem(CROSS_ENTROPY, readout, work.tokens, Units.raw(net, work.tokens))
    if work.tokens:
        X = rng.integers(0, work.inputs, (batch, steps))
    else:
        X = rng.random((batch, steps, work.inputs)).astype(net.dtype)
    y = rng.integers(0, work.outputs, (batch, steps) if work.every else batch)
    solver = Condensed(net, problem, CondensedOptions(), batch, steps, 10**9, threads)
    whole = Batch.alone(Data(X, y), np.arange(batch))
    started = 2  # cycles in which Gram and factor are renewed at every iteration
    while True:
        times = np.zeros(2)
        for _ in range(CYCLE):
            before = time.perf_counter()
            record = solver.measure(whole)
            passed = time.perf_counter()
            solver.move(record)
            times += passed - before, time.perf_counter() - passed
        started -= 1
        if started < 0:
            yield times / CYCLE


def table(
    work: cost.Work, solver: str, ranks: Iterable[int], machine: Machine
) -> list[dict[str, Any]]:
    """One row a number of ranks, the best layout of each.

    Returns
    -------
    list of dict
        ``ranks``, ``grid`` ("time x batch"), ``micro_batches``, ``seconds`` (an epoch),
        ``efficiency`` (against the best on one rank), ``memory`` (bytes per rank).
    """
    per_row = counts(work, solver)
    alone = cost.choose(1, work, per_row, machine)[1].seconds
    found = []
    for size in ranks:
        layout, prediction = cost.choose(size, work, per_row, machine)
        found.append(
            {
                "ranks": size,
                "grid": f"{layout.time}x{layout.batch}",
                "micro_batches": layout.micro_batches,
                "seconds": prediction.seconds * work.iterations,
                "efficiency": alone / (size * prediction.seconds),
                "memory": prediction.memory,
            }
        )
    return found


HEADER = ("ranks", "grid", "micro-batches", "s / epoch", "efficiency", "memory / rank")


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row as text."""
    return (
        f"{row['ranks']:,}",
        row["grid"],
        str(row["micro_batches"]),
        f"{row['seconds']:.3g}",
        f"{row['efficiency']:.0%}",
        f"{row['memory'] / 2**20:,.1f} MiB",
    )


def show(found: list[dict[str, Any]]) -> None:
    """Print the table: drawn on a terminal, plain columns elsewhere; and where scaling ends."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    lines = [cells(row) for row in found]
    if console.is_terminal:
        drawn = Table(*HEADER)
        for column in drawn.columns:
            column.justify = "right"
        for row, line in zip(found, lines, strict=True):
            drawn.add_row(*line, style=None if row["efficiency"] >= ENOUGH else "dim")
        console.print(drawn)
    else:
        widths = [max(map(len, column)) for column in zip(HEADER, *lines, strict=True)]
        for line in (HEADER, *lines):
            print("  ".join(f"{cell:>{w}}" for cell, w in zip(line, widths, strict=True)))
    print(where_scaling_ends(found))


def where_scaling_ends(found: list[dict[str, Any]]) -> str:
    """One sentence on the first row whose efficiency is under one half."""
    beyond = next((row for row in found if row["efficiency"] < ENOUGH), None)
    if beyond is None:
        return f"efficiency stays above {ENOUGH:.0%} up to {found[-1]['ranks']:,} ranks"
    return f"scaling ends before {beyond['ranks']:,} ranks: efficiency {beyond['efficiency']:.0%}"
