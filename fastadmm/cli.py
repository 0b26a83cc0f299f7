"""The command line: train, evaluate, predict, sample, plan, warmup, doctor."""

import time

STARTED = time.perf_counter()

import contextlib  # noqa: E402
import datetime  # noqa: E402
import json  # noqa: E402
import platform  # noqa: E402
import re  # noqa: E402
import shlex  # noqa: E402
import sys  # noqa: E402
from dataclasses import asdict  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Annotated, Any  # noqa: E402

import typer  # noqa: E402
import typer.core  # noqa: E402

from fastadmm import signals, tasks  # noqa: E402
from fastadmm.cells import CELLS  # noqa: E402
from fastadmm.files import finite_or_none, replacing  # noqa: E402
from fastadmm.kernels.operators.activation_codes import ACTIVATIONS  # noqa: E402
from fastadmm.mpi import launch  # noqa: E402
from fastadmm.validation import one_of  # noqa: E402
from fastadmm.version import __version__, versions  # noqa: E402

FAILED, DIVERGED, VIOLATED, INTERRUPTED = 1, 3, 4, 130
"""Exit codes, beside 0 for success, 2 for a user's mistake, and 128 plus the signal's number where
one ended training: 130 after Ctrl-C, 143 SIGTERM, 138 SIGUSR1 on Linux."""

UNTRAINED = "interrupted before training began: nothing was written"

MISTAKES = (ValueError, TypeError, FileNotFoundError, ModuleNotFoundError, launch.LaunchError)


class Commands(typer.core.TyperGroup):
    """The commands; Typer itself lets Ctrl-C end them without a word."""

    def invoke(self, ctx: typer.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            is_train = ctx.invoked_subcommand == "train"
            print(UNTRAINED if is_train else "interrupted", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=Commands,
    help="Train recurrent networks with ADMM, fast, on CPUs.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Task = Annotated[
    str, typer.Argument(help=f"{', '.join(tasks.NAMES)}, or a .npz with X, y, optional Xv, yv.")
]
Data = Annotated[Path | None, typer.Option(help="Folder of MNIST's IDX files, or the text file.")]
Steps = Annotated[
    int | None, typer.Option(help="Window of text in characters, or length of adding's sequences.")
]
Pixels = Annotated[bool, typer.Option("--pixels", help="MNIST as 784 steps of one pixel.")]
Threads = Annotated[
    int | None, typer.Option(help="Default: OMP_NUM_THREADS, or all cores / ranks on the node.")
]
MaxClasses = Annotated[
    int | None,
    typer.Option(help="Most classes, tokens or symbols that data may ask for; default 100000."),
]
CellName = Annotated[str, typer.Option("--cell", help=", ".join(CELLS))]
Model = Annotated[Path, typer.Argument(help="A model.safetensors written by train.")]
Seed = Annotated[int, typer.Option(help="Of all random numbers.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"fastadmm {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show it and exit."),
    ] = False,
) -> None:
    """Options of no command."""


def _configure(context: typer.Context, path: Path | None) -> Path | None:
    """Take options that are not on the command line from a file."""
    from fastadmm import config

    if path is not None:
        names = [name for name in (p.name for p in context.command.params) if name]
        known = [name for name in names if name not in config.LEFT_OUT]
        context.default_map = config.read(path, known)
    return path


@app.command()
@signals.stop_requests()  # until the model is written
def train(
    context: typer.Context,
    task: Task,
    config: Annotated[
        Path | None,
        typer.Option(
            callback=_configure,
            is_eager=True,
            help="Options as TOML, for those not given here; a run leaves its own, config.toml.",
        ),
    ] = None,
    data: Data = None,
    solver: Annotated[str, typer.Option(help="condensed, block, admmirnn")] = "condensed",
    hidden: Annotated[int | None, typer.Option(help="Hidden units.")] = None,
    cell: CellName = "elman",
    leak: Annotated[
        float | None, typer.Option(help="Of leaky units: how much of a state is new.")
    ] = None,
    layers: Annotated[int, typer.Option(help="Cells on top of each other.")] = 1,
    bidirectional: Annotated[
        bool, typer.Option("--bidirectional", help="Backward in time, too.")
    ] = False,
    dropout: Annotated[float, typer.Option(help="Between layers.")] = 0.0,
    initial: Annotated[str, typer.Option(help="State at the beginning: zero, learned.")] = "zero",
    activation: Annotated[str, typer.Option(help=", ".join(ACTIVATIONS))] = "tanh",
    epochs: Annotated[int | None, typer.Option(help="Passes over the data.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Sequences in a mini-batch; parallel streams of text.")
    ] = None,
    steps: Steps = None,
    warmup: Annotated[
        int, typer.Option(help="Windows at random, each behind so many time points for its states.")
    ] = 0,
    pixels: Pixels = False,
    eta: Annotated[
        float | None, typer.Option(help="Bound on a step; by default it finds itself.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="Any setting of the solver, NAME=VALUE; repeatable.")
    ] = None,
    grid: Annotated[
        str | None, typer.Option(help="Under mpirun: ranks along time x batch, as in 2x4.")
    ] = None,
    micro_batches: Annotated[
        int | None, typer.Option(help="Under mpirun: of the pipeline over time ranks.")
    ] = None,
    staleness: Annotated[
        int, typer.Option(help="Under mpirun: iterations that a rank may run ahead; 0 is exact.")
    ] = 0,
    certify: Annotated[
        bool, typer.Option("--certify", help="Check that no block update raises the Lagrangian.")
    ] = False,
    constraint: Annotated[
        list[str] | None,
        typer.Option(help="BLOCK=NAME:NUMBER, as recurrent=dale:0.8&mask:0.1; may be repeated."),
    ] = None,
    gain: Annotated[float, typer.Option(help="Scale of the initial recurrent weights.")] = 1.0,
    seed: Seed = 0,
    dtype: Annotated[str, typer.Option(help="float32 or float64")] = "float32",
    threads: Threads = None,
    time_limit: Annotated[
        float | None, typer.Option(help="Seconds of training and validation.")
    ] = None,
    checkpoint_every: Annotated[
        str | None,
        typer.Option(help="Epochs, or seconds as in 60s, between two of checkpoint.safetensors."),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(help="Go on from a checkpoint; auto: from that of the folder, if any."),
    ] = None,
    group_by_length: Annotated[
        bool, typer.Option("--group-by-length", help="Mini-batches of similar length.")
    ] = False,
    validation: Annotated[
        float | None,
        typer.Option(help="Fraction of the training cases to judge by, instead of the held-out."),
    ] = None,
    early_stopping: Annotated[
        int | None, typer.Option(help="Epochs without a lower held-out loss that end training.")
    ] = None,
    class_weight: Annotated[
        str | None, typer.Option(help="balanced: rare labels count as much as frequent ones.")
    ] = None,
    max_classes: MaxClasses = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default runs/TASK.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier run, instead of keeping it.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing.")] = False,
) -> None:
    """Train a network, and write summary, history, model and picture into a folder."""
    from fastadmm import RNN, constraints, fit, report
    from fastadmm.threads import check_threads

    started = datetime.datetime.now().astimezone()
    comm = launch.world()
    is_root = comm is None or comm.rank == 0
    if comm is None and (grid, micro_batches, staleness) != (None, None, 0):
        raise ValueError(
            "grid, micro_batches and staleness need ranks: start with mpirun -n P fastadmm train"
        )
    settings = _settings(solver, option, eta, certify)
    held = constraints.parse_all(constraint or ())
    defaults = tasks.defaults(task, solver)
    hidden = defaults.hidden if hidden is None else hidden
    epochs = defaults.epochs if epochs is None else epochs
    batch_size = defaults.batch_size if batch_size is None else batch_size
    lazy = comm is not None  # each rank reads its own part only
    loaded = tasks.load(
        task, data, steps, pixels, seed, batch_size or 64, lazy=lazy, max_classes=max_classes
    )
    net = RNN(
        loaded.inputs, hidden, loaded.outputs, activation, gain, seed, dtype, cell, layers=layers,
        bidirectional=bidirectional, dropout=dropout, initial=initial, leak=leak,
    )  # fmt: skip
    net.task = {"name": loaded.name, **loaded.about}
    out = out or Path("runs") / Path(task).stem
    saves = checkpoint_every is not None or resume is not None
    saved = out / "checkpoint.safetensors" if saves else None
    if saved is not None and resume is None and not overwrite and saved.is_file():
        raise ValueError(
            f"{saved} is there: --resume auto goes on from it, --overwrite begins anew"
        )
    goes_on = resume is not None and (resume != "auto" or (saved is not None and saved.is_file()))
    size = net.parameters * net.dtype.itemsize
    with _folder(out, is_root, goes_on=goes_on, overwrite=overwrite, size=size) as folder:
        about = {
            "task": task, "solver": solver, "cell": cell, "hidden": hidden,
            "activation": activation, "gain": gain, "seed": seed, "dtype": dtype,
            "parameters": net.parameters, "command": shlex.join(["fastadmm", *sys.argv[1:]]),
            "started": started.isoformat(timespec="seconds"), "host": platform.node(),
            "source": report.source_digest(), "versions": versions(),
            "setup_seconds": time.perf_counter() - STARTED,
        }  # fmt: skip
        names = [p.name for p in context.command.params if p.name in context.params]
        options = {name: context.params[name] for name in names} | {
            "hidden": hidden, "epochs": epochs, "batch_size": batch_size
        }  # fmt: skip
        if comm is not None and not quiet:
            limit = check_threads(threads, launch.cores_per_rank(comm))
            print(launch.placement(comm, limit), flush=True)
        result = fit(
            net, loaded.X, loaded.y, readout=loaded.readout, solver=solver,
            epochs=epochs, batch_size=batch_size, steps=loaded.steps, warmup=warmup,
            validation=tasks.held_out(loaded) if validation is None else validation,
            early_stopping=early_stopping, callbacks=() if folder is None else [folder.append],
            time_limit=time_limit, verbose=0 if quiet else 1, threads=threads, seed=seed,
            comm=comm, grid=_grid(grid), micro_batches=micro_batches, staleness=staleness,
            checkpoint=saved, checkpoint_every=checkpoint_every, resume=resume,
            lengths=loaded.lengths, group_by_length=group_by_length, class_weight=class_weight,
            constraints=held, **settings,
        )  # fmt: skip
        if result.status == "interrupted" and not result.train_seconds:
            print(UNTRAINED, file=sys.stderr)
            raise typer.Exit(128 + result.signal)
        failures = []
        if is_root:
            options["threads"] = result.threads
            failures = _write_results(net, loaded, result, folder, about, options, quiet)
    if comm is not None:
        failures = comm.bcast(failures)
    if failures:
        print(f"error: {out}: {'; '.join(failures)}", file=sys.stderr)
        raise typer.Exit(FAILED)
    _exit(result)


@contextlib.contextmanager
def _folder(path, is_root, **asked):
    """The folder to write, on rank 0; where nothing is written in the end, none is left behind."""
    from fastadmm import report

    folder = report.Folder(path, **asked) if is_root else None
    try:
        yield folder
    finally:
        if folder is not None:
            folder.leave()


@signals.stop_requests(keyboard=True)  # what has been trained is written
def _write_results(net, loaded, result, folder, about, options, quiet):
    """Summary, history, model and picture of a run; printed too. Returns what has failed."""
    import numpy as np

    with np.errstate(all="ignore"):  # of weights that are finite, and large
        loss, accuracy = _score(net, loaded, result.threads)
    settings = dict(result.settings)
    summary = {
        "task": about.pop("task"),
        "solver": about.pop("solver"),
        "status": result.status,
        "setup_seconds": about.pop("setup_seconds"),
        "compile_seconds": result.compile_seconds,
        "train_seconds": result.train_seconds,
        "epochs": len(result.history),
        "epochs_asked": settings.pop("epochs"),
        "best_epoch": result.best_epoch,
        "train_loss": result.history[-1]["train_loss"] if result.history else None,
        "test_loss": finite_or_none(loss),
        "test_accuracy": accuracy,
        "kkt": result.kkt and {n: finite_or_none(v) for n, v in result.kkt.items()},
        "convergence": {n: finite_or_none(v) for n, v in result.convergence.items()},
        "certificate": result.certificate and asdict(result.certificate),
        "threads": result.threads,
        **about,
        **settings,
        "per_rank": result.ranks,
    }
    picture, failures = folder.write(net, summary, result.history, options)
    if not quiet:
        _print_summary(summary, folder.path, picture, failures)
    return failures


def _exit(result):
    """Exit code of a run that did not end well."""
    if result.status == "diverged":
        print(f"diverged: what may help is {result.advice}", file=sys.stderr)
        raise typer.Exit(DIVERGED)
    if result.status == "interrupted":
        raise typer.Exit(128 + result.signal)
    if result.certificate and result.certificate.violation:
        raise typer.Exit(VIOLATED)


def _settings(solver, option, eta, certify) -> dict[str, Any]:
    """Settings of the solver from the command line's own options and NAME=VALUE pairs."""
    from fastadmm.options import check_names, read
    from fastadmm.solvers import SOLVERS

    kind = SOLVERS[one_of(solver, SOLVERS, "solver")].Options
    settings = {"certify": True} if certify else {}
    if eta is not None:
        settings["eta"] = eta
    for pair in option or ():
        name, separator, text = pair.partition("=")
        if not separator:
            raise ValueError(f"option is {pair!r}: expected NAME=VALUE")
        check_names(kind, [name], f"solver {solver!r}")
        settings[name] = read(kind, name, text)
    return settings


def _grid(text):
    """Ranks along time and along the batch from "2x4"."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found:
        raise ValueError(f"grid is {text!r}: expected TIMExBATCH, as in 2x4")
    return int(found[1]), int(found[2])


def _score(net, loaded, threads):
    """Loss and accuracy on the held-out part, (None, None) where there is none."""
    from fastadmm import sequences
    from fastadmm.problem import evaluate, make_problem
    from fastadmm.threads import check_threads, compute_threads

    if loaded.held_out is None:
        return None, None
    X, y = loaded.held_out
    X, y, lengths = sequences.pair(X, y, loaded.held_out_lengths, loaded.readout)
    problem, data = make_problem(net, X, y, readout=loaded.readout, lengths=lengths)
    threads = check_threads(threads)
    with compute_threads(threads):
        return evaluate(net, problem, data, threads)


def _print_summary(summary, folder, picture, failures):
    print(f"{summary['task']}: {summary['status']} after {summary['epochs']} epochs")
    print(
        f"set-up {summary['setup_seconds']:.2f} s, compile {summary['compile_seconds']:.2f} s, "
        f"training {summary['train_seconds']:.2f} s on {summary['threads']} threads"
    )
    if summary["test_loss"] is not None:
        print(f"test loss {summary['test_loss']:.4f}")
    if summary["test_accuracy"] is not None:
        print(f"test accuracy {summary['test_accuracy']:.2%}")
    if summary["kkt"] is not None:
        found = {n: "too large" if v is None else f"{v:.1e}" for n, v in summary["kkt"].items()}
        print("kkt residuals " + ", ".join(f"{n} {text}" for n, text in found.items()))
    if summary["certificate"] is not None:
        _print_certificate(**summary["certificate"])
    if failures:
        return
    drawn = "convergence.png" if picture else "no picture: pip install 'fastadmm[plot]'"
    print(f"{folder}: summary.json, history.jsonl, model.safetensors, {drawn}")


def _print_certificate(checks, violation):
    if violation is None:
        print(f"certificate: none of {checks} block updates raised the augmented Lagrangian")
    else:
        print(
            "certificate: VIOLATED first in iteration {iteration} by block {block}: "
            "{quantity} {before!r} -> {after!r}".format(**violation)
        )


@app.command()
def evaluate(
    model: Model,
    task: Task,
    data: Data = None,
    steps: Steps = None,
    pixels: Pixels = False,
    seed: Seed = 0,
    threads: Threads = None,
    max_classes: MaxClasses = None,
) -> None:
    """Loss and accuracy of a model on the held-out part of a task, as JSON.

    Of a .npz on Xv and yv where it has them, else on X and y.
    """
    from fastadmm import RNN

    net = RNN.load(model)
    steps = steps or net.task.get("steps")
    pixels = pixels or net.task.get("pixels", False)
    loaded = tasks.load(task, data, steps, pixels, seed, known=net.task, max_classes=max_classes)
    if loaded.held_out is None:  # a file of its own for testing
        loaded.held_out, loaded.held_out_lengths = (loaded.X, loaded.y), loaded.lengths
    loss, accuracy = _score(net, loaded, threads)
    print(json.dumps({"task": task, "test_loss": loss, "test_accuracy": accuracy}))


@app.command()
def predict(
    model: Model,
    file: Annotated[Path, typer.Argument(help="A .npz with X, and lengths if unequal.")],
    out: Annotated[
        Path | None, typer.Option(help="Default: FILE with .predictions.npz for .npz.")
    ] = None,
    threads: Threads = None,
) -> None:
    """Outputs of a model, and labels where it classifies, written as .npz."""
    import numpy as np

    from fastadmm import RNN
    from fastadmm.datasets import read_npz
    from fastadmm.losses import CROSS_ENTROPY

    net = RNN.load(model)
    given = read_npz(file, ("X",))
    lengths = given.get("lengths")
    outputs = net.predict(given["X"], threads=threads, lengths=lengths)
    content: dict[str, Any] = {"outputs": outputs}
    if lengths is not None:
        content["lengths"] = lengths
    if net.task.get("loss") == CROSS_ENTROPY.name:
        labels = outputs.argmax(-1)
        classes = net.task.get("classes")
        content["labels"] = labels if classes is None else np.array(classes)[labels]
    out = out or file.with_suffix(".predictions.npz")
    try:
        with replacing(out) as results:
            np.savez(results, **content)
    except OSError as error:
        raise ValueError(f"out is {out}: cannot be written ({error.strerror})") from error
    print(f"{out}: {', '.join(f'{name} {a.shape}' for name, a in content.items())}")


@app.command()
def sample(
    model: Model,
    length: Annotated[int, typer.Option(help="Characters to draw.")] = 200,
    prompt: Annotated[str, typer.Option(help="Read first; not printed.")] = "\n",
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest character.")] = 1.0,
    seed: Seed = 0,
) -> None:
    """Text from a model trained on task text."""
    from fastadmm import RNN
    from fastadmm.text import sample as draw

    print(draw(RNN.load(model), length, prompt, temperature, seed))


@app.command()
def plan(
    task: Annotated[str, typer.Option(help="As for train.")],
    ranks: Annotated[str, typer.Option(help="A number, or A..B.")] = "1..1024",
    data: Data = None,
    solver: Annotated[str, typer.Option(help="condensed, block, admmirnn")] = "condensed",
    hidden: Annotated[int | None, typer.Option(help="Hidden units.")] = None,
    cell: CellName = "elman",
    batch_size: Annotated[int | None, typer.Option(help="Sequences in a mini-batch.")] = None,
    steps: Steps = None,
    pixels: Pixels = False,
    dtype: Annotated[str, typer.Option(help="float32 or float64")] = "float32",
    threads: Annotated[int, typer.Option(help="Of each rank.")] = 1,
    machine: Annotated[
        Path | None, typer.Option(help="Its numbers, from --save; default: measured here.")
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Write the measured numbers here.")] = None,
) -> None:
    """Predict time, efficiency and memory on many ranks, before asking for them."""
    from fastadmm import plan as planning
    from fastadmm.mpi.machine import Machine, calibrate
    from fastadmm.solvers import SOLVERS, counts
    from fastadmm.solvers.base import check_trains

    defaults = tasks.defaults(task)
    batch_size = batch_size or defaults.batch_size
    assert batch_size is not None  # that of condensed is a number
    sizes = planning.parse_ranks(ranks)
    loaded = tasks.load(task, data, steps, pixels, batch_size=batch_size, lazy=True)
    work = planning.work_of(loaded, hidden or defaults.hidden, batch_size, dtype, cell)
    check_trains(solver, SOLVERS[one_of(solver, SOLVERS, "solver")], {"cell": cell})
    counts(work, solver)  # a mistake shows before anything is measured
    if machine is not None:
        numbers = Machine.load(machine)
    else:
        numbers = calibrate(launch.world(), **planning.rates(work, threads))
    if save is not None:
        numbers.save(save)
    found = planning.table(work, solver, sizes, numbers)
    print(f"{task}, {solver}: {numbers}")
    planning.show(found)


@app.command()
def warmup(
    dtype: Annotated[str, typer.Option(help="float32 or float64")] = "float32",
    threads: Threads = None,
    solver: Annotated[str | None, typer.Option(help="One of them; default: all.")] = None,
    cell: CellName = "elman",
) -> None:
    """Compile what training calls into the cache on disk."""
    from fastadmm import doctor
    from fastadmm.kernels.core import jit
    from fastadmm.warmup import compile_all

    with launch.one_per_node_first(launch.world(), jit.CACHE_FOLDER is not None):
        for name, seconds in compile_all(dtype, threads, solver, cell):
            print(f"{name}: {seconds:.1f} s", flush=True)
    print(f"cache: {doctor.cache_state()}")


@app.command("doctor")
def doctor_command() -> None:
    """Versions, cores, BLAS, threads, vector library, cache, MPI."""
    from fastadmm.doctor import facts

    for name, value in facts().items():
        print(f"{name:16} {value}")


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error and exit code 2.

    Under an MPI launcher the ranks end together, see `fastadmm.mpi.launch.together`.
    """
    try:
        with launch.together(MISTAKES):
            try:
                app()
            except SystemExit as end:  # with code 0 the command is done
                if end.code:
                    raise
    except MISTAKES as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except MemoryError as error:
        print(f"error: not enough memory. {error}", file=sys.stderr)
        sys.exit(FAILED)
