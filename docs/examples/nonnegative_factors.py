"""Non-negative matrix factorisation: two factors in turn, each by FISTA on its own problem.

    minimise  1/2 |W H - V|_F^2  over  W >= 0, H >= 0

For one factor given the other this is convex: a gradient, and the projection onto the nonnegative
orthant. Every turn lowers the error.

    python nonnegative_factors.py        factors a matrix that is a product of rank four
"""

import numpy as np
from fastadmm.kernels import project_nonnegative
from fastadmm.kernels.solvers import fista
from numba import njit


@njit(cache=True)
def gradient(data, x, out):
    gram, linear = data
    m, k = linear.shape
    out[:] = (x.reshape(m, k) @ gram - linear).ravel()


@njit(cache=True)
def positive(data, v, step, out):
    return project_nonnegative(v, out)


@njit(cache=True)
def best_left(v, right, left, turns):
    """Improve ``left >= 0`` in ``|left right - v|^2``, in place."""
    gram, linear = right @ right.T, v @ right.T
    step = 1 / np.linalg.norm(gram, 2)
    work = np.empty((3, left.size))
    fista(gradient, positive, (gram, linear), step, 0.0, 0.0, turns, work, left.ravel())


@njit(cache=True)
def factors(v, left, right, rounds):
    """Factors (m, k) and (k, n) after a number of rounds from those that came."""
    transposed, other = np.ascontiguousarray(v.T), np.ascontiguousarray(right.T)
    for _ in range(rounds):
        best_left(v, np.ascontiguousarray(other.T), left, 20)
        best_left(transposed, np.ascontiguousarray(left.T), other, 20)
    return left, np.ascontiguousarray(other.T)


def main():
    rng = np.random.default_rng(0)
    v = rng.random((40, 4)) @ rng.random((4, 30))
    left, right = factors(v, rng.random((40, 4)), rng.random((4, 30)), 300)
    error = np.linalg.norm(left @ right - v) / np.linalg.norm(v)
    print(f"40 x 30, rank 4: least entry {min(left.min(), right.min()):g}, error {error:.1e}")


if __name__ == "__main__":
    main()
