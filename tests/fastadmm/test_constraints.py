"""Constraints on weights: exact at every iterate, and refused where they do not fit."""

import numpy as np
import pytest

from fastadmm import RNN, constraints, fit
from fastadmm.constraints import (
    L1,
    L2,
    Box,
    Dale,
    Group,
    LowRank,
    Mask,
    NonNegative,
    Orthogonal,
    Signs,
    SpectralNorm,
)
from fastadmm.solvers import SOLVERS

H, D, C = 12, 3, 2
KEPT = np.random.default_rng(1).random((H, H)) < 0.4
SIGN = np.where(np.arange(H) < 9, 1, -1)
HOLD = {
    "Dale": ({"recurrent": Dale(0.75)}, lambda net: (net.recurrent * SIGN >= 0).all()),
    "mask": ({"recurrent": Mask(KEPT)}, lambda net: not net.recurrent[~KEPT].any()),
    "both": (
        {"recurrent": Dale(0.75) & Mask(KEPT)},
        lambda net: (net.recurrent * SIGN >= 0).all() and not net.recurrent[~KEPT].any(),
    ),
    "bounds": (
        {"recurrent": Box(-0.2, 0.3), "drive": Box(-0.01, 0.02), "read": Box(0.1, 0.4)},
        lambda net: all(
            (low <= w).all() and (w <= high).all()
            for w, low, high in (
                (net.recurrent, -0.2, 0.3), (net.drive, -0.01, 0.02), (net.read, 0.1, 0.4),
            )
        ),
    ),
    "non-negative": ({"read": NonNegative()}, lambda net: (net.read >= 0).all()),
    "signs": (
        {"drive": Signs(np.array([1, 0, -1]))},
        lambda net: (net.drive[:, 0] >= 0).all() and (net.drive[:, 2] <= 0).all(),
    ),
    "spectral norm": (
        {"recurrent": SpectralNorm(0.7)},
        lambda net: np.linalg.norm(net.recurrent.astype(float), 2) <= 0.7,
    ),
    "low rank": (
        {"recurrent": LowRank(3)},
        lambda net: np.linalg.svd(net.recurrent, compute_uv=False)[3:].max() < 1e-6,
    ),
    "orthogonal": (
        {"recurrent": Orthogonal()},
        lambda net: np.allclose(net.recurrent.T @ net.recurrent, np.eye(H), atol=1e-5),
    ),
}  # fmt: skip


def task(seed=0):
    """One whose inputs have units of their own."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((96, 6, D)) * [0.3, 1, 40] + [0, 2, -5]
    return X.astype("float32"), (X[:, 1, 0] / 0.3 - X[:, 4, 1] + 2 > 0).astype(int)


def watched(monkeypatch, holds, net):
    """A `condensed` that keeps whether its moving weights, in raw units, fit after every step."""
    seen = []

    class Watched(SOLVERS["condensed"]):
        def move(self, record):
            super().move(record)
            if self.net.hidden == H:  # not where kernels compile
                raw = RNN(D, H, C)
                self.problem.units.leave(self.weights, raw)
                seen.append(holds(raw))

    monkeypatch.setitem(SOLVERS, "condensed", Watched)
    return seen


@pytest.mark.parametrize("name", HOLD)
def test_weights_fit_at_every_step_and_in_the_end(monkeypatch, name):
    given, holds = HOLD[name]
    X, y = task()
    net = RNN(D, H, C, gain=1.2)
    seen = watched(monkeypatch, holds, net)
    result = fit(net, X, y, epochs=4, batch_size=16, constraints=given)
    assert len(seen) == 4 * 6
    if name != "bounds":  # which rounding to raw units may pass by a unit in the last place
        assert all(seen)
    assert holds(net)
    losses = [record["train_loss"] for record in result.history]
    assert losses[-1] < losses[0]


def test_without_limits_the_steps_are_those_of_no_constraints():
    X, y = task()
    found = []
    for given in (None, {"sent": Group(0.0)}, {"recurrent": Box(-50, 50)}):
        net = RNN(D, H, C, dtype="float64")
        fit(net, X, y, epochs=2, batch_size=16, constraints=given)
        found.append(net.theta.copy())
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_step_is_the_minimiser_over_the_set(monkeypatch, threads):
    # the conditions of optimality of every step, in the metric of the solver
    X, y = task()
    errors = []
    monkeypatch.setattr("fastadmm.solvers.held.TOLERANCE", 1e-9)

    class Watched(SOLVERS["condensed"]):
        def move(self, record):
            target = self.net.theta.copy()
            super().move(record)
            if self.net.hidden != H:
                return
            target[:, D + 1 :] *= 1 - record.shrinkage
            m = self.of_maps("solved_m")[0] / (1 - self.options.momentum**self.k)
            step = m / self.maps.of_units[0, :H, None]
            push = (target - step - self.net.theta) @ np.linalg.inv(self.of_maps("inverse")[0])
            size, W = np.abs(step).max(), self.net.recurrent
            errors.append(np.abs(push[:, : D + 1]).max() / size)  # no limits
            push = push[:, D + 1 :]
            errors.append(np.abs(push[W != 0]).max() / size)
            errors.append((push * SIGN)[KEPT & (W == 0)].max(initial=0) / size)

    monkeypatch.setitem(SOLVERS, "condensed", Watched)
    net = RNN(D, H, C, dtype="float64", gain=1.2)
    fit(net, X, y, epochs=2, batch_size=16, constraints=HOLD["both"][0], threads=threads)
    assert len(errors) == 3 * 12
    assert max(errors) < 1e-6


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_gated_cells_have_them_in_every_map(cell):
    X, y = task()
    net = RNN(D, H, C, cell=cell)
    given = {"recurrent": Dale(0.75), "drive": NonNegative(), "read": Box(0.1, 0.4)}
    fit(net, X, y, epochs=2, batch_size=16, constraints=given)
    state = net.state_dict()
    assert (state["rnn.weight_hh_l0"] * SIGN >= 0).all()
    assert (state["rnn.weight_ih_l0"] >= 0).all()
    assert (net.read >= np.float32(0.1)).all()
    assert (net.read <= np.float32(0.4)).all()


def test_group_removes_units_exactly():
    X, y = task()
    net = RNN(D, H, C, dtype="float64")
    fit(net, X, y, epochs=30, batch_size=16, constraints={"sent": Group(0.02)})
    sent = np.concatenate([net.recurrent, net.read])
    removed = (sent == 0).all(0)
    assert 0 < removed.sum() < H
    small = RNN(D, int((~removed).sum()), C, dtype="float64")
    small.theta[:] = net.theta[~removed][:, np.append(np.ones(D + 1, bool), ~removed)]
    small.phi[:] = net.phi[:, np.append(True, ~removed)]
    np.testing.assert_allclose(small.predict(X), net.predict(X), atol=1e-9)


@pytest.mark.parametrize(("given", "measure"), [
    (L1(0.01), lambda w: np.abs(w).sum()), (L2(0.1), lambda w: np.square(w).sum()),
])  # fmt: skip
def test_penalties_make_weights_smaller(given, measure):
    X, y = task()
    sizes = []
    for held in ({}, {"recurrent": given}):
        net = RNN(D, H, C)
        fit(net, X, y, epochs=10, batch_size=16, constraints=held)
        sizes.append(measure(net.recurrent))
    assert sizes[1] < 0.7 * sizes[0]


def test_a_start_has_the_signs_the_balance_and_the_radius_asked_for():
    net = RNN(D, 60, C, gain=1.5, dtype="float64")
    constraints.start({"recurrent": Dale(0.75) & Mask(0.5)}, net)
    W = net.recurrent
    assert (W[:, :45] >= 0).all()
    assert (W[:, 45:] <= 0).all()
    assert 0.4 < (W != 0).mean() < 0.6
    assert np.abs(np.linalg.eigvals(W)).max() == pytest.approx(1.5)
    assert W.sum() == pytest.approx(0, abs=1e-9)


def test_a_trained_network_begins_with_the_nearest_weights_that_fit():
    X, y = task()
    net = RNN(D, H, C)
    fit(net, X, y, epochs=1)
    before = net.recurrent.copy()
    fit(net, X, y, epochs=1, eta=1e-9, guard=0, constraints={"recurrent": NonNegative()})
    np.testing.assert_allclose(net.recurrent, np.maximum(before, 0), atol=1e-5)


def test_warm_start_and_tokens():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 5, (64, 8))
    y = X[:, ::-1].copy()
    net = RNN(5, H, 5)
    given = {"recurrent": Dale(0.75), "read": NonNegative()}
    first = fit(net, X, y, readout="all", epochs=2, constraints=given)
    fit(net, X, y, readout="all", epochs=2, constraints=given, warm_start=first.state)
    assert (net.recurrent * SIGN >= 0).all()
    assert (net.read >= 0).all()
    with pytest.raises(ValueError, match=r"constraints\['drive'\]: rows of tokens have no"):
        fit(net, X, y, readout="all", constraints={"drive": NonNegative()})


def test_spelled_on_the_command_line():
    block, found = constraints.parse("recurrent=dale:0.5&box:-1:2.5")
    assert block == "recurrent"
    assert found.each == (Dale(0.5), found.each[1])
    assert (found.each[1].lower, found.each[1].upper) == (-1, 2.5)
    both = constraints.parse_all(["read=nonnegative", "read=l1:0.1", "sent=group:0.2"])
    assert both["read"].each == (NonNegative(), L1(0.1))
    assert both["sent"] == Group(0.2)


MISTAKES = {
    "constraints has 'theta': expected 'drive', 'recurrent', 'read', 'sent'": {"theta": Dale()},
    r"constraints\['read'\] is str: expected a Constraint": {"read": "dale"},
    r"constraints\['recurrent'\]: kept has shape \(3, 3\): expected \(12, 12\)": {
        "recurrent": Mask(np.ones((3, 3), bool))
    },
    r"constraints\['recurrent'\]: no weight fits all of them": {"recurrent": Box(0.1) & Mask(0.5)},
    r"constraints\['read'\]: what acts on a matrix as a whole": {"read": Orthogonal()},
    r"constraints\['recurrent'\]: groups are those of 'sent'": {"recurrent": Group(0.1)},
}


@pytest.mark.parametrize("message", MISTAKES)
def test_constraints_that_do_not_fit_are_named(message):
    X, y = task()
    with pytest.raises((ValueError, TypeError), match=message):
        fit(RNN(D, H, C), X, y, constraints=MISTAKES[message])


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Dale(1.5), "excitatory is 1.5: expected a number from 0 to 1"),
    (lambda: L1(-1), "strength is -1: expected a number, at least 0"),
    (lambda: Box(1, 0), "lower is 1: expected at most upper, 0"),
    (lambda: Signs([2]), r"signs are \[2\]: expected -1, 0 or 1"),
    (lambda: LowRank(0), "rank is 0: expected a positive integer"),
    (lambda: constraints.parse("dale"), "constraint is 'dale': expected BLOCK=NAME:NUMBER"),
    (lambda: constraints.parse("read=dall"), "constraint 'read=dall' is 'dall': expected one of"),
    (lambda: constraints.parse("read=l1"), "constraint is 'read=l1': expected l1:STRENGTH"),
])  # fmt: skip
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_admmirnn_takes_none():
    X, y = task()
    with pytest.raises(ValueError, match="solver 'admmirnn' takes none"):
        fit(RNN(D, H, C), X, y, solver="admmirnn", constraints={"recurrent": Dale()})
