"""Small problems of block and admmirnn, a solver at a random point, and its twin's view of it."""

import numpy as np
from reference.condensed import one_hot
from reference.splitting import lagrangian

from fastadmm import RNN
from fastadmm.batches import Batch
from fastadmm.problem import make_problem
from fastadmm.solvers import SOLVERS

B, T, D, H, C = 7, 4, 3, 5, 3
KINDS = {
    "last": dict(readout="last", loss="softmax_cross_entropy"),
    "values": dict(readout="last", loss="squared"),
    "all": dict(readout="all", loss="softmax_cross_entropy"),
    "tokens": dict(readout="all", loss="softmax_cross_entropy"),
}


def draw(kind, rng):
    tokens = kind == "tokens"
    X = rng.integers(0, D, (B, T)) if tokens else rng.standard_normal((B, T, D))
    shape = (B,) if KINDS[kind]["readout"] == "last" else (B, T)
    if KINDS[kind]["loss"] == "squared":
        return X, rng.standard_normal((*shape, C))
    return X, rng.integers(0, C, shape)


def enter(solver, kind="last", activation="tanh", seed=0, dtype="float64", threads=2, **options):
    """A solver that has entered its window."""
    rng = np.random.default_rng(seed)
    net = RNN(D, H, C, activation=activation, seed=rng, dtype=dtype)
    problem, data = make_problem(net, *draw(kind, rng), **KINDS[kind])
    kind_of = SOLVERS[solver]
    own = kind_of(net, problem, kind_of.Options(**options), B, T, 10, threads)
    own._enter(Batch.alone(data, np.arange(B)))
    own.X, own.labels = data.X, data.y
    return own


def make(solver, *given, seed=0, **options):
    """A solver that has entered its window, at a random point."""
    own, rng = enter(solver, *given, seed=seed, **options), np.random.default_rng(seed + 1)
    for name in ("a", "o"):
        getattr(own, name)[:] += 0.3 * rng.standard_normal(getattr(own, name).shape)
    own.window.states[1:] += 0.3 * rng.standard_normal(own.a.shape)
    for name in ("lambda1", "lambda2", "lambda3"):
        # what has no multiplier keeps zeros
        array = getattr(own, name)
        array[:] = np.where(array != 0, rng.standard_normal(array.shape), 0)
    if solver == "block":
        own.prepare()
        own.theta_t[:] = own.net.theta.T
    return own


def point_of(own):
    """The solver's variables, batch-first copies."""
    swap = lambda array: np.array(array.swapaxes(0, 1), dtype=float)  # noqa: E731
    X = own.X if own.X.ndim == 3 else one_hot(own.X, D)
    y = own.labels if own.problem.readout == "all" else own.labels[:, None]
    return dict(
        theta=own.net.theta.astype(float), phi=own.net.phi.astype(float), X=X, y=y,
        a=swap(own.a), s=swap(own.window.states[1:]), o=swap(own.o),
        l1=swap(own.lambda1), l2=swap(own.lambda2), l3=swap(own.lambda3),
    )  # fmt: skip


def penalties(own):
    outputs = len(own.o)
    if hasattr(own, "w1"):
        return own.w1[:-1], own.w2[:-1], own.output_weights
    return tuple(np.full(n, rho) for n, rho in zip((T, T, outputs), own.rho, strict=True))


def value(own, point=None):
    point = point or point_of(own)
    return lagrangian(point, own.net.activation, own.problem.loss.name, *penalties(own))


def linear_task():
    """One that a linear network of one unit fits best; cases, values, and that network."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((40, 1, 2))
    y = X[:, 0] @ [[0.7], [-0.4]] + 0.3 + 0.1 * rng.standard_normal((40, 1))
    return X, y, RNN(2, 1, 1, activation="identity", dtype="float64", seed=1)


EQUAL = dict(rho1=1, rho2=1, rho3=1)
LINEAR = {"block": EQUAL | dict(tau_theta=0.1, tau_phi=0.1), "admmirnn": EQUAL}


def small_task(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((30, 4, 3))
    return X, (X[:, 1, 0] + X[:, 3, 1] > 0).astype(int)


def noisy_task():
    """One that no network of two units fits exactly."""
    rng = np.random.default_rng(5)
    X = rng.standard_normal((30, 2, 3))
    return X, np.tanh(X[:, 0, :1] - X[:, 1, 1:2]) + 0.5 * rng.standard_normal((30, 1))
