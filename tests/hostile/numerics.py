"""fit on numbers that are too large, too small or all the same, and settings of any kind."""

import contextlib

import numpy as np
from fastadmm.kernels.operators.activation_codes import ACTIVATIONS

from fastadmm import RNN, fit
from fastadmm.solvers import SOLVERS

from .watch import Case, Fault, refused

SIZES = 0.0, 1e-300, 1e-38, 1e-20, 1.0, 1e4, 1e10, 1e18, 1e25, 1e37, 1e150
GAINS = 0.0, 1e-30, 1.0, 10.0, 1e3, 1e30
ODD = (
    None, True, -1, 0, 1, 2, 10**400, 2**70, 1e-300, 1e300, float("nan"), float("inf"), "x", "",
    "2", (), [], [1], {}, b"x", 1j, np.float32(2), np.int64(3), np.array([1, 2]), object(), len,
)  # fmt: skip
ARGUMENTS = (
    "loss", "readout", "solver", "epochs", "batch_size", "steps", "lengths", "group_by_length",
    "sample_weight", "class_weight", "scale", "validation", "early_stopping", "callbacks",
    "time_limit", "verbose", "threads", "seed", "comm", "grid", "micro_batches", "staleness",
    "checkpoint", "checkpoint_every", "resume", "warm_start",
)  # fmt: skip
STATUS = {"solved", "stopped", "max_iter", "time_limit", "interrupted", "diverged"}


def cases(rng, folder, count):
    """As many as asked for: half numbers, half settings."""
    for number in range(count):
        yield numbers(rng) if number % 2 else settings(rng, folder)


def train(net, X, y, name=None, **asked):
    """Refused by name, or a status and finite weights."""
    try:
        result = fit(net, X, y, **asked)
    except (ValueError, TypeError, FileNotFoundError) as error:
        if isinstance(error, np.linalg.LinAlgError):
            raise Fault(f"silent: divergence told as a mistake: {error}") from error
        return refused(error, *([name] if name else []))
    if result.status not in STATUS or (result.status == "diverged") != bool(result.advice):
        raise Fault(f"silent: status {result.status!r}, advice {result.advice!r}")
    if not all(np.isfinite(weights).all() for weights in net.state_dict().values()):
        raise Fault(f"silent: weights are not finite, status {result.status}")
    return None


def _data(rng, outputs, X_size=1.0, y_size=1.0):
    X = X_size * rng.standard_normal((8, int(rng.choice([2, 5, 30])), 3))
    y = y_size * rng.standard_normal((8, 1)) if outputs == 1 else rng.integers(0, outputs, 8)
    if rng.random() < 0.2:
        X[:] = X.flat[0]
    return X, y


def numbers(rng):
    """Sizes of inputs, targets and initial weights far from one."""
    dtype = str(rng.choice(["float32", "float64"]))
    solver, outputs = str(rng.choice(list(SOLVERS))), int(rng.choice([1, 3]))
    X_size, y_size, gain = float(rng.choice(SIZES)), float(rng.choice(SIZES)), rng.choice(GAINS)
    X, y = _data(rng, outputs, X_size, y_size)
    activation = str(rng.choice(list(ACTIVATIONS)))
    scale = None if rng.random() < 0.5 else "standard"
    asked = dict(
        solver=solver, scale=scale, epochs=4, threads=1,
        batch_size=4 if rng.random() < 0.3 else None,
    )  # fmt: skip
    name = f"{solver} {dtype} {activation} scale {scale} X {X_size} y {y_size} gain {gain}"

    def run():
        train(RNN(3, 4, outputs, activation, float(gain), dtype=dtype), X, y, **asked)

    return Case(name, run)


def settings(rng, folder):
    """One argument or option of a kind that it may not have."""
    solver = str(rng.choice(list(SOLVERS)))
    X, y = _data(rng, 3)
    options = list(SOLVERS[solver].Options.__dataclass_fields__)
    name = str(rng.choice([*ARGUMENTS, *options, *options]))
    value = ODD[rng.integers(len(ODD))]
    asked = {"solver": solver, "epochs": 2, "threads": 1, "batch_size": None} | {name: value}
    if name == "epochs" and isinstance(value, int) and value > 9:
        asked["time_limit"] = 0.01
    named = None if isinstance(value, str) and value else name  # of a missing file

    def run():
        with contextlib.chdir(folder):  # of checkpoints
            train(RNN(3, 4, 3), X, y, named, **asked)

    return Case(f"{solver}: {name}={value!r:.40}", run)
