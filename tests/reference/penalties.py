"""Slow twins of the penalties and sets: plain NumPy and SciPy, one formula each, one row at a time.

``VALUE[name](x, *parameters, *weights)`` and ``PROX[name](v, *parameters, step, *weights)`` for
penalties, ``PROJECTION[name](v, *parameters)`` for sets.
"""

import numpy as np
import scipy.optimize
import scipy.special


def parts(x, groups):
    return np.split(x, groups[1:-1])


def mcp(x, gamma, w):
    a = np.abs(x)
    return np.where(a <= gamma * w, w * a - a * a / (2 * gamma), gamma * w * w / 2)


def scad(x, gamma, w):
    a = np.abs(x)
    middle = (2 * gamma * w * a - a * a - w * w) / (2 * (gamma - 1))
    return np.where(a <= w, w * a, np.where(a <= gamma * w, middle, w * w * (gamma + 1) / 2))


def huber(x, delta):
    a = np.abs(x)
    return np.where(a <= delta, a * a / 2, delta * (a - delta / 2))


def group_lasso(x, groups, weight):
    norms = np.array([np.linalg.norm(part) for part in parts(x, groups)])
    return np.sum(weight * norms)


def largest(x, k):
    return np.sort(x)[::-1][:k]


def tree_lasso(x, groups, weight):
    return sum(weight * np.linalg.norm(x[start:stop]) for start, stop in groups)


def of_group_norms(penalty, x, groups, gamma, weight):
    norms = np.array([np.linalg.norm(part) for part in parts(x, groups)])
    return np.sum(penalty(norms, gamma, weight))


VALUE = {
    "log_barrier": lambda x, w: -np.sum(w * np.log(x, where=x > 0, out=np.full_like(x, -np.inf))),
    "entropy": lambda x, w: -np.sum(w * scipy.special.entr(x)),
    "l_two_thirds": lambda x, w: np.sum(w * np.cbrt(x * x)),
    "log_sum": lambda x, scale, w: np.sum(w * np.log1p(np.abs(x) / scale)),
    "group_mcp": lambda *arguments: of_group_norms(mcp, *arguments),
    "group_scad": lambda *arguments: of_group_norms(scad, *arguments),
    "huber_norm": lambda x, delta, w: w * huber(np.linalg.norm(x), delta),
    "tree_lasso": tree_lasso,
    "sorted_l1": lambda x, w: np.sum(w * largest(np.abs(x), len(x))),
    "sum_largest": lambda x, k, w: w * largest(x, k).sum(),
    "fused_lasso": lambda x, w, u: w * np.abs(x).sum() + np.sum(u * np.abs(np.diff(x))),
    "l1": lambda x, w: np.sum(w * np.abs(x)),
    "squared_l2": lambda x, w: np.sum(w * x * x) / 2,
    "elastic_net": lambda x, w, r: np.sum(w * np.abs(x) + r * x * x / 2),
    "huber": lambda x, delta, w: np.sum(w * huber(x, delta)),
    "l0": lambda x, w: np.sum(w * (x != 0)),
    "l_half": lambda x, w: np.sum(w * np.sqrt(np.abs(x))),
    "mcp": lambda x, gamma, w: np.sum(mcp(x, gamma, w)),
    "scad": lambda x, gamma, w: np.sum(scad(x, gamma, w)),
    "l2_norm": lambda x, w: w * np.linalg.norm(x),
    "linf_norm": lambda x, w: w * np.max(np.abs(x), initial=0),
    "group_lasso": group_lasso,
    "sparse_group_lasso": lambda x, groups, w, u: np.sum(w * np.abs(x)) + group_lasso(x, groups, u),
    "total_variation": lambda x, w: np.sum(w * np.abs(np.diff(x))),
    "nuclear_norm": lambda x, w: w * np.linalg.svd(x, compute_uv=False).sum(),
}


def soft(v, tau):
    return np.sign(v) * np.maximum(np.abs(v) - tau, 0)


def project_simplex(v, total):
    """By sorting: theta from the largest number of entries that stay positive.

    The set is the same seen from any point along (1, ..., 1): from the largest entry, theta is of
    the size of the result, and does not drown in that of v.
    """
    v = v - v.max()
    u = np.sort(v)[::-1]
    theta = (np.cumsum(u) - total) / np.arange(1, len(u) + 1)
    return np.maximum(v - theta[u > theta][-1], 0)


def project_l1_ball(v, radius):
    if np.abs(v).sum() <= radius:
        return v
    return np.sign(v) * project_simplex(np.abs(v), radius)


def prox_group_lasso(v, groups, step, weight):
    taus = np.broadcast_to(step * weight, len(groups) - 1)
    shrunk = [block_soft(part, tau) for part, tau in zip(parts(v, groups), taus, strict=True)]
    return np.concatenate(shrunk)


def block_soft(v, tau):
    size = np.linalg.norm(v)
    return v * (1 - tau / size) if size > tau else 0 * v


def prox_sparse_group_lasso(v, groups, step, weight, group_weight):
    return prox_group_lasso(soft(v, step * weight), groups, step, group_weight)


def prox_total_variation(v, step, weight):
    """Bounded least squares for the dual: x = v - D^T u, |u_j| <= step weight_j."""
    bound = np.broadcast_to(step * weight + 1e-300, len(v) - 1)
    d = np.diff(np.eye(len(v)), axis=0)
    u = scipy.optimize.lsq_linear(d.T, v, (-bound, bound), method="bvls", tol=1e-14).x
    return v - d.T @ u


def prox_nuclear_norm(v, step, weight):
    u, s, vt = np.linalg.svd(v, full_matrices=False)
    return (u * np.maximum(s - step * weight, 0)) @ vt


def prox_entropy(v, step, weight):
    """Newton's method for ``u + log(u) = z`` with ``x = tau u``, from the right start."""
    tau = step * weight
    z = v / tau - 1 - np.log(tau)
    u = np.where(z > 1, z, np.exp(np.minimum(z, 1)))
    for _ in range(60):
        small = z < -60  # u is exp(z) there
        safe = np.where(small, 1, u)
        u = np.where(small, u, safe * (1 + z - np.log(safe)) / (1 + safe))
    return tau * u


def prox_log_barrier(v, step, weight):
    root = np.hypot(v, 2 * np.sqrt(step * weight))
    return np.where(v > 0, (v + root) / 2, 2 * step * weight / (root - v))


def prox_tree_lasso(v, groups, step, weight):
    x = v.copy()
    for start, stop in groups:
        x[start:stop] = block_soft(x[start:stop], step * weight)
    return x


def prox_sorted_l1(v, step, weight):
    order = np.argsort(-np.abs(v), kind="stable")
    falling = -scipy.optimize.isotonic_regression(-(np.abs(v)[order] - step * weight)).x
    x = np.empty_like(falling)
    x[order] = np.maximum(falling, 0)
    return np.sign(v) * x


def project_capped_simplex(v, cap, total):
    """The sum is piecewise linear in theta: between two bends it is interpolated."""
    v = v - v.max()
    bends = np.sort(np.append(v, v - cap))
    sums = np.array([np.clip(v - bend, 0, cap).sum() for bend in bends])
    after = np.searchsorted(-sums, -total)
    if sums[after] == total or after == 0:
        return np.clip(v - bends[after], 0, cap)
    low, high = bends[after - 1], bends[after]
    part = (sums[after - 1] - total) / (sums[after - 1] - sums[after])
    return np.clip(v - (low + part * (high - low)), 0, cap)


def prox_sum_largest(v, k, step, weight):
    tau = step * weight
    return v - project_capped_simplex(v, tau, k * tau) if k else v


def prox_huber_norm(v, delta, step, weight):
    size, tau = np.linalg.norm(v), step * weight
    return v / (1 + tau) if size <= delta * (1 + tau) else v * (1 - tau * delta / size)


PROX = {
    "log_barrier": prox_log_barrier,
    "entropy": prox_entropy,
    "huber_norm": prox_huber_norm,
    "tree_lasso": prox_tree_lasso,
    "sorted_l1": prox_sorted_l1,
    "sum_largest": prox_sum_largest,
    "fused_lasso": lambda v, s, w, u: soft(prox_total_variation(v, s, u), s * w),
    "l1": lambda v, s, w: soft(v, s * w),
    "squared_l2": lambda v, s, w: v / (1 + s * w),
    "elastic_net": lambda v, s, w, r: soft(v, s * w) / (1 + s * r),
    "huber": lambda v, delta, s, w: v - s * w * np.clip(v / (1 + s * w), -delta, delta),
    "l2_norm": lambda v, s, w: block_soft(v, s * w),
    "linf_norm": lambda v, s, w: v - project_l1_ball(v, s * w),
    "group_lasso": prox_group_lasso,
    "sparse_group_lasso": prox_sparse_group_lasso,
    "total_variation": prox_total_variation,
    "nuclear_norm": prox_nuclear_norm,
}


def project_second_order_cone(v):
    t, z = v[0], v[1:]
    size = np.linalg.norm(z)
    if size <= t:
        return v
    if size <= -t:
        return 0 * v
    return (t + size) / 2 * np.append(1, z / size)


def project_positive_semidefinite(v):
    values, vectors = np.linalg.eigh((v + v.T) / 2)
    return (vectors * np.maximum(values, 0)) @ vectors.T


def project_permutahedron(v, corner):
    """Pools of the sorted difference that are out of order become one; their means stay apart."""
    order, pools = np.argsort(-v, kind="stable"), []
    for vj, cj in zip(v[order], np.sort(corner)[::-1], strict=True):
        pool = [vj], [cj]
        while pools and _level(pools[-1]) <= _level(pool):
            before = pools.pop()
            pool = before[0] + pool[0], before[1] + pool[1]
        pools.append(pool)
    x = np.empty_like(v)
    x[order] = np.concatenate([np.array(a) - np.mean(a) + np.mean(b) for a, b in pools])
    return x


def _level(pool):
    return np.mean(pool[0]) - np.mean(pool[1])


def project_sparse(v, k):
    x = np.zeros_like(v)
    kept = np.argsort(-np.abs(v), kind="stable")[:k]
    x[kept] = v[kept]
    return x


def with_values(v, change):
    u, s, vt = np.linalg.svd(v, full_matrices=False)
    return (u * change(s)) @ vt


PROJECTION = {
    "capped_simplex": project_capped_simplex,
    "isotonic": lambda v: scipy.optimize.isotonic_regression(v.astype(float)).x,
    "permutahedron": project_permutahedron,
    "sparse": project_sparse,
    "spectral_ball": lambda v, radius: with_values(v, lambda s: np.minimum(s, radius)),
    "rank": lambda v, k: with_values(v, lambda s: s * (np.arange(len(s)) < k)),
    "orthogonal": lambda v: with_values(v, np.ones_like),
    "box": lambda v, lower, upper: np.minimum(np.maximum(v, lower), upper),
    "nonnegative": lambda v: np.maximum(v, 0),
    "l2_ball": lambda v, radius: v * min(1, radius / max(np.linalg.norm(v), 1e-300)),
    "l1_ball": project_l1_ball,
    "linf_ball": lambda v, radius: np.clip(v, -radius, radius),
    "simplex": project_simplex,
    "affine": lambda v, a, b: v - np.linalg.lstsq(a, a @ v - b, rcond=None)[0],
    "second_order_cone": project_second_order_cone,
    "positive_semidefinite": project_positive_semidefinite,
}
