"""Penalties, sets and losses as pyproximal and cvxpy spell them."""

from .penalties import boundaries, equations, tree


def pyproximal_prox(case, n):
    """pyproximal's ``prox(v, step)`` for vectors of length n, or None where it has none.

    Matrices are (n, n). It has no affine set with a kept factor (its own solves iteratively). Its
    L0 (0.13) thresholds at ``step sigma`` in place of ``sqrt(2 step sigma)``: sigma is set so that
    the thresholds agree. Its Huber prox is not the minimiser between delta and delta + step.
    """
    import pyproximal as pp

    weight = case.weights[0] if case.weights else None

    def l0(v, step):
        return pp.L0((2 * weight / step) ** 0.5).prox(v, step)

    def huber(v, step):  # its function is divided by delta
        delta = case.parameters[0]
        return pp.Huber(delta).prox(v, step * weight * delta)

    if case.name in ("l0", "huber"):
        return {"l0": l0, "huber": huber}[case.name]
    makers = {
        "l1": lambda: pp.L1(weight),
        "squared_l2": lambda: pp.L2(sigma=weight),
        "scad": lambda: pp.SCAD(weight, *case.parameters),
        "l2_norm": lambda: pp.Euclidean(weight),
        "total_variation": lambda: pp.TV((n,), weight, niter=1000, rtol=1e-6),
        "nuclear_norm": lambda: pp.Nuclear((n, n), weight),
        "box": lambda: pp.Box(*case.parameters),
        "nonnegative": lambda: pp.Box(0.0),
        "l2_ball": lambda: pp.EuclideanBall(0.0, *case.parameters),
        "l1_ball": lambda: pp.L1Ball(n, *case.parameters),
        "simplex": lambda: pp.Simplex(n, *case.parameters),
    }
    return makers[case.name]().prox if case.name in makers else None


def cvxpy_prox(case, v, step):
    """Point and least value of a prox by an interior-point method, from its documented argmin."""
    import cvxpy as cp

    x = cp.Variable(v.shape)
    n = v.shape[-1]
    weights, groups = case.weights_for(n), boundaries(n)
    parameters = case.twin_parameters(n)

    def group_norms():
        starts, stops = groups[:-1], groups[1:]
        return sum(cp.norm2(x[a:b]) for a, b in zip(starts, stops, strict=True) if a < b)

    penalties = {
        "l1": lambda: weights[0] * cp.norm1(x),
        "squared_l2": lambda: weights[0] / 2 * cp.sum_squares(x),
        "elastic_net": lambda: weights[0] * cp.norm1(x) + weights[1] / 2 * cp.sum_squares(x),
        "huber": lambda: weights[0] / 2 * cp.sum(cp.huber(x, case.parameters[0])),
        "l2_norm": lambda: weights[0] * cp.norm2(x),
        "linf_norm": lambda: weights[0] * cp.norm_inf(x),
        "group_lasso": lambda: weights[0] * group_norms(),
        "sparse_group_lasso": lambda: weights[0] * cp.norm1(x) + weights[1] * group_norms(),
        "total_variation": lambda: weights[0] * cp.tv(x),
        "nuclear_norm": lambda: weights[0] * cp.normNuc(x),
        "log_barrier": lambda: -weights[0] * cp.sum(cp.log(x)),
        "entropy": lambda: -weights[0] * cp.sum(cp.entr(x)),
        "huber_norm": lambda: weights[0] / 2 * cp.huber(cp.norm2(x), parameters[0]),
        "tree_lasso": lambda: weights[0] * sum(cp.norm2(x[a:b]) for a, b in tree(n) if a < b),
        "sorted_l1": lambda: cp.dotsort(cp.abs(x), weights[0]),
        "sum_largest": lambda: weights[0] * cp.sum_largest(x, parameters[0]),
        "fused_lasso": lambda: weights[0] * cp.norm1(x) + weights[1] * cp.tv(x),
    }
    sets = {
        "capped_simplex": lambda: [x >= 0, x <= parameters[0], cp.sum(x) == parameters[1]],
        "isotonic": lambda: [cp.diff(x) >= 0],
        "permutahedron": lambda: [
            *(cp.sum_largest(x, k) <= parameters[0][:k].sum() for k in range(1, n)),
            cp.sum(x) == parameters[0].sum(),
        ],
        "spectral_ball": lambda: [cp.sigma_max(x) <= parameters[0]],
        "box": lambda: [x >= case.parameters[0], x <= case.parameters[1]],
        "nonnegative": lambda: [x >= 0],
        "l2_ball": lambda: [cp.norm2(x) <= case.parameters[0]],
        "l1_ball": lambda: [cp.norm1(x) <= case.parameters[0]],
        "linf_ball": lambda: [cp.norm_inf(x) <= case.parameters[0]],
        "simplex": lambda: [x >= 0, cp.sum(x) == case.parameters[0]],
        "affine": lambda: [equations(n)[0] @ x == equations(n)[1]],
        "second_order_cone": lambda: [cp.norm2(x[1:]) <= x[0]],
        "positive_semidefinite": lambda: [x == x.T, x >> 0],
    }
    distance = cp.sum_squares(x - v) / (2 * step)
    if case.is_set:
        problem = cp.Problem(cp.Minimize(distance), sets[case.name]())
    else:
        problem = cp.Problem(cp.Minimize(distance + penalties[case.name]()))
    problem.solve(cp.CLARABEL)
    return x.value, problem.value


def cvxpy_loss_prox(name, v, y, parameters, step, weight):
    """The same for a loss of the entries."""
    import cvxpy as cp

    x = cp.Variable(v.shape)
    losses = {
        "squared": lambda: cp.sum_squares(x - y) / 2,
        "absolute": lambda: cp.norm1(x - y),
        "huber": lambda: cp.sum(cp.huber(x - y, *parameters)) / 2,
        "quantile": lambda: cp.sum(
            cp.maximum(parameters[0] * (y - x), (parameters[0] - 1) * (y - x))
        ),
        "logistic": lambda: cp.sum(cp.logistic(-cp.multiply(y, x))),
        "hinge": lambda: cp.sum(cp.pos(1 - cp.multiply(y, x))),
        "squared_hinge": lambda: cp.sum_squares(cp.pos(1 - cp.multiply(y, x))) / 2,
        "poisson": lambda: cp.sum(cp.exp(x) - cp.multiply(y, x)),
    }
    objective = weight * losses[name]() + cp.sum_squares(x - v) / (2 * step)
    problem = cp.Problem(cp.Minimize(objective))
    problem.solve(cp.CLARABEL)
    return x.value, problem.value
