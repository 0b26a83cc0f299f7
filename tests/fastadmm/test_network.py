"""RNN: initial weights, forward passes, files."""

import json
import os
import pickle
import re
import tracemalloc

import numpy as np
import pytest
from reference import condensed as reference

from fastadmm import RNN, fit, tensors
from fastadmm.files import FileError


@pytest.mark.parametrize("activation", list(reference.ACTIVATIONS))
@pytest.mark.parametrize("tokens", [False, True])
def test_forward_passes_equal_the_twin(activation, tokens):
    """More steps and cases than one internal window holds would be slow here: see below."""
    rng = np.random.default_rng(0)
    net = RNN(3, 5, 2, activation, dtype="float64")
    net.bias[:] = rng.standard_normal(5)
    X = rng.integers(0, 3, (4, 6)) if tokens else rng.standard_normal((4, 6, 3))
    dense = reference.one_hot(X, 3) if tokens else X
    _, states = reference.simulate(net.theta, activation, dense)
    np.testing.assert_allclose(net.simulate(X), states, rtol=1e-13, atol=1e-15)
    net.offset[:] = rng.standard_normal(2)
    outputs = states @ net.phi[:, 1:].T + net.phi[:, 0]
    np.testing.assert_allclose(net.predict(X, readout="all"), outputs, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(net.predict(X), outputs[:, -1], rtol=1e-12, atol=1e-14)


def test_windows_inside_predict(monkeypatch):
    """Cut into windows of few steps and cases, all passes give what one window gives."""
    from fastadmm import network

    rng = np.random.default_rng(0)
    net, X = RNN(2, 4, 3, dtype="float64"), rng.standard_normal((7, 11, 2))
    whole = net.simulate(X), net.predict(X), net.predict(X, readout="all")
    monkeypatch.setattr(network, "_BATCH", 3)
    monkeypatch.setattr(network, "_STEPS", 4)
    cut = net.simulate(X), net.predict(X), net.predict(X, readout="all")
    for a, b in zip(whole, cut, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)
    state = whole[0][:, 4]
    np.testing.assert_allclose(net.simulate(X[:, 5:], initial=state), whole[0][:, 5:], rtol=1e-12)


def test_the_readout_is_the_one_that_was_trained(tmp_path):
    rng = np.random.default_rng(0)
    net, X = RNN(2, 4, 3), rng.standard_normal((7, 5, 2))
    labels = rng.integers(0, 3, (7, 5))
    assert net.predict(X).shape == (7, 3)  # not trained
    fit(net, X, labels, readout="all", epochs=1)
    net.save(tmp_path / "net.safetensors")
    for own in (net, RNN.load(tmp_path / "net.safetensors")):
        np.testing.assert_array_equal(own.predict(X), own.predict(X, readout="all"))
        assert own.score(X, labels) == own.score(X, labels, readout="all")
        np.testing.assert_allclose(own.predict(X, "last"), own.predict(X)[:, -1], rtol=1e-5)
        assert own.score(X, labels[:, -1], "last") != own.score(X, labels)
    fit(net, X, labels[:, -1], epochs=1)
    assert net.predict(X).shape == (7, 3)
    with pytest.raises(ValueError, match="readout is 'first': expected one of 'last', 'all'"):
        net.predict(X, readout="first")


def test_initial_weights():
    net = RNN(30, 200, 10, gain=2.5, dtype="float64")
    U, b, W = net.theta[:, :30], net.theta[:, 30], net.theta[:, 31:]
    np.testing.assert_allclose(W @ W.T, 2.5**2 * np.eye(200), atol=1e-10)
    assert U.std() == pytest.approx(1 / 30**0.5, rel=0.05)
    assert net.phi[:, 1:].std() == pytest.approx(1 / 200**0.5, rel=0.1)
    assert not b.any()
    assert not net.phi[:, 0].any()
    assert net.parameters == 200 * 231 + 10 * 201
    other = RNN(30, 200, 10, gain=2.5, dtype="float64", seed=1)
    assert not np.array_equal(net.theta, other.theta)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 2, 2), "inputs is 0: expected a positive integer"),
        ((2, 1.5, 2), "hidden is 1.5: expected a positive integer"),
        ((2, 2, 2, "gelu"), "activation is 'gelu': expected one of 'identity', 'tanh'"),
        ((2, 2, 2, "tanh", np.nan), "gain is nan: expected a finite number"),
        ((2, 2, 2, "tanh", 1, 0, "float16"), "dtype is 'float16': expected one of 'float32'"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        RNN(*arguments)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_file_round_trip(tmp_path, dtype):
    net = RNN(3, 5, 2, "relu", 0.7, 4, dtype)
    net.bias[:] = 1
    net.task = {"name": "mine", "alphabet": "äb"}
    net.save(tmp_path / "net.safetensors")
    read = RNN.load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(read.theta, net.theta)
    np.testing.assert_array_equal(read.phi, net.phi)
    assert (repr(read), read.gain, read.task) == (repr(net), 0.7, net.task)
    assert read.theta.dtype == dtype


def test_file_has_torch_names(tmp_path):
    from safetensors.numpy import load_file

    net = RNN(3, 5, 2)
    net.save(tmp_path / "net.safetensors")
    weights = load_file(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(weights["rnn.weight_hh_l0"], net.theta[:, 4:])
    assert {name: w.shape for name, w in weights.items()} == {
        "rnn.weight_ih_l0": (5, 3),
        "rnn.weight_hh_l0": (5, 5),
        "rnn.bias_ih_l0": (5,),
        "rnn.bias_hh_l0": (5,),
        "readout.weight": (2, 5),
        "readout.bias": (2,),
    }


@pytest.mark.peers
def test_torch_computes_the_same():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    net, X = RNN(3, 5, 2, dtype="float64"), np.random.default_rng(0).standard_normal((4, 9, 3))
    module = torch.nn.ModuleDict(
        {"rnn": torch.nn.RNN(3, 5, batch_first=True), "readout": torch.nn.Linear(5, 2)}
    ).double()
    weights = {name: torch.from_numpy(w) for name, w in net.state_dict().items()}
    module.load_state_dict(weights, strict=True)
    with torch.no_grad():
        outputs = module["readout"](module["rnn"](torch.from_numpy(X))[0]).numpy()
    np.testing.assert_allclose(net.predict(X, readout="all"), outputs, rtol=1e-12, atol=1e-12)


def test_two_biases_are_summed():
    net = RNN(3, 5, 2)
    weights = net.state_dict()
    weights["rnn.bias_hh_l0"] += 2
    net.load_state_dict(weights)
    assert (net.bias == 2).all()
    del weights["readout.bias"]
    with pytest.raises(ValueError, match=r"weights are \['readout.weight', 'rnn.bias_hh_l0'"):
        net.load_state_dict(weights)
    weights["readout.bias"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"readout.bias has shape \(3,\): expected \(2,\)"):
        net.load_state_dict(weights)


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "net.safetensors"
    with pytest.raises(FileNotFoundError, match="no model at"):
        RNN.load(path)

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="is not a safetensors file"):
        RNN.load(path)
    assert not (tmp_path / "executed").exists()
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(1)}, path)
    with pytest.raises(ValueError, match="is a safetensors file, but no model"):
        RNN.load(path)
    save_file({"a": np.zeros(1)}, path, {"fastadmm": json.dumps({"format": 9, "version": "7.0"})})
    with pytest.raises(ValueError, match=r"has format 9, written by fastadmm 7\.0"):
        RNN.load(path)
    RNN(3, 5, 2).save(path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match="is not a safetensors file"):
        RNN.load(path)


def rewritten(path, change, key="fastadmm"):
    """A model file with a header and weights that `change` has had, and a right checksum."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()[key])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(header, weights)
    del header["format"], header["version"], header["checksum"]
    tensors.write(path, key, 2, header, weights)


def _change(where, **values):
    return lambda header, weights: header[where].update(values)


def _weight(name, value, dtype="f4"):
    def change(header, weights):
        weights[name] = weights[name].astype(dtype)
        weights[name].flat[0] = value

    return change


HOSTILE = {
    "inputs": (_change("network", inputs=10**12), "but network in its header is {'inputs': 10000"),
    "hidden": (_change("network", hidden=30000), "rnn.weight_ih_l0 has shape (5, 3), but"),
    "layers": (_change("network", layers=10**6), "layers in its header is 1000000: expected as it"),
    "more layers": (_change("network", layers=2), "rnn.weight_ih_l1 has shape (), but network"),
    "outputs": (_change("network", outputs=10**9), "readout.weight has shape (2, 5), but network"),
    "kind": (_change("network", hidden="5"), "network in its header is {'inputs': 3, 'hid"),
    "unknown": (_change("network", gate=1), "network in its header is {'inputs': 3, 'hid"),
    "no task": (lambda header, weights: header.pop("task"), "'task' is missing"),
    "task": (lambda header, weights: header.update(task=3), "task in its header is 3"),
    "read-out": (_change("task", readout="every"), "readout of its task is every: expected last"),
    "classes": (_change("task", classes=[1]), "classes of its task is [1]: expected one for each"),
    "alphabet": (_change("task", alphabet="abc"), "alphabet of its task is abc: expected one for"),
    "NaN": (_weight("readout.bias", np.nan), "readout.bias[0] is nan: expected finite float32"),
    "overflow": (_weight("readout.bias", 1e300, "f8"), "readout.bias[0] is 1e+300: expected"),
    "integers": (_weight("readout.bias", 1, "i4"), "weights are F32, I32: expected F32 or F64"),
    "a name": (lambda header, weights: weights.pop("readout.bias"), "weights are ["),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused_before_they_are_believed(tmp_path, case):
    change, message = HOSTILE[case]
    path = tmp_path / "net.safetensors"
    RNN(3, 5, 2).save(path)
    rewritten(path, change)
    tracemalloc.start()
    with pytest.raises(FileError, match=re.escape(message)) as told:
        RNN.load(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(told.value).startswith(str(path))
    assert "\n" not in str(told.value)
    assert peak < 4 << 20


def test_a_file_of_the_first_format_is_read(tmp_path):
    """It has no checksum, and knows of no cells."""
    from safetensors.numpy import save_file

    net, path = RNN(3, 5, 2), tmp_path / "net.safetensors"
    facts = {"inputs": 3, "hidden": 5, "outputs": 2, "activation": "tanh", "dtype": "float32"}
    header = {"format": 1, "version": "0.1.0", "network": facts | {"gain": 1.0}, "task": {}}
    save_file(net.state_dict(), path, {"fastadmm": json.dumps(header)})
    np.testing.assert_array_equal(RNN.load(path).theta, net.theta)


def test_every_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "net.safetensors"
    RNN(2, 2, 1).save(path)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.choice(8 * len(content), 300, replace=False):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(FileError, match=re.escape(str(path))):
            RNN.load(path)


def test_no_file_is_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("pipe", "is no regular file"), (".", "is a folder")):
        with pytest.raises(FileError, match=message):
            RNN.load(tmp_path / name)
    with pytest.raises(FileError, match="File name too long"):
        RNN.load(tmp_path / ("n" * 300))
    path = tmp_path / "net.safetensors"
    RNN(2, 2, 1).save(path)
    from safetensors.numpy import load_file, save_file

    save_file(load_file(path), path, {"fastadmm": "[" * 10**5})
    with pytest.raises(FileError, match="is not a model of fastadmm: maximum recursion"):
        RNN.load(path)
