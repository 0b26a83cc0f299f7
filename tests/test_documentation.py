"""The pages: tables come from results and docstrings, snippets run, commands exist."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from bench import tables
from fastadmm import __version__, cli, config, kernels
from fastadmm.solvers import SOLVERS

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", tables.PAGES)
def test_tables_come_from_results_and_docstrings(page):
    assert tables.rewritten(page) == (REPOSITORY / page).read_text(encoding="utf-8")


def test_every_kernel_is_in_the_catalogue():
    """With what it computes, its domain, dtypes, cost and, where there is one, its kernel."""
    rows = [line.split(" | ") for line in tables.kernel_tables.catalogue() if line[:3] == "| `"]
    assert sorted(row[0].strip("| `") for row in rows) == kernels.__all__
    for name, *cells, compiled in rows:
        function = getattr(kernels, name.strip("| `"))
        assert all(cells) or isinstance(function, type), name
        assert compiled.startswith("`(") == hasattr(function, "kernel")


def test_misses_are_marked(monkeypatch, tmp_path):
    """A peer that takes twice as long, and half more than a copy: both are too little."""

    def run(operator, by, seconds, n=100_000, **more):
        return {"operator": operator, "n": n, "dtype": "float32", "by": by, "min": seconds} | more

    results = [
        run("prox_l_half", "fastadmm", 1.0),
        run("prox_l_half", "pyproximal", 2.0),
        run("prox_l_half", "fastadmm", 1.5, 10_000_000, copy=1.0),
        run("gram", "fastadmm", 1.1, "64 x 64"),
        run("gram", "scipy", 1.0, "64 x 64"),
    ]
    content = {"machine": {"processor": "p", "date": "d", "load": 0.0}, "results": results}
    (tmp_path / "kernels.json").write_text(json.dumps(content))
    monkeypatch.setattr(tables.machine, "RESULTS", tmp_path)
    *_, line = tables.kernel_tables.operator_times()
    assert line.count("missed") == 2
    assert "| **2.00 missed** |  | **1.50 missed** | bound by arithmetic" in line
    assert tables.kernel_tables.system_times()[-1].endswith("| 1100.000 | 1000.000 | 1.10 |")


@pytest.mark.parametrize(("page", "count"), [("kernels", 3), ("index", 1), ("estimators", 2)])
def test_snippets_print_what_they_say(page, count, tmp_path):
    text = (REPOSITORY / "docs" / f"{page}.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for i, snippet in enumerate(snippets):
        script = tmp_path / f"snippet_{i}.py"
        script.write_text(snippet)
        done = subprocess.run(
            [sys.executable, "-W", "error", script], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == re.findall(r"^print.*# (.*)$", snippet, re.MULTILINE)
    assert len(snippets) == count


def test_the_site_is_built_without_a_warning(tmp_path):
    """Where make docs has installed its tools: they bring colour into Numba's messages."""
    pytest.importorskip("mkdocs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=REPOSITORY, capture_output=True, text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "Five minutes to a model" in (tmp_path / "index.html").read_text()
    assert "early_stopping" in (tmp_path / "api.html").read_text()
    assert (tmp_path / "results" / "roofline.png").is_file()


def test_snippet_runs(tmp_path):
    (snippet,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    status, accuracy = done.stdout.split()
    assert status == "max_iter"
    assert float(accuracy) > 0.8


def shown_commands():
    """Every ``fastadmm ...`` that a page shows on a line of its own, under a launcher or not."""
    pattern = r"^ *(?:(?:mpirun|srun) .*)?\bfastadmm (\w.*?) *(?:#.*)?$"
    for page in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))):
        yield from re.findall(pattern, page.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("line", dict.fromkeys(shown_commands()))
def test_commands_exist(line, monkeypatch):
    """With these arguments, of these types; and the solver with these options."""
    monkeypatch.setattr(config, "read", lambda path, names: {"task": "adding"})
    program, given = typer.main.get_command(cli.app), {}
    for command in program.commands.values():
        command.callback = lambda **arguments: given.update(arguments)
    program(shlex.split(line), standalone_mode=False)
    if "option" in given:
        options = cli._settings(given["solver"], given["option"], given["eta"], given["certify"])
        SOLVERS[given["solver"]].Options(**options)


def test_all_commands_are_shown():
    shown = {line.split()[0] for line in shown_commands()}
    assert shown == set(typer.main.get_command(cli.app).commands)


def test_the_citation_is_of_this_version():
    text = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.*)$", text, re.MULTILINE) == [__version__]


def test_files_that_contributors_are_sent_to_exist():
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\w+/)+[\w.]*)`", text))
    assert len(named) > 20
    assert not [path for path in named if not (REPOSITORY / path).exists()]
