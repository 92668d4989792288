"""A network in two: the backbone, which makes features of photos, and its last layer, which decides."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trial.models.heads import input_shape, last_layer, last_layers

ToLogits = Callable[[Tensor], Tensor]


class Backbone(nn.Module):
    """A network that gives the inputs of its last layers, (B, D), instead of logits."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, height, width) -> (B, D)."""
        seen: list[Tensor] = []
        hooks = [
            layer.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].flatten(1)))
            for layer in last_layers(self.network)
        ]
        self.network(images)
        for hook in hooks:
            hook.remove()
        return torch.cat(seen, 1)


class Probe(nn.Module):
    """The last layer of `network` alone, with its dropout: features (B, D) -> logits (B, classes).

    `to_logits`: as in `trial.models.heads.Head`.
    """

    def __init__(self, network: nn.Module, to_logits: ToLogits | None):
        super().__init__()
        self.layer = last_layer(network)
        self.to_logits = to_logits

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) -> (B, classes)."""
        outputs = self.layer(features.view(len(features), *input_shape(self.layer))).flatten(1)
        return self.to_logits(outputs) if self.to_logits else outputs


def whole(network: nn.Module, probe: Any) -> Mapping[str, Tensor]:
    """The state dict of `network` with the last layer of `probe`."""
    layer = last_layer(network)
    name = next(name for name, module in network.named_modules() if module is layer)
    own = {f"{name}.{key}": tensor for key, tensor in probe.layer.state_dict().items()}
    return {**network.state_dict(), **own}
