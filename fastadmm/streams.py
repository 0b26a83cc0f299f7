"""Windows of streams as cases of their own, each with the time points that it warms up on."""

import numpy as np

from fastadmm.batches import Data, stretches


def check(warmup, steps, others):
    """Refuse a warm-up that has no meaning.

    Parameters
    ----------
    warmup : int
    steps : int or None
    others : dict
        By name arguments that have to be None, with their values.

    Raises
    ------
    ValueError
    """
    if not warmup:
        return
    if steps is None:
        raise ValueError(f"warmup is {warmup}: expected steps=, the length of windows")
    for name, value in others.items():
        if value is not None:
            raise ValueError(f"warmup is {warmup}: expected no {name}")


def windows(data, steps, warmup):
    """All windows of streams, each behind the ``warmup`` time points before it.

    Windows are as even as they can be, at most ``steps`` long, and end with the streams. The first
    time points of these, ``warmup`` and a few more, are in no window.

    Parameters
    ----------
    data : Data
        Streams, (n_cases, n_timepoints, ...), as given by the user.
    steps, warmup : int

    Returns
    -------
    Data
        Cases (n_windows n_cases, warmup + steps, ...), those of a stream one after the other; of
        one stream views.

    Raises
    ------
    ValueError
    """
    n_timepoints = data.X.shape[1]
    left = n_timepoints - warmup
    if left < 1:
        raise ValueError(
            f"warmup is {warmup}: expected less than the time points of X, {n_timepoints}"
        )
    count = -(-left // steps)
    steps = left // count
    first = left - count * steps
    X, y = (_cut(array, warmup + steps, first, steps, count) for array in (data.X, data.y))
    weights = None if data.weights is None else np.repeat(data.weights, count)
    return Data(X, y, None, weights)


def _cut(array, length, first, step, count):
    """So many stretches of every case, ``step`` apart."""
    array = np.ascontiguousarray(array)
    found = [stretches(case[None], length)[first::step][:count] for case in array]
    return found[0] if len(found) == 1 else np.concatenate(found)
