"""Facts of the machine and the libraries, stored with every result."""

import datetime
import json
import os
import platform
import subprocess
from pathlib import Path

from threadpoolctl import threadpool_info

from fastadmm.threads import available_cores
from fastadmm.version import versions

RESULTS = Path(__file__).parent / "results"


def _git(*arguments):
    done = subprocess.run(
        ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    return done.stdout.strip() if done.returncode == 0 else None


COMMIT = _git("rev-parse", "HEAD")
"""What is checked out when a benchmark starts; None outside a repository."""
DIRTY = _git("status", "--porcelain", "--", ":/", ":(top,exclude)bench/results") != ""
"""Whether files differed from it then, the stored results left out."""


def facts():
    """Commit, processor, cores, versions, BLAS and date."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if "model name" in line), model)
    return {
        "commit": COMMIT,
        "dirty": DIRTY,
        "processor": model,
        "cores": available_cores(),
        "load": os.getloadavg()[0],
        "versions": versions(),
        "blas": sorted({f"{p['internal_api']} {p['version']}" for p in threadpool_info()}),
        "date": datetime.date.today().isoformat(),
    }


def store(name, results):
    """Write ``results/NAME.json``."""
    RESULTS.mkdir(exist_ok=True)
    content = {"machine": facts(), "results": results}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def has(name):
    """Whether there are results stored under a name."""
    return (RESULTS / f"{name}.json").exists()


def load(name):
    """Results stored under a name."""
    return json.loads((RESULTS / f"{name}.json").read_text())
