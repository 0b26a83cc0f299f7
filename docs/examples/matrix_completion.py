"""Matrix completion: the matrix of least nuclear norm that agrees with some of its entries.

    minimise  |X|_*  over  X_ij = M_ij for the known (i, j)

Douglas-Rachford on the prox of the nuclear norm and the projection onto the known entries.

    python matrix_completion.py        recovers a matrix of rank two from half of its entries
"""

import numpy as np
from fastadmm.kernels import prox_nuclear_norm
from fastadmm.kernels.solvers import douglas_rachford
from numba import njit


@njit(cache=True)
def known(data, v, step, out):
    entries, mask, _ = data
    for i in range(len(v)):
        out[i] = entries[i] if mask[i] else v[i]


@njit(cache=True)
def low_rank(data, v, step, out):
    m, n = data[2]
    prox_nuclear_norm(v.reshape(m, n), step, 1.0, out.reshape(m, n))


@njit(cache=True)
def complete(matrix, mask, step, tol, max_iter):
    """The completed matrix, status (0: solved) and the number of iterations."""
    x, work = (matrix * mask).ravel(), np.empty((3, matrix.size))
    data = (matrix.ravel(), mask.ravel(), matrix.shape)
    status, iterations, _, _ = douglas_rachford(
        known, low_rank, data, step, 1.5, tol, 0.0, max_iter, work, x
    )
    return x.reshape(matrix.shape), status, iterations


def main():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((30, 2)) @ rng.standard_normal((2, 24))
    mask = rng.random(matrix.shape) < 0.5
    x, status, iterations = complete(matrix, mask, 5.0, 1e-9, 5_000)
    difference = np.abs(x - matrix).max()
    print(
        f"30 x 24, {mask.mean():.0%} known: status {status}, {iterations} iterations, "
        f"at most {difference:.1e} from the matrix"
    )


if __name__ == "__main__":
    main()
