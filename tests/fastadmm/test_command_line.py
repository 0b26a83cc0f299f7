"""The command line, end to end, in processes of its own."""

import datetime
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from cases.launcher import LAUNCHER, mpirun

import fastadmm
from fastadmm import RNN

COMMAND = [sys.executable, "-m", "fastadmm"]
KEYS = {
    "task", "solver", "status", "compile_seconds", "train_seconds", "epochs", "parameters",
    "train_loss", "test_loss", "test_accuracy", "threads", "seed", "versions", "hidden", "cell",
    "activation", "gain", "dtype", "batch_size", "steps", "epochs_asked", "loss", "readout",
    "ranks", "grid", "micro_batches", "staleness", "options", "command", "host", "started",
    "source", "per_rank",
}  # fmt: skip


def run(*arguments, cwd, code=0, **environment):
    """Run the command; its exit code must be as given."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which digits were trained with default settings."""
    folder = tmp_path_factory.mktemp("digits")
    return folder, run("train", "digits", "--out", "model", cwd=folder)


def test_train_digits(trained):
    folder, done = trained
    summary = json.loads((folder / "model" / "summary.json").read_text())
    assert set(summary) >= KEYS
    assert (summary["task"], summary["status"], summary["epochs"]) == ("digits", "max_iter", 20)
    assert summary["test_accuracy"] >= 0.97
    assert summary["parameters"] == 128 * 137 + 10 * 129
    history = [
        json.loads(line) for line in (folder / "model" / "history.jsonl").read_text().splitlines()
    ]
    assert len(history) == 20
    assert sum(record["seconds"] for record in history) == pytest.approx(summary["train_seconds"])
    assert (folder / "model" / "convergence.png").read_bytes().startswith(b"\x89PNG")
    assert re.search(r"set-up [\d.]+ s, compile [\d.]+ s, training [\d.]+ s", done.stdout)
    assert f"test accuracy {summary['test_accuracy']:.2%}" in done.stdout
    lines = [line for line in done.stderr.splitlines() if not line.startswith("compiling")]
    assert len(lines) == 20  # plain ones: there is no terminal


def test_the_summary_repeats_the_run(trained):
    folder, _ = trained
    summary = json.loads((folder / "model" / "summary.json").read_text())
    run(*shlex.split(summary["command"])[1:-1], "again", cwd=folder)  # --out again
    again = json.loads((folder / "again" / "summary.json").read_text())
    for name in ("train_loss", "test_loss", "options", "source", "hidden", "batch_size", "grid"):
        assert again[name] == summary[name], name
    assert summary["options"]["gram_every"] >= 1
    (rank,) = summary["per_rank"]
    assert rank["work_seconds"] == summary["train_seconds"]
    started = datetime.datetime.fromisoformat(summary["started"])
    assert 0 < (datetime.datetime.now().astimezone() - started).total_seconds() < 3600


def test_evaluate_agrees_with_training(trained):
    folder, _ = trained
    summary = json.loads((folder / "model" / "summary.json").read_text())
    done = run("evaluate", "model/model.safetensors", "digits", cwd=folder)
    scored = json.loads(done.stdout)
    assert scored["test_accuracy"] == summary["test_accuracy"]
    assert scored["test_loss"] == pytest.approx(summary["test_loss"], rel=1e-5)


def test_predict(trained):
    from fastadmm.datasets import digits

    folder, _ = trained
    X, y = digits().held_out
    np.savez(folder / "new.npz", X=X)
    run("predict", "model/model.safetensors", "new.npz", cwd=folder)
    with np.load(folder / "new.predictions.npz") as predicted:
        assert predicted["outputs"].shape == (360, 10)
        np.testing.assert_array_equal(predicted["outputs"].argmax(1), predicted["labels"])
        assert (predicted["labels"] == y).mean() >= 0.97


def test_train_with_a_splitting_solver(tmp_path):
    done = run(
        "train", "digits", "--solver", "block", "--epochs", 3, "--option", "rho1=8", "--option",
        "opening=0", "--certify", "--dtype", "float64", "--out", "model", cwd=tmp_path,
    )  # fmt: skip
    summary = json.loads((tmp_path / "model" / "summary.json").read_text())
    assert (summary["solver"], summary["epochs"]) == ("block", 3)
    assert summary["certificate"] == {"checks": 15, "violation": None}
    assert set(summary["kkt"]) >= {"theta", "phi", "state", "feasibility"}
    lines = (tmp_path / "model" / "history.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["rho"] == [8, 10, 0.3]
    assert "none of 15 block updates raised the augmented Lagrangian" in done.stdout
    assert (tmp_path / "model" / "convergence.png").is_file()


def test_options_of_the_solver_are_checked(tmp_path):
    done = run("train", "digits", "--option", "rho1", cwd=tmp_path, code=2)
    assert "option is 'rho1': expected NAME=VALUE" in done.stderr
    done = run("train", "digits", "--option", "rho1=1", cwd=tmp_path, code=2)
    assert "rho1: no option of solver 'condensed', which takes eta" in done.stderr
    done = run("train", "digits", "--option", "epochs=3", cwd=tmp_path, code=2)
    assert done.stderr.startswith("error: epochs: no option of solver 'condensed'")
    done = run("train", "digits", "--option", "eta=abc", cwd=tmp_path, code=2)
    assert done.stderr == "error: eta is 'abc': expected a positive number or 'auto'\n"


def test_own_arrays_with_options(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 6, 2))
    np.savez(tmp_path / "mine.npz", X=X, y=X[:, -1], Xv=X, yv=X[:, -1])
    run(
        "train", "mine.npz", "--hidden", 5, "--epochs", 2, "--batch-size", 16, "--eta", 0.02,
        "--gain", 0.5, "--seed", 3, "--dtype", "float64", "--threads", 1, "--time-limit", 60,
        "--activation", "relu", "--validation", 0.2, "--early-stopping", 9, "--out", "out",
        "--quiet", cwd=tmp_path,
    )  # fmt: skip
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["early_stopping"], summary["best_epoch"]) == (9, 2)
    assert summary["test_accuracy"] is None
    assert summary["test_loss"] > 0
    assert (summary["threads"], summary["seed"]) == (1, 3)
    run("predict", "out/model.safetensors", "mine.npz", "--out", "p.npz", cwd=tmp_path)
    with np.load(tmp_path / "p.npz") as predicted:
        assert set(predicted) == {"outputs"}
        assert predicted["outputs"].dtype == np.float64


def test_the_options_of_a_run_repeat_it(tmp_path):
    run(
        "train", "adding", "--steps", 10, "--hidden", 8, "--option", "gram_every=3", "--seed", 4,
        "--epochs", 2, "--out", "first", "--quiet", cwd=tmp_path,
    )  # fmt: skip
    run("train", "--config", "first/config.toml", "--out", "again", "--quiet", cwd=tmp_path)
    for name in ("model.safetensors", "config.toml"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    run(
        "train", "--config", "first/config.toml", "--epochs", 1, "--out", "short", cwd=tmp_path
    )  # fmt: skip
    first = (tmp_path / "first" / "config.toml").read_text()
    assert (tmp_path / "short" / "config.toml").read_text() == first.replace(
        "epochs = 2", "epochs = 1"
    )
    for text, message in (
        ("hiden = 3", "error: mine.toml: hiden is no option: expected task, data, solver"),
        ("hidden = ", "error: mine.toml is not TOML: "),
        ('out = "x"', "error: mine.toml: out is no option"),
    ):
        (tmp_path / "mine.toml").write_text(text)
        done = run("train", "adding", "--config", "mine.toml", cwd=tmp_path, code=2)
        assert done.stderr.startswith(message)
    done = run("train", "adding", "--config", "none.toml", cwd=tmp_path, code=2)
    assert done.stderr == "error: no config at none.toml\n"


def test_predict_for_sequences_of_unequal_length(tmp_path):
    rng = np.random.default_rng(0)
    net, lengths = RNN(2, 4, 3), [5, 2, 4]
    X = rng.standard_normal((3, 5, 2)).astype(np.float32)
    net.save(tmp_path / "model.safetensors")
    np.savez(tmp_path / "mine.npz", X=X, lengths=lengths)
    run("predict", "model.safetensors", "mine.npz", cwd=tmp_path)
    alone = [net.predict(x[None, :n])[0] for x, n in zip(X, lengths, strict=True)]
    with np.load(tmp_path / "mine.predictions.npz") as predicted:
        np.testing.assert_allclose(predicted["outputs"], alone, rtol=1e-5)
        np.testing.assert_array_equal(predicted["lengths"], lengths)


LABELS = {
    "from 1": [1, 2, 4],
    "signed": [-1, 1],
    "text": ["down", "level", "up"],
    "truth": [False, True],
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_of_any_value_are_kept_as_classes(tmp_path, labels):
    rng = np.random.default_rng(0)
    which = rng.integers(0, len(labels), 60)
    X, y = np.eye(len(labels))[which][:, None].repeat(3, 1), np.array(labels)[which]
    np.savez(tmp_path / "mine.npz", X=X, y=y)
    np.savez(tmp_path / "test.npz", X=X[:30], y=y[:30])
    run("train", "mine.npz", "--epochs", 20, "--hidden", 8, "--out", "out", cwd=tmp_path)
    net = RNN.load(tmp_path / "out" / "model.safetensors")
    assert (net.outputs, net.task["classes"]) == (len(labels), labels)
    done = run("evaluate", "out/model.safetensors", "test.npz", cwd=tmp_path)
    assert json.loads(done.stdout)["test_accuracy"] == 1
    run("predict", "out/model.safetensors", "test.npz", cwd=tmp_path)
    with np.load(tmp_path / "test.predictions.npz") as predicted:
        np.testing.assert_array_equal(predicted["labels"], y[:30])
    other = np.array([labels[0] * 2 if isinstance(labels[0], str) else 9] * 30)
    np.savez(tmp_path / "test.npz", X=X[:30], y=other)
    done = run("evaluate", "out/model.safetensors", "test.npz", cwd=tmp_path, code=2)
    assert f"y in test.npz has label {other[0]}: expected {labels[0]}" in done.stderr


@pytest.mark.parametrize("room", [10, 40])
def test_a_full_disk_is_one_line_and_what_fits_stays(tmp_path, room):
    """A limit on the size of files stands for the disk: writing beyond it fails alike."""
    limited = (
        "import os, resource, signal, sys\n"
        "os.posix_fallocate = lambda *_: None\n"  # it fills up after the door
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room * 1024},) * 2)\n"
        "from fastadmm.cli import main\n"
        "sys.argv = 'fastadmm train digits --hidden 64 --epochs 2 --out out'.split()\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited], cwd=tmp_path, capture_output=True, text=True, timeout=300,
            )  # fmt: skip
    assert done.returncode == (1 if room == 10 else 0), done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("epoch ")]
    expected = ["warning: convergence.png cannot be written (File too large)"]
    if room == 10:
        expected.append("error: out: model.safetensors cannot be written (File too large)")
    assert lines == expected
    kept = {path.name for path in (tmp_path / "out").iterdir()}
    assert kept == {"summary.json", "history.jsonl", "config.toml"} | (
        {"model.safetensors"} if room > 10 else set()
    )


def test_a_disk_that_is_full_is_told_before_training(tmp_path):
    limited = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (99 << 10,) * 2)\n"
        "from fastadmm.cli import main\n"
        "sys.argv = 'fastadmm train digits --out out'.split()\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited], cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "error: out is out: cannot be written (File too large)\n"
    assert not (tmp_path / "out").exists()


def test_the_history_grows_while_training(tmp_path):
    arguments = [*COMMAND, "train", "digits", "--epochs", "1000000", "--out", "out"]
    process = subprocess.Popen(arguments, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("epoch 3/"):
            break
    lines = (tmp_path / "out" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines[:2]] == [1, 2]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143


def test_quiet_prints_nothing(tmp_path):
    np.savez(tmp_path / "mine.npz", X=np.ones((4, 3, 2)), y=np.ones(4))
    done = run("train", "mine.npz", "--quiet", "--out", "out", cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("", "")


def test_text_and_sample(tmp_path):
    (tmp_path / "verse").write_text("abcdefghij " * 600)
    run(
        "train", "text", "--data", "verse", "--hidden", 24, "--steps", 11, "--batch-size", 8,
        "--epochs", 10, "--out", "out", cwd=tmp_path,
    )  # fmt: skip
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["test_loss"] < 0.2
    arguments = ("sample", "out/model.safetensors", "--prompt", "abc", "--temperature", 0)
    done = run(*arguments, "--length", 30, cwd=tmp_path)
    assert done.stdout == "defghij abcdefghij abcdefghij a\n"[:30] + "\n"
    scored = json.loads(
        run("evaluate", "out/model.safetensors", "text", "--data", "verse", cwd=tmp_path).stdout
    )
    assert scored["test_loss"] == pytest.approx(summary["test_loss"], rel=1e-5)
    done = run("sample", "out/model.safetensors", "--prompt", "X", cwd=tmp_path, code=2)
    assert done.stderr == "error: prompt has 'X', which is not in the model's alphabet\n"


def test_adding_reports_squared_error(tmp_path):
    run("train", "adding", "--steps", 10, "--epochs", 3, "--out", "out", cwd=tmp_path)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["test_loss"] < 0.02
    assert summary["test_accuracy"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "nothing"), "task is 'nothing': expected digits, mnist, text, adding, or"),
        (("train", "none.npz"), "no .npz at none.npz"),
        (("train", "digits", "--hidden", "-2"), "hidden is -2: expected a positive integer"),
        (("train", "digits", "--hidden", "0"), "hidden is 0: expected a positive integer"),
        (("train", "digits", "--epochs", "0"), "epochs is 0: expected a positive integer"),
        (("train", "digits", "--solver", "x"), "solver is 'x': expected one of 'condensed'"),
        (("train", "digits", "--eta", "-1"), "eta is -1.0: expected a positive number"),
        (("train", "digits", "--out", "/dev/null/x"), "out is /dev/null/x: cannot be written"),
        (("train", "digits", "--eta", "-1", "--out", "a/b"), "eta is -1.0: expected a positive"),
        (("evaluate", "none", "digits"), "no model at none"),
    ],
)
def test_mistakes_are_one_line(tmp_path, arguments, message):
    done = run(*arguments, cwd=tmp_path, code=2)
    assert done.stderr.startswith(f"error: {message}")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())  # no empty folder stays


def test_unknown_options_are_refused(tmp_path):
    done = run("train", "digits", "--learning-rate", "1", cwd=tmp_path, code=2)
    assert "No such option" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signals_keep_the_model(tmp_path, number):
    arguments = [*COMMAND, "train", "digits", "--epochs", "1000000", "--out", "out"]
    process = subprocess.Popen(arguments, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    process.stderr.readline()  # an epoch is done
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 128 + number
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["status"] == "interrupted"
    assert summary["test_accuracy"] > 0.5
    run("evaluate", "out/model.safetensors", "digits", cwd=tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signals_are_obeyed_while_kernels_compile(tmp_path, number):
    arguments = [*COMMAND, "train", "digits", "--out", "new/out"]
    process = subprocess.Popen(
        arguments, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "FASTADMM_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert process.stderr.readline() == "compiling kernels (once, about 30 s)\n"
    process.send_signal(number)
    sent = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - sent < 20  # 5 on a machine that has nothing else to do
    assert err == "interrupted before training began: nothing was written\n"
    assert process.returncode == 128 + number
    assert not (tmp_path / "new").exists()


def test_divergence_exits_with_its_own_code(tmp_path):
    X = np.random.default_rng(0).standard_normal((8, 400, 3))
    np.savez(tmp_path / "mine.npz", X=X, y=X[:, 0, 0])
    run(
        "train", "mine.npz", "--activation", "identity", "--gain", 2, "--out", "out",
        cwd=tmp_path, code=3,
    )  # fmt: skip
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["status"] == "diverged"
    assert summary["train_loss"] is None
    assert RNN.load(tmp_path / "out" / "model.safetensors").theta.shape == (64, 68)


def test_live_bar_on_a_terminal(tmp_path):
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "train", "digits", "--epochs", "60", "--out", "out"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=follower, env={**os.environ, "COLUMNS": "120"},
    )  # fmt: skip
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the terminal closes with the process
            break
        if not part:
            break
        shown += part
    process.wait(timeout=60)
    os.close(leader)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert process.returncode == 0
    assert re.search(r"loss [\d.]+  accuracy [\d.]+% .*\d+/1380 .*sequences/s", plain)
    assert "epoch 60/60" in plain


def test_version(tmp_path):
    assert run("--version", cwd=tmp_path).stdout == f"fastadmm {fastadmm.__version__}\n"


def test_compiling_is_said_through_logging(tmp_path):
    code = (
        "import logging, numpy as np, fastadmm\n"
        "logging.basicConfig(level='INFO', format='%(name)s %(message)s')\n"
        "net, X = fastadmm.RNN(2, 2, 2), np.zeros((4, 3, 2))\n"
        "net.simulate(X)\n"  # compiles, too, and is not training
        "for k in range(2): fastadmm.fit(net, X, np.array([0, 1, 0, 1]), epochs=1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True,
        env={**os.environ, "FASTADMM_CACHE": str(tmp_path)},
    )  # fmt: skip
    assert done.stderr == "fastadmm compiling kernels (once, about 30 s)\n"


def test_doctor(tmp_path):
    shown = run("doctor", cwd=tmp_path).stdout
    facts = "versions", "cores", "BLAS", "threading layer", "idle threads", "SVML", "cache", "MPI"
    for fact in facts:
        assert re.search(rf"^{fact} +\S", shown, re.MULTILINE), fact


def test_warmup_fills_the_cache(tmp_path):
    cache = str(tmp_path / "cache")
    first = run("warmup", "--solver", "condensed", cwd=tmp_path, FASTADMM_CACHE=cache).stdout
    assert "condensed, classification, float32: " in first
    compiled = list((tmp_path / "cache").rglob("*.nbc"))
    assert len(compiled) > 10
    run("train", "digits", "--epochs", 1, "--quiet", cwd=tmp_path, FASTADMM_CACHE=cache)
    assert sorted((tmp_path / "cache").rglob("*.nbc")) == sorted(compiled)  # nothing was missing
    if LAUNCHER is not None:
        code, _, err, _ = mpirun(
            2, "-m", "fastadmm", "train", "digits", "--epochs", 1, "--grid", "2x1", "--threads", 1,
            "--out", tmp_path / "out", FASTADMM_CACHE=cache,
        )  # fmt: skip
        assert code == 0, err
        assert sorted((tmp_path / "cache").rglob("*.nbc")) == sorted(compiled)


def test_unwritable_cache_is_one_warning(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    code = "import numpy as np, fastadmm.kernels.core.jit as j; print(j.CACHE_FOLDER)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "FASTADMM_CACHE": str(blocker / "below")},
    )  # fmt: skip
    assert done.stdout == "None\n"
    assert done.stderr.count("RuntimeWarning: compiled kernels are not kept") == 1
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "FASTADMM_CACHE": "0"},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("None\n", "")


def test_help_lists_the_commands(tmp_path):
    shown = run("--help", cwd=tmp_path).stdout
    for command in ("train", "evaluate", "predict", "sample", "warmup", "doctor"):
        assert command in shown
