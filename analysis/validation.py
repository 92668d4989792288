"""A run's answers for its own validation people, as prediction gives them: what test-time augmentation is
worth can be told before any submission."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from analysis.predict import Trained
from dataset.photos import read_train
from trial.record import PROBABILITIES, RunFolder, scores_of


def answers_again(
    run: Path, trained: Trained, data: Path, tta: str, temperature: float = 1.0
) -> pd.DataFrame:
    """The run's validation.parquet, as `trained` answers it with `tta` (a name in analysis.views), each photo
    by the network that has not seen its person. FileNotFoundError where the run has none; ValueError where
    `data` lacks one of these photos."""
    folder = RunFolder(run)
    table = folder.validation()
    photos = read_train(data, folder.config().corrections or None)
    paths = table["photo"].map(dict(zip(photos["photo"], photos["path"], strict=True)))
    if paths.isna().any():
        raise ValueError(f"{data} lacks the photo {table['photo'][paths.isna()].iloc[0]}")
    folds = sorted(table["fold"].unique())
    for fold, network in zip(folds, trained.networks, strict=True):
        own = table["fold"] == fold
        seen = table[own].assign(path=paths[own])
        alone = replace(trained, networks=[network])
        table.loc[own, PROBABILITIES] = alone.predict(seen, tta, temperature)
    return table


def worth(run: Path, trained: Trained, data: Path, tta: str) -> dict[str, float] | None:
    """{"none": macro-F1, tta: macro-F1} on the run's validation people; None where it has none here."""
    try:
        table = answers_again(run, trained, data, tta)
    except (FileNotFoundError, ValueError):
        return None
    return {"none": scores_of(RunFolder(run).validation()).macro_f1, tta: scores_of(table).macro_f1}
