"""Tables of the kernels' page: the catalogue from the docstrings, the times from stored results."""

import importlib
import inspect
import itertools
import re

from fastadmm import kernels

GROUPS = {
    "Penalties": ("penalties", "groups", "nonconvex", "variation", "spectral"),
    "Sets": ("projections", "affine"),
    "Losses": ("pointwise_losses", "loss_proxes", "cross_entropy"),
    "Activations": ("pointwise_activations", "activation_proxes"),
    "Linear systems": (
        "grams",
        "cholesky",
        "ridge",
        "low_rank",
        "tokens",
        "tridiagonal",
        "matrix_free",
    ),
}
"""Modules of the kernels under the headings of the page."""


def _paragraphs(function):
    """The docstring's paragraphs before its first section, each on one line."""
    summary = re.split(r"\n\w+\n---", inspect.getdoc(function))[0]
    return [" ".join(part.split()) for part in summary.split("\n\n") if part.strip()]


def _formula(paragraphs):
    """The summary and the paragraph after it, where that is about the result."""
    after = [p for p in paragraphs[1:2] if not p.startswith(("Cost: ", "The kernel"))]
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
        if names == "out":
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
    for heading, modules in GROUPS.items():
        lines += ["", f"### {heading}"]
        for module in modules:
            text = importlib.import_module(f"fastadmm.kernels.{module}").__doc__
            lines += ["", " ".join(text.split("\n\n")[0].split()).replace("``", "`"), ""]
            lines += ["| name | formula | domain | dtypes | cost | in compiled code |"]
            lines += ["|---|---|---|---|---|---|"]
            names = [name for name in kernels.__all__ if _module(name) == module]
            lines += [_row(name) for name in sorted(names, key=_operator)]
    return [*lines, ""]
