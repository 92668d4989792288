"""A name -> a network with a head of 18 classes, and how photos are prepared for it."""

from typing import TYPE_CHECKING

from dataset.errors import CallersMistake
from dataset.labels import N_CLASSES
from trial.config import TrialConfig
from trial.transforms import Preprocessing
from trial.weights import full_name, load

if TYPE_CHECKING:
    from torch import nn


def build(config: TrialConfig, pretrained: bool = True) -> "tuple[nn.Module, Preprocessing]":
    """The network of `config`, with its ImageNet weights if `pretrained` (and the config asks for some).

    Logits are (B, 18). Mean, standard deviation and interpolation come from timm's pretrained_cfg.
    CallersMistake where the weights don't fit the network.
    """
    import timm

    state = load(config.model, config.weights) if pretrained else None
    overlay = {"state_dict": state} if state is not None else None
    try:
        network = timm.create_model(
            full_name(config.model),
            pretrained=state is not None,
            pretrained_cfg_overlay=overlay,
            num_classes=N_CLASSES,
        )
    except RuntimeError as error:
        if state is None:
            raise
        raise CallersMistake(f"weights={config.weights} don't fit {config.model}: {error}") from None
    own = network.pretrained_cfg
    preprocessing = Preprocessing(
        config.image_size, tuple(own["mean"]), tuple(own["std"]), own["interpolation"], config.crop
    )
    return network, preprocessing
