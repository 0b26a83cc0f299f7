"""Estimators by scikit-learn's rules: a recurrent network as a classifier, and as a regressor.

They take the axes of aeon and sktime, time last, and turn them once; all else of the package has
time before channels.
"""

from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastadmm.losses import CROSS_ENTROPY
from fastadmm.network import RNN
from fastadmm.training import Result
from fastadmm.training import fit as train

try:
    from scipy.special import softmax
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.metrics import accuracy_score, r2_score
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import (
        check_array,
        check_consistent_length,
        check_is_fitted,
        column_or_1d,
        validate_data,
    )
except ImportError as error:
    raise ImportError(
        "the estimators need scikit-learn: pip install 'fastadmm[sklearn]'"
    ) from error

Cases: TypeAlias = Any
"""An array, or a list of arrays of unequal length, with an entry a case."""
AXES = "(n_cases, n_channels, n_timepoints), or a list of (n_channels, n_timepoints_i)"


class _Estimator(BaseEstimator):
    """What both estimators do; see `RNNClassifier`."""

    network_: RNN
    history_: list[dict[str, Any]]

    def __init__(
        self,
        hidden: int = 64,
        *,
        cell: str = "elman",
        activation: str = "tanh",
        gain: float = 1.0,
        readout: str = "last",
        solver: str = "condensed",
        epochs: int = 100,
        batch_size: int | None = 64,
        options: dict[str, Any] | None = None,
        scale: str | None = "standard",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        dtype: str = "float32",
        threads: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ):
        self.hidden = hidden
        self.cell = cell
        self.activation = activation
        self.gain = gain
        self.readout = readout
        self.solver = solver
        self.epochs = epochs
        self.batch_size = batch_size
        self.options = options
        self.scale = scale
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.dtype = dtype
        self.threads = threads
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    @property
    def n_iter_(self) -> int:
        """Epochs of the last call of ``fit`` or ``partial_fit``."""
        return len(self.history_)

    def _train(self, X, y, outputs, goes_on, epochs, **more):
        """Train a new network, or the one that is there, on data with time before channels."""
        channels = X[0].shape[1]
        seed = int(check_random_state(self.random_state).randint(2**31))
        if not goes_on:
            self.network_ = RNN(
                channels,
                self.hidden,
                outputs,
                self.activation,
                self.gain,
                seed,
                self.dtype,
                self.cell,
            )
        stops = {"validation": float(self.validation_fraction),
                 "early_stopping": self.n_iter_no_change}  # fmt: skip
        result: Result = train(
            self.network_, X, y, readout=self.readout, solver=self.solver, epochs=epochs,
            batch_size=self.batch_size, scale=self.scale, threads=self.threads, seed=seed,
            verbose=self.verbose, **(stops if self.early_stopping else {}), **more,
            **(self.options or {}),
        )  # fmt: skip
        self.history_, self.status_ = result.history, result.status
        return self

    def _goes_on(self, wanted):
        return wanted and hasattr(self, "network_")

    def _inputs(self, X, reset=False):
        """Sequences with time before channels: an array, or a list of arrays."""
        if isinstance(X, list | tuple) and len(X) and np.ndim(X[0]) == 2:
            return self._sequences([np.asarray(x) for x in X], reset)
        given: Any = X
        array: Any = validate_data(self, given, allow_nd=True, reset=reset)
        if array.ndim > 3:
            raise ValueError(f"X has shape {array.shape}: expected {AXES}")
        return array[:, :, None] if array.ndim == 2 else array.swapaxes(1, 2)

    def _sequences(self, X, reset):
        """A list of sequences (n_channels, n_timepoints_i)."""
        if reset:
            self.n_features_in_ = len(X[0])
        for i, x in enumerate(X):
            if x.ndim != 2 or len(x) != self.n_features_in_:
                raise ValueError(
                    f"X[{i}] has shape {x.shape}: expected ({self.n_features_in_}, "
                    "n_timepoints), the channels of the first one seen"
                )
        return [x.T for x in X]

    def _outputs(self, X):
        check_is_fitted(self)
        return self.network_.predict(self._inputs(X), threads=self.threads)


class RNNClassifier(ClassifierMixin, _Estimator):
    """A recurrent network that labels sequences, or every time point of them.

    Parameters
    ----------
    hidden : int
        Units H of the state.
    cell : {"elman", "gru", "lstm"}
    activation : str
        See `fastadmm.RNN`.
    gain : float
        Scale of the initial recurrent weights, see `fastadmm.RNN`.
    readout : {"last", "all"}
        A label for every sequence, or for every time point.
    solver : {"condensed", "block", "admmirnn"}
    epochs : int
        Passes over the data, at most.
    batch_size : int or None
        Most sequences in a mini-batch; None for all of them.
    options : dict, optional
        Settings of the solver, as `fastadmm.fit` takes them.
    scale : {"standard", None}
        Bring inputs, and targets of a regression, to like size within; part of the model.
    class_weight : {None, "balanced"} or dict
        Weights of the labels in the loss, see `fastadmm.fit`.
    early_stopping : bool
        Hold out ``validation_fraction`` of the cases, stop where ``n_iter_no_change`` epochs have
        brought no lower loss there, and take the weights of the best epoch.
    validation_fraction : float
    n_iter_no_change : int
    warm_start : bool
        ``fit`` goes on from the weights of the last call.
    dtype : {"float32", "float64"}
    threads : int, optional
    random_state : int, RandomState or None
        Of the initial weights and of the order of mini-batches.
    verbose : int

    Attributes
    ----------
    network_ : fastadmm.RNN
    classes_ : ndarray, (n_classes,)
        Labels, sorted; of any type.
    history_ : list of dict
        A record an epoch, see `fastadmm.training.Result`.
    status_ : str
        Why training ended, see there.
    n_iter_ : int
        Epochs trained.
    n_features_in_ : int
        Channels; of 2-D data time points.

    Notes
    -----
    X is (n_cases, n_channels, n_timepoints), or a list of (n_channels, n_timepoints_i) of unequal
    length; 2-D (n_cases, n_timepoints) is one channel. With ``readout="all"`` y is
    (n_cases, n_timepoints), or a list of (n_timepoints_i,).
    """

    classes_: NDArray

    def __init__(
        self,
        hidden: int = 64,
        *,
        cell: str = "elman",
        activation: str = "tanh",
        gain: float = 1.0,
        readout: str = "last",
        solver: str = "condensed",
        epochs: int = 100,
        batch_size: int | None = 64,
        options: dict[str, Any] | None = None,
        scale: str | None = "standard",
        class_weight: str | dict | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        dtype: str = "float32",
        threads: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ):
        super().__init__(
            hidden, cell=cell, activation=activation, gain=gain, readout=readout, solver=solver,
            epochs=epochs, batch_size=batch_size, options=options, scale=scale,
            early_stopping=early_stopping, validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change, warm_start=warm_start, dtype=dtype,
            threads=threads, random_state=random_state, verbose=verbose,
        )  # fmt: skip
        self.class_weight = class_weight

    def fit(self, X: Cases, y: Cases, sample_weight: ArrayLike | None = None) -> Self:
        """Train on sequences and their labels.

        Parameters
        ----------
        X, y
            See the notes of the class.
        sample_weight : array_like, (n_cases,), optional
            Weights of the cases in the loss.

        Raises
        ------
        ValueError, TypeError
            Before any work, naming what is wrong.
        """
        goes_on = self._goes_on(self.warm_start)
        return self._fit(X, y, None, sample_weight, goes_on, self.epochs)

    def partial_fit(
        self,
        X: Cases,
        y: Cases,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch, from the weights that are there.

        Parameters
        ----------
        X, y, sample_weight
            As of `fit`.
        classes : array_like, optional
            All labels that will ever come; needed in the first call where y lacks some.
        """
        return self._fit(X, y, classes, sample_weight, self._goes_on(True), 1)

    def _fit(self, X, y, classes, sample_weight, goes_on, epochs):
        X, lengths = self._inputs(X, reset=not goes_on), None
        if self.readout == "all":
            lengths = [len(row) for row in y]
            y = np.concatenate([np.asarray(row) for row in y])
        labels = self._labels(X, y, lengths)
        known = np.unique(labels if classes is None else np.asarray(classes))
        if not goes_on:
            self.classes_ = known
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            raise ValueError(f"y has label {unknown[0]!r}: expected one of {self.classes_}")
        numbers = np.searchsorted(self.classes_, labels)
        if lengths is not None:
            numbers = np.split(numbers, np.cumsum(lengths)[:-1])
        return self._train(
            X, numbers, len(self.classes_), goes_on, epochs, sample_weight=sample_weight,
            class_weight=self._weights(), loss=CROSS_ENTROPY.name,
        )  # fmt: skip

    def _labels(self, X, y, lengths):
        """Labels in one row, checked."""
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        y = column_or_1d(y, warn=True)
        check_consistent_length(X, y if lengths is None else lengths)
        check_classification_targets(y)
        return y

    def _weights(self):
        """Weights by number, from those by label."""
        if not isinstance(self.class_weight, dict):
            return self.class_weight
        number = {label: k for k, label in enumerate(self.classes_.tolist())}
        return {number[label]: weight for label, weight in self.class_weight.items()}

    def predict_proba(self, X: Cases) -> NDArray[np.floating] | list:
        """Probability of every class, in the order of ``classes_``.

        Returns
        -------
        ndarray, (n_cases, n_classes); with ``readout="all"`` (n_cases, n_timepoints, n_classes),
            or a list of (n_timepoints_i, n_classes)
        """
        found = self._outputs(X)
        if isinstance(found, list):
            return [softmax(each.astype(float), axis=-1) for each in found]
        return softmax(found.astype(float), axis=-1)

    def predict(self, X: Cases) -> NDArray | list:
        """The likeliest labels, in the shape of y."""
        found = self._outputs(X)
        if isinstance(found, list):
            return [self.classes_[each.argmax(-1)] for each in found]
        return self.classes_[found.argmax(-1)]

    def score(self, X: Cases, y: Cases, sample_weight: ArrayLike | None = None) -> float:
        """Share of right labels."""
        found = self.predict(X)
        if self.readout == "all":
            found, y = np.concatenate(list(found)), np.concatenate(list(y))
        return float(accuracy_score(y, found, sample_weight=sample_weight))


class RNNRegressor(RegressorMixin, _Estimator):
    """A recurrent network that predicts values of sequences, or of every time point of them.

    Parameters are those of `RNNClassifier`, without ``class_weight``; so are the attributes,
    without ``classes_``.

    Notes
    -----
    X as of `RNNClassifier`. y is (n_cases,) or (n_cases, n_outputs); with ``readout="all"`` it is
    (n_cases, n_timepoints) or (n_cases, n_outputs, n_timepoints), or a list of
    (n_timepoints_i,) or (n_outputs, n_timepoints_i).
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Cases, y: Cases, sample_weight: ArrayLike | None = None) -> Self:
        """Train on sequences and their values.

        Parameters
        ----------
        X, y
            See the notes of the class.
        sample_weight : array_like, (n_cases,), optional
            Weights of the cases in the loss.

        Raises
        ------
        ValueError, TypeError
            Before any work, naming what is wrong.
        """
        goes_on = self._goes_on(self.warm_start)
        return self._fit(X, y, sample_weight, goes_on, self.epochs)

    def partial_fit(self, X: Cases, y: Cases, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one epoch, from the weights that are there; arguments as of `fit`."""
        return self._fit(X, y, sample_weight, self._goes_on(True), 1)

    def _fit(self, X, y, sample_weight, goes_on, epochs):
        X = self._inputs(X, reset=not goes_on)
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        if self.readout == "last":
            y = check_array(y, ensure_2d=False, input_name="y")
        check_consistent_length(X, y)
        values = [np.asarray(each, float) for each in y]
        is_single = values[0].ndim == (self.readout == "all")
        values = [np.atleast_2d(v).T if self.readout == "all" else np.atleast_1d(v) for v in values]
        if isinstance(X, np.ndarray) or self.readout == "last":
            values = np.stack(values)
        outputs = values[0].shape[-1]
        self._is_single = is_single
        return self._train(
            X, values, outputs, goes_on, epochs, sample_weight=sample_weight, loss="squared"
        )

    def predict(self, X: Cases) -> NDArray[np.floating] | list:
        """Values, in the shape of y."""
        found = self._outputs(X)
        if isinstance(found, list):
            return [self._arrange(each) for each in found]
        return self._arrange(found)

    def _arrange(self, outputs):
        """Outputs (..., C) of cases, or (..., time, C), in the axes of y."""
        outputs = outputs.astype(float)
        if self._is_single:
            return outputs[..., 0]
        return outputs.swapaxes(-1, -2) if self.readout == "all" else outputs

    def score(self, X: Cases, y: Cases, sample_weight: ArrayLike | None = None) -> float:
        """R²: one minus the squared error over that of the mean of y."""
        found = self.predict(X)
        if self.readout == "all":
            found, y = (np.concatenate([np.atleast_2d(each).T for each in a]) for a in (found, y))
        return float(r2_score(y, found, sample_weight=sample_weight))
