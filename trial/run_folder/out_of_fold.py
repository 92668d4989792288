"""Run folders -> what their networks predict for photos that they were not trained on, as targets."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from common.errors import UsageError, all_at_once
from common.text import few
from dataset.task import Task
from trial.probabilities import not_probabilities, tempered
from trial.run_folder.predictions import IS_PROBABILITY, probabilities_of, probability_columns
from trial.run_folder.record import RunFolder
from trial.run_folder.status import INTERRUPTED

logger = logging.getLogger(__name__)


def predictions(runs: Sequence[str], table: pd.DataFrame, task: Task, temperature: float = 1.0) -> np.ndarray:
    """(photos, classes) the mean of the runs' out-of-fold probabilities for the photos of `table`, in its
    order. `temperature` divides each run's logits. A warning if a run ended early.

    UsageError with the errors of all runs: one that still runs, without predictions for all photos, of other
    classes, or whose probabilities are no probabilities.
    """
    each = all_at_once(*(lambda run=run: _of(Path(run), table, task) for run in runs))
    mean = np.mean([tempered(one, temperature) for one in each], axis=0)
    return mean / mean.sum(1, keepdims=True)


def _of(run: Path, table: pd.DataFrame, task: Task) -> np.ndarray:
    folder, what = RunFolder(run), f"teacher.runs: {run}"
    status = folder.status()
    if status["state"] == "running":
        raise UsageError(
            f"{what}: is still running (on {status['process']['host']}); its predictions would change, wait "
            "until it is done; python -m trial --continue goes on with one whose machine is gone"
        )
    try:
        known = folder.validation()
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"{what}: holds no predictions of validation photos; give the folder of a run with fold=all"
        ) from None
    if status["state"] in (INTERRUPTED, "failed"):
        logger.warning(
            f"WARNING: {what}: ended early ({status['state']}); it is a teacher by its best epoch so far"
        )
    classes = folder.task().classes
    columns = [name for name in known if IS_PROBABILITY.fullmatch(name)]
    if classes != task.classes or columns != probability_columns(len(classes)):
        raise UsageError(f"{what}: predicts other classes ({few(classes, 3)}) than {few(task.classes, 3)}")
    if (twice := known["photo"].duplicated()).any():
        raise UsageError(f"{what}: predicts {known['photo'][twice].iloc[0]} more than once")
    if len(missing := table["photo"][~table["photo"].isin(known["photo"])]):
        raise UsageError(
            f"{what}: predicts {len(missing):,} of {len(table):,} training photos not out of fold, first "
            f"{missing.iloc[0]}; it must be a run with fold=all on the same photos"
        )
    rows = known.set_index("photo").loc[table["photo"]]
    found = probabilities_of(rows).astype(np.float64)
    if (wrong := not_probabilities(found)).any():
        raise UsageError(
            f"{what}: the probabilities of {wrong.sum():,} photos, first {rows.index[wrong.argmax()]}, are "
            "not numbers from 0 to 1 that sum to 1"
        )
    return found
