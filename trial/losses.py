"""Losses by name. A builder takes the training photos' class counts (18,) and gives
`loss(logits (B, 18), targets) -> scalar`, the mean over the batch. Targets are labels (B,), or (B, 18) shares
of each class where photos are mixed."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

Loss = Callable[[Any, Any], Any]


def cross_entropy(class_counts: "Tensor") -> Loss:
    """Plain cross-entropy."""
    import torch.nn.functional as F

    return F.cross_entropy


def weighted(
    class_counts: "Tensor", *, weights: Literal["inverse", "one_minus_frequency"] = "inverse"
) -> Loss:
    """Cross-entropy with a weight a class, scaled to a mean weight of 1 over the photos.

    `inverse`: photos / (classes * photos of the class), scikit-learn's 'balanced'.
    `one_minus_frequency`: 1 - photos of the class / photos; nearly flat, the seed project's.
    A class without photos weighs nothing.
    """
    import torch
    import torch.nn.functional as F

    counts = class_counts.double()
    weight = 1 / counts.clamp(min=1) if weights == "inverse" else 1 - counts / counts.sum()
    weight = torch.where(counts > 0, weight, torch.zeros_like(weight))
    weight = (weight * counts.sum() / (weight * counts).sum()).to(torch.float32)

    def loss(logits: "Tensor", targets: "Tensor") -> "Tensor":
        nonlocal weight
        weight = weight.to(logits.device)  # once: at each step it would wait for the GPU
        shares = _shares(targets, logits) * weight
        return -(shares * F.log_softmax(logits, dim=1)).sum() / shares.sum()

    return loss


def focal(class_counts: "Tensor", *, gamma: Annotated[float, (0, 20)] = 2.0) -> Loss:
    """Focal loss, -(1 - p)^gamma log p (Lin et al. 2017, arXiv:1708.02002), without its alpha."""
    import torch.nn.functional as F

    def loss(logits: "Tensor", targets: "Tensor") -> "Tensor":
        log_p = F.log_softmax(logits, dim=1)
        return -(_shares(targets, logits) * (1 - log_p.exp()) ** gamma * log_p).sum(1).mean()

    return loss


LOSSES = {"cross_entropy": cross_entropy, "weighted": weighted, "focal": focal}


def _shares(targets: "Tensor", logits: "Tensor") -> "Tensor":
    """(B, classes) of labels (B,), or as they are."""
    import torch.nn.functional as F

    return F.one_hot(targets, logits.shape[1]).to(logits.dtype) if targets.dim() == 1 else targets
