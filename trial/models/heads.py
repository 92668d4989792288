"""Heads: the outputs of a network's last layer, the dropout before it, and how outputs become logits.

Logits are (B, classes) for every head, so each works with every loss and every mixing.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from common.errors import UsageError
from dataset.task import Task
from trial.choice import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

Dropout = Annotated[float, (0, 0.95)]

# Gains of `initialise`: the standard deviation of a layer's outputs for inputs with a root mean square of 1;
# pooled features of timm's networks have .05 to 1 in training. LAST is torch's default for linear layers, as
# in ResNets: the first loss is near that of a uniform guess, ln 18 for 18. With .1 a ResNet without ImageNet
# weights learned more slowly (docs/figures.md). HIDDEN is for layers before a ReLU (He et al. 2015,
# arXiv:1502.01852).
LAST, HIDDEN = 3**-0.5, 2**0.5


class Head(NamedTuple):
    """`outputs`: of the last layer. `dropout`: the probability that one of its inputs is set to 0 in
    training. `to_logits`: (B, outputs) -> (B, classes); None if the outputs are the logits."""

    outputs: int
    dropout: float = 0.0
    to_logits: "Callable[[Tensor], Tensor] | None" = None


def classes(task: Task, *, dropout: Dropout = 0.0) -> Head:
    """One logit for each class.

    `dropout`: the probability that an input of the last layer is set to 0 in training.
    """
    return Head(task.n_classes, dropout)


def factors(task: Task, *, dropout: Dropout = 0.0) -> Head:
    """Separate logits for each factor of the task, combined into logits of the classes.

    A class's probability is the product of those of its values, so cross-entropy is the sum of one for each
    factor, for probabilities of classes as targets too. `dropout`: the probability that an input of the last
    layer is set to 0 in training.
    """
    return Head(sum(task.sizes), dropout, partial(joint_logits, sizes=task.sizes))


def auto(task: Task, *, dropout: Dropout = 0.0) -> Head:
    """`factors` if the task has factors, else `classes`.

    `dropout`: as there.
    """
    return factors(task, dropout=dropout) if task.factors else classes(task, dropout=dropout)


def joint_logits(parts: "Tensor", sizes: Sequence[int]) -> "Tensor":
    """(B, sum of sizes) -> (B, product of sizes): sums of log-probabilities, the last factor changing
    fastest, as in `Task.classes`."""
    import torch

    precise = torch.promote_types(parts.dtype, torch.float32)  # half precision would round what is learned
    first, *others = (part.log_softmax(1, dtype=precise) for part in parts.split(tuple(sizes), dim=1))
    for other in others:
        first = (first[:, :, None] + other[:, None, :]).flatten(1)
    return first


def attach(head: Head, network: "nn.Module") -> None:
    """Add the dropout and the logits of `head` to `network`, whose last layer has `head.outputs` already.

    Hooks leave the names of its tensors unchanged. timm's `drop_rate` also drops elsewhere (between the last
    layers of a VGG), and other libraries' networks don't have it.
    """
    if head.dropout:
        for layer in last_layers(network):
            layer.register_forward_pre_hook(_dropout(head.dropout))
    if head.to_logits:
        to_logits = head.to_logits
        network.register_forward_hook(lambda network, inputs, outputs: to_logits(outputs))


def initialise(layers: "list[nn.Module]", gain: float) -> None:
    """Draw the parameters of `layers` (linear or convolutional): normal with standard deviation
    gain / sqrt(inputs), bias 0. Deterministic given torch's seed.

    timm's networks bring their own initialisation. That of EfficientNets and MobileNets, 1 / sqrt(3 outputs),
    suits 1,000 classes; with 18 their first loss is 3.5 to 9, not ln 18 = 2.89.
    """
    from torch.nn.init import normal_, zeros_

    for layer in layers:
        weight: Any = layer.weight
        normal_(weight, std=gain / weight[0].numel() ** 0.5)
        if layer.bias is not None:
            zeros_(layer.bias)  # type: ignore[arg-type]


def last_names(network: "nn.Module") -> list[str]:
    """The names of the layers of a network of `trial.models.factory` that are never pretrained: usually
    one."""
    own: Any = network.pretrained_cfg
    names = own["classifier"]
    return [names] if isinstance(names, str) else list(names)


def last_layers(network: "nn.Module") -> "list[nn.Module]":
    """The layers of `last_names`."""
    return [network.get_submodule(name) for name in last_names(network)]


def last_layer(network: "nn.Module") -> Any:
    """The linear or convolutional layer that turns features into outputs. UsageError if there are several."""
    layers = last_layers(network)
    if len(layers) > 1:
        raise UsageError(
            f"this network ends in {len(layers)} layers, not in one: features=cached, init=lda and "
            "join=features don't work with it; choose another model"
        )
    return layers[0]


def _dropout(p: float) -> Callable[..., Any]:
    import torch.nn.functional as F

    return lambda layer, inputs: (F.dropout(inputs[0], p, layer.training), *inputs[1:])


HEADS: Registry = {"classes": classes, "factors": factors, "auto": auto}
