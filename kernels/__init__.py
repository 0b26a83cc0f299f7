"""Compiled kernels for proximal methods: losses, activations, their proxes, linear systems.

Every name is a Python function that validates, converts and allocates. Used inside ``@njit`` code
the same name is the compiled kernel, with the kernel's arguments: the docstring of each shows them
after "In compiled code". ``name.kernel`` is the kernel itself, which checks nothing.

Penalties
    elastic_net, entropy, huber, l1, log_barrier, squared_l2, l0, l_half, l_two_thirds, log_sum,
    mcp, scad, fused_lasso, group_lasso, group_mcp, group_scad, huber_norm, l2_norm, linf_norm,
    sorted_l1, sparse_group_lasso, sum_largest, total_variation, tree_lasso, nuclear_norm
Their proxes
    prox_elastic_net, prox_entropy, prox_huber, prox_l1, prox_log_barrier, prox_squared_l2,
    prox_l0, prox_l_half, prox_l_two_thirds, prox_log_sum, prox_mcp, prox_scad,
    prox_fused_lasso, prox_group_lasso, prox_group_mcp, prox_group_scad, prox_huber_norm,
    prox_l2_norm, prox_linf_norm, prox_sorted_l1, prox_sparse_group_lasso, prox_sum_largest,
    prox_total_variation, prox_tree_lasso, prox_nuclear_norm
Proxes in the metric of a matrix
    metric_box, metric_group, metric_l1, metric_nonnegative
Projections onto sets
    project_affine, project_box, project_capped_simplex, project_exponential_cone,
    project_isotonic, project_l1_ball, project_l2_ball, project_linf_ball, project_nonnegative,
    project_orthogonal, project_permutahedron, project_positive_semidefinite, project_rank,
    project_second_order_cone, project_simplex, project_simplex_kl, project_sparse,
    project_spectral_ball
Indicators of sets
    indicator_affine, indicator_box, indicator_capped_simplex, indicator_exponential_cone,
    indicator_isotonic, indicator_l1_ball, indicator_l2_ball, indicator_linf_ball,
    indicator_nonnegative, indicator_orthogonal, indicator_permutahedron,
    indicator_positive_semidefinite, indicator_rank, indicator_second_order_cone,
    indicator_simplex, indicator_sparse, indicator_spectral_ball
Losses
    absolute_loss, cross_entropy_loss, hinge_loss, huber_loss, logistic_loss, poisson_loss,
    quantile_loss, squared_hinge_loss, squared_loss
Their gradients
    grad_absolute_loss, grad_cross_entropy_loss, grad_hinge_loss, grad_huber_loss,
    grad_logistic_loss, grad_poisson_loss, grad_quantile_loss, grad_squared_hinge_loss,
    grad_squared_loss
Their proxes
    prox_absolute_loss, prox_cross_entropy_loss, prox_hinge_loss, prox_huber_loss,
    prox_logistic_loss, prox_poisson_loss, prox_quantile_loss, prox_squared_hinge_loss,
    prox_squared_loss
Activations
    hard_sigmoid_activation, hard_tanh_activation, identity_activation,
    leaky_relu_activation, relu_activation, sigmoid_activation, silu_activation,
    softplus_activation, tanh_activation
Their derivatives
    grad_hard_sigmoid_activation, grad_hard_tanh_activation, grad_identity_activation,
    grad_leaky_relu_activation, grad_relu_activation, grad_sigmoid_activation,
    grad_silu_activation, grad_softplus_activation, grad_tanh_activation
Their proxes
    prox_hard_sigmoid_activation, prox_hard_tanh_activation, prox_identity_activation,
    prox_leaky_relu_activation, prox_relu_activation, prox_sigmoid_activation,
    prox_silu_activation, prox_softplus_activation, prox_tanh_activation
Products with their Jacobians
    vjp_project_box, vjp_project_capped_simplex, vjp_project_isotonic, vjp_project_l1_ball,
    vjp_project_l2_ball, vjp_project_linf_ball, vjp_project_nonnegative,
    vjp_project_positive_semidefinite, vjp_project_second_order_cone, vjp_project_simplex,
    vjp_prox_absolute_loss, vjp_prox_cross_entropy_loss, vjp_prox_elastic_net, vjp_prox_entropy,
    vjp_prox_fused_lasso, vjp_prox_group_lasso, vjp_prox_hinge_loss, vjp_prox_huber,
    vjp_prox_huber_loss, vjp_prox_huber_norm, vjp_prox_l0, vjp_prox_l1, vjp_prox_l2_norm,
    vjp_prox_l_half, vjp_prox_l_two_thirds, vjp_prox_linf_norm, vjp_prox_log_barrier,
    vjp_prox_log_sum, vjp_prox_logistic_loss, vjp_prox_mcp, vjp_prox_poisson_loss,
    vjp_prox_quantile_loss, vjp_prox_scad, vjp_prox_squared_hinge_loss, vjp_prox_squared_l2,
    vjp_prox_squared_loss, vjp_prox_sum_largest, vjp_prox_total_variation
Linear systems
    cross_gram, gram, mirror_lower, downdate_cholesky, factor_cholesky, solve_cholesky,
    update_cholesky, factor_ridge, ridge_regression, solve_ridge, factor_low_rank,
    solve_low_rank, TokenGram, factor_token_gram, factor_tokens, solve_tokens, token_gram,
    factor_block_tridiagonal, factor_tridiagonal, solve_block_tridiagonal,
    solve_tridiagonal, conjugate_gradients, AffineFactor, factor_affine

Modules are loaded when a name of theirs is first asked for.
"""

import importlib

_NAMES = {
    "operators.activation_proxes": (
        "prox_hard_sigmoid_activation",
        "prox_hard_tanh_activation",
        "prox_identity_activation",
        "prox_leaky_relu_activation",
        "prox_relu_activation",
        "prox_sigmoid_activation",
        "prox_silu_activation",
        "prox_softplus_activation",
        "prox_tanh_activation",
    ),
    "operators.affine": (
        "AffineFactor",
        "factor_affine",
        "indicator_affine",
        "project_affine",
    ),
    "systems.cholesky": (
        "downdate_cholesky",
        "factor_cholesky",
        "solve_cholesky",
        "update_cholesky",
    ),
    "operators.cross_entropy": (
        "cross_entropy_loss",
        "grad_cross_entropy_loss",
        "prox_cross_entropy_loss",
    ),
    "systems.grams": (
        "cross_gram",
        "gram",
        "mirror_lower",
    ),
    "operators.groups": (
        "group_lasso",
        "l2_norm",
        "linf_norm",
        "prox_group_lasso",
        "prox_l2_norm",
        "prox_linf_norm",
        "prox_sparse_group_lasso",
        "sparse_group_lasso",
    ),
    "operators.loss_proxes": (
        "prox_absolute_loss",
        "prox_hinge_loss",
        "prox_huber_loss",
        "prox_logistic_loss",
        "prox_poisson_loss",
        "prox_quantile_loss",
        "prox_squared_hinge_loss",
        "prox_squared_loss",
    ),
    "systems.low_rank": (
        "factor_low_rank",
        "solve_low_rank",
    ),
    "systems.matrix_free": ("conjugate_gradients",),
    "systems.metric": (
        "metric_box",
        "metric_group",
        "metric_l1",
        "metric_nonnegative",
    ),
    "operators.nonconvex": (
        "l0",
        "l_half",
        "l_two_thirds",
        "log_sum",
        "mcp",
        "prox_l0",
        "prox_l_half",
        "prox_l_two_thirds",
        "prox_log_sum",
        "prox_mcp",
        "prox_scad",
        "scad",
    ),
    "operators.penalties": (
        "elastic_net",
        "huber",
        "l1",
        "prox_elastic_net",
        "prox_huber",
        "prox_l1",
        "prox_squared_l2",
        "squared_l2",
    ),
    "operators.pointwise_activations": (
        "grad_hard_sigmoid_activation",
        "grad_hard_tanh_activation",
        "grad_identity_activation",
        "grad_leaky_relu_activation",
        "grad_relu_activation",
        "grad_sigmoid_activation",
        "grad_silu_activation",
        "grad_softplus_activation",
        "grad_tanh_activation",
        "hard_sigmoid_activation",
        "hard_tanh_activation",
        "identity_activation",
        "leaky_relu_activation",
        "relu_activation",
        "sigmoid_activation",
        "silu_activation",
        "softplus_activation",
        "tanh_activation",
    ),
    "operators.pointwise_losses": (
        "absolute_loss",
        "grad_absolute_loss",
        "grad_hinge_loss",
        "grad_huber_loss",
        "grad_logistic_loss",
        "grad_poisson_loss",
        "grad_quantile_loss",
        "grad_squared_hinge_loss",
        "grad_squared_loss",
        "hinge_loss",
        "huber_loss",
        "logistic_loss",
        "poisson_loss",
        "quantile_loss",
        "squared_hinge_loss",
        "squared_loss",
    ),
    "operators.projections": (
        "indicator_box",
        "indicator_l1_ball",
        "indicator_l2_ball",
        "indicator_linf_ball",
        "indicator_nonnegative",
        "indicator_second_order_cone",
        "indicator_simplex",
        "project_box",
        "project_l1_ball",
        "project_l2_ball",
        "project_linf_ball",
        "project_nonnegative",
        "project_second_order_cone",
        "project_simplex",
    ),
    "systems.ridge": (
        "factor_ridge",
        "ridge_regression",
        "solve_ridge",
    ),
    "operators.ordered": (
        "indicator_isotonic",
        "indicator_permutahedron",
        "indicator_sparse",
        "project_isotonic",
        "project_permutahedron",
        "project_sparse",
        "prox_sorted_l1",
        "sorted_l1",
        "sum_largest",
    ),
    "operators.capped": (
        "indicator_capped_simplex",
        "project_capped_simplex",
        "prox_sum_largest",
    ),
    "operators.curvatures": (
        "vjp_project_box",
        "vjp_project_nonnegative",
        "vjp_prox_absolute_loss",
        "vjp_prox_elastic_net",
        "vjp_prox_entropy",
        "vjp_prox_hinge_loss",
        "vjp_prox_huber",
        "vjp_prox_huber_loss",
        "vjp_prox_l0",
        "vjp_prox_l1",
        "vjp_prox_l_half",
        "vjp_prox_l_two_thirds",
        "vjp_prox_log_barrier",
        "vjp_prox_log_sum",
        "vjp_prox_logistic_loss",
        "vjp_prox_mcp",
        "vjp_prox_poisson_loss",
        "vjp_prox_quantile_loss",
        "vjp_prox_scad",
        "vjp_prox_squared_hinge_loss",
        "vjp_prox_squared_l2",
        "vjp_prox_squared_loss",
    ),
    "operators.jacobians": (
        "vjp_project_capped_simplex",
        "vjp_project_isotonic",
        "vjp_project_l1_ball",
        "vjp_project_l2_ball",
        "vjp_project_linf_ball",
        "vjp_project_positive_semidefinite",
        "vjp_project_second_order_cone",
        "vjp_project_simplex",
        "vjp_prox_cross_entropy_loss",
        "vjp_prox_fused_lasso",
        "vjp_prox_group_lasso",
        "vjp_prox_huber_norm",
        "vjp_prox_l2_norm",
        "vjp_prox_linf_norm",
        "vjp_prox_sum_largest",
        "vjp_prox_total_variation",
    ),
    "operators.entropy": (
        "entropy",
        "indicator_exponential_cone",
        "log_barrier",
        "project_exponential_cone",
        "project_simplex_kl",
        "prox_entropy",
        "prox_log_barrier",
    ),
    "operators.bent_groups": (
        "group_mcp",
        "group_scad",
        "huber_norm",
        "prox_group_mcp",
        "prox_group_scad",
        "prox_huber_norm",
        "prox_tree_lasso",
        "tree_lasso",
    ),
    "operators.spectral_sets": (
        "indicator_orthogonal",
        "indicator_rank",
        "indicator_spectral_ball",
        "project_orthogonal",
        "project_rank",
        "project_spectral_ball",
    ),
    "operators.spectral": (
        "indicator_positive_semidefinite",
        "nuclear_norm",
        "project_positive_semidefinite",
        "prox_nuclear_norm",
    ),
    "systems.tokens": (
        "TokenGram",
        "factor_token_gram",
        "factor_tokens",
        "solve_tokens",
        "token_gram",
    ),
    "systems.tridiagonal": (
        "factor_block_tridiagonal",
        "factor_tridiagonal",
        "solve_block_tridiagonal",
        "solve_tridiagonal",
    ),
    "operators.variation": (
        "fused_lasso",
        "prox_fused_lasso",
        "prox_total_variation",
        "total_variation",
    ),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value  # the next time it is found before this function is asked
    return value


def __dir__():
    return sorted([*globals(), *_MODULE_OF])
