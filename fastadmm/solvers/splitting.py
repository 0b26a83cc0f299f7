"""What `block` and `admmirnn` share: iterations on one window, and what goes from one to the next.

Both keep pre-activations, states, outputs and multipliers from one iteration to the next for as
long as they are given the same window (full batch). A new window (mini-batch) starts from
simulated states, see `fastadmm.solvers.variables`.
"""

import math
from contextlib import suppress
from typing import ClassVar

import numpy as np

from fastadmm.solvers.conditions import Conditions
from fastadmm.solvers.record import SplittingRecord

OUTPUTS = "o", "lambda3", "output_targets"
VARIABLES = "a", "lambda1", "lambda2", "targets", *OUTPUTS
"""What iterations go on from, beside the states."""


class Splitting(Conditions):
    """A solver with states as variables; `block` and `admmirnn` add `prepare` and `iterate`.

    Parameters as of `fastadmm.solvers.base.Solver`.
    """

    trains: ClassVar = {
        "cell": ("elman",), "layers": (1,), "bidirectional": (False,), "initial": ("zero",),
        "readout": ("last", "all"),
        "washout": (0,), "warmup": (0,),
    }  # fmt: skip
    Record = SplittingRecord
    judges_before = True

    def step(self, batch):
        """Iterations on one window.

        The weight of the mini-batch is not used: sub-problems are solved, not stepped along. Where
        it is the window of the last step again, they go on from its states.
        """
        again, record = batch.again, SplittingRecord(math.nan, 1)  # not finite
        with suppress(np.linalg.LinAlgError):  # the record tells
            if self._saved is not None:
                self._take_up(batch, self._saved)
            if again:
                self._look_back()
            else:
                self._enter(batch)
            record = self._iterations()
            # a window that will not come back says nothing about the run
            record.solved = record.solved and again and self._is_optimal()
        self.part = self.part._replace(may_age=False)
        self.goes_on = again and record.finite and not record.solved
        return record

    def _iterations(self):
        """Iterations on the window that is laid out; the record of the last one."""
        domain = self.domain
        domain.end_iteration()
        for sweep in range(self.options.sweeps):
            if sweep:
                domain.end_iteration()
                self.part = self.part._replace(may_age=True)
            self.k += 1
            record = self.iterate()
            if not domain.staleness and (record.solved or not record.finite):
                break
        return record

    def state(self, with_window):
        state = {
            "k": self.k, "start": self.start, "weights_dual": self.weights_dual,
            "theta": self.net.theta, "phi": self.net.phi,
            "lagrangian": self.lagrangian, "rise": self.rise,
        }  # fmt: skip
        if self.certificate is not None:
            state |= {"checks": self.certificate.checks, "violation": self.certificate.violation}
        if self.consensus is not None:
            state |= self.consensus.state()
        return state | (self._variables() if with_window and self.entered is not None else {})

    def _variables(self):
        """All variables of the window, on the root: by time step and case, (T, n_cases, ...)."""
        part = self.part
        cases = self.entered.cases + part.places.start
        own = {name: getattr(self, name) for name in VARIABLES} | {"s": self.window.states[1:]}
        pieces = self.domain.collect((part.steps, cases, own))
        whole = {}
        for steps, places, arrays in pieces or ():
            for name, array in arrays.items():
                every = name not in OUTPUTS or self.problem.every
                length = part.n_steps if every else 1
                shape = (length, part.n_cases, array.shape[-1])
                found = whole.setdefault(f"window_{name}", np.zeros(shape, array.dtype))
                if len(array):
                    found[steps if every else slice(0, 1), places] = array
        return whole

    def restore(self, state, new_run=False):
        self.net.theta[:], self.net.phi[:] = state["theta"], state["phi"]
        if self.consensus is not None:
            self.consensus.restore(state)
        if self.certificate is not None:
            self.certificate.checks = state.get("checks", 0)
            self.certificate.violation = state.get("violation")
        if not new_run:
            self.k, self.start = state["k"], state["start"]
            self.weights_dual[:] = state["weights_dual"]
            self.lagrangian, self.rise = state["lagrangian"], state["rise"]
            self._saved = state if "window_a" in state else None

    def _take_up(self, entered, state):
        """Lay out the window again that was saved, with all variables as they were."""
        self._saved = None
        self._lay_out(entered)
        self.prepare()
        steps, cases = self.part.steps, entered.cases + self.part.places.start
        for name in (*VARIABLES, "s"):
            own = self.window.states[1:] if name == "s" else getattr(self, name)
            every = name not in OUTPUTS or self.problem.every
            if len(own):
                own[:] = state[f"window_{name}"][steps if every else slice(0, 1), cases]
        if self.steps and steps.start > 0:
            self.window.states[0] = state["window_s"][steps.start - 1, cases]

    def prepare(self):
        """What iterations need of a window that is new."""
        raise NotImplementedError

    def iterate(self):
        """One iteration; returns its record."""
        raise NotImplementedError

    def finish(self):
        """The weights of the last iteration have not been judged yet, wherever a run ends."""
        if self.goes_on and not self.domain.staleness:
            self._look_back()

    def convergence(self):
        found = super().convergence()
        if not math.isnan(self.rise):
            found["lagrangian_rise"] = self.rise
        return found

    def _look_back(self):
        """Simulate the network with the weights that iterations have led to."""
        self._simulate()

    def _enter(self, entered):
        """Lay the window out over the buffers, and start from simulated states."""
        self._lay_out(entered)
        if not self.start:
            self.start = {"gradient": self._gradient()}
        self._start()
        self.prepare()
        if "theta" not in self.start:
            self.start |= self._gradients_of_weights(self.lambda1, self.lambda3)
