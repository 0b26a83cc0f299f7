"""The pages: their tables come from stored results, snippets run, commands exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["README.md", "docs/solvers.md"])
def test_tables_come_from_the_stored_results(page, monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "bench")
    import tables

    assert tables.rewritten(page) == (REPOSITORY / page).read_text(encoding="utf-8")


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
