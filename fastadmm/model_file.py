"""What is in a model file, before it is believed: its header against its tensors."""

from typing import Any

from fastadmm.cells import CELLS, places
from fastadmm.files import shortened


def checked(file, layout, readouts):
    """Facts and task of a model's file, after a look at what they claim.

    Parameters
    ----------
    file : fastadmm.tensors.Tensors
    layout : inspect.Signature
        Of the function that lays out a network from the facts.
    readouts : sequence of str

    Returns
    -------
    facts, task : dict

    Raises
    ------
    KeyError, fastadmm.files.FileError
        Before anything is allocated.
    """
    facts, task = file.header["network"], file.header["task"]
    _check_facts(file, facts, layout)
    _compare(file, facts)
    _check_task(file, task, readouts)
    return facts, task


def _check_facts(file, facts, layout):
    """Refuse facts of other names, and sizes that are none."""
    known = dict(list(layout.parameters.items())[1:])
    needed = {name for name, each in known.items() if each.default is each.empty}
    if (
        not isinstance(facts, dict)
        or not needed <= set(facts) <= set(known)
        or any(type(facts[name]) is not int for name in ("inputs", "hidden", "outputs"))
    ):
        raise file.wrong(
            f"network in its header is {shortened(facts)}: expected {', '.join(known)}"
        )
    layers = facts.get("layers", 1)
    if type(layers) is not int or not 1 <= layers <= len(file.shapes):
        raise file.wrong(f"layers in its header is {shortened(layers)}: expected as it has weights")


def _compare(file, facts):
    """Refuse a header that does not tell the sizes of its tensors."""
    if file.kinds() - {"F32", "F64"}:
        raise file.wrong(f"weights are {', '.join(sorted(file.kinds()))}: expected F32 or F64")
    for name, least, columns in _least_shapes(**facts):
        found = file.shapes.get(name, ())
        if len(found) != 2 or found[0] < least or found[1] != columns:
            raise file.wrong(
                f"{name} has shape {found}, but network in its header is {shortened(facts)}"
            )


def _least_shapes(
    inputs: int, hidden: int, outputs: int, layers: int = 1, bidirectional: Any = False,
    cell: Any = "elman", **_others: Any,
):  # fmt: skip
    """Name, least rows, and columns of all matrices: a cell that nobody knows has one block."""
    blocks = CELLS[cell].blocks if isinstance(cell, str) and cell in CELLS else 1
    both = bidirectional is True
    width = hidden * (1 + both)
    for place in places(inputs, width, layers, both):
        yield f"rnn.weight_ih{place.suffix}", hidden * blocks, place.inputs
        yield f"rnn.weight_hh{place.suffix}", hidden * blocks, hidden
    yield "readout.weight", outputs, width


def _check_task(file, task, readouts):
    """Refuse what a model cannot have been trained for."""
    if not isinstance(task, dict):
        raise file.wrong(f"task in its header is {shortened(task)}: expected an object")
    if task.get("readout", "last") not in readouts:
        raise file.wrong(
            f"readout of its task is {shortened(task['readout'])}: expected {', '.join(readouts)}"
        )
    outputs = file.header["network"]["outputs"]
    for name, kind in (("classes", list), ("alphabet", str)):
        value = task.get(name)
        if value is not None and not (isinstance(value, kind) and len(value) == outputs):
            raise file.wrong(
                f"{name} of its task is {shortened(value)}: expected one for each output, {outputs}"
            )
