"""What the benches decide: the peers' rates, and what is said of the results."""

import importlib.util
import json
import re
import subprocess
import sys
from math import log10

import pytest

from bench import machine, tables, torch_training


@pytest.mark.parametrize(("peak", "found"), [(3e-3, 3e-3), (1e-2, 1e-2), (0.3, 0.3), (1e3, 0.3)])
def test_the_best_rate_is_found_also_a_little_beyond_the_grid(peak, found):
    """Adam's grid ends at 0.03, and is extended twice."""
    seeds = []

    def score(rate, seed):
        seeds.append(seed)
        return {"last": -abs(log10(rate / peak)), "average": -9}

    assert torch_training.tuned("Adam", score) == (found, "last")
    assert seeds.count(torch_training.TUNING[1]) == 2
    assert len(seeds) <= 5 + torch_training.EXTENSIONS + 2


def test_a_second_seed_decides_between_the_best_two_and_their_iterates():
    first, second = torch_training.TUNING
    scores = {
        (0.1, first): (3, 0), (0.1, second): (0, 0), (0.3, first): (2, 1), (0.3, second): (1, 5),
    }  # fmt: skip

    def score(rate, seed):
        return dict(zip(("last", "average"), scores.get((rate, seed), (-1, -1)), strict=True))

    assert torch_training.tuned("SGD", score) == (0.3, "average")


def test_seeds_of_tuning_are_no_others():
    assert not set(torch_training.TUNING) & set(range(5))


@pytest.mark.peers
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_race_of_gated_cells_runs(cell):
    for name in ("torch", "jax", "optax"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    from bench import gated_race

    found = gated_race.race(cell, 3, 8, 2, 8, rounds=1)
    assert {"condensed", "jax", "torch, 1", "torch, compiled"} < set(found["median"])
    assert 0 < found["of_bound"] < 1e3


def test_results_carry_the_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    machine.store("some", [])
    stored = json.loads((tmp_path / "some.json").read_text())["machine"]
    assert stored["commit"] is None or re.fullmatch("[0-9a-f]{40}", stored["commit"])
    assert isinstance(stored["dirty"], bool)


@pytest.mark.parametrize("name", sorted(path.stem for path in machine.RESULTS.glob("*.json")))
def test_stored_results_name_the_commit_they_were_measured_at(name):
    """All of the file; of `stability`, which grows run by run, every run as well."""
    stored = machine.load(name)
    runs = stored["results"] if name == "stability" else []
    for about in (stored["machine"], *runs):
        assert re.fullmatch("[0-9a-f]{40}", about.get("commit") or ""), "not measured at a commit"
    assert stored["machine"]["dirty"] is False, "files differed from the commit"


@pytest.mark.peers
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")
def test_every_module_finds_what_it_imports():
    """In a process of its own: some load torch, and some MPI."""
    folder = machine.RESULTS.parent
    names = [path.stem for path in folder.glob("[a-z]*.py") if not path.match("test_*.py")]
    imports = [f"import bench.{name}" for name in names if name != "conftest"]
    subprocess.run([sys.executable, "-c", "\n".join(imports)], cwd=folder.parent, check=True)


@pytest.mark.parametrize(
    ("theirs", "verdict"),
    [
        ([1.4, 1.5, 1.9], "the ranges overlap, so that these runs do not say which is better"),
        ([1.7, 1.8, 1.9], "every run of `condensed` is below every one of Adam"),
        ([1.3, 1.4, 1.5], "every run of Adam is below every one of `condensed`"),
    ],
)
def test_no_win_is_read_from_ranges_that_overlap(monkeypatch, tmp_path, theirs, verdict):
    runs = [{"method": "condensed", "test_loss": loss} for loss in (1.6, 1.61, 1.62)]
    runs += [{"method": "Adam", "rate": 0.01, "test_loss": loss} for loss in theirs]
    runs += [{"method": "SGD", "rate": 0.1, "test_loss": loss} for loss in (2.0, 2.1, 2.2)]
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    machine.store("text", runs)
    (line,) = tables.text_says()
    assert line.endswith(f"{verdict}.")
    assert "Adam has" in line
