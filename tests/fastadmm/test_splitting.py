"""The block and admmirnn solvers against their twin: updates, multipliers, convergence, KKT."""

import warnings

import numpy as np
import pytest
from fastadmm.kernels.recurrent import exact_blocks, linearised_blocks
from reference.condensed import ACTIVATIONS, loss_terms, one_hot
from reference.splitting import lagrangian, numerical_gradient, residuals

from fastadmm import RNN, fit
from fastadmm.batches import Batch
from fastadmm.problem import evaluate, make_problem
from fastadmm.solvers import SOLVERS, admmirnn
from fastadmm.threads import compute_threads

B, T, D, H, C = 7, 4, 3, 5, 3
KINDS = {
    "last": dict(readout="last", loss="softmax_cross_entropy"),
    "values": dict(readout="last", loss="squared"),
    "all": dict(readout="all", loss="softmax_cross_entropy"),
    "tokens": dict(readout="all", loss="softmax_cross_entropy"),
}


def draw(kind, rng):
    tokens = kind == "tokens"
    X = rng.integers(0, D, (B, T)) if tokens else rng.standard_normal((B, T, D))
    shape = (B,) if KINDS[kind]["readout"] == "last" else (B, T)
    if KINDS[kind]["loss"] == "squared":
        return X, rng.standard_normal((*shape, C))
    return X, rng.integers(0, C, shape)


def enter(solver, kind="last", activation="tanh", seed=0, dtype="float64", threads=2, **options):
    """A solver that has entered its window."""
    rng = np.random.default_rng(seed)
    net = RNN(D, H, C, activation=activation, seed=rng, dtype=dtype)
    problem, data = make_problem(net, *draw(kind, rng), **KINDS[kind])
    kind_of = SOLVERS[solver]
    own = kind_of(net, problem, kind_of.Options(**options), B, T, 10, threads)
    own._enter(Batch.alone(data, np.arange(B)))
    own.X, own.labels = data.X, data.y
    return own


def make(solver, *given, seed=0, **options):
    """A solver that has entered its window, at a random point."""
    own, rng = enter(solver, *given, seed=seed, **options), np.random.default_rng(seed + 1)
    for name in ("a", "o"):
        getattr(own, name)[:] += 0.3 * rng.standard_normal(getattr(own, name).shape)
    own.window.states[1:] += 0.3 * rng.standard_normal(own.a.shape)
    for name in ("lambda1", "lambda2", "lambda3"):
        # what has no multiplier keeps zeros
        array = getattr(own, name)
        array[:] = np.where(array != 0, rng.standard_normal(array.shape), 0)
    if solver == "block":
        own.prepare()
        own.theta_t[:] = own.net.theta.T
    return own


def point_of(own):
    """The solver's variables, batch-first copies."""
    swap = lambda array: np.array(array.swapaxes(0, 1), dtype=float)  # noqa: E731
    X = own.X if own.X.ndim == 3 else one_hot(own.X, D)
    y = own.labels if own.problem.readout == "all" else own.labels[:, None]
    return dict(
        theta=own.net.theta.astype(float), phi=own.net.phi.astype(float), X=X, y=y,
        a=swap(own.a), s=swap(own.window.states[1:]), o=swap(own.o),
        l1=swap(own.lambda1), l2=swap(own.lambda2), l3=swap(own.lambda3),
    )  # fmt: skip


def penalties(own):
    outputs = len(own.o)
    if hasattr(own, "w1"):
        return own.w1[:-1], own.w2[:-1], own.output_weights
    return tuple(np.full(n, rho) for n, rho in zip((T, T, outputs), own.rho, strict=True))


def value(own, point=None):
    point = point or point_of(own)
    return lagrangian(point, own.net.activation, own.problem.loss, *penalties(own))


@pytest.fixture(autouse=True)
def two_threads():
    with compute_threads(2):
        yield


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
    gradient = loss_terms(after["o"], after["y"], own.problem.loss)[1]
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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("solver", ["block", "admmirnn"])
def test_no_block_update_raises_the_lagrangian(solver, activation, kind):
    own = make(solver, kind, activation, certify=True)
    if kind == "last":
        rises = []
        certify = own._certify

        def checked(block, *ascended):
            # the twin sees what the certificate sees
            certify(block, *ascended)
            if not ascended:
                rises.append(value(own))

        own._certify = checked
    for _ in range(6):
        own.k += 1
        record = own.iterate()
    assert own.certificate.violation is None
    assert own.certificate.checks == 6 * (5 if solver == "block" else 14)
    reported = own.problem.reported(value(own), own.terms, own.net.outputs)
    assert record.lagrangian == pytest.approx(reported, rel=1e-9)


WRONG_SIGNS = {
    "block": {
        "theta": ("theta", "theta"),
        "phi": ("phi", "phi"),
        "copy": ("consensus", "consensus"),
        "copy's multiplier": ("multiplier", "consensus multiplier"),
        "λ2 in states": (("update_states", 2), "states"),
        "W in states": (("update_states", 3), "states"),
        "V in states": (("update_states", 5), "states"),
        "λ1 before pre-activations": (("update_preactivations", 4), "preactivations"),
        "λ2 before pre-activations": (("update_preactivations", 5), "preactivations"),
        "λ3 before outputs": ("outputs", "outputs"),
        "ascent of λ1": (("ascent", "lambda1"), "lambda1"),
        "ascent of λ2": (("ascent", "lambda2"), "lambda2"),
        "ascent of λ3": (("ascent", "lambda3"), "lambda3"),
    },
    "admmirnn": {
        "λ3 before outputs": ("outputs", "o"),
        **{name: (("weights", name), name) for name in "cVbWU"},
        **{
            f"λ{place} in {sweep}": ((sweep, index), "states and pre-activations")
            for sweep in ("sweep_backward", "sweep_forward")
            for place, index in ((1, 6), (2, 7), (3, 9))
        },
        "ascent of λ1": (("ascent", "lambda1"), "lambda1"),
        "ascent of λ2": (("ascent", "lambda2"), "lambda2"),
        "ascent of λ3": (("ascent", "lambda3"), "lambda3"),
    },
}


class Descending(np.ndarray):
    """Subtracts where it should add."""

    def __iadd__(self, other):
        return self.__isub__(other)


def flip_argument(monkeypatch, module, name, place):
    """A kernel gets one argument with the wrong sign."""
    kernel = getattr(module, name)

    def wrong(*arguments):
        arguments = list(arguments)
        kept = arguments[place].copy()
        arguments[place][:] *= -1
        kernel(*arguments)
        if name != "update_preactivations":  # which overwrites its multipliers
            arguments[place][:] = kept

    monkeypatch.setattr(module, name, wrong)


def inject(monkeypatch, own, where):
    """A wrong sign in one place of a solver."""
    if where in ("theta", "phi"):
        solve, system = getattr(own, f"_solve_{where}"), getattr(own, where)

        def wrong_solve(*arguments):
            system.cross[:, -1] *= -1
            solve(*arguments)

        monkeypatch.setattr(own, f"_solve_{where}", wrong_solve)
    elif where == "consensus":
        prox = own.consensus.prox

        def wrong_prox(theta, phi, step):
            prox(theta, phi, step)
            theta *= -1

        own.consensus.prox = wrong_prox
    elif where == "multiplier":
        own.consensus.scaled = tuple(u.view(Descending) for u in own.consensus.scaled)
    elif where == "outputs":
        flip_outputs(monkeypatch, own)
    elif where[0] == "ascent":
        flip_ascent(monkeypatch, own, where[1])
    elif where[0] == "weights":
        flip_residual(monkeypatch, own, where[1])
    else:
        module = linearised_blocks if where[0].startswith("sweep") else exact_blocks
        flip_argument(monkeypatch, module, *where)


def flip_outputs(monkeypatch, own):
    if isinstance(own, SOLVERS["block"]):
        move = own.move_outputs

        def wrong(*arguments):
            own.lambda3 *= -1
            move(*arguments)

        monkeypatch.setattr(own, "move_outputs", wrong)
    else:
        prox = admmirnn.prox_cross_entropy_loss

        def wrong_prox(targets, y, step, weight, out):
            dual = own.lambda3.reshape(targets.shape)
            prox(targets + 2 * step[:, None] * dual, y, step, weight, out=out)

        monkeypatch.setattr(admmirnn, "prox_cross_entropy_loss", wrong_prox)


def flip_ascent(monkeypatch, own, name):
    in_block = "move_outputs" if name == "lambda3" else "_move_preactivations"
    method = in_block if isinstance(own, SOLVERS["block"]) else "_ascend"
    move = getattr(own, method)

    def wrong(*arguments):
        before = getattr(own, name).copy()
        move(*arguments)
        getattr(own, name)[:] = 2 * before - getattr(own, name)

    monkeypatch.setattr(own, method, wrong)


def flip_residual(monkeypatch, own, block):
    residual = admmirnn._residual
    for method in ("_exact_step", "_linearised_step"):
        step = getattr(own, method)

        def wrong(*arguments, step=step):
            sign = -1 if arguments[-1] == block else 1
            monkeypatch.setattr(admmirnn, "_residual", lambda *given: sign * residual(*given))
            step(*arguments)

        monkeypatch.setattr(own, method, wrong)


@pytest.mark.parametrize(
    ("solver", "mistake"), [(s, m) for s, mistakes in WRONG_SIGNS.items() for m in mistakes]
)
def test_a_wrong_sign_anywhere_is_found(monkeypatch, solver, mistake):
    where, block = WRONG_SIGNS[solver][mistake]
    regulariser = {"regulariser": "l1"} if "copy" in mistake else {}
    own = enter(solver, certify=True, **regulariser)
    for own.k in range(1, 4):
        own.iterate()
    assert own.certificate.violation is None
    inject(monkeypatch, own, where)
    for own.k in range(4, 9):
        own.iterate()
    assert own.certificate.violation["block"] == block


def test_a_violation_is_reported_with_block_and_iteration(monkeypatch):
    own = make("admmirnn", certify=True)
    sweep = own._run_sweep

    def uphill(*arguments):
        sweep(*arguments)
        own.a[:] += 1.0
        own._certify("spoilt")

    monkeypatch.setattr(own, "_run_sweep", uphill)
    own.k = 3
    own.iterate()
    violation = own.certificate.violation
    assert (violation["iteration"], violation["block"]) == (3, "spoilt")
    assert violation["after"] > violation["before"]


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


def linear_task():
    """One that a linear network of one unit fits best; cases, values, and that network."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((40, 1, 2))
    y = X[:, 0] @ [[0.7], [-0.4]] + 0.3 + 0.1 * rng.standard_normal((40, 1))
    return X, y, RNN(2, 1, 1, activation="identity", dtype="float64", seed=1)


EQUAL = dict(rho1=1, rho2=1, rho3=1)
LINEAR = {"block": EQUAL | dict(tau_theta=0.1, tau_phi=0.1), "admmirnn": EQUAL}


@pytest.mark.parametrize("solver", ["block", "admmirnn"])
def test_linear_network_finds_least_squares(solver):
    X, y, net = linear_task()
    fit(net, X, y, solver=solver, epochs=3000, batch_size=None, eps_rel=1e-9, **LINEAR[solver])
    ones = np.concatenate([X[:, 0], np.ones((40, 1))], 1)
    best = ones @ np.linalg.lstsq(ones, y, rcond=None)[0]
    np.testing.assert_allclose(net.predict(X), best, atol=1e-6)


def small_task(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((30, 4, 3))
    return X, (X[:, 1, 0] + X[:, 3, 1] > 0).astype(int)


def noisy_task():
    """One that no network of two units fits exactly."""
    rng = np.random.default_rng(5)
    X = rng.standard_normal((30, 2, 3))
    return X, np.tanh(X[:, 0, :1] - X[:, 1, 1:2]) + 0.5 * rng.standard_normal((30, 1))


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
        function = lambda p: lagrangian(p, "tanh", problem.loss, *weights)  # noqa: E731
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


def oscillator(rng):
    """System identification: one long record of a damped, driven, nonlinear oscillator."""
    u, x = rng.standard_normal(400), np.zeros((401, 2))
    for t in range(400):
        x[t + 1] = [
            0.9 * x[t, 0] + 0.3 * x[t, 1],
            0.9 * x[t, 1] - 0.3 * np.sin(x[t, 0]) + 0.2 * u[t],
        ]
    scaled = [(v - v.mean()) / v.std() for v in (u, x[1:, 0])]
    return [v[None, :, None] for v in scaled]


def test_regression_reports_the_simulated_network_and_keeps_it_on_its_way():
    X, y = oscillator(np.random.default_rng(2))
    net = RNN(1, 16, 1, dtype="float64")
    result = fit(net, X, y, readout="all", solver="block", epochs=150, batch_size=None)
    error = np.square(net.predict(X, readout="all") - y).mean()
    losses = [record["train_loss"] for record in result.history]
    assert error <= 1.1 * min(losses)
    # with the penalties of the cross-entropy, and no way back: error 3.7, loss at the outputs 0.03
    assert error < 0.2
    last = result.history[-1]
    assert last["gap"] < 0.2
    assert last["objective"] == pytest.approx(last["output_loss"])


def test_a_run_that_is_cut_short_keeps_the_best_simulated_weights():
    X, y = oscillator(np.random.default_rng(2))
    net = RNN(1, 16, 1, dtype="float64")
    result = fit(
        net, X, y, readout="all", solver="block", epochs=150, batch_size=None, rho3=0.3,
        callbacks=[lambda record: record["epoch"] == 9],
    )  # fmt: skip
    error = np.square(net.predict(X, readout="all") - y).mean()
    # the weights of the ninth iteration, which no later one has judged, have 1.25 times that
    assert error <= 1.1 * min(record["train_loss"] for record in result.history)


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


def test_group_removes_units_exactly():
    X, y = small_task()
    net = RNN(3, 8, 2, dtype="float64")
    fit(net, X, y, solver="block", epochs=400, batch_size=None, regulariser="group", strength=0.05)
    sent = np.concatenate([net.recurrent, net.read])
    removed = (sent == 0).all(0)
    assert 0 < removed.sum() < 8
    kept = ~removed
    small = RNN(3, int(kept.sum()), 2, dtype="float64")
    columns = np.concatenate([np.ones(4, bool), kept])
    small.theta[:] = net.theta[kept][:, columns]
    small.phi[:] = net.phi[:, np.append(True, kept)]
    np.testing.assert_allclose(small.predict(X), net.predict(X), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("l1", lambda w, free: (w == 0).mean() > 0.1),
        ("elastic_net", lambda w, free: (w == 0).mean() > 0.1),
        ("l2", lambda w, free: np.linalg.norm(w) < 0.9 * np.linalg.norm(free) and w.all()),
        ("nonneg", lambda w, free: (w >= 0).all()),
    ],
)
def test_regularisers_shape_the_weights(name, holds):
    X, y = small_task()

    def trained(name, strength):
        net = RNN(3, 6, 2, dtype="float64")
        own = dict(solver="block", regulariser=name, strength=strength)
        fit(net, X, y, epochs=100, batch_size=None, **own)
        return np.concatenate([net.drive.ravel(), net.recurrent.ravel(), net.read.ravel()])

    free = trained("l2", 1e-9)  # tied to its copy as well, which alone slows the weights down
    assert not holds(free, free)
    assert holds(trained(name, 0.02), free)


@pytest.mark.parametrize("name", ["l1", "l2", "group", "nonneg"])
def test_certificate_covers_the_consensus_copy(name):
    own = make("block", certify=True, regulariser=name, strength=0.01)
    for own.k in range(1, 6):
        own.iterate()
    assert own.certificate.checks == 5 * 6
    assert own.certificate.violation is None


def watched(solver, batch, windows):
    """The solver; appends cases, first step, initial and final state of each window.

    Of every window it is also checked that it starts from the states of the network as it is. Only
    solvers of mini-batches of ``batch`` count, not the smaller one that compiles the kernels.
    """

    class Watched(SOLVERS[solver]):
        def _enter(self, entered):
            super()._enter(entered)
            X, cases, first, initial = entered.data.X, entered.cases, entered.first, entered.initial
            s = np.zeros((len(cases), self.net.hidden)) if initial is None else initial
            if len(cases) == batch:
                net = self.net
                for t in range(entered.steps):
                    s = np.tanh(
                        np.concatenate([X[cases, first + t], 0 * s[:, :1] + 1, s], 1) @ net.theta.T
                    )
                    np.testing.assert_allclose(self.window.states[t + 1], s, atol=1e-5)

        def step(self, given):
            record = super().step(given)
            if len(given.cases) == batch:
                before = None if given.initial is None else given.initial.copy()
                windows.append(
                    (given.cases.tolist(), given.first, before, self.window.states[-1].copy())
                )
            return record

    return Watched


@pytest.mark.parametrize("solver", ["block", "admmirnn"])
@pytest.mark.parametrize("readout", ["last", "all"])
def test_mini_batches_and_windows(monkeypatch, solver, readout):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 6, 3))
    y = (X[:, :, 0] > 0).astype(int) if readout == "all" else (X[:, -1, 0] > 0).astype(int)
    net = RNN(3, 6, 2, dtype="float32")
    steps, windows = 3 if readout == "all" else None, []
    monkeypatch.setitem(SOLVERS, solver, watched(solver, 5, windows))
    result = fit(
        net, X, y, solver=solver, readout=readout, steps=steps, epochs=8, batch_size=5, scale=None
    )
    assert result.status == "max_iter"
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"]
    assert net.theta.dtype == np.float32
    n_windows = 2 if steps else 1
    assert [first for _, first, _, _ in windows] == ([0, 3] if steps else [0]) * (8 * 4)
    for epoch in np.reshape([cases for cases, *_ in windows], (8, 4, n_windows, 5)).swapaxes(1, 2):
        for seen in epoch.reshape(n_windows, 20):
            np.testing.assert_array_equal(np.sort(seen), np.arange(20))
    for k, (cases, first, initial, _) in enumerate(windows):
        if first:
            before, _, _, final = windows[k - 1]
            assert cases == before
            np.testing.assert_array_equal(initial, final)
        else:
            assert initial is None or not initial.any()


def test_divergence_returns_the_weights_of_the_lowest_loss(monkeypatch):
    """A step reports the loss of the weights before it, so these are the best ones."""
    X, y = noisy_task()
    net = RNN(3, 2, 1, dtype="float64")
    iterate = SOLVERS["admmirnn"].iterate

    def wrecked(self):
        record = iterate(self)
        if self.total > 1 and self.k == 3:  # and not where kernels compile
            self.net.phi[:] *= 1e9
        return record

    monkeypatch.setattr(SOLVERS["admmirnn"], "iterate", wrecked)
    result = fit(net, X, y, solver="admmirnn", epochs=9, batch_size=None)
    assert result.status == "diverged"
    losses = [r["train_loss"] for r in result.history if r["train_loss"] is not None]
    assert np.square(net.predict(X) - y).mean() == pytest.approx(min(losses), rel=1e-9)


@pytest.mark.parametrize("solver", ["block", "admmirnn"])
def test_nothing_is_said_of_conditions_before_the_first_window(solver):
    X, y = small_task()
    net, kind = RNN(3, 4, 2), SOLVERS[solver]
    problem, _ = make_problem(net, X, y)
    own = kind(net, problem, kind.Options(), 30, 4, 40, 1)
    assert own.kkt() is None


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
    "sweeps is 0: expected a positive integer": dict(sweeps=0),
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
