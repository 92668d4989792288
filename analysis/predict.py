"""A run folder -> probabilities for the photos of eval/, prepared as in training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from dataset.errors import CallersMistake
from dataset.progress import track
from trial import batches, models
from trial.compute import decide
from trial.fit import infer
from trial.record import RunFolder


def predict(run: Path, photos: pd.DataFrame, batch_size: int = 128) -> np.ndarray:
    """Probabilities (photos, 18) of the network in run folder `run`, in the order of `photos`.

    `photos` has the columns photo and path. CallersMistake where the folder holds no network.
    """
    folder = RunFolder(run)
    try:
        config, preprocessing, weights = folder.config(), folder.preprocessing(), folder.weights()
    except FileNotFoundError as error:
        raise CallersMistake(f"{run}: holds no trained network (no {Path(error.filename).name})") from None
    # Where it was trained says nothing on where it predicts.
    config = replace(config, device="auto", workers=-1, threads=0)
    network, _ = models.build(config, pretrained=False)
    compute = decide(config, network)
    network.load_state_dict(weights)
    network.to(compute.device)
    loader = batches.loader(batches.Photos(photos, preprocessing), batch_size)
    logits, _ = infer(network, preprocessing, compute, track(loader, "predicting"))
    return logits.softmax(1).numpy()


def soft_vote(probabilities: list[np.ndarray]) -> np.ndarray:
    """The mean of several networks' probabilities, each (photos, 18)."""
    return np.mean(probabilities, axis=0)
