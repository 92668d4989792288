"""Which layers learn in which epoch.

A FREEZES builder returns `freeze(network, epoch)`, to be called in each epoch (from 1) after
`network.train()`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from trial.choice import Registry
from trial.learning.param_groups import depths

if TYPE_CHECKING:
    from torch import nn

Freeze = Callable[["nn.Module", int], None]
Epochs = Annotated[int, (1, 1000)]


def none() -> Freeze:
    """All layers learn from the first epoch on."""
    return lambda network, epoch: None


def backbone(*, epochs: Epochs = 1) -> Freeze:
    """Only the head learns in the first `epochs` epochs."""
    return lambda network, epoch: set_trainable(network, None if epoch > epochs else 0)


def gradual(*, every: Epochs = 1) -> Freeze:
    """The head learns first; every `every` epochs one more stage is unfrozen, from the head down (Howard and
    Ruder 2018, arXiv:1801.06146). Stages are timm's: four and the stem of a ResNet, each block of a ViT."""
    return lambda network, epoch: set_trainable(network, (epoch - 1) // every)


def batch_norm() -> Freeze:
    """All layers learn, but batch normalisations keep the statistics that they came with, as in prediction.

    So a head that was fitted to the network's features (init=lda) still fits them while it trains.
    """

    def freeze(network: "nn.Module", epoch: int) -> None:
        for module in network.modules():
            if hasattr(module, "running_var"):
                module.eval()

    return freeze


FREEZES: Registry = {"none": none, "backbone": backbone, "gradual": gradual, "batch_norm": batch_norm}


def set_trainable(network: "nn.Module", stages: int | None) -> None:
    """Unfreeze the head and the `stages` next to it (None: all layers), and freeze the rest.

    A frozen batch normalisation keeps its running statistics; other modules are not changed.
    """
    above = depths(network, coarse=True)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(stages is None or above[name] <= stages)
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if hasattr(module, "running_var") and own and not any(p.requires_grad for p in own):
            module.eval()
