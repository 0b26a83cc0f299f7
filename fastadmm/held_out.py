"""Cases that are held out of training, to measure it by."""

import numpy as np

from fastadmm.batches import Data
from fastadmm.validation import pair

NAMES = "Xv", "yv"


def given(validation, readout):
    """What the user gives to measure training by, None where that is no pair of arrays.

    Parameters
    ----------
    validation : (Xv, yv), float or None
        Of `fastadmm.fit`.
    readout : {"last", "all", "mean", "max"}

    Returns
    -------
    Data or None

    Raises
    ------
    ValueError, TypeError
    """
    arrays = None if isinstance(validation, float) else pair(validation, "validation")
    if arrays is None:
        return None
    held_out = Data.given(*arrays, None, readout, NAMES)
    X, y = held_out.X, held_out.y
    if X.ndim < 2:
        raise ValueError(
            f"Xv has shape {X.shape}: expected 3-D (n_cases, n_timepoints, n_channels), or 2-D of "
            "integers for token ids"
        )
    if y.shape[:1] != X.shape[:1]:
        raise ValueError(f"yv has shape {y.shape}: expected {len(X)} cases, as Xv has")
    return held_out


def parted(whole, held_out, validation, readout):
    """The cases to train on, and those that are held out of these, or given.

    Parameters
    ----------
    whole : Data
        All that the user gives for training.
    held_out : Data or None
        From `given`.
    validation, readout
        As of `given`.

    Returns
    -------
    whole, held_out : Data
        The latter is None where nothing is held out.

    Raises
    ------
    ValueError
    """
    if held_out is not None and 0 in held_out.X.shape[:2]:
        raise ValueError(
            f"Xv has shape {held_out.X.shape}: expected at least one case and time point"
        )
    if not isinstance(validation, float):
        return whole, held_out
    kept, held = _split(whole, validation, readout)
    return whole.of(kept), whole.of(held)


def _split(whole, fraction, readout):
    """Indices of the cases to train on, and of those to hold out, each in order."""
    n_cases = len(whole.X)
    count = round(fraction * n_cases) if 0 < fraction < 1 else 0
    if not 0 < count < n_cases:
        raise ValueError(
            f"validation is {fraction!r}: expected a pair (Xv, yv), or a fraction that leaves "
            f"cases on both sides, of {n_cases}"
        )
    order = np.random.default_rng(0).permutation(n_cases)
    if readout == "last" and whole.y.ndim == 1 and whole.y.dtype.kind in "iub":
        order = order[np.argsort(np.asarray(whole.y[:])[order], kind="stable")]
    is_held = np.zeros(n_cases, bool)
    is_held[order[((np.arange(count) + 0.5) * n_cases / count).astype(int)]] = True
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)
