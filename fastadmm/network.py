"""The network: weights of its cell and its read-out, and what can be done with them."""

import functools
import inspect
import math
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastadmm import sequences, tensors, validation
from fastadmm.cells import CELLS, READ_OUT, Cell, Columns, columns, start
from fastadmm.files import StrPath, shortened

ACTIVATIONS = ("identity", "tanh", "relu", "sigmoid")
FORMAT, KEY = 2, "fastadmm"
_BATCH, _STEPS = 512, 256  # sequences and steps simulated at a time: bounds the memory of predict


class Layer(NamedTuple):
    """A cell at its place in a network."""

    suffix: str
    """Of torch's names of its weights."""
    inputs: int
    """D, what it reads."""


class RNN:
    """Recurrent network: a cell with states s_t, s_0 = 0, and outputs ``o_t = V s_t + c``.

    Of the Elman cell ``s_t = f(U x_t + W s_{t-1} + b)``; the gated cells, ``"gru"`` and ``"lstm"``,
    are torch's (`fastadmm.kernels.recurrent.cells` has their formulas).

    Parameters
    ----------
    inputs : int
        Channels D of the input, or the size of the alphabet where inputs are token ids.
    hidden, outputs : int
        Units H and outputs C.
    activation : {"tanh", "relu", "sigmoid", "identity"}
        Of the Elman cell; gated cells have tanh.
    gain : float
        Scale of the initial recurrent weights, ``gain`` times a random orthogonal matrix; a gated
        cell has one for every gate.
    seed : int or numpy.random.Generator
    dtype : {"float32", "float64"}
    cell : {"elman", "gru", "lstm"}

    Attributes
    ----------
    weights : list of ndarray
        Of all affine maps (units, n), the read-out last; ``names`` has their names. Maps act on
        [x; 1; s], or on the neighbours in it that they read, see `fastadmm.cells.CELLS`.
    phi : ndarray, (C, 1 + H)
        The last of them: read-out weights [c V], which act on [1; s].
    theta : ndarray, (H, D + 1 + H)
        Of the Elman cell: recurrent weights [U b W], which act on [x; 1; s].
    columns : fastadmm.cells.Columns
        Which columns of ``theta`` are U, b and W.
    task : dict
        What the network was trained for, as JSON values; kept in the model file.

    Notes
    -----
    U and V start normal with variance 1/D and 1/H, b and c at zero, but for the forget gates of an
    LSTM, whose bias is one: a start for inputs and targets of mean 0 and size 1, to which
    `fastadmm.fit` brings data of any units.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        activation: str = "tanh",
        gain: float = 1.0,
        seed: int | np.random.Generator = 0,
        dtype: str = "float32",
        cell: str = "elman",
    ):
        self._lay_out(inputs, hidden, outputs, activation, gain, dtype, cell)
        rng, state = np.random.default_rng(seed), {}
        for layer in self.layers:
            recurrent, drive, bias = start(self.kind, layer.inputs, hidden, self.gain, rng)
            state[f"rnn.weight_ih{layer.suffix}"] = drive
            state[f"rnn.weight_hh{layer.suffix}"] = recurrent
            state[f"rnn.bias_ih{layer.suffix}"] = bias
            state[f"rnn.bias_hh{layer.suffix}"] = np.zeros_like(bias)
        state["readout.weight"] = rng.standard_normal((outputs, hidden)) / hidden**0.5
        state["readout.bias"] = np.zeros(outputs)
        self.load_state_dict(state)
        self._start = self._digest()

    def _lay_out(self, inputs, hidden, outputs, activation, gain, dtype, cell="elman"):
        """Sizes and kinds, checked; weights of zero."""
        self.inputs = validation.positive_integer(inputs, "inputs")
        self.hidden = validation.positive_integer(hidden, "hidden")
        self.outputs = validation.positive_integer(outputs, "outputs")
        self.cell = validation.one_of(cell, CELLS, "cell")
        self.activation = validation.one_of(activation, ACTIVATIONS, "activation")
        if activation not in (self.kind.activations or ACTIVATIONS):
            raise ValueError(
                f"activation is {activation!r}: {'an' if cell == 'lstm' else 'a'} {cell} has 'tanh'"
            )
        self.gain = validation.nonnegative(gain, "gain")
        self.dtype = np.dtype(validation.one_of(str(dtype), ("float32", "float64"), "dtype"))
        self.task: dict[str, Any] = {}
        self.layers = [Layer("_l0", inputs)]
        self.weights = [
            np.zeros((each.blocks * hidden, each.width(layer.inputs, hidden)), self.dtype)
            for layer in self.layers
            for each in self.kind.maps
        ]
        self.weights.append(np.zeros((outputs, 1 + hidden), self.dtype))

    def __repr__(self) -> str:
        return (
            f"RNN(inputs={self.inputs}, hidden={self.hidden}, outputs={self.outputs}, "
            f"activation={self.activation!r}, dtype={self.dtype.name!r}, cell={self.cell!r})"
        )

    @property
    def facts(self) -> dict[str, Any]:
        """Sizes and kinds, as JSON values."""
        return {
            "inputs": self.inputs, "hidden": self.hidden, "outputs": self.outputs,
            "activation": self.activation, "dtype": self.dtype.name, "cell": self.cell,
        }  # fmt: skip

    @property
    def kind(self) -> Cell:
        """The maps of the cell, and what else is known of it."""
        return CELLS[self.cell]

    @property
    def compiled_cell(self) -> Any:
        """The cell as compiled kernels know it."""
        return self.kind.kind()(*self.kind.constants(self))

    @property
    def carried(self) -> int:
        """Numbers that a time point hands on to the next."""
        return self.hidden * self.kind.kind().CARRIED

    @property
    def names(self) -> list[str]:
        """Of ``weights``."""
        maps = [
            each.name + layer.suffix.removeprefix("_l0")
            for layer in self.layers
            for each in self.kind.maps
        ]
        return [*maps, "phi"]

    @property
    def theta(self) -> NDArray[np.floating]:
        """Weights of the one map of a cell that has no other."""
        return self.weights[0]

    @theta.setter
    def theta(self, weights: NDArray[np.floating]) -> None:
        self.weights[0] = weights

    @property
    def phi(self) -> NDArray[np.floating]:
        """[c V], (C, 1 + H)."""
        return self.weights[-1]

    @phi.setter
    def phi(self, weights: NDArray[np.floating]) -> None:
        self.weights[-1] = weights

    @property
    def columns(self) -> Columns:
        """Which columns of ``theta`` are U, b and W."""
        return columns(self.inputs)

    @property
    def is_new(self) -> bool:
        """Whether it has the weights that it was made with: nothing trained, loaded or set."""
        return self._start == self._digest()

    def _digest(self):
        return functools.reduce(lambda crc, w: zlib.crc32(w.tobytes(), crc), self.weights, 0)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(each.size for each in self.weights)

    @property
    def drive(self) -> NDArray[np.floating]:
        """U, (H, D): a view of ``theta``."""
        return self.theta[:, self.columns.drive]

    @property
    def bias(self) -> NDArray[np.floating]:
        """b, (H,): a view of ``theta``."""
        return self.theta[:, self.columns.bias]

    @property
    def recurrent(self) -> NDArray[np.floating]:
        """W, (H, H): a view of ``theta``."""
        return self.theta[:, self.columns.recurrent]

    @property
    def read(self) -> NDArray[np.floating]:
        """V, (C, H): a view of ``phi``."""
        return self.phi[:, READ_OUT.recurrent]

    @property
    def offset(self) -> NDArray[np.floating]:
        """c, (C,): a view of ``phi``."""
        return self.phi[:, READ_OUT.bias]

    @property
    def activation_code(self) -> int:
        """The activation as compiled kernels know it."""
        from fastadmm.kernels.operators.activations import ACTIVATIONS as codes

        return codes[self.activation]

    def simulate(
        self,
        X: ArrayLike,
        threads: int | None = None,
        initial: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> NDArray[np.floating] | Any:  # a list of them for a list
        """Hidden states of all sequences.

        Parameters
        ----------
        X, lengths
            As of `fastadmm.fit`.
        threads : int, optional
        initial : ndarray, (n_cases, H), optional
            State before the first time point, zero by default; as `carry` returns it.

        Returns
        -------
        ndarray, (n_cases, n_timepoints, H), or a list of (n_timepoints_i, H) for a list
            Zero beyond the lengths that were given.
        """
        states = lambda window, t: window.states[t]  # noqa: E731
        return self._forward(X, lengths, threads, states, self.hidden, "all", initial)

    def carry(
        self,
        X: ArrayLike,
        threads: int | None = None,
        initial: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> NDArray[np.floating] | Any:
        """What the last time point of all sequences hands on to a next one.

        Parameters
        ----------
        X, threads, initial, lengths
            As of `simulate`.

        Returns
        -------
        ndarray, (n_cases, H), of an LSTM (n_cases, 2 H)
            Hidden states, and the memories of an LSTM beside them.
        """
        handed_on = lambda window, t: window.handed_on(t)  # noqa: E731
        return self._forward(X, lengths, threads, handed_on, self.carried, "last", initial)

    def predict(
        self,
        X: ArrayLike,
        readout: str | None = None,
        threads: int | None = None,
        lengths: ArrayLike | None = None,
    ) -> NDArray[np.floating] | Any:  # a list of them for a list
        """Outputs ``V s_t + c``: logits of a classifier, values of a regression.

        Parameters
        ----------
        X, lengths
            As of `fastadmm.fit`.
        readout : {"last", "all"}, optional
            Outputs after the last time point of every sequence only, or after every one. Default:
            what the network was trained for, ``task["readout"]``; "last" where it was not trained.
        threads : int, optional

        Returns
        -------
        ndarray, (n_cases, C), or (n_cases, n_timepoints, C), or a list of (n_timepoints_i, C)
            The last one of all outputs for a list. Zero beyond the lengths that were given.
        """
        readout = self._readout(readout)
        outputs = lambda window, t: self.read_out(window.states[t])  # noqa: E731
        return self._forward(X, lengths, threads, outputs, self.outputs, readout)

    def read_out(self, states: NDArray[np.floating]) -> NDArray[np.floating]:
        """Outputs ``V s + c`` of states (..., H)."""
        return states @ self.read.T + self.offset

    def score(
        self,
        X: ArrayLike,
        y: ArrayLike,
        readout: str | None = None,
        loss: str | None = None,
        threads: int | None = None,
        lengths: ArrayLike | None = None,
    ) -> dict[str, float]:
        """How well the outputs fit ``y``.

        Parameters
        ----------
        X, y, loss, lengths
            As of `fastadmm.fit`.
        readout : {"last", "all"}, optional
            As of `predict`.
        threads : int, optional

        Returns
        -------
        dict of float
            Of labels ``nats``, the mean of ``-log softmax(o)[y]``, and ``accuracy``. Of values
            ``rmse``, the root mean square error over all components, and ``r2``, one minus the
            squared error over that of the mean of ``y``, component by component; NaN where ``y`` is
            constant.

        Raises
        ------
        ValueError, TypeError
            Where X or y do not belong to the network.
        """
        from fastadmm.problem import evaluate, make_problem
        from fastadmm.threads import check_threads, compute_threads

        chosen = self._readout(readout)
        X, y, lengths = sequences.pair(X, y, lengths, chosen)
        problem, data = make_problem(self, X, y, loss, chosen, lengths=lengths)
        threads = check_threads(threads)
        with compute_threads(threads):
            found, accuracy = evaluate(self, problem, data, threads)
        if accuracy is not None:
            return {"nats": found, "accuracy": accuracy}
        rows: Any = data.y
        if chosen == "all" and lengths is not None:
            rows = np.concatenate(sequences.parts(rows, lengths))
        rows = rows.reshape(-1, self.outputs).astype(np.float64)
        spread = rows.var(axis=0).mean()
        return {"rmse": found**0.5, "r2": float(1 - found / spread) if spread else math.nan}

    def _readout(self, asked):
        """The read-out asked for, or where that is None, the one that the network is for."""
        if asked is None:
            return self.task.get("readout", "last")
        return validation.one_of(asked, ("last", "all"), "readout")

    def _forward(self, X, lengths, threads, function, width, readout, initial=None):
        """``function(window, steps)`` at all time points or the last one, gathered batch-first."""
        from fastadmm.batches import Data
        from fastadmm.threads import check_threads, compute_threads
        from fastadmm.unfolded import Unfolded

        is_list = lengths is None
        X, lengths = sequences.inputs(X, lengths)
        X = validation.inputs(self, X)
        data, threads = Data(X, lengths=lengths), check_threads(threads)
        n_cases, n_timepoints = X.shape[:2]
        if initial is not None and np.shape(initial) != (n_cases, self.carried):
            raise ValueError(
                f"initial has shape {np.shape(initial)}: expected {(n_cases, self.carried)}"
            )
        steps, batch = min(_STEPS, n_timepoints), min(_BATCH, n_cases)
        unfolded = Unfolded(self, X.ndim == 2, steps, batch, threads)
        shape = (n_cases, n_timepoints, width) if readout == "all" else (n_cases, width)
        result = np.empty(shape, self.dtype)
        with compute_threads(threads):
            for own, window in unfolded.windows(data, self.weights, steps, batch, initial):
                stop = own.first + own.steps
                if readout == "all":
                    found = function(window, slice(1, None)).swapaxes(0, 1)
                    result[own.cases, own.first : stop] = found
                elif stop == n_timepoints:
                    result[own.cases] = function(window, own.steps)
        if lengths is None or readout == "last":
            return result
        return (sequences.parts if is_list else sequences.at_the_start)(result, lengths)

    def _maps(self):
        """Weights of every map with its place: (weights, map, layer)."""
        places = [(each, layer) for layer in self.layers for each in self.kind.maps]
        return [(w, *place) for w, place in zip(self.weights, places, strict=False)]

    def state_dict(self) -> dict[str, NDArray[np.floating]]:
        """Weights under torch's names.

        ``rnn`` is an ``nn.RNN``, ``nn.GRU`` or ``nn.LSTM``, ``readout`` an ``nn.Linear``. Where one
        bias acts and torch has two, the second is zero.
        """
        state, rows = {}, self.hidden * max(each.gates.stop for each in self.kind.maps)
        for layer in self.layers:
            for name, width in (("ih", layer.inputs), ("hh", self.hidden)):
                state[f"rnn.weight_{name}{layer.suffix}"] = np.zeros((rows, width), self.dtype)
            for name in ("ih", "hh"):
                state[f"rnn.bias_{name}{layer.suffix}"] = np.zeros(rows, self.dtype)
        for weights, each, layer in self._maps():
            own, of = each.rows(self.hidden), each.columns(layer.inputs)
            if each.driven:
                state[f"rnn.weight_ih{layer.suffix}"][own] = weights[:, of.drive]
            if each.recurrent:
                state[f"rnn.weight_hh{layer.suffix}"][own] = weights[:, of.recurrent]
            bias = "ih" if each.driven else "hh"
            state[f"rnn.bias_{bias}{layer.suffix}"][own] = weights[:, of.bias]
        return state | {"readout.weight": self.read.copy(), "readout.bias": self.offset.copy()}

    def load_state_dict(self, weights: Mapping[str, ArrayLike]) -> None:
        """Take weights named and shaped as `state_dict` gives them; two biases are summed.

        Raises
        ------
        ValueError, TypeError
            Where they are not, or are no finite numbers of the network's dtype.
        """
        expected = self.state_dict()
        if set(weights) != set(expected):
            raise ValueError(f"weights are {sorted(weights)}: expected {sorted(expected)}")
        for name, own in expected.items():
            if np.shape(weights[name]) != own.shape:
                raise ValueError(
                    f"{name} has shape {np.shape(weights[name])}: expected {own.shape}"
                )
        arrays = {
            name: validation.finite(validation.asarray(each, name), self.dtype, name)
            for name, each in weights.items()
        }
        for matrix, each, layer in self._maps():
            own, of = each.rows(self.hidden), each.columns(layer.inputs)
            matrix[:, of.bias] = 0
            parts = (each.driven, of.drive, "ih"), (each.recurrent, of.recurrent, "hh")
            for reads, own_columns, name in parts:
                if reads:
                    matrix[:, own_columns] = arrays[f"rnn.weight_{name}{layer.suffix}"][own]
                    matrix[:, of.bias] += arrays[f"rnn.bias_{name}{layer.suffix}"][own]
        self.read[:], self.offset[:] = arrays["readout.weight"], arrays["readout.bias"]

    def save(self, path: StrPath) -> None:
        """Write the model as safetensors: `state_dict`, and a JSON header. Atomic."""
        header = {"network": self.facts | {"gain": self.gain}, "task": self.task}
        tensors.write(path, KEY, FORMAT, header, self.state_dict())

    @classmethod
    def load(cls, path: StrPath) -> Self:
        """Read a model written by `save`.

        Raises
        ------
        FileNotFoundError, fastadmm.files.FileError
            Where the file is not such a model; nothing in it is ever executed, and no more memory
            is taken than its weights need.
        """
        with tensors.opened(path, "model", KEY, FORMAT) as file:
            facts, task = file.header["network"], file.header["task"]
            _compare(file, facts)
            _check_task(file, task)
            net = cls.__new__(cls)
            net._lay_out(**facts)
            with validation.within(str(path)):
                net.load_state_dict(file.read())
        net.task, net._start = task, None
        return net


def _compare(file, facts):
    """Refuse a header that does not tell the sizes of its tensors, before anything is allocated."""
    known = dict(list(inspect.signature(RNN._lay_out).parameters.items())[1:])
    needed = {name for name, each in known.items() if each.default is each.empty}
    sizes = ("inputs", "hidden", "outputs")
    if (
        not isinstance(facts, dict)
        or not needed <= set(facts) <= set(known)
        or any(type(facts[name]) is not int for name in sizes)
    ):
        raise file.wrong(
            f"network in its header is {shortened(facts)}: expected {', '.join(known)}"
        )
    if file.kinds() - {"F32", "F64"}:
        raise file.wrong(f"weights are {', '.join(sorted(file.kinds()))}: expected F32 or F64")
    inputs, hidden, outputs = (facts[name] for name in sizes)
    for name, least, columns_ in (
        ("rnn.weight_ih_l0", hidden, inputs),
        ("rnn.weight_hh_l0", hidden, hidden),
        ("readout.weight", outputs, hidden),
    ):
        found = file.shapes.get(name, ())
        if len(found) != 2 or found[0] < least or found[1] != columns_:
            raise file.wrong(
                f"{name} has shape {found}, but network in its header is {shortened(facts)}"
            )


def _check_task(file, task):
    """Refuse what a model cannot have been trained for."""
    if not isinstance(task, dict):
        raise file.wrong(f"task in its header is {shortened(task)}: expected an object")
    if task.get("readout", "last") not in ("last", "all"):
        raise file.wrong(f"readout of its task is {shortened(task['readout'])}: expected last, all")
    outputs = file.header["network"]["outputs"]
    for name, kind in (("classes", list), ("alphabet", str)):
        value = task.get(name)
        if value is not None and not (isinstance(value, kind) and len(value) == outputs):
            raise file.wrong(
                f"{name} of its task is {shortened(value)}: expected one for each output, {outputs}"
            )
