"""Model files: flipped bits, cuts, headers and tensors that say other things."""

import json
from functools import partial

import numpy as np
from safetensors.numpy import save

from fastadmm import RNN
from fastadmm.files import FileError
from fastadmm.tensors import _checksum

from .watch import Case, Fault, refused

VALUES = (
    None, True, 0, 1, -1, 3, 30000, 10**8, 10**12, 2**63, 10**400, 1.5, 1e300, "", "5", "tanh",
    "relu", "float32", "float64", [], [1], {}, {"a": 1}, "x" * 10**5,
)  # fmt: skip
KINDS = "f2", "f4", "f8", "i1", "i4", "i8", "u1", "?", "c8"


def cases(rng, folder, count):
    """As many as asked for: a third flipped bits, the rest cuts, headers and tensors."""
    path = folder / "model.safetensors"
    net = RNN(3, 5, 2)
    net.task = {"name": "digits", "loss": "softmax_cross_entropy", "readout": "last"}
    net.save(path)
    good = path.read_bytes()
    for number in range(count):
        kind = number % 6
        if kind < 2:
            content, what = flipped(rng, good)
        elif kind == 2:
            content, what = cut(rng, good)
        elif kind == 3:
            content, what = with_header(rng, net)
        elif kind == 4:
            content, what = with_tensors(rng, net)
        else:
            content, what = with_text(rng, net)
        yield Case(what, partial(load, path, content, net, kind < 3), len(content))


def load(path, content, net, is_damage):
    """Refused, or a network that predicts finite numbers; damage is always refused."""
    path.write_bytes(content)
    try:
        found = RNN.load(path)
    except FileError as error:
        return refused(error, path)
    if is_damage:
        raise Fault("silent: a damaged file was taken")
    weights = found.state_dict().values()
    if not all(np.isfinite(each).all() for each in weights):
        raise Fault("silent: weights that are not finite were taken")
    if found.parameters < 10**6:
        outputs = found.predict(np.zeros((2, 3, found.inputs)), threads=1)
        if not np.isfinite(outputs).all():
            raise Fault("silent: predicts what is not finite")
    return None


def flipped(rng, good):
    place = int(rng.integers(8 * len(good)))
    content = bytearray(good)
    content[place // 8] ^= 1 << place % 8
    return bytes(content), f"bit {place}"


def cut(rng, good):
    stop = int(rng.integers(len(good)))
    if rng.random() < 0.5:
        return good[:stop], f"cut at {stop}"
    more = bytes(rng.integers(0, 256, int(rng.integers(1, 99)), np.uint8))
    return good[:stop] + more + good[stop:], f"{len(more)} bytes put in at {stop}"


def _parts(net):
    header = {
        "format": 2, "version": "0", "network": net.facts | {"gain": net.gain},
        "task": dict(net.task),
    }  # fmt: skip
    return header, net.state_dict()


def _written(header, weights, key="fastadmm", text=None):
    if text is None:
        header["checksum"] = _checksum(json.loads(json.dumps(header)), weights)
        text = json.dumps(header)
    return save(weights, {key: text})


def with_header(rng, net):
    """A header with one other entry, and the checksum that it wants."""
    header, weights = _parts(net)
    where = [header, header["network"], header["task"]][rng.integers(3)]
    name = str(rng.choice([*where, "classes", "alphabet", "steps", "cell", "layers", "more"]))
    value = VALUES[rng.integers(len(VALUES))]
    if rng.random() < 0.2:
        where.pop(name, None)
        return _written(header, weights), f"without {name}"
    where[name] = value
    return _written(header, weights), f"{name} = {str(value)[:40]}"


def with_tensors(rng, net):
    """One other tensor: another kind, shape, value or name."""
    header, weights = _parts(net)
    name = str(rng.choice(list(weights)))
    array = weights[name]
    kind = int(rng.integers(4))
    if kind == 0:
        weights[name] = array.astype(str(rng.choice(KINDS)))
    elif kind == 1:
        shape = tuple(int(n) for n in rng.integers(0, 8, int(rng.integers(0, 4))))
        weights[name] = np.zeros(shape, np.float32)
    elif kind == 2:
        weights[name] = array.astype(str(rng.choice(["f4", "f8"])))
        with np.errstate(over="ignore"):
            weights[name].flat[0] = rng.choice([np.nan, np.inf, -np.inf, 1e39, 1e-46])
    else:
        weights[name + "x"] = weights.pop(name)
    told = weights.get(name, array)
    return _written(header, weights), f"{name}: {told.dtype} {told.shape} {told.flat[:1]}"


def with_text(rng, net):
    """A header that is no such JSON."""
    header, weights = _parts(net)
    whole = json.dumps(header)
    texts = (
        "", "null", "[]", "3", "NaN", '"' * 99, "[" * 10**5, "{" * 999, whole[:-1], whole + "}",
        whole.replace("2", "9"), whole.replace('"task"', '"tusk"'),
        whole.replace("tanh", "\\u0000"), json.dumps([header]), "\x00",
        whole.replace("3", "1" * 5000),
    )  # fmt: skip
    place = int(rng.integers(len(texts)))
    key = "fastadmm" if rng.random() < 0.9 else "other"
    return _written(header, weights, key, texts[place]), f"text {place} as {key}"
