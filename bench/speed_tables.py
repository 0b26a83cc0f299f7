"""Tables of docs/speed.md: roofline and memory."""

import machine


def roofline():
    """Time of a step, fraction of the product rate, and of the phases that matter."""
    phases = ("simulate", "multipliers", "sums", "gram", "invert_damped", "step_units")
    lines = [
        f"| dtype | threads | T, B, D, H | ms | of GEMM | {' | '.join(phases)} |",
        "|---" * (5 + len(phases)) + "|",
    ]
    for r in machine.load("roofline")["results"]:
        rates = [r["phases"][name]["of_product_rate"] for name in phases]
        shown = " | ".join("" if rate is None else f"{rate:.0%}" for rate in rates)
        shape = ", ".join(map(str, r["shape"]))
        lines.append(
            f"| {r['dtype']} | {r['threads']} | {shape} | {1e3 * r['step']:.2f} | "
            f"{r['of_product_rate']:.0%} | {shown} |"
        )
    return lines


def memory():
    """Peak memory of a training step."""
    lines = ["| T, B, D, H | condensed, MiB | torch, MiB |", "|---|---|---|"]
    for r in machine.load("memory")["results"]:
        values = r["mebibytes"]
        shape = ", ".join(map(str, r["shape"]))
        lines.append(f"| {shape} | {values['condensed']:.1f} | {values['torch']:.1f} |")
    return lines
