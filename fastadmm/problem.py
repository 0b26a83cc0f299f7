"""What is minimised: a loss on some of the outputs of the unfolded network."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fastadmm import validation
from fastadmm.batches import Data
from fastadmm.chunks import passes, rows_of
from fastadmm.constraints import Constraint
from fastadmm.kernels.recurrent.recurrence import Targets
from fastadmm.losses import CROSS_ENTROPY, LOSSES, SQUARED, Loss
from fastadmm.network import READOUTS
from fastadmm.unfolded import Unfolded
from fastadmm.units import Units


@dataclass(frozen=True)
class Problem:
    """Loss, read-out and kind of inputs.

    Attributes
    ----------
    loss : fastadmm.losses.Loss
        Minimised is its mean over loss terms, the outputs that have a target.
    readout : {"last", "all", "mean", "max"}
        Which outputs have a target: the last one, every one, or that of the mean or largest states.
    tokens : bool
        Inputs are token ids.
    units : Units
        Of the data; the network's weights are for inputs and targets in them.
    washout : int
        Time points at the beginning of every sequence whose outputs have no target.
    constraints : dict of Constraint
        On weights, by block.
    """

    loss: Loss
    readout: str
    tokens: bool
    units: Units
    washout: int = 0
    constraints: Mapping[str, Constraint] = field(default_factory=dict)

    @property
    def classifies(self):
        """True where targets are labels, so that there is an accuracy."""
        return self.loss.has_labels

    def reported(self, total, terms, width):
        """Loss as reported, from the kernels' sum over so many terms of so many components."""
        return self.loss.reported(total / terms, width, self.units.target_scale)

    def scores(self, sums, width):
        """Loss as reported and accuracy, None without labels, from what `score` returns."""
        total, right, terms = map(float, sums)
        return self.reported(total, terms, width), right / terms if self.classifies else None

    @np.errstate(over="ignore")
    def loss_of_zero(self, y, width):
        """Mean loss, as the kernels define it, of a network whose outputs are all zero."""
        if y.size == 0:
            return 0.0
        return self.loss.of_zero(y if self.classifies else self.units.targets(y), width)

    @property
    def every(self):
        """Whether every output has a target."""
        return self.readout == "all"

    def outputs_of(self, steps, is_last=True):
        """Number L of outputs with a target in so many steps, which may be the sequence's last."""
        return steps if self.every else int(is_last)

    def terms_of(self, batch):
        """Loss terms in a whole window, those of all owners."""
        return batch.rows if self.every else batch.part.n_cases

    def targets_of(self, batch, scale=1.0):
        """Own targets of a window, as `fastadmm.kernels.recurrent.recurrence` takes them."""
        data = batch.data
        values, weights = self._of_window(data.y, batch), None
        if data.weights is not None:
            weights = self._of_window(data.weights, batch)
        if not self.classifies:
            values = self.units.targets(values)
        return Targets(values, weights, float(scale))

    def counts(self, batch, n_timepoints):
        """Which outputs of a window have a target after the washout, (L B,)."""
        lengths = batch.data.lengths
        begin = 0 if lengths is None else n_timepoints - lengths[batch.cases]
        times = batch.first + np.arange(batch.steps)[:, None]
        if batch.data.stretch:
            times = times + batch.cases % n_timepoints
        found = times >= begin + self.washout
        return np.broadcast_to(found, (batch.steps, len(batch.cases))).reshape(-1)

    def _of_window(self, array, batch):
        """Own entries of targets or weights, (L B, ...), step by step."""
        if not self.every:
            return array[batch.cases[: len(batch.cases) if batch.part.is_last else 0]]
        if array.ndim == 1:  # weights of cases
            return np.tile(array[batch.cases], batch.steps)
        window = array[batch.cases, batch.first : batch.first + batch.steps].swapaxes(0, 1)
        return np.ascontiguousarray(window).reshape(-1, *array.shape[2:])


def make_problem(net, X, y, loss=None, readout="last", empty=False, lengths=None, names=("X", "y")):
    """Check data against the network and choose the loss: integers and booleans are labels.

    ``names`` are those of X and y, for messages.

    Returns
    -------
    problem : Problem
    data : fastadmm.batches.Data
        As the kernels take it.
    """
    validation.one_of(readout, READOUTS, "readout")
    if loss is None:
        is_label = validation.asarray(y, names[1]).dtype.kind in "iub"
        loss = (CROSS_ENTROPY if is_label else SQUARED).name
    chosen = LOSSES[validation.one_of(loss, LOSSES, "loss")]
    X = validation.inputs(net, X, names[0], empty)
    y = validation.targets(net, X, y, chosen, readout, names[1])
    return Problem(chosen, readout, X.ndim == 2, Units.raw(net, X.ndim == 2)), Data(X, y, lengths)


def score(net, problem, data, threads, steps=256, batch=512, exact=False):
    """Sums over loss terms: of losses, of right labels, and their number.

    Parameters
    ----------
    net : RNN
    problem : Problem
    data : fastadmm.batches.Data
        Weights do not count.
    threads : int
        Set by the caller, see `fastadmm.threads.compute_threads`.
    steps, batch : int
        Steps and sequences simulated at a time; the state is carried on between windows.
    exact : bool
        Long sequences are never cut into chunks, see `fastadmm.chunks`.

    Returns
    -------
    ndarray, (3,), float64
    """
    n_cases, n_timepoints = data.X.shape[:2]
    if n_cases == 0:
        return np.zeros(3)
    if net.needs_whole(problem.readout):
        steps, batch = net.window_of(n_cases, n_timepoints, problem.readout)
    steps, batch = min(steps, n_timepoints), min(batch, n_cases)
    unfolded = Unfolded(
        net, problem.tokens, steps, rows_of(batch, n_timepoints, threads), threads, problem.units,
        readout=problem.readout,
    )  # fmt: skip
    found = np.zeros(3)
    for windows in passes(unfolded, data, net.weights, steps, batch, exact=exact):
        found[:] = 0
        for own, window in windows:
            if problem.every or own.first + own.steps == n_timepoints:
                found += _score_window(net, problem, own, window, n_timepoints)
    return found


def _score_window(net, problem, own, window, n_timepoints):
    """What a window adds to `score`."""
    from fastadmm.kernels.operators.losses import loss

    rows, places = window.outputs(own, problem.outputs_of(own.steps))
    targets = problem.targets_of(own).values[places]
    if problem.washout:
        kept = problem.counts(own, n_timepoints)[places]
        rows, targets = rows[kept], targets[kept]
    outputs = np.ascontiguousarray(rows[:, -1 - net.width :]) @ net.phi.T
    right = int((outputs.argmax(1) == targets).sum()) if problem.classifies else 0
    total = loss(outputs, targets, None, 1.0, outputs)
    return np.array([total, right, len(targets)])


def evaluate(net, problem, data, threads, exact=False):
    """Loss and accuracy of a network; arguments as of `score`.

    Returns
    -------
    loss : float
    accuracy : float or None
        None where targets are not labels.
    """
    return problem.scores(score(net, problem, data, threads, exact=exact), net.outputs)
