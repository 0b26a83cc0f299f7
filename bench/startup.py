"""Seconds to import, and to the first step: cold, cached, warm.

python bench/startup.py           writes results/startup.json
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from statistics import median

import machine

ROUNDS = 5
TRAIN = """
import time, json
started = time.perf_counter()
from fastadmm import RNN, fit
from fastadmm.datasets import digits
task = digits()
net = RNN(8, 128, 10)
results = [fit(net, task.X, task.y, epochs=1) for _ in range(2)]
print(json.dumps([r.compile_seconds for r in results]))
"""


def import_seconds():
    """Median wall time of ``import fastadmm`` in a new process."""
    code = "import time; t = time.perf_counter(); import fastadmm; print(time.perf_counter() - t)"
    runs = [subprocess.check_output([sys.executable, "-c", code]) for _ in range(ROUNDS)]
    return median(map(float, runs))


def compile_seconds(cache):
    """Seconds of compiling or loading in the first and the second fit of a new process."""
    environment = {**os.environ, "FASTADMM_CACHE": cache}
    return json.loads(subprocess.check_output([sys.executable, "-c", TRAIN], env=environment))


def command_seconds(cache):
    """Wall time of a whole ``fastadmm train digits``."""
    environment = {**os.environ, "FASTADMM_CACHE": cache}
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        command = [sys.executable, "-m", "fastadmm", "train", "digits", "--quiet", "--out", folder]
        subprocess.run(command, env=environment, check=True)
        return time.perf_counter() - started


def main():
    """Measure, print, store."""
    with tempfile.TemporaryDirectory() as cache:
        result = {"import": import_seconds(), "command, cold": command_seconds(cache)}
        result["command, cached"] = median(command_seconds(cache) for _ in range(ROUNDS))
        first, second = zip(*(compile_seconds(cache) for _ in range(ROUNDS)), strict=True)
        result["kernels, cached"] = median(first)
        result["kernels, warm"] = median(second)
    with tempfile.TemporaryDirectory() as cache:
        result["kernels, cold"] = compile_seconds(cache)[0]
    for name, seconds in result.items():
        print(f"{name:16} {seconds:.3f} s")
    machine.store("startup", result)


if __name__ == "__main__":
    main()
