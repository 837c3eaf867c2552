"""Cases of single operators, for the reference interpreter.

Axis 0 of every input is the batch, except for the inputs that `forward.constant` lists: those belong to the
graph and have no batch axis.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from case import EXTREMES, Case, normal

INFINITY, NAN = float("inf"), float("nan")

UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "Exp": torch.exp,
    "Sqrt": torch.sqrt,
    "Erf": torch.erf,
    "Neg": torch.neg,
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
}

BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": torch.div,
}

# (suffix, left shape, right shape, right is a constant of the graph)
BROADCASTS: list[tuple[str, tuple[int, ...], tuple[int, ...], bool]] = [
    ("equal", (3, 5, 7), (3, 5, 7), False),
    ("row", (3, 5, 7), (7,), True),
    ("column", (3, 5, 7), (5, 1), True),
    ("scalar", (3, 7), (), True),
    ("both_ways", (3, 5, 1), (3, 1, 7), False),
]

# (suffix, left shape, right shape, right is a constant of the graph)
PRODUCTS: list[tuple[str, tuple[int, ...], tuple[int, ...], bool]] = [
    ("batched", (3, 5, 7), (3, 7, 4), False),
    ("weight", (3, 5, 7), (7, 9), True),
    ("rows", (5, 11), (11, 6), True),
    ("heads", (3, 2, 5, 7), (3, 2, 7, 5), False),
    ("broadcast_left", (3, 1, 5, 7), (3, 4, 7, 2), False),
    ("broadcast_right", (3, 4, 5, 7), (3, 1, 7, 2), False),
    ("broadcast_constant", (3, 4, 5, 7), (4, 7, 3), True),
    ("inner_one", (3, 5, 1), (3, 1, 4), False),
]


def cases() -> Iterator[Case]:
    """All cases of this file."""
    yield from _elementwise()
    yield from _products()
    yield from _reductions()
    yield from _movements()


def _case(
    name: str,
    args: dict,
    inputs: dict[str, Tensor],
    outputs: dict[str, Tensor],
    constant: tuple[str, ...] = (),
) -> Case:
    forward = {"constant": list(constant)} if constant else {}
    return Case(name, name.split("_")[0], args, inputs, outputs, forward)


def _elementwise() -> Iterator[Case]:
    column = torch.tensor(EXTREMES + [-INFINITY, -3.4e38, 3.4e38, INFINITY, NAN])
    for kind, function in UNARY.items():
        x = normal(kind, 3, 5, 7, scale=2.0)
        if kind == "Sqrt":
            x = x.abs()
        yield _case(f"op.{kind}", {}, {"x": x}, {"output": function(x)})
        extreme = column[:, None]
        yield _case(f"op.{kind}_extreme", {}, {"x": extreme}, {"output": function(extreme)})
    for kind, function in BINARY.items():
        for suffix, left, right, constant in BROADCASTS:
            name = f"op.{kind}_{suffix}"
            a, b = normal(f"{name}.a", *left), normal(f"{name}.b", *right)
            yield _case(name, {}, {"a": a, "b": b}, {"output": function(a, b)}, ("b",) if constant else ())
        a = column[:, None]
        yield _case(f"op.{kind}_extreme", {}, {"a": a, "b": column}, {"output": function(a, column)}, ("b",))


def _products() -> Iterator[Case]:
    for suffix, left, right, constant in PRODUCTS:
        name = f"op.MatMul_{suffix}"
        a, b = normal(f"{name}.a", *left), normal(f"{name}.b", *right)
        yield _case(name, {}, {"a": a, "b": b}, {"output": a @ b}, ("b",) if constant else ())
    name = "op.MatMul_extreme"
    a, b = normal(f"{name}.a", 6, 5), normal(f"{name}.b", 5, 4)
    b[2, 1] = 0.0
    a[0, 2], a[1, 0], a[2, 4] = INFINITY, NAN, 3e38
    a[3], a[4] = torch.tensor([1e-40, -1e-41, 1e-39, 1e-45, 0.0]), -0.0
    yield _case(name, {}, {"a": a, "b": b}, {"output": a @ b}, ("b",))


def _reductions() -> Iterator[Case]:
    functions = {
        "ReduceMean": lambda x, axes, keep: x.mean(axes, keepdim=keep),
        "ReduceSum": lambda x, axes, keep: x.sum(axes, keepdim=keep),
        "ReduceMax": lambda x, axes, keep: x.amax(axes, keepdim=keep),
    }
    big = 3e38
    extreme = torch.tensor(
        [
            [big, big, 1.0],
            [-big, -big, -1.0],
            [INFINITY, 1.0, -big],
            [INFINITY, -INFINITY, 0.0],
            [NAN, 1.0, INFINITY],
            [1e-40, -1e-41, 1e-45],
            [-0.0, 0.0, -0.0],
            [-INFINITY] * 3,
        ]
    )
    for kind, function in functions.items():
        for suffix, shape, axes, keep in (
            ("last", (3, 5, 7), [-1], True),
            ("last_dropped", (3, 5, 7), [2], False),
            ("middle", (3, 5, 7), [1], False),
            ("several", (3, 4, 5, 3), [1, 3], True),
            ("all_but_batch", (5, 4, 3), [1, 2], False),
        ):
            name = f"op.{kind}_{suffix}"
            x = normal(name, *shape)
            yield _case(name, {"axes": axes, "keepdims": keep}, {"x": x}, {"output": function(x, axes, keep)})
        # A mean may be formed from a sum that overflows or not, so the mean's rows are those without the choice.
        rows = extreme[2:] if kind == "ReduceMean" else extreme
        args = {"axes": [1], "keepdims": False}
        yield _case(f"op.{kind}_extreme", args, {"x": rows}, {"output": function(rows, [1], False)})


def _movements() -> Iterator[Case]:
    special = torch.tensor([[-0.0, NAN, INFINITY, 1e-45, -1e30, 2.0, 3.0]])
    for axis, left, right in ((1, (3, 2, 5), (3, 4, 5)), (-1, (3, 4, 2), (3, 4, 7))):
        name = f"op.Concat_axis{axis}"
        a, b = normal(f"{name}.a", *left), normal(f"{name}.b", *right)
        yield _case(name, {"axis": axis}, {"a": a, "b": b}, {"output": torch.cat([a, b], axis)})
    three = {key: normal(f"op.Concat_three.{key}", 3, width) for key, width in (("a", 1), ("b", 5), ("c", 2))}
    yield _case("op.Concat_three", {"axis": 1}, three, {"output": torch.cat(list(three.values()), 1)})
    for suffix, shape, axis, start, end, step in (
        ("middle", (3, 9, 4), 1, 2, 7, 1),
        ("step", (3, 4, 11), 2, 1, 11, 3),
        ("negative", (3, 9), -1, -4, -1, 1),
        ("beyond", (1, 6, 3), 1, 3, 100, 2),
    ):
        name = f"op.Slice_{suffix}"
        x = normal(name, *shape)
        index = [slice(None)] * x.dim()
        index[axis] = slice(start, end, step)
        args = {"axis": axis, "start": start, "end": end, "step": step}
        yield _case(name, args, {"x": x}, {"output": x[tuple(index)]})
    for suffix, shape, axis, sizes in (("even", (3, 6, 4), 1, [3, 3]), ("uneven", (3, 4, 9), -1, [2, 6, 1])):
        name = f"op.Split_{suffix}"
        x = normal(name, *shape)
        parts = {str(index): part for index, part in enumerate(torch.split(x, sizes, axis))}
        yield _case(name, {"axis": axis, "sizes": sizes}, {"x": x}, parts)
    for suffix, x, pads, value in (
        ("last", normal("op.Pad_last", 3, 4, 5), [[0, 0], [0, 0], [2, 1]], 0.0),
        ("several", normal("op.Pad_several", 3, 4, 5), [[0, 0], [1, 3], [0, 2]], -1.5),
        ("before", normal("op.Pad_before", 1, 3, 2, 4), [[0, 0], [2, 0], [0, 0], [1, 0]], 0.0),
        ("extreme", special, [[0, 0], [1, 1]], 1e30),
    ):
        reverse = [amount for pair in reversed(pads) for amount in pair]
        output = torch.nn.functional.pad(x, reverse, value=value)
        yield _case(f"op.Pad_{suffix}", {"pads": pads, "value": value}, {"x": x}, {"output": output})
    for shape, perm in (
        ((3, 5, 7), [0, 2, 1]),
        ((3, 4, 2, 5), [0, 2, 1, 3]),
        ((1, 2, 3, 4, 5), [0, 4, 1, 3, 2]),
    ):
        name = f"op.Transpose_{''.join(map(str, perm))}"
        x = normal(name, *shape)
        yield _case(name, {"perm": perm}, {"x": x}, {"output": x.permute(perm)})
    for suffix, shape, target in (
        ("split", (3, 12), [0, 4, 3]),
        ("merge", (3, 4, 5), [0, 20]),
        ("infer", (5, 4, 6), [0, -1, 3]),
    ):
        name = f"op.Reshape_{suffix}"
        x = normal(name, *shape)
        yield _case(name, {"shape": target}, {"x": x}, {"output": x.reshape(shape[0], *target[1:])})
    name = "op.Transpose_extreme"
    x = special.reshape(1, 1, 7)
    yield _case(name, {"perm": [0, 2, 1]}, {"x": x}, {"output": x.permute(0, 2, 1)})
