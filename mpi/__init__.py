"""Training over MPI ranks: who owns which time steps and sequences, and how they move.

launch
    How a job was started; `together` ends all of its ranks where one fails.
cost, machine
    What training costs on a grid of ranks, and the numbers that describe a machine.
serial, grid, asynchronous
    Domains, which own and exchange parts: one process; ranks in step; ranks that may run ahead.
partition, transfer, exchange
    Contiguous parts of n things; messages through buffers that are kept; cases that change ranks.

Modules are loaded when they are first asked for, and mpi4py only where there are ranks.
"""

import importlib

__all__ = [
    "asynchronous", "cost", "exchange", "grid", "launch", "machine", "partition", "serial",
    "transfer",
]  # fmt: skip


def __getattr__(name):
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f".{name}", __name__)


def __dir__():
    return sorted({*globals(), *__all__})
