"""Run under mpirun: wrong values that only the last rank reads are told by all ranks.

mpirun -n P python one_ranks_mistake.py
"""

import numpy as np
from mpi4py import MPI

from fastadmm import RNN, fit

COMM = MPI.COMM_WORLD
X, Y = np.zeros((12, 5, 3)), np.arange(12) % 4


def wrong_input():
    bad = X.copy()
    bad[-1, -1, 0] = np.nan
    return bad, Y, None


def wrong_label():
    bad = Y.copy()
    bad[-1] = 4
    return X, bad, None


def wrong_validation():
    bad, _, _ = wrong_input()
    return X, Y, (bad, Y)


def main():
    for make in (wrong_input, wrong_label, wrong_validation):
        inputs, targets, validation = make()
        net = RNN(3, 2, 4)
        before = net.theta.copy()
        settings = dict(batch_size=4, comm=COMM, grid=(1, COMM.size), threads=1)
        try:
            fit(net, inputs, targets, validation=validation, **settings)
        except ValueError as error:
            texts = COMM.allgather(str(error))
            assert len(set(texts)) == 1, texts
            assert np.array_equal(net.theta, before)
        else:
            raise AssertionError(f"rank {COMM.rank}: {make.__name__} was accepted")
    print("done", flush=True)


main()
