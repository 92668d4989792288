"""What a network makes of a photo before it decides: the input of its last layer."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from analysis.predict.trained import Trained, load
from common.progress import track
from dataset.task import Task
from trial.compute import decide
from trial.data import batches
from trial.fit import infer
from trial.models import factory, heads
from trial.models.joint import Joint

PACKAGED, SIZE = "tf_efficientnet_lite0", (128, 96)  # its ImageNet weights are an installed package
BATCH = 64


class Features(nn.Module):
    """A network that gives the inputs of its last layers, (B, features), instead of logits."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network, self._seen = network, list[Tensor]()
        for layer in [network.last] if isinstance(network, Joint) else heads.last_layers(network):
            layer.register_forward_pre_hook(lambda layer, inputs: self._seen.append(inputs[0].flatten(1)))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, height, width) -> (B, features)."""
        self._seen.clear()
        self.network(images)
        return torch.cat(self._seen, 1)


def packaged(task: Task) -> Trained:
    """A network that knows ImageNet only, ready to look at photos."""
    head = heads.classes(task)
    network, preprocessing = factory.build(PACKAGED, "package", head, task.n_classes, SIZE)
    return Trained(Path(PACKAGED), task, [network], preprocessing, decide(network))


def network_of(run: Path | None, task: Task) -> Trained:
    """The first network of a run folder, or the packaged one."""
    return packaged(task) if run is None else load(run)


def features_of(trained: Trained, photos: pd.DataFrame) -> np.ndarray:
    """float32 (photos, features) of a DataFrame of photos, prepared as in training, by the first of the
    networks."""
    network = Features(trained.networks[0]).to(trained.compute.device)
    loader = batches.loader(batches.Photos(photos.reset_index(drop=True), trained.preprocessing), BATCH)
    found, _ = infer(
        network, trained.preprocessing, trained.compute, track(loader, "looking at photos", "batches")
    )
    return found.numpy()
