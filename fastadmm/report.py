"""What a training run leaves in its folder: summary, history, model, picture."""

import json
import math
import platform
from importlib import metadata
from pathlib import Path

from fastadmm.network import write_atomically
from fastadmm.version import __version__


def versions():
    """Versions of this package and of what it computes with."""
    names = ("numba", "numpy", "scipy", "llvmlite")
    return {
        "fastadmm": __version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in names},
    }


def finite_or_none(value):
    """A number, or several, as JSON knows it: None in place of NaN and infinity."""
    if isinstance(value, tuple | list):
        return [finite_or_none(each) for each in value]
    return None if value is None or not math.isfinite(value) else float(value)


def open_folder(folder):
    """Create the folder, and find out before any work that it can be written."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / ".writable", b"")
        (folder / ".writable").unlink()
    except OSError as error:
        raise ValueError(f"out is {folder}: cannot be written ({error.strerror})") from error
    return folder


def write_report(folder, net, summary, history):
    """Write ``model.safetensors``, ``history.jsonl`` and ``summary.json``, each atomically."""
    net.save(folder / "model.safetensors")
    lines = "".join(json.dumps(record) + "\n" for record in history)
    write_atomically(folder / "history.jsonl", lines.encode())
    write_atomically(folder / "summary.json", (json.dumps(summary, indent=2) + "\n").encode())


def read_history(folder):
    """Records of ``history.jsonl``."""
    with open(Path(folder) / "history.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def draw_convergence(folder):
    """Draw ``convergence.png`` from the saved history.

    Returns
    -------
    Path or None
        None where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    history = read_history(folder)
    figure = Figure(figsize=(9, 6), layout="constrained")
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
    if splits:
        _draw_splitting(axes, curve)
    else:
        _draw_condensed(axes, curve)
    for axis in axes.flat:
        axis.grid(alpha=0.3)
        if axis.lines and axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize="small")
        else:
            axis.text(0.5, 0.5, "none for this task", ha="center", transform=axis.transAxes)
    for axis in axes[1]:
        axis.set(xlabel="epoch")
    figure.savefig(Path(folder) / "convergence.png", dpi=120)
    return Path(folder) / "convergence.png"


def _draw_condensed(axes, curve):
    curve(axes[0, 1], "validation_accuracy", "held out", color="C1")
    axes[0, 1].set(ylabel="accuracy")
    curve(axes[1, 0], "step_length", "rms change of pre-activations")
    curve(axes[1, 0], "multiplier_rms", "rms multiplier")
    axes[1, 0].set(ylabel="per step", yscale="log")
    curve(axes[1, 1], "growth", "growth γ of the multipliers", color="C2")
    axes[1, 1].axhline(0, color="0.6", linewidth=0.8)
    axes[1, 1].set(ylabel="γ per step back")


def _draw_splitting(axes, curve):
    curve(axes[0, 0], "output_loss", "at the output variables")
    curve(axes[0, 0], "objective", "there, with regulariser", linestyle="--")
    curve(axes[0, 0], "lagrangian", "augmented Lagrangian", linestyle=":")
    axes[0, 0].set(yscale="log")
    curve(axes[0, 1], "validation_accuracy", "held out", color="C1")
    axes[0, 1].set(ylabel="accuracy")
    for place, name in enumerate(("pre-activations", "states", "outputs")):
        curve(axes[1, 0], "primal", f"primal, {name}", place, color=f"C{place}")
        curve(axes[1, 0], "dual", f"dual, {name}", place, color=f"C{place}", linestyle=":")
        curve(axes[1, 1], "rho", name, place, color=f"C{place}")
    axes[1, 0].set(ylabel="relative residual", yscale="log")
    axes[1, 1].set(ylabel="penalty ρ", yscale="log")
