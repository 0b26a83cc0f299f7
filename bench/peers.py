"""The same training step here, in torch and in JAX: row-wise classification, float32.

Every maker returns a function that trains on one mini-batch, given by its cases, and returns when
the update is done.
"""

import numpy as np

from fastadmm.cells import CELLS


def condensed_step(X, y, size, hidden, classes, threads, cell="elman"):
    """One step of the default solver, on mini-batches of up to ``size`` cases."""
    from fastadmm import RNN
    from fastadmm.batches import Batch
    from fastadmm.problem import make_problem
    from fastadmm.solvers.condensed import Condensed

    net = RNN(X.shape[2], hidden, classes, cell=cell)
    problem, data = make_problem(net, X, y)
    steps = X.shape[1]
    solver = Condensed(net, problem, Condensed.Options(), size, steps, 10**6, threads)

    def step(cases):
        solver.step(Batch.alone(data, cases))

    return step


def products_step(X, size, hidden, gates=1):
    """The three matrix products of a step alone, by BLAS, free of their order in time.

    States, multipliers and their sums: back-propagation needs the same.
    """
    rows, n, units = size * X.shape[1], X.shape[2] + hidden + 1, gates * hidden
    rng = np.random.default_rng(0)
    z, lambda_ = rng.random((rows, n), np.float32), rng.random((rows, units), np.float32)
    theta, out = rng.random((units, n), np.float32), np.empty((rows, units), np.float32)
    recurrent, sums = np.ascontiguousarray(theta[:, -hidden:]), np.empty_like(theta)
    back = np.empty((rows, hidden), np.float32)

    def step(cases):
        np.matmul(z, theta.T, out=out)
        np.matmul(lambda_, recurrent, out=back)
        np.matmul(lambda_.T, z, out=sums)

    return step


def torch_step(X, y, hidden, classes, way="eager", cell="elman"):
    """One step of Adam on ``nn.RNN``, ``nn.GRU`` or ``nn.LSTM``, and a linear read-out.

    Parameters
    ----------
    way : {"eager", "compiled", "unrolled"}
        "eager" has torch's fused Adam. "compiled" hands the whole step to torch.compile, with the
        Adam that it can trace. By default that leaves ``nn.RNN`` to torch's own operator;
        "unrolled" has it compiled, too, as a program of all time steps. Compiling that takes a
        minute or more for 28 steps, and grows with them.
    """
    import torch

    X, y = torch.from_numpy(X), torch.from_numpy(y)
    rnn = getattr(torch.nn, CELLS[cell].torch)(X.shape[2], hidden, batch_first=True)
    linear = torch.nn.Linear(hidden, classes)
    parameters = [*rnn.parameters(), *linear.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=2e-3, fused=way == "eager")
    cross_entropy = torch.nn.CrossEntropyLoss()

    def update(x, labels):
        optimizer.zero_grad()
        cross_entropy(linear(rnn(x)[0][:, -1]), labels).backward()
        optimizer.step()

    if way != "eager":
        update = torch.compile(update)
    is_traced = way != "unrolled"

    def step(cases):
        nonlocal is_traced
        cases = torch.from_numpy(cases)
        if not is_traced:
            with torch._dynamo.config.patch(allow_rnn=True):
                update(X[cases], y[cases])
            is_traced = True
        update(X[cases], y[cases])

    return step


def jax_step(X, y, hidden, classes, unroll=1, cell="elman"):
    """One step of optax's Adam on ``lax.scan``, jitted as a whole.

    ``unroll`` time steps are one iteration of the compiled loop.
    """
    import jax
    import jax.numpy as jnp
    import optax

    rng = np.random.default_rng(0)
    inputs = X.shape[2]
    gates = {"elman": 1, "gru": 3, "lstm": 4}[cell]
    square = [np.linalg.qr(rng.standard_normal((hidden, hidden)))[0] for _ in range(gates)]
    weights = {
        "U": rng.standard_normal((inputs, gates * hidden)) / inputs**0.5,
        "W": np.concatenate(square, axis=1),
        "b": np.zeros(gates * hidden),
        "past": np.zeros(hidden),
        "V": rng.standard_normal((hidden, classes)) / hidden**0.5,
        "c": np.zeros(classes),
    }
    weights = jax.tree.map(lambda w: jnp.asarray(w, jnp.float32), weights)
    optimizer = optax.adam(2e-3)
    state = optimizer.init(weights)

    def loss(w, x, labels):
        driven = jnp.swapaxes(x, 0, 1) @ w["U"] + w["b"]

        def elman(carried, a):
            return (jnp.tanh(a + carried[0] @ w["W"]),), None

        def gru(carried, a):
            (s,) = carried
            recurrent = s @ w["W"]
            r, u = jnp.split(jax.nn.sigmoid(a + recurrent)[:, : 2 * hidden], 2, axis=1)
            n = jnp.tanh(a[:, 2 * hidden :] + r * (recurrent[:, 2 * hidden :] + w["past"]))
            return (n + u * (s - n),), None

        def lstm(carried, a):
            s, c = carried
            i, f, g, o = jnp.split(a + s @ w["W"], 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        advance = {"elman": elman, "gru": gru, "lstm": lstm}[cell]
        zero = jnp.zeros((x.shape[0], hidden), x.dtype)
        start = (zero, zero) if cell == "lstm" else (zero,)
        (s, *_), _ = jax.lax.scan(advance, start, driven, unroll=unroll)
        return optax.softmax_cross_entropy_with_integer_labels(s @ w["V"] + w["c"], labels).mean()

    @jax.jit
    def update(w, state, x, labels):
        gradient = jax.grad(loss)(w, x, labels)
        change, state = optimizer.update(gradient, state)
        return optax.apply_updates(w, change), state

    def step(cases):
        nonlocal weights, state
        weights, state = update(weights, state, X[cases], y[cases])
        jax.block_until_ready(weights)

    return step
