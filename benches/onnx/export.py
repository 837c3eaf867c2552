"""Exports architectures with random weights as ONNX, with samples and what PyTorch computes for them.

For each architecture: NAME.onnx (and NAME.onnx.data), NAME.npz with inputs for three samples, and NAME.expected.npz.
"""

import argparse
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np
import torch

from models import ARCHITECTURES, Architecture

SAMPLES = 3


def settle(model: torch.nn.Module) -> None:
    """Gives batch norms statistics, and heads weights, as training would: values neither vanish nor explode."""
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None
        # Some heads begin at zero, and all that they answer is zero.
        if isinstance(module, torch.nn.Linear) and not module.weight.any():
            torch.nn.init.normal_(module.weight, std=0.02)


def export(architecture: Architecture, folder: Path) -> None:
    """Writes one architecture."""
    torch.manual_seed(0)
    model = architecture.make()
    settle(model)
    with torch.no_grad():
        model.train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.eval()
        if any(isinstance(m, torch.nn.modules.batchnorm._BatchNorm) for m in model.modules()):
            model(*architecture.inputs(8).values())
    model.eval()
    inputs = architecture.inputs(SAMPLES)
    with torch.no_grad():
        expected = model(*inputs.values())
    path = folder / f"{architecture.name}.onnx"
    arguments = dict(input_names=list(inputs), output_names=architecture.outputs)
    if architecture.legacy:
        axes = {name: {0: "batch"} for name in [*inputs, *architecture.outputs]}
        torch.onnx.export(
            model, tuple(inputs.values()), path, dynamo=False, dynamic_axes=axes, opset_version=17, **arguments
        )
    else:
        batch = torch.export.Dim("batch", min=1, max=1024)
        shapes = tuple({0: batch} for _ in inputs)
        if isinstance(model, torch.nn.Module) and any(
            p.kind == p.VAR_POSITIONAL for p in __import__("inspect").signature(model.forward).parameters.values()
        ):
            shapes = (shapes,)
        torch.onnx.export(model, tuple(inputs.values()), path, dynamo=True, dynamic_shapes=shapes, **arguments)
    np.savez(folder / f"{architecture.name}.npz", **{name: value.numpy() for name, value in inputs.items()})
    np.savez(folder / f"{architecture.name}.expected.npz", **{architecture.outputs[0]: expected.numpy()})
    print(f"{architecture.name}: {path.stat().st_size >> 10} KiB", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="architectures; all without")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    failed = []
    for architecture in ARCHITECTURES:
        if options.names and architecture.name not in options.names:
            continue
        try:
            export(architecture, options.folder)
        except Exception:
            traceback.print_exc()
            failed.append(architecture.name)
    if failed:
        sys.exit(f"not exported: {', '.join(failed)}")
