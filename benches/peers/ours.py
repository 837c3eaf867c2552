"""Times our binary: `paceline bench` once for each slice, in a process of its own with its own warm-up.

And what the cores can do at most, as the kernels' own benchmark finds it just before."""

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path


class Rates:
    """The rates of fused multiply-adds and of reading, from the benchmark `kernels` of the CPU device."""

    PACKAGE = ["-p", "paceline-device-cpu", "--bench", "kernels"]

    def __init__(self, root: Path, isa: str | None) -> None:
        build = ["cargo", "bench", *self.PACKAGE, "--no-run", "--message-format", "json"]
        done = subprocess.run(build, cwd=root, stdout=subprocess.PIPE, text=True, check=True)
        messages = map(json.loads, done.stdout.splitlines())
        self.binary = next(
            message["executable"]
            for message in messages
            if message.get("executable") and message["target"]["name"] == "kernels"
        )
        self.isa = isa

    def measure(self, cores: list[int]) -> dict:
        """The rates of these cores now, all at once, added up; takes a third of a second."""
        command = [self.binary, *([self.isa] if self.isa else []), "rates"]
        processes = [
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                text=True,
                preexec_fn=lambda core=core: os.sched_setaffinity(0, {core}),
            )
            for core in cores
        ]
        total = {"fma_gflop_per_s": 0.0, "read_8mb_gb_per_s": 0.0}
        for process in processes:
            text, _ = process.communicate()
            fma = re.search(r"^\w+: ([\d.]+) GFLOP/s", text)
            read = re.search(r"^reading 8192 KB: ([\d.]+) GB/s", text, re.MULTILINE)
            if not (fma and read):
                raise SystemExit(f"expected rates from the kernels' benchmark, got:\n{text}")
            total["fma_gflop_per_s"] += float(fma[1])
            total["read_8mb_gb_per_s"] += float(read[1])
        return total


class Ours:
    """The binary and the instruction set asked of it."""

    def __init__(self, binary: Path, isa: str | None, rates: Rates) -> None:
        self.binary = binary.resolve()
        self.isa = isa
        self.rates = rates
        self.about: dict = {}
        """Version, commit and device as the binary last reported them."""

    def time(self, point, seconds: float, cores: list[int]) -> dict:
        """Times one point; `median_us` is of a call, `aggregate_us` the time that passes between two answers.

        Beside them are the rates of the callers' cores just before.
        """
        alone = point.callers == 1
        rates = self.rates.measure(cores[: point.callers])
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
        } | rates

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
