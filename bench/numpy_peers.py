"""Operators that pyproximal lacks, as one writes them with NumPy and SciPy."""

import numpy as np
import scipy.special


def _soft(v, tau):
    return np.sign(v) * np.maximum(np.abs(v) - tau, 0)


def _second_order_cone(v):
    t, z = v[:, :1], v[:, 1:]
    size = np.linalg.norm(z, axis=1, keepdims=True)
    onto = (t + size) / 2 * np.hstack([np.ones_like(t), z / size])
    return np.where(size <= t, v, np.where(size <= -t, 0, onto))


def _mcp(v, gamma, step, weight):
    inside = _soft(v, step * weight) / (1 - step / gamma)
    return np.where(np.abs(v) > gamma * weight, v, inside)


def _positive_semidefinite(v):
    values, vectors = np.linalg.eigh((v + v.T) / 2)
    return (vectors * np.maximum(values, 0)) @ vectors.T


def _affine(v, factor):
    return v - (v @ factor.basis.T - factor.offset) @ factor.basis


PROX = {
    "elastic_net": lambda v, step, l1, l2: _soft(v, step * l1) / (1 + step * l2),
    "mcp": _mcp,
    "linf_ball": lambda v, radius: np.clip(v, -radius, radius),
    "second_order_cone": _second_order_cone,
    "positive_semidefinite": _positive_semidefinite,
    "affine": _affine,
}
"""Taking the arguments of the public functions."""

LOSS = {
    "squared": lambda z, y: 0.5 * np.sum((z - y) ** 2),
    "grad_squared": lambda z, y: z - y,
    "prox_squared": lambda v, y: (v + y) / 2,
    "absolute": lambda z, y: np.sum(np.abs(z - y)),
    "grad_absolute": lambda z, y: np.sign(z - y),
    "prox_absolute": lambda v, y: np.clip(y, v - 1, v + 1),
    "huber": lambda z, y: np.sum(scipy.special.huber(1.0, z - y)),
    "grad_huber": lambda z, y: np.clip(z - y, -1, 1),
    "logistic": lambda z, y: np.sum(np.logaddexp(0, -y * z)),
    "grad_logistic": lambda z, y: -y * scipy.special.expit(-y * z),
    "hinge": lambda z, y: np.sum(np.maximum(1 - y * z, 0)),
    "grad_hinge": lambda z, y: np.where(y * z < 1, -y, 0),
    "prox_hinge": lambda v, y: v + y * np.clip(1 - y * v, 0, 1),
    "squared_hinge": lambda z, y: 0.5 * np.sum(np.maximum(1 - y * z, 0) ** 2),
    "grad_squared_hinge": lambda z, y: -y * np.maximum(1 - y * z, 0),
    "prox_squared_hinge": lambda v, y: np.where(y * v >= 1, v, (v + y) / 2),
    "poisson": lambda z, y: np.sum(np.exp(z) - y * z),
    "grad_poisson": lambda z, y: np.exp(z) - y,
}
"""With steps, weights and parameters of one."""

ACTIVATION = {
    "relu": lambda a: np.maximum(a, 0),
    "hard_tanh": lambda a: np.clip(a, -1, 1),
    "tanh": np.tanh,
    "sigmoid": scipy.special.expit,
    "softplus": lambda a: np.logaddexp(a, 0),
    "silu": lambda a: a * scipy.special.expit(a),
    "grad_tanh": lambda a: 1 - np.tanh(a) ** 2,
}
