"""A name, or several, -> a network of 18 logits, and how photos are prepared for it."""

from collections.abc import Set
from typing import TYPE_CHECKING, Any

from dataset.errors import CallersMistake
from dataset.labels import N_CLASSES
from trial.catalogue import networks
from trial.config import TrialConfig
from trial.heads import HEADS, HIDDEN, SMALL, Head, attach, initialise, last_layers
from trial.transforms import Preprocessing
from trial.weights import full_name, load

if TYPE_CHECKING:
    from torch import nn


def build(config: TrialConfig, pretrained: bool = True) -> "tuple[nn.Module, Preprocessing]":
    """The network of `config`, with its ImageNet weights if `pretrained` (and the config asks for some).

    Logits are (B, 18). Mean, standard deviation and interpolation come from timm's pretrained_cfg, of the
    first of several networks. CallersMistake where the weights don't fit the network.
    """
    head: Head = config.head.build(HEADS)
    names = config.members()
    network: nn.Module
    if len(names) == 1:
        network = first = _member(names[0], config, head.outputs, pretrained)
        initialise(last_layers(network), SMALL)
        attach(head, network)
    else:
        from trial.joint import Joint

        members = [_member(name, config, N_CLASSES, pretrained) for name in names]
        for member in members:
            initialise(last_layers(member), HIDDEN)  # a ReLU follows, and the joint network's last layer
            attach(Head(N_CLASSES, head.dropout), member)
        first, network = members[0], Joint(members, head.outputs)
        initialise([network.last], SMALL)
        attach(head._replace(dropout=0.0), network)
    own = first.pretrained_cfg
    preprocessing = Preprocessing(
        config.image_size, tuple(own["mean"]), tuple(own["std"]), own["interpolation"], config.crop
    )
    return network, preprocessing


def _member(name: str, config: TrialConfig, outputs: int, pretrained: bool) -> Any:
    """One network of timm's or trial/other_networks.py, its last layer of `outputs`."""
    import timm

    import trial.other_networks  # noqa: F401 - timm knows them from now on

    state = load(name, config.weights) if pretrained else None
    sized = networks()[name.partition(".")[0]].multiple > 0
    try:
        network = timm.create_model(
            full_name(name),
            pretrained=state is not None,
            pretrained_cfg_overlay={"state_dict": state} if state is not None else None,
            num_classes=outputs,
            img_size=config.image_size if sized else None,  # timm leaves out what is None
        )
    except RuntimeError as error:
        if state is None:
            raise
        raise CallersMistake(f"weights={config.weights} don't fit {name}: {error}") from None
    if state is not None:
        _refuse_foreign(network, state.keys(), f"weights={config.weights} don't fit {name}")
    return network


def _refuse_foreign(network: "nn.Module", given: Set[str], complaint: str) -> None:
    """timm loads what it knows by name, and leaves the rest as it was. It knows some files by other names, so
    what the network lacks is a fault only where the file has nothing else that it could be."""
    new = {id(parameter) for layer in last_layers(network) for parameter in layer.parameters()}
    needed = {name for name, parameter in network.named_parameters() if id(parameter) not in new}
    own = network.state_dict().keys()
    if not given & own:
        raise CallersMistake(f"{complaint}: no tensor has a name of its")
    if (lacking := sorted(needed - given)) and given <= own:
        some = f"{len(lacking)} of its {len(needed)} tensors are not there, such as {lacking[0]}"
        raise CallersMistake(f"{complaint}: {some}; are they another network's?")
