"""Slow twins of the losses: plain NumPy in extended precision, one formula each.

A prox is found by bisection on the (sub)gradient of its own objective, whatever the loss.
"""

import numpy as np

LONG = np.longdouble


def _log1pexp(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _expit(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def huber(r, delta):
    return np.where(np.abs(r) <= delta, r * r / 2, delta * (np.abs(r) - delta / 2))


VALUE = {
    "squared": lambda z, y: (z - y) ** 2 / 2,
    "absolute": lambda z, y: np.abs(z - y),
    "huber": lambda z, y, delta: huber(z - y, delta),
    "quantile": lambda z, y, q: np.maximum(q * (y - z), (q - 1) * (y - z)),
    "logistic": lambda z, y: _log1pexp(-y * z),
    "hinge": lambda z, y: np.maximum(0, 1 - y * z),
    "squared_hinge": lambda z, y: np.maximum(0, 1 - y * z) ** 2 / 2,
    "poisson": lambda z, y: np.exp(z) - y * z,
}
SLOPE = {
    "squared": lambda z, y: z - y,
    "absolute": lambda z, y: np.sign(z - y),
    "huber": lambda z, y, delta: np.clip(z - y, -delta, delta),
    "quantile": lambda z, y, q: np.where(z > y, 1 - q, np.where(z < y, -q, 0)),
    "logistic": lambda z, y: -y * _expit(-y * z),
    "hinge": lambda z, y: np.where(y * z < 1, -y, 0),
    "squared_hinge": lambda z, y: -y * np.maximum(0, 1 - y * z),
    "poisson": lambda z, y: np.exp(z) - y,
}


def loss(name, z, y, *parameters, weight=1.0):
    """``sum_i weight_i l(z_i; y_i)``."""
    z, y = np.broadcast_arrays(np.asarray(z, LONG), np.asarray(y, LONG))
    return np.sum(weight * VALUE[name](z, y, *parameters))


def gradient(name, z, y, *parameters, weight=1.0):
    """``weight_i l'(z_i; y_i)``, zero where the loss has a kink with 0 in its subdifferential."""
    return weight * SLOPE[name](np.asarray(z, LONG), np.asarray(y, LONG), *parameters)


def prox(name, v, y, *parameters, step=1.0, weight=1.0):
    """``argmin_x weight l(x; y) + (x - v)^2 / (2 step)``, by bisection."""
    tau = np.asarray(step, LONG) * np.asarray(weight, LONG)
    v, y, tau = np.broadcast_arrays(np.asarray(v, LONG), np.asarray(y, LONG), tau)

    def rising(x):
        with np.errstate(over="ignore"):
            return x - v + tau * SLOPE[name](x, y, *parameters) > 0

    reach = np.abs(v) + 1
    low, high = v - reach, v + reach
    while (outside := rising(low)).any():
        reach = reach * 2
        low = np.where(outside, v - reach, low)
    reach = np.abs(v) + 1
    while (outside := ~rising(high)).any():
        reach = reach * 2
        high = np.where(outside, v + reach, high)
    for _ in range(300):
        middle = (low + high) / 2
        up = rising(middle)
        low, high = np.where(up, low, middle), np.where(up, middle, high)
    return high


def cross_entropy(z, y, weight=1.0):
    """Sum over rows of ``-sum_c y_c log softmax(z)_c``; labels or rows of probabilities."""
    z, y = np.asarray(z, LONG), soft(y, np.shape(z)[1])
    shifted = z - z.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.sum(weight * -(y * logs).sum(axis=1))


def softmax(z):
    e = np.exp(np.asarray(z, LONG) - np.max(z, axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def soft(y, classes):
    """Labels as rows of probabilities."""
    return np.eye(classes, dtype=LONG)[y] if np.ndim(y) == 1 else np.asarray(y, LONG)


def prox_cross_entropy(v, y, step=1.0, weight=1.0):
    """``argmin_x weight CE(x; y) + |x - v|^2 / (2 step)`` row by row.

    Stationarity, ``x_c + tau exp(x_c - L) = v_c + tau y_c`` with ``L = logsumexp(x)``: bisection
    on x_c for a given L, inside a bisection on L that makes the softmax sum to one.
    """
    v = np.asarray(v, LONG)
    tau = np.broadcast_to(np.asarray(step, LONG) * np.asarray(weight, LONG), len(v))[:, None]
    c = v + tau * soft(y, v.shape[1])

    def x_of(log_sum):
        low, high = c - tau * 1.01 - np.abs(c) * 0.01 - 2, c + 0 * c
        low = np.minimum(low, log_sum - 1)
        for _ in range(100):
            middle = (low + high) / 2
            with np.errstate(over="ignore"):
                up = middle + tau * np.exp(middle - log_sum) > c
            low, high = np.where(up, low, middle), np.where(up, middle, high)
        return high

    low = c.max(axis=1, keepdims=True) - tau - 1
    high = c.max(axis=1, keepdims=True) + np.log(LONG(v.shape[1])) + 1
    for _ in range(100):
        middle = (low + high) / 2
        more = np.exp(x_of(middle) - middle).sum(axis=1, keepdims=True) > 1
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return x_of(high)
