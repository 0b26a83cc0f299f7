"""Tables of docs/speed.md: targets, roofline, memory, and what limits a step."""

from statistics import geometric_mean

from bench import machine

PEERS = {"torch": "torch_ratio", "JAX": "jax_ratio"}


def _shown(shape):
    return ", ".join(map(str, shape))


def _race(*shape):
    races = machine.load("step_race")["results"]
    return next(r for r in races if tuple(r[key] for key in "TBDH") == shape)


def _of_product_rate(threads, *shape):
    results = machine.load("roofline")["results"]
    wanted = ["float32", threads, list(shape)]
    return next(
        r["of_product_rate"] for r in results if [r["dtype"], r["threads"], r["shape"]] == wanted
    )


def targets():
    """What is asked of a step, and what the stored results say."""
    races, start = machine.load("step_race")["results"], machine.load("startup")["results"]
    memory = [r["mebibytes"] for r in machine.load("memory")["results"]]
    anchor, small = (28, 128, 28, 128), (784, 64, 1, 16)
    ratio = {peer: [r[key] for r in races] for peer, key in PEERS.items()}
    rows = [
        ("fraction of the GEMM rate, 2 threads", anchor, _of_product_rate(2, *anchor), 0.7, 1),
        ("the same, 1 thread", (28, 256, 28, 256), _of_product_rate(1, 28, 256, 28, 256), 0.8, 1),
        ("torch / ours", anchor, _race(*anchor)["torch_ratio"], 4, 1),
        ("JAX / ours", anchor, _race(*anchor)["jax_ratio"], 2.3, 1),
        ("torch / ours", small, _race(*small)["torch_ratio"], 8, 1),
        ("torch / ours, geometric mean", "all", geometric_mean(ratio["torch"]), 4, 1),
        ("torch / ours, lowest", "all", min(ratio["torch"]), 1, 1),
        ("JAX / ours, lowest", "all", min(ratio["JAX"]), 1, 1),
        (
            "memory, ours / torch, highest",
            "all",
            max(m["condensed"] / m["torch"] for m in memory),
            1,
            -1,
        ),
        ("`fastadmm train digits`, nothing compiled, s", "", start["command, cold"], 30, -1),
        (
            "process with one step, compiled before, s",
            "",
            start["process with one step, cached"],
            1.5,
            -1,
        ),
    ]
    lines = ["| | T, B, D, H | asked | measured | |", "|---" * 5 + "|"]
    for name, shape, value, bound, sign in rows:
        shape = shape if isinstance(shape, str) else _shown(shape)
        reached = "" if sign * value >= sign * bound else "missed"
        asked = f"{'≥' if sign > 0 else '≤'} {bound:g}"
        lines.append(f"| {name} | {shape} | {asked} | {value:.2f} | {reached} |")
    return lines


def limits():
    """Time in the three products, which every method has, and the ratios that they allow."""
    races = machine.load("step_race")["results"]
    lines = [
        "| T, B, D, H | products, ms | share of our step | of torch's | of JAX's | "
        "torch / products | torch / ours | JAX / products | JAX / ours |",
        "|---" * 9 + "|",
    ]
    for race in races:
        ours, products = race["median"]["condensed"], race["products"]
        share = products / ours
        peers = [race[key] for key in PEERS.values()]
        ratios = " | ".join(f"{ratio / share:.2f} | {ratio:.2f}" for ratio in peers)
        shares = " | ".join(f"{share / ratio:.0%}" for ratio in (1, *peers))
        shape = _shown(race[key] for key in "TBDH")
        lines.append(f"| {shape} | {1e3 * products:.2f} | {shares} | {ratios} |")
    return lines


def losses():
    """Share of a step that each phase takes beyond its operations at the product rate."""
    names = list(machine.load("roofline")["results"][0]["phases"])
    lines = [
        f"| threads | T, B, D, H | {' | '.join(names)} | between phases |",
        "|---" * (len(names) + 3) + "|",
    ]
    for r in machine.load("roofline")["results"]:
        if r["dtype"] != "float32":
            continue
        phases, rate, step = r["phases"], r["product_rate"], r["step"]
        lost = [phases[name]["seconds"] - phases[name]["flops"] / rate for name in names]
        lost.append(step - sum(phase["seconds"] for phase in phases.values()))
        shown = " | ".join(f"{seconds / step:.0%}" for seconds in lost)
        lines.append(f"| {r['threads']} | {_shown(r['shape'])} | {shown} |")
    return lines


def roofline():
    """Time of a step, fraction of the product rate, and of the phases that matter."""
    phases = ("simulate", "multipliers", "sums", "gram", "move", "inverse")
    lines = [
        f"| dtype | threads | T, B, D, H | ms | of GEMM | {' | '.join(phases)} |",
        "|---" * (5 + len(phases)) + "|",
    ]
    for r in machine.load("roofline")["results"]:
        rates = [r["phases"][name]["of_product_rate"] for name in phases]
        shown = " | ".join("" if rate is None else f"{rate:.0%}" for rate in rates)
        shape = _shown(r["shape"])
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
        shape = _shown(r["shape"])
        lines.append(f"| {shape} | {values['condensed']:.1f} | {values['torch']:.1f} |")
    return lines
