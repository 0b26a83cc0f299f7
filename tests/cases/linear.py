"""Factored systems of every kind, each with its dense matrix: tests and benchmarks run over them.

A maker takes a random generator and a dtype, and returns the factored system and the dense matrix
in double precision.
"""

from typing import NamedTuple

import numpy as np
from reference import linear as twins

from fastadmm import kernels


class System(NamedTuple):
    name: str
    make: callable
    solve: callable
    cond: float
    """Bound of the condition number, which the solutions' error is measured by."""


def _normal(rng, shape, real):
    return rng.standard_normal(shape).astype(real)


def _cholesky(n):
    def make(rng, real):
        matrix = twins.ridge(_normal(rng, (2 * n, n), real), 1.0).astype(real)
        dense = np.tril(matrix) + np.tril(matrix, -1).T
        upper_is_not_read = np.triu(np.full((n, n), np.nan), 1)
        return kernels.factor_cholesky(np.tril(matrix) + upper_is_not_read.astype(real)), dense

    return make


def _ridge(m, n, delta):
    def make(rng, real):
        rows = _normal(rng, (m, n), real)
        return kernels.factor_ridge(rows, delta), twins.ridge(rows, delta)

    return make


def _low_rank(k, n, sign):
    def make(rng, real):
        diagonal = rng.uniform(1, 3, n).astype(real)
        rows = _normal(rng, (k, n), real)
        rows *= real(0.5 if sign > 0 else 0.6 / np.sqrt(max(n * k, 1)))
        system = kernels.factor_low_rank(diagonal, rows, sign)
        return system, twins.low_rank(diagonal, rows, sign)

    return make


def _tokens(m, n, size, delta):
    def make(rng, real):
        tokens, rows = rng.integers(0, max(1, size - 2), m), _normal(rng, (m, n), real)
        rows[:, -1:] = 1  # the constant input, whose sums are the counts
        system = kernels.factor_tokens(tokens, rows, size, delta)
        return system, twins.tokens(tokens, rows, size, delta)

    return make


def _token_gram(m, n, size, delta):
    def make(rng, real):
        tokens, rows = rng.integers(0, size, m), _normal(rng, (m, n), real)
        cut = m // 3
        sums = kernels.token_gram(tokens[:cut], rows[:cut], size)
        kernels.token_gram(tokens[cut:], rows[cut:], size, keep=1, out=sums)
        return kernels.factor_token_gram(sums, delta), twins.tokens(tokens, rows, size, delta)

    return make


def _tridiagonal(n):
    def make(rng, real):
        diagonal = rng.uniform(2, 3, n).astype(real)
        below = rng.uniform(-1, 1, max(n - 1, 0)).astype(real)
        return kernels.factor_tridiagonal(diagonal, below), twins.tridiagonal(diagonal, below)

    return make


def _block_tridiagonal(blocks, b):
    def make(rng, real):
        diagonal, below = block_tridiagonal_matrix(rng, blocks, b, real)
        system = kernels.factor_block_tridiagonal(diagonal, below)
        return system, twins.block_tridiagonal(diagonal, below)

    return make


def block_tridiagonal_matrix(rng, blocks, b, real):
    """Blocks of a diagonally dominant matrix; the upper triangles on the diagonal are not read."""
    below = _normal(rng, (max(blocks - 1, 0), b, b), real) / real(b)
    diagonal = np.tril(_normal(rng, (blocks, b, b), real) / real(b)) + 5 * np.eye(b, dtype=real)
    return (diagonal + np.triu(np.full((b, b), np.nan), 1)).astype(real), below


SYSTEMS = [
    *(System(f"cholesky {n}", _cholesky(n), kernels.solve_cholesky, 50) for n in (0, 1, 7, 40)),
    *(
        System(f"ridge {m} x {n}", _ridge(m, n, 0.5), kernels.solve_ridge, 300)
        for m, n in ((9, 5), (5, 5), (5, 9), (1, 6), (6, 1), (0, 3), (20, 60))
    ),
    *(
        System(f"low rank {k} x {n} {sign}", _low_rank(k, n, sign), kernels.solve_low_rank, 60)
        for k, n, sign in ((1, 6, 1), (3, 8, 1), (3, 8, -1), (0, 4, 1), (8, 3, 1), (1, 1, -1))
    ),
    *(
        System(f"tokens {m} x {n} of {size}", _tokens(m, n, size, 0.5), kernels.solve_tokens, 2e3)
        for m, n, size in ((30, 4, 9), (600, 3, 5), (1, 1, 1), (0, 2, 3), (5, 0, 4), (5, 3, 40))
    ),
    System("token sums 40 x 4 of 9", _token_gram(40, 4, 9, 0.5), kernels.solve_tokens, 2e3),
    *(
        System(f"tridiagonal {n}", _tridiagonal(n), kernels.solve_tridiagonal, 50)
        for n in (0, 1, 2, 33)
    ),
    *(
        System(f"blocks {t} of {b}", _block_tridiagonal(t, b), kernels.solve_block_tridiagonal, 50)
        for t, b in ((1, 1), (1, 4), (5, 3), (6, 1), (0, 2))
    ),
]
