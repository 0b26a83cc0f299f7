"""Elastic net by FISTA, inside one compiled function of your own.

    minimise  1/2 |A x - y|^2 + penalty |x|_1 + ridge/2 |x|^2

The smooth part has the gradient ``Aᵀ(A x - y)``, the rest a prox in one pass. In compiled code
`fista` is part of your function, which is cached with it.

    python elastic_net.py        compares with scikit-learn
"""

import numpy as np
from fastadmm.kernels import prox_elastic_net
from fastadmm.kernels.solvers import fista
from numba import njit


@njit(cache=True)
def gradient(data, x, out):
    rows, targets, _, _ = data
    out[:] = (rows @ x - targets) @ rows


@njit(cache=True)
def prox(data, v, step, out):
    return prox_elastic_net(v, step, data[2], data[3], out)


@njit(cache=True)
def elastic_net(rows, targets, penalty, ridge, tol, max_iter):
    """Coefficients, status (0: solved) and the number of iterations."""
    x, work = np.zeros(rows.shape[1]), np.empty((3, rows.shape[1]))
    step = 1 / np.linalg.norm(rows, 2) ** 2
    data = (rows, targets, penalty, ridge)
    status, iterations, _, _ = fista(gradient, prox, data, step, tol, 0.0, max_iter, work, x)
    return x, status, iterations


def main():
    from sklearn.linear_model import ElasticNet

    rng = np.random.default_rng(0)
    m, n = 200, 50
    rows = rng.standard_normal((m, n))
    targets = rows[:, :8] @ rng.standard_normal(8) + 0.1 * rng.standard_normal(m)
    x, status, iterations = elastic_net(rows, targets, 20.0, 5.0, 1e-11, 10_000)
    peer = ElasticNet(alpha=25 / m, l1_ratio=0.8, fit_intercept=False, tol=1e-12, max_iter=100_000)
    difference = np.abs(x - peer.fit(rows, targets).coef_).max()
    print(
        f"{m} x {n}: status {status}, {iterations} iterations, {np.count_nonzero(x)} coefficients, "
        f"at most {difference:.1e} from scikit-learn's"
    )


if __name__ == "__main__":
    main()
