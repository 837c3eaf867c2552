"""Architectures at their real size with random weights: what users bring."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

# Audio frames of the speech encoder (Whisper's are 3000 for 30 s), and what the text models read.
TOKENS = 128


@dataclass(frozen=True)
class Architecture:
    """A model, inputs for one sample, and how it is exported."""

    name: str
    make: Callable[[], nn.Module]
    inputs: Callable[[int], dict[str, torch.Tensor]]
    outputs: list[str] = field(default_factory=lambda: ["y"])
    # The TorchScript-based exporter instead of the newer one.
    legacy: bool = False


class Outputs(nn.Module):
    """A model of transformers, returning a tensor."""

    def __init__(self, model: nn.Module, names: list[str], output: str) -> None:
        super().__init__()
        self.model, self.names, self.output = model, names, output

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return getattr(self.model(**dict(zip(self.names, inputs))), self.output)


class DecoderStep(nn.Module):
    """One step of a decoder: the logits of the next token, given the tokens before and what the encoder made."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor, encoded: torch.Tensor) -> torch.Tensor:
        hidden = self.model.decoder(input_ids=tokens, encoder_hidden_states=encoded, use_cache=False)
        return self.model.lm_head(hidden.last_hidden_state[:, -1])


class Vocoder(nn.Module):
    """HiFi-GAN's generator, V1 (Kong et al. 2020): transposed convolutions, and residual blocks of dilated ones."""

    def __init__(self, mels: int = 80, width: int = 512) -> None:
        super().__init__()
        self.first = nn.Conv1d(mels, width, 7, padding=3)
        self.ups, self.blocks = nn.ModuleList(), nn.ModuleList()
        for stride, kernel in ((8, 16), (8, 16), (2, 4), (2, 4)):
            self.ups.append(nn.ConvTranspose1d(width, width // 2, kernel, stride, (kernel - stride) // 2))
            width //= 2
            self.blocks.append(nn.ModuleList(ResidualBlock(width, kernel) for kernel in (3, 7, 11)))
        self.last = nn.Conv1d(width, 1, 7, padding=3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for up, blocks in zip(self.ups, self.blocks):
            x = up(nn.functional.leaky_relu(x, 0.1))
            x = sum(block(x) for block in blocks) / len(blocks)
        return torch.tanh(self.last(nn.functional.leaky_relu(x)))


class ResidualBlock(nn.Module):
    """Three pairs of convolutions, the first of each dilated."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        conv = lambda dilation: nn.Conv1d(width, width, kernel, dilation=dilation, padding=(kernel - 1) * dilation // 2)
        self.pairs = nn.ModuleList(nn.ModuleList((conv(d), conv(1))) for d in (1, 3, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for dilated, plain in self.pairs:
            y = dilated(nn.functional.leaky_relu(x, 0.1))
            x = x + plain(nn.functional.leaky_relu(y, 0.1))
        return x


class Tabular(nn.Module):
    """Numbers and categories of a table row."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(rows, 16) for rows in (1000, 200, 50, 12))
        self.norm = nn.BatchNorm1d(32)
        self.layers = nn.Sequential(
            nn.Linear(32 + 4 * 16, 512), nn.ReLU(), nn.BatchNorm1d(512), nn.Dropout(0.1),
            nn.Linear(512, 256), nn.ReLU(), nn.BatchNorm1d(256), nn.Linear(256, 1), nn.Sigmoid(),
        )

    def forward(self, numbers: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
        looked_up = [table(categories[:, i]) for i, table in enumerate(self.tables)]
        return self.layers(torch.cat([self.norm(numbers), *looked_up], 1))


class Tagger(nn.Module):
    """A bidirectional GRU over words, and a class for each."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(10_000, 128)
        self.gru = nn.GRU(128, 256, num_layers=2, batch_first=True, bidirectional=True)
        self.classes = nn.Linear(512, 17)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.classes(self.gru(self.words(tokens))[0]).log_softmax(-1)


def image(batch: int) -> dict[str, torch.Tensor]:
    """Images as ImageNet's models take them."""
    return {"image": torch.randn(batch, 3, 224, 224)}


def text(vocabulary: int, length: int = TOKENS) -> Callable[[int], dict[str, torch.Tensor]]:
    """Tokens, of which the last quarter is padding for every other sample."""

    def make(batch: int) -> dict[str, torch.Tensor]:
        mask = torch.ones(batch, length, dtype=torch.int64)
        mask[::2, -length // 4 :] = 0
        return {"input_ids": torch.randint(0, vocabulary, (batch, length)), "attention_mask": mask}

    return make


def vision(name: str) -> Callable[[], nn.Module]:
    """A model of torchvision."""

    def make() -> nn.Module:
        import torchvision

        return getattr(torchvision.models, name)(weights=None)

    return make


def bert() -> nn.Module:
    from transformers import BertConfig, BertModel

    model = BertModel(BertConfig(), add_pooling_layer=False)
    return Outputs(model, ["input_ids", "attention_mask"], "last_hidden_state")


def distilbert() -> nn.Module:
    from transformers import DistilBertConfig, DistilBertModel

    return Outputs(DistilBertModel(DistilBertConfig()), ["input_ids", "attention_mask"], "last_hidden_state")


def whisper() -> nn.Module:
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = WhisperConfig(d_model=512, encoder_layers=6, encoder_attention_heads=8, encoder_ffn_dim=2048)
    return Outputs(WhisperEncoder(config), ["input_features"], "last_hidden_state")


def t5():
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(d_model=512, d_ff=2048, num_layers=6, num_heads=8, vocab_size=32128)
    return T5ForConditionalGeneration(config)


def t5_decoder_inputs(batch: int) -> dict[str, torch.Tensor]:
    """Sixteen tokens before the next one."""
    return {"tokens": torch.randint(0, 32128, (batch, 16)), "encoded": torch.randn(batch, TOKENS, 512)}


def tabular_inputs(batch: int) -> dict[str, torch.Tensor]:
    """Numbers and categories that every table has."""
    return {"numbers": torch.randn(batch, 32), "categories": torch.randint(0, 12, (batch, 4))}


ARCHITECTURES = [
    Architecture("resnet50", vision("resnet50"), image),
    Architecture("mobilenet_v3_large", vision("mobilenet_v3_large"), image),
    Architecture("vit_b_16", vision("vit_b_16"), image),
    Architecture("efficientnet_b0", vision("efficientnet_b0"), image),
    Architecture("convnext_tiny", vision("convnext_tiny"), image),
    Architecture("bert_base", bert, text(30522)),
    Architecture("distilbert", distilbert, text(30522)),
    Architecture("whisper_base_encoder", whisper, lambda batch: {"features": torch.randn(batch, 80, 3000)}),
    Architecture(
        "t5_small_encoder",
        lambda: Outputs(t5().encoder, ["input_ids", "attention_mask"], "last_hidden_state"),
        text(32128),
        legacy=True,
    ),
    Architecture("t5_small_decoder", lambda: DecoderStep(t5()), t5_decoder_inputs, legacy=True),
    Architecture("hifigan_v1", Vocoder, lambda batch: {"mel": torch.randn(batch, 80, 64)}),
    Architecture("tabular", Tabular, tabular_inputs),
    Architecture("gru_tagger", Tagger, lambda batch: {"tokens": torch.randint(0, 10_000, (batch, 64))}),
    Architecture("resnet50_torchscript", vision("resnet50"), image, legacy=True),
    Architecture("bert_base_torchscript", bert, text(30522), legacy=True),
]
