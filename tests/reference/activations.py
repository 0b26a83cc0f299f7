"""Slow twins of the activations: one formula each, and their prox on a dense grid."""

import numpy as np

LONG = np.longdouble


def _expit(a):
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1, e) / (1 + e)


VALUE = {
    "identity": lambda a: a,
    "relu": lambda a: np.maximum(a, 0),
    "leaky_relu": lambda a, slope: np.where(a > 0, a, slope * a),
    "hard_tanh": lambda a: np.clip(a, -1, 1),
    "hard_sigmoid": lambda a: np.clip((a + LONG(3)) / 6, 0, 1),
    "tanh": np.tanh,
    "sigmoid": _expit,
    "softplus": lambda a: np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a))),
    "silu": lambda a: a * _expit(a),
}
DERIVATIVE = {
    "identity": lambda a: np.ones_like(a),
    "relu": lambda a: np.where(a > 0, 1, 0),
    "leaky_relu": lambda a, slope: np.where(a > 0, 1, slope),
    "hard_tanh": lambda a: np.where(np.abs(a) < 1, 1, 0),
    "hard_sigmoid": lambda a: np.where(np.abs(a) < 3, 1, 0) / LONG(6),
    "tanh": lambda a: 4 * _expit(2 * a) * _expit(-2 * a),
    "sigmoid": lambda a: _expit(a) * _expit(-a),
    "softplus": _expit,
    "silu": lambda a: _expit(a) * (1 + a * _expit(-a)),
}


def objective(name, a, m, s, w1, w2, *parameters):
    a, m, s = (np.asarray(x, LONG) for x in (a, m, s))
    f = VALUE[name](a, *parameters)
    return LONG(w1) / 2 * (a - m) ** 2 + LONG(w2) / 2 * (s - f) ** 2


def lowest_on_grid(name, m, s, w1, w2, *parameters):
    """Smallest objective on a grid that is refined around its three best points, for one (m, s).

    The grid is dense where f bends, and reaches from there to m and to s.
    """
    ends = [m, s, 6 * s - 3, 0.0, (w1 * m + w2 * s) / (w1 + w2)]
    grid = np.concatenate(
        [
            np.linspace(-45, 45, 1501),
            np.array(ends),
            np.linspace(min(ends), max(ends), 500),
            m + np.linspace(-2, 2, 101),
        ]
    ).astype(LONG)
    for _ in range(9):
        grid = np.unique(grid)
        values = objective(name, grid, m, s, w1, w2, *parameters)
        best = np.argsort(values)[:3]
        left, right = grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, len(grid) - 1)]
        grid = np.concatenate([grid[best], np.linspace(left, right, 21).ravel()])
    return values.min()
