"""Factors that say something about a group, not only about a photo of it; groups by two of them."""

import numpy as np
import pandas as pd

from dataset.task import Task


def of_groups(task: Task, table: pd.DataFrame) -> tuple[str, ...]:
    """The factors with the same value for all photos of a group, for every group; none without photos."""
    if table.empty or not task.factors:
        return ()
    values = table.groupby("group")[list(task.factors)].nunique().max()
    return tuple(factor for factor in task.factors if values[factor] == 1)


def is_shared(values: np.ndarray, groups: np.ndarray, fraction: float) -> bool:
    """Whether the photos of a group have one value in common, by the `values` (photos,) of photos in `groups`
    (photos,): in this `fraction` of the groups with several photos, as label errors make some differ. No if
    there is no such group."""
    several = pd.Series(values).groupby(groups).agg(["size", "nunique"]).query("size > 1")
    return len(several) > 0 and bool((several["nunique"] == 1).mean() >= fraction)


def groups_by_two(task: Task, table: pd.DataFrame, one: str, other: str) -> pd.DataFrame:
    """Number of groups by two factors of `of_groups`: a row for each value of `one` and "all", a column for
    each value of `other` and "all"."""
    groups = table.drop_duplicates("group")
    counts = np.zeros((len(task.factors[one]), len(task.factors[other])), dtype=int)
    np.add.at(counts, (groups[one], groups[other]), 1)
    counts = np.vstack([counts, counts.sum(0)])
    counts = np.hstack([counts, counts.sum(1, keepdims=True)])
    rows, columns = [*task.factors[one], "all"], [*task.factors[other], "all"]
    return pd.DataFrame(counts, index=rows, columns=columns)
