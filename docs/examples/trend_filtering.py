"""Trend filtering: a line with few bends through noisy data, by ADMM over total variation.

    minimise  1/2 |x - y|^2 + penalty sum_j |x_j - 2 x_(j+1) + x_(j+2)|

The penalty is the total variation of the differences D x, whose prox is exact and linear in time
(Ramdas and Tibshirani, 2016). So ADMM splits z = D x, and the step of x is a tridiagonal system.
For the differences alone that step is the prox of a smooth function:

    prox of f at v is D x,    x = argmin 1/2 |x - y|^2 + rho/2 |D x - v|^2

    python trend_filtering.py        checks that no direction leads down
"""

import numpy as np
from fastadmm.kernels import factor_tridiagonal, prox_total_variation, solve_tridiagonal
from fastadmm.kernels.solvers import admm
from numba import njit


@njit(cache=True)
def fit(data, v, step, out):
    """The line for differences near v, in ``data[0]``; its own differences are the result."""
    line, y, pivots, multipliers, right, work, _, _ = data
    n = len(y)
    for j in range(n):
        right[0, j] = y[j] * step + (v[j - 1] if j > 0 else 0.0) - (v[j] if j < n - 1 else 0.0)
    solve_tridiagonal(pivots, multipliers, right, work, right)
    line[:] = right[0]
    for j in range(n - 1):
        out[j] = line[j + 1] - line[j]


@njit(cache=True)
def few_bends(data, v, step, out):
    penalty, hulls = data[6], data[7]
    n = len(v)
    prox_total_variation(v.reshape(1, n), step, penalty, hulls, out.reshape(1, n))


@njit(cache=True)
def trend(y, penalty, rho, tol, max_iter):
    """The line, status (0: solved) and the number of iterations."""
    n = len(y)
    pivots, multipliers = np.empty(n), np.empty(n - 1)
    diagonal = np.full(n, 2 + 1 / rho)
    diagonal[0] = diagonal[-1] = 1 + 1 / rho
    factor_tridiagonal(diagonal, np.full(n - 1, -1.0), pivots, multipliers)
    line, right, work = np.zeros(n), np.empty((1, n)), np.empty((n, 16))
    data = (line, y, pivots, multipliers, right, work, penalty, np.empty((4, n + 1)))
    z, space = np.zeros(n - 1), np.empty((3, n - 1))
    status, iterations, _, _ = admm(fit, few_bends, data, rho, 1.6, tol, 0.0, max_iter, space, z)
    return line, status, iterations


def main():
    rng = np.random.default_rng(0)
    n, penalty = 200, 20.0
    shape = np.interp(np.arange(n), [0, 60, 110, 199], [0.0, 3.0, -1.0, 1.0])
    y = shape + 0.3 * rng.standard_normal(n)
    line, status, iterations = trend(y, penalty, 30.0, 1e-9, 20_000)

    # with the second differences E x: x = y - Eᵀ u, |u| <= penalty, u at its bound in a bend
    second = np.diff(np.eye(n), 2, axis=0)
    u = np.linalg.lstsq(second.T, y - line, rcond=None)[0]
    bends = np.abs(second @ line) > 1e-5
    slack = max(np.abs(u).max() - penalty, (penalty - np.abs(u[bends])).max(), 0.0)
    print(
        f"{n} points: status {status}, {iterations} iterations, {bends.sum()} bends, "
        f"dual violated by at most {slack:.1e}"
    )


if __name__ == "__main__":
    main()
