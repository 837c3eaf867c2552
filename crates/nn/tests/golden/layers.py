"""Cases of the layers that take one input: linear, convolutions, norms, embedding, activations, pooling."""

from collections.abc import Iterator

import torch
from torch import nn

from case import EXTREMES, Case, layer_case, module_case, normal

# (name, constructor arguments, input shape); the kind is the name up to the first underscore.
SHAPED: list[tuple[str, dict, tuple[int, ...]]] = [
    ("Linear", {"in_features": 7, "out_features": 5}, (3, 7)),
    ("Linear_one", {"in_features": 1, "out_features": 1}, (1, 1)),
    ("Linear_no_bias", {"in_features": 33, "out_features": 17, "bias": False}, (5, 33)),
    ("Linear_tokens", {"in_features": 16, "out_features": 9}, (3, 11, 16)),
    ("Linear_wide", {"in_features": 65, "out_features": 49}, (5, 65)),
    ("Conv1d", {"in_channels": 5, "out_channels": 7, "kernel_size": 3}, (3, 5, 11)),
    ("Conv1d_pointwise", {"in_channels": 9, "out_channels": 6, "kernel_size": 1}, (3, 9, 5)),
    ("Conv1d_padding", {"in_channels": 4, "out_channels": 6, "kernel_size": 5, "padding": 2}, (1, 4, 9)),
    (
        "Conv1d_stride",
        {"in_channels": 3, "out_channels": 5, "kernel_size": 3, "stride": 2, "padding": 1},
        (5, 3, 12),
    ),
    (
        "Conv1d_dilation",
        {"in_channels": 3, "out_channels": 4, "kernel_size": 3, "dilation": 3, "padding": 3},
        (3, 3, 13),
    ),
    (
        "Conv1d_groups",
        {"in_channels": 6, "out_channels": 9, "kernel_size": 3, "groups": 3, "padding": 1},
        (3, 6, 7),
    ),
    (
        "Conv1d_depthwise",
        {"in_channels": 7, "out_channels": 7, "kernel_size": 5, "groups": 7, "padding": 2},
        (3, 7, 10),
    ),
    (
        "Conv1d_depthwise_multiplier",
        {"in_channels": 4, "out_channels": 8, "kernel_size": 3, "groups": 4},
        (1, 4, 8),
    ),
    ("Conv1d_even_kernel", {"in_channels": 3, "out_channels": 5, "kernel_size": 4, "padding": 1}, (3, 3, 10)),
    ("Conv1d_same", {"in_channels": 3, "out_channels": 4, "kernel_size": 5, "padding": "same"}, (3, 3, 9)),
    (
        "Conv1d_same_even",
        {"in_channels": 3, "out_channels": 4, "kernel_size": 4, "padding": "same"},
        (3, 3, 9),
    ),
    (
        "Conv1d_same_dilation",
        {"in_channels": 3, "out_channels": 4, "kernel_size": 4, "padding": "same", "dilation": 3},
        (1, 3, 11),
    ),
    ("Conv1d_valid", {"in_channels": 3, "out_channels": 4, "kernel_size": 3, "padding": "valid"}, (3, 3, 5)),
    (
        "Conv1d_no_bias",
        {"in_channels": 8, "out_channels": 17, "kernel_size": 3, "bias": False, "padding": 1},
        (5, 8, 19),
    ),
    ("Conv1d_kernel_of_length", {"in_channels": 3, "out_channels": 5, "kernel_size": 6}, (3, 3, 6)),
    (
        "Conv1d_everything",
        {
            "in_channels": 4,
            "out_channels": 6,
            "kernel_size": 3,
            "stride": 3,
            "padding": 4,
            "dilation": 2,
            "groups": 2,
        },
        (3, 4, 14),
    ),
    ("Conv2d", {"in_channels": 3, "out_channels": 5, "kernel_size": 3}, (3, 3, 7, 8)),
    (
        "Conv2d_rectangular",
        {"in_channels": 3, "out_channels": 4, "kernel_size": [1, 5], "padding": [0, 2]},
        (3, 3, 5, 9),
    ),
    ("Conv2d_pointwise", {"in_channels": 6, "out_channels": 5, "kernel_size": 1}, (3, 6, 4, 3)),
    (
        "Conv2d_stride",
        {"in_channels": 3, "out_channels": 4, "kernel_size": 3, "stride": [2, 3], "padding": 1},
        (1, 3, 9, 10),
    ),
    (
        "Conv2d_dilation",
        {"in_channels": 2, "out_channels": 3, "kernel_size": [3, 2], "dilation": [2, 3]},
        (3, 2, 8, 9),
    ),
    (
        "Conv2d_groups",
        {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "groups": 2, "bias": False},
        (3, 4, 6, 5),
    ),
    (
        "Conv2d_depthwise",
        {"in_channels": 5, "out_channels": 5, "kernel_size": 3, "groups": 5, "padding": 1},
        (3, 5, 6, 7),
    ),
    (
        "Conv2d_even_kernel",
        {"in_channels": 3, "out_channels": 4, "kernel_size": [2, 4], "padding": 1},
        (1, 3, 5, 6),
    ),
    (
        "Conv2d_same",
        {"in_channels": 3, "out_channels": 4, "kernel_size": [4, 3], "padding": "same"},
        (3, 3, 6, 5),
    ),
    ("ConvTranspose1d", {"in_channels": 5, "out_channels": 4, "kernel_size": 3}, (3, 5, 7)),
    (
        "ConvTranspose1d_stride",
        {"in_channels": 3, "out_channels": 5, "kernel_size": 4, "stride": 2, "padding": 1},
        (3, 3, 7),
    ),
    (
        "ConvTranspose1d_output_padding",
        {
            "in_channels": 3,
            "out_channels": 4,
            "kernel_size": 3,
            "stride": 3,
            "padding": 2,
            "output_padding": 2,
        },
        (3, 3, 6),
    ),
    (
        "ConvTranspose1d_dilation",
        {"in_channels": 3, "out_channels": 4, "kernel_size": 3, "dilation": 2, "bias": False},
        (1, 3, 6),
    ),
    (
        "ConvTranspose1d_groups",
        {"in_channels": 6, "out_channels": 4, "kernel_size": 3, "groups": 2, "stride": 2},
        (3, 6, 5),
    ),
    (
        "ConvTranspose1d_gap",
        {"in_channels": 2, "out_channels": 3, "kernel_size": 2, "stride": 4, "output_padding": 1},
        (3, 2, 4),
    ),
    (
        "ConvTranspose1d_everything",
        {
            "in_channels": 4,
            "out_channels": 6,
            "kernel_size": 3,
            "stride": 2,
            "padding": 3,
            "output_padding": 1,
            "dilation": 3,
            "groups": 2,
        },
        (3, 4, 7),
    ),
    ("LayerNorm", {"normalized_shape": 13}, (3, 13)),
    ("LayerNorm_tokens", {"normalized_shape": [24]}, (3, 5, 24)),
    ("LayerNorm_2d", {"normalized_shape": [5, 7]}, (3, 5, 7)),
    ("LayerNorm_no_affine", {"normalized_shape": 9, "elementwise_affine": False}, (5, 9)),
    ("LayerNorm_no_bias", {"normalized_shape": 9, "bias": False}, (3, 4, 9)),
    ("LayerNorm_eps", {"normalized_shape": 17, "eps": 0.1}, (3, 17)),
    ("LayerNorm_one", {"normalized_shape": 1}, (3, 1)),
    ("RMSNorm", {"normalized_shape": 13}, (3, 13)),
    ("RMSNorm_2d", {"normalized_shape": [3, 7], "eps": 0.01}, (3, 3, 7)),
    ("RMSNorm_no_affine", {"normalized_shape": 18, "elementwise_affine": False, "eps": 1e-5}, (3, 5, 18)),
    ("BatchNorm1d", {"num_features": 7}, (3, 7)),
    ("BatchNorm1d_length", {"num_features": 5, "eps": 0.01}, (3, 5, 9)),
    ("BatchNorm1d_no_affine", {"num_features": 6, "affine": False}, (1, 6, 5)),
    ("BatchNorm2d", {"num_features": 5}, (3, 5, 4, 7)),
    ("BatchNorm2d_no_affine", {"num_features": 3, "affine": False, "eps": 1e-3}, (1, 3, 5, 5)),
    ("GroupNorm", {"num_groups": 3, "num_channels": 6}, (3, 6, 7)),
    ("GroupNorm_vector", {"num_groups": 2, "num_channels": 10}, (3, 10)),
    ("GroupNorm_one_group", {"num_groups": 1, "num_channels": 5, "eps": 0.01}, (3, 5, 4, 3)),
    ("GroupNorm_instance", {"num_groups": 4, "num_channels": 4}, (1, 4, 9)),
    ("GroupNorm_no_affine", {"num_groups": 2, "num_channels": 4, "affine": False}, (3, 4, 3, 5)),
    ("Softmax_last", {"dim": -1}, (3, 17)),
    ("Softmax_middle", {"dim": 1}, (3, 7, 5)),
    ("Softmax_middle_negative", {"dim": -2}, (1, 4, 5, 3)),
    ("MaxPool1d", {"kernel_size": 3}, (3, 4, 11)),
    ("MaxPool1d_padding", {"kernel_size": 4, "stride": 2, "padding": 2}, (3, 3, 9)),
    ("MaxPool1d_dilation", {"kernel_size": 3, "stride": 1, "padding": 1, "dilation": 2}, (1, 3, 10)),
    ("MaxPool2d", {"kernel_size": 2}, (3, 3, 6, 7)),
    ("MaxPool2d_rectangular", {"kernel_size": [3, 2], "stride": [2, 1], "padding": [1, 0]}, (3, 2, 7, 6)),
    ("MaxPool2d_dilation", {"kernel_size": 2, "stride": 1, "dilation": [2, 3]}, (1, 3, 6, 7)),
    ("AvgPool1d", {"kernel_size": 3}, (3, 4, 11)),
    ("AvgPool1d_padding", {"kernel_size": 4, "stride": 2, "padding": 2}, (3, 3, 9)),
    (
        "AvgPool1d_padding_not_counted",
        {"kernel_size": 4, "stride": 2, "padding": 2, "count_include_pad": False},
        (3, 3, 9),
    ),
    ("AvgPool2d", {"kernel_size": 2}, (3, 3, 6, 7)),
    ("AvgPool2d_rectangular", {"kernel_size": [3, 2], "stride": [2, 1], "padding": [1, 1]}, (3, 2, 7, 6)),
    (
        "AvgPool2d_padding_not_counted",
        {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False},
        (1, 3, 8, 5),
    ),
    ("AdaptiveAvgPool1d", {"output_size": 1}, (3, 5, 11)),
    ("AdaptiveAvgPool2d", {"output_size": 1}, (3, 5, 4, 7)),
]

INFINITY, NAN = float("inf"), float("nan")

# Each with the values beyond 1e30 that its extreme case holds: PyTorch's formulas for GELU and SiLU overflow
# there or multiply infinity by zero, where the functions themselves have a limit.
ACTIVATIONS: list[tuple[str, dict, list[float]]] = [
    ("ReLU", {}, [-INFINITY, -3.4e38, 3.4e38, INFINITY]),
    ("GELU", {}, []),
    ("GELU_tanh", {"approximate": "tanh"}, [3.4e38, INFINITY]),
    ("SiLU", {}, [-3.4e38, 3.4e38, INFINITY]),
    ("Sigmoid", {}, [-INFINITY, -3.4e38, 3.4e38, INFINITY]),
    ("Tanh", {}, [-INFINITY, -3.4e38, 3.4e38, INFINITY]),
]

# Layers in PyTorch's Sequential, each by kind and arguments.
SEQUENCES: list[tuple[str, list[tuple[str, dict]], tuple[int, ...]]] = [
    (
        "Sequential_linear",
        [
            ("Linear", {"in_features": 9, "out_features": 14}),
            ("GELU", {}),
            ("LayerNorm", {"normalized_shape": 14}),
            ("Linear", {"in_features": 14, "out_features": 5, "bias": False}),
            ("Softmax", {"dim": -1}),
        ],
        (3, 9),
    ),
    (
        "Sequential_image",
        [
            ("Conv2d", {"in_channels": 2, "out_channels": 6, "kernel_size": 3, "padding": 1}),
            ("BatchNorm2d", {"num_features": 6}),
            ("SiLU", {}),
            ("MaxPool2d", {"kernel_size": 2}),
            ("Conv2d", {"in_channels": 6, "out_channels": 7, "kernel_size": 3, "groups": 1}),
            ("AdaptiveAvgPool2d", {"output_size": 1}),
            ("Flatten", {}),
            ("Linear", {"in_features": 7, "out_features": 4}),
        ],
        (3, 2, 9, 8),
    ),
    (
        "Sequential_upsample",
        [
            ("Conv1d", {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "padding": 1}),
            ("GroupNorm", {"num_groups": 2, "num_channels": 6}),
            ("ReLU", {}),
            (
                "ConvTranspose1d",
                {"in_channels": 6, "out_channels": 3, "kernel_size": 4, "stride": 2, "padding": 1},
            ),
            ("Tanh", {}),
        ],
        (5, 4, 7),
    ),
]


def cases() -> Iterator[Case]:
    """All cases of this file."""
    for name, args, shape in SHAPED:
        yield layer_case(name, args, normal(name, *shape))
    yield from _activations()
    yield from _extremes()
    for name, num_embeddings, width, shape, extra in (
        ("Embedding", 11, 5, (3, 4), {}),
        ("Embedding_padding", 7, 9, (1, 6), {"padding_idx": 2}),
        ("Embedding_vector", 5, 3, (5,), {}),
    ):
        count = torch.Size(shape).numel()
        indices = (torch.arange(count).reshape(shape) * 5 + 1) % num_embeddings
        yield layer_case(name, {"num_embeddings": num_embeddings, "embedding_dim": width, **extra}, indices)
    for name, layers, shape in SEQUENCES:
        args = [{"kind": kind, "args": arguments} for kind, arguments in layers]
        build = lambda layers=layers: nn.Sequential(
            *[getattr(nn, kind)(**arguments) for kind, arguments in layers]
        )
        yield module_case(name, "Sequential", args, build, {"input": normal(name, *shape)})


def _activations() -> Iterator[Case]:
    for name, args, beyond in ACTIVATIONS:
        yield layer_case(name, args, normal(name, 3, 5, 7, scale=3.0))
        yield layer_case(f"{name}_extreme", args, torch.tensor([EXTREMES + beyond + [NAN]]))


def _extremes() -> Iterator[Case]:
    rows = torch.tensor(
        [
            [-INFINITY, 0.5, -1e30, 1.0],
            [1e30, -1e30, 1e30, 0.0],
            [-88.0, -88.5, -200.0, -1e4],
            [1e-40, -0.0, 0.0, 1e-45],
        ]
    )
    yield layer_case("Softmax_extreme", {"dim": -1}, rows)
    yield layer_case("Softmax_extreme_middle", {"dim": 1}, rows.T.reshape(1, 4, 4))
    hopeless = torch.tensor([[-INFINITY] * 3, [INFINITY, 1.0, 2.0], [NAN, 1.0, 2.0], [0.0, 1.0, 2.0]])
    yield layer_case("Softmax_not_a_number", {"dim": -1}, hopeless)
    offset = normal("offset", 1, 16) + 300.0
    norm_rows = torch.cat(
        [
            torch.full((1, 16), 7.0),
            offset,
            normal("tiny", 1, 16, scale=1e-6),
            normal("large", 1, 16, scale=1e15),
        ]
    )
    yield layer_case("LayerNorm_extreme", {"normalized_shape": 16}, norm_rows)
    yield layer_case("RMSNorm_extreme", {"normalized_shape": 16}, norm_rows)
    dirty = normal("Linear_extreme", 5, 6)
    dirty[1, 2], dirty[3, 0], dirty[4, 5] = INFINITY, NAN, 1e30
    yield layer_case("Linear_extreme", {"in_features": 6, "out_features": 5}, dirty)
    spot = normal("Conv1d_extreme", 3, 3, 9)
    spot[0, 1, 4], spot[1, 0, 8], spot[2, 2, 0] = NAN, INFINITY, 1e30
    yield layer_case(
        "Conv1d_extreme", {"in_channels": 3, "out_channels": 4, "kernel_size": 3, "padding": 1}, spot
    )
    pool = normal("MaxPool1d_extreme", 3, 2, 9)
    pool[0], pool[1, 0, 4], pool[2, 1, 0] = -INFINITY, NAN, INFINITY
    yield layer_case("MaxPool1d_extreme", {"kernel_size": 3, "stride": 2, "padding": 1}, pool)
