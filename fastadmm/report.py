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
    """A number as JSON knows it: None in place of NaN and infinity."""
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

    def curve(axis, key, label, **style):
        values = [record[key] for record in history]
        if any(value is not None for value in values):
            axis.plot(epochs, values, marker="o", markersize=3, label=label, **style)

    curve(axes[0, 0], "train_loss", "training")
    curve(axes[0, 0], "validation_loss", "held out")
    axes[0, 0].set(ylabel="loss")
    curve(axes[0, 1], "validation_accuracy", "held out", color="C1")
    axes[0, 1].set(ylabel="accuracy")
    curve(axes[1, 0], "step_length", "rms change of pre-activations")
    curve(axes[1, 0], "multiplier_rms", "rms multiplier")
    axes[1, 0].set(ylabel="per step", yscale="log", xlabel="epoch")
    curve(axes[1, 1], "growth", "growth γ of the multipliers", color="C2")
    axes[1, 1].axhline(0, color="0.6", linewidth=0.8)
    axes[1, 1].set(ylabel="γ per step back", xlabel="epoch")
    for axis in axes.flat:
        axis.grid(alpha=0.3)
        if axis.lines and axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize="small")
        else:
            axis.text(0.5, 0.5, "none for this task", ha="center", transform=axis.transAxes)
    figure.savefig(Path(folder) / "convergence.png", dpi=120)
    return Path(folder) / "convergence.png"
