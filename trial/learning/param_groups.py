"""Which layers learn, from which epoch on, and how fast.

A FREEZES builder gives `freeze(network, epoch)`, to be called at each epoch (from 1) after
`network.train()`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from trial.choice import Registry
from trial.models.heads import last_layers

if TYPE_CHECKING:
    from torch import nn

Freeze = Callable[["nn.Module", int], None]
Epochs = Annotated[int, (1, 1000)]
STAGES = 5  # of a network for which timm knows none


def none() -> Freeze:
    """All of it learns from the start."""
    return lambda network, epoch: None


def backbone(*, epochs: Epochs = 1) -> Freeze:
    """Only the head learns in the first epochs."""
    return lambda network, epoch: learn(network, None if epoch > epochs else 0)


def gradual(*, every: Epochs = 1) -> Freeze:
    """The head first; one stage more, from the back, after each `every` epochs (Howard and Ruder 2018,
    arXiv:1801.06146). Stages are timm's: four and the stem of a ResNet, each block of a ViT."""
    return lambda network, epoch: learn(network, (epoch - 1) // every)


FREEZES: Registry = {"none": none, "backbone": backbone, "gradual": gradual}


def learn(network: "nn.Module", stages: int | None) -> None:
    """Have the head and the `stages` next to it learn (None: all), and nothing else. Batch normalisations
    that don't learn keep their running statistics, too; those that do are left as they are."""
    above = depths(network, coarse=True)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(stages is None or above[name] <= stages)
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if hasattr(module, "running_var") and own and not any(p.requires_grad for p in own):
            module.eval()


def groups(network: "nn.Module", layer_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimiser. A group's learning rate is to be multiplied by its `lr_scale`:
    `layer_decay` to the power of the layers above it, 1 at the head (Clark et al. 2020, arXiv:2003.10555)."""
    if layer_decay == 1:
        return [{"params": list(network.parameters()), "lr_scale": 1.0}]
    by_depth: dict[int, list[Any]] = {}
    above = depths(network)
    for name, parameter in network.named_parameters():
        by_depth.setdefault(above[name], []).append(parameter)
    return [{"params": by_depth[d], "lr_scale": layer_decay**d} for d in sorted(by_depth)]


def depths(network: "nn.Module", coarse: bool = False) -> dict[str, int]:
    """{a parameter's name: how many layers (`coarse`: stages) are above it}, 0 in the head.

    A joint network's head is its last layer and its members'.
    """
    from trial.models.joint import Joint

    if isinstance(network, Joint):
        members = {
            f"members.{number}.{name}": depth
            for number, member in enumerate(network.members)
            for name, depth in depths(member, coarse).items()
        }
        return members | {f"last.{name}": 0 for name, _ in network.last.named_parameters()}
    head = {id(p) for layer in last_layers(network) for p in layer.parameters()}
    from_below = _from_below(network, coarse)
    body = {name: from_below[name] for name, p in network.named_parameters() if id(p) not in head}
    from_above = {layer: number for number, layer in enumerate(sorted(set(body.values()), reverse=True), 1)}
    return {name: from_above[body[name]] if name in body else 0 for name in from_below}


def _from_below(network: Any, coarse: bool) -> dict[str, int]:
    """{a parameter's name: its layer or stage}, counted as timm does for this network."""
    from timm.models import group_parameters
    from timm.optim import auto_group_layers

    try:
        matcher = network.group_matcher(coarse=coarse)
    except (AttributeError, AssertionError):  # a few families have none: by twelves of tensors, or evenly
        return auto_group_layers(network, num_groups=STAGES if coarse else None)
    return group_parameters(network, matcher, reverse=True)
