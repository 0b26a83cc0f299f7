"""What `block` and `admmirnn` share: states and multipliers as variables, and their convergence.

Both split the unfolded network by three families of constraints,

    r1 = a_t − Θ z_t,    r2 = s_t − f(a_t),    r3 = o_t − Φ [s_t; 1],

and keep pre-activations, states, outputs and multipliers from one iteration to the next for as long
as they are given the same window (full batch). A new window (mini-batch) starts from simulated
states and the multipliers that make the Lagrangian stationary there.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from fastadmm.kernels import losses, state_blocks, states
from fastadmm.kernels.activations import activate
from fastadmm.unfolded import Unfolded

CONSTRAINTS = ("preactivation", "state", "output")
"""The families of constraints, in the order of every triple."""


@dataclass
class SplittingRecord:
    """What one iteration measured.

    Attributes
    ----------
    loss : float
        Sum of the losses at the output variables, as the kernels define them.
    terms : int
    objective, lagrangian : float
        Mean loss plus regulariser, and the augmented Lagrangian over the number of terms.
    primal, dual : tuple of float
        Norms of the residuals of the three constraints, relative to the larger side and to the
        multiplier.
    rho : tuple of float
        Penalties of the three constraints.
    solved : bool
        All residuals are below the tolerances.
    """

    loss: float
    terms: int
    objective: float = math.nan
    lagrangian: float = math.nan
    primal: tuple = (math.nan,) * 3
    dual: tuple = (math.nan,) * 3
    rho: tuple = (math.nan,) * 3
    solved: bool = False

    @property
    def finite(self):
        """False where training has diverged."""
        return math.isfinite(self.lagrangian)

    @staticmethod
    def describe(records):
        """Entries of the history for an epoch: those of its last iteration."""
        last = records[-1]
        return {
            name: getattr(last, name)
            for name in ("objective", "lagrangian", "primal", "dual", "rho")
        }


class AscentError(ArithmeticError):
    """A block update raised the augmented Lagrangian."""


@dataclass
class Certificate:
    """Checks that no block update raises the augmented Lagrangian.

    Attributes
    ----------
    checks : int
        Block updates checked so far.
    violation : dict or None
        The first one that rose: iteration, block, and the Lagrangian before and after.
    """

    checks: int = 0
    violation: dict = None
    value: float = field(default=math.nan, repr=False)
    size: float = field(default=math.nan, repr=False)

    def begin(self, value, size):
        """The Lagrangian before the next update, and the sum of the sizes of its terms."""
        self.value, self.size = value, size

    def check(self, iteration, block, value, size, dtype):
        """The Lagrangian after an update; it may rise by what rounding does to its terms."""
        self.checks += 1
        slack = 64 * np.finfo(dtype).eps * max(size, self.size)
        if self.violation is None and not value <= self.value + slack:
            self.violation = {
                "iteration": iteration, "block": block, "before": self.value, "after": value,
            }  # fmt: skip


class Splitting:
    """Variables of the split unfolded network over one window.

    Parameters
    ----------
    net : RNN
    problem : Problem
    options : BlockOptions or AdmmirnnOptions
    batch, steps : int
        Largest number of sequences, and of steps, in a window.
    threads : int
    """

    def __init__(self, net, problem, options, batch, steps, threads):
        self.net, self.problem, self.options = net, problem, options
        self.threads, self.k = threads, 0
        self.unfolded = Unfolded(net, problem.tokens, steps, batch, threads)
        real, hidden, classes = net.dtype, net.hidden, net.outputs
        outputs = problem.outputs_of(steps)
        self._large = [np.zeros(steps * batch * hidden, real) for _ in range(4)]
        self._small = [np.zeros(outputs * batch * classes, real) for _ in range(3)]
        self._rows = np.empty(3 * batch * hidden, real)
        self._output_rows = np.empty(2 * outputs * batch * classes, real)
        self._carried, self._squares = np.empty((batch, hidden), real), np.empty(batch)
        self.theta_t = np.empty((net.theta.shape[1], hidden), real)
        self.losses, self.sums = np.zeros(threads), np.zeros((threads, 3, state_blocks.SUMS))
        self._pulled = np.zeros((threads, 3))
        self._key = None
        self.certificate = Certificate() if options.certify else None
        softmax = problem.loss == "softmax_cross_entropy"
        self._read_out = states.read_out_softmax if softmax else states.read_out_squared

    def enter(self, X, y, cases, first, steps, initial):
        """Make the window current; True where it is the one that was current before."""
        key = (cases.tobytes(), first, steps)
        if initial is None and key == self._key:
            return True
        self._key = key if initial is None else None
        batch, outputs = len(cases), self.problem.outputs_of(steps)
        hidden, classes = self.net.hidden, self.net.outputs
        self.window = window = self.unfolded.load(X, cases, first, steps, initial)
        self.steps, self.batch, self.terms = steps, batch, outputs * batch
        self.a, self.lambda1, self.lambda2, self.targets = (
            buffer[: steps * batch * hidden].reshape(steps, batch, hidden) for buffer in self._large
        )
        self.o, self.lambda3, self.output_targets = (
            buffer[: self.terms * classes].reshape(self.terms, classes) for buffer in self._small
        )
        self.work = self._rows[: 3 * batch * hidden].reshape(3, batch, hidden)
        self.output_work = self._output_rows[: 2 * self.terms * classes].reshape(2, self.terms, -1)
        self.output_bounds = window.row_bounds if outputs == steps else window.sequence_bounds
        self.output_rows = window.rows(steps + 1 - outputs, steps + 1)
        self.y = self.problem.targets_of(y, cases, first, steps)
        self._start()
        return False

    def by_step(self, rows):
        """Rows of outputs as (L, B, C)."""
        return rows.reshape(-1, self.batch, self.net.outputs)

    def _start(self):
        """Simulated states, and multipliers that are stationary there."""
        net, window = self.net, self.window
        self.unfolded.simulate(window, net.theta)
        self.a[:] = self.preactivations()
        self._read_out(
            self.output_rows, net.phi, self.y, 1.0, self.lambda3, self.losses, self.output_bounds
        )
        self.o[:] = self.outputs()
        states.multipliers(
            window.z, self.by_step(self.lambda3), net.theta, net.phi, net.activation_code, True,
            self.lambda1, self._carried[: self.batch], self._squares[: self.batch], self._pulled,
            window.sequence_bounds,
        )  # fmt: skip
        self.lambda1 *= -1
        self.lambda3 *= -1
        np.matmul(self.lambda1[1:], net.theta[:, net.inputs : -1], out=self.lambda2[:-1])
        self.lambda2[-1] = 0
        outputs = self.by_step(self.lambda3)
        self.lambda2[self.steps - len(outputs) :] += outputs @ net.phi[:, :-1]

    def loss_of(self, outputs, targets):
        """Sum of the losses, as the kernels define them."""
        return getattr(losses, self.problem.loss)(outputs, targets, 1.0, np.empty_like(outputs))

    def final_state(self, steps, batch):
        """State after the last step's window, (B, H), to carry into the next one."""
        return self.unfolded.window(steps, batch).states[-1].copy()

    def preactivations(self):
        """Θ z of all steps, (T, B, H)."""
        net, window = self.net, self.window
        dense = net.inputs if self.problem.tokens else 0
        driven = window.z[:-1] @ net.theta[:, dense:].T
        if dense:
            driven += net.theta.T[window.tokens]
        return driven

    def outputs(self):
        """Φ [s; 1] of all steps with a loss, one row a term."""
        return self.output_rows[:, self.window.left :] @ self.net.phi.T

    def residuals(self):
        """r1 and r2 (T, B, H), and r3 (terms, C)."""
        value = self.a.copy()
        activate(self.net.activation_code, value.reshape(-1, self.net.hidden))
        return (
            self.a - self.preactivations(),
            self.window.states[1:] - value,
            self.o - self.outputs(),
        )

    def merit(self, rho):
        """The augmented Lagrangian without regularisers, and the sum of the sizes of its terms.

        Parameters
        ----------
        rho : sequence of three floats or arrays
            Penalties of the constraints, broadcast against the residuals.
        """
        parts = [self.loss_of(self.o, self.y)]
        multipliers = self.lambda1, self.lambda2, self.lambda3
        for r, lambda_, penalty in zip(self.residuals(), multipliers, rho, strict=True):
            parts += [np.vdot(lambda_, r), 0.5 * np.sum(penalty * np.square(r, dtype=float))]
        return float(np.sum(parts)), float(np.abs(parts).sum())
