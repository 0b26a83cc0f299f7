"""What all microbenchmarks share: one thread, and results stored with the facts of the machine."""

import pytest
from threadpoolctl import threadpool_limits

from bench import machine


@pytest.fixture(autouse=True)
def one_thread():
    with threadpool_limits(1):
        yield


def pytest_benchmark_update_json(config, benchmarks, output_json):
    """Keep what the tables need: facts of every benchmark, its least and median seconds."""
    results = [
        {**run["extra_info"], **{key: run["stats"][key] for key in ("min", "median", "rounds")}}
        for run in output_json["benchmarks"]
    ]
    output_json.clear()
    output_json.update(machine=machine.facts(), results=results)
