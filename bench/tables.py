"""Tables of the documentation, written from the stored results and from the docstrings.

python -m bench.tables      rewrites what stands between the markers in README.md and docs/*.md
"""

import re
from pathlib import Path
from statistics import mean, median, stdev

from bench import kernel_tables, machine, parallel_tables, speed_tables

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
        found = [race["median"].get(name) for name in names]
        times = " | ".join("" if value is None else f"{1e3 * value:.2f}" for value in found)
        ratios = f"{race['torch_ratio']:.2f} | {race['jax_ratio']:.2f}"
        lines.append(f"| {shape} | {times} | {ratios} |")
    ranges = " | ".join(_range(races, f"{peer}_ratio", 2) for peer in ("torch", "jax"))
    lines.append(f"| range |{' |' * len(names)} {ranges} |")
    return lines


def _range(races, key, digits):
    """Lowest to highest."""
    values = [race[key] for race in races]
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def step_range():
    """What the race says, in one sentence for each peer."""
    races = machine.load("step_race")["results"]
    parts = [
        [race for race in races if (race["H"] >= 256 or race["B"] >= 1024) == is_large]
        for is_large in (True, False)
    ]
    lines = []
    for peer, key in (("torch", "torch_ratio"), ("JAX", "jax_ratio")):
        large, small = (_range(part, key, 1) for part in parts)
        lines.append(
            f"Our step is **{_range(races, key, 1)} times** as fast as that of {peer}: {large} "
            f"times with 256 hidden units or 1,024 sequences and more, {small} times below."
        )
    return lines


def time_to():
    """Seconds of training to an accuracy."""
    lines = [
        "| test accuracy | method | epochs | learning rate | median, s | seeds that reach it |",
        "|---|---|---|---|---|---|",
    ]
    for run in machine.load("time_to")["results"]["runs"]:
        reached = [value for value in run["seconds"] if value is not None]
        rate = "the default" if run["rate"] is None else f"{run['rate']:g}"
        # a seed that does not reach it counts as longer than all others
        ordered = sorted(run["seconds"], key=lambda value: (value is None, value))
        middle = ordered[len(ordered) // 2]
        shown = "not reached" if middle is None else f"{middle:.2f}"
        lines.append(
            f"| {run['target']:.1%} | {run['method']} | {run['epochs']} | {rate} | {shown} | "
            f"{len(reached)} of {len(ordered)} |"
        )
    return lines


def busy():
    """Milliseconds of a step with waiting threads asleep or spinning."""
    found = machine.load("busy")["results"]["median"]
    ways = list(next(iter(found["quiet"].values())))
    lines = [
        f"| ms of a step | machine | {' | '.join(ways)} |",
        "|---" * (len(ways) + 2) + "|",
    ]
    for state, shapes in found.items():
        for shape, seconds in shapes.items():
            times = " | ".join(f"{1e3 * seconds[way]:.2f}" for way in ways)
            lines.append(f"| {shape} | {state} | {times} |")
    return lines


def vocabulary():
    """Milliseconds of a step, and memory, by the size of the alphabet."""
    lines = ["| tokens | hidden | ms of a step | MiB |", "|---|---|---|---|"]
    for run in machine.load("vocabulary")["results"]:
        lines.append(
            f"| {run['alphabet']:,} | {run['hidden']} | {1e3 * run['seconds']:.2f} | "
            f"{run['mebibytes']:.0f} |"
        )
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


def _text_runs():
    groups = {}
    for run in machine.load("text")["results"]:
        groups.setdefault(run["method"], []).append(run)
    return groups


def text():
    """Nats per character of all methods on the paper's text."""
    lines = [
        "| method | learning rate | held out: mean | spread | worst | best | training text: mean |",
        "|---" * 7 + "|",
    ]
    for method, runs in _text_runs().items():
        losses = [run["test_loss"] for run in runs]
        numbers = mean(losses), stdev(losses), max(losses), min(losses)
        shown = " | ".join(f"{v:.3f}" for v in numbers)
        rate = f"{runs[0]['rate']:g}" if "rate" in runs[0] else ""
        trained = mean(run["train_loss"] for run in runs)
        lines.append(f"| {method} | {rate} | {shown} | {trained:.3f} |")
    return lines


def text_says():
    """What the runs can say of `condensed` and torch's best optimiser: no win out of noise."""
    runs = _text_runs()
    losses = {method: [run["test_loss"] for run in own] for method, own in runs.items()}
    torch = [method for method, own in runs.items() if "rate" in own[0]]
    peer = min(torch, key=lambda method: mean(losses[method]))
    ours, theirs = losses["condensed"], losses[peer]
    shown = [
        f"{name} has {mean(own):.3f} in the mean over {len(own)} seeds, between {min(own):.3f} and "
        f"{max(own):.3f}, with a standard deviation of {stdev(own):.3f}"
        for name, own in (("`condensed`", ours), (peer, theirs))
    ]
    if max(ours) < min(theirs):
        verdict = f"every run of `condensed` is below every one of {peer}"
    elif max(theirs) < min(ours):
        verdict = f"every run of {peer} is below every one of `condensed`"
    else:
        verdict = "the ranges overlap, so that these runs do not say which is better"
    return [f"{'; '.join(shown)}. Of torch's optimisers this is the best mean; {verdict}."]


def _stability_means():
    """Gains, and (task, method) -> mean accuracy at each gain, lowest of all, whether torch's."""
    runs = machine.load("stability")["results"]
    gains = sorted({run["gain"] for run in runs})
    found = {}
    for own in dict.fromkeys((run["task"], run["method"]) for run in runs):
        chosen = [run for run in runs if (run["task"], run["method"]) == own]
        means = [mean(r["test_accuracy"] for r in chosen if r["gain"] == gain) for gain in gains]
        lowest = min(run["test_accuracy"] for run in chosen)
        found[own] = means, lowest, bool(chosen[0].get("rate"))
    return gains, found


def _per_cent(values):
    return " | ".join(f"{100 * value:.1f}" for value in values)


def stability():
    """Mean and lowest test accuracy of all methods over gains and seeds."""
    gains, found = _stability_means()
    lines = [
        f"| | | {' | '.join(f'gain {gain:g}' for gain in gains)} | lowest of all |",
        "|---" * (len(gains) + 3) + "|",
    ]
    for (task, method), (means, lowest, _) in found.items():
        lines.append(f"| {task} | {method} | {_per_cent((*means, lowest))} |")
    return lines


def stability_best():
    """`condensed` and the best of torch's optimisers at each gain."""
    gains, found = _stability_means()
    lines = [
        f"| | | {' | '.join(f'gain {gain:g}' for gain in gains)} |",
        "|---" * (len(gains) + 2) + "|",
    ]
    for task in dict.fromkeys(task for task, _ in found):
        peers = [
            means for (own, _), (means, _, is_torch) in found.items() if is_torch and own == task
        ]
        best = [max(column) for column in zip(*peers, strict=True)]
        lines += [
            f"| {task} | condensed | {_per_cent(found[task, 'condensed'][0])} |",
            f"| {task} | best of torch's | {_per_cent(best)} |",
        ]
    return lines


AREAS = {
    "models": "model files", "data": "data files", "cache": "cached kernels",
    "numerics": "numbers and settings of `fit`", "kernels": "kernels, called from Python",
    "commands": "the command line", "process": "threads, forks, signals",
    "kills": "SIGKILL while training and writing", "ranks": "ranks that differ or fail",
}  # fmt: skip


def attack():
    """Cases and faults of every area of tests/hostile."""
    areas = machine.load("attack")["results"]["areas"]
    kinds = list(next(iter(areas.values()))["counts"])
    lines = [f"| area | cases | {' | '.join(kinds)} |", "|---" * (len(kinds) + 2) + "|"]
    for name, found in areas.items():
        counts = " | ".join(str(found["counts"][kind]) for kind in kinds)
        lines.append(f"| {AREAS[name]} | {found['cases']:,} | {counts} |")
    sums = " | ".join(str(sum(a["counts"][kind] for a in areas.values())) for kind in kinds)
    lines.append(f"| all | {sum(a['cases'] for a in areas.values()):,} | {sums} |")
    return lines


PAGES = {
    "README.md": (
        accuracy,
        stability_best,
        time_to,
        step_range,
        step_race,
        startup,
        parallel_tables.overlapping,
    ),
    "docs/speed.md": (
        speed_tables.targets,
        speed_tables.roofline,
        speed_tables.memory,
        speed_tables.limits,
        speed_tables.losses,
        busy,
        vocabulary,
    ),
    "docs/solvers.md": (convergence, stability, text, text_says),
    "docs/reliability.md": (attack,),
    "docs/parallel.md": (
        parallel_tables.scaling,
        parallel_tables.stream,
        parallel_tables.overlapping,
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
