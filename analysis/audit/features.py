"""What a network makes of a photo before it decides: the input of its last layer."""

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.predict.trained import Trained, load
from common.progress import track
from dataset.task import Task
from trial.data import batches
from trial.fit import infer
from trial.models import factory, heads
from trial.models.features import Backbone
from trial.process.compute import decide

PACKAGED, SIZE = "tf_efficientnet_lite0", (128, 96)  # its ImageNet weights are an installed package
BATCH = 64


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
    network = Backbone(trained.networks[0]).to(trained.compute.device)
    loader = batches.loader(batches.Photos(photos.reset_index(drop=True), trained.preprocessing), BATCH)
    found, _ = infer(
        network, trained.preprocessing, trained.compute, track(loader, "looking at photos", "batches")
    )
    return found.numpy()
