"""What the default settings reach, through the command line: digits, MNIST, text, adding.

python -m bench.accuracy DATA     DATA holds mnist/ and text/; writes results/accuracy.json
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, median

from bench import machine

GAINS = (0.01, 0.1, 0.5, 1, 2, 4, 8)
SEEDS = range(5)


def train(*arguments):
    """Summary of one run of ``fastadmm train``, with its own arguments in it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "fastadmm", "train", *map(str, arguments)]
        subprocess.run([*command, "--quiet", "--out", folder], check=True)
        summary = json.loads((Path(folder) / "summary.json").read_text())
    for about_this_machine in ("versions", "command", "host", "per_rank"):
        del summary[about_this_machine]
    # the path of the data says nothing to a reader
    shown = [a for i, a in enumerate(arguments) if "--data" not in arguments[max(0, i - 1) : i + 1]]
    return {"arguments": " ".join(map(str, shown))} | summary


def main(data):
    """Run everything; print a line a setting."""
    mnist = ("mnist", "--data", Path(data) / "mnist", "--hidden", 128, "--epochs", 5)
    text = ("text", "--data", Path(data) / "text" / "tiny_shakespeare.txt", "--hidden", 128)
    adding = ("adding", "--steps", 100, "--hidden", 128)
    settings = {"digits": ("digits",), "text": text, "adding": adding}
    settings |= {f"mnist, gain {gain:g}": (*mnist, "--gain", gain) for gain in GAINS}
    runs = []
    for name, arguments in settings.items():
        done = [train(*arguments, "--seed", seed) for seed in SEEDS]
        runs += done
        key = "test_loss" if done[0]["test_accuracy"] is None or name == "text" else "test_accuracy"
        values = [run[key] for run in done]
        seconds = median(run["train_seconds"] for run in done)
        print(
            f"{name:16} {key:13} mean {mean(values):.4f}  lowest {min(values):.4f}  "
            f"highest {max(values):.4f}  {seconds:.2f} s",
            flush=True,
        )
    machine.store("accuracy", runs)


if __name__ == "__main__":
    main(sys.argv[1])
