"""Cases of attention and of the transformer layers, with their masks.

Boolean masks are PyTorch's: `True` marks a key that is ignored. No query has every key masked, for which
PyTorch answers NaN.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from case import Case, Tensors, normal, prepared

causal = nn.Transformer.generate_square_subsequent_mask


def trailing(batch: int, length: int) -> Tensor:
    """A key-padding mask that hides a different number of last tokens in each sample."""
    hidden = torch.arange(batch) * 2 % length
    return torch.arange(length) >= length - hidden[:, None]


def scattered(batch: int, length: int) -> Tensor:
    """A key-padding mask with holes, the first token of odd samples included."""
    return (torch.arange(length) + torch.arange(batch)[:, None]) % 3 == 1


def additive(mask: Tensor | None) -> Tensor | None:
    """The mask as PyTorch adds it, so that masks of two types never meet in one call."""
    return None if mask is None else torch.zeros(mask.shape).masked_fill(mask, float("-inf"))


def cases() -> Iterator[Case]:
    """All cases of this file."""
    yield from _multihead()
    yield from _encoder_layers()
    yield from _encoders()
    yield from _decoder_layers()


def _multihead() -> Iterator[Case]:
    same = {"embed_dim": 20, "num_heads": 4}
    odd = {"embed_dim": 21, "num_heads": 3}
    mixed = {"embed_dim": 12, "num_heads": 2, "kdim": 7, "vdim": 9}
    # (suffix, arguments, batch, query tokens, key tokens or None for self attention, key padding, attn_mask)
    table = [
        ("self", same, 3, 7, None, None, None),
        ("self_odd", odd, 1, 5, None, None, None),
        ("self_one_token", same, 3, 1, None, None, None),
        ("self_one_head", {"embed_dim": 9, "num_heads": 1}, 3, 6, None, None, None),
        ("self_no_bias", same | {"bias": False}, 5, 6, None, None, None),
        ("self_padding", odd, 3, 7, None, trailing, None),
        ("self_padding_scattered", same, 5, 8, None, scattered, None),
        ("self_causal", same, 3, 7, None, None, "causal"),
        ("self_causal_padding", same, 3, 7, None, trailing, "causal"),
        ("self_additive", odd, 3, 6, None, None, "shared"),
        ("self_additive_padding", same, 3, 6, None, scattered, "shared"),
        ("self_additive_heads", same, 3, 5, None, None, "heads"),
        ("cross", same, 3, 5, 9, None, None),
        ("cross_padding", odd, 3, 6, 8, scattered, None),
        ("cross_additive", same, 1, 4, 7, None, "shared"),
        ("cross_widths", mixed, 3, 5, 6, None, None),
        (
            "cross_widths_equal",
            {"embed_dim": 12, "num_heads": 3, "kdim": 12, "vdim": 12},
            3,
            4,
            6,
            None,
            None,
        ),
        ("cross_widths_no_bias", mixed | {"bias": False}, 3, 5, 4, trailing, None),
        ("cross_widths_key_only", {"embed_dim": 12, "num_heads": 2, "kdim": 5}, 1, 3, 4, None, None),
        ("self_long", {"embed_dim": 16, "num_heads": 2}, 1, 67, None, None, None),
        ("self_large_scores", same, 3, 7, None, None, "large"),
    ]
    for suffix, args, batch, queries, keys, padding, masking in table:
        name = f"MultiheadAttention_{suffix}"
        args = args | {"batch_first": True}
        scale = 40.0 if masking == "large" else 1.0
        inputs: Tensors = {"query": normal(name, batch, queries, args["embed_dim"], scale=scale)}
        if keys is not None:
            inputs["key"] = normal(f"{name}.key", batch, keys, args.get("kdim", args["embed_dim"]))
            inputs["value"] = normal(f"{name}.value", batch, keys, args.get("vdim", args["embed_dim"]))
        length = keys or queries
        if padding is not None:
            inputs["key_padding_mask"] = padding(batch, length)
        forward = {"need_weights": False, "attention": "self" if keys is None else "cross"}
        mask = None
        if masking == "causal":
            mask, forward["is_causal"] = causal(queries), True
        elif masking in ("shared", "heads"):
            leading = (batch * args["num_heads"],) if masking == "heads" else ()
            mask = normal(f"{name}.mask", *leading, queries, length, scale=2.0)
            mask[..., 0, length - 1] = float("-inf")
            inputs["attn_mask"] = mask
            if masking == "shared":
                forward["constant"] = ["attn_mask"]
        yield _multihead_case(name, args, inputs, forward, mask)


def _multihead_case(name: str, args: dict, inputs: Tensors, forward: dict, mask: Tensor | None) -> Case:
    module = prepared(name, lambda: nn.MultiheadAttention(**args))
    query = inputs["query"]
    with torch.no_grad():
        output, _ = module(
            query,
            inputs.get("key", query),
            inputs.get("value", query),
            key_padding_mask=additive(inputs.get("key_padding_mask")),
            need_weights=False,
            attn_mask=mask,
        )
    return Case(name, "MultiheadAttention", args, inputs, {"output": output}, forward, module.state_dict())


SMALL = {"d_model": 12, "nhead": 2, "dim_feedforward": 19}

LAYER_VARIANTS: list[tuple[str, dict]] = [
    ("", {}),
    ("_gelu", {"activation": "gelu"}),
    ("_norm_first", {"norm_first": True}),
    ("_norm_first_gelu", {"norm_first": True, "activation": "gelu", "layer_norm_eps": 0.01}),
    ("_no_bias", {"bias": False}),
]


def _arguments(extra: dict) -> dict:
    return SMALL | extra | {"batch_first": True}


def _encoder_layers() -> Iterator[Case]:
    kind = "TransformerEncoderLayer"
    for suffix, extra in LAYER_VARIANTS:
        yield _encoder_case(f"{kind}{suffix}", kind, _arguments(extra), 3, 7)
    for suffix, extra in LAYER_VARIANTS[1:4]:
        yield _encoder_case(f"{kind}{suffix}_padding", kind, _arguments(extra), 5, 6, padding=scattered)
        yield _encoder_case(f"{kind}{suffix}_causal", kind, _arguments(extra), 1, 9, is_causal=True)
    yield _encoder_case(
        f"{kind}_causal_padding", kind, _arguments({}), 3, 8, padding=trailing, is_causal=True
    )


def _encoders() -> Iterator[Case]:
    kind = "TransformerEncoder"
    for suffix, extra, layers, norm, options in (
        ("", {}, 2, False, {}),
        ("_norm", {"norm_first": True, "activation": "gelu"}, 3, True, {}),
        ("_padding", {}, 2, True, {"padding": trailing}),
        ("_causal", {"norm_first": True}, 2, False, {"is_causal": True}),
    ):
        args = {"encoder_layer": _arguments(extra), "num_layers": layers, "norm": norm}
        yield _encoder_case(f"{kind}{suffix}", kind, args, 3, 7, **options)


def _encoder_case(
    name: str, kind: str, args: dict, batch: int, tokens: int, padding=None, is_causal: bool = False
) -> Case:
    stack = kind == "TransformerEncoder"

    def build() -> nn.Module:
        if not stack:
            return nn.TransformerEncoderLayer(**args)
        layer = nn.TransformerEncoderLayer(**args["encoder_layer"])
        norm = nn.LayerNorm(SMALL["d_model"]) if args["norm"] else None
        return nn.TransformerEncoder(layer, args["num_layers"], norm=norm, enable_nested_tensor=False)

    module = prepared(name, build)
    inputs: Tensors = {"src": normal(name, batch, tokens, SMALL["d_model"])}
    if padding is not None:
        inputs["src_key_padding_mask"] = padding(batch, tokens)
    mask = {"mask" if stack else "src_mask": causal(tokens)} if is_causal else {}
    with torch.no_grad():
        output = module(
            inputs["src"],
            src_key_padding_mask=additive(inputs.get("src_key_padding_mask")),
            is_causal=is_causal,
            **mask,
        )
    return Case(name, kind, args, inputs, {"output": output}, {"is_causal": is_causal}, module.state_dict())


def _decoder_layers() -> Iterator[Case]:
    kind = "TransformerDecoderLayer"
    # (suffix, arguments, batch, target tokens, memory tokens, causal, target padding, memory padding)
    table = [
        ("", {}, 3, 6, 8, False, None, None),
        ("_causal", {}, 3, 7, 5, True, None, None),
        ("_norm_first", {"norm_first": True, "activation": "gelu"}, 1, 5, 9, True, None, None),
        ("_memory_padding", {"activation": "gelu"}, 5, 6, 7, True, None, scattered),
        ("_padding", {"norm_first": True}, 3, 7, 6, True, trailing, trailing),
        ("_no_bias", {"bias": False}, 3, 4, 4, False, scattered, None),
    ]
    for suffix, extra, batch, target, memory, is_causal, target_padding, memory_padding in table:
        name = f"{kind}{suffix}"
        args = _arguments(extra)
        inputs: Tensors = {
            "tgt": normal(f"{name}.tgt", batch, target, SMALL["d_model"]),
            "memory": normal(f"{name}.memory", batch, memory, SMALL["d_model"]),
        }
        if target_padding is not None:
            inputs["tgt_key_padding_mask"] = target_padding(batch, target)
        if memory_padding is not None:
            inputs["memory_key_padding_mask"] = memory_padding(batch, memory)
        module = prepared(name, lambda args=args: nn.TransformerDecoderLayer(**args))
        with torch.no_grad():
            output = module(
                inputs["tgt"],
                inputs["memory"],
                tgt_mask=causal(target) if is_causal else None,
                tgt_key_padding_mask=additive(inputs.get("tgt_key_padding_mask")),
                memory_key_padding_mask=additive(inputs.get("memory_key_padding_mask")),
                tgt_is_causal=is_causal,
            )
        yield Case(
            name, kind, args, inputs, {"output": output}, {"tgt_is_causal": is_causal}, module.state_dict()
        )
