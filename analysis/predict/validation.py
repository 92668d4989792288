"""A run's predictions for its own validation photos with test-time augmentation, which measures what that is
worth before any submission."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.predict.finishing import LOWERS, tempered_answers
from analysis.predict.trained import Trained, load, other_classes
from common.errors import UsageError, first_line
from common.log import output_of
from dataset.read import Labelled, read_train
from trial.data import batches
from trial.metrics import METRICS, column_of, title_of
from trial.run_folder.predictions import probability_columns, scores_of
from trial.run_folder.record import RunFolder

output = output_of(__name__)

BY_TTA = "_by_tta"  # in submission.json, the end of the name of what a prediction's views score


Read = Callable[[str | None, str], Labelled]  # of corrections and group


def predict_validation(
    run: Path, trained: Trained, data: Path, tta: str, temperature: float = 1.0, read: Read | None = None
) -> pd.DataFrame:
    """The run's validation.parquet, predicted again by `trained` with `tta` (a name in VIEWS), each
    photo by the network that was not trained on its group. `read`: `read_train` of `data`, if the caller
    keeps what it read. FileNotFoundError if the run has no validation.parquet; ValueError if `data` has other
    classes or lacks one of its photos."""
    folder = RunFolder(run)
    table = folder.validation()
    config = folder.config()
    task, photos = (read or partial(read_train, data))(config.corrections or None, config.group)
    if other := other_classes(task, trained.task):
        raise ValueError(f"{data} has {other}")
    rows = pd.Index(photos["photo"]).get_indexer(table["photo"])
    if (rows < 0).any():
        raise ValueError(f"{data} lacks the photo {table['photo'][rows < 0].iloc[0]}")
    pixels = batches.uncached(
        photos, trained.preprocessing
    )  # of the whole set, whose faces are found already
    folds, columns = sorted(table["fold"].unique()), probability_columns(trained.task.n_classes)
    for fold, network in zip(folds, trained.networks, strict=True):
        own = table["fold"] == fold
        alone = replace(trained, networks=[network])
        seen = photos.iloc[rows[own]]
        table.loc[own, columns] = alone.predict(seen, tta, temperature, pixels=pixels)
    return table


def own_predictions(run: Path, trained: Trained, data: Path, tta: str, temperature: float) -> pd.DataFrame:
    """The run's probabilities for its validation photos (photo, group, fold, label, p00, ...), computed with
    the TTA and the temperature of the submission."""
    if tta != "none":
        return predict_validation(run, trained, data, tta, temperature)
    return tempered_answers(run, temperature)


def worth(run: Path, data: Path, tta: str, temperature: float = 1.0) -> dict[str, float] | None:
    """{"none": score, tta: score} by the run's metric, on its validation photos, with the temperature; None
    if that can't be measured. Printed, or why not."""
    try:
        trained = load(run)
        tables = {views: own_predictions(run, trained, data, views, temperature) for views in (tta, "none")}
    except (FileNotFoundError, ValueError, UsageError) as error:
        why = "the run has none" if isinstance(error, FileNotFoundError) else first_line(error)
        groups = RunFolder(run).task().groups
        output.info(
            f"gain of --tta {tta} not measured on validation {groups}: {why}; a promise is of the plain "
            "predictions"
        )
        return None
    metric = RunFolder(run).config().metric
    known = {views: METRICS[metric](scores_of(tables[views])) for views in ("none", tta)}
    output.info(
        f"validation {trained.task.groups}: {title_of(metric)} {known['none']:.4f} without TTA, "
        f"{known[tta]:.4f} with --tta {tta}{LOWERS if known[tta] < known['none'] else ''}"
    )
    return known


def facts_by_views(run: Path, data: Path, tta: str, temperature: float = 1.0) -> dict[str, Any]:
    """For the validation scores in a submission.json: {"macro_f1_by_tta": `worth`}, named by the run's
    metric; {} for the photo alone, or if that can't be measured."""
    known = worth(run, data, tta, temperature) if tta != "none" else None
    return {column_of(RunFolder(run).config().metric) + BY_TTA: known} if known else {}
