"""The validation answers that say what a network is worth: the run's own, or those of the trial whose recipe
it is; and predicted again with test-time augmentation, which measures what that is worth before any
submission."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.predict.trained import Trained, load, other_classes
from analysis.predict.vote import soft
from analysis.recipes import trial_of
from analysis.submission import read_about
from analysis.trust.answers import validation_of
from common.errors import UsageError, first_line
from common.log import output_of
from dataset.read import Labelled, read_train
from trial.data import batches
from trial.metrics import METRICS, column_of, title_of
from trial.probabilities import tempered
from trial.run_folder.predictions import probabilities_of, probability_columns, scores_of, with_probabilities
from trial.run_folder.record import VALIDATION, RunFolder

output = output_of(__name__)

KNOWN = ["photo", "group", "label"]  # columns; runs with the same ones validated on the same photos
BY_TTA = "_by_tta"  # in submission.json, the end of the name of what a prediction's views score
LOWERS = "; a promise is lowered by the difference"  # of what scores lower than the plain predictions

Read = Callable[[str | None, str], Labelled]  # of corrections and group


def validated_run(run: Path) -> Path | None:
    """The run folder whose validation answers say what the network of the run folder `run` is worth: its own,
    or for a retrained network that of the trial whose recipe it is; None if neither has any. A line says why
    the trial that was there can't be asked."""
    if (run / VALIDATION).exists():
        return run
    trial, why = trial_of(run, read_about(run) or {})
    if why:
        output.info(f"note: there are no validation answers for this network: {why}")
    return trial if trial and (trial / VALIDATION).exists() else None


def known_answers(run: Path) -> pd.DataFrame | None:
    """The validation answers by which to decide for the network of the run folder `run`: its own, or for a
    retrained network those of the trial whose recipe it is; None if there are none. UsageError if they are
    damaged."""
    folder = validated_run(run)
    return None if folder is None else validation_of(folder)


def tempered_answers(run: Path, temperature: float) -> pd.DataFrame:
    """The run's own validation answers (photo, group, fold, label, p00, ...), their logits divided by
    `temperature`. UsageError if they are missing or damaged."""
    table = validation_of(run)
    return with_probabilities(table, tempered(probabilities_of(table), temperature))


def shared_vote(tables: Sequence[pd.DataFrame | None]) -> pd.DataFrame | None:
    """The soft vote of several tables of validation answers to the same photos; None if one is missing or has
    other photos, labels or groups."""
    known = [table.sort_values("photo", ignore_index=True) for table in tables if table is not None]
    if len(known) < len(tables) or any(not table[KNOWN].equals(known[0][KNOWN]) for table in known):
        return None
    return with_probabilities(known[0], soft([probabilities_of(table) for table in known]))


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
    # Of the whole set, whose faces are found already.
    pixels = batches.uncached(photos, trained.preprocessing)
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
