"""The layers of a network, counted from the head down, and an optimizer's parameter groups by layer."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from trial.models.heads import last_layers

if TYPE_CHECKING:
    from torch import nn

STAGES = 5  # of a network for which timm defines none


def param_groups(network: "nn.Module", layer_decay: float, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer; a group's learning rate is to be multiplied by its `lr_scale`.

    With `layer_decay` 1 all parameters are one group, and the optimizer's weight decay applies to all of
    them. Below 1 the groups are those of timm's `param_groups_layer_decay` (Clark et al. 2020,
    arXiv:2003.10555): `lr_scale` is `layer_decay` to the power of the number of layers above, 1 in the head.
    As in timm, `weight_decay` then does not apply to biases, to normalisation layers (all tensors of one
    dimension), and to what the network itself excludes (`no_weight_decay`: position embeddings, for
    instance).
    """
    if layer_decay == 1:
        return [{"params": list(network.parameters()), "lr_scale": 1.0}]
    from timm.optim import param_groups_layer_decay

    above = depths(network)
    # timm asks a network for its layers; joint networks, and some of timm's own, can't say.
    layers: Any = SimpleNamespace(
        named_parameters=network.named_parameters, group_matcher=lambda coarse: lambda name: -above[name]
    )
    return param_groups_layer_decay(
        layers, weight_decay, no_weight_decay_list=_without_weight_decay(network), layer_decay=layer_decay
    )


def _without_weight_decay(network: Any) -> set[str]:
    """Names of the parameters that the network, or each member of a joint one, excludes from weight decay."""
    from trial.models.joint import Joint

    if isinstance(network, Joint):
        return {
            f"members.{number}.{name}"
            for number, member in enumerate(network.members)
            for name in _without_weight_decay(member)
        }
    return set(network.no_weight_decay()) if hasattr(network, "no_weight_decay") else set()


def depths(network: "nn.Module", coarse: bool = False) -> dict[str, int]:
    """{parameter's name: number of layers (`coarse`: stages) above it}, 0 in the head.

    A joint network's head is its last layer and those of its members.
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
    """{parameter's name: its layer or stage}, counted as timm does for this network."""
    from timm.models import group_parameters
    from timm.optim import auto_group_layers

    try:
        matcher = network.group_matcher(coarse=coarse)
    except (AttributeError, AssertionError):  # a few families have none: by twelves of tensors, or evenly
        return auto_group_layers(network, num_groups=STAGES if coarse else None)
    return group_parameters(network, matcher, reverse=True)
