"""Register-tile products: every tile shape and border, and nothing written beside C."""

import numpy as np
import pytest
from fastadmm.kernels.core.tiles import gram, multiply, multiply_transposed

DTYPES = ("float32", "float64")
# Rows and columns around the sizes of tiles (8 rows; 3 vectors of 16 or 8 numbers), inner
# dimensions around a block of 128.
SHAPES = [
    (1, 1, 1),
    (8, 4, 48),
    (7, 5, 3),
    (13, 300, 49),
    (15, 129, 47),
    (9, 128, 97),
    (64, 17, 16),
]


def block(shape, dtype, seed):
    """A block of columns with others beside it, all of which must stay as they are."""
    wide = np.random.default_rng(seed).standard_normal((shape[0], shape[1] + 5)).astype(dtype)
    return wide, wide[:, 2 : 2 + shape[1]]


def close(c, expected, dtype):
    scale = np.abs(expected).max() + 1
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(c, expected, atol=tolerance * scale, rtol=0)


def beside(wide, columns):
    return np.concatenate([wide[:, :2], wide[:, 2 + columns :]], 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("m", "k", "n"), SHAPES)
def test_products(dtype, m, k, n):
    a, b, (wide, c) = (
        block((m, k), dtype, 0)[1],
        block((k, n), dtype, 1)[1],
        block((m, n), dtype, 2),
    )
    expected, before = a.astype("float64") @ b.astype("float64"), beside(wide, n).copy()
    multiply(a, b, c)
    close(c, expected, dtype)
    np.testing.assert_array_equal(beside(wide, n), before)
    c[:] = np.nan
    multiply_transposed(np.ascontiguousarray(a.T), b, c)
    close(c, expected, dtype)
    np.testing.assert_array_equal(beside(wide, n), before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 7, 8, 16, 17, 48, 50, 97])
@pytest.mark.parametrize("k", [1, 128, 131])
def test_gram_has_the_lower_triangle(dtype, n, k):
    a, (wide, c) = block((k, n), dtype, 0)[1], block((n, n), dtype, 1)
    before = beside(wide, n).copy()
    gram(a, c)
    double = a.astype("float64")
    close(np.tril(c), np.tril(double.T @ double), dtype)
    np.testing.assert_array_equal(beside(wide, n), before)


def test_an_empty_inner_dimension_gives_zeros():
    for product in (multiply, multiply_transposed):
        c = np.full((3, 5), np.nan)
        a = np.zeros((3, 0)) if product is multiply else np.zeros((0, 3))
        product(a, np.zeros((0, 5)), c)
        np.testing.assert_array_equal(c, 0)


def test_nan_reaches_its_row_only():
    a, b, c = np.ones((9, 4)), np.ones((4, 20)), np.empty((9, 20))
    a[3, 1] = np.nan
    multiply(a, b, c)
    assert np.isnan(c[3]).all()
    assert np.isfinite(np.delete(c, 3, 0)).all()
