"""Where the time of a condensed step goes, and how far each phase is from the hardware.

python -m bench.roofline          writes results/roofline.json and results/roofline.png

For every shape, dtype and number of threads: the time of each phase, its useful flops and its least
bytes, and the fractions of the matrix-product and copy rates measured in the same run. Whole steps
are timed as they run, with phases fused; the phases are run one by one, in their order, on the same
buffers. Times are medians, weighted as they occur: every fifth step also sums and averages the Gram
and renews the inverse. Flops count what the algorithm needs (half of a symmetric product), not what
a kernel does. The input product is part of `simulate`, which multiplies by [U W b] at once.
"""

import itertools
import time
from collections import defaultdict
from statistics import median

import numpy as np
from fastadmm.kernels.recurrent import maps, recurrence
from threadpoolctl import threadpool_limits

from bench import machine
from fastadmm import RNN
from fastadmm.batches import Batch
from fastadmm.problem import make_problem
from fastadmm.solvers.condensed import Condensed, is_due, seen
from fastadmm.solvers.tokens import NO_TOKENS
from fastadmm.threads import compute_threads

SHAPES = [  # T, B, D, H
    (8, 16, 8, 16),
    (784, 64, 1, 16),
    (28, 64, 28, 32),
    (100, 128, 2, 128),
    (28, 16, 28, 128),
    (28, 128, 28, 128),
    (28, 1024, 28, 128),
    (28, 128, 128, 128),
    (28, 256, 28, 256),
    (28, 128, 28, 512),
]
CLASSES, SECONDS = 10, 3.0
EVERY = Condensed.Options().gram_every


def work(T, B, D, H, itemsize):
    """Useful flops and least bytes of every phase, per step."""
    n, q, rows, C = D + H + 1, H + 1, T * B, CLASSES
    return {
        "load": (0, 2 * rows * D * itemsize),
        "simulate": (2 * rows * n * H, rows * (n + H) * itemsize),
        "read_out": (2 * B * q * C, B * (q + C) * itemsize),
        "multipliers": (2 * (T - 1) * B * H * H + 2 * B * C * H, 3 * rows * H * itemsize),
        "sums": (
            2 * rows * H * n + 2 * B * C * q,
            (rows * (H + n) + B * (C + q)) * itemsize,
        ),
        "gram": ((rows * n**2 + B * q**2) / EVERY, (rows * n + B * q) / EVERY * itemsize),
        "move": (2 * (H * n**2 + C * q**2), (n**2 + q**2 + 8 * (H * n + C * q)) * itemsize),
        "inverse": (
            (n**3 + q**3 + 2 * (H * n**2 + C * q**2) + 3 * (n**2 + q**2) / 2) / EVERY,
            4 * (n**2 + q**2) / EVERY * itemsize,
        ),
    }


def rates(dtype, threads):
    """Flops per second of a large matrix product by BLAS, bytes per second of one thread's copy."""
    a = np.random.default_rng(0).random((1536, 1536)).astype(dtype)
    product, copy = np.empty_like(a), np.empty((40, *a.shape), dtype)
    large, times = np.ones_like(copy), {"product": [], "copy": []}
    with threadpool_limits(threads, user_api="blas"):
        for _ in range(7):
            started = time.perf_counter()
            np.matmul(a, a, out=product)
            between = time.perf_counter()
            np.copyto(copy, large)
            times["product"].append(between - started)
            times["copy"].append(time.perf_counter() - between)
    return 2 * len(a) ** 3 / median(times["product"]), 2 * copy.nbytes / median(times["copy"])


def phases_of(solver, data, cases):
    """Every phase of the solver's last step, to be run again; in their order, by name."""
    unfolded, k = solver.unfolded, 100
    batch, backward, read = Batch.alone(data, cases), solver.backwards[0], solver._read
    window, targets = unfolded.window(batch.steps, len(cases)), solver.problem.targets_of(batch)
    cell, around = unfolded.cell, (batch.active, window.sequence_bounds)

    def window_sums(with_gram):
        maps.window_sums(
            seen(unfolded, window, batch, [backward]), window.tokens, None, with_gram, solver.maps,
            solver._parts, None,
        )  # fmt: skip

    def move(with_inverse):
        memory = 0.95 if with_inverse else 1.0
        settings = maps.Settings(k, 1e-12, 0.9, 0.99, 0.98, memory, with_inverse, 0.2, 1.0)
        maps.move(
            solver.maps, settings, solver.threads, *NO_TOKENS, solver._statuses
        )  # fmt: skip

    return {
        "load": lambda: unfolded.load(batch),
        "simulate": lambda: unfolded.simulate(window, batch.part, batch.active),
        "read_out": lambda: recurrence.read_out(
            window.z, read.phi_t, targets, backward.delta, batch.active, backward.totals,
            window.sequence_bounds,
        ),
        "multipliers": lambda: recurrence.multipliers(
            cell, window.unrolled, unfolded.layers[0].weights, read.phi, True, backward, *around
        ),
        "sums": lambda: window_sums(False),
        "sums with gram": lambda: window_sums(True),
        "move": lambda: move(False),
        "move with inverse": lambda: move(True),
    }  # fmt: skip


def measure(shape, dtype, threads):
    """Mean time per step of each phase and of the whole step, from medians."""
    T, B, D, H = shape
    rng = np.random.default_rng(0)
    X, y = rng.random((2 * B, T, D)).astype(dtype), rng.integers(0, CLASSES, 2 * B)
    net = RNN(D, H, CLASSES, dtype=dtype)
    problem, data = make_problem(net, X, y)
    times = defaultdict(list)

    def timed(name, call, *arguments):
        begun = time.perf_counter()
        call(*arguments)
        times[name].append(time.perf_counter() - begun)

    with compute_threads(threads):
        solver = Condensed(net, problem, Condensed.Options(), B, T, 10**6, threads)
        started = time.perf_counter()
        while len(times["load"]) < 4 or time.perf_counter() - started < SECONDS:
            for cases in (rng.permutation(2 * B)[:B] for _ in range(4 * EVERY)):
                due = is_due(solver.k + 1, EVERY)
                timed("due" if due else "usual", solver.step, Batch.alone(data, cases))
            for name, call in phases_of(solver, data, cases).items():
                timed(name, call)
    return summarised({name: median(values[1:]) for name, values in times.items()})


def summarised(found):
    """Seconds per step of every phase, and of whole steps: every so many also have a Gram."""
    found["gram"] = max(0.0, found.pop("sums with gram") - found["sums"]) / EVERY
    found["inverse"] = max(0.0, found.pop("move with inverse") - found["move"]) / EVERY
    return found, ((EVERY - 1) * found.pop("usual") + found.pop("due")) / EVERY


def entry(shape, dtype, threads):
    """Everything known about one shape."""
    product, copy = rates(dtype, threads)
    phases, step = measure(shape, dtype, threads)
    needed = work(*shape, np.dtype(dtype).itemsize)
    flops = sum(f for f, _ in needed.values())
    return {
        "shape": shape, "dtype": dtype, "threads": threads, "product_rate": product,
        "copy_rate": copy, "step": step, "flops": flops,
        "of_product_rate": flops / step / product,
        "phases": {
            name: {
                "seconds": phases[name], "flops": f, "bytes": b,
                "of_product_rate": f / phases[name] / product if phases[name] else None,
                "of_copy_rate": b / phases[name] / copy if phases[name] else None,
            }
            for name, (f, b) in needed.items()
        },
    }  # fmt: skip


def main():
    """Measure, print, store and draw."""
    results = []
    for dtype, threads, shape in itertools.product(("float32", "float64"), (1, 2), SHAPES):
        found = entry(shape, dtype, threads)
        results.append(found)
        print(
            f"{dtype} {threads} threads T, B, D, H = {shape}: {1e3 * found['step']:.2f} ms, "
            f"{found['of_product_rate']:.0%} of {found['product_rate'] / 1e9:.0f} Gflop/s",
            flush=True,
        )
    machine.store("roofline", results)
    draw()


def draw():
    """Picture of the stored results: share of every phase, fraction of the product rate."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 9), layout="constrained")
    results, colours = machine.load("roofline")["results"], colormaps["Paired"].colors
    panels = itertools.product(("float32", "float64"), (1, 2))
    for axis, (dtype, threads) in zip(figure.subplots(2, 2, sharey=True).flat, panels, strict=True):
        chosen = [r for r in results if (r["dtype"], r["threads"]) == (dtype, threads)]
        labels = [", ".join(map(str, r["shape"])) for r in chosen]
        steps, left = np.array([r["step"] for r in chosen]), np.zeros(len(chosen))
        for i, name in enumerate(chosen[0]["phases"]):
            share = [r["phases"][name]["seconds"] for r in chosen] / steps
            axis.barh(labels, share, left=left, label=name, color=colours[i])
            left += share
        rest = np.maximum(0, 1 - left)
        axis.barh(labels, rest, left=left, label="between phases", color="gainsboro")
        for place, r in enumerate(chosen):
            axis.text(1.02, place, f"{r['of_product_rate']:.0%}", va="center", fontsize="small")
        axis.set(title=f"{dtype}, {threads} thread(s)", xlim=(0, 1.12), xlabel="share of the step")
        axis.set_xticks(np.arange(0, 1.1, 0.2))
    axis.invert_yaxis()  # shared: for all panels
    handles, names = axis.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5, fontsize="small")
    figure.suptitle("Shapes are T, B, D, H; at the right: fraction of the GEMM rate reached")
    figure.savefig(machine.RESULTS / "roofline.png", dpi=100)


if __name__ == "__main__":
    main()
