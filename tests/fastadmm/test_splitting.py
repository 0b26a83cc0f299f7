"""The updates of block and admmirnn against their twin."""

import warnings

import numpy as np
import pytest
from cases.splitting import KINDS, LINEAR, B, D, T, linear_task, make, point_of, small_task, value
from reference.condensed import ACTIVATIONS, loss_terms
from reference.splitting import numerical_gradient, residuals

from fastadmm import RNN, fit
from fastadmm.batches import Batch
from fastadmm.problem import make_problem
from fastadmm.solvers import SOLVERS

pytestmark = pytest.mark.usefixtures("two_threads")


EXACT = {
    "theta": lambda own: own._move_theta(),
    "phi": lambda own: own._move_phi(),
    "s": lambda own: own._move_states(),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EXACT)
def test_exact_updates_are_stationary(name, kind):
    own = make("block", kind, tau_theta=0.0, tau_phi=0.0, rho1=0.7, rho2=1.3, rho3=0.4)
    EXACT[name](own)
    gradient = numerical_gradient(lambda p: value(own, p), point_of(own), name)
    np.testing.assert_allclose(gradient, 0, atol=2e-8 * B * T)


@pytest.mark.parametrize("kind", KINDS)
def test_multipliers_follow_the_exact_updates(kind):
    # a and o are exact for the old multipliers, so with the new ones the plain Lagrangian is
    # stationary in them: 0 = λ1 − λ2 f'(a) and 0 = ∇ℓ(o) + λ3
    own = make("block", kind, rho1=0.7, rho2=1.3, rho3=0.4)
    before = point_of(own)
    own._move_preactivations()
    own.move_outputs(own.rho[2], 1.0)
    after = point_of(own)
    r1, r2, r3 = residuals(after, "tanh")
    for name, r, rho in (("l1", r1, 0.7), ("l2", r2, 1.3), ("l3", r3, 0.4)):
        np.testing.assert_allclose(after[name], before[name] + rho * r, atol=1e-12)
    slope = ACTIVATIONS["tanh"][1](after["a"])
    np.testing.assert_allclose(after["l1"], after["l2"] * slope, atol=1e-7)
    gradient = loss_terms(after["o"], after["y"], own.problem.loss.name)[1]
    np.testing.assert_allclose(after["l3"], -gradient, atol=1e-9)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_preactivations_are_the_global_minimisers(activation):
    own = make("block", activation=activation, rho1=0.7, rho2=1.3)
    before = point_of(own)
    own._move_preactivations()
    after = point_of(own)
    f, _ = ACTIVATIONS[activation]
    r1, _, _ = residuals(before, activation)
    m = before["a"] - r1 - before["l1"] / 0.7
    sigma = before["s"] + before["l2"] / 1.3
    grid = np.linspace(-12, 12, 4001)[:, None, None, None]
    cost = lambda a: 0.35 * (a - m) ** 2 + 0.65 * (sigma - f(a)) ** 2  # noqa: E731
    assert (cost(after["a"]) <= cost(grid).min(0) + 1e-12).all()


@pytest.mark.parametrize("k", [0, 5, 11])
@pytest.mark.parametrize(("growth", "shrinkage"), [(-0.5, 0), (0.05, 0.005), (2.0, 0.02)])
def test_growth_guard_shrinks_while_multipliers_explode_and_ends_with_the_run(growth, shrinkage, k):
    own = make("block")  # 10 iterations
    own.k = k
    for t in range(T):
        own.lambda1[t] = np.exp(growth * (T - 1 - t))
    before = own.net.theta.copy()
    own.shrink()
    before[:, D + 1 :] *= 1 - shrinkage * (1 - k / 11)
    np.testing.assert_allclose(own.net.theta, before, rtol=1e-12)


def test_sign_convention_by_hand():
    # one weight, one step, squared loss: minimise (o − y)²/2 with o = 0 s + c fixed by tau
    net = RNN(1, 1, 1, activation="identity", dtype="float64")
    net.theta[:], net.phi[:] = 0, 0
    problem, data = make_problem(net, np.ones((1, 1, 1)), np.array([[2.0]]))
    options = SOLVERS["block"].Options(rho3=0.5, tau_theta=1e12, tau_phi=1e12)
    own = SOLVERS["block"](net, problem, options, 1, 1, 1, 1)
    own._enter(Batch.alone(data, np.arange(1)))
    own.lambda3[:] = 0
    own.prepare()
    own.move_outputs(0.5, 1.0)
    # argmin (o − 2)²/2 + 0.25 o²  =>  o = 2 / 1.5;  λ3 <- 0 + 0.5 (o − 0)
    assert own.o[0, 0] == pytest.approx(4 / 3)
    assert own.lambda3[0, 0] == pytest.approx(2 / 3)
    # λ3 = y − o: the gradient of the loss and the multiplier cancel


@pytest.mark.parametrize("solver", ["block", "admmirnn"])
def test_linear_network_finds_least_squares(solver):
    X, y, net = linear_task()
    fit(net, X, y, solver=solver, epochs=3000, batch_size=None, eps_rel=1e-9, **LINEAR[solver])
    ones = np.concatenate([X[:, 0], np.ones((40, 1))], 1)
    best = ones @ np.linalg.lstsq(ones, y, rcond=None)[0]
    np.testing.assert_allclose(net.predict(X), best, atol=1e-6)


@pytest.mark.parametrize("solver", ["block", "admmirnn"])
def test_single_precision_follows_double(solver):
    own, fine = (make(solver, dtype=dtype) for dtype in ("float32", "float64"))
    for each in (own, fine):
        each.k = 1
        each.iterate()
    np.testing.assert_allclose(own.net.theta, fine.net.theta, atol=2e-5)
    np.testing.assert_allclose(own.a, fine.a, atol=2e-4)


BAD = {
    "rho1 is 0: expected a positive number": dict(rho1=0),
    "relaxation is 2: expected 0 < relaxation < 2": dict(relaxation=2),
    "regulariser is 'ridge': expected None or one of 'l1', 'l2', 'elastic_net', 'nonneg'": dict(
        regulariser="ridge"
    ),
    "certify needs relaxation=1 and adapt_every=0: both may raise it": dict(
        certify=True, relaxation=1.5
    ),
    "guard is 2: expected 0 <= guard <= 1": dict(guard=2),
    "sweeps is 0: expected an integer from 1 to 1000": dict(sweeps=0),
    "adapt_every is -1: expected an integer, at least 0": dict(adapt_every=-1),
    "adapt_ratio is 1: expected a number above 1": dict(adapt_ratio=1),
    "eps_rel is -1: expected a number, at least 0": dict(eps_rel=-1),
}


@pytest.mark.parametrize("message", BAD)
def test_mistakes_in_options_are_named(message):
    X, y = small_task()
    with pytest.raises(ValueError, match="^" + message.replace("(", r"\(")):
        fit(RNN(3, 4, 2), X, y, solver="block", **BAD[message])
    with pytest.raises(ValueError, match="nu is -1: expected a positive number"):
        fit(RNN(3, 4, 2), X, y, solver="admmirnn", nu=-1)


@pytest.mark.parametrize("solver", ["block", "admmirnn"])
@pytest.mark.parametrize(
    ("X", "net"),
    [
        (np.full((8, 4, 3), 1e20, "f4") * np.random.default_rng(0).standard_normal((8, 4, 3)), {}),
        (np.full((8, 4, 3), 1e4), {}),
        (np.random.default_rng(0).standard_normal((8, 30, 3)), {"gain": 100, "activation": "relu"}),
    ],
)
def test_what_lapack_cannot_take_is_a_status(solver, X, net, capfd):
    """A result with finite weights and advice; no exception, no warning, no text of LAPACK's."""
    net = RNN(3, 4, 1, **net)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = fit(net, X, X[:, 0, :1], solver=solver, batch_size=None, epochs=6, scale=None)
    assert all(np.isfinite(weights).all() for weights in net.state_dict().values())
    assert (result.status == "diverged") == bool(result.advice)
    assert capfd.readouterr() == ("", "")
