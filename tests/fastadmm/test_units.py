"""Units of inputs and targets decide nothing, and the network that is returned takes raw data."""

import numpy as np
import pytest
from fastadmm.mpi.serial import Serial

from fastadmm import RNN, datasets, fit
from fastadmm.batches import Plan, Share
from fastadmm.problem import make_problem
from fastadmm.units import Units

RNG = np.random.default_rng(3)
X = RNG.standard_normal((120, 6, 3))
Y = X[:, :, 0].sum(1, keepdims=True) + X[:, :, 1].max(1, keepdims=True)


def units_of(X, y, net=None, **options):
    net = net or RNN(X.shape[2], 4, y.shape[-1], dtype="float64")
    problem, data = make_problem(net, X, y, **options)
    share = Share(Plan(*X.shape[:2], len(X), X.shape[1], 1), Serial())
    return Units.of(net, problem, data, share), net


def trained(X, y, net=None, **options):
    net = net or RNN(X.shape[2], 8, 1 if y.ndim > 1 else int(y.max()) + 1, dtype="float64")
    fit(net, X, y, epochs=5, batch_size=32, **options)
    return net


def of_unit_changes(function):
    changes = [(1e-4, 0.0), (1e4, 0.0), (1.0, 1000.0), (3.0, 0.5), (1e4, -1e6)]
    return pytest.mark.parametrize(("scale", "shift"), changes)(function)


@of_unit_changes
def test_inputs_in_other_units_give_the_same_network(scale, shift):
    expected = trained(X, Y).predict(X)
    found = trained(scale * X + shift, Y).predict(scale * X + shift)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@of_unit_changes
def test_targets_in_other_units_give_the_same_network(scale, shift):
    expected = scale * trained(X, Y).predict(X) + shift
    found = trained(X, scale * Y + shift).predict(X)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.ptp(expected))


@pytest.mark.parametrize("scale", [1e-30, 1e25])
def test_units_far_from_one_are_no_constants(scale):
    x = np.float32(scale) * X.astype("float32")
    units, _ = units_of(x, Y, RNN(3, 4, 1))
    expected, _ = units_of(X.astype("float32"), Y, RNN(3, 4, 1))
    np.testing.assert_allclose(units.input_scale, scale * expected.input_scale, rtol=1e-3)


def test_what_single_precision_cannot_tell_from_a_constant_is_said():
    X32 = X.copy()
    X32[:, :, 1] = 1000 + 1e-4 * np.sign(X[:, :, 1])
    message = r"X: channel 1 varies by 0.00024 around 1000.00012, which float32 cannot tell from"
    with pytest.warns(UserWarning, match=message):
        units, _ = units_of(X32, Y, RNN(3, 4, 1))
    assert units.input_scale[1] == 1


def test_the_offset_of_one_output_does_not_hide_another():
    y = np.hstack([1e-3 * RNG.standard_normal((120, 1)), np.full((120, 1), 1e6)])
    units, _ = units_of(X, y, RNN(3, 4, 2))
    assert units.target_scale == pytest.approx(np.sqrt(y[:, 0].var() / 2), rel=1e-3)


def test_every_channel_may_have_units_of_its_own():
    expected = trained(X, Y).predict(X)
    scale, shift = np.array([1e-3, 1.0, 1e5]), np.array([300.0, 0.0, -1e5])
    found = trained(scale * X + shift, Y).predict(scale * X + shift)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("scale", "shift"), [(16.0, 0.0), (1 / 255, 0.0), (1e4, 0.0), (1.0, 100.0)]
)
def test_pixels_of_any_scale_train_alike_in_single_precision(scale, shift):
    task = datasets.digits()
    accuracies = []
    for factor, offset in ((1.0, 0.0), (scale, shift)):
        net = RNN(8, 32, 10)
        held_out = factor * task.held_out[0] + offset, task.held_out[1]
        result = fit(net, factor * task.X + offset, task.y, epochs=8, validation=held_out)
        accuracies.append(result.history[-1]["validation_accuracy"])
    assert abs(accuracies[0] - accuracies[1]) < 0.01


@pytest.mark.parametrize("solver", ["block", "admmirnn"])
def test_other_solvers_see_the_same_units(solver):
    results = []
    for scale, shift in ((1.0, 0.0), (1e3, -50.0)):
        net = RNN(3, 4, 1, dtype="float64")
        fit(net, scale * X + shift, scale * Y, solver=solver, epochs=5, batch_size=None)
        results.append(net.predict(scale * X + shift) / scale)
    np.testing.assert_allclose(results[1], results[0], atol=1e-7)


def test_reported_loss_is_that_of_raw_targets():
    net = RNN(3, 8, 1, dtype="float64")
    result = fit(net, X, 100 * Y + 7, epochs=3, validation=(X, 100 * Y + 7))
    error = np.mean((net.predict(X) - (100 * Y + 7)) ** 2)
    assert result.history[-1]["validation_loss"] == pytest.approx(error)
    assert 0.2 < result.history[-1]["train_loss"] / error < 5


@pytest.mark.parametrize("readout", ["last", "all"])
def test_outputs_are_weighed_as_before(readout):
    """One unit for all targets: an output with small values counts little, as in the loss."""
    y = RNG.standard_normal((120, 6, 2) if readout == "all" else (120, 2)) * [10.0, 0.1] + [0, 5]
    units, _ = units_of(X, y, readout=readout)
    flat = y.reshape(-1, 2)
    np.testing.assert_allclose(units.target_shift, flat.mean(0))
    assert units.target_scale == pytest.approx(np.sqrt(flat.var(0).mean()))


def test_a_channel_rests_where_many_of_its_values_are_equal():
    quiet = np.zeros((200, 30, 7))
    quiet[::2, 3, 0] = 1  # marks on zeros
    quiet[:, :, 1] = 7 - quiet[:, :, 0]  # the same, in other units
    quiet[:, :, 2] = RNG.standard_normal((200, 30))  # rests nowhere
    quiet[:, :, 3] = 0.1  # constant
    quiet[:, :, 4] = quiet[:, :, 2]
    quiet[5, 5, 4] = 1e6  # a glitch
    quiet[:, :, 5] = RNG.integers(100, 200, (200, 30)) / 100  # passes no background
    quiet[:, :, 6] = RNG.random((200, 30)) - 0.9  # passes that of the marks
    units, _ = units_of(quiet, np.zeros((200, 1)))
    np.testing.assert_allclose(units.input_shift[:2], [0, 7])
    np.testing.assert_allclose(units.input_shift[[2, 6]], 0)
    assert 1.4 < units.input_shift[5] < 1.6
    np.testing.assert_allclose(units.input_scale[[0, 1, 3]], 1)
    assert 3 < units.input_scale[2] <= 4.2
    root = np.sqrt(np.square(quiet[:, :, 4]).mean())
    assert units.input_scale[4] == pytest.approx(4 * root)  # not 1e6


def test_a_network_that_was_trained_keeps_its_function(tmp_path):
    """Weights of a new network are for standardised data, all others for data as they are."""
    net = trained(X, Y)
    assert not net.is_new
    before = net.predict(X)
    fit(net, X * [1, 5, 9] + 2, Y, epochs=1, eta=1e-12, guard=0.0)
    np.testing.assert_allclose(net.predict(X), before, atol=1e-8)
    RNN(3, 8, 1).save(tmp_path / "new.safetensors")
    assert not RNN.load(tmp_path / "new.safetensors").is_new
    set_by_hand = RNN(3, 8, 1, dtype="float64")
    assert set_by_hand.is_new
    set_by_hand.theta[0, 0] += 1
    assert not set_by_hand.is_new


def test_units_enter_and_leave():
    units, net = units_of(X * [1, 20, 300] + [4, 5, 6], 9 * Y + 1)
    theta, phi = net.theta.copy(), net.phi.copy()
    units.enter(net)
    assert np.abs(net.theta - theta).max() > 1
    units.leave([w.copy() for w in net.weights], net)
    np.testing.assert_allclose(net.theta, theta, atol=1e-12)
    np.testing.assert_allclose(net.phi, phi, atol=1e-12)


def test_raw_data_on_request():
    raw, standard = trained(X, Y, scale=None), trained(X, Y)
    assert np.abs(raw.theta - standard.theta).max() > 1e-3
    with pytest.raises(ValueError, match="scale is 'minmax': expected one of 'standard', None"):
        fit(RNN(3, 4, 1), X, Y, scale="minmax")
