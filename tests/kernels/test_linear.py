"""Linear systems of every kind against their dense matrices, and what all of them refuse."""

import numpy as np
import pytest
from cases.linear import SYSTEMS, block_tridiagonal_matrix
from reference import linear as twins

from fastadmm import kernels

REALS = [np.float32, np.float64]
KINDS = {system.name.split()[0]: system for system in SYSTEMS if "0" not in system.name.split()}
"""One system of every kind, with at least one unknown."""

both = pytest.mark.parametrize("real", REALS)
one_of_each = pytest.mark.parametrize("kind", KINDS)


def made(system, real, seed=0):
    """Factored system, dense matrix, and right-hand sides: more than fit one block of lanes."""
    rng = np.random.default_rng(seed)
    factored, dense = system.make(rng, real)
    return factored, dense, rng.standard_normal((21, len(dense))).astype(real)


def assert_solves(x, dense, rhs, cond):
    """The error is that of rounding, times the condition number."""
    assert x.dtype == rhs.dtype
    expected = twins.solve(dense, rhs)
    allowed = 2 * cond * np.finfo(rhs.dtype).eps * np.abs(expected).max(initial=0)
    np.testing.assert_allclose(x, expected, rtol=0, atol=allowed)


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
@both
def test_solves_the_dense_system(system, real):
    factored, dense, rhs = made(system, real)
    assert np.linalg.cond(dense) <= system.cond if len(dense) else True
    before = rhs.copy()
    assert_solves(system.solve(factored, rhs), dense, rhs, system.cond)
    np.testing.assert_array_equal(rhs, before)


@one_of_each
@both
def test_one_row_and_many_and_none(kind, real):
    system = KINDS[kind]
    factored, dense, rhs = made(system, real)
    assert_solves(system.solve(factored, rhs[3]), dense, rhs[3], system.cond)
    for m in (2, 9, 16, 18):  # with and without a full block of sixteen, few and many left
        assert_solves(system.solve(factored, rhs[:m]), dense, rhs[:m], system.cond)
    assert system.solve(factored, rhs[:0]).shape == (0, len(dense))


@one_of_each
@both
def test_strided_and_fortran_and_integer_right_hand_sides(kind, real):
    system = KINDS[kind]
    factored, dense, rhs = made(system, real)
    expected = system.solve(factored, rhs)
    wide = np.repeat(rhs, 2, axis=1)
    np.testing.assert_array_equal(system.solve(factored, wide[:, ::2]), expected)
    np.testing.assert_array_equal(system.solve(factored, np.asfortranarray(rhs)), expected)
    whole = np.arange(len(dense))
    assert_solves(system.solve(factored, whole), dense, whole.astype(real), system.cond)


@one_of_each
@both
def test_in_place_and_into_out(kind, real):
    system = KINDS[kind]
    factored, _, rhs = made(system, real)
    expected = system.solve(factored, rhs)
    out = np.full_like(rhs, np.nan)
    assert system.solve(factored, rhs, out=out) is out
    np.testing.assert_array_equal(out, expected)
    assert system.solve(factored, rhs, out=rhs) is rhs
    np.testing.assert_array_equal(rhs, expected)


@one_of_each
@both
def test_nan_spoils_its_own_row_only(kind, real):
    system = KINDS[kind]
    factored, _, rhs = made(system, real)
    expected = system.solve(factored, rhs)
    rhs[2, 0] = np.nan
    x = system.solve(factored, rhs)
    assert np.isnan(x[2]).any()
    np.testing.assert_allclose(np.delete(x, 2, 0), np.delete(expected, 2, 0), rtol=1e-5)


@one_of_each
@both
def test_huge_right_hand_sides(kind, real):
    system = KINDS[kind]
    factored, dense, rhs = made(system, real)
    rhs *= real(1e30)
    assert_solves(system.solve(factored, rhs), dense, rhs, system.cond)


@one_of_each
@both
def test_refuses_wrong_right_hand_sides_and_outs(kind, real):
    system = KINDS[kind]
    factored, dense, rhs = made(system, real)
    n, other = len(dense), REALS[real == np.float32]
    with pytest.raises(ValueError, match=rf"rhs has shape \(21, {n + 1}\): expected \(m, {n}\)"):
        system.solve(factored, np.zeros((21, n + 1)))
    with pytest.raises(ValueError, match=r"rhs has shape \(\): expected"):
        system.solve(factored, 1.0)
    with pytest.raises(TypeError, match="rhs has dtype complex128"):
        system.solve(factored, rhs.astype(complex))
    with pytest.raises(TypeError, match=f"out is {np.dtype(other)}"):
        system.solve(factored, rhs, out=rhs.astype(other))
    with pytest.raises(ValueError, match="out has shape"):
        system.solve(factored, rhs, out=np.empty((3, n), real))
    with pytest.raises(ValueError, match="out is strided"):
        system.solve(factored, rhs, out=np.empty((21, 2 * n), real)[:, ::2])
    buffer = np.zeros((22, n), real)
    with pytest.raises(ValueError, match="out overlaps rhs"):
        system.solve(factored, buffer[:21], out=buffer[1:])


@one_of_each
@both
def test_solve_takes_what_factor_returned(kind, real):
    system = KINDS[kind]
    if kind == "cholesky":  # its factor is a plain array
        with pytest.raises(ValueError, match=r"factor has shape \(2, 3\): expected \(n, n\)"):
            system.solve(np.zeros((2, 3), real), np.zeros(3, real))
    else:
        with pytest.raises(TypeError, match="system is tuple: expected a "):
            system.solve((1, 2), np.zeros(3, real))


@both
def test_status_is_the_order_of_the_failing_minor(real):
    rng = np.random.default_rng(1)
    for place in (0, 2, 5):
        matrix = np.eye(6, dtype=real) * 3
        matrix[place, place] = -1
        assert twins.failing_minor(matrix) == place + 1
        factor = np.empty_like(matrix)
        assert kernels.factor_cholesky.kernel(matrix, 0.0, factor) == place + 1
        with pytest.raises(np.linalg.LinAlgError, match=rf"matrix .*minor of order {place + 1} "):
            kernels.factor_cholesky(matrix)

        diagonal, below = np.diag(matrix).copy(), np.full(5, 0.1, real)
        assert twins.failing_minor(twins.tridiagonal(diagonal, below)) == place + 1
        empty = np.empty_like(diagonal), np.empty_like(below)
        assert kernels.factor_tridiagonal.kernel(diagonal, below, *empty) == place + 1
        with pytest.raises(np.linalg.LinAlgError, match=rf"tridiag.*minor of order {place + 1} "):
            kernels.factor_tridiagonal(diagonal, below)

        diagonal, below = block_tridiagonal_matrix(rng, 3, 2, real)
        diagonal[place // 2, place % 2, place % 2] = -10
        assert twins.failing_minor(twins.block_tridiagonal(diagonal, below)) == place + 1
        with pytest.raises(np.linalg.LinAlgError, match=rf"block-.*minor of order {place + 1} "):
            kernels.factor_block_tridiagonal(diagonal, below)
        assert kernels.factor_block_tridiagonal.kernel(*(diagonal, below) * 2) == place + 1


@both
def test_status_of_tokens_counts_their_block_first(real):
    """Without delta an unseen token is singular, and so is a constant input beside the tokens."""
    factor = kernels.factor_tokens.kernel
    for tokens, order in (([0, 0, 2], 2), ([0, 1, 2], 4)):
        rows, means, schur = np.ones((3, 1), real), np.empty((3, 1), real), np.empty((1, 1), real)
        diagonal, work = np.empty(3, real), np.empty((2, 1), real)
        tokens = np.array(tokens)
        assert factor(tokens, rows, 0.0, work, diagonal, means, schur) == order
        sums = kernels.token_gram(tokens, rows, 3)
        assert kernels.factor_token_gram.kernel(*sums, 0.0, diagonal, means, schur) == order
    one = np.ones((1, 1), real)
    with pytest.raises(np.linalg.LinAlgError, match=r"tokens and rows .*minor of order 2 "):
        kernels.factor_token_gram(kernels.TokenGram(one[0], 2 * one, one), 0.5)


@both
def test_singular_is_refused(real):
    with pytest.raises(np.linalg.LinAlgError):
        kernels.factor_cholesky(np.ones((2, 2), real))
    with pytest.raises(np.linalg.LinAlgError):
        kernels.factor_tridiagonal(np.ones(2, real), np.ones(1, real))
    with pytest.raises(np.linalg.LinAlgError):
        kernels.factor_low_rank(np.ones(3, real), np.array([1, 0, 0], real), sign=-1)
    with pytest.raises(np.linalg.LinAlgError):  # delta is lost beside 2^62
        kernels.factor_ridge(np.full((4, 2), 2.0**30, real), 1e-3)


@both
def test_tokens_with_small_delta_do_not_cancel(real):
    """A constant input and tokens are nearly collinear: S is about delta, its terms the counts."""
    rng = np.random.default_rng(0)
    rows = np.ones((4000, 1), real)
    tokens, delta = rng.integers(0, 3, 4000), 2.0**-6
    counts = np.bincount(tokens)
    schur = delta + np.sum(counts * (delta / (counts + delta)))  # terms of one sign
    factor = kernels.factor_tokens(tokens, rows, 3, delta).factor
    assert factor[0, 0] ** 2 == pytest.approx(schur, rel=300 * float(np.finfo(real).eps))


@both
def test_ridge_takes_the_smaller_gram(real):
    assert kernels.factor_ridge(np.ones((3, 50), real), 1.0).factor.shape == (3, 3)
    assert kernels.factor_ridge(np.ones((50, 3), real), 1.0).factor.shape == (3, 3)


@pytest.mark.parametrize(("m", "n"), [(12, 5), (5, 12), (4, 4), (1, 3), (3, 1)])
@both
def test_ridge_regression_minimises_its_objective(m, n, real):
    rng = np.random.default_rng(2)
    rows, targets = (rng.standard_normal((m, k)).astype(real) for k in (n, 3))
    delta = 0.25

    def objective(x):
        fit = rows.astype(float) @ x.T.astype(float) - targets
        return 0.5 * np.sum(fit**2) + delta / 2 * np.sum(x.astype(float) ** 2)

    x = kernels.ridge_regression(rows, targets, delta)
    assert x.shape == (3, n)
    assert x.dtype == real
    assert_solves(x, twins.ridge(rows, delta), (targets.T @ rows).astype(real), 300)
    least = objective(x)
    for _ in range(20):
        assert objective(x + 1e-2 * rng.standard_normal(x.shape)) > least
    np.testing.assert_allclose(
        kernels.ridge_regression(rows, targets[:, 0], delta), x[0], rtol=1e-4, atol=1e-5
    )
    out = np.empty_like(x)
    assert kernels.ridge_regression(rows, targets, delta, out=out) is out
    np.testing.assert_array_equal(out, x)


@both
def test_refuses_wrong_matrices(real):
    square = np.eye(3, dtype=real)
    with pytest.raises(ValueError, match=r"matrix has shape \(2, 3\): expected \(n, n\)"):
        kernels.factor_cholesky(square[:2])
    with pytest.raises(ValueError, match=r"delta is -1.0: expected a non-negative number, finite"):
        kernels.factor_cholesky(square, -1)
    with pytest.raises(ValueError, match=r"delta is 0.0: expected a positive number, finite"):
        kernels.factor_ridge(square, 0)
    with pytest.raises(TypeError, match="delta is str: expected a number"):
        kernels.factor_ridge(square, "small")
    with pytest.raises(ValueError, match=r"targets has shape \(2,\): expected \(3,\)"):
        kernels.ridge_regression(square, [1, 2], 1.0)
    with pytest.raises(ValueError, match=r"diagonal\[1\] is 0.0: expected positive"):
        kernels.factor_low_rank(np.array([1, 0, 1], real), square)
    with pytest.raises(ValueError, match="sign is 2: expected 1 or -1"):
        kernels.factor_low_rank(np.ones(3, real), square, 2)
    with pytest.raises(ValueError, match=r"below has shape \(3,\): expected \(2,\)"):
        kernels.factor_tridiagonal(np.ones(3, real), np.ones(3, real))
    with pytest.raises(ValueError, match=r"below has shape \(2, 2, 1\): expected \(1, 2, 2\)"):
        kernels.factor_block_tridiagonal(np.ones((2, 2, 2), real), np.ones((2, 2, 1), real))


@both
def test_refuses_wrong_tokens(real):
    rows = np.ones((3, 2), real)
    with pytest.raises(ValueError, match=r"tokens\[1\] is 5: expected integers in \[0, 5\)"):
        kernels.factor_tokens([0, 5, -1], rows, 5, 1.0)
    with pytest.raises(TypeError, match="tokens has dtype float64: expected integers"):
        kernels.factor_tokens([0.0, 1.0, 2.0], rows, 5, 1.0)
    with pytest.raises(ValueError, match=r"tokens has shape \(2,\): expected \(3,\)"):
        kernels.factor_tokens([0, 1], rows, 5, 1.0)
    with pytest.raises(ValueError, match="n_tokens is -5: expected a non-negative integer"):
        kernels.factor_tokens([0, 1, 2], rows, -5, 1.0)


@both
def test_nan_in_a_matrix_spreads(real):
    rows = np.ones((4, 3), real)
    rows[1, 1] = np.nan
    rhs = np.ones(3, real)
    assert np.isnan(kernels.solve_ridge(kernels.factor_ridge(rows, 1.0), rhs)).any()
    assert np.isnan(kernels.ridge_regression(rows, np.ones(4, real), 1.0)).any()
    system = kernels.factor_tridiagonal(np.array([2, np.nan, 2], real), np.ones(2, real))
    assert np.isnan(kernels.solve_tridiagonal(system, rhs)).any()
