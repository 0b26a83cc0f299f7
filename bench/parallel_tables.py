"""Tables of docs/parallel.md: speed on two ranks, a long stream, slowed ranks."""

from bench import machine


def scaling():
    """Two ranks against one, and against what the machine can give."""
    lines = [
        "| | one rank, ms | two ranks: speed-up | ceiling | of the ceiling |",
        "|---|---|---|---|---|",
    ]
    for name, case in machine.load("scaling")["results"]["speed"].items():
        share = case["speed_up"] / case["ceiling"]
        lines.append(
            f"| {name} | {1e3 * case['step']:.1f} | {case['speed_up']:.2f} | "
            f"{case['ceiling']:.2f} | {share:.0%} |"
        )
    return lines


def stream():
    """Seconds and memory of an iteration over one long sequence."""
    lines = [
        "| solver | ranks | seconds per iteration | memory per rank, MB |",
        "|---|---|---|---|",
    ]
    for run in machine.load("scaling")["results"]["stream"]:
        lines.append(
            f"| `{run['solver']}` | {run['ranks']} | {run['seconds']:.2f} | "
            f"{max(run['megabytes']):.0f} |"
        )
    return lines


def overlapping():
    """One long stream: whole and in chunks that overlap, on one rank and two."""
    lines = [
        "| hidden units | one rank, whole, s | one rank, chunks, s | two ranks: speed-up | "
        "ceiling | two ranks against one, whole |",
        "|---" * 6 + "|",
    ]
    for hidden, found in machine.load("overlap")["results"]["speed"].items():
        lines.append(
            f"| {hidden} | {found['whole']:.2f} | {found['chunks']:.3f} | "
            f"{found['speed_up']:.2f} | {found['ceiling']:.2f} | {found['against_whole']:.1f} |"
        )
    return lines


def straggler():
    """Throughput relative to the undisturbed synchronous run."""
    found = machine.load("straggler")["results"]
    names = [f"staleness {bound}" if bound else "synchronous" for bound in found["bounds"]]
    lines = [f"| slowed | delay | {' | '.join(names)} | bound |", "|---" * (len(names) + 3) + "|"]
    for case in found["throughput"]:
        shown = " | ".join(f"{value:.0%}" for value in case["relative"])
        lines.append(f"| {_who(case)} | {case['delay']:g} | {shown} | {case['bound']:.0%} |")
    return lines


def goal():
    """Seconds until the goal, and what staleness costs."""
    lines = ["| slowed | delay | staleness | seconds to 95 % | last accuracy |", "|---" * 5 + "|"]
    for run in machine.load("straggler")["results"]["to_goal"]:
        seconds = "not reached" if run["seconds"] is None else f"{run['seconds']:.2f}"
        who = _who(run) if run["delay"] else "no rank"
        lines.append(
            f"| {who} | {run['delay']:g} | {run['staleness']} | {seconds} | {run['accuracy']:.2%} |"
        )
    return lines


def _who(case):
    return "rank 1" if case["kind"] == "fixed" else "either, at random"
