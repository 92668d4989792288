"""Several networks joined into one, which is trained as a whole."""

from typing import Any

import torch
from torch import Tensor, nn


class Joint(nn.Module):
    """The `n_classes` logits of every member concatenated, ReLU, one linear layer: the baseline's ensemble.

    Photos are normalised for the first member; each other member gets them with its own mean and standard
    deviation.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, members: list[Any], n_classes: int, outputs: int):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.last = nn.Linear(n_classes * len(members), outputs)
        mean, std = (torch.tensor([m.pretrained_cfg[what] for m in members]) for what in ("mean", "std"))
        scale, shift = std[0] / std, (mean[0] - mean) / std
        self.as_first = [bool((s == 1).all() and (t == 0).all()) for s, t in zip(scale, shift, strict=True)]
        # Not part of the state dict: they follow from the members' names.
        self.register_buffer("scale", scale[:, :, None, None], persistent=False)
        self.register_buffer("shift", shift[:, :, None, None], persistent=False)

    def forward(self, photos: Tensor) -> Tensor:
        """(B, 3, height, width) -> (B, outputs)."""
        logits = [
            member(photos if same else photos * scale + shift)
            for member, same, scale, shift in zip(
                self.members, self.as_first, self.scale, self.shift, strict=True
            )
        ]
        return self.last(torch.cat(logits, 1).relu())
