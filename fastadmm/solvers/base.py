"""What a solver is: made for a run, it takes the mini-batches one by one."""

from typing import Any, ClassVar

from fastadmm.mpi.serial import Serial
from fastadmm.solvers.certificate import Certificate
from fastadmm.unfolded import Unfolded
from fastadmm.validation import short

CONVERGENCE = "lagrangian_rise", "gradient_relative", "path_used", "path_allowed", "growth"


def check_trains(name: str, kind: "type[Solver]", facts: dict[str, Any]) -> None:
    """Refuse what a solver does not train.

    Parameters
    ----------
    name : str
        Of the solver.
    kind : type
    facts : dict
        Of the network and the run, by the names of arguments.

    Raises
    ------
    ValueError
    """
    for argument, allowed in kind.trains.items():
        if argument in facts and facts[argument] not in allowed:
            expected = " or ".join(map(repr, allowed))
            raise ValueError(
                f"{argument} is {short(facts[argument])}: solver {name!r} trains {expected} "
                "alone; 'condensed' trains it"
            )


class Solver:
    """State of a solver over a run.

    A solver has its settings in ``Options``, moves weights in `step`, and says in `counts` what an
    iteration costs. What `step` returns is a ``Record`` of the iteration: with ``loss`` (a sum) and
    ``terms``, ``finite`` (False where training has diverged), ``solved``, and ``describe``, which
    turns the records of an epoch into entries of the history.

    Parameters
    ----------
    net : RNN
        Its weights move with every step.
    problem : Problem
    options : Options
    batch, steps : int
        Largest number of own sequences, and of own time steps, in a window.
    total : int
        Number of mini-batches of the whole run.
    threads : int
    domain : fastadmm.mpi.serial.Serial, optional
        Who owns which part; the windows given to `step` are this owner's.

    Attributes
    ----------
    trains : dict
        Of facts about networks and runs the values that the solver takes, where it does not take
        all: see `check_trains`.
    unfolded : fastadmm.unfolded.Unfolded
    certificate : fastadmm.solvers.certificate.Certificate or None
    ADVICE : str
        What may help where training diverges.
    judges_before : bool
        The loss that a step reports is that of the weights before it; otherwise the mean over an
        epoch counts for the weights that it ends with.
    takes_constraints : bool
        Weights may have constraints, see `fastadmm.constraints`.
    """

    trains: ClassVar[dict[str, tuple]] = {}
    Options: Any = None
    Record: Any = None
    ADVICE: str
    unfolded: Unfolded
    certificate: Certificate | None = None
    judges_before = False
    takes_constraints = False

    def __init__(self, net, problem, options, batch, steps, total, threads, domain=None):
        self.net, self.problem, self.options = net, problem, options
        self.total, self.threads, self.domain = total, threads, domain or Serial()

    @staticmethod
    def counts(work, options):
        """Operations of an iteration.

        Parameters
        ----------
        work : fastadmm.mpi.cost.Work
        options : Options

        Returns
        -------
        fastadmm.mpi.cost.Counts
        """
        raise NotImplementedError

    @property
    def average(self):
        """The weights that training returns, as in ``RNN.weights``."""
        raise NotImplementedError

    def step(self, batch):
        """Move the weights by a mini-batch.

        They may move later, when the sums over all owners have arrived, with a domain that may lag
        behind.

        Parameters
        ----------
        batch : fastadmm.batches.Batch

        Returns
        -------
        record
            Complete when the weights have moved. Where it is not finite, training has to stop.
        """
        raise NotImplementedError

    def warm_up(self, data, sequences, steps):
        """Call, after a step, what others may call that take windows of some size.

        Parameters
        ----------
        data : fastadmm.batches.Data
            Of at least four time points.
        sequences, steps : int
            Largest number of own sequences, and of own time steps, in their windows.
        """

    def final_state(self, batch):
        """State after the last step's window, (B, CARRIED H), to carry into the next one."""
        return self.unfolded.window(batch.steps, len(batch.cases)).handed_on(batch.steps)

    def state(self, with_window):
        """All that the next step depends on, beside its mini-batch.

        Parameters
        ----------
        with_window : bool
            The next step has the window of the last one.

        Returns
        -------
        dict of ndarray and JSON values
            Complete on the root.
        """
        raise NotImplementedError

    def restore(self, state, new_run=False):
        """Take up a state that `state` has given.

        Parameters
        ----------
        state : dict
        new_run : bool
            What depends on the length of a run begins anew.
        """
        raise NotImplementedError

    def finish(self):
        """What is left to do at the end of a run."""

    def convergence(self):
        """Numbers by name of what is proved of a run, see docs/theory.md; None where not measured.

        ``lagrangian_rise``, ``gradient_relative``, ``path_used``, ``path_allowed``, ``growth``.
        """
        return dict.fromkeys(CONVERGENCE)

    def kkt(self):
        """Conditions of optimality at the weights that training returns, or None."""
