"""A training batch -> its loss: augment, mix, run the network."""

from torch import Tensor, nn

from trial.augment.mixing import Mix
from trial.augment.pipeline import batch_transform
from trial.augment.policies import Policy
from trial.compute import Compute
from trial.data.batches import Batch
from trial.learning.losses import Loss
from trial.preprocessing import Preprocessing
from trial.rng import Draw, stream


class Forward:
    """The forward pass of training. Deterministic given seed, epoch and batch index."""

    def __init__(
        self,
        loss: Loss,
        augment: Policy,
        mix: Mix,
        preprocessing: Preprocessing,
        compute: Compute,
        seed: int,
    ):
        self.loss, self.mix, self.preprocessing, self.compute = loss, mix, preprocessing, compute
        self.augment, self.seed = batch_transform(augment, preprocessing), seed

    def __call__(self, network: nn.Module, batch: Batch, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """(loss, logits (B, classes) without gradient, targets as trial/learning/losses.py takes them) of the
        batch number `index` (from 0) of its epoch."""
        random = stream("batch", self.seed, batch.epoch, index)
        draw = Draw(random, batch.rows, batch.epoch, self.preprocessing.image_size)
        images, targets = self.mix(self.augment(batch.photos, draw), batch.labels, draw)
        with self.compute.autocast():
            logits = network(images).float()
        return self.loss(logits, targets), logits.detach(), targets
