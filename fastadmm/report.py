"""What a training run leaves in its folder: summary, history, model, picture."""

import contextlib
import hashlib
import importlib
import io
import json
import platform
import resource
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from fastadmm import config
from fastadmm.files import StrPath, reserve, shortened, write_atomically
from fastadmm.network import RNN


def source_digest() -> str:
    """Digest of the package's source: what is equal in two runs of the same text."""
    digest = hashlib.sha256()
    rooms = {"": "*.py", ".solvers": "*.py", ".kernels": "**/*.py", ".mpi": "*.py"}
    for name, pattern in rooms.items():
        room = Path(importlib.import_module(f"fastadmm{name}").__path__[0])
        for path in sorted(room.glob(pattern)):
            digest.update(f"{name}/{path.relative_to(room)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def usage(train_seconds: float, wait_seconds: float) -> dict[str, Any]:
    """What a run has cost this process: see `fastadmm.training.Result.ranks`."""
    unit = 1 if sys.platform == "darwin" else 1024  # of getrusage
    return {
        "host": platform.node(),
        "work_seconds": train_seconds - wait_seconds,
        "wait_seconds": wait_seconds,
        "peak_bytes": unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


LEFT = ("model.safetensors", "summary.json", "history.jsonl", "config.toml", "convergence.png")
"""What a run leaves behind; the summary only where all else is there and belongs to it."""
RESERVE = 1 << 20
"""Bytes that a run needs beside its model."""


class Folder:
    """Where a run is written: created, and found to have room for it, before any work.

    What an earlier run has left stays whole: while this one goes on, it writes into ``running/``,
    and when it has written everything, the earlier one moves to ``earlier/1``, ``earlier/2``, ...

    Parameters
    ----------
    path : path
    goes_on : bool
        The run is that of before, which goes on: what that one has left is replaced.
    overwrite : bool
        An earlier run is replaced, too.
    size : int
        Bytes of the model.

    Raises
    ------
    ValueError
        Where it cannot be written.
    """

    def __init__(
        self, path: StrPath, goes_on: bool = False, overwrite: bool = False, size: int = 0
    ):
        self.path = Path(path)
        self._created, self._history, self._lost, self._keeps = [], None, False, not overwrite
        try:
            self._created = [p for p in (self.path, *self.path.parents) if not p.exists()]
            self.path.mkdir(parents=True, exist_ok=True)
            is_taken = any((self.path / name).exists() for name in ("model.safetensors", LEFT[1]))
            self._place = self.path / "running" if is_taken and not goes_on else self.path
            if self._place != self.path:
                self._created.insert(0, self._place)
                self._place.mkdir(exist_ok=True)
                for name in LEFT:  # of a run that was killed
                    (self._place / name).unlink(missing_ok=True)
            self._reserved = reserve(self._place, size + RESERVE)
        except OSError as error:
            self.leave()
            said = f"out is {shortened(path)}: cannot be written ({error.strerror})"
            raise ValueError(said) from error

    def leave(self) -> None:
        """Remove what was created and is still empty."""
        with contextlib.suppress(AttributeError, OSError):
            self._reserved.unlink()
        for path in self._created:
            try:
                path.rmdir()
            except OSError:  # not empty, or not there
                return

    def append(self, record: dict[str, Any]) -> None:
        """Append an epoch to ``history.jsonl``, at once; a full disk is one warning.

        Of a history that is there, what is before the first epoch that is appended stays.
        """
        if self._lost:
            return
        try:
            if self._history is None:
                self._history = _history(self._place / "history.jsonl", record["epoch"])
            self._history.write(json.dumps(record) + "\n")
            self._history.flush()
        except OSError as error:
            self._lost = True
            print(f"warning: {_failed('history.jsonl', error)}", file=sys.stderr, flush=True)

    def write(
        self,
        net: RNN,
        summary: dict[str, Any],
        history: list[dict[str, Any]],
        options: dict[str, Any] | None = None,
    ) -> tuple[bool, list[str]]:
        """Write model, history, options, picture and summary, each atomically; the model first.

        A model that finds no room here is written into a folder for temporary files.

        Returns
        -------
        picture : bool
            Whether there is one: not without matplotlib, nor where it cannot be drawn.
        failures : list of str
            What could not be written, and why; all else is there.
        """
        if self._history is not None:
            with contextlib.suppress(OSError):  # what a full disk has not taken
                self._history.close()
        self._reserved.unlink(missing_ok=True)
        (self._place / "summary.json").unlink(missing_ok=True)  # of before, where this goes on
        text = "".join(json.dumps(record) + "\n" for record in history)
        parts = {
            "model.safetensors": net.save,
            "history.jsonl": partial(_write, text),
            "config.toml": partial(_write, config.text(options or {})),
            "summary.json": partial(_write, json.dumps(summary, indent=2) + "\n"),
        }
        failures = []
        for name, write in parts.items():
            try:
                write(self._place / name)
            except OSError as error:
                rescued = _rescued(net) if name == "model.safetensors" else ""
                failures.append(_failed(name, error) + rescued)
        picture = self._draw(history, summary)
        if not failures and self._place != self.path:
            try:
                self._move_earlier()
            except OSError as error:
                failures.append(f"what is in {self._place} cannot be moved ({error.strerror})")
        return picture, failures

    def _draw(self, history, summary):
        """Whether there is a picture; one that cannot be drawn or written is a warning."""
        try:
            return draw_convergence(history, summary, self._place / LEFT[-1]) is not None
        except Exception as error:
            message = _failed(LEFT[-1], error)
            print(f"warning: {message}", file=sys.stderr, flush=True)
            return False

    def _move_earlier(self):
        """Put this run in the place of an earlier one, which is kept whole."""
        if self._keeps:
            earlier = self.path / "earlier"
            earlier.mkdir(exist_ok=True)
            numbers = [int(each.name) for each in earlier.iterdir() if each.name.isdigit()]
            kept = earlier / str(max(numbers, default=0) + 1)
            kept.mkdir()
            for name in LEFT:
                if (self.path / name).exists():
                    (self.path / name).rename(kept / name)
        (self.path / "summary.json").unlink(missing_ok=True)
        for name in sorted(LEFT, key="summary.json".__eq__):  # the summary last
            if (self._place / name).exists():
                (self._place / name).replace(self.path / name)


def _rescued(net):
    """Where a model is that found no room in its folder."""
    try:
        path = Path(tempfile.mkdtemp(prefix="fastadmm-")) / "model.safetensors"
        net.save(path)
    except OSError:
        return ""
    return f": it is at {path}"


def _history(path, epoch):
    """The file of a history, open for an epoch and those after it."""
    if epoch == 1 or not path.is_file():
        return open(path, "w", encoding="utf-8")
    lines = path.read_bytes().splitlines(keepends=True)
    write_atomically(path, b"".join(lines[: epoch - 1]))
    return open(path, "a", encoding="utf-8")


def _write(text, path):
    write_atomically(path, text.encode())


def _failed(name, error):
    return f"{name} cannot be written ({getattr(error, 'strerror', None) or error})"


def draw_convergence(
    history: list[dict[str, Any]], summary: dict[str, Any], path: StrPath
) -> StrPath | None:
    """Draw a run's history as a PNG.

    Parameters
    ----------
    history : list of dict
        As `fastadmm.training.Result` has it.
    summary : dict
        Its ``task``, ``solver`` and ``hidden`` are the title.
    path : path

    Returns
    -------
    path or None
        None where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        return None
    figure = Figure(figsize=(9, 6), layout="constrained")
    figure.suptitle("{task}, {solver}, {hidden} hidden units".format(**summary))
    axes = figure.subplots(2, 2, sharex=True)
    epochs = [record["epoch"] for record in history]
    few = {"marker": "o", "markersize": 3} if len(history) < 50 else {}

    def curve(axis, key, label, place=None, **style):
        values = [record[key] if place is None else record[key][place] for record in history]
        if any(value is not None for value in values):
            axis.plot(epochs, values, label=label, **few, **style)

    splits = bool(history) and "primal" in history[0]
    curve(axes[0, 0], "train_loss", "training")
    curve(axes[0, 0], "validation_loss", "held out")
    axes[0, 0].set(ylabel="loss")
    _logarithmic(axes[0, 0])
    if splits:
        _draw_splitting(axes, curve)
    else:
        _draw_condensed(axes, curve)
    best = _best_epoch(history, splits)
    for axis in axes.flat:
        axis.grid(alpha=0.3)
        if not axis.lines:
            axis.text(0.5, 0.5, "none for this task", ha="center", transform=axis.transAxes)
            continue
        if best is not None:
            axis.axvline(
                best, color="0.5", linewidth=0.8, linestyle="--", label=f"best epoch: {best}"
            )
        axis.legend(fontsize="small")
    axes[0, 0].xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in axes[1]:
        axis.set(xlabel="epoch")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_atomically(path, buffer.getvalue())
    return path


def _best_epoch(history, judges_before):
    """Epoch of the lowest held-out loss, or training loss where nothing is held out.

    The latter may be the loss of the weights that an epoch began with.
    """
    for key, late in (("validation_loss", 0), ("train_loss", int(judges_before))):
        found = [(r[key], r["epoch"] - late) for r in history if r[key] is not None]
        if found:
            return min(found)[1]
    return None


def _logarithmic(axis):
    """A logarithmic scale, where there is something to draw on it."""
    if any(value is not None and value > 0 for line in axis.lines for value in line.get_ydata()):
        axis.set(yscale="log")


def _draw_condensed(axes, curve):
    curve(axes[0, 1], "validation_accuracy", "held out", color="C1")
    axes[0, 1].set(ylabel="accuracy")
    curve(axes[1, 0], "step_length", "rms change of pre-activations")
    curve(axes[1, 0], "multiplier_rms", "rms multiplier")
    axes[1, 0].set(ylabel="mean over steps")
    _logarithmic(axes[1, 0])
    curve(axes[1, 1], "growth", "above 0 they explode, below they vanish", color="C2")
    axes[1, 1].set(ylabel="growth of multipliers\nper step back in time")
    if axes[1, 1].lines:
        axes[1, 1].axhline(0, color="0.6", linewidth=0.8)


def _draw_splitting(axes, curve):
    curve(axes[0, 0], "output_loss", "at the output variables")
    curve(axes[0, 0], "objective", "there, with regulariser", linestyle="--")
    curve(axes[0, 0], "lagrangian", "augmented Lagrangian", linestyle=":")
    curve(axes[0, 1], "validation_accuracy", "held out", color="C1")
    axes[0, 1].set(ylabel="accuracy")
    for place, name in enumerate(("pre-activations", "states", "outputs")):
        curve(axes[1, 0], "primal", f"primal, {name}", place, color=f"C{place}")
        curve(axes[1, 0], "dual", f"dual, {name}", place, color=f"C{place}", linestyle=":")
        curve(axes[1, 1], "rho", name, place, color=f"C{place}")
    axes[1, 0].set(ylabel="relative residual")
    axes[1, 1].set(ylabel="penalty ρ")
    for axis in axes[1]:
        _logarithmic(axis)
