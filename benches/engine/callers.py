"""Sets two builds side by side, by turns: blocking callers and tickets, of few to many callers, through the engine.

Every round measures each point of both builds once, in a process of its own; a ratio is taken within a round, and what is
reported is its median over the rounds and its range.
"""

import argparse
import json
import statistics
from pathlib import Path

from engine import rows

MODES = ("engine", "engine-async")


def measure(binary: Path, model: str, callers: str, seconds: str) -> list[dict]:
    """The points of one model."""
    options = ["--suite", "threads", "--model", model, "--callers", callers, "--batches", "1"]
    measured = rows(binary, *options, "--seconds", seconds, "--rounds", "3")
    return [
        {
            "model": model,
            "mode": row["mode"],
            "callers": row["callers"],
            "samples_per_s": row["samples_per_s"],
            "p99_us": row["latency_us"]["p99"],
        }
        for row in measured
        if row["mode"] in MODES
    ]


def line(key: tuple, rounds: list[dict]) -> str:
    """A row of the table."""

    def values(build: str, what: str) -> list[float]:
        points = (point for measured in rounds for point in measured[build])
        return [point[what] for point in points if (point["mode"], point["model"], point["callers"]) == key]

    before, after = (values(build, "samples_per_s") for build in ("before", "after"))
    ratios = [b / a for a, b in zip(before, after, strict=True)]
    cells = [f"{statistics.median(rate):,.0f}" for rate in (before, after)]
    cells.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
    cells += [f"{statistics.median(values(build, 'p99_us')):,.0f}" for build in ("before", "after")]
    return "| " + " | ".join([*map(str, key), *cells]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path, help="a binary")
    parser.add_argument("after", type=Path, help="another")
    parser.add_argument("--models", default="linear,mlp,tlayer,conv1d")
    parser.add_argument("--callers", default="1,2,3,4,8,16,64")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", default="0.15", help="of each measurement")
    parser.add_argument("--out", type=Path, required=True, help="a folder for callers.json and callers.md")
    options = parser.parse_args()
    rounds = []
    for number in range(options.rounds):
        measured = {"before": [], "after": []}
        for model in options.models.split(","):
            for build, binary in (("before", options.before), ("after", options.after)):
                measured[build] += measure(binary.resolve(), model, options.callers, options.seconds)
        rounds.append(measured)
        print(f"round {number + 1} of {options.rounds}", flush=True)
    lines = [
        "| mode | model | callers | samples/s, before | after | after / before | p99 before, us | after |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    points = rounds[0]["before"]
    keys = [(p["mode"], p["model"], p["callers"]) for mode in MODES for p in points if p["mode"] == mode]
    lines += [line(key, rounds) for key in keys]
    table = "\n".join(lines) + "\n"
    print(table)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "callers.json").write_text(json.dumps(rounds))
    (options.out / "callers.md").write_text(table)


if __name__ == "__main__":
    main()
