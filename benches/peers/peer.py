"""The process that holds PyTorch and ONNX Runtime. Reads one JSON command a line and answers with one line.

It stays alive between slices, so that loading libraries and exporting models is outside every measurement.
"""

import gc
import io
import json
import logging
import os
import statistics
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

# Libraries print while they export; the answers keep the real standard output to themselves.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import numpy as np
import onnxruntime
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "crates/nn/tests/golden"))
from models import MODELS

LEAST_CALLS = 3
TRIAL_SECONDS = 0.05
Call = Callable[[], object]


class Loaded:
    """One model in both runtimes, with the same weights."""

    def __init__(self, name: str) -> None:
        self.definition = MODELS[name]
        self.dims = self.definition.real
        torch.manual_seed(1)
        self.module = self.definition.build(self.dims).eval()
        self.onnx = self._export()
        self.sessions = [self._session()]
        self.variants: dict[int, str] = {}
        """The faster way of calling ONNX Runtime, by batch size."""

    def inputs(self, batch: int) -> dict[str, torch.Tensor]:
        """Gaussian inputs of `batch` samples."""
        return {key: torch.randn(batch, *shape) for key, shape in self.definition.inputs(self.dims).items()}

    def _export(self) -> bytes:
        inputs = self.inputs(2)
        batch = torch.export.Dim("batch")
        # The fused encoder operator has no counterpart in ONNX.
        torch.backends.mha.set_fastpath_enabled(False)
        program = torch.onnx.export(
            self.module,
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=["output"],
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            dynamo=True,
            verbose=False,
        )
        torch.backends.mha.set_fastpath_enabled(True)
        buffer = io.BytesIO()
        program.save(buffer)
        return buffer.getvalue()

    def session(self, index: int) -> onnxruntime.InferenceSession:
        """The session of that number, made at its first use."""
        while len(self.sessions) <= index:
            self.sessions.append(self._session())
        return self.sessions[index]

    def _session(self) -> onnxruntime.InferenceSession:
        # One thread and every graph optimisation.
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        return onnxruntime.InferenceSession(self.onnx, options, providers=["CPUExecutionProvider"])

    def difference(self, batch: int) -> float:
        """The largest difference between the two runtimes, relative to the largest output."""
        inputs = self.inputs(batch)
        with torch.inference_mode():
            expected = self.module(*inputs.values()).numpy()
        (got,) = self.sessions[0].run(None, {key: tensor.numpy() for key, tensor in inputs.items()})
        if got.shape != expected.shape:
            raise ValueError(f"PyTorch answers with shape {expected.shape}, ONNX Runtime with {got.shape}")
        return float(np.abs(got - expected).max() / np.abs(expected).max())

    def pytorch_call(self, batch: int) -> Call:
        """One eager call."""
        inputs, module = tuple(self.inputs(batch).values()), self.module
        return lambda: module(*inputs)

    def onnx_call(self, batch: int, session: onnxruntime.InferenceSession) -> Call:
        """One call in the faster of the two ways, which is found out once for each batch size."""
        feed = {key: tensor.numpy() for key, tensor in self.inputs(batch).items()}
        binding = session.io_binding()
        for key, array in feed.items():
            binding.bind_cpu_input(key, array)
        (output,) = session.run(None, feed)
        target = onnxruntime.OrtValue.ortvalue_from_numpy(output)
        binding.bind_ortvalue_output("output", target)
        ways = {
            "run": lambda: session.run(None, feed),
            "io_binding": lambda: session.run_with_iobinding(binding),
        }
        if batch not in self.variants:
            trials = {
                key: min(timed(call, TRIAL_SECONDS)["median_us"] for _ in range(3))
                for key, call in ways.items()
            }
            self.variants[batch] = min(trials, key=trials.get)
        return ways[self.variants[batch]]


def timed(call: Call, seconds: float) -> dict:
    """Calls for `seconds` after a tenth of that as warm-up, and at least a few times."""
    clock = time.perf_counter_ns
    warm = clock() + int(seconds * 1e8)
    while True:
        call()
        if clock() >= warm:
            break
    durations = []
    begin = clock()
    end = begin + int(seconds * 1e9)
    while True:
        start = clock()
        call()
        stop = clock()
        durations.append(stop - start)
        if stop >= end and len(durations) >= LEAST_CALLS:
            break
    durations.sort()
    return {
        "calls": len(durations),
        "median_us": statistics.median(durations) / 1e3,
        "mean_us": statistics.fmean(durations) / 1e3,
        "p99_us": durations[min(len(durations) - 1, len(durations) * 99 // 100)] / 1e3,
        "aggregate_us": (stop - begin) / len(durations) / 1e3,
    }


def timed_together(calls: list[Call], seconds: float, cores: list[int]) -> dict:
    """The calls at once, each in a thread on a core of its own; the aggregate counts the answers of all."""
    results: list[dict] = [{} for _ in calls]
    barrier = threading.Barrier(len(calls))

    def caller(index: int) -> None:
        os.sched_setaffinity(0, {cores[index]})
        torch.set_num_threads(1)
        with torch.inference_mode():
            calls[index]()
            barrier.wait()
            results[index] = timed(calls[index], seconds)

    threads = [
        threading.Thread(target=caller, args=(index,), name=f"caller-{index}") for index in range(len(calls))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not all(results):
        raise RuntimeError("a caller failed; its message is above")
    rate = sum(1 / result["aggregate_us"] for result in results)
    return {
        "calls": sum(result["calls"] for result in results),
        "median_us": statistics.fmean(result["median_us"] for result in results),
        "mean_us": statistics.fmean(result["mean_us"] for result in results),
        "p99_us": max(result["p99_us"] for result in results),
        "aggregate_us": 1 / rate,
    }


def about() -> dict:
    """Versions, and the instruction set as reported and as seen in the rate of a matrix product."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    best_us = min(timed(lambda: torch.mm(a, b), 0.1)["median_us"] for _ in range(5))
    return {
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "matmul_gflop_per_s": 2 * 1024**3 / best_us / 1e3,
    }


def time_point(models: dict[str, Loaded], command: dict) -> dict:
    """Answers the command `time`."""
    model, batch, callers = models[command["model"]], command["batch"], command["callers"]
    if command["runtime"] == "pytorch":
        calls, variant = [model.pytorch_call(batch) for _ in range(callers)], "inference_mode"
    else:
        shared = command["sessions"] == "shared"
        sessions = [model.session(0 if shared else caller) for caller in range(callers)]
        calls, variant = [model.onnx_call(batch, session) for session in sessions], model.variants[batch]
    gc.collect()
    gc.disable()
    if callers == 1:
        os.sched_setaffinity(0, {command["cores"][0]})
        with torch.inference_mode():
            result = timed(calls[0], command["seconds"])
    else:
        result = timed_together(calls, command["seconds"], command["cores"])
    gc.enable()
    return {"variant": variant} | result


def main() -> None:
    """Answers commands until the input ends."""
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    models: dict[str, Loaded] = {}
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "about":
            answer = about()
        elif command["do"] == "load":
            model = models[command["model"]] = Loaded(command["model"])
            answer = {"flop": model.definition.flop(model.dims), "difference": model.difference(3)}
            if not answer["difference"] < 1e-4:
                raise ValueError(f"ONNX Runtime and PyTorch disagree on {command['model']}: {answer}")
        else:
            answer = time_point(models, command)
        ANSWERS.write(json.dumps(answer) + "\n")
        ANSWERS.flush()


if __name__ == "__main__":
    main()
