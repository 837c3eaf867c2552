"""Writes the small models of the tests: right ones, each with inputs and what ONNX Runtime computes, and wrong ones.

Needs the packages onnx, onnxruntime and numpy. Run it in this folder; it writes right/NAME/ and wrong/NAME.onnx.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession

HERE = Path(__file__).parent
F, I = TensorProto.FLOAT, TensorProto.INT64
rng = np.random.default_rng(1)


def weight(name: str, *shape: int) -> TensorProto:
    return numpy_helper.from_array(rng.standard_normal(shape, dtype=np.float32) / 4, name)


def ints(name: str, values) -> TensorProto:
    return numpy_helper.from_array(np.array(values, dtype=np.int64), name)


def info(name: str, shape, dtype: int = F):
    return helper.make_tensor_value_info(name, dtype, shape)


def model(nodes, inputs, outputs, constants=(), opset: int = 18, functions=(), extra=()) -> ModelProto:
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(constants))
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in extra)]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=10)


def node(op: str, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=f"{op}_{outputs[0]}", **attributes)


def right(name: str, made: ModelProto, **inputs: np.ndarray) -> None:
    folder = HERE / "right" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    outputs = InferenceSession(made.SerializeToString()).run(None, inputs)
    names = [output.name for output in made.graph.output]
    for kind, values in (("input", inputs.items()), ("output", zip(names, outputs))):
        for index, (port, value) in enumerate(values):
            tensor = numpy_helper.from_array(np.asarray(value), port)
            (folder / f"{kind}_{index}.pb").write_bytes(tensor.SerializeToString())


def wrong(name: str, made: ModelProto | bytes) -> None:
    (HERE / "wrong").mkdir(exist_ok=True)
    data = made if isinstance(made, bytes) else made.SerializeToString()
    (HERE / "wrong" / f"{name}.onnx").write_bytes(data)


def x(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


N = "batch"
right("mlp", model(
    [node("Gemm", ["x", "w", "b"], ["h"], transB=1), node("Relu", ["h"], ["r"]), node("MatMul", ["r", "v"], ["y"])],
    [info("x", [N, 6])], [info("y", [N, 3])], [weight("w", 5, 6), weight("b", 5), weight("v", 5, 3)],
), x=x(3, 6))
right("shapes", model(
    [
        node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"], axis=0), node("Unsqueeze", ["n", "axis"], ["n1"]),
        node("Concat", ["n1", "two", "minus"], ["to"], axis=0), node("Reshape", ["x", "to"], ["r"]),
        node("Transpose", ["r"], ["t"], perm=[0, 2, 1]), node("Mul", ["n", "twelve"], ["all"]),
        node("Div", ["all", "n"], ["each"]), node("Unsqueeze", ["each", "axis"], ["each1"]),
        node("Concat", ["n1", "each1"], ["flat"], axis=0), node("Reshape", ["t", "flat"], ["y"]),
    ],
    [info("x", [N, 12])], [info("y", [N, 12])],
    [ints("zero", 0), ints("axis", [0]), ints("two", [2]), ints("minus", [-1]), ints("twelve", 12)],
), x=x(3, 12))
right("sequence_first", model(
    [
        node("Transpose", ["x"], ["t"], perm=[1, 0, 2]), node("Reshape", ["t", "rows"], ["f"]),
        node("Gemm", ["f", "w", "b"], ["g"], transB=1), node("Reshape", ["g", "apart"], ["a"]),
        node("Transpose", ["a"], ["u"], perm=[1, 0, 2]), node("Add", ["u", "x"], ["y"]),
    ],
    [info("x", [N, 5, 4])], [info("y", [N, 5, 4])],
    [ints("rows", [-1, 4]), ints("apart", [5, -1, 4]), weight("w", 4, 4), weight("b", 4)],
), x=x(3, 5, 4))
right("heads", model(
    [
        node("Transpose", ["x"], ["t"], perm=[1, 0, 2]), node("Reshape", ["t", "split"], ["h"]),
        node("Transpose", ["h"], ["q"], perm=[1, 0, 2]), node("Transpose", ["q"], ["k"], perm=[0, 2, 1]),
        node("MatMul", ["q", "k"], ["s"]), node("Softmax", ["s"], ["p"], axis=-1), node("MatMul", ["p", "q"], ["c"]),
        node("Transpose", ["c"], ["d"], perm=[1, 0, 2]), node("Reshape", ["d", "join"], ["e"]),
        node("Transpose", ["e"], ["y"], perm=[1, 0, 2]),
    ],
    [info("x", [N, 5, 6])], [info("y", [N, 5, 6])], [ints("split", [5, -1, 3]), ints("join", [5, -1, 6])],
), x=x(3, 5, 6))
right("indices", model(
    [
        node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"], axis=0),
        node("Range", ["zero", "n", "one"], ["r"]), node("Unsqueeze", ["r", "last"], ["r1"]),
        node("Shape", ["r1"], ["rs"]), node("Max", ["rs", "places_shape"], ["to"]),
        node("Expand", ["r1", "to"], ["rows"]), node("Expand", ["places", "to"], ["columns"]),
        node("Unsqueeze", ["rows", "two"], ["rows1"]), node("Unsqueeze", ["columns", "two"], ["columns1"]),
        node("Concat", ["rows1", "columns1"], ["at"], axis=-1), node("GatherND", ["x", "at"], ["y"]),
    ],
    [info("x", [N, 7])], [info("y", [N, 3])],
    [ints("zero", 0), ints("one", 1), ints("last", [1]), ints("two", [2]), ints("places", [[6, 0, 2]]),
     ints("places_shape", [1, 3])],
), x=x(3, 7))
right("mixes", model(
    [node("ReduceMean", ["x", "axes"], ["m"]), node("Sub", ["x", "m"], ["y"])],
    [info("x", [N, 4])], [info("y", [N, 4])], [ints("axes", [0])],
), x=x(1, 4))
right("fixed", model(
    [node("Reshape", ["x", "to"], ["r"]), node("MatMul", ["r", "w"], ["m"]), node("Reshape", ["m", "back"], ["y"])],
    [info("x", [2, 12])], [info("y", [2, 6])], [ints("to", [2, 3, 4]), weight("w", 4, 2), ints("back", [2, 6])],
), x=x(2, 12))
right("branch", model(
    [helper.make_node("If", ["yes"], ["y"], name="if", then_branch=helper.make_graph(
        [node("Add", ["x", "w"], ["a"])], "then", [], [info("a", [N, 3])]),
        else_branch=helper.make_graph([node("Sub", ["x", "w"], ["b"])], "else", [], [info("b", [N, 3])]))],
    [info("x", [N, 3])], [info("y", [N, 3])],
    [numpy_helper.from_array(np.array(False), "yes"), weight("w", 3)],
), x=x(2, 3))
leaky = helper.make_node("LeakyRelu", ["u"], ["w"])
leaky.attribute.append(AttributeProto(name="alpha", type=AttributeProto.FLOAT, ref_attr_name="alpha"))
right("function", model(
    [helper.make_node("Scaled", ["x"], ["h"], name="scaled", domain="own", alpha=0.25),
     helper.make_node("Scaled", ["h"], ["y"], name="again", domain="own", alpha=0.5)],
    [info("x", [N, 3])], [info("y", [N, 3])], extra=["own"],
    functions=[helper.make_function("own", "Scaled", ["v"], ["w"], [
        helper.make_node("Constant", [], ["one"], value=numpy_helper.from_array(np.float32(1))),
        helper.make_node("Add", ["v", "one"], ["u"]),
        leaky,
    ], [helper.make_opsetid("", 18)], ["alpha"])],
), x=x(2, 3) * 3)

half = model([node("Cast", ["h"], ["w"], to=F), node("Mul", ["x", "w"], ["y"])], [info("x", [N, 3])], [info("y", [N, 3])],
             [numpy_helper.from_array(np.array([0.5, -2, 65504], dtype=np.float16), "h")])
right("half", half, x=x(2, 3))

simple = lambda nodes, constants=(), extra=(): model(nodes, [info("x", [N, 4])], [info("y", None)], constants, extra=extra)
wrong("unsupported", simple(
    [node("NonZero", ["x"], ["z"]), helper.make_node("Secret", ["x"], ["s"], name="mine", domain="own"),
     node("Loop", ["", "", "x"], ["l"]), node("Add", ["s", "l"], ["a"]), node("Cast", ["z"], ["c"], to=F),
     node("Add", ["a", "c"], ["y"])], extra=["own"]))
wrong("cycle", simple([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Add", ["a", "b"], ["y"])]))
wrong("dangling", simple([node("Add", ["x", "nothing"], ["y"])]))
wrong("twice", simple([node("Relu", ["x"], ["a"]), node("Neg", ["x"], ["a"]), node("Relu", ["a"], ["y"])]))
wrong("unbound", model([node("Relu", ["x"], ["y"])], [info("x", [N, "time"])], [info("y", [N, "time"])]))


def tensor(**fields) -> ModelProto:
    made = TensorProto(name="w", data_type=F)
    for field, value in fields.items():
        getattr(made, field).extend(value) if isinstance(value, list) else setattr(made, field, value)
    return simple([node("Add", ["x", "w"], ["y"])], [made])


def external(location: str, length: int = 16) -> ModelProto:
    made = TensorProto(name="w", data_type=F, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", str(length))):
        entry = made.external_data.add()
        entry.key, entry.value = key, value
    return simple([node("Add", ["x", "w"], ["y"])], [made])


wrong("huge_dims", tensor(dims=[1 << 40, 1 << 40], raw_data=b"abcd"))
wrong("negative_dims", tensor(dims=[-4], raw_data=b"0" * 16))
wrong("short_data", tensor(dims=[4], raw_data=b"0" * 12))
wrong("external_above", external("../right/mlp/model.onnx"))
wrong("external_absolute", external("/etc/hostname"))
wrong("external_missing", external("missing.data"))
wrong("external_short", external("twice.onnx", 1 << 40))
wrong("huge_constant", simple(
    [node("ConstantOfShape", ["s"], ["c"]), node("ReduceSum", ["c"], ["r"]), node("Add", ["x", "r"], ["y"])],
    [ints("s", [1 << 20, 1 << 20])]))
wrong("huge_expand", simple([node("Expand", ["w", "s"], ["e"]), node("ReduceSum", ["e"], ["r"]), node("Add", ["x", "r"], ["y"])],
                            [weight("w", 1), ints("s", [1 << 30, 1 << 30])]))
wrong("recursive", model(
    [helper.make_node("Again", ["x"], ["y"], domain="own")], [info("x", [N, 3])], [info("y", [N, 3])], extra=["own"],
    functions=[helper.make_function("own", "Again", ["v"], ["w"], [helper.make_node("Again", ["v"], ["w"], domain="own")],
                                    [helper.make_opsetid("own", 1)])]))
bomb = [helper.make_function("own", f"F{i}", ["v"], ["w"], [
    helper.make_node(f"F{i + 1}", ["v"], ["a"], domain="own"), helper.make_node(f"F{i + 1}", ["a"], ["w"], domain="own")],
    [helper.make_opsetid("own", 1)]) for i in range(25)]
bomb.append(helper.make_function("own", "F25", ["v"], ["w"], [helper.make_node("Relu", ["v"], ["w"])], [helper.make_opsetid("", 18)]))
wrong("expanding", model([helper.make_node("F0", ["x"], ["y"], domain="own")], [info("x", [N, 3])], [info("y", [N, 3])],
                         extra=["own"], functions=bomb))


def field(number: int, content: bytes) -> bytes:
    length, size = len(content), b""
    while length >= 0x80:
        size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


nested = b""
for _ in range(200):
    # A node whose attribute is a graph.
    nested = field(1, field(5, field(6, nested)))
wrong("nested", field(7, nested))
wrong("empty", b"")
wrong("text", b"this is not a model, but it is a file")

# An encoder of any length: words and positions, attention along the sequence, and a mean over it.
free = model(
    [node("Gather", ["words", "ids"], ["w"]), node("Shape", ["ids"], ["length"], start=1, end=2),
     node("Slice", ["positions", "zero", "length", "axis"], ["p"]), node("Add", ["w", "p"], ["h"]),
     node("MatMul", ["h", "wq"], ["q"]), node("MatMul", ["h", "wk"], ["k"]), node("MatMul", ["h", "wv"], ["v"]),
     node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]), node("MatMul", ["q", "kt"], ["s"]), node("Mul", ["s", "scale"], ["ss"]),
     node("Softmax", ["ss"], ["a"], axis=-1), node("MatMul", ["a", "v"], ["c"]), node("Add", ["h", "c"], ["r"]),
     node("MatMul", ["r", "wo"], ["o"]), node("Relu", ["o"], ["states"]),
     node("ReduceMean", ["states", "along"], ["pooled"], keepdims=0)],
    [info("ids", ["batch", "sequence"], I)],
    [info("states", ["batch", "sequence", 96]), info("pooled", ["batch", 96])],
    [weight("words", 128, 64), weight("positions", 1, 40, 64), ints("zero", [0]), ints("axis", [1]), ints("along", [1]),
     weight("wq", 64, 64), weight("wk", 64, 64), weight("wv", 64, 64), weight("wo", 64, 96),
     numpy_helper.from_array(np.float32(0.125), "scale")])
for length in (5, 9):
    folder = HERE / "free" / f"sequence_{length}"
    folder.mkdir(parents=True, exist_ok=True)
    ids = rng.integers(0, 128, (2, length))
    for kind, values in (("input", [ids]), ("output", InferenceSession(free.SerializeToString()).run(None, {"ids": ids}))):
        for index, value in enumerate(values):
            (folder / f"{kind}_{index}.pb").write_bytes(numpy_helper.from_array(value, f"{kind}_{index}").SerializeToString())
(HERE / "free" / "sequence.onnx").write_bytes(free.SerializeToString())
onnx.save_model(free, HERE / "free" / "external.onnx", save_as_external_data=True, location="external.data", size_threshold=1024)
