"""SIGKILL while a run trains and writes: what was there before is whole, or what is new is."""

import json
import os
import random
import signal
import time
from functools import partial

import numpy as np

from fastadmm import RNN, fit, report
from fastadmm.checkpoint import Checkpoint

from .watch import Case, Fault

X = np.random.default_rng(0).standard_normal((24, 5, 3))
Y = np.arange(24) % 3


def cases(rng, folder, count):
    """As many as asked for; each kills a run at a random moment after its start."""
    place = folder / "run"
    for number in range(count):
        delay = float(rng.choice([0.01, 0.05, 0.15])) * rng.random()
        yield Case(f"{number}: killed after {delay:.4f} s", partial(kill, place, number, delay))


def run(place, seed):
    """What `fastadmm train` does, over and over until it is killed."""
    while True:
        net = RNN(3, 40, 3, seed=seed)
        folder = report.Folder(
            place, size=net.parameters * 4, overwrite=bool(random.getrandbits(1))
        )
        saved = place / "checkpoint.safetensors"
        result = fit(
            net, X, Y, epochs=3, batch_size=8, threads=1, callbacks=[folder.append],
            checkpoint=saved, checkpoint_every=1,
        )  # fmt: skip
        summary = {"task": "x", "solver": "condensed", "hidden": 40, "seed": seed,
                   "sum": float(np.abs(net.phi).sum()), "epochs": len(result.history)}  # fmt: skip
        folder.write(net, summary, result.history)
        seed += 1


def kill(place, number, delay):
    """Kill a forked run, and look at all that is left."""
    child = os.fork()
    if not child:
        try:
            random.seed(number)
            report.draw_convergence = lambda *_: None  # slow
            run(place, number)
        finally:
            os._exit(9)
    time.sleep(delay + 0.05)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise Fault("crash: the run ended by itself")
    for folder in (place, *place.glob("earlier/*")):
        whole(folder)
    saved = place / "checkpoint.safetensors"
    if saved.exists():
        Checkpoint.read(saved)


def whole(folder):
    """Model, history and summary are whole, and where there is a summary, belong together."""
    model, summary = folder / "model.safetensors", folder / "summary.json"
    net = RNN.load(model) if model.exists() else None
    if not summary.exists():
        return
    said = json.loads(summary.read_text())
    if net is None or said["sum"] != float(np.abs(net.phi).sum()):
        raise Fault(f"lost: {folder.name} has a summary of another model")
    lines = (folder / "history.jsonl").read_text().splitlines()
    if len([json.loads(line) for line in lines]) != said["epochs"]:
        raise Fault(f"lost: {folder.name} has a history of another model")
