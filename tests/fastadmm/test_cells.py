"""Gated cells: forward passes and multiplier sums against their twins, and all that fit does."""

import numpy as np
import pytest
from fastadmm.mpi.cost import Work
from fastadmm.mpi.serial import Serial
from reference import cells as reference
from reference.condensed import one_hot
from typer.testing import CliRunner

from fastadmm import RNN, fit
from fastadmm.batches import Batch
from fastadmm.cells import CELLS
from fastadmm.cli import app
from fastadmm.problem import make_problem
from fastadmm.solvers import counts
from fastadmm.solvers.condensed import Condensed, CondensedOptions
from fastadmm.text import sample
from fastadmm.threads import compute_threads

GATED = "gru", "lstm"
KEEPING = *GATED, "leaky"
D, H, C, N, T = 3, 4, 3, 5, 6
KINDS = {  # tokens, read-out, sequences of unequal length
    "dense, last": (False, "last", False),
    "tokens, all": (True, "all", False),
    "dense, last, lengths": (False, "last", True),
    "tokens, all, lengths": (True, "all", True),
}


def make(cell, kind="dense, last", dtype="float64", gain=1.0):
    """A network, lists of sequences and targets for it, and the inputs as dense channels."""
    tokens, readout, unequal = KINDS[kind]
    rng = np.random.default_rng(3)
    leak = reference.LEAK if cell == "leaky" else None
    net = RNN(D, H, C, gain=gain, seed=rng, dtype=dtype, cell=cell, leak=leak)
    for weights in net.weights:
        weights += 0.1 * rng.standard_normal(weights.shape)
    lengths = (6, 2, 1, 5, 6) if unequal else (T,) * N
    if tokens:
        X = [rng.integers(0, D, length) for length in lengths]
    else:
        X = [rng.standard_normal((length, D)).astype(dtype) for length in lengths]
    y = [rng.integers(0, C, length if readout == "all" else ()) for length in lengths]
    return net, X, y, [one_hot(x, D) for x in X] if tokens else X


def measured(net, X, y, readout, threads=2, initial=None, domain=None, safeguard=True):
    """Solver after measuring one batch of all cases."""
    from fastadmm import sequences

    X, y, lengths = sequences.pair(X, np.array(y) if readout == "last" else y, None, readout)
    problem, data = make_problem(net, X, y, None, readout, lengths=lengths)
    options = CondensedOptions(safeguard=safeguard)
    with compute_threads(threads):
        solver = Condensed(net, problem, options, N, T, 10, threads, domain)
        batch = Batch.alone(data, np.arange(N), initial=initial)
        if initial is not None:
            batch.initial = initial[batch.cases]
        record = solver.measure(batch)
    return solver, record


def sums_of(solver):
    """Multiplier sums of all maps, the columns of tokens included."""
    g = solver.of_maps("g")
    if solver.tokens is None:
        return g
    entries = solver.tokens.sums
    rows = np.zeros_like(solver.tokens.rows.values)
    rows[entries.ids[: solver.tokens.distinct]] = entries.g[: solver.tokens.distinct]
    return solver._whole(g, rows)


def relative(a, b):
    return np.abs(a - b).max() / np.abs(b).max()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", KEEPING)
def test_multiplier_sums_are_the_gradient(cell, kind):
    """Without the safeguard, with a carried state: central differences of every weight."""
    net, X, y, dense = make(cell, kind)
    readout = KINDS[kind][1]
    initial = np.random.default_rng(0).uniform(-0.5, 0.5, (N, net.carried))
    solver, record = measured(net, X, y, readout, initial=initial, safeguard=False)
    arguments = dense, y, "softmax_cross_entropy", readout, initial
    loss = record.loss / record.terms
    weights = [each.copy() for each in solver.weights]
    assert loss == pytest.approx(reference.mean_loss(cell, weights, *arguments), rel=1e-12)
    for g, own in zip(sums_of(solver), weights, strict=True):
        differences = np.zeros_like(own)
        for index in np.ndindex(own.shape):
            kept, values = own[index], []
            for step in (1e-5, -1e-5):
                own[index] = kept + step
                values.append(reference.mean_loss(cell, weights, *arguments))
            own[index] = kept
            differences[index] = (values[0] - values[1]) / 2e-5
        assert relative(g, differences) < 1e-6


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", KEEPING)
def test_sums_equal_the_twin(cell, kind, threads):
    """Under the safeguard, which acts: sums, Grams and growth."""
    net, X, y, dense = make(cell, kind, gain=4.0)
    readout = KINDS[kind][1]
    solver, record = measured(net, X, y, readout, threads)
    arguments = cell, net.weights, dense, y, "softmax_cross_entropy", readout
    sums, grams, growth, _ = reference.sums(*arguments, True)
    assert relative(sums[0], reference.sums(*arguments, False)[0][0]) > 1e-3
    assert record.growth == pytest.approx(growth, rel=1e-10)
    for found, expected in zip(sums_of(solver), sums, strict=True):
        assert relative(found, expected) < 1e-11
    for own, gram, rows in zip(
        solver.of_maps("batch_gram"), grams, (record.rows, record.terms), strict=True
    ):
        n = len(own)  # the block of dense inputs comes last
        assert relative(np.tril(own), np.tril(gram[-n:, -n:])) < 1e-12
        assert rows > 0


class InPasses(Serial):
    """A domain that acts between the passes, though it has nothing to do there."""

    acts_between_passes = True


@pytest.mark.parametrize("kind", ["dense, last", "tokens, all, lengths"])
@pytest.mark.parametrize("cell", KEEPING)
def test_one_call_gives_what_the_passes_give(cell, kind):
    """Bitwise, in micro-batches as well."""
    net, X, y, _ = make(cell, kind, gain=2.0)
    once, _ = measured(net, X, y, KINDS[kind][1])
    domain = InPasses()
    domain.parts = 3
    passes, _ = measured(net, X, y, KINDS[kind][1], domain=domain)
    for one, other in zip(sums_of(once), sums_of(passes), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("cell", KEEPING)
def test_predictions_equal_the_twin(cell, tokens, monkeypatch):
    """In windows of few steps and cases, which carry all that a cell carries."""
    from fastadmm import network

    net, X, _, dense = make(cell, "tokens, all" if tokens else "dense, last")
    monkeypatch.setattr(network, "_BATCH", 3)
    monkeypatch.setattr(network, "_STEPS", 4)
    runs = reference.simulate(cell, net.weights, dense)
    carried = np.array([run[2] for run in runs])
    states, X = carried[:, 1:, :H], np.array(X)
    np.testing.assert_allclose(net.simulate(X), states, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(net.predict(X), net.read_out(states[:, -1]), rtol=1e-12)
    np.testing.assert_allclose(net.carry(X), carried[:, -1], rtol=1e-12)
    again = net.simulate(X[:, 3:], initial=net.carry(X[:, :3]))
    np.testing.assert_allclose(again, states[:, 3:], rtol=1e-12)


@pytest.mark.parametrize("cell", GATED)
def test_the_start_is_orthogonal_gate_by_gate(cell):
    state = RNN(3, 5, 2, gain=1.5, dtype="float64", cell=cell).state_dict()
    recurrent = state["rnn.weight_hh_l0"]
    for gate in recurrent.reshape(-1, 5, 5):
        np.testing.assert_allclose(gate @ gate.T, 1.5**2 * np.eye(5), atol=1e-12)
    bias = state["rnn.bias_ih_l0"].reshape(-1, 5)
    assert (bias == (np.arange(len(bias)) == 1)[:, None] * (cell == "lstm")).all()
    assert not state["rnn.bias_hh_l0"].any()


@pytest.mark.parametrize("cell", KEEPING)
def test_weights_travel_under_torchs_names(cell, tmp_path):
    net, X, _, _ = make(cell)
    X, leaky = np.array(X), cell == "leaky"
    other = RNN(D, H, C, seed=9, dtype="float64", cell=cell, leak=net.leak if leaky else None)
    other.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(other.predict(X), net.predict(X))
    assert sum(w.size for w in net.weights) == net.parameters
    net.save(tmp_path / "net.safetensors")
    read = RNN.load(tmp_path / "net.safetensors")
    assert repr(read) == repr(net)
    for one, own in zip(read.weights, net.weights, strict=True):
        np.testing.assert_array_equal(one, own)


@pytest.mark.peers
@pytest.mark.parametrize("cell", GATED)
def test_torch_computes_the_same(cell):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    net, X, _, _ = make(cell)
    X = np.array(X)
    kind = getattr(torch.nn, CELLS[cell].torch)
    module = torch.nn.ModuleDict(
        {"rnn": kind(D, H, batch_first=True), "readout": torch.nn.Linear(H, C)}
    ).double()
    weights = {name: torch.from_numpy(w) for name, w in net.state_dict().items()}
    module.load_state_dict(weights, strict=True)
    with torch.no_grad():
        outputs = module["readout"](module["rnn"](torch.from_numpy(X))[0]).numpy()
    np.testing.assert_allclose(net.predict(X, readout="all"), outputs, rtol=1e-12, atol=1e-12)


def adding(n, rng, dtype):
    """Two channels, a value and a mark: the product of the two marked values."""
    X = np.zeros((n, 12, 2), dtype)
    X[:, :, 0] = rng.random((n, 12))
    first, second = rng.integers(0, 6, n), rng.integers(6, 12, n)
    X[np.arange(n), first, 1] = X[np.arange(n), second, 1] = 1
    return X, (X[:, :, 0] * X[:, :, 1]).sum(1, keepdims=True)


@pytest.mark.parametrize("cell", GATED)
def test_training_learns_saves_and_goes_on(cell, tmp_path):
    """Raw data of odd units; a run in two halves is bitwise the whole one."""
    X, y = adding(600, np.random.default_rng(0), "float32")
    X = X * np.array([7, 0.1], np.float32) + np.array([0, 30], np.float32)
    options = dict(batch_size=20, threads=1, seed=4)
    nets = [RNN(2, 16, 1, seed=2, cell=cell) for _ in range(2)]
    whole = fit(nets[0], X, y, epochs=30, **options)
    assert whole.history[-1]["train_loss"] < 0.1 * np.var(y)
    path = tmp_path / "checkpoint.safetensors"
    stops = [lambda record: record["epoch"] == 3]
    fit(nets[1], X, y, epochs=30, callbacks=stops, checkpoint=path, **options)
    again = RNN(2, 16, 1, seed=2, cell=cell)
    fit(again, X, y, epochs=30, resume=path, **options)
    for one, other in zip(nets[0].weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert nets[0].score(X, y)["rmse"] ** 2 < 0.1 * np.var(y)


@pytest.mark.parametrize("cell", GATED)
def test_the_command_line_trains_and_samples(cell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "the quick brown fox jumps over the lazy dog. " * 60
    (tmp_path / "tiny.txt").write_text(text)
    arguments = f"train text --data tiny.txt --cell {cell} --hidden 12 --epochs 2 --steps 20"
    result = CliRunner().invoke(app, [*arguments.split(), "--batch-size", "8", "--threads", "1"])
    assert result.exit_code == 0, result.output
    net = RNN.load("runs/text/model.safetensors")
    assert net.cell == cell
    drawn = sample(net, 20, "the ")
    assert drawn == sample(net, 20, "the ")
    assert set(drawn) <= set(text)


def test_the_cost_model_knows_the_cell():
    """Of LSTM and GRU, flops and messages are those of their maps."""
    elman = Work(1000, 24, 64, 24, 5, 32, 3)
    found = {
        name: counts(Work(1000, 24, 64, 24, 5, 32, 3, cell=cell.sizes()), "condensed")
        for name, cell in CELLS.items()
    }
    assert found["elman"] == counts(elman, "condensed")
    assert found["lstm"].sweep == pytest.approx(4 * found["elman"].sweep, rel=1e-9)
    maps = (64 * 38, 32 * 6, 32 * 33)
    assert found["gru"].reduced - found["elman"].reduced == sum(maps) - 32 * 38
    assert found["gru"].kept == 8 * 32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell": "rnn"}, "cell is 'rnn': expected one of 'elman', 'leaky', 'gru', 'lstm'"),
        ({"cell": "leaky"}, "leak is None: leaky units need it, or tau and dt"),
        ({"cell": "leaky", "leak": 1.5}, "leak is 1.5: expected 0 < leak <= 1"),
        ({"cell": "leaky", "leak": [0.5]}, r"leak has shape \(1,\): expected a number, or \(2,\)"),
        ({"cell": "leaky", "tau": 2.0}, "tau 2.0, dt None: expected leak, or tau and dt"),
        (
            {"cell": "leaky", "tau": 2.0, "dt": 3.0},
            "dt is 3.0: expected a positive number, at most",
        ),
        ({"leak": 0.5}, "leak is given: expected None, cell is 'elman'"),
        ({"cell": "gru", "activation": "relu"}, "activation is 'relu': a gru has 'tanh'"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        RNN(2, 2, 2, **arguments)


def test_time_constants_are_leaks():
    found = RNN(2, 3, 2, cell="leaky", tau=[10, 20, 40], dt=10).leak
    np.testing.assert_allclose(found, [1, 0.5, 0.25])
    one = RNN(2, 3, 2, cell="leaky", leak=1.0, dtype="float64")
    plain, X = RNN(2, 3, 2, dtype="float64"), np.random.default_rng(0).random((4, 5, 2))
    np.testing.assert_allclose(one.predict(X), plain.predict(X), rtol=1e-14)


@pytest.mark.parametrize("solver", ["block", "admmirnn"])
def test_other_solvers_refuse_gated_cells(solver):
    net = RNN(2, 3, 2, cell="lstm")
    message = f"cell is 'lstm': solver '{solver}' trains 'elman' alone; 'condensed' trains it"
    with pytest.raises(ValueError, match=message):
        fit(net, np.zeros((4, 3, 2)), np.array([0, 1, 0, 1]), solver=solver)
