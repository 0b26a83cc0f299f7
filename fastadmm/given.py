"""The data that `fit` is given: all cases, checked, of all ranks, and those that are held out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeGuard

import numpy as np

from fastadmm import held_out as holding
from fastadmm import streams, weighting
from fastadmm.batches import Data
from fastadmm.held_out import NAMES
from fastadmm.mpi.launch import alike
from fastadmm.mpi.partition import partition
from fastadmm.problem import make_problem
from fastadmm.validation import asarray, finite, positive_integer, within


def data(asked):
    """All cases to train on, with weights and starts, and those that are held out; collective.

    Parameters
    ----------
    asked : fastadmm.training.Asked
        Its ``steps`` become None where windows become cases of their own, for ``warmup``.

    Returns
    -------
    whole : fastadmm.batches.Data
    held_out : fastadmm.batches.Data or None
    """
    comm, readout, lengths, validation = asked.comm, asked.readout, asked.lengths, asked.validation
    with alike(comm, (ValueError, TypeError)):
        whole = _whole(asked)
        weights = weighting.check(asked.sample_weight, asked.class_weight, len(whole.X))
        initial = _start(asked.net, asked.initial, len(whole.X))
        whole = replace(whole, weights=weights, initial=initial)
        held_out = holding.given(validation, readout)
    if asked.by_rank:
        lists = (
            lengths is not None or _is_list(asked.X),
            _is_list(validation) and _is_list(validation[0]),
        )
        whole, held_out = _joined(asked, whole, held_out, lists)
    with alike(comm, (ValueError, TypeError)):
        weighting.check_some(whole.weights)
        whole, held_out = holding.parted(whole, held_out, validation, readout)
        _check_washout(asked.washout, whole, "X")
        if held_out is not None:
            _check_washout(asked.washout, held_out, "Xv")
        if asked.warmup:
            length = window(asked.steps, whole.X.shape[1], readout)
            whole, asked.steps = streams.windows(whole, length, asked.warmup), None
    return whole, held_out


def _whole(asked):
    """All cases given: inputs and targets as arrays that fit each other, and the lengths or None.

    Of a rank that brings its own there may be none.
    """
    whole = Data.given(asked.X, asked.y, asked.lengths, asked.readout)
    X, y = whole.X, whole.y
    if X.ndim < 2 or 0 in X.shape[asked.by_rank : 2] or np.shape(y)[:1] != X.shape[:1]:
        make_problem(asked.net, X, y, asked.loss, asked.readout)  # raises, naming what is wrong
    return whole


def _joined(asked, whole, held_out, lists):
    """The data of all ranks, of which each has brought its own cases."""
    from fastadmm.by_rank import joined

    comm, net, readout = asked.comm, asked.net, asked.readout
    with alike(comm, (ValueError, TypeError)), within(f"rank {comm.rank}"):
        problem, data = make_problem(
            net, whole.X, whole.y, asked.loss, readout, not len(whole.X), whole.lengths
        )
        if held_out is not None:
            held_out = make_problem(
                net, held_out.X, held_out.y, problem.loss.name, readout, not len(held_out.X),
                held_out.lengths, NAMES,
            )[1]  # fmt: skip
    whole = replace(data, weights=whole.weights, initial=whole.initial)
    whole = joined(comm, whole, lists[0], readout, ("X", "y"))
    if held_out is not None:
        held_out = joined(comm, held_out, lists[1], readout, NAMES)
    return whole, held_out


def _is_list(value) -> TypeGuard[Sequence]:
    """Sequences given one by one, for example, may have lengths of their own."""
    return isinstance(value, list | tuple)


def _check_washout(washout, data, name):
    """Refuse one that no sequence outlasts."""
    longest = data.X.shape[1] if data.lengths is None else int(data.lengths.max())
    if washout >= longest:
        raise ValueError(
            f"washout is {washout}: expected less than the time points of {name}, {longest}"
        )


def _start(net, initial, n_cases):
    """States that sequences begin with, as given by the user, or None."""
    if initial is None:
        return None
    expected = n_cases, net.carried
    if np.shape(initial) != expected:
        raise ValueError(f"initial has shape {np.shape(initial)}: expected {expected}")
    return finite(asarray(initial, "initial"), net.dtype, "initial")


def own_cases(net, held_out, problem, domain):
    """Own part of validation data, whose cases are cut over all ranks."""
    own = slice(*partition(len(held_out.X), domain.size, domain.rank))
    part, empty = held_out.of(own).here(), own.start == own.stop
    data = make_problem(
        net, part.X, part.y, problem.loss.name, problem.readout, empty, part.lengths, NAMES
    )[1]
    return replace(data, initial=part.initial)


def window(steps, n_timepoints, readout):
    """Time points of a window: ``steps``, or all of them."""
    if steps is None:
        return n_timepoints
    if readout != "all":
        raise ValueError("steps cuts sequences into windows: that needs readout='all'")
    return min(positive_integer(steps, "steps"), n_timepoints)
