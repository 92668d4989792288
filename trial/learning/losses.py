"""Losses by name.

A builder takes the class counts (C,) of the training photos and returns `loss(logits (B, C), targets) ->
scalar`, the mean over the batch. Targets are labels (B,), or (B, C) fractions of each class if photos are
mixed.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from trial.choice import Fraction, Registry

if TYPE_CHECKING:
    from torch import Tensor

Loss = Callable[[Any, Any], Any]


def cross_entropy(class_counts: "Tensor") -> Loss:
    """Cross-entropy."""
    import torch.nn.functional as F

    return F.cross_entropy


def weighted(
    class_counts: "Tensor", *, class_weights: Literal["inverse", "one_minus_frequency"] = "inverse"
) -> Loss:
    """Cross-entropy with class weights, scaled to a mean weight of 1 over the photos.

    `inverse`: photos / (classes * photos of the class), scikit-learn's 'balanced'.
    `one_minus_frequency`: 1 - photos of the class / photos; nearly flat, the baseline's.
    A class without photos has weight 0.
    """
    counts = class_counts.double()
    frequency = counts / counts.sum()
    return _weighted(counts, 1 / counts.clamp(min=1) if class_weights == "inverse" else 1 - frequency)


def class_balanced(class_counts: "Tensor", *, beta: Annotated[float, (0, 0.999999)] = 0.9999) -> Loss:
    """Cross-entropy with class weights of 1 / the effective number of photos (Cui et al. 2019).

    The effective number of n photos is (1 - beta^n) / (1 - beta), arXiv:1901.05555. Scaled to a mean weight
    of 1 over the photos: beta 0 is plain cross-entropy, near 1 it is `weighted` with `inverse`.
    """
    counts = class_counts.double()
    return _weighted(counts, (1 - beta) / (1 - beta ** counts.clamp(min=1)))


def label_smoothing(class_counts: "Tensor", *, smoothing: Fraction = 0.1) -> Loss:
    """Cross-entropy with a fraction of each target spread over all classes (Szegedy et al. 2015).

    arXiv:1512.00567.
    """
    import torch.nn.functional as F

    return lambda logits, targets: F.cross_entropy(logits, targets, label_smoothing=smoothing)


def focal(class_counts: "Tensor", *, gamma: Annotated[float, (0, 20)] = 2.0) -> Loss:
    """Focal loss, -(1 - p)^gamma log p, without its alpha (Lin et al. 2017, arXiv:1708.02002)."""
    import torch.nn.functional as F

    def loss(logits: "Tensor", targets: "Tensor") -> "Tensor":
        log_p = F.log_softmax(logits, dim=1)
        # A power below 1 has an infinite slope at 0.
        unsure = (1 - log_p.exp()).clamp(min=1e-6) if 0 < gamma < 1 else 1 - log_p.exp()
        return -(_fractions(targets, logits) * unsure**gamma * log_p).sum(1).mean()

    return loss


def f1(class_counts: "Tensor") -> Loss:
    """1 - the macro-F1 of a batch, with hits and predictions counted by probability (soft F1).

    Over the classes that the batch holds: the F1 of the others is 0 for any prediction.
    """

    def loss(logits: "Tensor", targets: "Tensor") -> "Tensor":
        fractions, p = _fractions(targets, logits), logits.softmax(1)
        truth = fractions.sum(0)
        f1_of_class = 2 * (fractions * p).sum(0) / (truth + p.sum(0)).clamp(min=1e-8)
        held = (truth > 0).to(logits.dtype)
        return 1 - (f1_of_class * held).sum() / held.sum()

    return loss


def logit_adjusted(class_counts: "Tensor", *, tau: Annotated[float, (0, 5)] = 1.0) -> Loss:
    """Cross-entropy of logits + tau * log class frequency (Menon et al. 2020, arXiv:2007.07314).

    The network learns scores as if all classes were equally frequent. A class without photos counts as one
    photo.
    """
    import torch.nn.functional as F

    counts = class_counts.double().clamp(min=1)
    prior = (tau * (counts / counts.sum()).log()).float()

    def loss(logits: "Tensor", targets: "Tensor") -> "Tensor":
        nonlocal prior
        prior = prior.to(logits.device)  # once: a copy at each step would wait for the GPU
        return F.cross_entropy(logits + prior, targets)

    return loss


LOSSES: Registry = {
    "cross_entropy": cross_entropy, "weighted": weighted, "class_balanced": class_balanced,
    "label_smoothing": label_smoothing, "focal": focal, "f1": f1, "logit_adjusted": logit_adjusted,
}  # fmt: skip


def _weighted(counts: "Tensor", weight: "Tensor") -> Loss:
    """Cross-entropy with a class `weight` (classes,), scaled to a mean of 1 over the photos of `counts`.

    The sum over a batch is divided by the sum of its weights; torch divides by the number of photos if
    targets are fractions. The loss of a batch whose classes all have weight 0 is 0.
    """
    import torch
    import torch.nn.functional as F

    weight = torch.where(counts > 0, weight, torch.zeros_like(weight))
    weight = (weight * counts.sum() / (weight * counts).sum()).float()

    def loss(logits: "Tensor", targets: "Tensor") -> "Tensor":
        nonlocal weight
        weight = weight.to(logits.device)  # once: a copy at each step would wait for the GPU
        fractions = _fractions(targets, logits) * weight
        total = fractions.sum().clamp(min=torch.finfo(weight.dtype).tiny)
        return -(fractions * F.log_softmax(logits, dim=1)).sum() / total

    return loss


def _fractions(targets: "Tensor", logits: "Tensor") -> "Tensor":
    """Targets as fractions (B, classes): one-hot labels, or fractions as they are."""
    import torch.nn.functional as F

    return F.one_hot(targets, logits.shape[1]).to(logits.dtype) if targets.dim() == 1 else targets
