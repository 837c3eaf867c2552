"""Writes the official tests of ONNX's operators as files: a directory a case, with its model, its data and case.json."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests


def is_tensor(value) -> bool:
    """Whether an input or output of a model is a tensor."""
    return value.type.WhichOneof("value") == "tensor_type"


def operator(model: ModelProto, name: str) -> str:
    """The operator that a case tests: that of its only node, or the one in its name."""
    nodes = model.graph.node
    return nodes[0].op_type if len(nodes) == 1 else "(expanded) " + name.removeprefix("test_").split("_")[0]


def write(case: TestCase, directory: Path) -> None:
    """Writes one case."""
    directory.mkdir(parents=True)
    graph = case.model.graph
    (directory / "model.onnx").write_bytes(case.model.SerializeToString())
    description = {
        "operator": operator(case.model, case.name),
        "rtol": case.rtol,
        "atol": case.atol,
        "output_types": [TensorProto.DataType.Name(v.type.tensor_type.elem_type) for v in graph.output],
        "not_tensors": not all(map(is_tensor, [*graph.input, *graph.output])),
    }
    (directory / "case.json").write_text(json.dumps(description))
    if description["not_tensors"]:
        return
    for number, (inputs, outputs) in enumerate(case.data_sets):
        data = directory / f"test_data_set_{number}"
        data.mkdir()
        for kind, ports, values in (("input", graph.input, inputs), ("output", graph.output, outputs)):
            for index, (port, value) in enumerate(zip(ports, values)):
                tensor = value if isinstance(value, TensorProto) else numpy_helper.from_array(np.asarray(value))
                tensor.name = port.name
                (data / f"{kind}_{index}.pb").write_bytes(tensor.SerializeToString())


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for case in load_model_tests(kind="node"):
        write(case, Path(sys.argv[1]) / case.name)
