"""Several networks joined into one, which is trained as a whole."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trial.models.heads import input_shape, last_layer, last_names


class Joint(nn.Module):
    """What the members make of a photo, side by side, then `between` and one linear layer, `last`.

    `width`: of what all members give together. Photos are normalised for the first member; each other member
    gets them with its own mean and standard deviation.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, members: Sequence[Any], width: int, between: nn.Module, outputs: int):
        super().__init__()
        self.members, self.between = nn.ModuleList(members), between
        self.last = nn.Linear(width, outputs)
        self.pretrained_cfg = {"classifier": "last"}  # where `trial.models.heads.last_layers` finds it
        mean, std = (torch.tensor([m.pretrained_cfg[what] for m in members]) for what in ("mean", "std"))
        scale, shift = std[0] / std, (mean[0] - mean) / std
        self.as_first = [bool((s == 1).all() and (t == 0).all()) for s, t in zip(scale, shift, strict=True)]
        # Not part of the state dict: they follow from the members' names.
        self.register_buffer("scale", scale[:, :, None, None], persistent=False)
        self.register_buffer("shift", shift[:, :, None, None], persistent=False)

    def forward(self, photos: Tensor) -> Tensor:
        """(B, 3, height, width) -> (B, outputs)."""
        given = [
            member(photos if same else photos * scale + shift).flatten(1)
            for member, same, scale, shift in zip(
                self.members, self.as_first, self.scale, self.shift, strict=True
            )
        ]
        return self.last(self.between(torch.cat(given, 1)))


def of_logits(members: Sequence[Any], n_classes: int, outputs: int) -> Joint:
    """The baseline's ensemble: the `n_classes` logits of every member, ReLU, one linear layer."""
    return Joint(members, n_classes * len(members), nn.ReLU(), outputs)


def of_features(members: Sequence[Any], outputs: int) -> Joint:
    """The features of every member, which loses its last layer, and one linear layer.

    UsageError if a member has several last layers.
    """
    width = 0
    for member in members:
        width += input_shape(last_layer(member)).numel()
        (name,) = last_names(member)
        member.set_submodule(name, nn.Identity())
    return Joint(members, width, nn.Identity(), outputs)
