"""Slow, readable twins of the cells: a step in NumPy, and all derivatives by complex steps.

A cell is ``step(a, before) -> after`` of one sequence: pre-activations of all its maps, one after
the other, and what a step hands on. Being analytic, it is differentiated to rounding error by an
imaginary step, without a formula of its own.
"""

from functools import partial

import numpy as np

from .condensed import loss_terms


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def gru(a, before):
    r, u, n, p = a.reshape(4, -1)
    r, u = sigmoid(r), sigmoid(u)
    return (1 - u) * np.tanh(n + r * p) + u * before


def lstm(a, before):
    i, f, g, o = a.reshape(4, -1)
    c = before[len(before) // 2 :]
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return np.concatenate([sigmoid(o) * np.tanh(c), c])


def elman(a, before):
    return np.tanh(a)


LEAK = np.array([0.1, 0.4, 0.7, 1.0])


def leaky(a, before):
    return (1 - LEAK) * before + LEAK * np.tanh(a)


CELLS = {"elman": elman, "leaky": leaky, "gru": gru, "lstm": lstm}
"""By name."""
READS = {
    "elman": ((True, True),),
    "leaky": ((True, True),),
    "gru": ((True, True), (True, False), (False, True)),
    "lstm": ((True, True),),
}
"""Whether the maps of a cell read the inputs, and the states."""


def maps(cell, weights, inputs):
    """All maps of a cell as one matrix (G H, D + 1 + H), zero where one does not read."""
    hidden = weights[-1].shape[1] - 1
    blocks = []
    for own, (drive, recurrent) in zip(weights[:-1], READS[cell], strict=True):
        block = np.zeros((len(own), inputs + 1 + hidden))
        first, last = 0 if drive else inputs, block.shape[1] if recurrent else inputs + 1
        block[:, first:last] = own
        blocks.append(block)
    return np.concatenate(blocks)


def simulate(cell, weights, X, initial=None):
    """Rows [x; 1; s], pre-activations and what is handed on, of every sequence (a list) of X."""
    phi, found = weights[-1], []
    hidden = phi.shape[1] - 1
    theta = maps(cell, weights, X[0].shape[1])
    width = hidden * (2 if cell == "lstm" else 1)
    for n, x in enumerate(X):
        carried = [np.zeros(width) if initial is None else initial[n]]
        rows, a = [], []
        for t in range(len(x)):
            rows.append(np.concatenate([x[t], [1], carried[-1][:hidden]]))
            a.append(theta @ rows[-1])
            carried.append(CELLS[cell](a[-1], carried[-1]))
        found.append((np.array(rows), np.array(a), np.array(carried)))
    return found


def stacked(cell, weights, X, layers, directions, start=None):
    """States of the last level of every sequence (a list), in both directions side by side.

    And those of the last level's cells after all they have seen. ``start`` is what all cells begin
    with, side by side.
    """
    hidden, count = (weights[-1].shape[1] - 1) // directions, len(READS[cell])
    width = hidden * (2 if cell == "lstm" else 1)
    for level in range(layers):
        found, last = [], []
        for direction in range(directions):
            k = level * directions + direction
            own = [*weights[k * count : (k + 1) * count], np.zeros((1, 1 + hidden))]
            initial = None if start is None else [start[k * width : (k + 1) * width]] * len(X)
            turned = [x[::-1] for x in X] if direction else X
            states = [run[2][1:, :hidden] for run in simulate(cell, own, turned, initial)]
            last.append([s[-1] for s in states])
            found.append([s[::-1] for s in states] if direction else states)
        X = [np.hstack(each) for each in zip(*found, strict=True)]
        ends = [np.hstack(each) for each in zip(*last, strict=True)]
    return X, ends


def read_out(cell, weights, X, layers, directions, readout, start=None):
    """Outputs of every sequence, (L, C)."""
    states, ends = stacked(cell, weights, X, layers, directions, start)
    kinds = {
        "all": lambda s, end: s,
        "last": lambda s, end: end[None],
        "mean": lambda s, end: s.mean(0, keepdims=True),
        "max": lambda s, end: s.max(0, keepdims=True),
    }
    phi, take = weights[-1], kinds[readout]
    return [take(s, e) @ phi[:, 1:].T + phi[:, 0] for s, e in zip(states, ends, strict=True)]


def losses(cell, weights, X, y, loss, readout, initial=None):
    """Of every sequence the losses of its outputs, their gradients, and the rows [1; s]."""
    phi, found = weights[-1], []
    for n, (_, _, carried) in enumerate(simulate(cell, weights, X, initial)):
        states = carried[1:, : phi.shape[1] - 1]
        q = np.hstack([np.ones((len(states), 1)), states])[-1 if readout == "last" else 0 :]
        targets = np.asarray(y[n])[None] if readout == "last" else np.asarray(y[n])
        found.append((*loss_terms(q @ phi.T, targets, loss), q))
    return found


def mean_loss(*arguments):
    """Mean over all loss terms; arguments as of `losses`."""
    return np.concatenate([values for values, _, _ in losses(*arguments)]).mean()


def jacobian(function, x):
    """``∂ function / ∂ x`` by imaginary steps, (outputs, inputs)."""
    steps = 1e-30j * np.eye(len(x))
    return np.stack([function(x + step).imag / 1e-30 for step in steps], axis=1)


def sums(cell, weights, X, y, loss, readout, safeguard, initial=None):
    """Multiplier sums of all maps, Grams of rows and of outputs, growth, and adjoints of starts."""
    phi, inputs = weights[-1], X[0].shape[1]
    hidden, step = phi.shape[1] - 1, CELLS[cell]
    theta = maps(cell, weights, inputs)
    outputs = losses(cell, weights, X, y, loss, readout, initial)
    terms = sum(len(values) for values, _, _ in outputs)
    total, total_phi, growth, starts = np.zeros_like(theta), np.zeros_like(phi), [], []
    all_rows, all_q = [], []
    runs = simulate(cell, weights, X, initial)
    for (rows, a, carried), (_, delta, q) in zip(runs, outputs, strict=True):
        delta = delta / terms
        total_phi += delta.T @ q
        adjoint, later = np.zeros(carried.shape[1]), None
        for t in range(len(rows) - 1, -1, -1):
            if later is not None:
                length = np.linalg.norm(adjoint)
                if later > 0 and length > 0:
                    growth.append(np.log(length / later))
                if safeguard and length > later:
                    adjoint = adjoint * later / length
            place = t - (len(rows) - len(delta))
            if place >= 0:
                adjoint[:hidden] += delta[place] @ phi[:, 1:]
            later = np.linalg.norm(adjoint)
            lambda_ = adjoint @ jacobian(partial(step, before=carried[t]), a[t])
            total += np.outer(lambda_, rows[t])
            adjoint = adjoint @ jacobian(partial(step, a[t]), carried[t])
            adjoint[:hidden] += lambda_ @ theta[:, inputs + 1 :]
        starts.append(adjoint)
        all_rows.append(rows)
        all_q.append(q)
    z, q = np.concatenate(all_rows), np.concatenate(all_q)
    split, first = [], 0
    for own, (drive, recurrent) in zip(weights[:-1], READS[cell], strict=True):
        block = total[first : first + len(own)]
        split.append(block[:, 0 if drive else inputs : None if recurrent else inputs + 1])
        first += len(own)
    grams = z.T @ z / len(z), q.T @ q / len(q)
    return [*split, total_phi], grams, float(np.mean(growth)), np.array(starts)
