"""Tables of the kernels' page: the catalogue from the docstrings, the times from stored results."""

import functools
import importlib
import inspect
import itertools
import re

from bench import machine
from fastadmm import kernels

GROUPS = {
    "Penalties": "operators penalties nonconvex groups bent_groups variation spectral",
    "Sets": "operators projections affine spectral_sets",
    "Of both": "operators entropy ordered capped",
    "Losses": "operators pointwise_losses loss_proxes cross_entropy",
    "Activations": "operators pointwise_activations activation_proxes",
    "Derivatives of proxes": "operators curvatures jacobians",
    "Linear systems": "systems grams cholesky ridge low_rank tokens tridiagonal matrix_free metric",
}
"""The room and its modules under the headings of the page."""


def _paragraphs(function):
    """The docstring's paragraphs before its first section, each on one line."""
    summary = re.split(r"\n\w+\n---", inspect.getdoc(function))[0]
    return [" ".join(part.split()) for part in summary.split("\n\n") if part.strip()]


def _formula(paragraphs):
    """The summary and the paragraph after it, where that is about the result."""
    after = [
        p for p in paragraphs[1:2] if not p.startswith(("Cost: ", "The kernel", "In compiled code"))
    ]
    return " ".join(paragraphs[:1] + after)


def _cost(paragraphs):
    costs = [p.removeprefix("Cost: ") for p in paragraphs if p.startswith("Cost: ")]
    return costs[0].rstrip(".") if costs else ""


def _parameters(function):
    """Names, type and first line of every entry of the docstring's section of parameters."""
    section = re.search(r"Parameters\n-+\n(.*?)(\n\n|\Z)", inspect.getdoc(function), re.DOTALL)
    lines = [*section[1].splitlines(), ""] if section else []
    for entry, after in itertools.pairwise(lines):
        if not entry.startswith(" "):
            names, _, kind = entry.partition(" : ")
            yield names, kind, after.strip() if after.startswith(" ") else ""


def _domain(function):
    """What every argument may be: its shape, and the first clause of its description."""
    parts = []
    for names, kind, text in _parameters(function):
        if names in ("out", "axis", "threads"):
            continue
        shape = re.search(
            r"(?:\([^()]*\)(?: or )?)+(?:, [\w <=]+$)?", kind.replace(", optional", "")
        )
        clause = re.split(r"[;:]|\.( |$)|, of the (shape|dtype)", text)[0]
        clause = "" if "float32" in clause else clause
        clause = clause[:1].lower() + clause[1:] if clause[1:2].islower() else clause
        described = ", ".join(part for part in (shape and shape[0], clause) if part)
        parts.append(f"`{names}` {described}".strip())
    return "; ".join(parts)


def _dtypes(function):
    """Both, or the argument that sets the dtype."""
    for names, _, text in _parameters(function):
        if "float32 or float64" in text:
            return "float32, float64"
        if "sets the dtype" in text:
            return f"that of `{names}`"
        if text.startswith("As in"):
            return "as there"
    return ""


def _compiled(function):
    """Arguments inside compiled code."""
    if not hasattr(function, "kernel"):
        return ""
    return f"`({', '.join(inspect.signature(function.kernel.py_func).parameters)})`"


def _module(name):
    return getattr(kernels, name).__module__.rpartition(".")[2]


def _operator(name):
    """A name without what is done with the operator: sorts a prox beside its value."""
    return re.sub("^(prox|grad|project|indicator|factor|solve|update|downdate)_", "", name)


def _row(name):
    function = getattr(kernels, name)
    paragraphs = _paragraphs(function)
    cells = (
        f"`{name}`",
        _formula(paragraphs),
        _domain(function),
        _dtypes(function),
        _cost(paragraphs),
        _compiled(function),
    )
    return (
        f"| {' | '.join(cell.replace('``', '`').replace('|', chr(92) + '|') for cell in cells)} |"
    )


def catalogue():
    """All public names: what they compute, for what, at what cost, and how compiled code calls."""
    lines = []
    for heading, group in GROUPS.items():
        lines += ["", f"### {heading}"]
        room, *modules = group.split()
        for module in modules:
            text = importlib.import_module(f"fastadmm.kernels.{room}.{module}").__doc__
            lines += ["", " ".join(text.split("\n\n")[0].split()).replace("``", "`"), ""]
            lines += ["| name | formula | domain | dtypes | cost | in compiled code |"]
            lines += ["|---|---|---|---|---|---|"]
            names = [name for name in kernels.__all__ if _module(name) == module]
            lines += [_row(name) for name in sorted(names, key=_operator)]
    return [*lines, ""]


SIZES = (1_000, 100_000, 10_000_000)
BARS = {"pyproximal": 3.0, "numpy": 1.0}
"""How many times faster than a peer a kernel is to be."""
COPY_BAR = 1.3
"""How many times longer than a copy of the same bytes a separable operator may take at most."""
LIBRARY_BAR = 1.2
"""How many times longer than SciPy's BLAS and LAPACK a linear system may take at most."""
_EXPONENTIALS = "bound by arithmetic: exponentials and logarithms"
_MEMORY = "both bound by memory: NumPy's is one pass or two"
_LAPACK = "LAPACK's decomposition is all of the time"
NOTES = {
    "exp": _EXPONENTIALS,
    "tanh": _EXPONENTIALS,
    "sigmoid": _EXPONENTIALS,
    "prox_squared_l2": _MEMORY,
    "prox_l2_norm": _MEMORY,
    "project_l2_ball": _MEMORY,
    "grad_squared_loss": _MEMORY,
    "prox_l2_norm, rows of 8": "pyproximal's groups are columns: it passes over them side by side",
    "prox_scad": "bound by arithmetic: its value, in double precision",
    "prox_nuclear_norm": _LAPACK,
    "project_positive_semidefinite": _LAPACK,
    "prox_l_half": "bound by arithmetic: a square root and two divisions per entry",
    "prox_logistic_loss": "bound by arithmetic: Newton steps of an exponential each",
    "prox_poisson_loss": "bound by arithmetic: Newton steps of an exponential each",
    "logistic_loss": _EXPONENTIALS,
    "grad_logistic_loss": _EXPONENTIALS,
    "poisson_loss": _EXPONENTIALS,
    "grad_poisson_loss": _EXPONENTIALS,
} | {
    f"{prefix}{name}_activation": _EXPONENTIALS
    for prefix in ("", "grad_")
    for name in ("tanh", "sigmoid", "softplus", "silu")
}
"""Why a bar is missed, by operator."""


def _runs():
    """Stored results: facts of the machine, and runs by operator, size and dtype, then by whom."""
    stored, runs = machine.load("kernels"), {}
    for run in stored["results"]:
        key = run["operator"], run["n"], run["dtype"]
        runs.setdefault(key, {})[run["by"]] = run
    return stored["machine"], runs


def _marked(ratio, missed):
    return f"**{ratio:.2f} missed**" if missed else f"{ratio:.2f}"


def _cells(runs, operator, dtype):
    """Time at the largest size, the peer with its ratios, the ratio to a copy; and a note."""
    each = [runs.get((operator, n, dtype), {}) for n in SIZES]
    peer = next((by for by in BARS for run in each if by in run), "")
    ratios = []
    for run in each:
        if peer in run and "fastadmm" in run:
            ratio = run[peer]["min"] / run["fastadmm"]["min"]
            ratios.append(_marked(ratio, ratio < BARS[peer]))
        else:
            ratios.append("")
    ours = each[-1].get("fastadmm", {})
    seconds = f"{1e3 * ours['min']:.1f}" if ours else ""
    ratio = ours["min"] / ours["copy"] if "copy" in ours else 0
    copy = _marked(ratio, ratio > COPY_BAR) if ratio else ""
    missed = any("missed" in cell for cell in (*ratios, copy))
    return [seconds, peer, *ratios, copy, NOTES.get(operator, "") if missed else ""]


def _if_stored(make):
    """A table, or one line where nothing was measured yet."""

    @functools.wraps(make)
    def table():
        stored = (machine.RESULTS / "kernels.json").exists()
        return make() if stored else ["No results are stored: `make bench` writes them."]

    return table


BLOCKS = (
    "recurrence", "maps", "token_weights", "sums", "exact_blocks", "linearised_blocks",
)  # fmt: skip
"""Modules of the blocks that the solvers are made of."""


def blocks():
    """Blocks of the solvers: what each kernel does, and what limits it."""
    lines = ["| module | kernel | does | limited by |", "|---|---|---|---|"]
    for name in BLOCKS:
        module = importlib.import_module(f"fastadmm.kernels.recurrent.{name}")
        for key, kernel in vars(module).items():
            function = getattr(kernel, "py_func", None)
            if key[0] == "_" or function is None or function.__module__ != module.__name__:
                continue
            text = " ".join(inspect.getdoc(function).split("\n\nParameters")[0].split())
            limit = re.search(r"Limited by (.*?)\.(?: |$)", text)
            does = re.match(r"(.*?)\.(?: |$)", text)[1].replace("|", "\\|")
            lines.append(f"| `{name}` | `{key}` | {does} | {limit[1] if limit else ''} |")
    return lines


@_if_stored
def operator_times():
    """Operators beside their peers and a copy."""
    facts, runs = _runs()
    lines = [
        f"{facts['processor']}, {facts['date']}, load {facts['load']:.1f} at the end of the run.",
        "",
        "| operator | dtype | 1e7, ms | peer | peer / ours, 1e3 | 1e5 | 1e7 | ours / copy | note |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for operator, dtype in dict.fromkeys((key[0], key[2]) for key in runs if key[1] == SIZES[1]):
        cells = _cells(runs, operator, dtype)
        lines.append(f"| `{operator}` | {dtype} | {' | '.join(cells)} |")
    return lines


@_if_stored
def system_times():
    """Linear systems beside BLAS and LAPACK called through SciPy."""
    _, runs = _runs()
    lines = ["| system | size | dtype | ours, ms | SciPy, ms | ours / SciPy |", "|---" * 6 + "|"]
    for (operator, size, dtype), run in runs.items():
        if "scipy" in run and "fastadmm" in run:
            ours, theirs = run["fastadmm"]["min"], run["scipy"]["min"]
            ratio = _marked(ours / theirs, ours / theirs > LIBRARY_BAR)
            times = f"{1e3 * ours:.3f} | {1e3 * theirs:.3f} | {ratio}"
            lines.append(f"| {operator} | {size} | {dtype} | {times} |")
    return lines
