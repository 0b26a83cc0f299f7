"""The pages: tables come from results and docstrings, snippets run, commands exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import tables

from fastadmm import kernels

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


def test_snippets_on_kernels_print_what_they_say(tmp_path):
    text = (REPOSITORY / "docs" / "kernels.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for i, snippet in enumerate(snippets):
        script = tmp_path / f"snippet_{i}.py"
        script.write_text(snippet)
        done = subprocess.run(
            [sys.executable, "-W", "error", script], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines() == re.findall(r"^print.*# (.*)$", snippet, re.MULTILINE)
    assert i == 1


def test_snippet_runs(tmp_path):
    (snippet,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    status, accuracy = done.stdout.split()
    assert status == "max_iter"
    assert float(accuracy) > 0.8


@pytest.mark.parametrize("line", re.findall(r"^fastadmm (\w+) .*$", README, re.MULTILINE))
def test_commands_exist(line):
    subprocess.run(
        [sys.executable, "-m", "fastadmm", line, "--help"], capture_output=True, check=True
    )
