"""fastadmm plan: what it prints, and what it measures."""

import os
import subprocess
import sys

import numpy as np
import pytest
from fastadmm.mpi import cost
from fastadmm.mpi.machine import TYPICAL, Machine

from fastadmm import datasets, plan


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", [7]),
        ("1..1", [1]),
        ("1..10", [1, 2, 4, 8, 10]),
        ("3..16", [3, 4, 8, 16]),
        ("1..100000", [*(2**i for i in range(17)), 100_000]),
    ],
)
def test_ranks(text, expected):
    assert plan.parse_ranks(text) == expected


@pytest.mark.parametrize("text", ["", "0", "0..4", "5..4", "-1", "1..", "two", "1.5"])
def test_bad_ranks_are_refused(text):
    with pytest.raises(ValueError, match=r"expected a number, or A\.\.B"):
        plan.parse_ranks(text)


def test_work_of_tasks(tmp_path):
    work = plan.work_of(datasets.adding(30, cases=50, held_out=1), 16, 64, "float64")
    assert work == cost.Work(50, 30, 50, 30, 2, 16, 1, itemsize=8)
    (tmp_path / "text").write_text("abcd" * 300)
    work = plan.work_of(datasets.text(tmp_path / "text", 10, 4, lazy=True), 16, 4)
    assert work == cost.Work(4, 269, 4, 10, 4, 16, 4, every=True, tokens=True)


def test_scaling_ends_at_the_first_row_under_one_half():
    work = cost.Work(60_000, 28, 128, 28, 28, 128, 10)
    found = plan.table(work, "condensed", plan.parse_ranks("1..100000"), TYPICAL)
    assert found[0]["efficiency"] == 1
    beyond = [row for row in found if row["efficiency"] < 0.5]
    assert plan.where_scaling_ends(found).startswith(
        f"scaling ends before {beyond[0]['ranks']} ranks: efficiency "
    )
    before = [row for row in found if row["ranks"] < beyond[0]["ranks"]]
    assert plan.where_scaling_ends(before).startswith("efficiency stays above 50% up to ")


@pytest.mark.parametrize("every", [False, True])
def test_rates_describe_a_machine(every):
    machine = Machine(**plan.rates(cost.Work(10, 4, 16, 4, 3, 8, 3, every, tokens=every)))
    assert np.isfinite([machine.flops, machine.weight_flops]).all()


def command(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "fastadmm", "plan", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=300, env={**os.environ, **environment},
    )  # fmt: skip


def test_command(tmp_path):
    TYPICAL.save(tmp_path / "typical.json")
    given = ("--task", "digits", "--ranks", "1..4", "--machine", "typical.json")
    first = command(*given, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    title, header, *rows, end = first.stdout.splitlines()
    assert title.startswith("digits, condensed: latency 2.0 us, bandwidth 5.0 GB/s")
    assert header.split("  ")[-1] == "memory / rank"
    assert [row.split()[:2] for row in rows] == [["1", "1x1"], ["2", "1x2"], ["4", "1x4"]]
    assert rows[0].split()[4] == "100%"
    assert end.startswith(("scaling ends before ", "efficiency stays above 50%"))
    assert command(*given, cwd=tmp_path).stdout == first.stdout
    drawn = command(*given, cwd=tmp_path, FORCE_COLOR="1")
    assert "┃" in drawn.stdout
    assert len(drawn.stdout.splitlines()) > len(first.stdout.splitlines())


def test_measured_numbers_are_saved(tmp_path):
    done = command(
        "--task", "adding", "--steps", 4, "--hidden", 8, "--save", "m.json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    machine = Machine.load(tmp_path / "m.json")
    assert machine.about["shape"] == "D 2, H 8, C 1, 1 threads"
    assert str(machine) in done.stdout


def test_mistakes_are_one_line(tmp_path):
    for arguments, message in (
        (("--ranks", "0"), "error: ranks is '0': expected a number, or A..B"),
        (("--solver", "adam", "--machine", "m.json"), "error: solver is 'adam': expected one of"),
        (("--machine", "none.json"), "error: [Errno 2] No such file"),
    ):
        TYPICAL.save(tmp_path / "m.json")
        done = command("--task", "digits", *arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, ""), done.stdout
        assert done.stderr.startswith(message)
        assert len(done.stderr.splitlines()) == 1
