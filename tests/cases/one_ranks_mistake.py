"""Run under mpirun: wrong values that only the last rank reads are told by all ranks.

mpirun -n P python one_ranks_mistake.py
"""

import numpy as np
from mpi4py import MPI

from fastadmm import RNN, fit

COMM = MPI.COMM_WORLD
X, Y = np.zeros((12, 5, 3)), np.arange(12) % 4


def changed(array, value):
    """A copy whose last entry is another one."""
    copy = array.copy()
    copy[(-1,) * copy.ndim] = value
    return copy


IS_LAST = COMM.rank == COMM.size - 1
MISTAKES = {
    "wrong input": dict(X=changed(X, np.nan)),
    "wrong label": dict(y=changed(Y, 4)),
    "wrong validation": dict(validation=(changed(X, np.nan), Y)),
    "wrong weight": dict(sample_weight=changed(np.ones(12), -1.0 if IS_LAST else 1.0)),
    "no checkpoint": dict(resume="nowhere.safetensors"),
    "no folder": dict(checkpoint="nowhere/at/all"),
}


def main():
    for name, mistake in MISTAKES.items():
        net = RNN(3, 2, 4)
        before = net.theta.copy()
        settings = dict(batch_size=4, comm=COMM, grid=(1, COMM.size), threads=1)
        try:
            fit(net, **(dict(X=X, y=Y) | mistake), **settings)
        except (ValueError, FileNotFoundError) as error:
            texts = COMM.allgather(str(error))
            assert len(set(texts)) == 1, texts
            assert np.array_equal(net.theta, before)
        else:
            raise AssertionError(f"rank {COMM.rank}: {name} was accepted")
    print("done", flush=True)


main()
