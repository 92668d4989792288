"""The name of a network, or several, -> a network with a logit for each class, and its preprocessing."""

from functools import cache
from typing import TYPE_CHECKING, Any

from common.image_size import Size
from trial.choice import Choice
from trial.models.heads import HIDDEN, Head, attach, input_shape, last_layer
from trial.models.repositories import repository_of
from trial.models.weights import architecture_of, full_name, load, network_of, snapshot, with_sources
from trial.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import nn

    from trial.models.pretrained import State

# Last layers of networks for which timm names only one of two.
CLASSIFIERS: dict[str, tuple[str, ...]] = dict.fromkeys(
    ("levit_384_s8", "levit_conv_384_s8"), ("head.linear", "head_dist.linear")
)


def build(
    model: str,
    weights: str,
    head: Head,
    n_classes: int,
    image_size: Size,
    crop: Choice = Choice("none"),
    join: str = "logits",
) -> "tuple[nn.Module, Preprocessing]":
    """The network that `model` names (several names joined by +: one network of them all, by `join` as in
    trial/models/joint.py), ending in `head`, with the pretrained weights `weights` (as in
    trial/models/weights.py), and the preprocessing of its photos.

    Logits are (B, n_classes). Mean, standard deviation and interpolation come from timm's pretrained_cfg, of
    the first of several networks. UsageError if the weights don't fit the network.
    """
    named = with_sources(model, weights)
    outputs = head.width if len(named) == 1 else n_classes
    members = [_member(name, source, image_size, outputs) for name, source in named]
    own = members[0].pretrained_cfg
    network: nn.Module
    if len(members) == 1:
        network = members[0]
    elif join == "features":
        from trial.models.joint import of_features

        network = of_features(members, head.width)
    else:
        from trial.models.joint import of_logits

        for member in members:  # which a ReLU follows, and the joint network's last layer
            attach(Head(n_classes, head.dropout), member, HIDDEN)
        network, head = of_logits(members, n_classes, head.width), head._replace(dropout=0.0)
    attach(head, network)
    mean, std = tuple(own["mean"]), tuple(own["std"])
    return network, Preprocessing(image_size, mean, std, own["interpolation"], crop)


def width_of(model: str, image_size: Size) -> int:
    """The number of features that a photo has for the last layer of the networks that `model` names, without
    their weights. UsageError if one of them ends in several layers."""
    import torch

    with torch.device("meta"):
        layers = [last_layer(create(name, image_size, 1)) for name in model.split("+")]
    return sum(input_shape(layer).numel() for layer in layers)


@cache
def bytes_of(name: str) -> int:
    """The bytes of a network's parameters and buffers in float32, without making them."""
    import torch

    with torch.device("meta"):
        state = create(name, (224, 224), 1).state_dict()
    return sum(tensor.numel() * tensor.element_size() for tensor in state.values())


def _member(name: str, weights: str, image_size: Size, outputs: int) -> Any:
    """One network with a last layer of `outputs`. UsageError if the weights don't fit it."""
    state = load(name, weights)
    if state is None:
        return create(name, image_size, outputs)
    from trial.models.pretrained import with_weights

    source = f"weights={weights}"
    return with_weights(lambda given: create(name, image_size, outputs, given), state, source, name)


def create(name: str, size: Size, outputs: int, state: "State | None" = None) -> Any:
    """A network of timm's, of trial/models/other_networks.py or of a repository, with the tensors of `state`
    that timm takes."""
    import timm

    import trial.models.other_networks  # noqa: F401 - registers them with timm

    architecture, network = architecture_of(name), network_of(name)
    given: dict[str, Any] = {}
    if architecture in CLASSIFIERS:
        given["classifier"] = CLASSIFIERS[architecture]
    if state is not None:
        given["state_dict"] = state
    source = full_name(name)
    if repository_of(name):
        source = f"local-dir:{snapshot(name)}"
        given |= {"source": None, "file": None}  # or timm would load the folder's weights instead of `state`
    return timm.create_model(
        source,
        pretrained=state is not None,
        pretrained_cfg_overlay=given or None,
        num_classes=outputs,
        img_size=size if network.fixed and network.multiple else None,  # timm drops what is None
    )
