"""A run folder with a network that nobody trained: made in a moment, and another one for each seed."""

from pathlib import Path

import pandas as pd
import torch

from tests.conftest import TINY
from trial import models
from trial.config import parse
from trial.record import RunFolder, RunWriter


def untrained(
    folder: Path, seed: int = 0, validation: pd.DataFrame | None = None, mark: str = "f" * 64
) -> RunFolder:
    """With `validation` it is a trial's folder, else a retrained network's; `mark`: its data's fingerprint."""
    config = parse({**TINY, "seed": seed})
    torch.manual_seed(seed)
    network, preprocessing = models.build(config)
    writer = RunWriter(folder, config)
    writer.preprocessing(preprocessing)
    writer.origin({"data_fingerprint": mark, "code": {"commit": "c"}, "versions": {"torch": "2"}})
    if validation is None:
        writer.weights(network.state_dict())
    else:
        writer.best(0, 1, network.state_dict(), validation)
    writer.end("done")
    return RunFolder(folder)
