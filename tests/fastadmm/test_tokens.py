"""Token inputs of `condensed`: rows of the tokens seen move, and nothing grows with D times D."""

import tracemalloc

import numpy as np
import pytest
from fastadmm.kernels.recurrent import token_weights
from fastadmm.kernels.recurrent.maps import CHANGE
from fastadmm.mpi.serial import Serial
from reference import condensed as reference
from reference import tokens as twin

from fastadmm import RNN, fit
from fastadmm.batches import Batch, Plan
from fastadmm.problem import make_problem
from fastadmm.solvers.condensed import Condensed, CondensedOptions
from fastadmm.solvers.tokens import TokenBlock
from fastadmm.threads import compute_threads

D, H, C = 40, 4, 3


def make(readout="last", shape=(30, 6), size=D, dtype="float64", gain=1.0, seed=0):
    """A network, and sentences whose words have very different frequencies."""
    rng = np.random.default_rng(seed)
    net = RNN(size, H, C, gain=gain, seed=rng, dtype=dtype)
    X = np.minimum(rng.geometric(0.15, shape), D) - 1
    return net, X, rng.integers(0, C, shape[:1] if readout == "last" else shape)


def solver_of(net, X, y, readout="last", threads=2, total=50, **options):
    """A solver for all cases at once, with the data as it takes them."""
    problem, data = make_problem(net, X, y, readout=readout)
    options = CondensedOptions(**options)
    return Condensed(net, problem, options, *X.shape, total, threads), data


def relative(a, b):
    return np.abs(a - b).max() / np.abs(b).max()


@pytest.mark.parametrize("readout", ["last", "all"])
def test_sums_of_tokens_are_the_gradient(readout):
    """Central differences, every token: those that are not there have none."""
    net, X, y = make(readout, (5, 6))
    with compute_threads(2):
        solver, data = solver_of(net, X, y, readout, safeguard=False)
        solver.measure(Batch.alone(data, np.arange(5)))
    g, counts = twin.columns(solver.tokens)
    np.testing.assert_array_equal(counts, np.bincount(X.ravel(), minlength=D))
    assert (counts == 0).any()
    args = "tanh", reference.one_hot(X, D), y, "softmax_cross_entropy", readout
    differences = np.zeros((H, D))
    for index in np.ndindex(H, D):
        kept, h, values = net.theta[index], 1e-5, []
        for sign in (1, -1):
            net.theta[index] = kept + sign * h
            values.append(reference.mean_loss(net.theta, net.phi, *args))
        net.theta[index] = kept
        differences[index] = (values[0] - values[1]) / (2 * h)
    assert relative(g, differences) < 1e-6
    assert (g[:, counts == 0] == 0).all()


@pytest.mark.parametrize("validate", [False, True])
@pytest.mark.parametrize("gain", [0.1, 2.0])
@pytest.mark.parametrize("readout", ["last", "all"])
def test_iterates_agree_with_the_twin(readout, gain, validate):
    """Rows that are caught up with when they are seen, or asked for, are those moved every step."""
    net, X, y = make(readout, gain=gain)
    plan, rng = Plan(30, 6, 4, 6, 7), np.random.default_rng(5)
    batches = [cases[cases >= 0] for _ in range(7) for cases, _ in plan.windows(rng)]
    expected = twin.train(
        net.theta, net.phi, "tanh", X, y, "softmax_cross_entropy", readout, batches
    )
    fit(
        net, X, y, readout=readout, epochs=7, batch_size=4, gram_every=1, seed=5, eta=0.03,
        validation=(X, y) if validate else None,
    )  # fmt: skip
    assert len(batches) > 50
    assert relative(net.theta, expected[0]) < 1e-8
    assert relative(net.phi, expected[1]) < 1e-8


def test_tokens_that_never_come_change_nothing():
    """Neither their rows move, nor does a larger alphabet change the steps of the others."""
    trained = []
    for size in (D, 25 * D):
        net, (small, X, y) = make(size=size)[0], make()
        net.theta[:, :D], net.theta[:, size:] = small.theta[:, :D], small.theta[:, D:]
        net.phi[:] = small.phi
        absent = net.theta[:, D:size].copy()
        fit(net, X, y, epochs=5, batch_size=8)
        np.testing.assert_array_equal(net.theta[:, D:size], absent)
        trained.append(np.delete(net.theta, np.s_[D:size], axis=1))
    np.testing.assert_array_equal(*trained)


def test_a_step_touches_the_rows_of_its_tokens_alone():
    net, X, y = make()
    with compute_threads(2):
        solver, data = solver_of(net, X, y)
        for k in range(12):
            rows = solver.tokens.rows
            before = [array.copy() for array in rows[:4]]
            cases = np.arange(k, k + 3)
            solver.step(Batch.alone(data, cases))
            others = np.setdiff1d(np.arange(D), X[cases])
            for old, new in zip(before, rows[:4], strict=True):
                np.testing.assert_array_equal(new[others], old[others])
            assert (rows.values[X[cases]] != before[0][X[cases]]).any(-1).all()


def test_the_average_is_that_of_all_steps():
    """Rows are averaged over the steps in which they stayed, too, whenever they are asked for."""
    net, X, y = make()
    expected, k = solver_of(net, X, y)[0].weights[0], 0
    with compute_threads(2):
        solver, data = solver_of(net, X, y)
        for k in range(1, 31):
            solver.step(Batch.alone(data, np.array([k - 1])))
            alpha = min(0.98, 1 - 9 / (k + 8))
            expected = alpha * expected + (1 - alpha) * solver.weights[0]
            if k in (10, 11, 30):
                np.testing.assert_allclose(solver.average[0], expected, rtol=1e-10, atol=1e-14)


def test_an_average_without_memory_is_the_moving_iterate():
    net, X, y = make()
    with compute_threads(1):
        solver, data = solver_of(net, X, y, average=0.0)
        for case in range(20):
            solver.step(Batch.alone(data, np.array([case])))
        np.testing.assert_allclose(solver.average[0], solver.weights[0], rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_unit_moves_further_than_eta(dtype):
    """In the metric of the two blocks, whatever comes: multipliers of very different sizes."""
    net, X, y = make(dtype=dtype)
    rng = np.random.default_rng(1)
    with compute_threads(2):
        solver, data = solver_of(net, X, y, total=10**9, gram_every=1, refactor_every=1)
        for k in range(60):
            record = solver.measure(Batch.alone(data, rng.integers(0, 30, 5)))
            factor = 10.0 ** rng.integers(-3, 4) if k % 3 else 1.0
            for g in (solver.of_maps("g")[0], solver.tokens.sums.g[: solver.tokens.distinct]):
                g *= factor
            before = solver.weights[0].astype(float)
            solver.move(record)
            before[:, D + 1 :] *= 1 - record.shrinkage
            change = solver.weights[0] - before
            gram = solver.of_maps("gram")[0].astype(float)
            gram = np.tril(gram) + np.tril(gram, -1).T
            gram += 0.2 * np.trace(gram) / len(gram) * np.eye(len(gram))
            tokens = solver.tokens
            metric = tokens.rows.counts / tokens.rows.counts.sum()
            metric += 0.1 * solver.k / tokens._distinct_total
            squares = (change[:, :D] ** 2 * metric).sum(1)
            squares += ((change[:, D:] @ gram) * change[:, D:]).sum(1)
            assert (np.sqrt(squares) <= 0.03 * (1 + 1e-4)).all()
            np.testing.assert_allclose(
                solver.maps.of_units[CHANGE, : net.hidden], squares, rtol=1e-2
            )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_do_not_change_a_move(dtype):
    """Ranks with unequal numbers of threads stay together: same sums, bitwise the same weights."""
    found = []
    for threads in (1, 2, 3):
        net, X, y = make(dtype=dtype)
        with compute_threads(min(threads, 2)):
            solver, data = solver_of(net, X, y, threads=threads)
            rng = np.random.default_rng(3)
            for _ in range(10):
                record = solver.measure(Batch.alone(data, np.arange(8)))
                record.growth = 0.0
                for g in (solver.of_maps("g")[0], solver.of_maps("g")[1], solver.tokens.sums.g):
                    g[:] = rng.standard_normal(g.shape)
                solver.of_maps("batch_gram")[0][:] = solver.of_maps("batch_gram")[1][:] = np.eye(
                    H + 1
                )
                solver.move(record)
            found.append(np.concatenate([*solver.average[0], *solver.weights[0]]))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("size", [7, 40])
def test_entries_of_ranks_are_merged(size):
    """A token in several entries is summed, entries without occurrences are left out."""
    rng = np.random.default_rng(0)
    ids, counts = rng.integers(0, size, 25), rng.integers(0, 3, 25)
    g = rng.standard_normal((25, H))
    block = TokenBlock(np.zeros((size, H)), 25, 1, Serial())
    for _ in range(2):  # the workspace is as it was
        block.distinct = token_weights.merge(ids, counts, g, block.sums)
        found, occurrences = twin.columns(block)
        expected = np.zeros((size, H))
        np.add.at(expected, ids[counts > 0], g[counts > 0])
        np.testing.assert_allclose(found.T, expected, rtol=1e-13, atol=1e-15)
        np.testing.assert_array_equal(
            occurrences, np.bincount(ids, counts, minlength=size).astype(int)
        )
    assert (block.sums.slots == -1).all()


class Owner(Serial):
    """One of two owners of a mini-batch's cases; sums stay with the test."""

    size, batch_size = 2, 2

    def __init__(self, rank):
        super().__init__()
        self.rank = self.batch_index = rank

    def largest(self, value):
        return 30

    def reduce(self, arrays, then):
        self.arrays, self.then = arrays, then


@pytest.mark.parametrize("size", [D, 25 * D])
def test_two_owners_move_as_one(size):
    """Three cases and two: the sums of lists, of all tokens or of those seen, are those of all."""
    net, X, y = make(size=size)
    solvers, owners = [], [Owner(0), Owner(1)]
    with compute_threads(1):
        alone, data = solver_of(net, X, y, gram_every=1, eta=0.03)
        for owner in owners:
            problem, _ = make_problem(net, X, y)
            copy = make(size=size)[0]
            args = problem, CondensedOptions(gram_every=1, eta=0.03), 3, 6, 50, 1, owner
            solvers.append(Condensed(copy, *args))
        for k in range(12):
            cases = np.arange(k, k + 5)
            alone.step(Batch.alone(data, cases))
            for solver, owner, own in zip(solvers, owners, (cases[:3], cases[3:]), strict=True):
                part = owner.cut(5, 6, 5)
                solver.step(Batch(data, own, 0, 6, part, np.full(6, len(own)), 30))
            for one, other in zip(*(owner.arrays for owner in owners), strict=True):
                one += other
                other[...] = one
            message = sum(array.nbytes for array in owners[0].arrays[5:])
            assert message <= min(size, 2 * 30) * (H + 2) * 8
            for owner in owners:
                owner.then(k)
        for solver in solvers:
            for one, other in zip(solver.weights, alone.weights, strict=True):
                assert relative(one, other) < 1e-10
        np.testing.assert_array_equal(solvers[0].average[0], solvers[1].average[0])


@pytest.mark.parametrize(("size", "classes"), [(20_000, 2), (50, 5_000)])
def test_memory_grows_with_the_alphabet_not_its_square(size, classes):
    """Of inputs and of outputs; D x D numbers would be 1.6 GB, C x C 100 MB."""
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, size, (40, 5)), rng.integers(0, classes, 40)
    net = RNN(size, H, classes)
    fit(RNN(3, H, 2), X % 3, y % 2, epochs=1)  # compiled
    tracemalloc.start()
    result = fit(net, X, y, epochs=2, validation=(X, y))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.status == "max_iter"
    assert peak < 4_000_000 + 15 * 4 * (H + 4) * size + 60 * 4 * (H + 4) * classes


def test_damping_is_checked():
    with pytest.raises(ValueError, match="token_damping is 0: expected a positive number"):
        CondensedOptions(token_damping=0)
