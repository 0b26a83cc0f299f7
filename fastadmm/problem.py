"""What is minimised: a loss on some of the outputs of the unfolded network."""

import math
from dataclasses import dataclass

import numpy as np

from fastadmm import validation
from fastadmm.unfolded import Unfolded
from fastadmm.units import Units

LOSSES = ("softmax_cross_entropy", "squared")
READOUTS = ("last", "all")


@dataclass(frozen=True)
class Problem:
    """Loss, read-out and kind of inputs.

    Attributes
    ----------
    loss : {"softmax_cross_entropy", "squared"}
        Mean over loss terms (an output that has a target) of ``-log softmax(o)[y]``, or of
        ``|o - y|^2 / 2``. Histories report cross-entropy in nats and the squared loss as mean
        squared error, per output component.
    readout : {"last", "all"}
        Which outputs have a target.
    tokens : bool
        Inputs are token ids.
    units : Units
        Of the data; the network's weights are for inputs and targets in them.
    """

    loss: str
    readout: str
    tokens: bool
    units: Units

    @property
    def classifies(self):
        """True where targets are labels, so that there is an accuracy."""
        return self.loss == "softmax_cross_entropy"

    def reported(self, total, terms, width):
        """Loss as reported, from the kernels' sum over so many terms of so many components."""
        if self.classifies:
            return total / terms
        return 2 * total * self.units.target_scale**2 / (terms * width)

    def scores(self, sums, width):
        """Loss as reported and accuracy, None without labels, from what `score` returns."""
        total, right, terms = map(float, sums)
        return self.reported(total, terms, width), right / terms if self.classifies else None

    def loss_of_zero(self, y, width):
        """Mean loss, as the kernels define it, of a network whose outputs are all zero."""
        if y.size == 0:
            return 0.0
        if self.classifies:
            return math.log(width)
        return float(np.square(self.units.targets(y)).sum(-1).mean() / 2)

    def outputs_of(self, steps, is_last=True):
        """Number L of outputs with a target in so many steps, which may be the sequence's last."""
        return int(is_last) if self.readout == "last" else steps

    def targets_of(self, y, cases, first, steps):
        """Targets of a window, one row a loss term, in the order of the unfolded rows."""
        if self.readout == "last":
            found = y[cases]
        else:
            window = y[cases, first : first + steps].swapaxes(0, 1)
            found = np.ascontiguousarray(window).reshape(-1, *y.shape[2:])
        return found if self.classifies else self.units.targets(found)


def make_problem(net, X, y, loss=None, readout="last", empty=False):
    """Check data against the network and choose the loss: integers and booleans are labels.

    Returns
    -------
    problem : Problem
    X, y : ndarray
        As the kernels take them.
    """
    validation.one_of(readout, READOUTS, "readout")
    if loss is None:
        loss = LOSSES[0] if validation.asarray(y, "y").dtype.kind in "iub" else LOSSES[1]
    validation.one_of(loss, LOSSES, "loss")
    X = validation.inputs(net, X, empty=empty)
    y = validation.targets(net, X, y, loss, readout)
    return Problem(loss, readout, X.ndim == 2, Units.raw(net, X.ndim == 2)), X, y


def score(net, problem, X, y, threads, steps=256, batch=512):
    """Sums over loss terms: of losses, of right labels, and their number.

    Parameters
    ----------
    net : RNN
    problem : Problem
    X, y : ndarray
        As `make_problem` returns them.
    threads : int
        Set by the caller, see `fastadmm.threads.compute_threads`.
    steps, batch : int
        Steps and sequences simulated at a time; the state is carried on between windows.

    Returns
    -------
    ndarray, (3,), float64
    """
    from fastadmm.kernels.operators import losses

    n_cases, n_timepoints = X.shape[:2]
    sums = np.zeros(3)
    if n_cases == 0:
        return sums
    steps, batch = min(steps, n_timepoints), min(batch, n_cases)
    unfolded = Unfolded(net, problem.tokens, steps, batch, threads, problem.units)
    kernel = getattr(losses, problem.loss)
    for cases, first, window in unfolded.windows(X, net.theta, steps, batch):
        length = len(window.z) - 1
        if problem.readout == "last" and first + length < n_timepoints:
            continue
        count = problem.outputs_of(length)
        targets = problem.targets_of(y, cases, first, length)
        rows = window.rows(length + 1 - count, length + 1)
        outputs = np.ascontiguousarray(rows[:, window.left :]) @ net.phi.T
        right = int((outputs.argmax(1) == targets).sum()) if problem.classifies else 0
        sums += kernel(outputs, targets, 1.0, outputs), right, len(targets)
    return sums


def evaluate(net, problem, X, y, threads):
    """Loss and accuracy of a network; arguments as of `score`.

    Returns
    -------
    loss : float
    accuracy : float or None
        None where targets are not labels.
    """
    return problem.scores(score(net, problem, X, y, threads), net.outputs)
