"""The iterates of the solver, pinned: faster code has to give the same numbers, to rounding.

``python tests/fastadmm/test_golden.py`` rewrites the stored histories. That is right only where
the algorithm itself was changed on purpose.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from fastadmm import RNN
from fastadmm.batches import Batch
from fastadmm.problem import make_problem
from fastadmm.solvers.condensed import Condensed, CondensedOptions
from fastadmm.threads import compute_threads

STORED = Path(__file__).with_name("golden.json")
STEPS, CASES, BATCH = 32, 60, 21  # 21 sequences: uneven chunks, and tiles of every height
KINDS = {  # inputs, hidden, read-out, tokens, activation, gain
    "dense, last": (8, 64, "last", False, "tanh", 1.0),
    "dense, last, tiny": (1, 9, "last", False, "tanh", 1.5),
    "dense, all": (3, 33, "all", False, "sigmoid", 1.0),
    "dense, all, tiny": (3, 16, "all", False, "relu", 0.7),
    "tokens, all": (5, 40, "all", True, "tanh", 1.0),
    "tokens, last, tiny": (5, 12, "last", True, "tanh", 1.0),
}


def history(name, threads):
    """What a run does: measures of every step, and projections of the weights it ends with."""
    inputs, hidden, readout, tokens, activation, gain = KINDS[name]
    rng = np.random.default_rng(7)
    net = RNN(inputs, hidden, 4, activation, gain=gain, seed=rng, dtype="float64")
    X = rng.integers(0, inputs, (CASES, 8)) if tokens else rng.random((CASES, 8, inputs))
    y = rng.integers(0, 4, CASES if readout == "last" else (CASES, 8))
    problem, data = make_problem(net, X, y, readout=readout)
    records = []
    with compute_threads(threads):
        solver = Condensed(net, problem, CondensedOptions(eta=0.03), BATCH, 8, STEPS, threads)
        for k in range(STEPS):
            # every fourth batch is smaller, as the last one of an epoch
            cases = rng.permutation(CASES)[: BATCH if k % 4 else BATCH - 6]
            records.append(solver.step(Batch.alone(data, cases)))
    measured = {
        key: [getattr(record, key) for record in records]
        for key in ("loss", "growth", "step_length", "multiplier_square", "rho_min", "rho_max")
    }
    for block, weights in zip(("theta", "phi"), solver.weights, strict=True):
        columns = np.r_[
            np.arange(weights.shape[1] - hidden - 1),
            weights.shape[1] - hidden - 1 + np.roll(np.arange(hidden + 1), -1),
        ]
        weights = weights[:, columns]
        waves = np.cos(np.arange(weights.size)).reshape(weights.shape)
        measured[block] = (weights * waves).sum(1).tolist()
    return measured


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", KINDS)
def test_iterates_are_those_of_before(name, threads):
    expected = json.loads(STORED.read_text())[name]
    found = history(name, threads)
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-9, atol=1e-11, err_msg=key)


if __name__ == "__main__":
    STORED.write_text(json.dumps({name: history(name, 2) for name in KINDS}, indent=0) + "\n")
