"""The cells: the affine maps of each, torch's names for them, and where their weights act.

Rows are [x; 1; s]: inputs, the constant one and states. A map reads [x; 1; s], [x; 1] or [1; s].
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from fastadmm.mpi import cost
    from fastadmm.network import RNN


class Columns(NamedTuple):
    """Columns of an affine map's weights, and of the rows that it acts on.

    With the one in the middle, what reads [x; 1], [1; s] or all of a row reads neighbours.
    """

    drive: slice
    """Of the inputs x."""
    bias: int
    """Of the constant one."""
    recurrent: slice
    """Of the states s."""


def columns(inputs: int) -> Columns:
    """Columns of a map of [x; 1; s] with so many inputs."""
    return Columns(slice(0, inputs), inputs, slice(inputs + 1, None))


READ_OUT = columns(0)
"""The read-out acts on [1; s]."""


class Place(NamedTuple):
    """A cell at its place in a network."""

    level: int
    """From 0."""
    is_reverse: bool
    """It goes backward in time."""
    inputs: int
    """D, what it reads."""

    @property
    def suffix(self) -> str:
        """Of torch's names of its weights."""
        return f"_l{self.level}{'_reverse' if self.is_reverse else ''}"


def places(inputs: int, width: int, layers: int, bidirectional: bool) -> list[Place]:
    """All cells of a network, from below; ``width`` is what the cells of a layer give together."""
    return [
        Place(level, is_reverse, width if level else inputs)
        for level in range(layers)
        for is_reverse in ((False, True) if bidirectional else (False,))
    ]


@dataclass(frozen=True)
class Map:
    """An affine map of a cell.

    Attributes
    ----------
    name : str
    gates : slice
        Its blocks of H rows among those of torch's weights.
    driven, recurrent : bool
        Whether it reads the inputs, and the states. The constant one it always reads; torch has it
        with the inputs where it reads them.
    """

    name: str
    gates: slice
    driven: bool = True
    recurrent: bool = True

    @property
    def blocks(self) -> int:
        """Units of the map, in units of H."""
        return self.gates.stop - self.gates.start

    def rows(self, hidden: int) -> slice:
        """Its rows in torch's weights."""
        return slice(self.gates.start * hidden, self.gates.stop * hidden)

    def columns(self, inputs: int) -> Columns:
        """Columns of its weights, for a row of so many inputs."""
        return columns(inputs if self.driven else 0)

    def width(self, inputs: int, hidden: int) -> int:
        """Number of its columns."""
        return inputs * self.driven + 1 + hidden * self.recurrent


@dataclass(frozen=True)
class Cell:
    """A cell, as networks and solvers see it.

    Attributes
    ----------
    name : str
    kernel : str
        Module and class in `fastadmm.kernels.recurrent.cells`.
    torch : str
        Class in ``torch.nn`` whose names and shapes its weights have.
    maps : tuple of Map
        Those that read the inputs come first.
    constants : callable
        Fields of the kernel's class, from the network.
    biases : tuple of (int, float)
        Blocks of torch's rows whose bias does not start at zero, and where it starts.
    activations : tuple of str or None
        Those that it takes; None for all.
    """

    name: str
    kernel: str
    torch: str
    maps: tuple[Map, ...]
    constants: Callable[["RNN"], tuple] = lambda net: (net.hidden,)
    biases: tuple[tuple[int, float], ...] = ()
    activations: tuple[str, ...] | None = ("tanh",)

    @property
    def gates(self) -> int:
        """Pre-activations of a step, in units of H."""
        return sum(each.blocks for each in self.maps)

    def sizes(self) -> "cost.Cell":
        """What the cost model wants to know of it."""
        from fastadmm.mpi.cost import Cell as Sizes

        kind = self.kind()
        maps = tuple((each.blocks, each.driven, each.recurrent) for each in self.maps)
        return Sizes(self.name, maps, kind.KEPT, kind.CARRIED)

    @property
    def blocks(self) -> int:
        """Blocks of H rows in torch's weights."""
        return max(each.gates.stop for each in self.maps)

    @property
    def driven(self) -> int:
        """Those of maps that read the inputs."""
        return sum(each.blocks for each in self.maps if each.driven)

    def kind(self) -> Any:
        """The class that compiled kernels choose by."""
        module, name = self.kernel.split(".")
        return getattr(importlib.import_module(f"fastadmm.kernels.recurrent.cells.{module}"), name)


_ROWS = (
    Cell(
        "elman", "elman.Elman", "RNN", (Map("theta", slice(0, 1)),),
        lambda net: (net.hidden, net.activation_code), activations=None,
    ),
    Cell(
        "leaky", "leaky.Leaky", "RNN", (Map("theta", slice(0, 1)),),
        lambda net: (net.hidden, net.activation_code, net.leak.astype(net.dtype)),
        activations=None,
    ),
    Cell(
        "gru", "gru.Gru", "GRU",
        (
            Map("gates", slice(0, 2)),
            Map("candidate", slice(2, 3), recurrent=False),
            Map("past", slice(2, 3), driven=False),
        ),
    ),
    Cell("lstm", "lstm.Lstm", "LSTM", (Map("gates", slice(0, 4)),), biases=((1, 1.0),)),
)  # fmt: skip
CELLS = {each.name: each for each in _ROWS}
"""By name. A cell more is a row here, and a file in `fastadmm.kernels.recurrent.cells`."""


def start(
    cell: Cell, inputs: int, hidden: int, gain: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Initial weights in torch's blocks of rows: of states, (G H, H), of inputs, and biases.

    ``gain`` times an orthogonal matrix a block, and normal with variance 1/D.
    """
    recurrent = [np.linalg.qr(rng.standard_normal((hidden, hidden)))[0] for _ in range(cell.blocks)]
    drive = rng.standard_normal((cell.blocks * hidden, inputs)) / inputs**0.5
    bias = np.zeros((cell.blocks, hidden))
    for block, value in cell.biases:
        bias[block] = value
    return gain * np.concatenate(recurrent), drive, bias.reshape(-1)
