"""Heads: the outputs of a network's last layer, the dropout and the hidden layer before it, and how outputs
become logits.

Logits are (B, classes) for every head, so each works with every loss and every mixing.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from common.errors import UsageError
from dataset.task import Task
from trial.choice import Registry

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Dropout = Annotated[float, (0, 0.95)]
Subclasses = Annotated[int, (1, 32)]

# Gains of `initialise`: the standard deviation of a layer's outputs for inputs with a root mean square of 1;
# pooled features of timm's networks have .05 to 1 in training. LAST is torch's default for linear layers, as
# in ResNets: the first loss is near that of a uniform guess, ln 18 for 18. With .1 a ResNet without ImageNet
# weights learned more slowly (docs/figures.md). HIDDEN is for layers before a ReLU (He et al. 2015,
# arXiv:1502.01852).
LAST, HIDDEN = 3**-0.5, 2**0.5


class Head(NamedTuple):
    """`outputs`: of the last layer. `dropout`: the probability that one of its inputs is set to 0 in
    training. `to_logits`: (B, outputs) -> (B, classes); None if the outputs are the logits. `hidden`: units
    of a hidden layer before the last one; 0: none. `subclasses`: of each factor, how many outputs each of its
    values has; () if the outputs are not of factors."""

    outputs: int
    dropout: float = 0.0
    to_logits: "Callable[[Tensor], Tensor] | None" = None
    hidden: int = 0
    subclasses: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        """The outputs that a network is built with: its own last layer becomes the hidden one."""
        return self.hidden or self.outputs


def classes(task: Task, *, dropout: Dropout = 0.0) -> Head:
    """One logit for each class.

    `dropout`: the probability that an input of the last layer is set to 0 in training.
    """
    return Head(task.n_classes, dropout)


def factors(task: Task, *, dropout: Dropout = 0.0, subclasses: Subclasses = 1) -> Head:
    """Separate logits for each factor of the task, combined into logits of the classes.

    A class's probability is the product of those of its values, so cross-entropy is the sum of one for each
    factor, for probabilities of classes as targets too. `dropout`: the probability that an input of the last
    layer is set to 0 in training. `subclasses`: outputs for each band of a factor that was a number; a
    band's probability is their sum (for init=lda: mixture discriminant analysis, Hastie and Tibshirani 1996).
    """
    of_each = tuple(subclasses if factor in task.bands else 1 for factor in task.factors)
    outputs = sum(size * each for size, each in zip(task.sizes, of_each, strict=True))
    to_logits = partial(joint_logits, sizes=task.sizes, subclasses=of_each)
    return Head(outputs, dropout, to_logits, subclasses=of_each)


def auto(task: Task, *, dropout: Dropout = 0.0, subclasses: Subclasses = 1) -> Head:
    """`factors` if the task has factors, else `classes`.

    `dropout`, `subclasses`: as there.
    """
    if not task.factors:
        return classes(task, dropout=dropout)
    return factors(task, dropout=dropout, subclasses=subclasses)


def mlp(task: Task, *, hidden: Annotated[int, (1, 16384)] = 256, dropout: Dropout = 0.0) -> Head:
    """A hidden layer with ReLU, then `auto`; for features=cached above all.

    `hidden`: its units. `dropout`: the probability that one of them is set to 0 in training.
    """
    return auto(task, dropout=dropout)._replace(hidden=hidden)


def joint_logits(outputs: "Tensor", sizes: Sequence[int], subclasses: Sequence[int] = ()) -> "Tensor":
    """(B, outputs) -> (B, product of sizes): sums of log-probabilities, the last factor changing fastest, as
    in `Task.classes`. `subclasses`: outputs of each value, by factor; by default one."""
    import torch

    precise = torch.promote_types(outputs.dtype, torch.float32)  # half precision would round what is learned
    of_each = subclasses or (1,) * len(sizes)
    parts = outputs.split([size * each for size, each in zip(sizes, of_each, strict=True)], dim=1)
    first, *others = (
        part.log_softmax(1, dtype=precise).unflatten(1, (-1, each)).logsumexp(2)
        if each > 1
        else part.log_softmax(1, dtype=precise)
        for part, each in zip(parts, of_each, strict=True)
    )
    for other in others:
        first = (first[:, :, None] + other[:, None, :]).flatten(1)
    return first


def attach(head: Head, network: "nn.Module", gain: float = LAST) -> None:
    """Make `network`, which was built with `head.width` outputs, end in `head`, with new weights. `gain`: of
    the last layer (`initialise`).

    A hidden layer and the last one are one module in the place of the network's own last layer. Dropout and
    logits are hooks, which leave the names of its tensors unchanged. timm's `drop_rate` also drops elsewhere
    (between the last layers of a VGG), and other libraries' networks don't have it.
    """
    for name in last_names(network):
        layer: Any = network.get_submodule(name)
        if head.hidden:
            initialise(layer, HIDDEN)
            hidden, layer = layer, _after(layer, head.outputs)
            network.set_submodule(name, _with_hidden(hidden, layer))
        initialise(layer, gain)
        if head.dropout:
            layer.register_forward_pre_hook(_dropout(head.dropout))
    if head.to_logits:
        to_logits = head.to_logits
        network.register_forward_hook(lambda network, inputs, outputs: to_logits(outputs))


def initialise(layer: Any, gain: float) -> None:
    """Draw the parameters of `layer` (linear or convolutional): normal with standard deviation
    gain / sqrt(inputs), bias 0. Deterministic given torch's seed.

    timm's networks bring their own initialisation. That of EfficientNets and MobileNets, 1 / sqrt(3 outputs),
    suits 1,000 classes; with 18 their first loss is 3.5 to 9, not ln 18 = 2.89.
    """
    from torch.nn.init import normal_, zeros_

    normal_(layer.weight, std=gain / layer.weight[0].numel() ** 0.5)
    if layer.bias is not None:
        zeros_(layer.bias)


def last_names(network: "nn.Module") -> list[str]:
    """The names of the layers of a network of `trial.models.factory` that are never pretrained: usually
    one."""
    own: Any = network.pretrained_cfg
    names = own["classifier"]
    return [names] if isinstance(names, str) else list(names)


def last_layers(network: "nn.Module") -> "list[nn.Module]":
    """The layers of `last_names`."""
    return [network.get_submodule(name) for name in last_names(network)]


def last_layer(network: "nn.Module") -> "nn.Module":
    """What turns features into outputs: a linear or convolutional layer, or a hidden layer and one.
    UsageError if there are several."""
    layers = last_layers(network)
    if len(layers) > 1:
        raise UsageError(
            f"this network ends in {len(layers)} layers, not in one: features=cached, init=lda and "
            "join=features don't work with it; choose another model"
        )
    return layers[0]


def input_shape(layer: "nn.Module") -> "torch.Size":
    """The shape of a photo's features as a `last_layer` takes them: (D,), or (D, 1, 1) by a convolution."""
    return next(layer.parameters()).shape[1:]  # the weight, of the hidden layer if there is one


def _with_hidden(hidden: "nn.Module", outputs: "nn.Module") -> "nn.Module":
    """Both layers as one, with ReLU between them."""
    from torch import nn

    return nn.Sequential(OrderedDict(hidden=hidden, relu=nn.ReLU(), outputs=outputs))


def _after(layer: Any, outputs: int) -> Any:
    """A new layer of this many `outputs` over those of `layer`."""
    from torch import nn

    if isinstance(layer, nn.Conv2d):
        return nn.Conv2d(layer.out_channels, outputs, 1)
    return nn.Linear(layer.out_features, outputs)


def _dropout(p: float) -> Callable[..., Any]:
    import torch.nn.functional as F

    return lambda layer, inputs: (F.dropout(inputs[0], p, layer.training), *inputs[1:])


HEADS: Registry = {"classes": classes, "factors": factors, "auto": auto, "mlp": mlp}
