"""Where the time of a condensed step goes, and how far each phase is from the hardware.

python bench/roofline.py          writes results/roofline.json and results/roofline.png

For every shape, dtype and number of threads: the median time of each phase, its useful flops and
its least bytes, and the fractions of the matrix-product and copy rates measured in the same run.
Flops count what the algorithm needs (half of a symmetric product), not what a kernel does.
"""

import contextlib
import time
from collections import defaultdict
from statistics import median

import machine
import numpy as np
from fastadmm.kernels import states, weights
from threadpoolctl import threadpool_limits

from fastadmm import RNN
from fastadmm.problem import make_problem
from fastadmm.solvers.condensed import Condensed
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
CLASSES, SECONDS = 10, 2.0
PHASES = {
    states: ("load", "simulate", "read_out_softmax", "multipliers"),
    weights: ("sums", "average_gram", "invert_damped", "step_units"),
}


def work(T, B, D, H, itemsize):
    """Useful flops and least bytes of every phase of one step."""
    n, q, rows, C = D + H + 1, H + 1, T * B, CLASSES
    return {
        "load": (0, 2 * rows * D * itemsize),
        "simulate": (2 * rows * n * H, rows * (n + H) * itemsize),
        "read_out_softmax": (2 * B * q * C, B * (q + C) * itemsize),
        "multipliers": (2 * (T - 1) * B * H * H + 2 * B * C * H, 3 * rows * H * itemsize),
        "sums": (
            rows * (2 * H * n + n * (n + 1)) + B * (2 * C * q + q * (q + 1)),
            (rows * (H + n) + B * (C + q)) * itemsize,
        ),
        "average_gram": (3 * (n * n + q * q) / 2, 3 * (n * n + q * q) / 2 * itemsize),
        "invert_damped": ((n**3 + q**3) / 5, (n * n + q * q) / 5 * itemsize),
        "step_units": (2 * 1.2 * (H * n * n + C * q * q), 6 * (H * n + C * q) * itemsize),
    }


@contextlib.contextmanager
def timed_phases(seconds):
    """Add the time of every kernel call to ``seconds[name]`` while the block runs."""
    kept = {(module, name): getattr(module, name) for module in PHASES for name in PHASES[module]}

    def timed(name, kernel):
        def call(*arguments):
            started = time.perf_counter()
            result = kernel(*arguments)
            seconds[name] += time.perf_counter() - started
            return result

        return call

    for (module, name), kernel in kept.items():
        setattr(module, name, timed(name, kernel))
    try:
        yield
    finally:
        for (module, name), kernel in kept.items():
            setattr(module, name, kernel)


def product_rate(dtype, threads):
    """Flops per second of a large matrix product by BLAS."""
    a = np.random.default_rng(0).random((1536, 1536)).astype(dtype)
    out = np.empty_like(a)
    times = []
    with threadpool_limits(threads, user_api="blas"):
        for _ in range(5):
            started = time.perf_counter()
            np.matmul(a, a, out=out)
            times.append(time.perf_counter() - started)
    return 2 * len(a) ** 3 / median(times)


def copy_rate():
    """Bytes per second, read plus written, of copying 128 MiB by one thread."""
    source, target = np.ones(2**24), np.empty(2**24)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        np.copyto(target, source)
        times.append(time.perf_counter() - started)
    return 2 * source.nbytes / median(times)


def measure(shape, dtype, threads):
    """Medians over steps of the time of each phase and of the whole step."""
    T, B, D, H = shape
    rng = np.random.default_rng(0)
    X, y = rng.random((2 * B, T, D)).astype(dtype), rng.integers(0, CLASSES, 2 * B)
    net = RNN(D, H, CLASSES, dtype=dtype)
    problem, X, y = make_problem(net, X, y)
    per_step, whole = defaultdict(list), []
    with timed_phases(seconds := defaultdict(float)), compute_threads(threads):
        solver = Condensed(net, problem, Condensed.Options(), B, T, 10**6, threads)
        started, steps = time.perf_counter(), 0
        while steps < 35 or (time.perf_counter() - started < SECONDS and steps < 1000):
            cases = rng.permutation(2 * B)[:B]
            seconds.clear()
            begun = time.perf_counter()
            solver.step(X, y, cases, 0, T)
            steps += 1
            if steps > 15:  # past the first factorisations, one a step
                whole.append(time.perf_counter() - begun)
                for name, value in seconds.items():
                    per_step[name].append(value)
    # the inverse is renewed every fifth step: its mean, not its median, belongs to a step
    phases = {
        name: float(np.mean(values) if name == "invert_damped" else median(values))
        for name, values in per_step.items()
        if name in work(*shape, 4)
    }
    return phases, median(whole)


def main():
    """Measure, print and draw."""
    results, copy = [], copy_rate()
    for dtype in ("float32", "float64"):
        for threads in (1, 2):
            for shape in SHAPES:
                rate = product_rate(dtype, threads)
                phases, whole = measure(shape, dtype, threads)
                needed = work(*shape, np.dtype(dtype).itemsize)
                flops = sum(f for f, _ in needed.values())
                results.append(
                    {
                        "shape": shape, "dtype": dtype, "threads": threads, "product_rate": rate,
                        "copy_rate": copy, "step": whole, "flops": flops,
                        "of_product_rate": flops / whole / rate,
                        "phases": {
                            name: {
                                "seconds": s, "flops": needed[name][0], "bytes": needed[name][1],
                                "of_product_rate": needed[name][0] / s / rate,
                                "of_copy_rate": needed[name][1] / s / copy,
                            }
                            for name, s in phases.items()
                        },
                    }
                )  # fmt: skip
                print(
                    f"{dtype} {threads} threads T, B, D, H = {shape}: {1e3 * whole:.2f} ms, "
                    f"{flops / whole / rate:.0%} of {rate / 1e9:.0f} Gflop/s",
                    flush=True,
                )
    machine.store("roofline", results)
    draw(results)


def draw(results):
    """Share of the step that each phase takes, and the fraction of the product rate reached."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 9), layout="constrained")
    names = list(work(*SHAPES[0], 4))
    for axis, (dtype, threads) in zip(
        figure.subplots(2, 2, sharey=True).flat,
        [(d, t) for d in ("float32", "float64") for t in (1, 2)],
        strict=True,
    ):
        chosen = [r for r in results if (r["dtype"], r["threads"]) == (dtype, threads)]
        labels = [", ".join(map(str, r["shape"])) for r in chosen]
        left = np.zeros(len(chosen))
        for i, name in enumerate([*names, "between kernels"]):
            share = np.array([r["phases"].get(name, {"seconds": 0})["seconds"] for r in chosen])
            share = share / [r["step"] for r in chosen]
            if name == "between kernels":
                share = np.maximum(0, 1 - left)
            axis.barh(labels, share, left=left, label=name, color=f"C{i}")
            left += share
        for place, r in enumerate(chosen):
            axis.text(1.02, place, f"{r['of_product_rate']:.0%}", va="center", fontsize="small")
        axis.set(title=f"{dtype}, {threads} thread(s)", xlim=(0, 1.15), xlabel="share of the step")
        axis.invert_yaxis()
    axis.legend(fontsize="small", loc="lower left", bbox_to_anchor=(0, 1.08), ncols=3)
    figure.suptitle("T, B, D, H; at the right the fraction of the BLAS product rate of that run")
    figure.savefig(machine.RESULTS / "roofline.png", dpi=110)


if __name__ == "__main__":
    main()
