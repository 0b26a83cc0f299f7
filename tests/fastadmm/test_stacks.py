"""Stacks, both directions, pooled read-outs and learned starts: against their twins, and in fit."""

import numpy as np
import pytest
from fastadmm.mpi.part import part_of
from fastadmm.mpi.serial import Serial
from reference import cells as reference
from reference.condensed import loss_terms, one_hot

from fastadmm import RNN, fit, sequences
from fastadmm.batches import Batch, Data, Noise, Plan, Share
from fastadmm.cells import CELLS
from fastadmm.problem import make_problem
from fastadmm.solvers.condensed import Condensed, CondensedOptions
from fastadmm.threads import compute_threads

D, H, C, N, T = 3, 4, 3, 5, 6
LENGTHS = 6, 2, 1, 5, 6
CASES = {  # cell, read-out, tokens, unequal lengths, network
    "two layers": ("gru", "last", False, False, {"layers": 2}),
    "both directions": ("elman", "all", False, True, {"bidirectional": True}),
    "both, last": ("lstm", "last", False, True, {"bidirectional": True, "initial": "learned"}),
    "both of two": ("gru", "all", False, True, {"bidirectional": True, "layers": 2}),
    "mean": ("elman", "mean", False, True, {"bidirectional": True, "layers": 2}),
    "max": ("lstm", "max", False, True, {}),
    "start": ("elman", "last", False, True, {"initial": "learned"}),
    "tokens": ("lstm", "all", True, False, {"layers": 2, "initial": "learned"}),
}


def make(name):
    """A network and data for it, lists of sequences, and the inputs as dense channels."""
    cell, readout, tokens, unequal, kind = CASES[name]
    rng = np.random.default_rng(0)
    net = RNN(D, H, C, seed=rng, dtype="float64", cell=cell, **kind)
    for weights in net.weights:
        weights += 0.2 * rng.standard_normal(weights.shape)
    lengths = LENGTHS if unequal else (T,) * N
    X = [rng.integers(0, D, n) if tokens else rng.standard_normal((n, D)) for n in lengths]
    y = [rng.integers(0, C, n if readout == "all" else ()) for n in lengths]
    return net, X, y, [one_hot(x, D) for x in X] if tokens else X


def outputs_of(net, weights, X, readout):
    """Outputs of the twin, of all sequences below each other."""
    start = weights[-2][:, 0] if net.initial == "learned" else None
    shape = net.layers, net.directions
    return np.concatenate(reference.read_out(net.cell, weights, X, *shape, readout, start))


class InPasses(Serial):
    """A domain that acts between the passes, in micro-batches."""

    acts_between_passes, parts = True, 3


def measured(net, X, y, readout, domain=None):
    """Solver after measuring one batch of all cases."""
    y = y if readout == "all" else np.array(y)
    X, y, lengths = sequences.pair(X, y, None, readout)
    problem, data = make_problem(net, X, y, None, readout, lengths=lengths)
    with compute_threads(2):
        options = CondensedOptions(safeguard=False)
        solver = Condensed(net, problem, options, N, T, 10, 2, domain)
        return solver, solver.measure(Batch.alone(data, np.arange(N)))


def sums_of(solver):
    """Multiplier sums of all maps, the columns of tokens included."""
    g = [each.copy() for each in solver.of_maps("g")]
    if solver.tokens is None:
        return g
    entries, rows = solver.tokens.sums, np.zeros_like(solver.tokens.rows.values)
    rows[entries.ids[: solver.tokens.distinct]] = entries.g[: solver.tokens.distinct]
    return solver._whole(g, rows)


@pytest.mark.parametrize("name", CASES)
def test_sums_are_the_gradient_and_outputs_those_of_the_twin(name):
    """Central differences of the twin's loss; and pass by pass in micro-batches the same bits."""
    net, X, y, dense = make(name)
    readout = CASES[name][1]
    weights = [each.copy() for each in net.weights]
    outputs = net.predict(X, readout=readout)
    found = np.concatenate(outputs) if isinstance(outputs, list) else outputs.reshape(-1, C)
    expected = outputs_of(net, weights, dense, readout)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)
    solver, record = measured(net, X, y, readout)
    labels = np.concatenate([np.atleast_1d(each) for each in y])

    def mean_loss():
        outputs = outputs_of(net, weights, dense, readout)
        return loss_terms(outputs, labels, "softmax_cross_entropy")[0].mean()

    assert record.loss / record.terms == pytest.approx(mean_loss(), rel=1e-12)
    rng = np.random.default_rng(1)
    for g, own in zip(sums_of(solver), weights, strict=True):
        places = rng.permutation(own.size)[:20]
        differences = []
        for place in places:
            index, kept, values = np.unravel_index(place, own.shape), own.flat[place], []
            for step in (1e-5, -1e-5):
                own[index] = kept + step
                values.append(mean_loss())
            own[index] = kept
            differences.append((values[0] - values[1]) / 2e-5)
        error = abs(g.flat[places] - differences).max()
        assert error < 1e-6 * max(abs(g).max(), 1e-3)
    net, X, y, _ = make(name)
    passes, _ = measured(net, X, y, readout, InPasses())
    for one, other in zip(sums_of(solver), sums_of(passes), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("readout", ["last", "all", "mean"])
def test_stacks_train_and_travel(readout, tmp_path):
    """Dropout included; a run in two halves is bitwise the whole one."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 5, 2)).astype("float32")
    y = (X[:, :, 0].cumsum(1) > 0).astype(int)
    y = y if readout == "all" else y[:, -1]
    kind = dict(cell="gru", layers=2, bidirectional=True, dropout=0.2, initial="learned", seed=3)
    options = dict(readout=readout, batch_size=12, threads=1, seed=4)
    nets = [RNN(2, 6, 2, **kind) for _ in range(3)]
    whole = fit(nets[0], X, y, epochs=8, **options)
    assert whole.history[-1]["train_loss"] < 0.8 * whole.history[0]["train_loss"]
    path = tmp_path / "checkpoint.safetensors"
    stops = [lambda record: record["epoch"] == 3]
    fit(nets[1], X, y, epochs=8, callbacks=stops, checkpoint=path, **options)
    fit(nets[2], X, y, epochs=8, resume=path, **options)
    for one, other in zip(nets[0].weights, nets[2].weights, strict=True):
        np.testing.assert_array_equal(one, other)
    nets[0].save(tmp_path / "net.safetensors")
    read = RNN.load(tmp_path / "net.safetensors")
    assert repr(read) == repr(nets[0])
    np.testing.assert_array_equal(read.predict(X), nets[0].predict(X))
    assert read.predict(X).shape == ((60, 5, 2) if readout == "all" else (60, 2))
    assert read.weights[-2].any()  # the start has moved


def test_washout_counts_nothing_at_the_beginning():
    """Targets within it may be anything: same weights, same losses; lengths included."""
    rng, found = np.random.default_rng(0), []
    X = [rng.standard_normal((n, 2)) for n in (9, 5, 7, 9, 4, 8)]
    y = [x[:, :1].cumsum(0) for x in X]
    for start in (0.0, 1e3):
        for each in y:
            each[:3] = start
        net = RNN(2, 4, 1, dtype="float64", seed=1)
        result = fit(
            net, X, y, readout="all", washout=3, epochs=4, batch_size=3, threads=1,
            validation=(X, y), scale=None,
        )  # fmt: skip
        found.append(
            (net.theta, [result.history[-1][f"{k}_loss"] for k in ("train", "validation")])
        )
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-12)
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-9)
    message = "washout is 9: expected less than the time points of X, 9"
    with pytest.raises(ValueError, match=message):
        fit(net, X, y, readout="all", washout=9)
    with pytest.raises(ValueError, match="washout is 2: expected 0, readout is 'last'"):
        fit(net, X, np.zeros((6, 1)), washout=2)


def test_given_starts_are_those_of_sequences_cut_in_two():
    """Training on second halves from the states after the first ones: the loss is that of them."""
    rng = np.random.default_rng(0)
    net = RNN(2, 4, 2, cell="lstm", dtype="float64")
    X, y = rng.standard_normal((6, 8, 2)), rng.integers(0, 2, 6)
    initial = net.carry(X[:, :5])
    np.testing.assert_allclose(net.predict(X[:, 5:], initial=initial), net.predict(X), rtol=1e-12)
    expected = net.score(X, y)["nats"]
    result = fit(net, X[:, 5:], y, initial=initial, epochs=1, batch_size=6, threads=1, scale=None)
    assert result.history[0]["train_loss"] == pytest.approx(expected, rel=1e-10)
    with pytest.raises(ValueError, match=r"initial has shape \(6, 4\): expected \(6, 8\)"):
        fit(net, X, y, initial=initial[:, :4])


@pytest.mark.parametrize("steps", [2, 3, 7])
@pytest.mark.parametrize("lengths", [None, np.array([7, 1, 2, 3, 4, 5, 6, 7])])
def test_every_sequence_begins_once(lengths, steps):
    """In whatever windows, those that begin at the first step of one included: on ranks, too."""
    plan, data = Plan(8, 7, 8, steps, 1, lengths), Data(np.zeros((8, 7, 1)), lengths=lengths)
    share, begun = Share(plan, Serial()), []
    for cases, window in plan.windows(np.random.default_rng(0)):
        batch = share.batch_of(data, cases, window)
        begun += batch.cases[batch.begun()].tolist()
    assert sorted(begun) == list(range(8))
    alone = [Batch.alone(data, np.arange(8), t, 1) for t in range(7)]
    assert sorted(i for each in alone for i in each.cases[each.begun()]) == list(range(8))


def test_dropout_does_not_depend_on_who_owns_what():
    whole = Noise((1, 2), 6, 5, part_of(0, 1, 1, 5, 6, 5), np.arange(5)).random((6, 5), 3)
    again = Noise((1, 2), 6, 5, part_of(0, 1, 1, 5, 6, 5), np.arange(5)).random((6, 5), 3)
    np.testing.assert_array_equal(whole, again)
    for rank in range(4):
        part = part_of(rank, 2, 2, 5, 6, 5)
        own = np.arange(part.places.start, part.places.stop)[::-1]
        shape = part.steps.stop - part.steps.start, len(own)
        found = Noise((1, 2), 6, 5, part, own).random(shape, 3)
        np.testing.assert_array_equal(found, whole[part.steps][:, own])
    assert (whole < 1).all()
    assert len(np.unique(whole)) == whole.size


@pytest.mark.peers
@pytest.mark.parametrize("cell", CELLS)
def test_torch_computes_the_same(cell):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    net = RNN(D, H, C, seed=1, dtype="float64", cell=cell, layers=2, bidirectional=True)
    X = np.random.default_rng(0).standard_normal((N, T, D))
    kind = getattr(torch.nn, CELLS[cell].torch)
    module = torch.nn.ModuleDict({
        "rnn": kind(D, H, 2, batch_first=True, bidirectional=True),
        "readout": torch.nn.Linear(2 * H, C),
    }).double()  # fmt: skip
    weights = {name: torch.from_numpy(w) for name, w in net.state_dict().items()}
    module.load_state_dict(weights, strict=True)
    with torch.no_grad():
        outputs = module["readout"](module["rnn"](torch.from_numpy(X))[0]).numpy()
    np.testing.assert_allclose(net.predict(X, readout="all"), outputs, rtol=1e-12, atol=1e-12)
    back = RNN.from_torch(module["rnn"], module["readout"])
    assert repr(back) == repr(net)
    for one, own in zip(back.weights, net.weights, strict=True):
        np.testing.assert_array_equal(one, own)
    narrow = kind(D, H, batch_first=True, bias=False).double()
    with pytest.raises(ValueError, match="linear reads 8 states: rnn has 4"):
        RNN.from_torch(narrow, module["readout"])
    linear = torch.nn.Linear(H, C).double()
    with torch.no_grad():
        outputs = linear(narrow(torch.from_numpy(X))[0]).numpy()
    found = RNN.from_torch(narrow, linear).predict(X, readout="all")
    np.testing.assert_allclose(found, outputs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": 0}, "layers is 0: expected a positive integer"),
        ({"dropout": 0.5}, "dropout is 0.5: expected 0 <= dropout < 1, between layers=2 or more"),
        ({"initial": "one"}, "initial is 'one': expected one of 'zero', 'learned'"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        RNN(2, 2, 2, **arguments)


def test_what_needs_whole_sequences_says_so():
    net, X = RNN(2, 3, 2, bidirectional=True), np.zeros((4, 5, 2))
    with pytest.raises(ValueError, match="steps is 2: expected None, bidirectional is True"):
        fit(net, X, np.zeros((4, 5), int), readout="all", steps=2)
    with pytest.raises(ValueError, match="token ids train forward in time alone"):
        fit(net, np.zeros((4, 5), int), np.zeros(4, int))
    with pytest.raises(
        ValueError, match="readout is 'mean': solver 'block' trains 'last' or 'all'"
    ):
        fit(RNN(2, 3, 2), X, np.zeros(4, int), readout="mean", solver="block")
