"""Pseudo-labels: classes predicted for some of the photos to predict, to be trained on; their file, written
and read back.

`python -m analysis pseudo-labels` writes it, a recipe's field pseudo_labels names it.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from common.errors import UsageError, unknown
from common.files import sha256_of, write_sheet
from common.text import few, from_cell, lines_text
from dataset.split import fold_of
from dataset.tables import read_table
from dataset.task import Task

COLUMNS = ["photo", "class", "held_out"]
PHOTOS = ", photos "


def held_out_words(
    recipe: Mapping[str, Any], corrections: str = "", table: pd.DataFrame | None = None
) -> str:
    """Which groups a trial of `recipe` holds out; the same words mean the same groups of one data set.
    `corrections`: the SHA-256 of that file, '' if it is not known. `table`: the photos to train on; with it
    the words have a hash of those held out, as other labels or groups deal other folds."""
    more = [f"{name}={recipe[name]}" for name in ("group", "corrections") if recipe.get(name)]
    if corrections:
        more[-1] += f" ({corrections[:12]})"
    words = ", ".join([f"fold {recipe['fold']} of {recipe['folds']} by seed {recipe['seed']}", *more])
    if table is None:
        return words
    photos = table["photo"][fold_of(table, recipe["folds"], recipe["seed"]) == recipe["fold"]]
    named = "\n".join(sorted(photos)).encode("utf-8", "surrogateescape")
    return f"{words}{PHOTOS}{hashlib.sha256(named).hexdigest()[:12]}"


def write(path: Path, photos: pd.Series, labels: np.ndarray, task: Task, held_out: str) -> Path:
    """Write the labels (photos,) of `photos` (photos,), by name. `held_out`: `held_out_words` of the groups
    that the networks which predicted them were not trained on; '' if there are none."""
    names = [task.classes[label] for label in labels]
    table = pd.DataFrame({"photo": list(photos), "class": names, "held_out": held_out})
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_sheet(path, table)


def read(path: Path, photos: pd.DataFrame, task: Task) -> pd.DataFrame:
    """The rows of `photos`, those to predict, that have a pseudo-label: photo, path, label, the index of the
    value of each factor, and group: each is one of its own. They keep their index.

    UsageError with all errors: of the file, photos that are not to be predicted, classes that are not the
    task's.
    """
    table = _read(path)
    errors = []
    if len(twice := table.index[table["photo"].duplicated()]):
        errors.append(f"{path} {lines_text(list(twice))}: a photo that has a class already")
    if len(other := table[~table["photo"].isin(photos["photo"])]):
        names = few(list(other["photo"]), 3)
        errors.append(
            f"{path}: {len(other):,} of {len(table):,} photos are not among those to predict: {names}"
        )
    for name, lines in table[~table["class"].isin(task.classes)].groupby("class").groups.items():
        errors.append(f"{path} {lines_text(list(lines))}: {unknown('class', name, task.classes)}")
    if errors:
        raise UsageError(errors)
    known = dict(zip(table["photo"], map(task.classes.index, table["class"]), strict=True))
    rows = photos.loc[photos["photo"].isin(known), ["photo", "path"]]
    rows = rows.assign(label=rows["photo"].map(known).astype(int), group=rows["photo"])
    if task.factors:
        values = np.unravel_index(rows["label"].to_numpy(), task.sizes)
        rows = rows.assign(**dict(zip(task.factors, values, strict=True)))
    return rows


def refuse_known(path: Path, recipe: Mapping[str, Any], table: pd.DataFrame | None = None) -> None:
    """UsageError if a network that predicted the pseudo-labels was trained on groups that a trial of `recipe`
    holds out for validation: it has their labels, so the score would promise too much. `table`: the photos to
    train on, None if they have not been read yet."""
    corrections = Path(recipe.get("corrections") or "")
    corrected = sha256_of(corrections) if corrections.is_file() else ""
    if recipe["fold"] == "all":
        raise UsageError(
            "pseudo_labels: with fold=all each fold would need labels by a network that has not seen its "
            "groups; give one fold"
        )
    known = held_out_words(recipe, corrected), held_out_words(recipe)  # the latter: by earlier versions
    mine = held_out_words(recipe, corrected, table)
    for held_out in _read(path)["held_out"].unique():
        words, _, photos = held_out.partition(PHOTOS)  # earlier versions did not name these
        if words not in known:
            theirs, wanted = words, known[0]
        elif table is not None and photos and photos != mine.partition(PHOTOS)[2]:
            theirs, wanted = held_out, mine
        else:
            continue
        by = f"held out {theirs}" if theirs else "held no group out"
        raise UsageError(
            f"pseudo_labels={path}: the training of the network that predicted them {by}, this run "
            f"validates on {wanted}: its score would promise too much; predict by a run with "
            f"fold={recipe['fold']} folds={recipe['folds']} seed={recipe['seed']} and the labels of now, "
            "or retrain (python -m analysis retrain), which validates on nobody"
        )


def _read(path: Path) -> pd.DataFrame:
    table, errors = read_table(path, COLUMNS)
    if errors or table.empty:
        raise UsageError(errors or [f"{path}: has no rows"])
    return table.map(from_cell)
