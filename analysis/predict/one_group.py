"""The photos of one group together: the factors that they share are predicted once for all of them.

It needs to know whose each photo is, which the photos to predict rarely say: it is an option, off by default.
"""

import numpy as np
import pandas as pd

from common.errors import UsageError
from dataset.factors import is_shared
from dataset.task import Task
from trial.probabilities import MIN_PROBABILITY

ALIKE = 0.95  # of the groups with several photos share a factor: then it is predicted for all of them


def shared_axes(task: Task, labels: np.ndarray, groups: np.ndarray) -> tuple[int, ...]:
    """The factors, by number, that all photos of a group have in common, by these labels (photos,) of photos
    in `groups` (photos,); () if there are none. Without factors, the class counts as one."""
    values = np.unravel_index(labels, _sizes(task))
    return tuple(axis for axis, own in enumerate(values) if is_shared(own, groups, ALIKE))


def _sizes(task: Task) -> tuple[int, ...]:
    return task.sizes or (task.n_classes,)


def marginal(probabilities: np.ndarray, task: Task, shared: tuple[int, ...]) -> np.ndarray:
    """(photos, combinations of values) the probabilities (photos, classes) of the `shared` factors alone."""
    sizes, n = _sizes(task), len(probabilities)
    others = tuple(1 + axis for axis in range(len(sizes)) if axis not in shared)
    return probabilities.reshape(n, *sizes).sum(others).reshape(n, -1)


def combine_photos(
    probabilities: np.ndarray, groups: np.ndarray, task: Task, shared: tuple[int, ...]
) -> np.ndarray:
    """The probabilities (photos, classes), with those of the `shared` factors the same for all photos of a
    group: the mean of the photos'. What a photo says of its other factors, given these, stays. A photo whose
    group is '' is left as it is."""
    sizes, n = _sizes(task), len(probabilities)
    unknown = np.char.add("photo ", np.arange(n).astype(str))
    _, row = np.unique(np.where(groups == "", unknown, groups), return_inverse=True)
    by_factor = np.asarray(probabilities, np.float64).clip(MIN_PROBABILITY).reshape(n, *sizes)
    own = by_factor.sum(tuple(1 + axis for axis in range(len(sizes)) if axis not in shared), keepdims=True)
    total = np.zeros((row.max() + 1, *own.shape[1:]))
    np.add.at(total, row, own)
    times = np.bincount(row).reshape(-1, *[1] * len(sizes))
    combined = (by_factor / own * (total / times)[row]).reshape(n, -1)
    return combined / combined.sum(1, keepdims=True)


def groups_to_answer(
    photos: pd.DataFrame, task: Task, where: str, option: str = "--combine-photos"
) -> np.ndarray:
    """(photos,) the group of each photo to predict. UsageError, which names the data set `where` and the
    `option` that asks, if they do not say whose they are."""
    if "group" not in photos or not photos["group"][photos["group"] != ""].duplicated().any():
        raise UsageError(
            f"{option}: the photos to predict of {where} do not say which of them are of the same "
            f"{task.group}; it needs a photos.csv with a column that does, or networks trained with a "
            "regular expression on paths (group=) that does (docs/data.md)"
        )
    return photos["group"].to_numpy(str)
