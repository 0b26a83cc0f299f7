"""Training killed at random moments: is there a whole checkpoint each time, and does it go on?

python -m bench.kills [KILLS]        writes results/kills.json

Each run writes a checkpoint after every mini-batch, into a folder with the model of a run before,
and is killed (SIGKILL) at a random moment after its first one. In the end the last of them goes on
to its end, as bitwise the same model as that of a run that nobody has killed.
"""

import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import machine
from fastadmm import RNN
from fastadmm.checkpoint import Checkpoint

COMMAND = [sys.executable, "-m", "fastadmm", "train", "adding", "--steps", "10", "--hidden", "400",
           "--threads", "1", "--quiet"]  # fmt: skip
WHOLE, SHORT = ["--epochs", "3"], ["--epochs", "1"]
SAVING = ["--checkpoint-every", "0.000001s"]
LONGEST = 1.0
"""Seconds from the first checkpoint to a kill."""


def digest(path):
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def kill_one(folder, delay, resume):
    """Kill a run; what it has left behind."""
    saved, model = folder / "checkpoint.safetensors", digest(folder / "model.safetensors")
    before = saved.stat().st_mtime_ns if saved.exists() else None
    more = ["--resume", "auto"] if resume else ["--overwrite"]
    with subprocess.Popen([*COMMAND, *WHOLE, *SAVING, *more, "--out", folder]) as process:
        while process.poll() is None:
            if saved.exists() and saved.stat().st_mtime_ns != before:
                time.sleep(delay)
                break
            time.sleep(0.002)
        process.kill()
    RNN.load(folder / "model.safetensors")
    header = Checkpoint.read(saved).header  # raises where the file is not whole
    halves = list(folder.glob(".checkpoint.safetensors.*"))
    for half in halves:
        half.unlink()
    return {
        "killed": process.returncode == -signal.SIGKILL,
        "while writing": bool(halves),
        "same model": digest(folder / "model.safetensors") == model,
        "epoch": header["epoch"],
        "mini-batch": header["parts"]["epoch"]["done"],
    }


def main():
    """Kill, count, go on, compare, store."""
    kills, rng = int(sys.argv[1]) if len(sys.argv) > 1 else 100, random.Random(0)
    with tempfile.TemporaryDirectory() as place:
        whole, folder = Path(place) / "whole", Path(place) / "killed"
        subprocess.run([*COMMAND, *WHOLE, "--out", whole], check=True)
        subprocess.run([*COMMAND, *SHORT, "--out", folder], check=True)
        found = [
            kill_one(folder, rng.uniform(0, LONGEST), resume=k > 0 and k % 5 != 0)
            for k in range(kills)
        ]
        size = (folder / "checkpoint.safetensors").stat().st_size
        subprocess.run([*COMMAND, *WHOLE, *SAVING, "--resume", "auto", "--out", folder], check=True)
        same = digest(folder / "model.safetensors") == digest(whole / "model.safetensors")
    counts = {name: sum(each[name] for each in found) for name in list(found[0])[:3]}
    result = {"runs": kills, "checkpoint bytes": size, "whole": len(found), **counts,
              "the same model in the end": same}  # fmt: skip
    print(result)
    machine.store("kills", result | {"each": found})


if __name__ == "__main__":
    main()
