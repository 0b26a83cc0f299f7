"""The network: weights of its cell and its read-out, and what can be done with them."""

import functools
import inspect
import itertools
import math
import zlib
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastadmm import model_file, sequences, tensors, validation
from fastadmm.cells import CELLS, READ_OUT, Cell, Columns, Place, columns, places, start
from fastadmm.files import StrPath, shortened
from fastadmm.kernels.operators.activation_codes import ACTIVATIONS

FORMAT, KEY = 2, "fastadmm"
READOUTS = ("last", "all", "mean", "max")
_BATCH, _STEPS = 512, 256  # sequences and steps simulated at a time: bounds the memory of predict


def _leak_of(leak, tau, dt):
    """α from itself, or from time constants and a step."""
    if (tau is None) != (dt is None) or (leak is not None and tau is not None):
        raise ValueError(f"leak is {leak!r}, tau {tau!r}, dt {dt!r}: expected leak, or tau and dt")
    if tau is None:
        return leak
    tau = validation.asarray(tau, "tau").astype(float)
    if not (tau > 0).all() or not 0 < dt <= tau.min():
        raise ValueError(f"dt is {dt!r}: expected a positive number, at most tau")
    return dt / tau


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
    activation : str
        Of Elman and leaky cells, a name in `fastadmm.kernels.operators.activation_codes`:
        ``tanh``, ``relu``, ``leaky_relu`` (slope 0.01), ``hard_tanh``, ``sigmoid``, ``softplus``,
        ``identity``; gated cells have tanh.
    gain : float
        Scale of the initial recurrent weights, ``gain`` times a random orthogonal matrix; a gated
        cell has one for every gate.
    seed : int or numpy.random.Generator
    dtype : {"float32", "float64"}
    cell : {"elman", "leaky", "gru", "lstm"}
    layers : int
        Cells on top of each other; each reads the states of the one below.
    bidirectional : bool
        Each level has a second cell, which goes backward in time; what reads the level reads the
        states of both, side by side. The last state of that cell is the one after the first time
        point.
    dropout : float
        Share of the states of each level but the last that the next one does not see in training;
        the others are scaled up.
    initial : {"zero", "learned"}
        State before the first time point: zero, or weights, the same for all sequences.
    leak : float or array_like, (H,)
        α of leaky units, ``s_t = (1 - α) s_{t-1} + α f(a_t)``, in (0, 1].
    tau, dt : float or array_like, (H,), and float
        Instead of ``leak``: their time constants and the time between two points, in the same unit;
        α = dt / tau.

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
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        initial: str = "zero",
        leak: ArrayLike | None = None,
        tau: ArrayLike | None = None,
        dt: float | None = None,
    ):
        self._lay_out(
            inputs, hidden, outputs, activation, gain, dtype, cell, layers, bidirectional, dropout,
            initial, _leak_of(leak, tau, dt),
        )  # fmt: skip
        rng, state = np.random.default_rng(seed), {}
        for place in self.places:
            recurrent, drive, bias = start(self.kind, place.inputs, hidden, self.gain, rng)
            state[f"rnn.weight_ih{place.suffix}"] = drive
            state[f"rnn.weight_hh{place.suffix}"] = recurrent
            state[f"rnn.bias_ih{place.suffix}"] = bias
            state[f"rnn.bias_hh{place.suffix}"] = np.zeros_like(bias)
        if self.initial == "learned":
            state["initial"] = np.zeros(self.carried)
        state["readout.weight"] = rng.standard_normal((outputs, self.width)) / self.width**0.5
        state["readout.bias"] = np.zeros(outputs)
        self.load_state_dict(state)
        self._start = self._digest()

    def _lay_out(
        self, inputs, hidden, outputs, activation, gain, dtype, cell="elman", layers=1,
        bidirectional=False, dropout=0.0, initial="zero", leak=None,
    ):  # fmt: skip
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
        self.leak = self._checked_leak(leak)
        self.layers = validation.positive_integer(layers, "layers")
        self.bidirectional = validation.flag(bidirectional, "bidirectional")
        self.dropout = validation.nonnegative(dropout, "dropout")
        if self.dropout >= 1 or (self.dropout and layers == 1):
            raise ValueError(
                f"dropout is {dropout!r}: expected 0 <= dropout < 1, between layers=2 or more"
            )
        self.initial = validation.one_of(initial, ("zero", "learned"), "initial")
        self.weights = [
            np.zeros((each.blocks * hidden, each.width(place.inputs, hidden)), self.dtype)
            for place in self.places
            for each in self.kind.maps
        ]
        if self.initial == "learned":
            self.weights.append(np.zeros((self.carried, 1), self.dtype))
        self.weights.append(np.zeros((outputs, 1 + self.width), self.dtype))

    def _checked_leak(self, leak):
        """α of leaky units, (H,), float64; nothing for other cells."""
        if self.cell != "leaky":
            if leak is not None:
                raise ValueError(f"leak is given: expected None, cell is {self.cell!r}")
            return np.zeros(0)
        if leak is None:
            raise ValueError("leak is None: leaky units need it, or tau and dt")
        found = validation.asarray(leak, "leak").astype(float)
        if found.shape not in ((), (self.hidden,)):
            raise ValueError(
                f"leak has shape {found.shape}: expected a number, or {(self.hidden,)}"
            )
        if not ((found > 0) & (found <= 1)).all():
            raise ValueError(f"leak is {validation.short(leak)}: expected 0 < leak <= 1")
        return np.broadcast_to(found, (self.hidden,)).copy()

    def __repr__(self) -> str:
        return (
            f"RNN(inputs={self.inputs}, hidden={self.hidden}, outputs={self.outputs}, "
            f"activation={self.activation!r}, dtype={self.dtype.name!r}, cell={self.cell!r}"
            f"{self._others()})"
        )

    def _others(self):
        """Of the facts those that are not as by default, for `repr`."""
        plain = {"layers": 1, "bidirectional": False, "dropout": 0.0, "initial": "zero"}
        found = {name: getattr(self, name) for name in plain}
        return "".join(f", {k}={v!r}" for k, v in found.items() if v != plain[k])

    @property
    def facts(self) -> dict[str, Any]:
        """Sizes and kinds, as JSON values."""
        names = (
            "inputs", "hidden", "outputs", "activation", "cell", "layers", "bidirectional",
            "dropout", "initial",
        )  # fmt: skip
        facts = {name: getattr(self, name) for name in names} | {"dtype": self.dtype.name}
        return facts | {"leak": self.leak.tolist() if self.cell == "leaky" else None}

    @property
    def directions(self) -> int:
        """Cells of each level."""
        return 1 + self.bidirectional

    @property
    def width(self) -> int:
        """Numbers that a level hands up: those of its states."""
        return self.hidden * self.directions

    @property
    def places(self) -> list[Place]:
        """All cells, from below."""
        return places(self.inputs, self.width, self.layers, self.bidirectional)

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
        return self.hidden * self.kind.kind().CARRIED * len(self.places)

    @property
    def names(self) -> list[str]:
        """Of ``weights``."""
        maps = [
            each.name + place.suffix.removeprefix("_l0")
            for place in self.places
            for each in self.kind.maps
        ]
        return [*maps, *(["initial"] if self.initial == "learned" else []), "phi"]

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
        return ACTIVATIONS[self.activation]

    def simulate(
        self,
        X: ArrayLike,
        threads: int | None = None,
        initial: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
        exact: bool = False,
    ) -> NDArray[np.floating] | Any:  # a list of them for a list
        """Hidden states of all sequences.

        Parameters
        ----------
        X, lengths
            As of `fastadmm.fit`.
        threads : int, optional
        initial : ndarray, (n_cases, H), optional
            State before the first time point, by default the network's own; as `carry` returns it.
        exact : bool
            Go over all time points in turn. Otherwise a few long sequences (4,096 time points and
            more) are simulated as chunks that overlap, all at once, where the network forgets: what
            a chunk begins with then differs from what the one before it ends with by at most 1e-5
            of its size, with float64 1e-11, which is measured; where it is more, time points are
            gone over in turn, see `fastadmm.chunks`.

        Returns
        -------
        ndarray, (n_cases, n_timepoints, H), or a list of (n_timepoints_i, H) for a list
            Of the last level, in both directions side by side. Zero beyond the lengths that were
            given.
        """
        states = lambda window, read: read[..., 1:]  # noqa: E731
        return self._forward(X, lengths, threads, states, self.width, "all", initial, exact)

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
            Hidden states, and the memories of an LSTM beside them; those of all cells side by side.
        """
        handed_on = lambda window, read: window.handed_on(len(window.z) - 1)[None]  # noqa: E731
        return self._forward(X, lengths, threads, handed_on, self.carried, "last", initial)

    def predict(
        self,
        X: ArrayLike,
        readout: str | None = None,
        threads: int | None = None,
        lengths: ArrayLike | None = None,
        initial: ArrayLike | None = None,
        exact: bool = False,
    ) -> NDArray[np.floating] | Any:  # a list of them for a list
        """Outputs ``V s_t + c``: logits of a classifier, values of a regression.

        Parameters
        ----------
        X, lengths
            As of `fastadmm.fit`.
        readout : {"last", "all", "mean", "max"}, optional
            Outputs after the last time point of every sequence only, after every one, or of the
            mean or largest state of every unit. Default: what the network was trained for,
            ``task["readout"]``; "last" where it was not trained.
        threads : int, optional
        initial : ndarray, (n_cases, H), optional
            As of `simulate`.
        exact : bool
            As of `simulate`.

        Returns
        -------
        ndarray, (n_cases, C), or (n_cases, n_timepoints, C), or a list of (n_timepoints_i, C)
            The last one of all outputs for a list. Zero beyond the lengths that were given.
        """
        readout = self._readout(readout)
        outputs = lambda window, read: self.read_out(read[..., 1:])  # noqa: E731
        return self._forward(X, lengths, threads, outputs, self.outputs, readout, initial, exact)

    def read_out(self, states: NDArray[np.floating]) -> NDArray[np.floating]:
        """Outputs ``V s + c`` of states (..., H), those of both directions side by side."""
        return states @ self.read.T + self.offset

    def score(
        self,
        X: ArrayLike,
        y: ArrayLike,
        readout: str | None = None,
        loss: str | None = None,
        threads: int | None = None,
        lengths: ArrayLike | None = None,
        exact: bool = False,
    ) -> dict[str, float]:
        """How well the outputs fit ``y``.

        Parameters
        ----------
        X, y, loss, lengths
            As of `fastadmm.fit`.
        readout : {"last", "all", "mean", "max"}, optional
            As of `predict`.
        threads : int, optional
        exact : bool
            As of `simulate`.

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
            found, accuracy = evaluate(self, problem, data, threads, exact)
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
        return validation.one_of(asked, READOUTS, "readout")

    def needs_whole(self, readout: str) -> bool:
        """Whether sequences have to be simulated whole, not in windows of time."""
        return self.bidirectional or readout in ("mean", "max")

    def window_of(self, n_cases: int, n_timepoints: int, readout: str) -> tuple[int, int]:
        """Steps and sequences to simulate at a time, without training."""
        if not self.needs_whole(readout):
            return min(_STEPS, n_timepoints), min(_BATCH, n_cases)
        return n_timepoints, max(1, min(n_cases, _BATCH * _STEPS // n_timepoints))

    def _forward(self, X, lengths, threads, function, width, readout, initial=None, exact=False):
        """``function(window, read)`` of what the read-out reads, gathered batch-first."""
        from fastadmm.batches import Data
        from fastadmm.chunks import passes, rows_of
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
        steps, batch = self.window_of(n_cases, n_timepoints, readout)
        rows = rows_of(batch, n_timepoints, threads)
        unfolded = Unfolded(self, X.ndim == 2, steps, rows, threads, readout=readout)
        shape = (n_cases, n_timepoints, width) if readout == "all" else (n_cases, width)
        result = np.empty(shape, self.dtype)
        with compute_threads(threads):
            found = passes(unfolded, data, self.weights, steps, batch, initial, exact)
            for own, window in itertools.chain.from_iterable(found):
                stop = own.first + own.steps
                read = window.read[:, :, -1 - self.width :]
                if readout == "all":
                    values = function(window, read[1:]).swapaxes(0, 1)
                    own.data.view(result)[own.cases, own.first : stop] = values
                elif stop == n_timepoints:
                    result[own.cases] = function(window, read[-1:])[0]
        if lengths is None or readout != "all":
            return result
        return (sequences.parts if is_list else sequences.at_the_start)(result, lengths)

    def _maps(self):
        """Weights of every map with its place: (weights, map, layer)."""
        places = [(each, place) for place in self.places for each in self.kind.maps]
        return [(w, *place) for w, place in zip(self.weights, places, strict=False)]

    def state_dict(self) -> dict[str, NDArray[np.floating]]:
        """Weights under torch's names.

        ``rnn`` is an ``nn.RNN``, ``nn.GRU`` or ``nn.LSTM``, ``readout`` an ``nn.Linear``. Where one
        bias acts and torch has two, the second is zero. A learned start, which torch's modules do
        not have, is ``initial``.
        """
        state, rows = {}, self.hidden * self.kind.blocks
        for layer in self.places:
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
        if self.initial == "learned":
            state["initial"] = self.weights[-2][:, 0].copy()
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
        if self.initial == "learned":
            self.weights[-2][:, 0] = arrays["initial"]
        self.read[:], self.offset[:] = arrays["readout.weight"], arrays["readout.bias"]

    @classmethod
    def from_torch(cls, rnn: Any, linear: Any) -> Self:
        """The network of a ``torch.nn.RNN``, ``GRU`` or ``LSTM`` and a ``torch.nn.Linear``.

        Weights are copied. Sequences of the network are batch-first, whatever ``rnn.batch_first``.

        Parameters
        ----------
        rnn : torch.nn.RNN, torch.nn.GRU or torch.nn.LSTM
        linear : torch.nn.Linear
            Reads its states, those of both directions where it has both.

        Raises
        ------
        ValueError
            Where the modules do not fit each other, or have what networks here have not.
        """
        mode = str(getattr(rnn, "mode", type(rnn).__name__))
        known = {"RNN_TANH": ("elman", "tanh"), "RNN_RELU": ("elman", "relu")}
        known |= {"GRU": ("gru", "tanh"), "LSTM": ("lstm", "tanh")}
        if mode not in known:
            raise ValueError(f"rnn is a {mode}: expected torch.nn.RNN, GRU or LSTM")
        if getattr(rnn, "proj_size", 0):
            raise ValueError(f"rnn has proj_size {rnn.proj_size}: expected 0, no projections")
        cell, activation = known[mode]
        dtype = str(linear.weight.dtype).removeprefix("torch.")
        net = cls(
            rnn.input_size, rnn.hidden_size, linear.out_features, activation, dtype=dtype,
            cell=cell, layers=rnn.num_layers, bidirectional=rnn.bidirectional,
            dropout=rnn.dropout if rnn.num_layers > 1 else 0.0,
        )  # fmt: skip
        if linear.in_features != net.width:
            raise ValueError(f"linear reads {linear.in_features} states: rnn has {net.width}")
        state = {name: np.zeros_like(each) for name, each in net.state_dict().items()}
        for prefix, module in (("rnn", rnn), ("readout", linear)):
            for name, tensor in module.state_dict().items():
                state[f"{prefix}.{name}"] = tensor.detach().cpu().numpy()
        net.load_state_dict(state)
        net._start = None
        return net

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
            facts, task = model_file.checked(file, inspect.signature(cls._lay_out), READOUTS)
            net = cls.__new__(cls)
            net._lay_out(**facts)
            weights = file.read()
            try:
                net.load_state_dict(weights)
            except ValueError as error:
                raise file.wrong(shortened(error)) from error
        net.task, net._start = task, None
        return net
