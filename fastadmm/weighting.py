"""Weights of cases and of classes in the loss."""

import numpy as np

from fastadmm.validation import asarray, nonnegative, short


def check(sample_weight, class_weight, n_cases):
    """Refuse weights that cannot be any, before work starts.

    Returns
    -------
    sample_weight : ndarray, (n_cases,), float64, or None

    Raises
    ------
    ValueError, TypeError
    """
    if not (class_weight is None or isinstance(class_weight, str | dict)) or (
        isinstance(class_weight, str) and class_weight != "balanced"
    ):
        raise ValueError(f"class_weight is {short(class_weight)}: expected 'balanced' or a dict")
    for label, weight in (class_weight if isinstance(class_weight, dict) else {}).items():
        nonnegative(weight, f"class_weight[{label!r}]")
    if sample_weight is None:
        return None
    weights = asarray(sample_weight, "sample_weight").astype(float)
    if weights.shape != (n_cases,):
        raise ValueError(f"sample_weight has shape {weights.shape}: expected {(n_cases,)}")
    wrong = ~((weights >= 0) & (weights < np.inf))
    if wrong.any():
        i = int(wrong.argmax())
        raise ValueError(f"sample_weight[{i}] is {weights[i]}: expected a number, at least 0")
    return weights


def check_some(sample_weight):
    """Refuse weights of all cases that are zero everywhere."""
    if sample_weight is not None and not sample_weight.any():
        raise ValueError("sample_weight is zero everywhere: expected a positive number")


def loss_weights(sample_weight, class_weight, net, problem, data, share, washout=0):
    """Weights of own loss terms, with mean 1 over those of all owners; None for ones.

    Parameters
    ----------
    sample_weight : ndarray, (n_cases,), or None
        Of the cases of all owners.
    class_weight : {None, "balanced"} or dict
        By label, where not given 1. ``"balanced"``: inverse to how often a label occurs.
    net : RNN
    problem : Problem
    data : fastadmm.batches.Data
        Own part.
    share : fastadmm.batches.Share
    washout : int
        Time points at the beginning of every sequence that count nothing.

    Returns
    -------
    ndarray, (n_cases,) or (n_cases, n_timepoints), or None
    """
    if sample_weight is None and class_weight is None and not washout:
        return None
    if class_weight is not None and not problem.classifies:
        raise ValueError("class_weight is given: expected None, targets are not labels")
    mask = share.mask() if problem.every else None
    counted = np.ones(data.y.shape[: 2 if problem.every else 1]) if mask is None else mask * 1.0
    weights = counted.copy()
    if sample_weight is not None:
        weights *= sample_weight[share.cases].reshape(-1, *(1,) * (weights.ndim - 1))
    if class_weight is not None:
        weights *= _of_classes(class_weight, net, data.y, counted, share.domain)[data.y]
    if washout:
        weights *= share.mask(washout)
    sums = np.array([weights.sum(), counted.sum()])
    share.domain.sum(sums)
    if not sums[0] > 0:
        raise ValueError("class_weight is zero for every label that occurs")
    weights = (weights * (sums[1] / sums[0])).astype(net.dtype)
    is_of_cases = problem.every and class_weight is None and not washout
    return np.ascontiguousarray(weights[:, 0]) if is_of_cases and mask is None else weights


def _of_classes(class_weight, net, labels, counted, domain):
    """A weight for each label, (C,)."""
    if class_weight == "balanced":
        counts = np.bincount(labels.ravel(), counted.ravel(), net.outputs)
        domain.sum(counts)
        return np.divide(1, counts, out=np.zeros_like(counts), where=counts > 0)
    weights = np.ones(net.outputs)
    for label, weight in class_weight.items():
        if label not in range(net.outputs):
            raise ValueError(f"class_weight has label {label!r}: expected 0 to {net.outputs - 1}")
        weights[label] = weight
    return weights
