"""Suspicious labels and files: readable, but possibly wrong, so that a person should look at them."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from common.text import few
from dataset.face_masks import suspects as face_masks
from dataset.face_masks.labels import FACE_MASK
from dataset.factors import of_groups
from dataset.near_duplicates import find
from dataset.suspect import Suspect
from dataset.task import Task

ASPECT, AREA = 1.1, 4.0  # largest usual factor between a photo's aspect ratio (area) and the median
USUAL = 0.9  # of the photos are not unusual, however much the sizes of a set vary
MAX_NAMES = 3  # of a group's classes


class OfTask(NamedTuple):
    """What can look wrong in the sets of one task only. `sound`: what is right if nothing was found;
    `remedy`: how labels are corrected."""

    suspects: Callable[[pd.DataFrame], dict[str, list[Suspect]]]
    sound: str
    remedy: str


OF_TASKS = {FACE_MASK.name: OfTask(face_masks.suspects, face_masks.SOUND, face_masks.REMEDY)}


class Suspects(NamedTuple):
    """`kinds`: {title: suspects}; `limit`: why there may be more, or ''."""

    kinds: dict[str, list[Suspect]]
    limit: str


def suspects(task: Task, table: pd.DataFrame, headers: pd.DataFrame) -> Suspects:
    """All suspects in the DataFrame of photos `table`; `headers` as from `facts.read_headers`."""
    if table.empty:
        return Suspects({}, "")
    found = OF_TASKS[task.name].suspects(table) if task.name in OF_TASKS else {}
    title, alike, limit = look_alikes(task, table[table["path"].isin(headers["path"])])
    found[title] = alike
    found["Unusual size"] = outliers(headers)
    return Suspects({title: some for title, some in found.items() if some}, limit)


def outliers(headers: pd.DataFrame) -> list[Suspect]:
    """Photos whose aspect ratio or area is far from the median."""
    aspect, area = headers["height"] / headers["width"], headers["height"] * headers["width"]
    odd = _far(aspect, ASPECT) | _far(area, AREA)
    usual = f"the median is {headers['height'].median():.0f} high, {headers['width'].median():.0f} wide"
    some = headers[odd]
    return [
        Suspect(photo, f"{height} high, {width} wide; {usual}", (path,))
        for photo, height, width, path in zip(
            some["photo"], some["height"], some["width"], some["path"], strict=True
        )
    ]


def look_alikes(task: Task, table: pd.DataFrame) -> tuple[str, list[Suspect], str]:
    """(Title, pairs of groups with nearly the same photos, why there may be more or ''), as
    `near_duplicates.find`."""
    pairs, by_name, limit = find(table, progress=True)
    if task.group == "photo":
        title, which = "Nearly the same photo twice", "they correlate"
    elif by_name:
        title, which = "The same photos under two ids", "their photos correlate"
    else:
        title, which = f"Nearly the same photo in two {task.groups}", "a photo of each correlates"
    labels = _labels_of_groups(task, table, {group for pair in pairs for group in pair[:2]})
    found = []
    for one, other, correlation, paths in pairs:
        names = " and ".join(Path(path).name for path in paths)
        which_photos = "" if by_name or task.group == "photo" else f" ({names})"
        why = f"{which} by {correlation:.3f}{which_photos}; labelled {labels[one]} and {labels[other]}"
        found.append(Suspect(f"{one}, {other}", why, paths))
    return title, found, limit


def _labels_of_groups(task: Task, table: pd.DataFrame, groups: set[str]) -> dict[str, str]:
    """{group: what it is labelled as}: the values of the factors that all its photos share (numbers with
    their units), or else its classes."""
    some = table[table["group"].isin(groups)]
    factors = of_groups(task, table) if task.group != "photo" else ()
    if not factors:
        classes = some.sort_values("label").drop_duplicates(["group", "label"]).groupby("group")["label"]
        return {group: few([task.classes[label] for label in labels], MAX_NAMES) for group, labels in classes}
    labels = {}
    for row in some.drop_duplicates("group").to_dict("records"):
        labels[row["group"]] = ", ".join(
            task.bands[factor].text(row[task.bands[factor].column])
            if factor in task.bands
            else task.factors[factor][row[factor]]
            for factor in factors
        )
    return labels


def _far(values: pd.Series, factor: float) -> pd.Series:
    """Whether each value is above the median times `factor`, or below the median divided by it. If sizes vary
    more than that in this set, `factor` is the square of what USUAL of the photos keep to."""
    off = np.exp(np.abs(np.log(values / values.median())))
    return off > max(factor, float(off.quantile(USUAL)) ** 2)
