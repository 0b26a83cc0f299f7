"""All attacks, or those of some areas.

PYTHONPATH=.:tests python -m hostile.attack [AREA ...] [--share FRACTION] [--seed N]

Stores in bench/results/attack.json each area that is attacked as a whole (`make attack`). Each area
runs in a process of its own with a limited address space; where it dies, that is a crash of the
case under way, and a new process goes on behind it.
"""

import argparse
import collections
import importlib
import json
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

from bench import machine

from . import watch

AREAS = {
    "models": 3000, "data": 2500, "cache": 200, "numerics": 500, "kernels": 3200, "commands": 360,
    "process": 40, "kills": 220,
}  # fmt: skip
"""Cases of each; `ranks` runs under mpirun instead, with 40 on 2, 3 and 4 ranks."""
ORDER = [*AREAS, "ranks"]
RANKS = 2, 3, 4
FAULTS = "hang", "crash", "traceback", "silent", "lost", "memory", "unclear"
MOST_MEMORY = 12 << 30
STORING = threading.Lock()


def attack(area, seed, count, skip=0):
    """Faults of an area by the name of their case, a line of progress each."""
    module = importlib.import_module(f".{area}", __package__)
    with tempfile.TemporaryDirectory() as place:
        cases = module.cases(np.random.default_rng(seed), Path(place), count)
        for number, case in enumerate(islice(cases, count)):
            if number < skip:
                continue
            yield number, case.name, None, "begin"
            yield number, case.name, watch.judge(case), "end"


def worker(area, seed, count, skip):
    """Attack, and tell the parent process on a pipe of its own."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell ran us with &
    with open(3, "w", buffering=1) as pipe:
        for told in attack(area, seed, count, skip):
            pipe.write(json.dumps(told) + "\n")


def area_of(name, seed, count):
    """What an area has shown: the number of cases, and all faults."""
    faults, done, started = [], 0, time.monotonic()
    while done < count:
        command = [
            sys.executable,
            "-m",
            "hostile.attack",
            "--worker",
            name,
            str(seed),
            str(count),
            str(done),
        ]
        with (
            tempfile.TemporaryFile("w+") as said,
            subprocess.Popen(
                ["bash", "-c", 'exec "$@" 3>&1 >/dev/null 2>/dev/null', "-", *command], stdout=said
            ) as process,
        ):
            process.wait()
            said.seek(0)
            told = [json.loads(line) for line in said if line.endswith("\n")]
        faults += [{"case": case, "fault": fault} for _, case, fault, when in told if fault]
        if not told:
            raise RuntimeError(f"{name}: {' '.join(command)} says nothing")
        number, case, _, when = told[-1]
        if when == "begin":
            faults.append({"case": case, "fault": f"crash: exit code {process.returncode}"})
        done = number + 1
        if when == "end" and process.returncode:
            faults.append(
                {"case": case, "fault": f"crash: exit code {process.returncode} behind it"}
            )
    return {"cases": done, "seconds": round(time.monotonic() - started, 1), "faults": faults}


def ranks(sizes=RANKS):
    """Arguments that differ on one rank, and ranks that fail."""
    from cases.launcher import finish, start

    program = Path(__file__).parents[1] / "cases" / "ranks_that_differ.py"
    found, faults, started = 0, [], time.monotonic()
    for size in sizes:
        code, out, err, _ = finish(start(size, program), timeout=400)
        said = re.search(r"wrong: (\d+) of (\d+)", out)
        if code or said is None:
            faults.append({"case": f"{size} ranks", "fault": f"crash: {code} {err[-300:]}"})
            continue
        found += int(said[2])
        if int(said[1]):
            faults.append({"case": f"{size} ranks", "fault": f"silent: {out[-500:]}"})
    more, told = _failing_ranks(sizes)
    seconds = round(time.monotonic() - started, 1)
    return {"cases": found + more, "seconds": seconds, "faults": faults + told}


ENDS = {
    "an exception": "raise KeyError('lost')", "no memory": "raise MemoryError",
    "exit 0": "launch.LEAVING = 1.0; sys.exit(0)", "exit 3": "sys.exit(3)",
    "SIGKILL": "os.kill(os.getpid(), 9)", "SIGSEGV": "os.kill(os.getpid(), 11)",
    "os._exit": "os._exit(0)",
}  # fmt: skip
JOB = """
import os, sys
import numpy as np
from fastadmm import RNN, fit
from fastadmm.mpi import launch
with launch.together((ValueError,)):
    comm = launch.world()
    def fail(record):
        if comm.rank == comm.size - 1 and record["epoch"] == 2:
            {}
    X, y = np.random.default_rng(0).standard_normal((12, 4, 3)), np.arange(12) % 2
    fit(RNN(3, 4, 2), X, y, epochs=3000, comm=comm, threads=1, callbacks=[fail])
"""


def _failing_ranks(sizes):
    """A rank that ends in the middle of training ends the job, with a code that is not 0."""
    from cases.launcher import finish, start

    found, faults = 0, []
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "job.py"
        for size in sizes:
            for name, end in ENDS.items():
                path.write_text(JOB.format(end))
                found += 1
                try:
                    code, _, err, _ = finish(start(size, path), timeout=60)
                except BaseException as error:  # pytest's own, of a job that is not over
                    faults.append(
                        {"case": f"{name}, {size} ranks", "fault": f"hang: {error}"[:300]}
                    )
                    continue
                if not code and name != "exit 0":
                    faults.append(
                        {"case": f"{name}, {size} ranks", "fault": f"silent: 0 {err}"[:300]}
                    )
    return found, faults


def _attacked(name, asked):
    """Attack an area; print what was found, and store it where all of it was attacked."""
    if name == "ranks":
        found = ranks(RANKS if asked.share == 1 else RANKS[:1])
    else:
        found = area_of(name, asked.seed, max(1, round(asked.share * AREAS[name])))
    kinds = (each["fault"].partition(":")[0] for each in found["faults"])
    counts = collections.Counter(kinds)
    lines = [f"{name}: {found['cases']} cases, {found['seconds']} s, {dict(counts)}"]
    for each in found["faults"][:30]:
        lines.append(f"    {each['fault'][:250]}  <-  {each['case'][:200]}")
    print("\n".join(lines), flush=True)
    found |= {"counts": {kind: counts[kind] for kind in FAULTS}, "seed": asked.seed}
    if asked.share == 1:
        with STORING:
            areas = machine.load("attack")["results"]["areas"] if machine.has("attack") else {}
            areas |= {name: found | {"commit": machine.COMMIT}}
            machine.store("attack", {"areas": {k: areas[k] for k in ORDER if k in areas}})
    return len(found["faults"])


def main():
    """Attack, count, print, store."""
    if sys.argv[1:2] == ["--worker"]:
        area, seed, count, skip = sys.argv[2:]
        return worker(area, int(seed), int(count), int(skip))
    parser = argparse.ArgumentParser()
    parser.add_argument("areas", nargs="*", default=ORDER)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(lambda name: _attacked(name, asked), asked.areas))


if __name__ == "__main__":
    sys.exit(bool(main()))
