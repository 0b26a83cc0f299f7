"""torch's optimisers at their best: clipped, decayed, averaged, with rates tuned for the case.

The gradient's norm is clipped at 1, the learning rate falls linearly to zero, and an average of the
iterates is kept beside the last one. Rate and iterate are chosen by the held-out score itself, at
seeds of their own: in favour of torch, since our solvers are given one setting for everything.
"""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from statistics import mean

import numpy as np

CLIP, SHORTEST_MEMORY, DECAY = 1.0, 0.02, 8
"""Bound of the gradient's norm; the average's weight of the last iterate is (DECAY + 1) /
(k + DECAY) in step k (polynomial decay), and at least the second."""
RATES = {
    "SGD": range(-3, 2),
    "Momentum": range(-4, 1),
    "Adagrad": range(-5, 0),
    "RMSprop": range(-8, -3),
    "Adam": range(-7, -2),
}
"""Half decades of the learning rates that are tried at first."""
TUNING, EXTENSIONS = (100, 101), 2
"""Seeds of tuning, and how often a grid is extended that has its best at an edge."""


def rate_of(half_decades):
    """1, 3, 10, 30, ... and their inverses."""
    return float(f"{10 ** (half_decades / 2):.0e}")


def tuned(name, score):
    """Learning rate and iterate of an optimiser with the best score.

    All rates of the grid are scored at one seed, the best two at another one as well.

    Parameters
    ----------
    name : str
        Of the optimiser, as in `RATES`.
    score : callable
        ``score(rate, seed)`` gives a number for each iterate, {"last": ..., "average": ...}; the
        highest is the best.

    Returns
    -------
    rate : float
    iterate : {"last", "average"}
    """
    found = {k: [score(rate_of(k), TUNING[0])] for k in RATES[name]}

    def merits(k):
        return {i: mean(scores[i] for scores in found[k]) for i in ("last", "average")}

    def merit(k):
        return max(merits(k).values())

    for _ in range(EXTENSIONS):
        best = max(found, key=merit)
        beyond = {min(found): min(found) - 1, max(found): max(found) + 1}.get(best)
        if beyond is None:
            break
        found[beyond] = [score(rate_of(beyond), TUNING[0])]
    finalists = sorted(found, key=merit)[-2:]
    for k in finalists:
        found[k].append(score(rate_of(k), TUNING[1]))
    best = max(finalists, key=merit)
    return rate_of(best), max(merits(best), key=merits(best).get)


class Training:
    """torch's RNN and read-out, from the weights of ``net``, under one optimiser.

    Parameters
    ----------
    net : RNN
    name : str
        Of the optimiser, in the paper's words.
    rate : float
        Learning rate at the start.
    total : int
        Number of steps over which it falls to zero.
    readout : {"last", "all"}
    compiled : bool
        Whether torch compiles outputs and loss.
    bounds : (ndarray, ndarray), optional
        Lowest and highest recurrent weights, (H, H): clamped after every step.
    """

    def __init__(self, net, name, rate, total, readout="last", compiled=False, bounds=None):
        import torch

        self.rate, self.total, self.readout, self.k = rate, total, readout, 0
        self.rnn = torch.nn.RNN(
            net.inputs, net.hidden, nonlinearity=net.activation, batch_first=True
        )
        self.bounds = bounds and [torch.from_numpy(b.astype(np.float32)) for b in bounds]
        self.linear = torch.nn.Linear(net.hidden, net.outputs)
        self.model = torch.nn.ModuleDict({"rnn": self.rnn, "readout": self.linear})
        self.model.load_state_dict({k: torch.from_numpy(v) for k, v in net.state_dict().items()})
        self.parameters = list(self.model.parameters())
        self.average = {k: v.clone() for k, v in self.model.state_dict().items()}
        settings = {} if name == "RMSprop" else {"fused": True}
        if name == "Momentum":
            name, settings["momentum"] = "SGD", 0.9
        self.loss = torch.compile(self._loss) if compiled else self._loss
        self.optimiser = getattr(torch.optim, name)(self.parameters, lr=rate, **settings)

    def _loss(self, x, y, state):
        import torch

        states, state = self.rnn(x, state)
        outputs = self.linear(states[:, -1] if self.readout == "last" else states.flatten(0, 1))
        return torch.nn.functional.cross_entropy(outputs, y.flatten()), state

    def step(self, x, y, state=None):
        """One mini-batch; returns its loss, and the state after it for the next window."""
        import torch

        loss, state = self.loss(x, y, state)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, CLIP)
        self.k += 1
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * (1 - (self.k - 1) / (self.total + 1))
        self.optimiser.step()
        if self.bounds:
            with torch.no_grad():
                self.rnn.weight_hh_l0.clamp_(*self.bounds)
        share = max(SHORTEST_MEMORY, (DECAY + 1) / (self.k + DECAY))
        for name, value in self.model.state_dict().items():
            self.average[name].lerp_(value, share)
        return loss.item(), state.detach()

    def put_into(self, net, iterate):
        """Give ``net`` the last iterate, or the average."""
        weights = self.average if iterate == "average" else self.model.state_dict()
        net.load_state_dict({k: v.numpy().copy() for k, v in weights.items()})


def _one_thread_of_torch():
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def side_by_side(function, jobs, workers=2, begin=_one_thread_of_torch):
    """Results of ``function(*job)`` as they come, each process, after ``begin``, on one thread."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, begin) as pool:
        for done in as_completed([pool.submit(function, *job) for job in jobs]):
            yield done.result()
