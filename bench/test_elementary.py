"""tanh, exp and sigmoid inside compiled code against NumPy's ufuncs and SciPy's expit."""

import numpy as np
import pytest
import scipy.special
from fastadmm.kernels.core import elementary
from fastadmm.kernels.core.jit import jit

from bench.timing import measure, normal


def _loop(function):
    @jit
    def run(x, out):
        for i in range(len(x)):
            out[i] = function(x[i])

    return run


OURS = {name: _loop(getattr(elementary, name)) for name in ("tanh", "exp", "sigmoid")}
UFUNCS = {"tanh": np.tanh, "exp": np.exp, "sigmoid": scipy.special.expit}


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1_000, 100_000, 10_000_000])
@pytest.mark.parametrize("by", ["fastadmm", "numpy"])
@pytest.mark.parametrize("name", OURS)
def test_elementary(benchmark, name, by, n, real):
    x = normal(n, real)
    out = np.zeros_like(x)
    function = OURS[name] if by == "fastadmm" else UFUNCS[name]
    facts = {"operator": name, "n": n, "dtype": real.__name__, "by": by}
    measure(benchmark, function, x, out, streams=2, **facts)
    np.testing.assert_allclose(out[:100], UFUNCS[name](x[:100]), rtol=1e-6)
