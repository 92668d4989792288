"""Labels that contradict what networks say which were not trained on them, by confident learning (cleanlab;
Northcutt and others 2021, arXiv:1911.00068).

A factor that all photos of a group share (what a person is) is audited group by group, on the mean
probability over the group's photos: photo by photo, more of what is found is the network's own mistake
(docs/audit.md). What the photos of a group don't share (what is seen in one only) is audited photo by photo.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from dataset.factors import is_shared
from dataset.task import Task

SHARED = 0.9  # of the groups with several photos have one value of a factor: then it is the group's
CLASS = "class"  # takes the place of factors where a task has none
COLUMNS = (
    "factor", "group", "photo", "recorded", "suggested", "probability", "score", "agree", "photos", "flagged",
)  # fmt: skip


class Values(NamedTuple):
    """One factor of each photo: `names` of its values, `recorded` (photos,) their indices, `probabilities`
    (photos, values)."""

    factor: str
    names: tuple[str, ...]
    recorded: np.ndarray
    probabilities: np.ndarray


def values_of(task: Task, labels: np.ndarray, probabilities: np.ndarray) -> list[Values]:
    """Each factor of photos with these labels and probabilities (photos, classes); the class itself if the
    task has no factors."""
    if not task.factors:
        return [Values(CLASS, task.classes, labels, probabilities)]
    indices = np.unravel_index(labels, task.sizes)
    cube = probabilities.reshape(-1, *task.sizes)
    others = [tuple(axis for axis in range(1, cube.ndim) if axis != own) for own in range(1, cube.ndim)]
    return [
        Values(factor, names, indices[number], cube.sum(others[number]))
        for number, (factor, names) in enumerate(task.factors.items())
    ]


def suspects(task: Task, table: pd.DataFrame, probabilities: np.ndarray) -> pd.DataFrame:
    """The photos of `table` (photo, group, label), or their groups, whose most probable value of a factor is
    not the recorded one; by factor, most suspicious first.

    Columns: `factor`; `group`, and `photo` ('' if it is the whole group); `recorded` and `suggested`: the
    names of values; `probability` of the suggested one; `score`: cleanlab's label quality, from 0 (surely
    wrong) to 1; `agree` of the group's `photos` are most probably what is suggested; `flagged`: confident
    learning counts it among the errors. A photo that contradicts its own group has the score 0, and `agree`
    of the photos are recorded as what is suggested.
    """
    groups = table["group"].to_numpy()
    found = [pd.DataFrame(columns=list(COLUMNS))]
    for values in values_of(task, table["label"].to_numpy(), probabilities):
        if is_shared(values.recorded, groups, SHARED):
            found += [_contradictions(values, table), _of_groups(values, groups)]
        else:
            found.append(_of_photos(values, table))
    return pd.concat([one for one in found if len(one)] or found[:1], ignore_index=True)[list(COLUMNS)]


def label_quality(recorded: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(Score of each recorded value, whether confident learning counts it among the errors) for
    `probabilities` (things, values); nothing is an error if all have the same value."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    present = np.unique(recorded)  # cleanlab's thresholds are means over the recorded things of a value
    if len(present) < 2:
        return np.ones(len(recorded)), np.zeros(len(recorded), bool)
    kept = probabilities[:, present].clip(1e-9)
    kept /= kept.sum(1, keepdims=True)
    index = np.searchsorted(present, recorded)
    return (
        get_label_quality_scores(index, kept, method="self_confidence"),
        find_label_issues(index, kept, filter_by="low_self_confidence", n_jobs=1),
    )


def group_probabilities(probabilities: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(Names of the groups, mean probabilities over the photos of each)."""
    names, row = np.unique(groups, return_inverse=True)
    total = np.zeros((len(names), probabilities.shape[1]))
    np.add.at(total, row, probabilities)
    return names, total / np.bincount(row)[:, None]


def _of_groups(values: Values, groups: np.ndarray) -> pd.DataFrame:
    names, mean = group_probabilities(values.probabilities, groups)
    row = np.searchsorted(names, groups)
    recorded = _majority(values.recorded, row, mean)
    found = _suspects(values, recorded, mean)
    each = values.probabilities.argmax(1)
    photos = np.bincount(row)
    for column, index in (("group", names), ("photos", photos)):
        found[column] = index[found.index]
    suggested = pd.Series(mean.argmax(1))
    found["agree"] = np.bincount(row, each == suggested[row].to_numpy()).astype(int)[found.index]
    found["photo"] = ""
    return found


def _of_photos(values: Values, table: pd.DataFrame) -> pd.DataFrame:
    found = _suspects(values, values.recorded, values.probabilities)
    rows = table.iloc[found.index]
    return found.assign(group=rows["group"].to_numpy(), photo=rows["photo"].to_numpy(), photos=1, agree=1)


def _suspects(values: Values, recorded: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """The rows whose most probable value is not the recorded one, flagged ones first, then by score."""
    score, flagged = label_quality(recorded, probabilities)
    suggested = probabilities.argmax(1)
    other = suggested != recorded
    names = np.array(values.names)
    found = pd.DataFrame(
        {
            "factor": values.factor, "recorded": names[recorded], "suggested": names[suggested],
            "probability": probabilities.max(1), "score": score, "flagged": flagged,
        }
    )  # fmt: skip
    return found[other].sort_values(["flagged", "score"], ascending=[False, True], kind="stable")


def _contradictions(values: Values, table: pd.DataFrame) -> pd.DataFrame:
    """The photos whose recorded value of a shared factor is not that of most photos of their group."""
    names, mean = group_probabilities(values.probabilities, table["group"].to_numpy())
    row = np.searchsorted(names, table["group"].to_numpy())
    majority = _majority(values.recorded, row, mean)[row]
    odd = np.flatnonzero(values.recorded != majority)
    text = np.array(values.names)
    return pd.DataFrame(
        {
            "factor": values.factor, "group": table["group"].to_numpy()[odd],
            "photo": table["photo"].to_numpy()[odd], "recorded": text[values.recorded[odd]],
            "suggested": text[majority[odd]], "probability": mean[row[odd], majority[odd]], "score": 0.0,
            "agree": [int(((row == one) & (values.recorded == majority)).sum()) for one in row[odd]],
            "photos": np.bincount(row)[row[odd]], "flagged": True,
        }
    )  # fmt: skip


def _majority(recorded: np.ndarray, row: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The value that most photos of each group have; of equally frequent ones the more probable."""
    votes = np.zeros_like(mean)
    np.add.at(votes, (row, recorded), 1)
    return (votes + 0.5 * mean).argmax(1)
