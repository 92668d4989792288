"""A training batch -> its loss: augment, mix, run the network."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from trial.augment.mixing import Mix
from trial.augment.pipeline import batch_transform
from trial.augment.policies import Policy
from trial.data.batches import Batch
from trial.learning.losses import Loss
from trial.learning.resizing import SizeOf, resized
from trial.learning.teachers import Soften
from trial.preprocessing import Preprocessing
from trial.process.compute import Compute
from trial.process.ranks import MIN_PART
from trial.rng import Draw, stream

Network = Callable[[Tensor], Tensor]  # images (B, 3, height, width) -> logits (B, classes)
# (A generator that depends on seed and epoch only, rows (B,)) -> labels (B,).
Labels = Callable[[np.random.Generator, np.ndarray], np.ndarray]


class Forward:
    """The forward pass of training. Deterministic given seed, epoch and batch index.

    `labels`: those of an epoch, if they are drawn in each; None: the photos' own. `size_of(epoch)`: of the
    photos that the network sees; None: those of `preprocessing`. `soften`: labels to fractions of each class,
    if they are mixed with predictions of other networks.
    """

    def __init__(
        self,
        loss: Loss,
        augment: Policy,
        mix: Mix,
        preprocessing: Preprocessing,
        compute: Compute,
        seed: int,
        labels: Labels | None = None,
        size_of: SizeOf | None = None,
        soften: Soften | None = None,
    ):
        self.loss, self.mix, self.preprocessing, self.compute = loss, mix, preprocessing, compute
        self.augment, self.seed = batch_transform(augment, preprocessing), seed
        self.labels, self.size_of, self.soften = labels, size_of, soften

    def __call__(self, network: Network, batch: Batch, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """(loss, logits (B, classes) without gradient, targets as trial/learning/losses.py takes them) of the
        batch number `index` (from 0) of its epoch."""
        ((loss, logits, targets),) = self.in_parts(network, batch, index, 1)
        return loss, logits, targets

    def in_parts(
        self, network: Network, batch: Batch, index: int, parts: int
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """As calling it, for each of `parts` parts of the batch, one after the other: less memory is needed
        at once. Each loss is multiplied by the part's share of the photos, so that they sum to the batch's
        (batch normalisation, a weighted loss and loss=f1 see a part only)."""
        random = stream("batch", self.seed, batch.epoch, index)
        draw = Draw(random, batch.rows, batch.epoch, self.preprocessing.image_size)
        images, targets = self.mix(self.augment(batch.photos, draw), self._targets_of(batch), draw)
        if self.size_of:
            images = resized(images, self.size_of(batch.epoch))
        parts = max(1, min(parts, len(images) // MIN_PART))
        for some, own in zip(images.tensor_split(parts), targets.tensor_split(parts), strict=True):
            with self.compute.autocast(), self.compute.on_own_cores():
                logits = self.compute.ranks.logits(network, some)
            yield self.loss(logits, own) * (len(some) / len(images)), logits.detach(), own

    def _targets_of(self, batch: Batch) -> Tensor:
        """Its labels (B,), or fractions of each class (B, classes), before photos are mixed."""
        labels = self._labels_of(batch)
        return self.soften(labels, batch.rows) if self.soften else labels

    def _labels_of(self, batch: Batch) -> Tensor:
        """(B,) the labels of its epoch."""
        if self.labels is None:
            return batch.labels
        drawn = self.labels(stream("label", self.seed, batch.epoch), batch.rows)
        return torch.as_tensor(drawn, dtype=batch.labels.dtype, device=batch.labels.device)
