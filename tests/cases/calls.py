"""How compiled code calls every kernel: small arguments in float64, results and workspace included.

``CALLS[name]()`` gives fresh arguments of the kernel of a public name. Conjugate gradients, which
takes compiled functions, has cases of its own.
"""

from functools import partial

import numpy as np

from fastadmm import kernels

from .penalties import CASES

N = 6
STEP = 0.5


def _normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def _penalty(case, prox):
    v = case.sample(np.float64, 2 * N)
    if not prox:
        return v, *case.kernel_value_arguments(v)
    return v, *case.kernel_arguments(v, STEP), np.zeros_like(v)


def _loss(name, prefix):
    z = 3 * _normal(N)
    y = np.sign(_normal(N, seed=1)) if "hinge" in name or name == "logistic" else np.arange(6.0)
    parameters = {"huber": (0.75,), "quantile": (0.25,)}.get(name, ())
    numbers = (STEP, np.linspace(0, 2, N)) if prefix == "prox_" else (0.5,)
    return z, y, *parameters, *numbers, *(() if prefix == "" else (np.zeros(N),))


def _cross_entropy(prefix):
    z, y = _normal(N, 3), np.arange(N) % 3
    numbers = (STEP, 0.75) if prefix == "prox_" else (0.75,)
    return z, y, *numbers, *(() if prefix == "" else (np.zeros_like(z),))


def _activation(name, prefix):
    a, slope = 2 * _normal(N), (0.125,) if name == "leaky_relu" else ()
    if prefix != "prox_":
        return a, *slope, np.zeros(N)
    return a, _normal(N, seed=1), *slope, 1.5, 2.0, np.zeros(N)


def _definite(n=N):
    rows = _normal(2 * n, n)
    return rows.T @ rows + np.eye(n)


def _square(n=N):
    return np.zeros((n, n))


def _low_rank():
    return np.linspace(1, 2, N), _normal(2, N), 1.0, np.zeros((2, N)), np.zeros((2, 2))


def _tokens(k):
    """Space of a system of 4 tokens and k inputs: diagonal, means and the factor of S."""
    return np.zeros(4), np.zeros((4, k)), _square(k)


def _made(factor, *arguments):
    """Fields of what a public factor function returns."""
    return tuple(getattr(kernels, factor)(*arguments))


_TOKENS = np.array([0, 2, 1, 3, 1, 0, 2])
_BLOCKS = np.tile(3 * np.eye(2) + 0.5, (3, 1, 1)), np.full((2, 2, 2), 0.25)
_BANDS = np.full(N, 3.0), np.linspace(-1, 1, N - 1)


def _metric(*coefficients, errors=3, work=()):
    """Rows to bring near in the metric of a matrix, from a start of their own."""
    numbers = 1e-14, 0.0, 500
    return (
        _definite(), _normal(3, N), *coefficients, *numbers, np.zeros((3, N)), *work,
        _normal(3, N, seed=1), np.zeros(errors),
    )  # fmt: skip


LINEAR = {
    "cross_gram": lambda: (
        _normal(9, 2),
        _normal(9, N),
        np.ones(9),
        0.0,
        1.0,
        np.zeros((4, N)),
        np.zeros((2, N)),
    ),
    "gram": lambda: (_normal(9, N), np.linspace(0, 1, 9), 0.5, 2.0, np.zeros((4, N)), _square()),
    "mirror_lower": lambda: (_normal(N, N), _square()),
    "factor_cholesky": lambda: (_definite(), 0.5, _square()),
    "solve_cholesky": lambda: (np.linalg.cholesky(_definite()), _normal(3, N), np.zeros((3, N))),
    "update_cholesky": lambda: (np.linalg.cholesky(_definite()), _normal(2, N), np.zeros((36, 32))),
    "downdate_cholesky": lambda: (
        np.linalg.cholesky(_definite()),
        0.3 * _normal(2, N),
        np.zeros((36, 32)),
    ),
    "factor_ridge": lambda: (_normal(4, N), 0.5, _square(4)),
    "solve_ridge": lambda: (
        *_made("factor_ridge", _normal(4, N), 0.5),
        _normal(3, N),
        np.zeros((3, 4)),
        np.zeros((3, N)),
    ),
    "ridge_regression": lambda: (
        _normal(4, N),
        _normal(4, 2),
        0.5,
        _square(4),
        np.zeros((2, 4)),
        np.zeros((2, N)),
    ),
    "factor_low_rank": _low_rank,
    "solve_low_rank": lambda: (
        *_made("factor_low_rank", *_low_rank()[:2]),
        _normal(3, N),
        np.zeros((3, 2)),
        np.zeros((3, N)),
    ),
    "token_gram": lambda: (_TOKENS, _normal(7, 2), 0.0, 1.0, *_tokens(2)),
    "factor_token_gram": lambda: (
        *_made("token_gram", _TOKENS, _normal(7, 2), 4),
        0.5,
        *_tokens(2),
    ),
    "factor_tokens": lambda: (_TOKENS, _normal(7, 2), 0.5, np.zeros((3, 2)), *_tokens(2)),
    "solve_tokens": lambda: (
        *_made("factor_tokens", _TOKENS, _normal(7, 2), 4, 0.5),
        _normal(3, 6),
        np.zeros((3, 6)),
    ),
    "metric_nonnegative": lambda: _metric(),
    "metric_box": lambda: _metric(np.full((3, N), -0.25), np.full((3, N), 0.5)),
    "metric_l1": lambda: _metric(np.full((3, N), 2.0)),
    "metric_group": lambda: _metric(
        np.linspace(0, 40, N), np.array([0.5, 1, 2]), errors=1, work=(np.zeros((2, 3)),)
    ),
    "factor_tridiagonal": lambda: (*_BANDS, np.zeros(N), np.zeros(N - 1)),
    "solve_tridiagonal": lambda: (
        *_made("factor_tridiagonal", *_BANDS),
        _normal(18, N),
        np.zeros((N, 16)),
        np.zeros((18, N)),
    ),
    "factor_block_tridiagonal": lambda: (*_BLOCKS, *(np.zeros_like(part) for part in _BLOCKS)),
    "solve_block_tridiagonal": lambda: (
        *_made("factor_block_tridiagonal", *_BLOCKS),
        _normal(3, N),
        np.zeros((3, N)),
    ),
}


def _vjp(case):
    v = case.sample(np.float64, 2 * N)
    x, u = case.prox(v, *case.prox_arguments(2 * N, STEP)), _normal(*v.shape, seed=2)
    given = (np.ones(2 * N),) if case.name == "isotonic" else ()
    return v, x, u, *(given or case.arrays(v, case.prox_arguments(2 * N, STEP))), np.zeros_like(v)


def _loss_vjp(name):
    v, *arguments, out = _loss(name, "prox_")
    return v, getattr(kernels, f"prox_{name}_loss")(v, *arguments), _normal(N), *arguments, out


def _cross_entropy_vjp():
    v, *arguments, out = _cross_entropy("prox_")
    x = kernels.prox_cross_entropy_loss(v, *arguments)
    return v, x, _normal(N, 3, seed=2), *arguments, out


OTHER_SETS = {
    "project_exponential_cone": lambda: (2 * _normal(5, 3), np.zeros((5, 3))),
    "indicator_exponential_cone": lambda: (2 * _normal(5, 3), 1e-9),
    "project_simplex_kl": lambda: (abs(_normal(3, N)), 1.5, np.zeros((3, N))),
}

LOSSES = (
    "squared", "absolute", "huber", "quantile", "logistic", "hinge", "squared_hinge", "poisson",
)  # fmt: skip
ACTIVATIONS = (
    "identity", "relu", "leaky_relu", "hard_tanh", "hard_sigmoid", "tanh", "sigmoid", "softplus",
    "silu",
)  # fmt: skip
PREFIXES = ("", "grad_", "prox_")

CALLS = (
    LINEAR
    | OTHER_SETS
    | {case.value.__name__: partial(_penalty, case, False) for case in CASES}
    | {case.prox.__name__: partial(_penalty, case, True) for case in CASES}
    | {f"{p}{name}_loss": partial(_loss, name, p) for name in LOSSES for p in PREFIXES}
    | {
        f"vjp_{case.prox.__name__}": partial(_vjp, case)
        for case in CASES
        if f"vjp_{case.prox.__name__}" in kernels.__all__
    }
    | {f"vjp_prox_{name}_loss": partial(_loss_vjp, name) for name in LOSSES}
    | {"vjp_prox_cross_entropy_loss": _cross_entropy_vjp}
    | {f"{p}cross_entropy_loss": partial(_cross_entropy, p) for p in PREFIXES}
    | {
        f"{p}{name}_activation": partial(_activation, name, p)
        for name in ACTIVATIONS
        for p in PREFIXES
    }
)
