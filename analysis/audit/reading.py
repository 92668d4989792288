"""What the audits read: both halves of a data set, and runs that must be of the same data."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.audit.features import features_of, network_of
from analysis.predict.trained import other_classes
from analysis.trust.answers import RUN_FOLDERS, read_probabilities
from common.errors import UsageError
from common.text import few
from dataset.pixels import decode_errors
from dataset.read import Labelled, scan_eval, scan_train
from dataset.task import Task
from trial.config import TrialConfig
from trial.run_folder.predictions import probabilities_of
from trial.run_folder.record import VALIDATION, RunFolder


class Halves(NamedTuple):
    """The photos to train on and to predict, DataFrames as of `dataset.read`; `config`: of the run, None
    without one."""

    task: Task
    train: pd.DataFrame
    photos: pd.DataFrame
    config: TrialConfig | None


def config_of(run: Path) -> TrialConfig:
    """The config of a run folder. UsageError if it is none."""
    try:
        return RunFolder(run).config()
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{run / 'config.json'}: does not exist; give {RUN_FOLDERS}") from None


def read_halves(data: Path, run: Path | None = None, group: str = "") -> Halves:
    """Both halves of a data set; there may be no photos to predict. UsageError with every error of the data,
    if a run is damaged or of other data, and if there are less than two groups."""
    config = config_of(run) if run else None
    group = group or (config.group if config else "")
    task, train, errors = scan_train(data, group)
    photos, eval_errors = scan_eval(data, group)
    errors = list(dict.fromkeys([*errors, *eval_errors])) or decode_errors(
        [*train["path"], *photos["path"]], progress=True
    )
    if errors:
        raise UsageError(errors)
    if (number := train["group"].nunique()) < 2:
        raise UsageError(
            f"{data}: has photos of {number} {task.group} to train on; there must be two or more to compare"
        )
    if run and (words := of_other_data(run, Labelled(task, train), labels=False)):
        raise UsageError(words)
    return Halves(task, train, photos, config)


def both_features(halves: Halves, run: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Features (photos, features) of the photos to train on and to predict, by the run's network or the
    packaged one."""
    trained = network_of(run, halves.task)
    train = features_of(trained, halves.train)
    if halves.photos.empty:
        return train, np.empty((0, train.shape[1]), np.float32)
    return train, features_of(trained, halves.photos)


def of_other_data(run: Path, data: Labelled, table: pd.DataFrame | None = None, labels: bool = True) -> str:
    """Why a run is not of the photos `data`, '' if it is: other classes, or photos (with `labels` also labels
    or groups) that are not theirs in `table`, its probabilities."""
    path, (task, photos) = run / VALIDATION, data
    if other := other_classes(RunFolder(run).task(), task):
        return f"{run}: has {other} than the data"
    if table is None:
        if not path.exists():  # trained on all groups
            return ""
        table = read_probabilities(run)
    if (held := probabilities_of(table).shape[1]) != task.n_classes:
        return f"{path}: holds probabilities of {held} classes, the run has {task.n_classes}"
    known = photos.set_index("photo")
    where = known.index.get_indexer(table["photo"])
    if len(lost := table["photo"][where < 0]):
        return f"{path}: holds {len(lost):,} photos that the data lacks: {few(lost.tolist(), 3)}"
    for column in ("label", "group") if labels else ():
        if (odd := known[column].to_numpy()[where] != table[column].to_numpy()).any():
            names = few(table["photo"][odd].tolist(), 3)
            return f"{path}: has another {column} than the data for {odd.sum():,} photos: {names}"
    return ""
