"""Seconds to import, and to the first step: cold, cached, warm.

python -m bench.startup           writes results/startup.json

Cold compiles every kernel that digits needs. Compiling uses one core: on a busy machine its
processor time says more than its wall time, so both are stored.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from statistics import median

from bench import machine

ROUNDS = 5
LOAD = """
from fastadmm import RNN, fit
from fastadmm.datasets import digits
task = digits()
net = RNN(8, 128, 10)
"""
TRAIN = f"""{LOAD}
import json
results = [fit(net, task.X, task.y, epochs=1) for _ in range(2)]
print(json.dumps([r.compile_seconds for r in results]))
"""
FIRST_STEP = f"{LOAD}fit(net, task.X, task.y, time_limit=1e-9)"


def run(code, cache):
    """Output of Python code in a new process, and its wall and processor time."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "FASTADMM_CACHE": cache}
    output = subprocess.check_output([sys.executable, *code], env=environment)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return output, wall, used


def import_seconds():
    """Median wall time of ``import fastadmm`` in a new process."""
    code = "import time; t = time.perf_counter(); import fastadmm; print(time.perf_counter() - t)"
    return median(float(run(["-c", code], "0")[0]) for _ in range(ROUNDS))


def compile_seconds(cache):
    """Seconds of compiling or loading in the first and the second fit of a new process."""
    return json.loads(run(["-c", TRAIN], cache)[0])


def command_seconds(cache):
    """Wall and processor time of a whole ``fastadmm train digits``."""
    with tempfile.TemporaryDirectory() as folder:
        return run(["-m", "fastadmm", "train", "digits", "--quiet", "--out", folder], cache)[1:]


def main():
    """Measure, print, store."""
    with tempfile.TemporaryDirectory() as cache:
        result = {"import": import_seconds()}
        result["command, cold"], result["command, cold, processor"] = command_seconds(cache)
        result["command, cached"] = median(command_seconds(cache)[0] for _ in range(ROUNDS))
        result["process with one step, cached"] = median(
            run(["-c", FIRST_STEP], cache)[1] for _ in range(ROUNDS)
        )
        first, second = zip(*(compile_seconds(cache) for _ in range(ROUNDS)), strict=True)
        result["kernels, cached"] = median(first)
        result["kernels, warm"] = median(second)
    with tempfile.TemporaryDirectory() as cache:
        result["kernels, cold"] = compile_seconds(cache)[0]
    for name, seconds in result.items():
        print(f"{name:30} {seconds:.3f} s")
    machine.store("startup", result)


if __name__ == "__main__":
    main()
