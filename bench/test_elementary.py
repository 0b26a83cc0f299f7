"""tanh, exp and sigmoid on one thread against NumPy's ufuncs and SciPy's expit."""

import numpy as np
import pytest
import scipy.special
from fastadmm.kernels import elementary
from fastadmm.kernels.jit import jit


def _loop(function):
    @jit
    def run(x, out):
        for i in range(len(x)):
            out[i] = function(x[i])

    return run


OURS = {name: _loop(getattr(elementary, name)) for name in ("tanh", "exp", "sigmoid")}
PEERS = {
    "tanh": {"numpy": np.tanh},
    "exp": {"numpy": np.exp},
    "sigmoid": {
        "numpy": lambda x, out: np.reciprocal(1 + np.exp(-x), out),
        "scipy": scipy.special.expit,
    },
}
CASES = [(name, who) for name in OURS for who in ("fastadmm", *PEERS[name])]


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1_000, 100_000, 10_000_000])
@pytest.mark.parametrize(("name", "who"), CASES)
def test_elementary(benchmark, name, who, n, real):
    benchmark.group = f"{name} {n} {real.__name__}"
    x = np.random.default_rng(0).normal(size=n).astype(real)
    out, expected = np.empty_like(x), PEERS[name]["numpy"](x[:100], np.empty_like(x[:100]))
    function = OURS[name] if who == "fastadmm" else PEERS[name][who]
    function(x, out)  # compiles
    benchmark(function, x, out)
    np.testing.assert_allclose(out[:100], expected, rtol=1e-6)
