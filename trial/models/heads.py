"""What a network ends in, by name: its last layer's outputs, what is dropped before them, and how they become
18 logits.

Logits are (B, 18) whatever the head, so every loss and every mixing works with each.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from dataset.labels import AGE_BANDS, GENDERS, MASKS, N_CLASSES
from trial.choice import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn

Dropout = Annotated[float, (0, 0.95)]
PARTS = (len(MASKS), len(GENDERS), len(AGE_BANDS))

# Gains of `initialise`: the standard deviation of a layer's outputs if its inputs have a root mean square
# of 1; pooled features of timm's networks have .05 to 1 in training. LAST is torch's own for linear layers,
# as ResNets have it: the first loss is near that of knowing nothing, ln 18. With .1 a ResNet without ImageNet
# weights learned more slowly (docs/figures.md). HIDDEN is that of layers before a ReLU (He et al. 2015,
# arXiv:1502.01852).
LAST, HIDDEN = 3**-0.5, 2**0.5


class Head(NamedTuple):
    """`outputs` of the last layer; `dropout`: the chance that one of its inputs is dropped in training;
    `to_logits`: (B, outputs) -> (B, 18), None where they are the logits."""

    outputs: int
    dropout: float = 0.0
    to_logits: "Callable[[Tensor], Tensor] | None" = None


def classes(*, dropout: Dropout = 0.0) -> Head:
    """A logit for each of the 18 classes."""
    return Head(N_CLASSES, dropout)


def three(*, dropout: Dropout = 0.0) -> Head:
    """Logits for mask (3), gender (2) and age (3) apart. A class's probability is the product of its three,
    so cross-entropy is the sum of the three cross-entropies, with shares of classes as targets too."""
    return Head(sum(PARTS), dropout, joint_logits)


def joint_logits(parts: "Tensor") -> "Tensor":
    """(B, 3 + 2 + 3) -> (B, 18): sums of log-probabilities, in the order of `dataset.labels.encode`."""
    import torch

    precise = torch.promote_types(parts.dtype, torch.float32)  # sums of halves would round what is learned
    mask, gender, age = (part.log_softmax(1, dtype=precise) for part in parts.split(PARTS, dim=1))
    return (mask[:, :, None, None] + gender[:, None, :, None] + age[:, None, None, :]).flatten(1)


def attach(head: Head, network: "nn.Module") -> None:
    """Have `network`, whose last layer has `head.outputs` already, drop and give logits as `head` says.

    By hooks: so the names of its tensors stay its own. timm's `drop_rate` drops elsewhere, too (between the
    last layers of a VGG), and other libraries' networks don't know it.
    """
    if head.dropout:
        for layer in last_layers(network):
            layer.register_forward_pre_hook(_dropping(head.dropout))
    if head.to_logits:
        to_logits = head.to_logits
        network.register_forward_hook(lambda network, inputs, outputs: to_logits(outputs))


def initialise(layers: "list[nn.Module]", gain: float) -> None:
    """Draw new weights for `layers` (linear or convolutional), normal with a standard deviation of
    gain / sqrt(inputs); bias 0. Deterministic given torch's seed.

    timm leaves them as its networks define them: EfficientNets and MobileNets with 1 / sqrt(3 outputs), which
    suits 1,000 classes; with 18 their first loss is 3.5 to 9, not ln 18 = 2.89.
    """
    from torch.nn.init import normal_, zeros_

    for layer in layers:
        weight: Any = layer.weight
        normal_(weight, std=gain / weight[0].numel() ** 0.5)
        if layer.bias is not None:
            zeros_(layer.bias)  # type: ignore[arg-type]


def last_layers(network: "nn.Module") -> "list[nn.Module]":
    """The layers that a network of `trial.models.factory` begins anew, whatever its weights: mostly one."""
    own: Any = network.pretrained_cfg
    names = own["classifier"]
    return [network.get_submodule(name) for name in ([names] if isinstance(names, str) else names)]


def _dropping(share: float) -> Callable[..., Any]:
    import torch.nn.functional as F

    return lambda layer, inputs: (F.dropout(inputs[0], share, layer.training), *inputs[1:])


HEADS: Registry = {"classes": classes, "three": three}
