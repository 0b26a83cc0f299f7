"""Cases that are held out of training, to measure it by."""

import numpy as np

from fastadmm.batches import Data
from fastadmm.validation import pair, within


def held_out_of(whole, validation, readout):
    """The cases to train on, and those that are held out.

    Parameters
    ----------
    whole : Data
        All that the user gives for training.
    validation : (Xv, yv), float or None
        Of `fastadmm.fit`.
    readout : {"last", "all"}

    Returns
    -------
    whole, held_out : Data
        The latter is None where nothing is held out.

    Raises
    ------
    ValueError, TypeError
    """
    if isinstance(validation, float):
        kept, held = _split(whole, validation, readout)
        return whole.of(kept), whole.of(held)
    given = pair(validation, "validation")
    if given is None:
        return whole, None
    with within("validation"):
        held_out = Data.given(*given, None, readout)
        if len(held_out.X) != len(held_out.y):
            raise ValueError(
                f"X has {len(held_out.X)} cases, y {len(held_out.y)}: expected as many"
            )
    return whole, held_out


def _split(whole, fraction, readout):
    """Indices of the cases to train on, and of those to hold out, each in order."""
    n_cases = len(whole.X)
    count = round(fraction * n_cases)
    if not 0 < fraction < 1 or not 0 < count < n_cases:
        raise ValueError(
            f"validation is {fraction!r}: expected a pair (Xv, yv), or a fraction that leaves "
            f"cases on both sides, of {n_cases}"
        )
    order = np.random.default_rng(0).permutation(n_cases)
    labels = np.asarray(whole.y[:])
    if readout == "last" and labels.ndim == 1 and labels.dtype.kind in "iub":
        order = order[np.argsort(labels[order], kind="stable")]
    is_held = np.zeros(n_cases, bool)
    is_held[order[((np.arange(count) + 0.5) * n_cases / count).astype(int)]] = True
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)
