"""Conditions of optimality of block and admmirnn, and when a run is solved."""

import numpy as np
import pytest
from cases.splitting import LINEAR, linear_task, noisy_task, penalties, point_of, small_task
from reference.splitting import lagrangian, numerical_gradient, residuals

from fastadmm import RNN, fit
from fastadmm.batches import Batch
from fastadmm.problem import evaluate, make_problem
from fastadmm.solvers import SOLVERS

pytestmark = pytest.mark.usefixtures("two_threads")


@pytest.mark.parametrize("solver", ["block", "admmirnn"])
def test_kkt_residuals_against_a_dense_computation(solver):
    X, y = small_task()
    net = RNN(3, 4, 2, dtype="float64")
    problem, data = make_problem(net, X, y)
    kind = SOLVERS[solver]
    own = kind(net, problem, kind.Options(), 30, 4, 1, 1)
    for _ in range(5):
        own.step(Batch.alone(data, np.arange(30)))
    own.X, own.labels = data.X, data.y
    start, mine = {name: own.start[name] for name in ("theta", "phi")}, own.kkt()
    point = point_of(own)
    weights = penalties(own) if solver == "admmirnn" else (np.zeros(4), np.zeros(4), np.zeros(1))

    def force(name):
        function = lambda p: lagrangian(p, "tanh", problem.loss.name, *weights)  # noqa: E731
        return np.linalg.norm(numerical_gradient(function, point, name))

    kkt, norm = mine, np.linalg.norm
    mu = own.effective_multipliers()
    assert kkt["theta"] == pytest.approx(force("theta") / start["theta"], rel=1e-5)
    assert kkt["phi"] == pytest.approx(force("phi") / start["phi"], rel=1e-5)
    W, V = net.recurrent, net.read
    pulled = norm(mu[0][1:] @ W), norm(mu[2] @ V)
    assert kkt["state"] == pytest.approx(force("s") / (norm(mu[1]) + sum(pulled)), rel=1e-5)
    if solver == "admmirnn":
        slope = 1 - np.tanh(own.a) ** 2
        size = norm(mu[0]) + norm(mu[1] * slope)
        assert kkt["preactivation"] == pytest.approx(force("a") / size, rel=1e-5)
    else:
        assert kkt["preactivation"] < 1e-6
        assert kkt["output"] < 1e-9
    sides = point["a"], point["s"], point["o"]
    worst = max(
        norm(r) / max(norm(x), norm(x - r))
        for r, x in zip(residuals(point, "tanh"), sides, strict=True)
    )
    assert kkt["feasibility"] == pytest.approx(worst)


def loss_gradient(net, problem, data):
    """Central differences of the simulated network's mean loss, both blocks in one vector."""
    found = []
    for weights in (net.theta, net.phi):
        for index in np.ndindex(weights.shape):
            kept, ends = weights[index], []
            for weights[index] in (kept + 1e-6, kept - 1e-6):
                ends.append(evaluate(net, problem, data, 1)[0])
            weights[index] = kept
            found.append((ends[0] - ends[1]) / 2e-6)
    return np.array(found)


@pytest.mark.parametrize("solver", ["block", "admmirnn"])
def test_kkt_is_relative_to_the_start_and_of_the_simulated_network(solver):
    X, y = small_task()
    net = RNN(3, 4, 2, dtype="float64")
    problem, data = make_problem(net, X, y)
    start = np.linalg.norm(loss_gradient(net, problem, data))
    kind = SOLVERS[solver]
    own = kind(net, problem, kind.Options(), 30, 4, 40, 1)
    own._enter(Batch.alone(data, np.arange(30)))
    kkt = own.kkt()
    assert [kkt[name] for name in ("theta", "phi", "gradient_relative")] == pytest.approx([1] * 3)
    assert kkt["gradient"] == pytest.approx(start, rel=1e-6)
    for _ in range(40):
        own.step(Batch.alone(data, np.arange(30), again=True))
    kkt = own.kkt()
    left = np.linalg.norm(loss_gradient(net, problem, data))
    assert kkt["gradient"] == pytest.approx(left, rel=1e-5)
    assert kkt["gradient_relative"] == pytest.approx(left / start, rel=1e-5)
    again = own.kkt()  # nothing that it needs has changed
    assert again == pytest.approx(kkt)


def test_kkt_is_of_the_weights_that_are_returned():
    X, y = small_task()
    net = RNN(3, 4, 2, dtype="float64")
    problem, data = make_problem(net, X, y)
    options = SOLVERS["block"].Options(regulariser="l2", strength=0.1)
    own = SOLVERS["block"](net, problem, options, 30, 4, 10, 1)
    for k in range(10):
        own.step(Batch.alone(data, np.arange(30), again=k > 0))
    kkt = own.kkt()
    theta, phi = own.average
    returned = RNN(3, 4, 2, dtype="float64")
    returned.theta[:], returned.phi[:] = theta, phi
    gradient = loss_gradient(returned, problem, data)
    weights = np.concatenate([w[:, :].ravel() for w in (theta, phi)])
    is_bias = np.concatenate(
        [np.arange(w.size) % w.shape[1] == bias for w, bias in ((theta, 3), (phi, 0))]
    )
    # ρ (Ψ − prox(Ψ − ∇/ρ)) with the prox of strength/2 |·|² and ρ = 1
    inner = weights - gradient
    mapped = weights - np.where(is_bias, inner, inner / 1.1)
    assert kkt["gradient"] == pytest.approx(np.linalg.norm(mapped), rel=1e-5)
    assert kkt["feasibility"] >= own.consensus.gap > 0


@pytest.mark.parametrize(
    "slow", [dict(tau_theta=1e6, tau_phi=1e6), dict(tau_phi=1e6), dict(tau_theta=1e6)]
)
def test_weights_that_hardly_move_are_not_solved(slow):
    X, y = small_task()
    result = fit(
        RNN(3, 4, 2, dtype="float64"), X, y, solver="block", epochs=30, batch_size=None,
        eps_rel=1e-2, **slow,
    )  # fmt: skip
    assert result.status == "max_iter"
    assert max(result.history[-1]["weights_dual"]) > 0.5


@pytest.mark.parametrize("solver", ["block", "admmirnn"])
def test_a_converged_state_stops_at_the_first_check(solver):
    X, y, net = linear_task()
    problem, data = make_problem(net, X, y)
    kind = SOLVERS[solver]
    own = kind(net, problem, kind.Options(eps_rel=1e-3, **LINEAR[solver]), 40, 1, 3000, 1)
    for k in range(3000):
        record = own.step(Batch.alone(data, np.arange(40), again=k > 0))
        if record.solved:
            break
    assert record.solved
    own.options = kind.Options(eps_rel=2e-3, sweeps=5, **LINEAR[solver])
    k = own.k
    assert own.step(Batch.alone(data, np.arange(40), again=True)).solved
    assert own.k == k + 1
    # a mini-batch is left behind, so that its own convergence is not that of the run
    assert not own.step(Batch.alone(data, np.arange(40))).solved


@pytest.mark.parametrize("solver", ["block", "admmirnn"])
def test_status_solved_and_history(solver):
    X, y, net = linear_task()
    result = fit(
        net, X, y, solver=solver, epochs=3000, batch_size=None, scale=None, eps_rel=1e-3,
        **LINEAR[solver],
    )  # fmt: skip
    assert result.status == "solved"
    assert len(result.history) < 3000
    last = result.history[-1]
    assert max(last["primal"] + last["dual"] + last["weights_dual"]) <= 1e-3
    assert last["lagrangian"] == pytest.approx(last["objective"], rel=0.01)
    assert last["output_loss"] == pytest.approx(last["train_loss"], rel=0.01)
    assert max(result.kkt["theta"], result.kkt["phi"]) <= 1e-3
    assert result.kkt["gradient_relative"] < 1e-2
    assert result.certificate is None


def test_variables_that_the_network_does_not_follow_are_not_solved():
    # the residuals of the last cell vanish, and the penalty alone leaves a gap before it
    X, y = noisy_task()
    net = RNN(3, 2, 1, dtype="float64")
    result = fit(net, X, y, solver="admmirnn", epochs=400, batch_size=None, eps_rel=5e-2, nu=30)
    last = result.history[-1]
    assert result.status == "max_iter"
    assert max(last["primal"] + last["dual"] + last["weights_dual"]) <= 5e-2
    assert last["gap"] > 0.5
    assert last["output_loss"] < 0.1 * last["train_loss"]
    error = np.square(net.predict(X) - y).mean()
    assert last["train_loss"] == pytest.approx(error, rel=0.1)


@pytest.mark.parametrize("solver", ["block", "admmirnn"])
def test_nothing_is_said_of_conditions_before_the_first_window(solver):
    X, y = small_task()
    net, kind = RNN(3, 4, 2), SOLVERS[solver]
    problem, _ = make_problem(net, X, y)
    own = kind(net, problem, kind.Options(), 30, 4, 40, 1)
    assert own.kkt() is None
