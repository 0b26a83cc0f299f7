"""Tasks of the command line by name: their defaults, and which options each takes."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fastadmm.files import StrPath

if TYPE_CHECKING:
    from fastadmm.datasets import Task

NAMES = ("digits", "mnist", "text", "adding")


@dataclass(frozen=True)
class Defaults:
    """Settings where the command line gives none; a batch size of None takes all sequences."""

    hidden: int = 64
    epochs: int = 10
    batch_size: int | None = 64


_DEFAULTS = {
    "digits": Defaults(hidden=128, epochs=20),
    "mnist": Defaults(hidden=128, epochs=5, batch_size=128),
    "text": Defaults(hidden=128, epochs=8, batch_size=32),
    "adding": Defaults(hidden=128, batch_size=128),
}


def _check(task):
    if task not in NAMES and not task.endswith(".npz"):
        raise ValueError(f"task is {task!r}: expected {', '.join(NAMES)}, or a .npz file")


def defaults(task: str, solver: str = "condensed") -> Defaults:
    """Defaults of a task; `block` and `admmirnn` iterate on all sequences at once."""
    _check(task)
    found = _DEFAULTS.get(task, Defaults())
    if solver == "condensed" or task == "text":  # streams of text are one batch already
        return found
    return replace(found, hidden=min(found.hidden, 64), epochs=200, batch_size=None)


def load(
    task: str,
    data: StrPath | None = None,
    steps: int | None = None,
    pixels: bool = False,
    seed: int = 0,
    batch_size: int = 64,
    lazy: bool = False,
    known: dict[str, Any] | None = None,
    max_classes: int | None = None,
) -> "Task":
    """Load a task's data; ``lazy`` leaves it on disk where the format allows.

    ``known`` is the `RNN.task` of a trained model: its alphabet and its classes are taken.
    ``max_classes``: most classes, tokens or symbols; default `fastadmm.datasets.MAX_CLASSES`.

    Raises
    ------
    ValueError
        Where an option does not belong to the task, or data is missing or damaged.

    Returns
    -------
    fastadmm.datasets.Task
    """
    from fastadmm import datasets

    _check(task)
    known = known or {}
    most = datasets.MAX_CLASSES if max_classes is None else max_classes
    if pixels and task != "mnist":
        raise ValueError(f"pixels is an option of task mnist, not of {task}")
    if steps is not None and task in ("digits", "mnist"):
        raise ValueError(f"steps is an option of tasks text, adding and .npz, not of {task}")
    if task in ("mnist", "text"):
        if data is None:
            what = "the folder of its IDX files" if task == "mnist" else "the text file"
            raise ValueError(f"task {task} needs --data: {what}")
        if task == "mnist":
            return datasets.mnist(data, pixels, lazy)
        return datasets.text(data, steps or 50, batch_size, known.get("alphabet"), lazy, most)
    if data is not None:
        raise ValueError(f"data is an option of tasks mnist and text, not of {task}")
    if task == "digits":
        return datasets.digits()
    if task == "adding":
        return datasets.adding(steps or 100, seed=seed)
    return datasets.arrays(task, steps, lazy, known.get("classes"), most)


def held_out(task: "Task") -> tuple[Any, Any] | None:
    """The held-out part as `fastadmm.fit` takes it: of unequal lengths lists of sequences."""
    if task.held_out is None or task.held_out_lengths is None:
        return task.held_out
    X, y = task.held_out
    of_steps = task.readout == "all"
    rows = [X[i, :n] for i, n in enumerate(task.held_out_lengths)]
    return rows, [y[i, :n] for i, n in enumerate(task.held_out_lengths)] if of_steps else y
