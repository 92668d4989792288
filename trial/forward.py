"""A training batch -> its loss: augmented, mixed, seen by the network."""

import numpy as np
import torch
from torch import Tensor, nn

from trial.augment.mixing import MIXINGS
from trial.augment.pipeline import on_batches
from trial.compute import Compute
from trial.config import TrialConfig
from trial.data.batches import Batch
from trial.data.preprocessing import Preprocessing
from trial.learning.losses import LOSSES, Loss
from trial.rng import Draw, stream


class Forward:
    """The same for a seed, epoch and number of the batch in it."""

    def __init__(
        self, config: TrialConfig, preprocessing: Preprocessing, compute: Compute, class_counts: np.ndarray
    ):
        self.seed, self.size, self.compute = config.seed, config.image_size, compute
        self.loss: Loss = config.loss.build(LOSSES, torch.as_tensor(class_counts))
        self.prepare, self.mix = on_batches(config.augment, preprocessing), config.mixing.build(MIXINGS)

    def __call__(self, network: nn.Module, batch: Batch, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """(loss, logits (B, 18) without gradient, targets as trial/learning/losses.py takes them)."""
        draw = Draw(stream("batch", self.seed, batch.epoch, number), batch.rows, batch.epoch, self.size)
        images, targets = self.mix(self.prepare(batch.photos, draw), batch.labels, draw)
        with self.compute.autocast():
            logits = network(images).float()
        return self.loss(logits, targets), logits.detach(), targets
