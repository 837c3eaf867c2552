"""Writes the golden values: what PyTorch answers for each layer, operator and model. README.md has the format."""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import torch

import attention
import layers
import operators
from case import Case, module_case, normal
from models import MODELS

HERE = Path(__file__).resolve().parent
LIMIT_BYTES = 4_000_000


def study(size: str, batch: int) -> Iterator[Case]:
    """The study's models with the dimensions named `size`."""
    for name, model in MODELS.items():
        dims = getattr(model, size)
        inputs = {key: normal(f"{name}.{key}", batch, *shape) for key, shape in model.inputs(dims).items()}
        yield module_case(
            f"model.{name}", f"model.{name}", dims, lambda model=model, dims=dims: model.build(dims), inputs
        )


def main() -> None:
    """Writes the committed set, or with `--large` the models at their real size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--large", metavar="DIR", type=Path, help="write the real-size models into DIR instead"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    # The fused encoder path treats masked rows in its own way; the plain one is the definition.
    torch.backends.mha.set_fastpath_enabled(False)

    if options.large:
        folder, cases = options.large, study("real", batch=3)
        folder.mkdir(parents=True, exist_ok=True)
    else:
        folder = HERE / "data"
        cases = itertools.chain(layers.cases(), attention.cases(), operators.cases(), study("small", batch=3))
        folder.mkdir(exist_ok=True)
        for stale in folder.glob("*.safetensors"):
            stale.unlink()

    written: set[Path] = set()
    for case in cases:
        path = case.save(folder)
        if path in written:
            raise SystemExit(f"two cases are named {case.name}")
        written.add(path)
    total = sum(path.stat().st_size for path in written)
    print(f"{len(written)} cases, {total / 1e6:.2f} MB in {folder}")
    if not options.large and total > LIMIT_BYTES:
        raise SystemExit(f"the committed cases must stay under {LIMIT_BYTES / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
