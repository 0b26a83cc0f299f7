"""What a training run leaves in its folder: summary, history, model, picture."""

import contextlib
import hashlib
import importlib
import io
import json
import platform
import resource
import sys
from functools import partial
from pathlib import Path
from typing import Any

from fastadmm import config
from fastadmm.files import StrPath, write_atomically
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


class Folder:
    """Where a run is written: created, and found to be writable, before any work.

    Parameters
    ----------
    path : path

    Raises
    ------
    ValueError
        Where it cannot be written.
    """

    def __init__(self, path: StrPath):
        self.path = Path(path)
        self._created = [p for p in (self.path, *self.path.parents) if not p.exists()]
        self._history, self._lost = None, False
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path / ".writable", b"")
            (self.path / ".writable").unlink()
        except OSError as error:
            self.leave()
            raise ValueError(f"out is {path}: cannot be written ({error.strerror})") from error

    def leave(self) -> None:
        """Remove what was created and is still empty."""
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
                self._history = _history(self.path / "history.jsonl", record["epoch"])
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
        """Write model, summary, history, options and picture, each atomically; the model first.

        Returns
        -------
        picture : bool
            Whether there is one: not without matplotlib.
        failures : list of str
            What could not be written, and why; all else is there.
        """
        if self._history is not None:
            with contextlib.suppress(OSError):  # what a full disk has not taken
                self._history.close()
        text = "".join(json.dumps(record) + "\n" for record in history)
        parts = {
            "model.safetensors": net.save,
            "summary.json": partial(_write, json.dumps(summary, indent=2) + "\n"),
            "history.jsonl": partial(_write, text),
            "config.toml": partial(_write, config.text(options or {})),
            "convergence.png": partial(draw_convergence, history, summary),
        }
        failures, done = [], {}
        for name, write in parts.items():
            try:
                done[name] = write(self.path / name)
            except OSError as error:
                failures.append(_failed(name, error))
        return done.get("convergence.png") is not None, failures


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
    return f"{name} cannot be written ({error.strerror})"


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
