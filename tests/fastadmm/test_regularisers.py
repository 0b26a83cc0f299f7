"""Regularisers of block: what they do to the weights."""

import numpy as np
import pytest
from cases.splitting import small_task

from fastadmm import RNN, fit

pytestmark = pytest.mark.usefixtures("two_threads")


def test_group_removes_units_exactly():
    X, y = small_task()
    net = RNN(3, 8, 2, dtype="float64")
    fit(net, X, y, solver="block", epochs=400, batch_size=None, regulariser="group", strength=0.05)
    sent = np.concatenate([net.recurrent, net.read])
    removed = (sent == 0).all(0)
    assert 0 < removed.sum() < 8
    kept = ~removed
    small = RNN(3, int(kept.sum()), 2, dtype="float64")
    columns = np.concatenate([np.ones(4, bool), kept])
    small.theta[:] = net.theta[kept][:, columns]
    small.phi[:] = net.phi[:, np.append(True, kept)]
    np.testing.assert_allclose(small.predict(X), net.predict(X), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("l1", lambda w, free: (w == 0).mean() > 0.1),
        ("elastic_net", lambda w, free: (w == 0).mean() > 0.1),
        ("l2", lambda w, free: np.linalg.norm(w) < 0.9 * np.linalg.norm(free) and w.all()),
        ("nonneg", lambda w, free: (w >= 0).all()),
    ],
)
def test_regularisers_shape_the_weights(name, holds):
    X, y = small_task()

    def trained(name, strength):
        net = RNN(3, 6, 2, dtype="float64")
        own = dict(solver="block", regulariser=name, strength=strength)
        fit(net, X, y, epochs=100, batch_size=None, **own)
        return np.concatenate([net.drive.ravel(), net.recurrent.ravel(), net.read.ravel()])

    free = trained("l2", 1e-9)  # tied to its copy as well, which alone slows the weights down
    assert not holds(free, free)
    assert holds(trained(name, 0.02), free)
