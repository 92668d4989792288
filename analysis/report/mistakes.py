"""The photos that a network was most wrong about, as pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.report.pictures import displayed
from common.errors import UsageError
from dataset.read import scan_train
from dataset.task import Task
from trial.run_folder.predictions import probabilities_of
from trial.run_folder.record import RunFolder

SHOWN = 24
OF_A_GROUP = 2  # so that one person does not fill the page


def photos_of(run: RunFolder) -> pd.DataFrame | None:
    """(photo, path) of the photos that the run was trained and validated on; None if they are not here."""
    try:
        config = run.config()
        data = Path(config.data)
        if not data.is_dir():
            return None
        return scan_train(data, config.group)[1][["photo", "path"]]
    except (OSError, UsageError, KeyError):
        return None


def worst_mistakes(
    validation: pd.DataFrame, task: Task, photos: pd.DataFrame, limit: int = SHOWN
) -> list[dict[str, Any]]:
    """The wrong predictions with the highest probability, the highest first, of at most OF_A_GROUP photos of
    a group: true, predicted (names), probability (of the predicted class), given (that of the true class),
    photo and url. Photos that are not in `photos` (photo, path), or can't be decoded, are left out."""
    probabilities, labels = probabilities_of(validation), validation["label"].to_numpy()
    predicted = probabilities.argmax(1)
    table = validation[["photo", "group"]].assign(
        label=labels, predicted=predicted, probability=probabilities.max(1),
        given=probabilities[np.arange(len(labels)), labels],
    )  # fmt: skip
    wrong = table[table["predicted"] != table["label"]].merge(photos, on="photo")
    wrong = wrong.sort_values(["probability", "photo"], ascending=[False, True])
    wrong = wrong.groupby("group", sort=False).head(OF_A_GROUP)
    found = []
    for row in wrong.head(2 * limit).itertuples():
        if pictures := displayed([row.path], [row.photo]):
            found.append(
                {
                    "true": task.classes[row.label], "predicted": task.classes[row.predicted],
                    "probability": row.probability, "given": row.given, "photo": row.photo,
                    "url": pictures[0]["url"],
                }
            )  # fmt: skip
        if len(found) == limit:
            break
    return found
