"""A name, or several, -> a network of 18 logits, and how photos are prepared for it."""

from typing import TYPE_CHECKING, Any

from dataset.labels import N_CLASSES
from trial.catalogue import networks
from trial.config import TrialConfig
from trial.data.preprocessing import Preprocessing
from trial.models.heads import HEADS, HIDDEN, LAST, Head, attach, initialise, last_layers
from trial.models.weights import full_name, load

if TYPE_CHECKING:
    from torch import nn

    from trial.models.pretrained import State

# Last layers of networks for which timm lists one of two.
CLASSIFIERS = dict.fromkeys(("levit_384_s8", "levit_conv_384_s8"), ("head.linear", "head_dist.linear"))


def build(config: TrialConfig, pretrained: bool = True) -> "tuple[nn.Module, Preprocessing]":
    """The network of `config`, with its ImageNet weights if `pretrained` (and the config asks for some).

    Logits are (B, 18). Mean, standard deviation and interpolation come from timm's pretrained_cfg, of the
    first of several networks. UsageError where the weights don't fit the network.
    """
    head: Head = config.head.build(HEADS)
    names = config.members()
    network: nn.Module
    if len(names) == 1:
        network = first = _member(names[0], config, head.outputs, pretrained)
        initialise(last_layers(network), LAST)
        attach(head, network)
    else:
        from trial.models.joint import Joint

        members = [_member(name, config, N_CLASSES, pretrained) for name in names]
        for member in members:
            initialise(last_layers(member), HIDDEN)  # a ReLU follows, and the joint network's last layer
            attach(Head(N_CLASSES, head.dropout), member)
        first, network = members[0], Joint(members, head.outputs)
        initialise([network.last], LAST)
        attach(head._replace(dropout=0.0), network)
    own = first.pretrained_cfg
    preprocessing = Preprocessing(
        config.image_size, tuple(own["mean"]), tuple(own["std"]), own["interpolation"], config.crop
    )
    return network, preprocessing


def _member(name: str, config: TrialConfig, outputs: int, pretrained: bool) -> Any:
    """One network, its last layer of `outputs`. UsageError where its weights don't fit."""
    state = load(name, config.weights) if pretrained else None
    if state is None:
        return create(name, config.image_size, outputs)
    from trial.models.pretrained import with_weights

    source = f"weights={config.weights}"
    return with_weights(lambda given: create(name, config.image_size, outputs, given), state, source, name)


def create(name: str, size: tuple[int, int], outputs: int, state: "State | None" = None) -> Any:
    """A network of timm's or trial/models/other_networks.py, with what timm takes of `state`."""
    import timm

    import trial.models.other_networks  # noqa: F401 - timm knows them from now on

    plain = name.partition(".")[0]
    given: dict[str, Any] = {"classifier": CLASSIFIERS[plain]} if plain in CLASSIFIERS else {}
    if state is not None:
        given["state_dict"] = state
    return timm.create_model(
        full_name(name),
        pretrained=state is not None,
        pretrained_cfg_overlay=given or None,
        num_classes=outputs,
        img_size=size if networks()[plain].multiple > 0 else None,  # timm leaves out what is None
    )
