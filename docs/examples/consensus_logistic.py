"""Logistic regression with an elastic net by consensus ADMM, its data split by rows over MPI ranks.

    minimise  Σ_i log(1 + exp(-y_i a_iᵀx)) + l1 |z|_1 + l2/2 |z|^2      subject to x = z

Every rank holds some of the rows a_i with their labels -1 or 1, and a copy x_r of the coefficients;
one z is common to all. With the scaled multipliers u_r and P ranks:

    x_r = argmin of the rank's own loss + rho/2 |x - z + u_r|^2      Newton: gram, factor, solve
    z = prox of the elastic net / (rho P) at the mean of x_r + u_r   prox_elastic_net
    u_r = u_r + x_r - z

One sum of n + 1 numbers over the ranks is all that is sent in an iteration. The last column of the
data is 1 and its coefficient, the intercept, has weight 0 in both penalties.

    python consensus_logistic.py                 one rank; compares with saga of scikit-learn 1.8
    mpirun -n 2 python consensus_logistic.py     two ranks
"""

import numpy as np
from fastadmm.kernels import (
    factor_cholesky,
    grad_logistic_loss,
    gram,
    logistic_loss,
    prox_elastic_net,
    solve_cholesky,
)
from mpi4py import MPI
from numba import njit


@njit(cache=True)
def objective(rows, labels, centre, rho, x):
    distance = x - centre
    return logistic_loss(rows @ x, labels, 1.0) + 0.5 * rho * (distance @ distance)


@njit(cache=True)
def local_step(rows, labels, centre, rho, tol, x):
    """Minimise `objective` over x, starting from x, by Newton's method.

    A step is halved until the objective falls by a tenth of what its slope promises, or stays where
    it is but for rounding. Stops after a step that is nowhere longer than ``tol``.
    """
    m, n = rows.shape
    hessian, step, block = np.empty((n, n)), np.empty((1, n)), np.empty((256, n))
    slopes = np.empty(m)
    for _ in range(50):
        distance = x - centre
        loss = grad_logistic_loss(rows @ x, labels, 1.0, slopes)
        value = loss + 0.5 * rho * (distance @ distance)
        gradient = slopes @ rows + rho * distance
        # the loss has slope -y p and curvature p (1 - p)
        gram(rows, np.abs(slopes) * (1 - np.abs(slopes)), 0.0, 1.0, block, hessian)
        if factor_cholesky(hessian, rho, hessian) != 0:
            raise ValueError("rho is lost in the rounding of the Hessian: scale the data")
        step[0] = -gradient
        solve_cholesky(hessian, step, step)
        promise, rounding = 0.1 * (gradient @ step[0]), 1e-14 * value
        length = 1.0
        while (
            objective(rows, labels, centre, rho, x + length * step[0])
            > value + length * promise + rounding
        ):
            length /= 2
        x += length * step[0]
        if length * np.abs(step).max() <= tol:
            return


def fit(rows, labels, l1, l2, rho, comm=MPI.COMM_WORLD, tol=1e-8, max_iter=2000):
    """Coefficients and the number of iterations, the same on every rank of ``comm``.

    ``rows`` (m, n) and ``labels`` (m,) are those of this rank; ``l1`` and ``l2`` hold n weights.
    """
    n, ranks = rows.shape[1], comm.Get_size()
    x, z, u = np.zeros(n), np.zeros(n), np.zeros(n)
    for iteration in range(1, max_iter + 1):
        local_step(rows, labels, z - u, rho, 0.1 * tol, x)
        total = np.append(x + u, np.abs(x - z).max())
        comm.Allreduce(MPI.IN_PLACE, total)
        before, z = z, np.empty(n)
        prox_elastic_net.kernel(total[:n] / ranks, 1 / (rho * ranks), l1, l2, z)
        u += x - z
        # the sum over ranks bounds the distance of every x from the z before
        if max(total[n], np.abs(z - before).max()) < tol:
            return z, iteration
    return z, max_iter


def main():
    rng = np.random.default_rng(0)
    m, n, penalty, l1_ratio = 400, 20, 2.0, 0.5
    rows = np.hstack([rng.standard_normal((m, n)), np.ones((m, 1))])
    chance = 1 / (1 + np.exp(0.5 - rows[:, :4] @ [2.0, -1.0, 1.0, -0.5]))
    labels = np.where(rng.random(m) < chance, 1.0, -1.0)
    penalised = np.append(np.ones(n), 0.0)
    rank, ranks = MPI.COMM_WORLD.Get_rank(), MPI.COMM_WORLD.Get_size()
    own = slice(rank * m // ranks, (rank + 1) * m // ranks)
    l1, l2 = penalty * l1_ratio * penalised, penalty * (1 - l1_ratio) * penalised
    coefficients, iterations = fit(rows[own], labels[own], l1, l2, rho=m / ranks / 10)
    if rank == 0:
        compare(rows, labels, penalty, l1_ratio, coefficients, iterations, ranks)


def compare(rows, labels, penalty, l1_ratio, coefficients, iterations, ranks):
    from sklearn.linear_model import LogisticRegression

    peer = LogisticRegression(
        C=1 / penalty, l1_ratio=l1_ratio, solver="saga", tol=1e-10, max_iter=100_000
    )
    peer.fit(rows[:, :-1], labels)
    expected = np.append(peer.coef_, peer.intercept_)
    print(
        f"{ranks} rank(s): {iterations} iterations, {np.count_nonzero(coefficients)} coefficients, "
        f"at most {np.abs(coefficients - expected).max():.1e} from scikit-learn's"
    )


if __name__ == "__main__":
    main()
