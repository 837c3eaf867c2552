"""The study's models in PyTorch, by the short names that `paceline_nn` uses.

One definition serves the golden cases (small dimensions), the real-size cases and the comparison with
other runtimes in `benches/peers`. The state dict names below are those that the Rust side loads.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F


class Speech(nn.Module):
    """Convolutions, layer norm and linear layers, shaped like a small text-to-speech decoder."""

    def __init__(self, in_channels: int, hidden: int, out_features: int) -> None:
        super().__init__()
        self.pre = nn.Conv1d(in_channels, hidden, 5, padding=2)
        self.mid = nn.Conv1d(hidden, hidden, 5, padding=2)
        self.norm = nn.LayerNorm(hidden)
        self.proj = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, out_features)

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, in_channels, length]` to `[batch, length, out_features]`."""
        x = F.relu(self.mid(F.relu(self.pre(x))))
        return self.out(F.gelu(self.proj(self.norm(x.transpose(1, 2)))))


class Translation(nn.Module):
    """Encoder and decoder stacks over embedded tokens; the target attends to its past alone."""

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int, num_layers: int, vocabulary: int
    ) -> None:
        super().__init__()
        self.encoder = encoder(d_model, nhead, dim_feedforward, num_layers)
        layer = nn.TransformerDecoderLayer(d_model, nhead, dim_feedforward, batch_first=True)
        self.decoder = nn.TransformerDecoder(layer, num_layers)
        self.generator = nn.Linear(d_model, vocabulary)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Two `[batch, tokens, d_model]` to `[batch, target_tokens, vocabulary]`."""
        mask = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        decoded = self.decoder(target, self.encoder(source), tgt_mask=mask, tgt_is_causal=True)
        return self.generator(decoded)


class SelfAttention(nn.MultiheadAttention):
    """`MultiheadAttention` as a model of one input, without the attention weights."""

    def forward(self, x: Tensor) -> Tensor:  # pylint: disable=arguments-differ
        """`[batch, tokens, embed_dim]` to the same."""
        return super().forward(x, x, x, need_weights=False)[0]


def encoder(d_model: int, nhead: int, dim_feedforward: int, num_layers: int) -> nn.Module:
    """A stack of post-norm ReLU layers without a final norm."""
    layer = nn.TransformerEncoderLayer(d_model, nhead, dim_feedforward, batch_first=True)
    return nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)


def convolutions(channels: list[int]) -> nn.Module:
    """`Conv1d` of kernel 3 and ReLU, once for each step of `channels`."""
    steps = [(nn.Conv1d(c, d, 3, padding=1), nn.ReLU()) for c, d in pairwise(channels)]
    return nn.Sequential(*[layer for step in steps for layer in step])


def perceptron(in_features: int, hidden: int, out_features: int) -> nn.Module:
    """Three linear layers with ReLU between."""
    return nn.Sequential(
        nn.Linear(in_features, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, out_features),
    )


def attention_flop(d_model: int, queries: int, keys: int) -> int:
    """Four projections, the scores and their weighted sum."""
    return 4 * d_model * d_model * (queries + keys) + 4 * queries * keys * d_model


def feedforward_flop(d_model: int, dim_feedforward: int, tokens: int) -> int:
    """The two linear layers of a transformer layer."""
    return 4 * d_model * dim_feedforward * tokens


@dataclass(frozen=True)
class StudyModel:
    """A model, its real and its golden dimensions, and what they imply."""

    build: Callable[[dict], nn.Module]
    """From dimensions to the module."""
    inputs: Callable[[dict], dict[str, tuple[int, ...]]]
    """From dimensions to each input's shape without the batch axis."""
    flop: Callable[[dict], int]
    """Floating-point operations of the matrix products of one sample, a multiply-add as two."""
    real: dict
    small: dict


def _linear(in_features: int, out_features: int, small: tuple[int, int]) -> StudyModel:
    return StudyModel(
        build=lambda d: nn.Linear(d["in_features"], d["out_features"]),
        inputs=lambda d: {"x": (d["in_features"],)},
        flop=lambda d: 2 * d["in_features"] * d["out_features"],
        real={"in_features": in_features, "out_features": out_features},
        small={"in_features": small[0], "out_features": small[1]},
    )


def _encoder_flop(d: dict) -> int:
    tokens = d["tokens"]
    layer = attention_flop(d["d_model"], tokens, tokens) + feedforward_flop(
        d["d_model"], d["dim_feedforward"], tokens
    )
    return d.get("num_layers", 1) * layer


def _speech_flop(d: dict) -> int:
    hidden = d["hidden"]
    return 2 * d["length"] * hidden * (5 * d["in_channels"] + 5 * hidden + hidden + d["out_features"])


def _translation_flop(d: dict) -> int:
    width, source, target = d["d_model"], d["source_tokens"], d["target_tokens"]
    attention = sum(
        attention_flop(width, *pair) for pair in ((source, source), (target, target), (target, source))
    )
    feedforward = feedforward_flop(width, d["dim_feedforward"], source + target)
    return d["num_layers"] * (attention + feedforward) + 2 * target * width * d["vocabulary"]


def _layer(d: dict) -> nn.Module:
    return nn.TransformerEncoderLayer(d["d_model"], d["nhead"], d["dim_feedforward"], batch_first=True)


MODELS: dict[str, StudyModel] = {
    "linear": _linear(256, 128, (19, 13)),
    "linear-512": _linear(512, 256, (33, 16)),
    "linear-1024": _linear(1024, 512, (64, 33)),
    "linear-2048": _linear(2048, 1024, (48, 31)),
    "linear-4096": _linear(4096, 2048, (70, 35)),
    "mlp": StudyModel(
        build=lambda d: perceptron(**d),
        inputs=lambda d: {"x": (d["in_features"],)},
        flop=lambda d: 2 * d["hidden"] * (d["in_features"] + d["hidden"] + d["out_features"]),
        real={"in_features": 512, "hidden": 1024, "out_features": 512},
        small={"in_features": 21, "hidden": 35, "out_features": 17},
    ),
    "conv1d": StudyModel(
        build=lambda d: convolutions(d["channels"]),
        inputs=lambda d: {"x": (d["channels"][0], d["length"])},
        flop=lambda d: sum(6 * c * e * d["length"] for c, e in pairwise(d["channels"])),
        real={"channels": [80, 128, 128, 128], "length": 100},
        small={"channels": [5, 9, 9, 9], "length": 11},
    ),
    "tlayer": StudyModel(
        build=_layer,
        inputs=lambda d: {"x": (d["tokens"], d["d_model"])},
        flop=_encoder_flop,
        real={"d_model": 256, "nhead": 4, "dim_feedforward": 1024, "tokens": 32},
        small={"d_model": 20, "nhead": 4, "dim_feedforward": 37, "tokens": 7},
    ),
    "t6": StudyModel(
        build=lambda d: encoder(d["d_model"], d["nhead"], d["dim_feedforward"], d["num_layers"]),
        inputs=lambda d: {"x": (d["tokens"], d["d_model"])},
        flop=_encoder_flop,
        real={"d_model": 512, "nhead": 8, "dim_feedforward": 2048, "num_layers": 6, "tokens": 32},
        small={"d_model": 24, "nhead": 8, "dim_feedforward": 40, "num_layers": 6, "tokens": 5},
    ),
    "mha": StudyModel(
        build=lambda d: SelfAttention(d["embed_dim"], d["num_heads"], batch_first=True),
        inputs=lambda d: {"x": (d["tokens"], d["embed_dim"])},
        flop=lambda d: attention_flop(d["embed_dim"], d["tokens"], d["tokens"]),
        real={"embed_dim": 256, "num_heads": 4, "tokens": 32},
        small={"embed_dim": 28, "num_heads": 4, "tokens": 9},
    ),
    "speech": StudyModel(
        build=lambda d: Speech(d["in_channels"], d["hidden"], d["out_features"]),
        inputs=lambda d: {"x": (d["in_channels"], d["length"])},
        flop=_speech_flop,
        real={"in_channels": 80, "hidden": 256, "out_features": 80, "length": 64},
        small={"in_channels": 7, "hidden": 18, "out_features": 7, "length": 13},
    ),
    "translation": StudyModel(
        build=lambda d: Translation(
            d["d_model"], d["nhead"], d["dim_feedforward"], d["num_layers"], d["vocabulary"]
        ),
        inputs=lambda d: {
            "source": (d["source_tokens"], d["d_model"]),
            "target": (d["target_tokens"], d["d_model"]),
        },
        flop=_translation_flop,
        real={
            "d_model": 256,
            "nhead": 4,
            "dim_feedforward": 1024,
            "num_layers": 2,
            "vocabulary": 1000,
            "source_tokens": 32,
            "target_tokens": 32,
        },
        small={
            "d_model": 20,
            "nhead": 4,
            "dim_feedforward": 28,
            "num_layers": 2,
            "vocabulary": 51,
            "source_tokens": 9,
            "target_tokens": 6,
        },
    ),
}
"""Every model of the study by its short name."""
