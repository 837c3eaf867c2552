"""Compares what the binary computes for exported architectures with what PyTorch computed.

For each NAME.onnx of a folder that export.py wrote: `paceline run` on its samples, all together, against NAME.expected.npz. The error is
the largest difference relative to the largest expected element; 1e-4 passes. With --verify, `paceline verify` calls the model from
eight threads and compares every answer, bit for bit, with what the same sample gives alone.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

TOLERANCE = 1e-4


def relative_error(got: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest expected element."""
    if got.shape != expected.shape:
        return float("inf")
    return float(np.abs(got.astype(np.float64) - expected).max() / np.abs(expected).max())


def check(binary: Path, model: Path) -> float:
    """The error of one model."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "got.npz"
        inputs = model.with_suffix(".npz")
        subprocess.run([binary, "run", model, "--input", inputs, "--output", output], check=True, stderr=subprocess.DEVNULL)
        got, expected = np.load(output), np.load(model.with_suffix(".expected.npz"))
        return max(relative_error(got[name], expected[name]) for name in expected.files)


def verify(binary: Path, model: Path, iterations: int) -> dict:
    """What `paceline verify` says of one model."""
    command = [binary, "verify", "--model", model, "--callers", "8", "--iterations", str(iterations), "--json", "--quiet"]
    return json.loads(subprocess.run(command, capture_output=True, text=True).stdout)["checks"][0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="architectures; all without")
    parser.add_argument("--binary", type=Path, default=Path("target/release/paceline"))
    parser.add_argument("--verify", type=int, metavar="ITERATIONS", default=0, help="calls of each of eight threads")
    parser.add_argument("--json", type=Path, help="writes the results here")
    options = parser.parse_args()
    results, wrong = [], False
    for model in sorted(options.folder.glob("*.onnx")):
        if options.names and model.stem not in options.names:
            continue
        result = {"model": model.stem, "error": check(options.binary.resolve(), model)}
        right = result["error"] <= TOLERANCE
        if options.verify:
            checked = verify(options.binary.resolve(), model, options.verify)
            result |= {"calls": checked["expected"], "right": checked["right"], "problems": checked["problems"]}
            right &= checked["right"] == checked["expected"] and not checked["problems"]
        wrong |= not right
        results.append(result)
        print(("ok    " if right else "WRONG ") + json.dumps(result), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"schema": "paceline.onnx-check/1", "results": results}, indent=1) + "\n")
    sys.exit(wrong)
