"""The penalties and sets, each with parameters, for tests and benchmarks alike.

``shape`` is what the operator acts on: every ``entry``, every ``row``, or one ``matrix``. Numbers
are exact in float32.
"""

from dataclasses import dataclass

import numpy as np

from fastadmm import kernels


def boundaries(n):
    """Groups of unequal size, one of them empty."""
    return np.array([0, n // 4, n // 4, n // 2, n], np.int64)


def tree(n):
    """Intervals, each after those that it holds."""
    half, quarter = n // 2, n // 4
    return np.array([[0, quarter], [quarter, half], [0, half], [half, n], [0, n]], np.int64)


def corner(n):
    """A corner of a permutahedron, from the largest down."""
    return np.linspace(2, -1, n)


def falling(n):
    """Weights of a sorted norm."""
    return np.linspace(1.5, 0.25, n)


def equations(n):
    """A few equations in n unknowns."""
    rng = np.random.default_rng(7)
    m = min(n, 3)
    return rng.normal(size=(m, n)), rng.normal(size=m)


@dataclass(frozen=True)
class Case:
    name: str
    parameters: tuple = ()
    weights: tuple = (0.75,)
    shape: str = "entry"
    convex: bool = True
    is_set: bool = False
    cone: bool = False

    def __str__(self):
        return self.name

    @property
    def value(self):
        return getattr(kernels, f"indicator_{self.name}" if self.is_set else self.name)

    @property
    def prox(self):
        return getattr(kernels, f"project_{self.name}" if self.is_set else f"prox_{self.name}")

    def _parameters(self, n):
        of_length = {
            "affine": lambda: (kernels.factor_affine(*equations(n)),),
            "capped_simplex": lambda: (0.5, 0.25 * max(n, 1)),
            "permutahedron": lambda: (corner(n),),
            "rank": lambda: (n // 3,),
            "sparse": lambda: (n // 3,),
            "sum_largest": lambda: (n // 3,),
            "tree_lasso": lambda: (tree(n),),
        }
        if "group_" in self.name:
            return (boundaries(n), *self.parameters)
        return of_length[self.name]() if self.name in of_length else self.parameters

    def weights_for(self, n):
        """Weights of the penalty of n entries."""
        return (falling(n),) if self.name == "sorted_l1" else self.weights

    def twin_parameters(self, n):
        return equations(n) if self.name == "affine" else self._parameters(n)

    def value_arguments(self, n):
        return self._parameters(n) + (() if self.is_set else self.weights_for(n))

    def prox_arguments(self, n, step):
        return self._parameters(n) + (() if self.is_set else (step, *self.weights_for(n)))

    def kernel_arguments(self, v, step):
        """What the prox kernel takes between v, (rows, n) where it acts on rows, and out."""
        n = v.shape[-1]
        arguments = self.arrays(v, self.prox_arguments(n, step))
        if self.name == "affine":
            return (*arguments, self._residuals(v, arguments))
        return arguments + WORKSPACE.get(self.name, lambda n, real: ())(n, v.dtype)

    def kernel_value_arguments(self, x):
        """What the kernel of the value or the indicator takes after x."""
        arguments = self.arrays(x, self.value_arguments(x.shape[-1]))
        if self.name == "affine":
            return (*arguments, 1e-9, self._residuals(x, arguments))
        if self.name in ("permutahedron", "sorted_l1", "sum_largest"):
            arguments += ((1e-9,) if self.is_set else ()) + _sorting(x.shape[-1], x.dtype)[:2]
            return arguments
        return arguments + ((1e-9,) if self.is_set and self.name != "sparse" else ())

    def arrays(self, x, arguments):
        """Arguments of a public function as its kernel takes them."""
        if self.name == "affine":
            return tuple(part.astype(x.dtype) for part in arguments[0])
        if self.name == "sparse_group_lasso":  # the weight per column comes before the last
            columns = np.full(x.shape[-1], arguments[-2], x.dtype)
            return (*arguments[:-2], columns, arguments[-1])
        if self.name == "sorted_l1":
            return (*arguments[:-1], arguments[-1].astype(x.dtype))
        return arguments

    @staticmethod
    def _residuals(x, factor):
        return np.zeros((x.size // x.shape[-1], len(factor[1])), x.dtype)

    def sample(self, real, n=24, scale=2.0, seed=0):
        """Data: a vector for entries, three rows, or a square matrix."""
        shape = {"entry": (n,), "row": (3, n), "matrix": (n, n)}[self.shape]
        return (scale * np.random.default_rng(seed).normal(size=shape)).astype(real)


def _blocks(n, real):
    return (np.zeros(n + n // 128 + 1, real),)


def _hulls(n, real):
    return (np.zeros((4, n + 2)),)


def _sorting(n, real):
    return np.zeros((2, n)), np.zeros((2, n), np.int64), np.zeros((3, n))


WORKSPACE = {
    "fused_lasso": _hulls,
    "isotonic": lambda n, real: (np.ones(n), np.zeros(n), np.zeros((3, n))),
    "l1_ball": _blocks,
    "linf_norm": _blocks,
    "permutahedron": _sorting,
    "simplex": _blocks,
    "sorted_l1": _sorting,
    "sparse": lambda n, real: _sorting(n, real)[:2],
    "total_variation": _hulls,
}
"""What a prox kernel takes besides, for rows of n entries and their dtype."""


def _set(name, *parameters, shape="row", cone=False, convex=True):
    return Case(name, parameters, (), shape, convex, is_set=True, cone=cone)


CASES = [
    Case("l1"),
    Case("squared_l2"),
    Case("elastic_net", weights=(0.75, 0.5)),
    Case("huber", (0.625,)),
    Case("log_barrier"),
    Case("entropy"),
    Case("l0", convex=False),
    Case("l_half", convex=False),
    Case("l_two_thirds", convex=False),
    Case("log_sum", (0.5,), convex=False),
    Case("mcp", (3.0,), convex=False),
    Case("scad", (3.75,), convex=False),
    Case("l2_norm", shape="row"),
    Case("linf_norm", weights=(4.0,), shape="row"),
    Case("group_lasso", shape="row"),
    Case("sparse_group_lasso", weights=(0.75, 1.25), shape="row"),
    Case("group_mcp", (3.0,), shape="row", convex=False),
    Case("group_scad", (3.75,), shape="row", convex=False),
    Case("huber_norm", (0.625,), shape="row"),
    Case("tree_lasso", shape="row"),
    Case("sorted_l1", (), shape="row"),
    Case("sum_largest", shape="row"),
    Case("total_variation", shape="row"),
    Case("fused_lasso", weights=(0.5, 0.75), shape="row"),
    Case("nuclear_norm", weights=(2.0,), shape="matrix"),
    _set("box", -0.5, 1.25, shape="entry"),
    _set("nonnegative", shape="entry", cone=True),
    _set("l2_ball", 1.5),
    _set("l1_ball", 1.5),
    _set("linf_ball", 1.5),
    _set("simplex", 1.5),
    _set("capped_simplex"),
    _set("isotonic"),
    _set("permutahedron"),
    _set("sparse", convex=False),
    _set("affine"),
    _set("second_order_cone", cone=True),
    _set("positive_semidefinite", shape="matrix", cone=True),
    _set("spectral_ball", 1.5, shape="matrix"),
    _set("rank", shape="matrix", convex=False),
    _set("orthogonal", shape="matrix", convex=False),
]
PENALTIES = [case for case in CASES if not case.is_set]
SETS = [case for case in CASES if case.is_set]
CONVEX = [case for case in CASES if case.convex]
SEPARABLE_NONCONVEX = [case for case in PENALTIES if not case.convex and case.shape == "entry"]
