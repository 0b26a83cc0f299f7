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
        if "group_lasso" in self.name:
            return (boundaries(n),)
        if self.name == "affine":
            return (kernels.factor_affine(*equations(n)),)
        return self.parameters

    def twin_parameters(self, n):
        return equations(n) if self.name == "affine" else self._parameters(n)

    def value_arguments(self, n):
        return self._parameters(n) + (() if self.is_set else self.weights)

    def prox_arguments(self, n, step):
        return self._parameters(n) + (() if self.is_set else (step, *self.weights))

    def kernel_arguments(self, v, step):
        """What the prox kernel takes between v, (rows, n) where it acts on rows, and out."""
        n = v.shape[-1]
        arguments = self._as_arrays(v, self.prox_arguments(n, step))
        if self.name == "total_variation":
            return (*arguments, np.zeros((4, n + 2)))
        if self.name in ("linf_norm", "l1_ball", "simplex"):
            return (*arguments, np.zeros(n + n // 128 + 1, v.dtype))
        if self.name == "affine":
            return (*arguments, self._residuals(v, arguments))
        return arguments

    def kernel_value_arguments(self, x):
        """What the kernel of the value or the indicator takes after x."""
        arguments = self._as_arrays(x, self.value_arguments(x.shape[-1]))
        if self.name == "affine":
            return (*arguments, 1e-9, self._residuals(x, arguments))
        return arguments + ((1e-9,) if self.is_set else ())

    def _as_arrays(self, x, arguments):
        """Arguments of a public function as its kernel takes them."""
        if self.name == "affine":
            return tuple(part.astype(x.dtype) for part in arguments[0])
        if self.name == "sparse_group_lasso":  # the weight per column comes before the last
            columns = np.full(x.shape[-1], arguments[-2], x.dtype)
            return (*arguments[:-2], columns, arguments[-1])
        return arguments

    @staticmethod
    def _residuals(x, factor):
        return np.zeros((x.size // x.shape[-1], len(factor[1])), x.dtype)

    def sample(self, real, n=24, scale=2.0, seed=0):
        """Data: a vector for entries, three rows, or a square matrix."""
        shape = {"entry": (n,), "row": (3, n), "matrix": (n, n)}[self.shape]
        return (scale * np.random.default_rng(seed).normal(size=shape)).astype(real)


def _set(name, *parameters, shape="row", cone=False):
    return Case(name, parameters, (), shape, is_set=True, cone=cone)


CASES = [
    Case("l1"),
    Case("squared_l2"),
    Case("elastic_net", weights=(0.75, 0.5)),
    Case("huber", (0.625,)),
    Case("l0", convex=False),
    Case("l_half", convex=False),
    Case("mcp", (3.0,), convex=False),
    Case("scad", (3.75,), convex=False),
    Case("l2_norm", shape="row"),
    Case("linf_norm", weights=(4.0,), shape="row"),
    Case("group_lasso", shape="row"),
    Case("sparse_group_lasso", weights=(0.75, 1.25), shape="row"),
    Case("total_variation", shape="row"),
    Case("nuclear_norm", weights=(2.0,), shape="matrix"),
    _set("box", -0.5, 1.25, shape="entry"),
    _set("nonnegative", shape="entry", cone=True),
    _set("l2_ball", 1.5),
    _set("l1_ball", 1.5),
    _set("linf_ball", 1.5),
    _set("simplex", 1.5),
    _set("affine"),
    _set("second_order_cone", cone=True),
    _set("positive_semidefinite", shape="matrix", cone=True),
]
PENALTIES = [case for case in CASES if not case.is_set]
SETS = [case for case in CASES if case.is_set]
CONVEX = [case for case in CASES if case.convex]
NONCONVEX = [case for case in CASES if not case.convex]
