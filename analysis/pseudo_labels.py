"""A submission -> pseudo-labels: those of its predictions that are confident, to be trained on.

What the photos of a group share is taken only if it is predicted alike for each of them. Off unless asked
for: competitions may forbid training on the photos to predict.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from analysis.predict.one_group import combine_photos, groups_to_answer, marginal, shared_axes
from analysis.predict.trained import other_classes
from analysis.submission import JSON, PREDICTIONS, photo_errors, read_about, read_predictions, task_beside
from common.errors import UsageError
from dataset.fingerprint import fingerprint
from dataset.read import read_eval, read_train
from dataset.task import Task
from trial.data.pseudo_labels import held_out_words, write
from trial.run_folder.predictions import probabilities_of

GROUP, PHOTO = "group", "photo"
# What a class's probability must reach, by default. One photo has nothing to confirm it.
CONFIDENCE: Mapping[str, float] = MappingProxyType({GROUP: 0.8, PHOTO: 0.95})


class Chosen(NamedTuple):
    """`labels` (photos,) of all photos; `kept` (photos,): which are to be trained on."""

    labels: np.ndarray
    kept: np.ndarray


def confident_photos(probabilities: np.ndarray, confidence: float) -> Chosen:
    """Photos whose most probable class has this probability, by their `probabilities` (photos, classes)."""
    return Chosen(probabilities.argmax(1), probabilities.max(1) >= confidence)


def agreeing_groups(
    probabilities: np.ndarray, groups: np.ndarray, task: Task, shared: tuple[int, ...], confidence: float
) -> Chosen:
    """The same for probabilities that are combined over each group (`combine_photos`). A group is left out if
    one of its photos alone says something else of the `shared` factors, and if it has one photo only, with
    which none can agree."""
    combined = combine_photos(probabilities, groups, task, shared)
    labels, kept = confident_photos(combined, confidence)
    own, together = (marginal(one, task, shared).argmax(1) for one in (probabilities, combined))
    alike = pd.Series(own == together).groupby(groups).transform("all").to_numpy()
    several = pd.Series(groups).groupby(groups).transform("size").to_numpy() > 1
    return Chosen(labels, kept & alike & several & (groups != ""))


def write_pseudo_labels(
    submission: Path, data: Path, out: Path, by: str = GROUP, confidence: float | None = None
) -> list[str]:
    """Write the file `out` of pseudo-labels for photos to predict of `data`, chosen from the predictions.csv
    in the folder `submission`. Return what was chosen, for people.

    `by`: GROUP or PHOTO; `confidence`: by default that of CONFIDENCE. UsageError if `out` exists, or the
    predictions are not of these photos and classes; by GROUP also if the photos to predict do not say whose
    they are, or were combined already.
    """
    if out.exists():
        raise UsageError(f"{out} already exists; give another --out, or move it away")
    path = submission / PREDICTIONS
    table, about, task = read_predictions(path), read_about(submission), task_beside(path)
    if about is None or task is None:
        raise UsageError(f"{submission}: has no {JSON}; give the folder of a submission")
    recipe = _members(about)[0].get("recipe") or {}
    group, corrections = recipe.get("group", ""), recipe.get("corrections") or None
    photos, (own, train) = read_eval(data, group), read_train(data, corrections, group)
    if words := other_classes(task, own):
        raise UsageError(f"{path}: predicts {words} than {data}")
    if errors := photo_errors(path, list(table["ImageID"]), list(photos["photo"]), f"those of {data}"):
        raise UsageError(errors)
    limit = CONFIDENCE[by] if confidence is None else confidence
    probabilities = probabilities_of(table)
    if by == PHOTO:
        chosen = confident_photos(probabilities, limit)
    else:
        groups = _groups(photos, about, own, data, submission)
        shared = shared_axes(own, train["label"].to_numpy(), train["group"].to_numpy(str))
        if not shared:
            raise UsageError(
                f"--by group: the photos to train on of one {own.group} in {data} have no class or factor in "
                f"common; --by {PHOTO} takes each by itself"
            )
        chosen = agreeing_groups(probabilities, groups, own, shared, limit)
    if not chosen.kept.any():
        raise UsageError(f"{path}: no prediction is as confident as {limit:g}; lower --confidence")
    some = photos[chosen.kept]
    write(out, some["photo"], chosen.labels[chosen.kept], own, _held_out(about, data, train))
    return [_count(some, photos, by, own, limit), *_of_classes(chosen, own)]


def _groups(
    photos: pd.DataFrame, about: Mapping[str, Any], task: Task, data: Path, submission: Path
) -> np.ndarray:
    if "combined_photos" in about:
        raise UsageError(
            f"{submission}: was predicted with --combine-photos, after which the photos of one {task.group} "
            "always agree; predict without"
        )
    try:
        return groups_to_answer(photos, task, str(data), f"--by {GROUP}")
    except UsageError as error:
        hint = f"--by {PHOTO} takes each by itself, if its class has a probability of {CONFIDENCE[PHOTO]:g}"
        raise UsageError([*error.errors, hint]) from None


def _members(about: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a submission.json says of each network that predicted."""
    return about.get("members") or [about]


def _held_out(about: Mapping[str, Any], data: Path, train: pd.DataFrame) -> str:
    """Which groups of `data`, with the photos `train`, all networks that predicted have not been trained on;
    '' if there are none. A network that was retrained has a rule: it holds nobody out, whatever fold its
    recipe names."""
    found = set()
    for member in _members(about):
        recipe = member.get("recipe") or {}
        alike = member.get("data_fingerprint") == fingerprint(data)
        one = alike and "rule" not in member and isinstance(recipe.get("fold"), int)
        corrections = (member.get("label_files") or {}).get("corrections", "")
        found.add(held_out_words(recipe, corrections, train) if one else "")
    return found.pop() if len(found) == 1 else ""


def _count(some: pd.DataFrame, photos: pd.DataFrame, by: str, task: Task, limit: float) -> str:
    groups = ""
    if by == GROUP:
        known = photos["group"][photos["group"] != ""].nunique()
        groups = f", of {some['group'].nunique():,} of {known:,} {task.groups}"
    return f"pseudo-labels: {len(some):,} of {len(photos):,} photos to predict{groups}, confidence {limit:g}"


def _of_classes(chosen: Chosen, task: Task) -> list[str]:
    """A line for each class, of how many photos that are predicted to be of it are taken."""
    every, taken = (np.bincount(labels, minlength=task.n_classes)
                    for labels in (chosen.labels, chosen.labels[chosen.kept]))  # fmt: skip
    width = max(map(len, task.classes))
    return [
        f"  {name:<{width}}  {one:,} of {all_:,}"
        for name, one, all_ in zip(task.classes, taken, every, strict=True)
    ]
