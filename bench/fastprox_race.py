"""Kernels beside fastprox, from Python, into a given array: one call for one call.

python -m bench.fastprox_race       stores the result in bench/results

fastprox needs Python 3.12. Where this interpreter is older, the script makes an environment in
.venv/fastprox with one that it finds on the path, and goes on there. Times are of the thread that
works, in alternating calls; the ratio is the median of those of neighbours, above 1 where ours is
faster.
"""

import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

from bench import machine
from fastadmm import kernels

ROOT = Path(__file__).parents[1]
SIZES = (10, 1_000, 100_000, 10_000_000)
SECONDS = 0.4
"""Time of the calls of a case, at least seven pairs."""


def cases(fp):
    """Names, and what either library does with a vector and an array for the result."""
    k = kernels
    return {
        "l1": (
            lambda v, o, t: k.prox_l1(v, 1.0, 0.5, out=o, threads=t),
            lambda v, o, t: fp.soft_threshold(v, 0.5, 1.0, out=o, threads=t),
        ),
        "elastic_net": (
            lambda v, o, t: k.prox_elastic_net(v, 1.0, 0.5, 0.3, out=o, threads=t),
            lambda v, o, t: fp.elastic_net(v, 0.5, 0.3, 1.0, out=o, threads=t),
        ),
        "huber": (
            lambda v, o, t: k.prox_huber(v, 0.5, 1.0, 0.75, out=o, threads=t),
            lambda v, o, t: fp.huber(v, 0.375, 0.5, 1.0, out=o, threads=t),
        ),
        "box": (
            lambda v, o, t: k.project_box(v, -0.5, 1.0, out=o, threads=t),
            lambda v, o, t: fp.project_box(v, -0.5, 1.0, out=o, threads=t),
        ),
        "log_barrier": (
            lambda v, o, t: k.prox_log_barrier(v, 1.0, 0.5, out=o, threads=t),
            lambda v, o, t: fp.prox_log_barrier(v, 0.5, 1.0, out=o, threads=t),
        ),
        "l2_norm": (
            lambda v, o, t: k.prox_l2_norm(v, 1.0, 0.5, out=o, threads=t),
            lambda v, o, t: fp.prox_l2(v, 0.5, 1.0, out=o, threads=t),
        ),
        "l2_ball": (
            lambda v, o, t: k.project_l2_ball(v, 5.0, out=o, threads=t),
            lambda v, o, t: fp.project_l2_ball(v, 5.0, out=o, threads=t),
        ),
        "l1_ball": (
            lambda v, o, t: k.project_l1_ball(v, 5.0, out=o, threads=t),
            lambda v, o, t: fp.project_l1_ball(v, 5.0, out=o, threads=t),
        ),
        "linf_norm": (
            lambda v, o, t: k.prox_linf_norm(v, 1.0, 4.0, out=o, threads=t),
            lambda v, o, t: fp.prox_linf(v, 4.0, 1.0, out=o, threads=t),
        ),
        "simplex": (
            lambda v, o, t: k.project_simplex(v, 1.0, out=o, threads=t),
            lambda v, o, t: fp.project_simplex(v, 1.0, out=o, threads=t),
        ),
        "total_variation": (
            lambda v, o, t: k.prox_total_variation(v, 1.0, out=o, threads=t),
            lambda v, o, t: fp.tv1d(v, 1.0, out=o, threads=t),
        ),
        "isotonic": (
            lambda v, o, t: k.project_isotonic(v, out=o, threads=t),
            lambda v, o, t: fp.isotonic(v, out=o, threads=t),
        ),
        "sum_largest": (
            lambda v, o, t: k.prox_sum_largest(v, 5, 1.0, 0.5, out=o, threads=t),
            lambda v, o, t: fp.prox_sum_largest(v, 0.5, 5, 1.0, out=o, threads=t),
        ),
    }


def _seconds(call, repeats, clock):
    start = clock()
    for _ in range(repeats):
        call()
    return (clock() - start) / repeats


def race(ours, theirs, clock):
    """Median seconds of a call of both, and the median ratio of neighbours."""
    ours(), theirs()
    once = max(_seconds(theirs, 1, time.perf_counter), 1e-6)
    repeats = max(1, int(1e-3 / once))
    pairs = int(np.clip(SECONDS / (2 * repeats * once), 7, 101))
    times = np.array(
        [[_seconds(call, repeats, clock) for call in (ours, theirs)] for _ in range(pairs)]
    )
    return *np.median(times, axis=0), float(np.median(times[:, 1] / times[:, 0]))


def measure():
    """Every case, size, dtype and number of threads."""
    import fastprox

    results = []
    for n in SIZES:
        for real in ("float32", "float64"):
            v = np.random.default_rng(0).standard_normal(n).astype(real)
            out, other = np.empty_like(v), np.empty_like(v)
            for name, (ours, theirs) in cases(fastprox).items():
                for threads in (1, 2) if n > 1_000 else (1,):
                    # what several threads take together says nothing of how long it takes
                    clock = time.thread_time if threads == 1 else time.perf_counter
                    mine, peer, ratio = race(
                        partial(ours, v, out, threads),
                        partial(theirs, v, other, threads),
                        clock,
                    )
                    results.append(
                        {
                            "operator": name, "n": n, "dtype": real, "threads": threads,
                            "seconds": mine, "fastprox": peer, "ratio": ratio,
                            "difference": float(np.abs(out - other).max()),
                        }
                    )  # fmt: skip
                    print(
                        f"{name:16s} n {n:9,} {real} threads {threads}: "
                        f"{1e9 * mine / n:9.2f} ns an entry, fastprox / ours {ratio:5.2f}",
                        flush=True,
                    )
    return results


def other_interpreter():
    """The Python of an environment with fastprox, made where there is none."""
    home = ROOT / ".venv" / "fastprox"
    python = home / "bin" / "python"
    if not python.exists():
        found = [shutil.which(f"python3.{minor}") for minor in (14, 13, 12)]
        usable = [
            path for path in found
            if path and not subprocess.run([path, "-c", ""], capture_output=True).returncode
        ]  # fmt: skip
        if not usable:
            raise SystemExit("fastprox needs Python 3.12 or later, and there is none on the path")
        subprocess.run([usable[0], "-m", "venv", home], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "fastprox", "--editable", ROOT]
        subprocess.run(install, check=True)
    return python


if __name__ == "__main__":
    if sys.version_info < (3, 12):
        raise SystemExit(
            subprocess.run([other_interpreter(), "-m", "bench.fastprox_race"], cwd=ROOT).returncode
        )
    machine.store("fastprox_race", measure())
