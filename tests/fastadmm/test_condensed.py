"""The condensed solver against its slow twin, finite differences and its own promises."""

import numpy as np
import pytest
from fastadmm.kernels.recurrent.maps import CHANGE, RHO
from fastadmm.mpi.serial import Serial
from reference import condensed as reference
from reference import tokens as of_tokens

from fastadmm import RNN, fit
from fastadmm.batches import Batch, Plan
from fastadmm.problem import make_problem
from fastadmm.solvers.condensed import Condensed, CondensedOptions, is_due
from fastadmm.solvers.step_length import StepLength
from fastadmm.threads import compute_threads

ACTIVATIONS = tuple(reference.ACTIVATIONS)
LOSSES = ("softmax_cross_entropy", "squared")
READOUTS = ("last", "all")
KINDS = [(loss, readout, tokens) for loss in LOSSES for readout in READOUTS for tokens in (0, 1)]


def make(activation, loss, readout, tokens, dtype="float64", gain=1.0, shape=(5, 6), seed=1):
    """A network, data for it, and the inputs as dense channels."""
    rng = np.random.default_rng(seed)
    net = RNN(3, 4, 3, activation, gain=gain, seed=rng, dtype=dtype)
    net.bias[:] = 0.1 * rng.standard_normal(4)
    net.offset[:] = 0.1 * rng.standard_normal(3)
    X = rng.integers(0, 3, shape) if tokens else rng.standard_normal((*shape, 3))
    y_shape = shape[:1] if readout == "last" else shape
    labels = loss == "softmax_cross_entropy"
    y = rng.integers(0, 3, y_shape) if labels else rng.standard_normal((*y_shape, 3))
    return net, X, y, reference.one_hot(X, 3) if tokens else X


def measured(net, X, y, loss, readout, threads=2, initial=None, domain=None, **options):
    """Solver after measuring one batch of all cases."""
    problem, data = make_problem(net, X, y, loss, readout)
    n_cases, n_timepoints = X.shape[:2]
    options = CondensedOptions(**options)
    with compute_threads(threads):
        solver = Condensed(net, problem, options, n_cases, n_timepoints, 10, threads, domain)
        record = solver.measure(Batch.alone(data, np.arange(n_cases), initial=initial))
    return solver, record


def sums_of(solver):
    """Multiplier sums of Θ, the columns of tokens included, and of Φ."""
    g = solver.of_maps("g")[0]
    if solver.tokens is not None:
        g = np.hstack([of_tokens.columns(solver.tokens)[0], g])
    return g, solver.of_maps("g")[1]


def relative(a, b):
    return np.abs(a - b).max() / np.abs(b).max()


@pytest.mark.parametrize(("loss", "readout", "tokens"), KINDS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_multiplier_sums_are_the_gradient(activation, loss, readout, tokens):
    """Without the safeguard, g is the gradient of the loss: central differences, every weight."""
    net, X, y, dense = make(activation, loss, readout, tokens)
    solver, record = measured(net, X, y, loss, readout, safeguard=False)
    args = (activation, dense, y, loss, readout)
    terms = record.loss / record.terms
    assert terms == pytest.approx(reference.mean_loss(net.theta, net.phi, *args), rel=1e-12)
    for g, weights in zip(sums_of(solver), (net.theta, net.phi), strict=True):
        differences = np.zeros_like(weights)
        for index in np.ndindex(weights.shape):
            kept, h = weights[index], 1e-5
            values = []
            for sign in (1, -1):
                weights[index] = kept + sign * h
                values.append(reference.mean_loss(net.theta, net.phi, *args))
            weights[index] = kept
            differences[index] = (values[0] - values[1]) / (2 * h)
        assert relative(g, differences) < 1e-6


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("safeguard", [True, False])
@pytest.mark.parametrize(("loss", "readout", "tokens"), KINDS)
def test_sums_equal_the_twin(loss, readout, tokens, safeguard, threads):
    """Sums, Grams and growth against one-sequence loops, with a carried state."""
    net, X, y, dense = make("tanh", loss, readout, tokens, gain=2.0, shape=(7, 5))
    initial = np.random.default_rng(0).uniform(-0.5, 0.5, (7, 4))
    solver, record = measured(net, X, y, loss, readout, threads, initial, safeguard=safeguard)
    expected = reference.sums(
        net.theta, net.phi, "tanh", dense, y, loss, readout, safeguard, initial
    )
    assert record.growth == pytest.approx(expected[2], rel=1e-10)
    grams = solver.of_maps("batch_gram")
    for found, own, (g, gram) in zip(sums_of(solver), grams, expected[:2], strict=True):
        n = len(own)  # the block of dense inputs comes last
        assert relative(found, g) < 1e-12
        assert relative(np.tril(own), np.tril(gram[-n:, -n:])) < 1e-12
    if tokens:
        frequencies = of_tokens.columns(solver.tokens)[1] / X.size
        np.testing.assert_allclose(frequencies, np.diag(expected[0][1])[:3], rtol=1e-12)


class InPasses(Serial):
    """A domain that acts between the passes, though it has nothing to do there."""

    acts_between_passes = True


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize(("loss", "readout", "tokens"), KINDS)
def test_one_call_gives_what_the_passes_give(loss, readout, tokens, parts, threads):
    """Bitwise, with more sequences than run through time together; losses up to their order."""
    net, X, y, _ = make("tanh", loss, readout, tokens, gain=2.0, shape=(83, 5))
    once, expected = measured(net, X, y, loss, readout, threads)
    domain = InPasses()
    domain.parts = parts
    passes, record = measured(net, X, y, loss, readout, threads, domain=domain)
    for one, other in zip(sums_of(once), sums_of(passes), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(once.of_maps("batch_gram"), passes.of_maps("batch_gram"), strict=True):
        np.testing.assert_array_equal(one, other)
    for name in ("loss", "growth", "multiplier_square"):
        assert getattr(record, name) == pytest.approx(getattr(expected, name), rel=1e-12)


def multiplier_norms(solver):
    return np.linalg.norm(solver.backwards[0].lambda_, axis=2)


def test_safeguard_changes_nothing_where_the_recurrence_contracts():
    net, X, y, _ = make("tanh", "squared", "last", 0, gain=0.5)
    guarded, _ = measured(net, X, y, "squared", "last", safeguard=True)
    free, record = measured(net, X, y, "squared", "last", safeguard=False)
    assert record.growth < 0
    np.testing.assert_array_equal(guarded.of_maps("g")[0], free.of_maps("g")[0])


@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_safeguard_bounds_every_norm_where_it_expands(activation):
    net, X, y, _ = make(activation, "squared", "last", 0, gain=3.0, shape=(6, 9))
    guarded, record = measured(net, X, y, "squared", "last", safeguard=True)
    norms = multiplier_norms(guarded)
    assert (norms[:-1] <= norms[1:] * (1 + 1e-12)).all()
    free, _ = measured(net, X, y, "squared", "last", safeguard=False)
    if activation == "identity":
        assert record.growth == pytest.approx(np.log(3))  # three times an orthogonal matrix
        assert multiplier_norms(free)[0].min() > 100 * norms[0].max()


def test_weight_step_solves_its_subproblem():
    """First step of a block: argmin <g, Θ> + ρ/2 |Δ (R + δI)^(1/2)|² as dense least squares."""
    net, X, y, _ = make("tanh", "squared", "all", 0)
    solver, record = measured(net, X, y, "squared", "all", eta=0.03)
    before = net.theta.copy()
    lower = np.tril(solver.of_maps("batch_gram")[0])
    gram = lower + np.tril(lower, -1).T
    with compute_threads(2):
        solver.move(record)
    shrunk = before.copy()
    shrunk[:, 4:] *= 1 - (1 - 2 / 11) * min(0.04, 0.2 * max(0, record.growth))
    damped = gram + 0.2 * np.trace(gram) / len(gram) * np.eye(len(gram))
    root = np.linalg.cholesky(damped).T  # |root Δᵀ|² = Δ damped Δᵀ
    for i in range(4):
        g, rho = solver.of_maps("g")[0][i], solver.maps.of_units[RHO, : net.hidden][i]
        # rho/2 |root d|^2 + <g, d> = rho/2 |root d + root^-T g / rho|^2 + constant
        target = -np.linalg.solve(root.T, g) / rho
        step = np.linalg.lstsq(root, target, rcond=None)[0]
        np.testing.assert_allclose(net.theta[i] - shrunk[i], step, rtol=1e-9, atol=1e-14)
        eta = 0.03 * (1 - 1 / 11)
        assert np.sqrt(step @ damped @ step) == pytest.approx(eta)  # first step: the bound itself


@pytest.mark.parametrize("eta", ["auto", 0.03])
@pytest.mark.parametrize("gain", [0.1, 1.0, 2.0])
@pytest.mark.parametrize(("loss", "readout", "tokens"), [KINDS[0], KINDS[2], KINDS[6]])
def test_fifty_iterates_agree_with_the_twin(loss, readout, tokens, gain, eta):
    """Exactly the algorithm of the twin, which averages the Gram of every mini-batch."""
    net, X, y, dense = make("tanh", loss, readout, tokens, gain=gain, shape=(100, 6))
    plan, rng = Plan(100, 6, 14, 6, 7), np.random.default_rng(5)
    batches = [cases[cases >= 0] for _ in range(7) for cases, _ in plan.windows(rng)]
    assert [len(cases) for cases in batches].count(12) == 28  # the others have 13
    expected = reference.train(net.theta, net.phi, "tanh", dense, y, loss, readout, batches, eta)
    fit(
        net, X, y, loss=loss, readout=readout, epochs=7, batch_size=14, scale=None, gram_every=1,
        seed=5, eta=eta,
    )  # fmt: skip
    assert relative(net.theta, expected[0]) < 1e-8
    assert relative(net.phi, expected[1]) < 1e-8


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_scaling_the_loss_leaves_the_iterates(scale):
    """Penalties follow the multipliers: only the direction of g counts, not its size."""
    trained = {}
    for factor in (1.0, scale):
        net, X, y, _ = make("tanh", "squared", "last", 0)
        problem, data = make_problem(net, X, y, "squared", "last")
        with compute_threads(1):
            solver = Condensed(net, problem, CondensedOptions(), 5, 6, 30, 1)
            for _ in range(30):
                record = solver.measure(Batch.alone(data, np.arange(5)))
                solver.maps.g[:] *= factor
                solver.move(record)
        trained[factor] = net.theta
    assert relative(trained[scale], trained[1.0]) < 1e-9


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("gain", [0.01, 1.0, 8.0])
def test_every_step_is_bounded(gain, dtype):
    """The rms change of a unit's pre-activation is eta at most, whatever the start."""
    net, X, y, _ = make("tanh", "softmax_cross_entropy", "last", 0, dtype, gain, (40, 8))
    problem, data = make_problem(net, X, y)
    rng = np.random.default_rng(0)
    with compute_threads(2):
        solver = Condensed(net, problem, CondensedOptions(eta=0.03), 8, 8, 200, 2)
        for _ in range(200):
            record = solver.step(Batch.alone(data, rng.integers(0, 40, 8)))
            rms = np.sqrt(solver.maps.of_units[CHANGE, : net.hidden])
            assert (rms <= 0.03 * (1 + 1e-5)).all()
            assert record.finite


@pytest.mark.parametrize("growth", [1.1, 1.02, 3.0, 0.9, -1.1])
def test_no_sequence_of_multipliers_passes_the_bound(growth):
    """Multipliers that grow by 1.1 a step would take 2.19 times eta by their mean square alone.

    Steps are measured from outside: ΔΘ (R + δI) ΔΘᵀ with the Gram that the solver has averaged.
    """
    net, X, y, _ = make("tanh", "squared", "all", 0)
    problem, data = make_problem(net, X, y, "squared", "all")
    longest = 0.0
    with compute_threads(1):
        options = CondensedOptions(eta=0.03, refactor_every=1, gram_every=1, guard=0.0)
        solver = Condensed(net, problem, options, 5, 6, 10**9, 1)
        record = solver.measure(Batch.alone(data, np.arange(5)))
        lower = np.tril(solver.of_maps("batch_gram")[0])
        gram = lower + np.tril(lower, -1).T
        damped = gram + 0.2 * np.trace(gram) / len(gram) * np.eye(len(gram))
        g = solver.of_maps("g")[0].copy()
        for k in range(150):
            before = net.theta.copy()
            solver.of_maps("g")[0][:] = g * growth**k * (1 if k % 40 else 1e3)
            solver.move(record)
            moved = net.theta - before
            longest = max(longest, np.sqrt(((moved @ damped) * moved).sum(1)).max())
    assert longest <= 0.03 * (1 + 1e-9)
    assert longest > 0.0299


def test_vanished_multipliers_leave_a_unit_where_it_is():
    """A unit that no multiplier reaches keeps its weights; nothing is divided by zero."""
    net, X, y, _ = make("relu", "squared", "last", 0)
    net.theta[1] = 0
    net.bias[1] = -1  # never active, and its own inputs never make it so
    dead = net.theta[1].copy()
    fit(net, X, y, epochs=3, batch_size=2, guard=0.0)
    np.testing.assert_allclose(net.theta[1], dead, rtol=1e-14)
    assert np.isfinite(net.theta).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_is_bitwise_repeatable(dtype):
    results = []
    for _ in range(2):
        net, X, y, _ = make("tanh", "softmax_cross_entropy", "all", 1, dtype, shape=(30, 12))
        result = fit(net, X, y, readout="all", epochs=3, batch_size=8, steps=5, threads=2, seed=3)
        results.append((net.theta.tobytes(), net.phi.tobytes(), result.history[-1]["train_loss"]))
    assert results[0] == results[1]


def test_windows_carry_the_state():
    """Evaluating in windows equals evaluating whole sequences, and training sees the same loss."""
    net, X, y, _ = make("tanh", "softmax_cross_entropy", "all", 1, shape=(4, 23))
    problem, data = make_problem(net, X, y, readout="all")
    with compute_threads(2):
        solver = Condensed(net, problem, CondensedOptions(), 4, 7, 10, 2)
        total, carried = 0.0, None
        for first in range(0, 23, 7):
            batch = Batch.alone(data, np.arange(4), first, min(7, 23 - first), initial=carried)
            total += solver.measure(batch).loss
            carried = solver.final_state(batch)
    expected = reference.mean_loss(
        net.theta, net.phi, "tanh", reference.one_hot(X, 3), y, problem.loss.name, "all"
    )
    assert total / (4 * 23) == pytest.approx(expected, rel=1e-12)


def test_a_gram_that_is_not_definite_moves_nothing():
    net, X, y, _ = make("relu", "squared", "last", 0, gain=3.0)
    solver, record = measured(net, X, y, "squared", "last")
    assert record.growth > 0  # so that the growth guard would act
    before = net.theta.copy(), net.phi.copy()
    solver.of_maps("batch_gram")[0][:] = -np.eye(len(solver.of_maps("batch_gram")[0]))
    with compute_threads(1):
        solver.move(record)
    assert not record.finite
    np.testing.assert_array_equal(net.theta, before[0])
    np.testing.assert_array_equal(net.phi, before[1])


@pytest.mark.parametrize(
    ("readout", "tokens", "lengths"), [("last", 0, 0), ("all", 1, 0), ("all", 0, 1), ("last", 1, 1)]
)
def test_the_step_length_follows_how_far_the_outputs_of_the_batch_go(readout, tokens, lengths):
    """The divergence is taken from outside, with the network before and after a step."""
    net, X, y, _ = make("tanh", "squared", readout, tokens, shape=(6, 5))
    known = np.array([5, 2, 4, 1, 5, 3]) if lengths else None
    problem, data = make_problem(net, X, y, "squared", readout, lengths=known)
    batch, followed = Batch.alone(data, np.arange(6)), []

    def outputs():
        probe = RNN(3, 4, 3, dtype="float64")
        probe.theta[:], probe.phi[:] = solver.weights
        states = probe.simulate(X, threads=1)
        begun = np.arange(5) >= 5 - (known if lengths else np.full(6, 5))[:, None]
        for i, n in enumerate(known if lengths else ()):  # sequences end together
            states[i, 5 - n :] = probe.simulate(X[i : i + 1, 5 - n :], threads=1)[0]
        o = probe.read_out(states)
        return o[:, -1] if readout == "last" else o[begun]

    with compute_threads(1):
        solver = Condensed(net, problem, CondensedOptions(), 6, 5, 10, 1)
        solver.step_length.follow = lambda found, left: followed.append((found, left))
        before = outputs()
        record = solver.step(batch)
        moved = outputs() - before
    rows, terms = (20, 20 if readout == "all" else 6) if lengths else (30, len(moved))
    bound = min(0.15, 0.08 * 6**0.5 * terms / rows)
    assert record.eta == pytest.approx((1 - 1 / 11) * 0.25 * bound)
    assert followed == [(pytest.approx((moved**2).sum() / (2 * terms), rel=1e-9), 1 - 1 / 11)]


@pytest.mark.parametrize(
    ("found", "left", "factor"),
    [
        (0.1, 1.0, 1.0), (0.4, 1.0, 0.5), (0.025, 0.25, 0.5), (0.05, 0.5, 0.5**0.5),
        (1e9, 1.0, 10**-0.5), (np.inf, 1.0, 10**-0.5), (np.nan, 1.0, 10**-0.5),
        (0.025, 1.0, 2.0), (0.0, 1.0, 10**0.5), (-1e-20, 1.0, 10**0.5),
    ],
)  # fmt: skip
def test_a_step_length_changes_by_the_root_of_ten_at_most(found, left, factor):
    length = StepLength(0.01, 0.15)
    length.follow(found, left)
    assert length.eta == pytest.approx(0.01 * factor)
    length = StepLength(0.14, 0.15)
    length.follow(found, left)
    assert length.eta == pytest.approx(min(0.15, 0.14 * factor))


@pytest.mark.parametrize(("gain", "expands"), [(0.5, False), (2.0, True)])
def test_where_the_recurrence_expands_outputs_do_not_bound_the_step(gain, expands, monkeypatch):
    net, X, y, _ = make("identity", "squared", "all", 0, gain=gain, shape=(6, 9))
    problem, data = make_problem(net, X, y, "squared", "all")
    solver = Condensed(net, problem, CondensedOptions(), 6, 9, 10, 1, Serial())
    asked = []
    monkeypatch.setattr(solver.step_length, "follow", lambda found, left: asked.append(found))
    with compute_threads(1):
        record = solver.step(Batch.alone(data, np.arange(6)))
    assert (record.growth > 0.05) == expands
    assert len(asked) == (not expands)
    length = solver.step_length
    assert length.eta == pytest.approx(length.eta_bound * (0.25 * 10**0.5 if expands else 0.25))


@pytest.mark.parametrize("batches", [5, 10, 25, 7])
def test_no_place_of_an_epoch_has_the_gram_to_itself(batches):
    due = [k for k in range(10, 3000) if is_due(k, 5)]
    assert len(due) == 598
    counts = np.bincount(np.array(due) % batches, minlength=batches)
    assert counts.min() > 0.7 * counts.mean()
    assert counts.max() < 1.3 * counts.mean()
    assert all(is_due(k, 1) for k in range(1, 100))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eta": 0.0}, "eta is 0.0: expected a positive number or 'auto'"),
        ({"eta": "tuned"}, "eta is 'tuned': expected a positive number or 'auto'"),
        ({"momentum": 1.0}, "momentum is 1.0: expected 0 <= momentum < 1"),
        ({"refactor_every": 0}, "refactor_every is 0: expected a positive integer"),
        ({"gram_every": 0}, "gram_every is 0: expected a positive integer"),
        ({"guard": 2.0}, "guard is 2.0: expected 0 <= guard <= 1"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        CondensedOptions(**options)
