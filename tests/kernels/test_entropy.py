"""The exponential cone by its conditions of optimality, and the simplex nearest in divergence."""

import numpy as np
import pytest

from fastadmm import kernels


def _triples():
    rng = np.random.default_rng(0)
    yield from rng.normal(size=(2000, 3))
    yield from rng.normal(size=(2000, 3)) * np.exp(rng.normal(scale=6, size=(2000, 3)))
    yield from np.array(
        [[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, -1, 0], [0, 0, -1], [0, 0, 0],
         [1, 1, 1], [1, -1, -1e-9], [-1, 1e-12, 1], [5, 1e-3, 2], [1e-9, -5, -2], [-3, -1, -2]],
        float,
    )  # fmt: skip


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_point_and_normal_are_in_the_cone_and_its_polar_and_orthogonal(scale):
    """Moreau: these conditions are sufficient. The polar cone is minus the dual one."""
    v = np.array(list(_triples()))
    projected = kernels.project_exponential_cone(scale * v)
    x = projected / scale
    size = np.abs(v).sum(axis=1)
    normal = v - x
    assert (np.abs((x * normal).sum(axis=1)) <= 1e-13 * size**2).all()
    for i in range(len(v)):
        assert kernels.indicator_exponential_cone(projected[i], 1e-11) == 0
        r, s, t = normal[i] / size[i] if size[i] else normal[i]
        if r > 1e-13:
            # r is what cancellation in v - x has left: it is known to eps, s / r accordingly
            rounding = np.exp(4 * np.finfo(float).eps * (1 + s / r) / r)
            assert r * np.exp(min(s / r, 700)) <= -np.e * t * rounding + 1e-12, (v[i], normal[i])
        else:
            assert max(s, t) < 1e-12, (v[i], normal[i])


def test_cone_at_its_edges():
    x = kernels.project_exponential_cone([[-2.0, 0.0, 3.0], [-2.0, -1.0, -3.0], [1.0, 1.0, 9.0]])
    np.testing.assert_array_equal(x, [[-2, 0, 3], [-2, 0, 0], [1, 1, 9]])
    assert np.isnan(kernels.project_exponential_cone([1.0, np.nan, 0.0])).all()
    narrow = kernels.project_exponential_cone(np.array([1.0, 2.0, 3.0], np.float32))
    wide = kernels.project_exponential_cone([1.0, 2.0, 3.0])
    np.testing.assert_allclose(narrow, wide, rtol=1e-6)
    with pytest.raises(ValueError, match=r"v has shape \(4,\): expected \(..., 3\)"):
        kernels.project_exponential_cone(np.ones(4))


def test_simplex_nearest_in_divergence():
    """No point of the simplex has a smaller divergence from v."""
    rng = np.random.default_rng(1)
    v = rng.random((3, 5)) * [[1e-300], [1.0], [1e300]]
    x = kernels.project_simplex_kl(v, 2.0)
    np.testing.assert_allclose(x.sum(axis=1), 2.0, rtol=1e-14)
    for y in rng.dirichlet(np.ones(5), 50):
        assert (x[1] * np.log(x[1] / v[1])).sum() <= (2 * y * np.log(2 * y / v[1])).sum()
    assert np.isnan(kernels.project_simplex_kl([[1.0, -1.0], [0.0, 0.0]])).all()
