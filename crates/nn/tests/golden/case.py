"""What a golden case is, and how it becomes a file."""

import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

Tensors = dict[str, Tensor]

EXTREMES = [-1e30, -88.8, -1.5, -1e-40, -0.0, 0.0, 1e-45, 1e-40, 0.75, 9.0, 88.8, 1e30]
"""Values on which implementations differ; larger ones, infinity and NaN are added where a case can hold them."""


@dataclass
class Case:
    """One construction, one call and its result."""

    name: str
    kind: str
    args: dict | list
    inputs: Tensors
    outputs: Tensors
    forward: dict = field(default_factory=dict)
    state: Tensors = field(default_factory=dict)

    def save(self, folder: Path) -> Path:
        """Writes `<folder>/<name>.safetensors`."""
        groups = {"state": self.state, "input": self.inputs, "output": self.outputs}
        tensors = {
            f"{group}.{name}": tensor.detach().contiguous().clone()
            for group, members in groups.items()
            for name, tensor in members.items()
        }
        about = {"kind": self.kind, "args": self.args, "forward": self.forward, "torch": torch.__version__}
        path = folder / f"{self.name}.safetensors"
        save_file(tensors, path, metadata={"case": json.dumps(about)})
        return path


def generator(name: str) -> torch.Generator:
    """A source of randomness of the case's own, so that adding a case changes no other."""
    return torch.Generator().manual_seed(zlib.crc32(name.encode()))


def normal(name: str, *shape: int, scale: float = 1.0) -> Tensor:
    """Gaussian values that depend on `name` and the shape alone."""
    return scale * torch.randn(shape, generator=generator(name))


def prepared(name: str, build) -> nn.Module:
    """The module in evaluation mode with its parameters drawn from `name`.

    PyTorch starts norms at one and many biases at zero; here both are moved away from it, or a layer that
    forgot them would pass. The other parameters keep PyTorch's own initial scale.
    """
    torch.manual_seed(zlib.crc32(name.encode()))
    module = build().eval()
    with torch.no_grad():
        for tensor in module.parameters():
            if tensor.dim() == 1 or bool((tensor == tensor.flatten()[0]).all()):
                tensor.add_(0.3 * torch.randn_like(tensor))
        for key, tensor in module.named_buffers():
            if key.endswith("running_mean"):
                tensor.normal_()
            elif key.endswith("running_var"):
                tensor.uniform_(0.25, 4.0)
    return module


def module_case(
    name: str, kind: str, args: dict | list, build, inputs: Tensors, forward: dict | None = None
) -> Case:
    """A case of a module called with its inputs by position."""
    module = prepared(name, build)
    with torch.no_grad():
        output = module(*inputs.values())
    return Case(name, kind, args, inputs, {"output": output}, forward or {}, module.state_dict())


def layer_case(name: str, args: dict, x: Tensor, kind: str | None = None) -> Case:
    """A case of the `torch.nn` class that `kind` names, on one input."""
    kind = kind or name.split("_")[0]
    return module_case(name, kind, args, lambda: getattr(nn, kind)(**args), {"input": x})
