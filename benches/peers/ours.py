"""Times our binary: `paceline bench` once for each slice, in a process of its own with its own warm-up."""

import json
import os
import subprocess
import tempfile
from pathlib import Path


class Ours:
    """The binary and the instruction set asked of it."""

    def __init__(self, binary: Path, isa: str | None) -> None:
        self.binary = binary.resolve()
        self.isa = isa
        self.about: dict = {}
        """Version, commit and device as the binary last reported them."""

    def time(self, point, seconds: float, cores: list[int]) -> dict:
        """Times one point; `median_us` is of a call, `aggregate_us` the time that passes between two answers."""
        alone = point.callers == 1
        arguments = ["bench", "--suite", "batches" if alone else "threads", "--model", point.model]
        arguments += [
            "--batches",
            str(point.batch),
            "--callers",
            str(point.callers),
            "--lanes",
            str(point.callers),
        ]
        arguments += ["--seconds", str(seconds), "--json"] + (["--isa", self.isa] if self.isa else [])
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [self.binary, *arguments, "--out", folder],
                capture_output=True,
                text=True,
                check=False,
                preexec_fn=lambda: os.sched_setaffinity(0, cores[: point.callers]),
            )
            if done.returncode != 0:
                raise SystemExit(
                    f"`paceline {' '.join(arguments)}` exited with {done.returncode}:\n{done.stderr}"
                )
            results = json.loads((Path(folder) / "results.json").read_text())
        self.about = {key: results[key] for key in ("version", "commit", "device")}
        row = self._row(results["rows"], point, "batch" if alone else "threads")
        latency = row["latency_us"]
        return {
            "variant": "bench",
            "calls": row["samples"] // point.batch,
            "median_us": latency["p50"],
            "mean_us": latency["mean"],
            "p99_us": latency["p99"],
            "aggregate_us": point.batch * 1e6 / row["samples_per_s"],
        }

    @staticmethod
    def _row(rows: list[dict], point, mode: str) -> dict:
        wanted = {"model": point.model, "mode": mode, "batch": point.batch, "callers": point.callers}
        found = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
        if len(found) != 1:
            raise SystemExit(
                f"expected one row with {wanted} from `paceline bench`, found {len(found)} among {len(rows)}"
            )
        if found[0]["errors"] or found[0]["wrong"]:
            raise SystemExit(f"`paceline bench` reports errors or wrong answers: {found[0]}")
        return found[0]
