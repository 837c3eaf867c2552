"""Checks the models that the example onnx_export wrote: ONNX's own checker, and ONNX Runtime's results against the reference's.

Prints a line for each group of models; exits with 1 where a model is wrong.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

# Relative to the largest expected element: both accumulate in f32, in different orders.
TOLERANCE = 1e-4
TYPES = {"f32": "f4", "f64": "f8", "bool": "?", **{f"{k}{8 * n}": f"{k}{n}" for k in "iu" for n in (1, 2, 4, 8)}}


def tensors(directory: Path, entries: list) -> dict:
    """Arrays by name."""
    read = lambda e: np.fromfile(directory / e["file"], "<" + TYPES[e["dtype"]]).reshape(e["shape"])
    return {entry["name"]: read(entry) for entry in entries}


def error(got: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest expected element; what is not finite must be the same."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return np.inf
    if not np.issubdtype(expected.dtype, np.floating):
        return 0.0 if (got == expected).all() else np.inf
    finite = np.isfinite(expected)
    if not np.array_equal(got[~finite], expected[~finite], equal_nan=True):
        return np.inf
    if not finite.any():
        return 0.0
    largest = max(np.abs(expected[finite]).max(), 1e-6)
    return float(np.abs(got[finite].astype(np.float64) - expected[finite]).max() / largest)


def check(directory: Path) -> float:
    """The error of a model; an exception where it is wrong."""
    onnx.checker.check_model(str(directory / "model.onnx"), full_check=True)
    case = json.loads((directory / "case.json").read_text())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(directory / "model.onnx", options)
    expected = tensors(directory, case["outputs"])
    got = session.run(list(expected), {k: v for k, v in tensors(directory, case["inputs"]).items() if k in {i.name for i in session.get_inputs()}})
    return max(error(g, e) for g, e in zip(got, expected.values()))


if __name__ == "__main__":
    groups, wrong = defaultdict(list), 0
    for directory in sorted(Path(sys.argv[1]).iterdir()):
        group = "random graphs" if directory.name.startswith("random-") else directory.name
        try:
            value = check(directory)
            problem = None if value <= TOLERANCE else f"error {value:.1e}"
        except Exception as exception:
            value, problem = np.inf, str(exception).strip().splitlines()[0]
        if problem:
            wrong += 1
            print(f"WRONG {directory.name}: {problem}")
        groups[group].append(value)
    print(f"onnx {onnx.__version__}, ONNX Runtime {onnxruntime.__version__}")
    for group, values in groups.items():
        print(f"| {group} | {len(values)} | {max(values):.1e} |")
    sys.exit(int(wrong > 0))
