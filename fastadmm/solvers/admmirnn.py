"""ADMMiRNN, the solver of Tang et al. (arXiv 2006.05622), made correct (algorithm 2.1).

The last time step has multipliers λ1, λ2, λ3 with penalties ρ1, ρ2, ρ3; every step before it is
tied by the penalty ν alone. One iteration sweeps backward in time (outputs, read-out, then s_t and
a_t for t = T..1, then the recurrent weights), forward again in the opposite order, and then moves
the multipliers. o, b and c are exact, all else are proximal linearised steps.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np

from fastadmm.cells import READ_OUT
from fastadmm.kernels.operators import losses
from fastadmm.kernels.operators.activations import activate
from fastadmm.kernels.recurrent import linearised_blocks
from fastadmm.kernels.recurrent.exact_blocks import CHANGE, LEFT, MULTIPLIER, RESIDUAL, RIGHT, SUMS
from fastadmm.mpi.cost import ELEMENTWISE, PROX, Counts
from fastadmm.options import NONNEGATIVE, PENALTY, POSITIVE, SWEEPS, check
from fastadmm.solvers.conditions import TINY
from fastadmm.solvers.record import SplittingRecord
from fastadmm.solvers.splitting import Splitting
from fastadmm.solvers.variables import finite, held_by
from fastadmm.unfolded import pipeline


@dataclass(frozen=True)
class AdmmirnnOptions:
    """Settings of `Admmirnn`, by the paper's names.

    Attributes
    ----------
    rho1, rho2, rho3 : float
        Penalties of pre-activation, state and output of the last step, for losses that count 1 a
        term.
    nu : float
        Penalty ν of all steps before the last one.
    sweeps : int
        Iterations on each mini-batch, at most 1000.
    eps_abs, eps_rel : float
        As in `fastadmm.solvers.block.BlockOptions`.
    certify : bool
        Check at every block update that the augmented Lagrangian did not rise.
    """

    rho1: Annotated[float, POSITIVE] = 1.0
    rho2: Annotated[float, POSITIVE] = 1.0
    rho3: Annotated[float, PENALTY] = 1.0
    nu: Annotated[float, POSITIVE] = 3.0
    sweeps: Annotated[int, SWEEPS] = 1
    eps_abs: Annotated[float, NONNEGATIVE] = 1e-8
    eps_rel: Annotated[float, NONNEGATIVE] = 1e-4
    certify: bool = False

    def __post_init__(self):
        check(self)


class Admmirnn(Splitting):
    """Solver state over a run; parameters as of `fastadmm.solvers.splitting.Splitting`."""

    Options = AdmmirnnOptions
    ADVICE = "another nu, a smaller gain of the initial weights, or solver block or condensed"
    WORK = 6

    @staticmethod
    def counts(work, options):
        h, c, n, d = work.hidden, work.outputs, work.columns, work.dense
        reduced, held = held_by(work)
        return Counts(  # a backward and a forward half: each the gradients of a_t, s_t, weights
            sweep=2 * (2 * h * d + 2 * h * h + 2 * ELEMENTWISE * h),
            rows=2 * (2 * h * d) + d * d,
            sweep_output=2 * (4 * c * (h + 1)) + PROX * c,
            rows_output=2 * (2 * c * (h + 1)) + (h + 1) ** 2,
            weights=40 * (n**2 + (h + 1) ** 2),  # largest eigenvalues by power iteration
            reduced=2 * reduced, kept=5 * h + 2 * c, held=held, pipelined=False,
        )  # fmt: skip

    def __init__(self, net, problem, options, batch, steps, total, threads, domain=None):
        super().__init__(net, problem, options, batch, steps, total, threads, domain)
        self._row = np.empty((batch, net.outputs), net.dtype)

    @property
    def average(self):
        """The weights that training returns."""
        return self.net.theta, self.net.phi

    def prepare(self):
        """Penalties of every step; multipliers exist at the last step only."""
        o, steps, outputs = self.options, self.steps, len(self.o)
        self.rho = np.array([o.rho1, o.rho2, o.rho3], float)
        self.w1, self.w2, self.w3 = (np.full(steps + 1, float(o.nu)) for _ in range(3))
        for weights, rho in zip((self.w1, self.w2, self.w3), self.rho, strict=True):
            # those of own steps, and of the step after them
            weights[max(self.part.n_steps - 1 - self.part.steps.stop + steps, 0) :] = rho
        self.output_weights = self.w3[steps - outputs : steps]
        self.row_weights = self.output_weights[:, None, None].astype(self.net.dtype)
        early = slice(0, -1 if self.part.is_last else None)
        for multipliers in (self.lambda1, self.lambda2, self.lambda3):
            multipliers[early] = 0
        if self.part.is_last:
            self.lambda2[-1] = self.lambda3[-1] @ self.net.read

    def effective_multipliers(self):
        """λ + w r: a penalty without a multiplier pulls like one."""
        r1, r2, r3 = self.residuals(self.net.theta, self.net.phi)
        return (
            self.lambda1 + self.w1[:-1, None, None].astype(r1.dtype) * r1,
            self.lambda2 + self.w2[:-1, None, None].astype(r2.dtype) * r2,
            self.lambda3 + self.row_weights * r3,
        )

    def iterate(self):
        """One iteration in the paper's order: backward, forward, multipliers."""
        if self.certificate:
            self._measure()
            self.certificate.begin(*self.merit())
        before = [x.copy() for x in self._last_cell()[::2]] if self.part.is_last else None
        self._move_outputs()
        self._move_read_out()
        self._sweep_backward()
        self._move_recurrent()
        self._sweep_forward()
        self._move_read_out()
        self._move_outputs()
        record = SplittingRecord(math.nan, self.terms, rho=tuple(self.rho.tolist()))
        self._measure()
        kept = self.multipliers_kept()
        self._ascend(before, record)
        self.check_ascents(kept, self._ascending())
        return record

    def _ascending(self):
        """Penalties that multipliers ascend with: those of the last step, zero before it."""
        late = np.zeros((self.steps, 1, 1))
        late[self.steps - 1 :] = self.part.is_last
        return tuple(rho * late[self.steps - len(x) :] for rho, x in zip(
            self.rho, (self.a, self.a, self.o), strict=True
        ))  # fmt: skip

    def _last_cell(self):
        """a, λ1, s, λ2, o, λ3 of the last step: views."""
        states = self.window.states[-1]
        return (
            self.a[-1], self.lambda1[-1], states, self.lambda2[-1], self.o[-1], self.lambda3[-1]
        )  # fmt: skip

    def _certify(self, block):
        if self.certificate is None:
            return
        self._measure()
        value, size = self.merit()
        self.certificate.check(self.k, block, value, size, self.net.dtype)
        self.certificate.begin(value, size)

    def _measure(self):
        by_unit = np.repeat(self.w1[:, None], self.net.hidden, axis=1).astype(self.net.dtype)
        self.measure(by_unit, self.w2, self.output_weights)

    def _move_outputs(self):
        """All outputs, by the prox of the loss."""
        shape, classes = self.o.shape, self.net.outputs
        self.output_targets[:] = self.outputs_with(self.net.phi) - self.lambda3 / self.row_weights
        v, o = (array.reshape(-1, classes) for array in (self.output_targets, self.o))
        values, weights, _ = self.goal
        step = np.broadcast_to(1 / self.row_weights, (*shape[:2], 1)).reshape(-1)
        weights = 1.0 if weights is None else weights
        losses.prox(v, values, np.ascontiguousarray(step), weights, o)
        self.blank(self.o)
        self._certify("o")

    def _move_read_out(self):
        """c exactly, then a linearised step of V."""
        np.multiply(self.o, self.row_weights, out=self.output_targets)
        self.output_targets += self.lambda3
        last = self.window.z[self.steps + 1 - min(len(self.o), 1) :, :, self.window.left :]
        last = last.reshape(-1, last.shape[2])
        early = self.options.nu if self.terms > self.part.n_cases else self.rho[2]
        weigh = self._weigher(self.terms, early, self.rho[2], last)
        self.sum_phi(self.output_targets, partial(self._step_read_out, weigh))

    def _step_read_out(self, weigh):
        gram = weigh(self.phi.gram)
        self.weights_dual[1] = np.linalg.norm(_residual(self.phi, gram))
        self._exact_step(self.phi, gram, READ_OUT.bias, "c")
        self._linearised_step(self.phi, gram, READ_OUT.recurrent, "V")

    def _move_recurrent(self):
        """b exactly, W and U by linearised steps; then the other way round, going forward."""
        np.multiply(self.a, self.w1[:-1, None, None], out=self.targets)
        self.targets += self.lambda1
        last = self.inputs(slice(self.steps - 1, None)).reshape(-1, self.theta.values.shape[1])
        early = self.options.nu if self.part.n_steps > 1 else self.rho[0]
        weigh = self._weigher(self.entered.rows, early, self.rho[0], last)
        self.sum_theta(self.targets, partial(self._step_recurrent, weigh))

    def _step_recurrent(self, weigh):
        gram, of = weigh(self.theta.gram), self.net.columns
        self.weights_dual[0] = np.linalg.norm(_residual(self.theta, gram))
        self._exact_step(self.theta, gram, of.bias, "b")
        for name, columns in (("W", of.recurrent), ("U", of.drive), ("U", of.drive)):
            self._linearised_step(self.theta, gram, columns, name)
        self._linearised_step(self.theta, gram, of.recurrent, "W")
        self._exact_step(self.theta, gram, of.bias, "b")

    def _exact_step(self, system, gram, column, name):
        """The bias that minimises the Lagrangian."""
        system.values[:, column] += _residual(system, gram)[:, column] / gram[column, column]
        self._certify(name)

    def _linearised_step(self, system, gram, columns, name):
        """``X <- X − ∇_X L / τ`` for some columns, τ the largest eigenvalue of their Gram."""
        tau = max(float(np.linalg.eigvalsh(finite(gram[columns, columns]))[-1]), TINY)
        system.values[:, columns] += _residual(system, gram)[:, columns] / tau
        self._certify(name)

    def _weigher(self, rows, early, late, last):
        """Function from the mean Gram over all rows to that weighted by steps.

        The rows of the last step weigh ``late``, all others ``early``.
        """
        extra = last.T @ last if self.part.is_last else np.zeros(2 * last.shape[1:], last.dtype)
        if early != late:
            self.domain.reduce((extra,), lambda due: None)

        def weigh(mean):
            lower = np.tril(mean)
            gram = float(early * rows) * (lower + np.tril(lower, -1).T)
            return gram + float(late - early) * extra

        return weigh

    def _sweep_backward(self):
        """Linearised steps of s_t and a_t for t = T..1, in a pipeline over time."""
        taus = self._begin_sweep()
        for cut in pipeline(self.window, self.domain):
            own = slice(cut[0], cut[-1])
            self.domain.receive_right(self.part, self.edge[own])
            self._run_sweep(linearised_blocks.sweep_backward, taus, cut)
            self.domain.send_left(self.part, self._first_pull(own))
        self._certify("states and pre-activations")
        if self.steps:
            self.domain.send_right(self.part, self.window.states[-1])
        self.domain.receive_left(self.part, self.window.states[0])

    def _sweep_forward(self):
        """Linearised steps of a_t and s_t for t = 1..T, in a pipeline over time."""
        taus = self._begin_sweep()
        self.domain.send_left(self.part, self._first_pull(slice(None)))
        self.domain.receive_right(self.part, self.edge)
        states = self.window.states
        for cut in pipeline(self.window, self.domain):
            own = slice(cut[0], cut[-1])
            self.domain.receive_left(self.part, states[0, own])
            self._run_sweep(linearised_blocks.sweep_forward, taus, cut)
            if self.steps:
                self.domain.send_right(self.part, states[-1, own])
        self._certify("states and pre-activations")

    def _begin_sweep(self):
        """Lipschitz constants of the states of every step."""
        net = self.net
        W, V = finite(net.recurrent), finite(net.read)
        recurrent, read = np.linalg.norm(W, 2) ** 2, np.linalg.norm(V, 2) ** 2
        taus = self.w2[:-1] + self.w1[1:] * recurrent
        if self.part.is_last:
            taus[-1] -= self.w1[-1] * recurrent
        taus[len(taus) - len(self.output_weights) :] += self.output_weights * read
        self.theta_t[:] = net.theta.T
        return taus

    def _run_sweep(self, kernel, taus, bounds):
        net, window = self.net, self.window
        kernel(
            window.z, window.tokens, net.theta, self.theta_t, net.phi, self.a, self.lambda1,
            self.lambda2, self.o, self.lambda3, self.edge, self.w1, self.w2, self.w3, taus,
            net.activation_code, self.work, self._row, self.active, bounds,
        )  # fmt: skip

    def _first_pull(self, own):
        """``λ1 + w1 (a − U x − b)`` of the first own step, (1, B, H), what its left owner needs."""
        if not self.steps:
            return self.a[:0]
        net = self.net
        given = self.inputs(0)[own, net.columns.drive] @ net.drive.T
        free = self.a[0, own] - given - net.bias
        return (self.lambda1[0, own] + self.a.dtype.type(self.w1[0]) * free)[None]

    def _ascend(self, before, record):
        """Multipliers of the last step, and the record of the iteration."""
        sums = np.zeros((3, SUMS))
        if self.part.is_last:
            cell = self._last_cell()
            for c, right in enumerate(self._last_rights()):
                left, dual = cell[2 * c : 2 * c + 2]
                gap = left - right
                dual += left.dtype.type(self.rho[c]) * gap
                for place, array in (
                    (RESIDUAL, gap), (LEFT, left), (RIGHT, right), (MULTIPLIER, dual),
                    (CHANGE, self.rho[c] * (left - before[c])),
                ):  # fmt: skip
                    sums[c, place] = np.square(array, dtype=float).sum()
        self.domain.reduce((sums,), partial(self._end, record, self.sizes, sums))

    def _end(self, record, sizes, sums, due):
        self.complete(record, sizes, sums, gained=self.rho @ sums[:, RESIDUAL])

    def _last_rights(self):
        """Θ z, f(a) and Φ [1; s] of the last step."""
        value = self.a[-1].copy()
        activate(self.net.activation_code, value)
        driven = self.inputs(-1) @ self.net.theta.T
        return driven, value, self.window.z[-1, :, self.window.left :] @ self.net.phi.T


def _residual(system, gram):
    """Products of residuals and inputs, the negative gradient of the Lagrangian."""
    return system.cross - system.values @ gram
