"""Tables of the documentation, written from the stored results and from the docstrings.

python bench/tables.py      rewrites what stands between the markers in README.md and docs/*.md
"""

import re
from pathlib import Path
from statistics import geometric_mean, mean, median

import kernel_tables
import machine
import parallel_tables
import speed_tables

ROOT = Path(__file__).parents[1]


def accuracy():
    """Mean, lowest and highest result of every setting over its seeds."""
    groups = {}
    for run in machine.load("accuracy")["results"]:
        groups.setdefault(re.sub(r" --seed \d+", "", run["arguments"]), []).append(run)
    lines = [
        "| `fastadmm train ...` | measure | mean | worst | best | training, median |",
        "|---|---|---|---|---|---|",
    ]
    for arguments, runs in groups.items():
        task = arguments.split()[0]
        if task in ("text", "adding"):
            name = "nats per character" if task == "text" else "mean squared error"
            values = [run["test_loss"] for run in runs]
            worst, best = max(values), min(values)
            digits = 3 if task == "text" else 4
            shown = [f"{v:.{digits}f}" for v in (mean(values), worst, best)]
        else:
            name, values = "test accuracy", [run["test_accuracy"] for run in runs]
            shown = [f"{v:.2%}" for v in (mean(values), min(values), max(values))]
        seconds = median(run["train_seconds"] for run in runs)
        lines.append(f"| `{arguments}` | {name} | {' | '.join(shown)} | {seconds:.2f} s |")
    return lines


def step_race():
    """Median time of one training step, ours and the peers'."""
    races = machine.load("step_race")["results"]
    names = [name for name in races[0]["median"] if not name.startswith("products")]
    lines = [
        f"| T, B, D, H | {', ms | '.join(names)}, ms | torch / ours | JAX / ours |",
        "|---" * (len(names) + 3) + "|",
    ]
    for race in races:
        shape = ", ".join(str(race[key]) for key in "TBDH")
        times = " | ".join(f"{1e3 * race['median'][name]:.2f}" for name in names)
        ratios = f"{race['torch_ratio']:.2f} | {race['jax_ratio']:.2f}"
        lines.append(f"| {shape} | {times} | {ratios} |")
    means = [geometric_mean(race[f"{peer}_ratio"] for race in races) for peer in ("torch", "jax")]
    lines.append(f"| geometric mean |{' |' * len(names)} {means[0]:.2f} | {means[1]:.2f} |")
    return lines


def startup():
    """Seconds until work begins."""
    lines = ["| | seconds |", "|---|---|"]
    for name, seconds in machine.load("startup")["results"].items():
        lines.append(f"| {name} | {seconds:.2f} |")
    return lines


def convergence():
    """The splitting solvers on digits: accuracy, residuals, certificates."""
    lines = [
        "| solver | activation | gain | iterations | test accuracy | residual | certificate |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in machine.load("convergence")["results"]:
        certificate = "not asked for"
        if "checks" in run:
            certificate = f"{run['checks']} updates, " + (
                "violated" if run["violation"] else "none rose"
            )
        lines.append(
            f"| `{run['solver']}` | {run['activation']} | {run['gain']:g} | {run['iterations']} | "
            f"{run['test_accuracy']:.2%} | {max(run['primal']):.1e} | {certificate} |"
        )
    return lines


def text():
    """Nats per character of all methods on the paper's text."""
    groups = {}
    for run in machine.load("text")["results"]:
        groups.setdefault(run["method"], []).append(run)
    lines = [
        "| method | learning rate | held out: mean | worst | best | training text: mean |",
        "|---|---|---|---|---|---|",
    ]
    for method, runs in groups.items():
        losses = [run["test_loss"] for run in runs]
        shown = " | ".join(f"{v:.3f}" for v in (mean(losses), max(losses), min(losses)))
        rate = f"{runs[0]['rate']:g}" if "rate" in runs[0] else ""
        trained = mean(run["train_loss"] for run in runs)
        lines.append(f"| {method} | {rate} | {shown} | {trained:.3f} |")
    return lines


def stability():
    """Mean and lowest test accuracy of all methods over gains and seeds."""
    runs = machine.load("stability")["results"]
    gains = sorted({run["gain"] for run in runs})
    lines = [
        f"| | | {' | '.join(f'gain {gain:g}' for gain in gains)} | lowest of all |",
        "|---" * (len(gains) + 3) + "|",
    ]
    for task in dict.fromkeys(run["task"] for run in runs):
        for method in dict.fromkeys(run["method"] for run in runs):
            own = [r for r in runs if (r["task"], r["method"]) == (task, method)]
            means = [mean(r["test_accuracy"] for r in own if r["gain"] == g) for g in gains]
            lowest = min(r["test_accuracy"] for r in own)
            shown = " | ".join(f"{100 * value:.1f}" for value in (*means, lowest))
            lines.append(f"| {task} | {method} | {shown} |")
    return lines


PAGES = {
    "README.md": (accuracy, step_race, startup),
    "docs/speed.md": (
        speed_tables.targets,
        speed_tables.roofline,
        speed_tables.memory,
        speed_tables.limits,
        speed_tables.losses,
    ),
    "docs/solvers.md": (convergence, stability, text),
    "docs/parallel.md": (
        parallel_tables.scaling,
        parallel_tables.stream,
        parallel_tables.straggler,
        parallel_tables.goal,
    ),
    "docs/kernels.md": (
        kernel_tables.catalogue,
        kernel_tables.blocks,
        kernel_tables.operator_times,
        kernel_tables.system_times,
    ),
}
"""The tables of each page, by the names of their markers."""


def rewritten(page):
    """The text of a page with every table made anew."""
    content = (ROOT / page).read_text(encoding="utf-8")
    for make in PAGES[page]:
        begin, end = f"<!-- {make.__name__} -->", "<!-- end -->"
        pattern = rf"({re.escape(begin)}\n).*?({re.escape(end)})"
        table = "\n".join(make())
        content, count = re.subn(
            pattern, lambda found, t=table: f"{found[1]}{t}\n{found[2]}", content, flags=re.DOTALL
        )
        if count != 1:
            raise SystemExit(f"{page} has {count} places for {make.__name__}: expected 1")
    return content


if __name__ == "__main__":
    for page in PAGES:
        (ROOT / page).write_text(rewritten(page), encoding="utf-8")
