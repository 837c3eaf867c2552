"""Sets the engine beside bare sessions on the same lanes, by turns, and prints the shares.

Every round measures each point once, in a process of its own; a share is taken within a round, and what is reported is
its median over the rounds and its range. README.md says what is compared with what.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def rows(binary: Path, *arguments: str) -> list[dict]:
    """What `paceline bench` measured."""
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "bench", *arguments, "--json", "--quiet", "--out", folder]
        subprocess.run(command, check=True, capture_output=True)
        results = json.loads((Path(folder) / "results.json").read_text())
    wrong = [row for row in results["rows"] if row["errors"] or row["wrong"]]
    if wrong:
        raise SystemExit(f"errors or wrong answers: {wrong[0]}")
    return results["rows"]


def one(measured: list[dict], mode: str, callers: int, batch: int) -> dict:
    """The row of one mode."""
    wanted = {"mode": mode, "callers": callers, "batch": batch}
    return next(row for row in measured if all(row[key] == value for key, value in wanted.items()))


def round_of(binary: Path, seconds: str, lanes: int) -> dict[str, float]:
    """Every figure once."""

    def threads(model: str, callers: int, batch: int) -> list[dict]:
        options = ["--suite", "threads", "--model", model, "--callers", str(callers), "--batches", str(batch)]
        return rows(binary, *options, "--lanes", str(lanes), "--seconds", seconds)

    figures = {}
    for model, batch in (("mlp", 64), ("tlayer", 8), ("t6", 8)):
        alone, all_lanes = (
            one(threads(model, callers, batch), "threads", callers, batch)["samples_per_s"]
            for callers in (1, lanes)
        )
        figures[f"{model}, batch {batch}: {lanes} sessions / 1"] = all_lanes / alone
    best = max(
        one(threads("mlp", lanes, batch), "threads", lanes, batch)["samples_per_s"] for batch in (32, 64, 128)
    )
    figures[f"mlp: samples/s of the best bare batch on {lanes} lanes"] = best
    for callers in (64, 128):
        measured = threads("mlp", callers, 1)
        for mode, what in (("engine", "blocking callers"), ("engine-async", "tickets in flight")):
            share = one(measured, mode, callers, 1)["samples_per_s"] / best
            figures[f"mlp: {callers} {what} / best bare batch"] = share
    measured = threads("linear", 1, 1)
    alone, engine = (one(measured, mode, 1, 1)["latency_us"]["p50"] for mode in ("sequential", "engine"))
    figures["linear: us of one blocking caller beyond a bare session, medians"] = engine - alone
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/paceline")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", default="0.5", help="of each measurement")
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--out", type=Path, help="a folder for results.json and report.md")
    options = parser.parse_args()
    rounds = []
    for number in range(options.rounds):
        rounds.append(round_of(options.binary.resolve(), options.seconds, options.lanes))
        print(f"round {number + 1} of {options.rounds}", flush=True)
    lines = ["| figure | median | range |", "|---|---|---|"]
    for name in rounds[0]:
        values = [figures[name] for figures in rounds]
        form = "{:,.0f}" if max(values) > 1000 else "{:.2f}"
        low, middle, high = (form.format(f(values)) for f in (min, statistics.median, max))
        lines.append(f"| {name} | {middle} | {low} to {high} |")
    report = "\n".join(lines) + "\n"
    print(report)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "report.md").write_text(report)
        (options.out / "results.json").write_text(json.dumps(rounds, indent=1) + "\n")


if __name__ == "__main__":
    main()
