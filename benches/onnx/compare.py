"""Times exported architectures in ONNX Runtime and in Paceline by turns, and prints the ratios.

Both get one thread and two (Paceline: lanes, of which an idle one helps a lone execution), batches of 1 and of 8, in short slices that
alternate round after round; a ratio is taken within a round, and what is reported is the median over the rounds and the range.
Load time and peak memory are of fresh processes.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import onnxruntime

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

MEMORY = """
import os, sys, resource, threading
import numpy as np, onnxruntime
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
# What is resident now, not the peak of importing.
before = int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
sessions = [onnxruntime.InferenceSession(sys.argv[1], options) for _ in range(int(sys.argv[2]))]
inputs = {name: value[:1] for name, value in np.load(sys.argv[3]).items()}
def call(session):
    for _ in range(4):
        session.run(None, inputs)
threads = [threading.Thread(target=call, args=(s,)) for s in sessions]
[t.start() for t in threads]
[t.join() for t in threads]
print(peak() - before)
"""


class Ours:
    """A process of ours that times slices."""

    def __init__(self, binary: Path, model: Path, lanes: int) -> None:
        command = [binary, model, "--lanes", str(lanes)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.load_s = json.loads(self.process.stdout.readline())["load_s"]

    def time(self, batch: int, seconds: float) -> float:
        """Median seconds of a call."""
        self.process.stdin.write(f"{batch} {seconds}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["median_s"]

    def close(self) -> None:
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()


class Runtime:
    """A session of ONNX Runtime with all its optimisations."""

    def __init__(self, model: Path, threads: int) -> None:
        begun = time.perf_counter()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self.load_s = time.perf_counter() - begun
        self.inputs = dict(np.load(model.with_suffix(".npz")))

    def time(self, batch: int, seconds: float) -> float:
        """Median seconds of a call."""
        inputs = {name: np.resize(value, (batch, *value.shape[1:])) for name, value in self.inputs.items()}
        self.session.run(None, inputs)
        times, begun = [], time.perf_counter()
        while not times or time.perf_counter() - begun < seconds:
            start = time.perf_counter()
            self.session.run(None, inputs)
            times.append(time.perf_counter() - start)
        return statistics.median(times)


def speed(binary: Path, model: Path, threads: int, batches: list[int], rounds: int, seconds: float) -> list[dict]:
    """One row for each batch size."""
    ours, runtime = Ours(binary, model, threads), Runtime(model, threads)
    rows = []
    for batch in batches:
        pairs = []
        for index in range(rounds):
            sides = [ours, runtime] if index % 2 == 0 else [runtime, ours]
            taken = {side: side.time(batch, seconds) for side in sides}
            pairs.append((taken[ours], taken[runtime]))
        ratios = [theirs / own for own, theirs in pairs]
        rows.append({
            "model": model.stem, "threads": threads, "batch": batch,
            "ours_ms": statistics.median(own for own, _ in pairs) * 1e3,
            "onnxruntime_ms": statistics.median(theirs for _, theirs in pairs) * 1e3,
            "ratio": statistics.median(ratios), "ratio_least": min(ratios), "ratio_most": max(ratios),
        })
        print("{model} {threads} threads batch {batch}: {ours_ms:.1f} ms, ONNX Runtime {onnxruntime_ms:.1f} ms, "
              "{ratio:.2f}x ({ratio_least:.2f}-{ratio_most:.2f})".format(**rows[-1]), flush=True)
    ours.close()
    return rows


def once(binary: Path, model: Path, lanes: int) -> dict:
    """Load time and peak memory, each of fresh processes, the files in the page cache."""
    loads = []
    for _ in range(3):
        ours = Ours(binary, model, 1)
        ours.close()
        loads.append((ours.load_s, Runtime(model, 1).load_s))
    peak = [binary, model, "--lanes", str(lanes), "--peak"]
    own = json.loads(subprocess.run(peak, capture_output=True, text=True, check=True).stdout)["peak_bytes"]
    theirs = [sys.executable, "-c", MEMORY, model, str(lanes), model.with_suffix(".npz")]
    row = {
        "model": model.stem, "lanes": lanes,
        "ours_load_s": statistics.median(own for own, _ in loads),
        "onnxruntime_load_s": statistics.median(theirs for _, theirs in loads),
        "ours_peak_mib": own / 2**20,
        "onnxruntime_peak_mib": int(subprocess.run(theirs, capture_output=True, text=True, check=True).stdout) / 2**20,
    }
    print("{model}: loaded in {ours_load_s:.2f} s, ONNX Runtime {onnxruntime_load_s:.2f} s; peak with {lanes} lanes "
          "{ours_peak_mib:.0f} MiB, {lanes} sessions {onnxruntime_peak_mib:.0f} MiB".format(**row), flush=True)
    return row


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="what export.py wrote")
    parser.add_argument("names", nargs="+", help="architectures")
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/examples/onnx_timing")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="of a slice")
    parser.add_argument("--once", action="store_true", help="load time and memory instead of speed")
    parser.add_argument("--json", type=Path, help="adds the rows to this file")
    options = parser.parse_args()
    rows = []
    for name in options.names:
        model = options.folder / f"{name}.onnx"
        if options.once:
            rows.append(once(options.binary, model, 4))
            continue
        for threads in options.threads:
            rows += speed(options.binary, model, threads, options.batches, options.rounds, options.seconds)
    if options.json:
        done = json.loads(options.json.read_text()) if options.json.exists() else {
            "schema": "paceline.onnx-compare/1", "date": date.today().isoformat(), "machine": platform.platform(),
            "onnxruntime": onnxruntime.__version__, "rows": [],
        }
        done["rows"] += rows
        options.json.write_text(json.dumps(done, indent=1) + "\n")
