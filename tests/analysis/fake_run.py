"""A run folder with a network that nobody trained: made in a moment, and another one for each seed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pandas as pd
import torch

from dataset.face_masks.labels import FACE_MASK
from dataset.task import Task
from tests.conftest import TINY
from trial.config import TrialConfig, parse
from trial.preprocessing import Preprocessing
from trial.recipe import build
from trial.run_folder.record import RunFolder, RunWriter


def untrained(
    folder: Path,
    seed: int = 0,
    validation: pd.DataFrame | None = None,
    mark: str = "f" * 64,
    folds: Sequence[int] = (),
    task: Task = FACE_MASK,
    values: Mapping[str, object] = MappingProxyType({}),
    state: str = "done",
) -> RunFolder:
    """With `validation` it is a trial's folder, else a retrained network's; with `folds` it has a network of
    each instead, made by the fold's number as seed. `mark`: its data's fingerprint. `values`: of its recipe."""
    config = parse({**TINY, "seed": seed, **values})
    network, preprocessing = _network(config, seed, task)
    writer = RunWriter(folder, config)
    writer.preprocessing(preprocessing)
    writer.task(task)
    origin = {"data_fingerprint": mark, "code": {"commit": "c"}, "versions": {"torch": "2"}}
    writer.origin(origin | {"class_counts": list(range(1, task.n_classes + 1))})
    if folds:
        for fold in folds:
            writer.weights(_network(config, fold, task)[0].state_dict(), fold)
    elif validation is None:
        writer.weights(network.state_dict())
    else:
        writer.best(0, 1, network.state_dict(), validation)
    writer.end(state)
    return RunFolder(folder)


def _network(config: TrialConfig, seed: int, task: Task) -> tuple[torch.nn.Module, Preprocessing]:
    torch.manual_seed(seed)
    return build(config, task)
