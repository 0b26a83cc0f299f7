"""The losses that networks are trained for, one record each.

Compiled code tells them by their targets: labels are whole numbers in one column, see
`fastadmm.kernels.operators.losses`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Loss:
    """A loss of an output and its target.

    Attributes
    ----------
    name : str
    has_labels : bool
        Targets are labels, so that there is an accuracy; else they have the shape of outputs.
    of_zero : callable
        ``(targets, width)``: its mean where all outputs, so many a target, are zero.
    reported : callable
        ``(mean, width, scale)``: how histories report a mean over targets, which have a unit.
    rho3, eta : float
        Where no option says otherwise, the penalty of outputs and the opening's step of `block`.
    """

    name: str
    has_labels: bool
    of_zero: Callable[[np.ndarray, int], float]
    reported: Callable[[float, int, float], float]
    rho3: float
    eta: float


CROSS_ENTROPY = Loss(
    "softmax_cross_entropy", True,
    of_zero=lambda targets, width: math.log(width),
    reported=lambda mean, width, scale: mean,
    rho3=0.3, eta=0.5,
)  # fmt: skip
"""``-log softmax(o)[y]``, in nats."""

SQUARED = Loss(
    "squared", False,
    of_zero=lambda targets, width: float(np.square(targets, dtype=float).sum(-1).mean() / 2),
    reported=lambda mean, width, scale: 2 * mean * scale**2 / width,
    rho3=3.0, eta=0.2,
)  # fmt: skip
"""``|o - y|^2 / 2``, reported as mean squared error per component."""

LOSSES = {each.name: each for each in (CROSS_ENTROPY, SQUARED)}
