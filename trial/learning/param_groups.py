"""The layers of a network, counted from the head down, and an optimizer's parameter groups by layer."""

from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from trial.models.heads import last_layers

if TYPE_CHECKING:
    from torch import nn

STAGES = 5  # of a network for which timm defines none


def param_groups(
    network: "nn.Module", layer_decay: float, weight_decay: float, stem_decay: float = 1.0
) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer; a group's learning rate is to be multiplied by its `lr_scale`.

    With both decays 1 all parameters are one group, and the optimizer's weight decay applies to all of them.
    Else the groups are those of timm's `param_groups_layer_decay` (Clark et al. 2020, arXiv:2003.10555):
    `lr_scale` is `layer_decay` to the power of the number of layers above, 1 in the head. A `stem_decay`
    below 1 replaces `layer_decay` by the one that gives this `lr_scale` to the lowest layer (of each member
    of a joint network). As in timm, `weight_decay` then does not apply to biases, to normalisation layers
    (all tensors of one dimension), and to what the network itself excludes (`no_weight_decay`: position
    embeddings, for instance).
    """
    if layer_decay == stem_decay == 1:
        return [{"params": list(network.parameters()), "lr_scale": 1.0}]
    scales, excluded = _scales(network, layer_decay, stem_decay), _without_weight_decay(network)
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    for name, parameter in network.named_parameters():
        scale = scales.get(name, 1.0)  # a joint network's last layer is in no member
        decays = parameter.dim() > 1 and not any(fnmatch(name, pattern) for pattern in excluded)
        group = {"params": [], "lr_scale": scale, "weight_decay": weight_decay if decays else 0.0}
        groups.setdefault((scale, decays), group)["params"].append(parameter)
    return list(groups.values())


def _scales(network: "nn.Module", layer_decay: float, stem_decay: float) -> dict[str, float]:
    """{parameter's name: lr_scale} of the network, or of the members of a joint one."""
    scales: dict[str, float] = {}
    for prefix, member in _members(network):
        above = depths(member)
        decay = layer_decay if stem_decay == 1 else stem_decay ** (1 / max(above.values()))
        scales |= {prefix + name: decay**depth for name, depth in above.items()}
    return scales


def _without_weight_decay(network: "nn.Module") -> set[str]:
    """Names and patterns of the parameters that the network, or each member of a joint one, excludes from
    weight decay."""
    return {
        prefix + name
        for prefix, member in _members(network)
        if hasattr(member, "no_weight_decay")
        for name in member.no_weight_decay()
    }


def _members(network: "nn.Module") -> list[tuple[str, Any]]:
    """(Prefix of its parameters' names, network) of each member of a joint network, or of the one network."""
    from trial.models.joint import Joint

    if isinstance(network, Joint):
        return [(f"members.{number}.", member) for number, member in enumerate(network.members)]
    return [("", network)]


def depths(network: "nn.Module", coarse: bool = False) -> dict[str, int]:
    """{parameter's name: number of layers (`coarse`: stages) above it}, 0 in the head.

    A joint network's head is its last layer and those of its members.
    """
    above = {
        prefix + name: depth
        for prefix, member in _members(network)
        for name, depth in _depths(member, coarse).items()
    }
    return {name: above.get(name, 0) for name, _ in network.named_parameters()}


def _depths(network: "nn.Module", coarse: bool) -> dict[str, int]:
    """`depths` of a network that is not a joint one."""
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
