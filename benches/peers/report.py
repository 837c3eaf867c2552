"""From slices to ratios, and from ratios to a table. Pure functions: nothing here measures."""

import statistics
from collections import defaultdict


def summarise(slices: list[dict], flop: dict[str, int]) -> list[dict]:
    """One entry for each point and runtime, with the ratio to ours taken within each round."""
    grouped: dict[tuple, dict[str, dict[int, dict]]] = defaultdict(lambda: defaultdict(dict))
    for item in slices:
        grouped[item["callers"], item["model"], item["batch"]][item["runtime"]][item["round"]] = item
    rows = []
    for (callers, model, batch), by_runtime in grouped.items():
        # One caller is judged by the median call, several by the answers of all of them together.
        measure = "median_us" if callers == 1 else "aggregate_us"
        for runtime, by_round in by_runtime.items():
            times = [item[measure] for item in by_round.values()]
            row = {
                "callers": callers,
                "model": model,
                "batch": batch,
                "runtime": runtime,
                "variant": next(iter(by_round.values()))["variant"],
                "us": statistics.median(times),
                "us_least": min(times),
                "us_most": max(times),
                "gflop_per_s": batch * flop[model] / statistics.median(times) / 1e3,
            }
            if all("fma_gflop_per_s" in item for item in by_round.values()):
                shares = [
                    batch * flop[model] / item[measure] / 1e3 / item["fma_gflop_per_s"]
                    for item in by_round.values()
                ]
                row |= {
                    "share": statistics.median(shares),
                    "share_least": min(shares),
                    "share_most": max(shares),
                }
            ours = by_runtime.get("ours", {})
            ratios = [
                item[measure] / ours[number][measure] for number, item in by_round.items() if number in ours
            ]
            if ratios and runtime != "ours":
                row |= {
                    "ratio": statistics.median(ratios),
                    "ratio_least": min(ratios),
                    "ratio_most": max(ratios),
                }
            rows.append(row)
    return rows


def markdown(results: dict) -> str:
    """The report."""
    machine, peer = results["machine"], results["peers"]["unrestricted"]
    memory = f"{machine['memory_bytes'] / 2**30:.0f} GiB"
    lines = [
        "# Our binary, ONNX Runtime and PyTorch on the CPU",
        "",
        f"- `{results['command']}`",
        f"- {machine['cpu']} ({', '.join(machine['isa'])}), {machine['cores']} cores, {memory}, {machine['os']}",
        f"- PyTorch {peer['torch']}, ONNX Runtime {peer['onnxruntime']}, Python {peer['python']}",
        f"- {results['started']}, commit {results['commit'][:12]}",
        f"- {results['rounds']} rounds of {results['slice_seconds']} s for each runtime and point",
    ]
    for name, about in results["peers"].items():
        rate = about["matmul_gflop_per_s"]
        lines.append(
            f"- PyTorch, {name}: {about['capability']}, {rate:.0f} GFLOP/s in a product of 1024 x 1024 matrices"
        )
    if results["ours"]:
        lines.append(f"- ours: version {results['ours']['version']}, device {results['ours']['device']}")
    worst = max(model["difference"] for model in results["models"].values())
    lines.append(f"- ONNX Runtime and PyTorch agree to {worst:.1e} of the largest output")
    for callers in sorted({row["callers"] for row in results["summary"]}):
        rows, slices = (
            [item for item in results[key] if item["callers"] == callers] for key in ("summary", "slices")
        )
        title, *table = _table(rows, callers)
        lines += ["", title, "", *_rates(slices), *table]
    return "\n".join(lines) + "\n"


def _rates(slices: list[dict]) -> list[str]:
    """What the callers' cores can do at most, all of them together."""
    measured = [item for item in slices if "fma_gflop_per_s" in item]
    if not measured:
        return []

    def span(key: str) -> str:
        values = [item[key] for item in measured]
        return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"

    return [
        f"The callers' cores just before each of our slices: {span('fma_gflop_per_s')} GFLOP/s in fused "
        f"multiply-adds, 100 % below, and {span('read_8mb_gb_per_s')} GB/s in reading 8 MB.",
        "",
    ]


def _table(rows: list[dict], callers: int) -> list[str]:
    runtimes = sorted({row["runtime"] for row in rows}, key=lambda name: (name != "ours", name))
    peers = [name for name in runtimes if name != "ours"]
    compared = "ours" in runtimes
    titles = ["model", "batch"] + [f"{name} us (GFLOP/s)" for name in runtimes]
    titles += [f"{name} / ours" for name in peers] if compared else []
    title = (
        "One caller, one thread: median time of a call"
        if callers == 1
        else "Two callers, a thread each: time between answers"
    )
    ratio = (
        "; the ratio is the median over the rounds, with its range: above 1, ours is faster"
        if compared
        else ""
    )
    cells = [titles, ["---"] * len(titles)]
    points = dict.fromkeys((row["model"], row["batch"]) for row in rows)
    for model, batch in points:
        at = {row["runtime"]: row for row in rows if (row["model"], row["batch"]) == (model, batch)}
        cells.append([model, str(batch), *[_time(at[name]) for name in runtimes]])
        if compared:
            cells[-1] += [_ratio(at[name]) for name in peers]
    return [f"## {title}{ratio}", *[f"| {' | '.join(line)} |" for line in _aligned(cells)]]


def _time(row: dict) -> str:
    digits = 2 if row["us"] < 10 else 1 if row["us"] < 1000 else 0
    share = f", {row['share'] * 100:.0f} %" if "share" in row else ""
    return f"{row['us']:.{digits}f} ({row['gflop_per_s']:.0f}{share})"


def _ratio(row: dict) -> str:
    return f"{row['ratio']:.2f} ({row['ratio_least']:.2f}-{row['ratio_most']:.2f})"


def _aligned(cells: list[list[str]]) -> list[list[str]]:
    widths = [max(len(cell) for cell in column) for column in zip(*cells)]
    return [
        [cell.ljust(width, "-" if cell == "---" else " ") for cell, width in zip(line, widths)]
        for line in cells
    ]
