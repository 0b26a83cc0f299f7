"""One call of fit: the epoch loop, what ends it, and what it leaves to go on from."""

import copy
import itertools
import logging
import math
import signal
import time
from dataclasses import asdict, dataclass, field, replace
from functools import partial

import numpy as np

from fastadmm import checkpoint, signals
from fastadmm.agreement import compare_weights
from fastadmm.checkpoint import Checkpoint
from fastadmm.constraints import start
from fastadmm.files import finite_or_none
from fastadmm.mpi.launch import alike
from fastadmm.problem import score
from fastadmm.solvers.held import Bound
from fastadmm.units import Units
from fastadmm.validation import short

SIGNALS = (signal.SIGINT, *signals.STOPPING)
"""Signals that end training, in the order in which they count."""
EXPLODED = 1e6
"""Training has diverged where the loss is this many times that of the start, or of zero outputs."""


@dataclass
class Epoch:
    """An epoch under way.

    Attributes
    ----------
    generator : dict
        State of the generator before it.
    judged : list of ndarray or None
        The weights that the loss of the epoch is of, where these are those before it.
    records : list
        Of the steps done.
    carried, cases : ndarray or None
        States to carry into the next window, (B, H), and whose they are, among those of all owners.
    seconds : float
        Of training so far.
    done : int
        Mini-batches, or windows of them, that have been done.
    """

    generator: dict
    judged: list | None = None
    records: list = field(default_factory=list)
    carried: np.ndarray | None = None
    cases: np.ndarray | None = None
    seconds: float = 0.0
    done: int = 0

    def state_before(self, batch, first_case):
        """States carried into a window, in the order of its cases; None into the first one."""
        if self.carried is None or self.cases is None:
            return None
        order = np.argsort(self.cases)
        places = np.searchsorted(self.cases, batch.cases + first_case, sorter=order)
        return self.carried[order[places]]

    def state(self, domain):
        """All of it as JSON values and arrays, complete on the root."""
        state = {
            "generator": self.generator, "records": [asdict(r) for r in self.records],
            "seconds": self.seconds, "done": self.done,
        }  # fmt: skip
        if self.judged is not None:
            state |= {f"judged_{i:03}": each for i, each in enumerate(self.judged)}
        if self.carried is not None:
            owns = domain.time_index == 0
            pieces = domain.collect((self.cases, self.carried) if owns else None)
            pieces = [piece for piece in pieces or () if piece is not None]
            if pieces:
                state["cases"], state["carried"] = map(np.concatenate, zip(*pieces, strict=True))
        return state

    @classmethod
    def from_state(cls, state, record):
        """What `state` has saved, with records of a class."""
        judged = [state[name] for name in sorted(state) if name.startswith("judged_")] or None
        records = [record(**entries) for entries in state["records"]]
        return cls(
            state["generator"], judged, records, state.get("carried"), state.get("cases"),
            state["seconds"], state["done"],
        )  # fmt: skip


def _all_finite(weights):
    return all(np.isfinite(block).all() for block in weights)


def _copies(weights):
    return [block.copy() for block in weights]


class Run:
    """One call of fit: the moving parts of the epoch loop.

    The solver moves weights of its own, for data in the problem's units; the network gets the
    averaged iterate, for raw data, after every epoch and at the end.
    """

    def __init__(
        self, net, problem, data, plan, share, validation, threads, rng, result, saving, patience
    ):
        self.net, self.problem, self.data = net, problem, data
        self.plan, self.share, self.domain = plan, share, share.domain
        self.validation, self.threads, self.rng = validation, threads, rng
        self.result, self.saving, self.resumed = result, saving, None
        self.patience = patience
        self.moving = copy.copy(net)
        self.moving.weights = _copies(net.weights)
        if not net.is_new:
            problem.units.enter(self.moving)
        self._constrain()
        self.raw = replace(problem, units=Units.raw(net, problem.tokens))
        self.before = _copies(net.weights)
        self.best_loss, self.best = math.inf, _copies(self.moving.weights)
        self.loss_of_zero = self.domain.largest(problem.loss_of_zero(data.y, net.outputs))
        self.limit, self.is_first_step, self.waited = None, True, 0.0
        self.began, self.lap_began = 0.0, 0.0
        self.status, self.last_iteration = None, math.inf

    def _constrain(self):
        """Bring the weights to begin with into their constraints."""
        constraints, moving = self.problem.constraints, self.moving
        if moving.is_new:
            start(constraints, moving)
        bound = Bound(constraints, moving, self.problem.units)
        bound.clip(moving.weights)
        bound.project(moving.weights)
        self.bound = Bound(constraints, moving, Units.raw(moving, self.problem.tokens))

    def train(self, kind, options, time_limit, callbacks, reporter, state=None):
        """Run all epochs, or until there is a reason to stop.

        Parameters
        ----------
        kind, options
            Solver and its settings.
        time_limit : float or None
        callbacks : sequence of callables
        reporter : fastadmm.progress.Reporter
        state : dict, optional
            Of a solver before, which this one goes on from.
        """
        plan, first, self.began = self.plan, 1, time.perf_counter()
        solver = kind(
            self.moving, self.problem, options, self.share.batch, self.share.steps,
            plan.epochs * plan.batches, self.threads, self.domain,
        )  # fmt: skip
        if state is not None:
            self._warm(solver, state)
        if self.resumed is not None:
            first = self._restore(solver, self.resumed)
        try:
            for epoch in range(first, plan.epochs + 1):
                self._epoch(solver, epoch, time_limit, reporter)
                if self.status is None and self._called_off(callbacks):
                    self.status = "interrupted"
                    self._save(solver, epoch + 1)
                if self.status is None and self._has_waited(epoch):
                    self.status = "stopped"
                    self._save(solver, epoch + 1)
                if self.status is not None:
                    self.result.status = self.status
                    break
                if self.saving.is_due_after(epoch, self._clock, plan.epochs):
                    self._save(solver, epoch + 1)
        except KeyboardInterrupt:
            self.result.status, self.result.signal = "interrupted", int(signal.SIGINT)
        self._end(solver)

    def _warm(self, solver, state):
        """Take up the state of a run before."""
        with alike(self.domain.comm, (ValueError,)):
            try:
                solver.restore(state, new_run=True)
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise ValueError(
                    f"warm_start is {short(state)}: expected Result.state of a run of this solver "
                    "on a network and data like these"
                ) from error

    @np.errstate(all="ignore")  # what is not finite has a status
    def _end(self, solver):
        """Leave the result, and in the network weights that are finite."""
        if not _all_finite(solver.average):  # the last step may have been one too many
            self.result.status = "diverged"
        if self.result.status != "diverged":
            solver.finish()
            self.result.kkt, found = solver.kkt(), solver.convergence()
            if self.result.kkt is not None:
                found["gradient_relative"] = self.result.kkt["gradient_relative"]
            self.result.convergence = found
        of = {name: self.saving.asked[name] for name in ("solver", "network")}
        self.result.state = of | solver.state(with_window=False)
        self.result.certificate = solver.certificate
        returns_best = self.result.status == "diverged" or self.patience
        self._hand_over(self.best if returns_best else solver.average)
        if not _all_finite(self.net.weights):  # too large for raw data
            self.result.status = "diverged"
            for own, before in zip(self.net.weights, self.before, strict=True):
                own[:] = before
        if self.result.status == "diverged":
            self.result.advice = solver.ADVICE

    @np.errstate(all="ignore")
    def _epoch(self, solver, epoch, time_limit, reporter):
        """One pass over the data; sets the status where training has to end."""
        plan, domain, now = self.plan, self.domain, self._begin(solver)
        waited, mean_terms = domain.waited, plan.mean_terms(self.problem.readout)
        self.lap_began = time.perf_counter()
        noise = int(self.rng.integers(2**63)) if self.net.dropout else None
        for cases, window in itertools.islice(plan.windows(self.rng), now.done, None):
            batch = self.share.batch_of(
                self.data, cases, window, again=plan.batches == 1 and not self.is_first_step,
                mean_terms=mean_terms, seed=None if noise is None else (noise, now.done),
            )  # fmt: skip
            now.done += 1
            if window == 0:
                now.carried = now.cases = None
            if batch.rows == 0:  # no sequence has begun
                continue
            batch.initial = now.state_before(batch, self.share.cases.start)
            record = solver.step(batch)
            self.is_first_step = False
            if window + 1 < plan.n_windows:
                now.carried = domain.carry(batch.part, solver.final_state(batch))
                now.cases = batch.cases + self.share.cases.start
            now.records.append(record)
            self._count(now)
            wishes = self._wishes(time_limit)
            n_cases = batch.part.n_cases
            domain.reduce((wishes,), partial(self._judge, record, wishes, reporter, n_cases))
            domain.end_iteration()
            if domain.iteration >= self.last_iteration:
                break
            if self.saving.is_due_now and now.done < plan.batches:
                self._save(solver, epoch, now)
        domain.drain()
        if self.status in ("interrupted", "time_limit"):
            self._save(solver, epoch, now)
        self.waited += domain.waited - waited
        self._count(now)
        self._record(solver, epoch, now.seconds, now.records, now.judged)
        reporter.epoch(self.result.history[-1])

    def _begin(self, solver):
        """The epoch that begins, or goes on where it was saved."""
        resumed, self.resumed = self.resumed, None
        if isinstance(resumed, Epoch):
            self.rng.bit_generator.state = resumed.generator
            return resumed
        judges_before = solver.judges_before and self.validation is None
        judged = _copies(solver.average) if judges_before else None
        return Epoch(self.rng.bit_generator.state, judged)

    def _count(self, now):
        """Count the time since the epoch began, or since the last call, as training."""
        began, self.lap_began = self.lap_began, time.perf_counter()
        self.result.train_seconds += self.lap_began - began
        now.seconds += self.lap_began - began

    def _clock(self):
        """Seconds of training, the same on all ranks."""
        return float(self.domain.largest(self.result.train_seconds))

    def _save(self, solver, epoch, now=None):
        """Write a checkpoint, where one is asked for; a failure is a warning.

        Parameters
        ----------
        solver : Solver
        epoch : int
            The one to go on with.
        now : Epoch, optional
            Where that has begun.
        """
        if self.saving.path is None:
            return
        self.saving.last = self._clock()
        now = now or Epoch(self.rng.bit_generator.state)
        parts = {
            "solver": solver.state(self.plan.batches == 1),
            "epoch": now.state(self.domain),
            "best": {
                **dict(zip(self.net.names, self.best, strict=True)),
                "loss": self.best_loss,
                "epoch": self.result.best_epoch,
            },
            "units": asdict(self.problem.units),
        }
        if not self.domain.is_root:
            return
        numbers, arrays = checkpoint.join(parts)
        header = {
            "asked": self.saving.asked, "epoch": epoch, "epochs": self.plan.epochs,
            "limit": self.limit, "train_seconds": self.result.train_seconds,
            "is_first_step": self.is_first_step, "history": self.result.history,
            "parts": numbers,
        }  # fmt: skip
        try:
            Checkpoint(header, arrays).write(self.saving.path)
        except OSError as error:
            logging.getLogger("fastadmm").warning(
                "no checkpoint is written to %s: %s", self.saving.path, error.strerror
            )

    def resume(self, saved):
        """Go on from a checkpoint of such a run: the units, and what `train` takes up."""
        saved.check(self.saving.asked)
        units = checkpoint.split(saved.header["parts"], saved.arrays)["units"]
        self.resumed, self.problem = saved, replace(self.problem, units=Units(**units))

    def _restore(self, solver, saved):
        """Take up what was saved; returns the number of the epoch to go on with."""
        header, parts = saved.header, checkpoint.split(saved.header["parts"], saved.arrays)
        solver.restore(parts["solver"])
        self.best = [parts["best"][name] for name in self.net.names]
        self.best_loss, self.limit = parts["best"]["loss"], header["limit"]
        self.result.best_epoch = parts["best"]["epoch"]
        self.is_first_step = header["is_first_step"]
        self.result.history[:] = header["history"]
        self.saving.last = self.result.train_seconds = header["train_seconds"]
        self.resumed = Epoch.from_state(parts["epoch"], solver.Record)
        return header["epoch"]

    def _wishes(self, time_limit):
        """What this process wants: to stop for want of time, for which signal, a checkpoint."""
        wishes, requested = np.zeros(2 + len(SIGNALS)), signals.requested()
        seconds = self.lap_began - self.began
        wishes[0] = time_limit is not None and seconds > time_limit
        wishes[1] = self.saving.is_late(self.result.train_seconds)
        if requested:
            wishes[2 + SIGNALS.index(requested)] = 1
        return wishes

    def _judge(self, record, wishes, reporter, n_cases, due):
        """Decide about the end, from the record of a step and the wishes of all processes."""
        late, due_now, *wanted = wishes.tolist()
        self.saving.is_due_now = bool(due_now) and not self.domain.staleness
        if self.status is None:
            if not record.finite or self._has_exploded(record):
                self.status = "diverged"
            elif record.solved:
                self.status = "solved"
            elif any(wanted):
                self.status = "interrupted"
                self.result.signal = next(int(n) for n, w in zip(SIGNALS, wanted, strict=True) if w)
            elif late:
                self.status = "time_limit"
            if self.status is not None:
                self.last_iteration = due
        reporter.batch(self._mean_loss([record]), n_cases)

    def _has_waited(self, epoch):
        """Whether the patience of all ranks is at its end."""
        is_over = bool(self.patience) and epoch - self.result.best_epoch >= self.patience
        return self.domain.any(is_over)

    def _called_off(self, callbacks):
        """Whether a callback, called with the last record, wants training to end."""
        with alike(self.domain.comm, (SystemExit,)):  # one that exits ends all ranks
            wants = any([c(self.result.history[-1]) for c in callbacks])
        return self.domain.any(wants)

    def _has_exploded(self, record):
        """Whether the loss is far above that of the first batch and of zero outputs."""
        loss = record.loss / record.terms
        if self.limit is None:
            self.limit = EXPLODED * max(loss, self.loss_of_zero)
        return loss > self.limit

    def _mean_loss(self, records):
        total, terms = sum(r.loss for r in records), sum(r.terms for r in records)
        return float(self.problem.reported(total, terms, self.net.outputs))

    def _record(self, solver, epoch, seconds, records, judged):
        """Append the epoch to the history, and keep the iterate if it is the best so far.

        ``judged`` are the weights that the loss is of, where these are not the averaged iterate.
        """
        self._hand_over(solver.average)
        if self.status != "diverged":
            compare_weights(self.domain, self.net, epoch)
        loss, accuracy = None, None
        if self.validation is not None:
            sums = score(self.net, self.raw, self.validation, self.threads)
            self.domain.sum(sums)
            loss, accuracy = self.raw.scores(sums, self.net.outputs)
        train_loss = self._mean_loss(records)
        measured = {
            "train_loss": train_loss,
            "validation_loss": loss,
            "validation_accuracy": accuracy,
            **records[-1].describe(records),
            **self._ages(),
        }
        start = {"epoch": epoch, "seconds": seconds, "batches": len(records)}
        self.result.history.append(start | {k: finite_or_none(v) for k, v in measured.items()})
        merit = train_loss if loss is None else loss
        if merit < self.best_loss and _all_finite(judged or solver.average):
            self.best_loss, self.result.best_epoch = merit, self.result.history[-1]["epoch"]
            self.best = judged or _copies(solver.average)

    def _hand_over(self, weights):
        """Give the network weights of the solver's, for raw data."""
        self.problem.units.leave(weights, self.net)
        self.bound.clip(self.net.weights)

    def _ages(self):
        """Entries of the history of a run whose ranks may lag behind."""
        if not self.domain.staleness:
            return {}
        mean, largest = self.domain.ages().T
        return {"age_mean": mean.tolist(), "age_max": largest.astype(int).tolist()}
