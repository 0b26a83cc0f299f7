"""Grams, and factors changed by the rows that come and go."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import linear as twins

from fastadmm import kernels

REALS = [np.float32, np.float64]


def normal(shape, real=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(real)


def close(a, b, real, scale=1.0):
    np.testing.assert_allclose(a, b, rtol=0, atol=100 * scale * np.finfo(real).eps)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("m", "n"), [(600, 5), (256, 3), (3, 7), (1, 1), (0, 4), (4, 0)])
def test_gram_equals_the_sum_of_outer_products(m, n, weighted, real):
    rows, left = normal((m, n), real), normal((m, 2), real, 1)
    weights = np.random.default_rng(2).uniform(0, 2, m).astype(real) if weighted else None
    lower = kernels.gram(rows, weights)
    assert lower.dtype == real
    close(lower, np.tril(twins.gram(rows, weights)), real, scale=max(m, 1))
    whole = kernels.mirror_lower(lower)
    np.testing.assert_array_equal(whole, whole.T)
    np.testing.assert_array_equal(np.tril(whole), lower)
    cross = kernels.cross_gram(left, rows, weights)
    close(cross, twins.cross_gram(left, rows, weights), real, scale=max(m, 1))


@pytest.mark.parametrize("weighted", [False, True])
def test_streaming_equals_all_at_once(weighted):
    rows, left = normal((700, 4)), normal((700, 3), seed=1)
    weights = np.linspace(0, 1, 700) if weighted else None
    total, cross = np.zeros((4, 4)), np.zeros((3, 4))
    for part in (slice(0, 1), slice(1, 400), slice(400, 700)):
        some = None if weights is None else weights[part]
        assert kernels.gram(rows[part], some, keep=1, out=total) is total
        kernels.cross_gram(left[part], rows[part], some, keep=1, out=cross)
    np.testing.assert_allclose(total, kernels.gram(rows, weights), rtol=1e-12)
    np.testing.assert_allclose(cross, kernels.cross_gram(left, rows, weights), atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_exponential_average(weighted):
    beta, mean = 0.9, np.zeros((3, 3))
    out, seen = np.full((3, 3), np.nan), np.ones(300) if weighted else None
    for step in range(4):
        batch = normal((300, 3), seed=step)
        keep = beta if step else 0.0  # the first call must not read what was there
        kernels.gram(batch, seen, keep=keep, scale=(1 - keep) / 300, out=out)
        mean = keep * mean + (1 - keep) * twins.gram(batch) / 300
    np.testing.assert_allclose(np.tril(out)[np.tril_indices(3)], mean[np.tril_indices(3)])
    assert np.isnan(out[np.triu_indices(3, 1)]).all()


def test_averaged_token_gram():
    """Equal to the dense Gram of the one-hot rows, averaged in the same way."""
    rng, beta, mean, out = np.random.default_rng(0), 0.9, np.zeros((8, 8)), None
    for step in range(3):
        tokens, rows = rng.integers(0, 5, 30), rng.standard_normal((30, 3))
        keep = beta if step else 0.0
        out = kernels.token_gram(tokens, rows, 5, keep=keep, scale=(1 - keep) / 30, out=out)
        dense = twins.tokens(tokens, rows, 5, 0.0)
        mean = keep * mean + (1 - keep) * dense / 30
    np.testing.assert_allclose(np.diag(out.counts), mean[:5, :5], atol=1e-15)
    np.testing.assert_allclose(out.sums, mean[:5, 5:], atol=1e-14)
    np.testing.assert_allclose(out.gram, np.tril(mean[5:, 5:]), atol=1e-14)


def test_token_gram_refuses():
    rows = np.ones((3, 2))
    sums = kernels.token_gram([0, 1, 0], rows, 2)
    with pytest.raises(ValueError, match="out is float64 of 2 tokens and 2 inputs: expected"):
        kernels.token_gram([0, 1, 0], rows, 3, keep=1, out=sums)
    with pytest.raises(ValueError, match=r"out is float64 of 2 .*: expected float32 of 2 and 2"):
        kernels.token_gram([0, 1, 0], rows.astype(np.float32), 2, out=sums)
    with pytest.raises(ValueError, match="keep is 1 without out"):
        kernels.token_gram([0, 1, 0], rows, 2, keep=1)
    with pytest.raises(TypeError, match="out is ndarray: expected a TokenGram"):
        kernels.token_gram([0, 1, 0], rows, 2, out=np.zeros(2))
    with pytest.raises(TypeError, match="system is TokenFactor: expected a TokenGram"):
        kernels.factor_token_gram(kernels.factor_token_gram(sums, 1.0), 1.0)


def test_gram_refuses():
    rows = np.ones((3, 2))
    with pytest.raises(ValueError, match=r"weights\[1\] is -1.0: expected non-negative"):
        kernels.gram(rows, [1, -1, 1])
    with pytest.raises(ValueError, match=r"weights has shape \(2,\): expected \(3,\)"):
        kernels.gram(rows, [1, 1])
    with pytest.raises(ValueError, match=r"rows has shape \(3,\): expected \(m, n\)"):
        kernels.gram(np.ones(3))
    with pytest.raises(TypeError, match="rows has dtype complex128"):
        kernels.gram(np.ones((2, 2), complex))
    with pytest.raises(ValueError, match="keep is 1 without out"):
        kernels.gram(rows, keep=1)
    with pytest.raises(ValueError, match="out overlaps rows"):
        kernels.gram(rows[:2], out=rows[:2])
    with pytest.raises(ValueError, match=r"left has shape \(2, 1\): expected \(3, p\)"):
        kernels.cross_gram(np.ones((2, 1)), rows)
    with pytest.raises(ValueError, match="scale is inf: expected a finite number"):
        kernels.gram(rows, scale=np.inf)


def test_gram_of_integers_and_strided_rows():
    rows = np.arange(12).reshape(4, 3)
    lower = kernels.gram(rows[::2, ::-1])
    assert lower.dtype == np.float64
    np.testing.assert_array_equal(lower, np.tril(rows[::2, ::-1].T @ rows[::2, ::-1]))


def test_mirror_in_place():
    a = np.array([[1.0, 9.0], [2.0, 3.0]])
    assert kernels.mirror_lower(a, out=a) is a
    np.testing.assert_array_equal(a, [[1, 2], [2, 3]])


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 2), (32, 3), (33, 1), (80, 40), (4, 0), (0, 1)])
def test_update_and_downdate(n, k, real):
    matrix, rows = twins.ridge(normal((2 * n + 3, n), real), 1.0), normal((k, n), real, 1)
    factor = kernels.factor_cholesky(matrix.astype(real))
    before = factor.copy()
    grown = kernels.update_cholesky(factor, rows)
    assert grown.dtype == real
    bigger = matrix + twins.gram(rows)
    close(grown, np.linalg.cholesky(bigger), real, scale=20)
    assert (np.diag(grown) > 0).all()
    close(kernels.downdate_cholesky(grown, rows), before, real, scale=100)
    np.testing.assert_array_equal(factor, before)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(0, 6), st.floats(-6, 6), st.integers(0, 2**32 - 1))
def test_update_is_stable_for_rows_of_any_size(n, k, magnitude, seed):
    """Also where the old factor is tiny beside the rows: the error is relative to the new one."""
    rows = 10.0**magnitude * normal((k, n), seed=seed)
    factor = kernels.factor_cholesky(np.eye(n))
    grown = kernels.update_cholesky(factor, rows)
    expected = np.eye(n) + twins.gram(rows)
    np.testing.assert_allclose(
        grown @ grown.T, expected, rtol=0, atol=1e-13 * np.abs(expected).max()
    )


def test_update_in_place_and_by_one_row():
    factor, row = kernels.factor_cholesky(np.diag([16.0, 9.0])), np.array([3.0, 0.0])
    assert kernels.update_cholesky(factor, row, out=factor) is factor
    np.testing.assert_allclose(factor, np.diag([5.0, 3.0]))
    np.testing.assert_array_equal(row, [3, 0])


def test_downdate_that_fails_changes_nothing():
    factor = kernels.factor_cholesky(np.diag([4.0, 9.0, 1.0]))
    before, rows = factor.copy(), np.array([[1.0, 0, 0], [0, 3, 0]])
    assert twins.failing_minor(factor @ factor.T - twins.gram(rows)) == 2
    with pytest.raises(np.linalg.LinAlgError, match="minor of order 2 "):
        kernels.downdate_cholesky(factor, rows, out=factor)
    np.testing.assert_array_equal(factor, before)
    work = np.empty((32 + 2 * 2, 32))
    assert kernels.downdate_cholesky.kernel(factor, rows.copy(), work) == 2


def test_nan_spreads_through_an_update():
    factor = kernels.update_cholesky(np.eye(3), np.array([1.0, np.nan, 1.0]))
    assert np.isnan(factor[1:]).any()
