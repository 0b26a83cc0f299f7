"""The command line with options of any kind, on files of any kind."""

import contextlib
import io
import re
import sys
from functools import partial

import numpy as np

from fastadmm import RNN, cli

from .watch import INTERNAL, Case, Fault

WORDS = (
    "", "-1", "0", "1", "2", "3.5", "nan", "inf", "1e400", "x", "None", "[]", "2x2", "1x1", "0x0",
    "-1x-1", "9" * 30, "a" * 300, "/", ".", "..", "/dev/null", "/dev/zero", "nowhere/at/all", "é",
    "60s", "auto", "true",
)  # fmt: skip
OPTIONS = {
    "train": (
        "--data", "--solver", "--hidden", "--activation", "--epochs", "--batch-size", "--steps",
        "--eta", "--option", "--grid", "--micro-batches", "--staleness", "--gain", "--seed",
        "--dtype", "--threads", "--time-limit", "--checkpoint-every", "--resume", "--validation",
        "--early-stopping", "--class-weight", "--max-classes", "--out", "--config", "--pixels",
        "--certify", "--group-by-length", "--overwrite", "--nonsense",
    ),
    "evaluate": ("--data", "--steps", "--pixels", "--seed", "--threads", "--max-classes"),
    "predict": ("--out", "--threads"),
    "sample": ("--length", "--prompt", "--temperature", "--seed"),
    "plan": ("--ranks", "--hidden", "--batch-size", "--steps", "--dtype", "--threads", "--machine"),
}  # fmt: skip
FLAGS = "--pixels", "--certify", "--group-by-length", "--overwrite"
OPTION = "rho1=-1", "eta=x", "sweeps=1.5", "nonsense=1", "damping=nan", "comm=3", "=", "eta"


def cases(rng, folder, count):
    """As many as asked for: a command, a file, and one or two odd options."""
    np.savez(folder / "mine.npz", X=np.ones((6, 4, 2), "f4"), y=np.arange(6) % 3)
    (folder / "text").write_text("some text " * 30)
    (folder / "bad.npz").write_bytes(b"bad")
    net = RNN(2, 3, 3)
    net.task = {"name": "mine.npz", "loss": "softmax_cross_entropy", "classes": [0, 1, 2]}
    net.save(folder / "model.safetensors")
    reader = RNN(2, 3, 2)
    reader.task = {"name": "text", "alphabet": "\nx", "readout": "all"}
    reader.save(folder / "reader.safetensors")
    for _ in range(count):
        arguments = _arguments(rng, folder)
        yield Case(" ".join(arguments), partial(command, folder, arguments), 1 << 24)


def _arguments(rng, folder):
    name = str(rng.choice(list(OPTIONS), p=[0.5, 0.15, 0.15, 0.1, 0.1]))
    models = ("model.safetensors", "reader.safetensors", "bad.npz", ".", "nowhere")
    files = ("mine.npz", "mine.npz", "bad.npz", "nowhere.npz", "text", ".", "digits.npz")
    model, file = (str(folder / c[rng.integers(len(c))]) for c in (models, files))
    task = file if rng.random() < 0.8 else str(rng.choice(["adding", "text", "mnist", "x", ""]))
    fixed = {
        "train": [task, "--epochs", "1", "--hidden", "2", "--out", str(folder / "run"), "--quiet"],
        "evaluate": [model, task], "predict": [model, file], "sample": [model],
        "plan": ["--task", task],
    }[name]  # fmt: skip
    if task == "adding" and name == "train":
        fixed += ["--steps", "4", "--batch-size", "4000"]
    odd = []
    for option in rng.choice(OPTIONS[name], int(rng.integers(1, 3)), replace=False):
        odd.append(str(option))
        if option == "--option":
            odd.append(str(rng.choice(OPTION)))
        elif option not in FLAGS:
            odd.append(_word(rng, str(option), folder))
    return [name, *fixed, *odd]


def _word(rng, option, folder):
    if option in ("--out", "--machine", "--config", "--data", "--resume"):
        names = ("text", "mine.npz", "nowhere", "bad.npz", "model.safetensors", "n" * 300)
        return str(folder / names[rng.integers(len(names))])
    if option in ("--epochs", "--length", "--ranks", "--hidden"):
        return str(rng.choice(["-1", "0", "x", "nan", "1.5", "2", ""]))
    return str(rng.choice(WORDS))


def command(folder, arguments):
    """Exit code 0, or a message of one line and the code that it has."""
    before, sys.argv = sys.argv, ["fastadmm", *arguments]
    code, out, err = 0, io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv = before
    text = err.getvalue()
    if code not in (0, 2, 3) or INTERNAL.search(text):
        raise Fault(f"unclear: exit {code}: {text[-300:]!r}")
    if code == 2 and not re.search(r"^error: .|Error|no folder|Usage", text, re.MULTILINE):
        raise Fault(f"unclear: exit 2 without a word: {text[-300:]!r}")
    if code == 2 and text.startswith("error: ") and text.count("\n") > 1:
        raise Fault(f"unclear: more than one line: {text[-300:]!r}")
