"""Run under mpirun: edges and sums against slices of a known global array."""

import sys

import numpy as np
from fastadmm.mpi import transfer
from fastadmm.mpi.grid import Grid
from mpi4py import MPI

COMM = MPI.COMM_WORLD
B, T, H = 5, 7, 3
WORLD = np.arange(T * B * H, dtype=float).reshape(T, B, H)


def check(grid_shape):
    grid = Grid(COMM, *grid_shape)
    for n_cases, n_steps in ((B, T), (3, 2), (1, 1)):
        part = grid.cut(n_cases, n_steps, B)
        steps, places = part.steps, (part.places.start, part.places.stop)
        cases = slice(*(min(place, n_cases) for place in places))
        own = WORLD[:n_steps, :n_cases][steps, cases].copy()
        left, right = np.full((2, own.shape[1], H), -1.0)
        if len(own):
            grid.send_right(part, own[-1])
            grid.send_left(part, own[0])
        grid.receive_left(part, left)
        grid.receive_right(part, right)
        grid.end_iteration()
        expected = WORLD[steps.start - 1, cases] if len(own) and steps.start else None
        np.testing.assert_array_equal(left, -1.0 if expected is None else expected)
        inner = len(own) and steps.stop < n_steps
        np.testing.assert_array_equal(right, WORLD[steps.stop, cases] if inner else -1.0)
        total, count = own.sum(axis=(0, 1)), np.array([own.size], dtype=np.float32)
        grid.sum(total, count)
        np.testing.assert_allclose(total, WORLD[:n_steps, :n_cases].sum(axis=(0, 1)))
        assert count[0] == n_cases * n_steps * H
        carried = grid.carry(part, own[-1].copy() if len(own) else np.zeros((own.shape[1], H)))
        if part.is_first:
            np.testing.assert_array_equal(carried, WORLD[n_steps - 1, cases])
    numbers = np.arange(13.0)
    transfer.LARGEST, whole = 5, transfer.LARGEST
    grid.sum(numbers)  # in three messages
    transfer.LARGEST = whole
    np.testing.assert_array_equal(numbers, grid.size * np.arange(13.0))
    assert grid.any(grid.rank == grid.size - 1)
    assert not grid.any(False)
    assert grid.largest(grid.rank) == grid.size - 1


def main():
    for time in range(1, COMM.size + 1):
        if COMM.size % time == 0:
            check((time, COMM.size // time))
    print("done", flush=True)
    sys.exit(0)


main()
