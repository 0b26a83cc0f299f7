"""Sequences of unequal length: what is padding changes nothing, anywhere."""

import threading

import numpy as np
import pytest
from fastadmm.mpi.part import Part
from fastadmm.mpi.serial import Serial
from reference import condensed as reference

from fastadmm import RNN, fit
from fastadmm.batches import Batch, Plan
from fastadmm.problem import make_problem
from fastadmm.sequences import pair
from fastadmm.solvers import SOLVERS
from fastadmm.threads import compute_threads

LENGTHS = 7, 3, 9, 1, 5, 9, 2, 6
D, H, C = 3, 5, 4
KINDS = [(readout, tokens) for readout in ("last", "all") for tokens in (False, True)]
LOSSES = ("softmax_cross_entropy", "squared")


def make(readout="last", tokens=False, loss="softmax_cross_entropy", lengths=LENGTHS):
    """A network, and lists of sequences and targets."""
    rng = np.random.default_rng(0)
    X = [rng.integers(0, D, n) if tokens else rng.standard_normal((n, D)) for n in lengths]
    shapes = [(n,) if readout == "all" else () for n in lengths]
    if loss == "squared":
        y = [rng.standard_normal((*shape, C)) for shape in shapes]
    else:
        y = [rng.integers(0, C, shape) for shape in shapes]
    return RNN(D, H, C, dtype="float64"), X, y if readout == "all" else np.array(y)


def padded(sequences, more, rng):
    """One array with garbage after the sequences."""
    n = max(map(len, sequences)) + more
    rows = []
    for each in sequences:
        shape = (n - len(each), *each.shape[1:])
        is_integer = each.dtype.kind == "i"
        rest = rng.integers(0, D, shape) if is_integer else 1e3 * rng.standard_normal(shape)
        rows.append(np.concatenate([each, rest]))
    return np.stack(rows)


def trained(X, y, net, **options):
    result = fit(net, X, y, epochs=4, batch_size=3, threads=2, **options)
    return np.concatenate([net.theta.ravel(), net.phi.ravel()]), result


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("readout", "tokens"), KINDS)
def test_padding_of_any_length_and_content_changes_nothing(solver, loss, readout, tokens):
    net, X, y = make(readout, tokens, loss)
    asked = {"solver": solver, "readout": readout, "validation": (X, y)}
    expected, result = trained(X, y, net, **asked)
    rng = np.random.default_rng(1)
    for more in (0, 4):
        Y = padded(y, more, rng) if readout == "all" else y
        found, other = trained(padded(X, more, rng), Y, make()[0], lengths=LENGTHS, **asked)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
        for one, another in zip(result.history, other.history, strict=True):
            for key in ("train_loss", "validation_loss"):
                assert one[key] == pytest.approx(another[key], rel=1e-10)
            assert one["validation_accuracy"] == another["validation_accuracy"]


class Together:
    """Several owners in one process, one after the other but for the sums."""

    def __init__(self, count):
        self.count, self.barrier, self.turn = count, threading.Barrier(count), threading.Lock()
        self.pieces, self.failures = [None] * count, []

    def run(self, functions):
        def guarded(function):
            with self.turn:
                try:
                    function()
                except Exception as error:
                    self.failures.append(error)
                    self.barrier.abort()

        threads = [threading.Thread(target=guarded, args=(f,)) for f in functions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failures:
            raise self.failures[0]

    def meet(self):
        self.turn.release()
        try:
            self.barrier.wait()
        finally:
            self.turn.acquire()


class Owner(Serial):
    """One of the owners of a mini-batch's sequences."""

    def __init__(self, together, rank):
        super().__init__()
        self.together, self.rank, self.batch_index = together, rank, rank
        self.size = self.batch_size = together.count
        self.is_root = rank == 0

    def sum(self, *arrays):
        self.together.pieces[self.rank] = [array.copy() for array in arrays]
        self.together.meet()
        for place, array in enumerate(arrays):
            array[...] = sum(piece[place] for piece in self.together.pieces)
        self.together.meet()

    def largest(self, value):
        return value


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("readout", "tokens"), KINDS)
def test_weights_are_those_of_sequences_without_padding(solver, loss, readout, tokens):
    """One mini-batch of unequal sequences, and each of them alone on an owner of its own."""
    net, X, y = make(readout, tokens, loss, LENGTHS[:4])
    kind, count, rows = SOLVERS[solver], 4, sum(LENGTHS[:4])
    options = {"condensed": {"gram_every": 1}, "block": {"guard": 0}}.get(solver, {})
    longest = max(LENGTHS[:4])
    X1, y1, lengths = pair(X, y, None, readout)
    problem, data = make_problem(net, X1, y1, loss, readout, lengths=lengths)
    together, solvers = Together(count), []
    for rank in range(count):
        own = make()[0]
        args = problem, kind.Options(**options), 1, LENGTHS[rank], 20, 1, Owner(together, rank)
        solvers.append(kind(own, *args))
    whole = kind(net, problem, kind.Options(**options), count, X1.shape[1], 20, 2)

    def alone(rank):
        def steps():
            length = LENGTHS[rank]
            targets = y[rank] if readout == "all" else y[rank : rank + 1]
            one = make_problem(
                net, X[rank][None], targets[None] if readout == "all" else targets, loss, readout
            )[1]
            own = slice(rank, rank + 1), slice(longest - length, longest)
            part = Part(*own, None, None, count, longest)
            for k in range(6):
                again = solver != "condensed" and k > 0
                active = np.ones(length, int)
                batch = Batch(one, np.zeros(1, int), 0, length, part, active, rows, again=again)
                solvers[rank].step(batch)

        return steps

    with compute_threads(1):
        for k in range(6):
            again = solver != "condensed" and k > 0
            whole.step(Batch.alone(data, np.arange(count), again=again))
        together.run([alone(rank) for rank in range(count)])
    for found, expected in zip(solvers[0].average, whole.average, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("readout", "tokens"), KINDS)
def test_sums_equal_the_twin_sequence_by_sequence(readout, tokens):
    net, X, y = make(readout, tokens)
    X1, y1, lengths = pair(X, y, None, readout)
    problem, data = make_problem(net, X1, y1, readout=readout, lengths=lengths)
    Options = SOLVERS["condensed"].Options
    with compute_threads(2):
        solver = SOLVERS["condensed"](net, problem, Options(), len(X), X1.shape[1], 9, 2)
        record = solver.measure(Batch.alone(data, np.arange(len(X))))
    expected, outputs, terms = 0.0, 0.0, len(X) if readout == "last" else sum(LENGTHS)
    grams, loss = [0.0, 0.0], 0.0
    for x, target in zip(X, y, strict=True):
        dense = (reference.one_hot(x, D) if tokens else x)[None]
        args = "tanh", dense, np.array([target]), problem.loss.name, readout
        own = 1 if readout == "last" else len(x)
        (g, gram), (g_phi, gram_phi), _ = reference.sums(net.theta, net.phi, *args, True)
        loss += own * reference.mean_loss(net.theta, net.phi, *args)
        expected, outputs = expected + own * g / terms, outputs + own * g_phi / terms
        grams[0] += len(x) * gram / sum(LENGTHS)
        grams[1] += own * gram_phi / terms
    g, g_phi = solver.of_maps("g")
    left = D if tokens else 0
    np.testing.assert_allclose(g, expected[:, left:], atol=1e-13)
    np.testing.assert_allclose(g_phi, outputs, atol=1e-13)
    for found, gram in zip(solver.of_maps("batch_gram"), grams, strict=True):
        n = len(found)
        np.testing.assert_allclose(np.tril(found), np.tril(gram[-n:, -n:]), atol=1e-13)
    if tokens:
        counts = np.bincount(np.concatenate(X), minlength=D)
        sums = solver.tokens.sums
        np.testing.assert_array_equal(sums.counts[np.argsort(sums.ids[:D])], counts)
    assert record.loss == pytest.approx(loss)
    assert record.terms == terms


@pytest.mark.parametrize("tokens", [False, True])
def test_outputs_of_each_sequence_are_its_own(tokens, monkeypatch):
    from fastadmm import network

    net, X, y = make(tokens=tokens)
    net.bias[:] = 0.3
    monkeypatch.setattr(network, "_BATCH", 3)
    monkeypatch.setattr(network, "_STEPS", 4)
    states, last = net.simulate(X), net.predict(X, readout="last")
    every, rng = net.predict(X, readout="all"), np.random.default_rng(2)
    given = net.predict(padded(X, 2, rng), readout="all", lengths=LENGTHS)
    for i, x in enumerate(X):
        np.testing.assert_allclose(states[i], net.simulate(x[None])[0], rtol=1e-13)
        alone = net.predict(x[None], readout="all")[0]
        np.testing.assert_allclose(every[i], alone, rtol=1e-13)
        np.testing.assert_allclose(last[i], alone[-1], rtol=1e-13)
        np.testing.assert_allclose(given[i, : len(x)], alone, rtol=1e-13)
        assert not given[i, len(x) :].any()
    scores = [net.score(x[None], y[i : i + 1])["nats"] for i, x in enumerate(X)]
    assert net.score(X, y)["nats"] == pytest.approx(np.mean(scores))
    initial = rng.uniform(-0.5, 0.5, (len(X), H))
    begun = net.simulate(X, initial=initial)
    for i, x in enumerate(X):
        alone = net.simulate(x[None], initial=initial[i : i + 1])[0]
        np.testing.assert_allclose(begun[i], alone, rtol=1e-13)


def test_windows_of_streams_of_unequal_length():
    """Windows carry states on, and a stream that begins later begins at its own first step."""
    net, X, y = make("all", True, lengths=(23, 9, 16, 23))
    expected = trained(X, y, net, readout="all", steps=5)[0]
    lengths, rng = [len(x) for x in X], np.random.default_rng(0)
    Y = padded(y, 0, rng)
    found = trained(padded(X, 0, rng), Y, make()[0], readout="all", steps=5, lengths=lengths)[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert np.abs(found - trained(X, y, make()[0], readout="all")[0]).max() > 1e-3


def test_mini_batches_of_similar_length():
    lengths = np.random.default_rng(3).integers(1, 100, 60)
    spreads = {}
    for grouped in (False, True):
        plan, rng = Plan(60, 100, 6, 100, 1, lengths, grouped), np.random.default_rng(0)
        epochs = [[cases for cases, _ in plan.windows(rng)] for _ in range(3)]
        for batches in epochs:
            np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(60))
        spreads[grouped] = np.mean([np.ptp(lengths[cases]) for cases in epochs[0]])
        assert any((a != b).any() for a, b in zip(epochs[0], epochs[1], strict=True))
    assert spreads[True] < 0.6 * spreads[False]
    net, X, y = make()
    fit(net, X, y, epochs=2, batch_size=3, group_by_length=True)
    with pytest.raises(ValueError, match="group_by_length is True: it needs sequences of unequal"):
        fit(net, np.zeros((4, 3, D)), y[:4], group_by_length=True)


def bad(message, X=None, y=None, **options):
    net, sequences, targets = make(options.get("readout", "last"))
    X, y = sequences if X is None else X, targets if y is None else y
    with pytest.raises((ValueError, TypeError), match=message):
        fit(net, X, y, **options)


def test_mistakes_are_named():
    X = make()[1]
    arrays = padded(X, 0, np.random.default_rng(0))
    bad(r"X\[1\] has shape \(3, 2\): expected \(n_timepoints, 3\), as X\[0\] has",
        X=[X[0], X[1][:, :2], *X[2:]])  # fmt: skip
    bad(r"X\[3\] is empty: expected at least one time point", X=[*X[:3], X[3][:0], *X[4:]])
    bad(r"lengths is given: expected None, X is a list of sequences", lengths=LENGTHS)
    bad(r"lengths\[2\] is 10: expected 1 to 9, the time points", X=arrays,
        lengths=[7, 3, 10, 1, 5, 9, 2, 6])  # fmt: skip
    bad(r"lengths has shape \(3,\) and dtype int64: expected an integer for each of 8 cases",
        X=arrays, lengths=[1, 2, 3])  # fmt: skip
    _, _, every = make("all")
    bad(r"y\[2\] has 8 targets: expected 9, as X\[2\] has",
        y=[*every[:2], every[2][:8], *every[3:]], readout="all")  # fmt: skip
    bad(r"X has shape \(8,\): expected", X=np.zeros(8), lengths=LENGTHS)
    bad(r"y has shape \(8,\): expected", X=arrays, y=np.zeros(8, int), readout="all",
        lengths=LENGTHS)  # fmt: skip
    bad(r"y has shape \(8, 7\): expected", X=arrays, y=np.zeros((8, 7), int), readout="all",
        lengths=LENGTHS)  # fmt: skip


def test_a_sequence_begins_with_no_state_of_another():
    """A sequence shorter than the last window begins there, in its second mini-batch alone."""
    net, X, y = make("all", lengths=(9, 9, 2, 2))
    asked = {"readout": "all", "batch_size": 2, "steps": 3, "group_by_length": True, "seed": 1}
    for seed in range(4):  # the short ones come after the long ones, or before them
        result = fit(net, X, y, epochs=2, **(asked | {"seed": seed}))
        assert result.status == "max_iter"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_units_come_from_real_steps_alone(dtype):
    """Padding is not the value at which channels rest, nor does it pull their mean."""
    rng = np.random.default_rng(0)
    X = [100 + 5 * rng.standard_normal((n, 1)) for n in rng.integers(3, 30, 40)]
    y = np.array([x.mean() > 100 for x in X]).astype(int)
    net = RNN(1, 8, 2, dtype=dtype)
    result = fit(net, X, y, epochs=60, batch_size=8, validation=(X, y))
    assert result.history[-1]["validation_accuracy"] > 0.85
