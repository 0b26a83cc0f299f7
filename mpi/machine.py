"""Seven numbers that describe a machine to the cost model, and the measurement of the network's."""

import dataclasses
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mpi4py import MPI


@dataclass(frozen=True)
class Machine:
    """Seven numbers.

    Attributes
    ----------
    latency : float
        Seconds that a message takes, however short.
    bandwidth, sum_bandwidth : float
        Bytes per second of long messages between two ranks, and of messages that are added up.
    flops, weight_flops : float
        Flops per second of one rank: in passes over sequences, and in the weight systems.
    half_batch : float
        Sequences at which a step runs at half of that rate (Hockney's n_1/2).
    overhead : float
        Seconds to start the passes over one micro-batch.
    about : dict
        Where the numbers come from.
    """

    latency: float = 2e-6
    bandwidth: float = 5e9
    sum_bandwidth: float = 2.5e9
    flops: float = 3e10
    weight_flops: float = 1e10
    half_batch: float = 4.0
    overhead: float = 5e-5
    about: dict[str, str] = dataclasses.field(default_factory=dict, compare=False)

    def __post_init__(self):
        for name in ("bandwidth", "sum_bandwidth", "flops", "weight_flops"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}: expected a positive number")
        for name in ("latency", "half_batch", "overhead"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}: expected at least 0")

    def __str__(self) -> str:
        source = "".join(f"; {key}: {value}" for key, value in self.about.items())
        return (
            f"latency {1e6 * self.latency:.1f} us, bandwidth {self.bandwidth / 1e9:.1f} GB/s, "
            f"{self.flops / 1e9:.1f} and {self.weight_flops / 1e9:.1f} Gflop/s per rank{source}"
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write the numbers as JSON."""
        Path(path).write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Machine":
        """Read what `save` wrote; numbers that are not there keep their typical values."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(**content)
        except FileNotFoundError:
            raise
        except OSError as error:  # too long a name, forbidden
            raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
        except (TypeError, json.JSONDecodeError) as error:
            names = ", ".join(field.name for field in dataclasses.fields(cls))
            raise ValueError(f"{path}: expected JSON with numbers {names} ({error})") from error


TYPICAL = Machine(about={"source": "typical values, not measured"})
"""A core of a server and a cluster's network: for decisions that must not depend on a clock."""


LONG = 1 << 17
"""Bytes of a long message: about those of a sum of Grams, or of a mini-batch's states."""


def calibrate(comm: "MPI.Intracomm | None" = None, **rates: Any) -> Machine:
    """`Machine` with this network's latency and bandwidth, in well under a second; collective.

    Messages are exchanged, and summed, between the first and the last rank, which a launcher places
    on different nodes where there are several. With one process the numbers are those of two ranks
    on a node: the latency a typical one, the bandwidth half of that of a copy in memory, a quarter
    of it for sums.

    Parameters
    ----------
    comm : mpi4py communicator or None
    **rates
        The other numbers of the machine, which the caller has measured.
    """
    if comm is None or comm.size == 1:
        network = np.array([1e-6, _copy_rate() / 2, _copy_rate() / 4])
        source = "one process: two ranks on a node assumed"
    else:
        network = _two_ranks(comm)
        comm.Bcast(network)  # all ranks must decide alike
        source = "messages between the first and the last rank"
    about = {"network": source} | rates.pop("about", {})
    return Machine(*map(float, network), **rates, about=about)


def _two_ranks(comm):
    """Latency, bandwidth, sum_bandwidth between the first and the last rank; theirs alone count."""
    ends = comm.rank in (0, comm.size - 1)
    pair = comm.Split(0 if ends else 1)
    if not ends:
        pair.Free()
        return np.empty(3)
    mine, other = np.zeros(LONG // 8), np.empty(LONG // 8)
    partner = 1 - pair.rank

    def exchange(n):
        pair.Sendrecv(mine[:n], partner, recvbuf=other[:n], source=partner)

    latency = _median_seconds(lambda: exchange(1))
    long = _median_seconds(lambda: exchange(len(mine))) - latency
    summed = _median_seconds(lambda: pair.Allreduce(mine, other)) - 2 * latency
    pair.Free()
    return np.array([latency, LONG / max(long, 1e-9), LONG / max(summed, 1e-9)])


def _median_seconds(action, rounds=200):
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def _copy_rate():
    """Bytes per second of a copy, of a message's size."""
    source, target = np.ones(LONG, np.uint8), np.empty(LONG, np.uint8)
    return LONG / _median_seconds(lambda: np.copyto(target, source))
