"""People -> folds: a person's photos never lie on both sides, and every side looks like the whole."""

import numpy as np
import pandas as pd

from common.errors import UsageError
from dataset.labels import AGE_BANDS, CLASS_NAMES, N_CLASSES


def fold_of(table: pd.DataFrame, folds: int, seed: int) -> pd.Series:
    """The fold (0..folds-1) of each row of the photo table, the same for all photos of a person.

    People are sorted by id, then dealt out by seed, stratified over gender x age band: the order of rows or
    of files on disk changes nothing. A group with fewer people than folds is missing from some folds (see
    `absent_classes`). Raises UsageError when there are fewer people than folds.
    """
    people = table.drop_duplicates("person").sort_values("person", ignore_index=True)
    if folds < 2 or folds > len(people):
        raise UsageError(f"folds={folds}: must be from 2 to the number of people ({len(people)})")
    groups = people["gender"] * len(AGE_BANDS) + people["age_band"]
    deal = np.random.RandomState(seed)
    # Where no group reaches across all folds, there is nothing to stratify: plain folds of people then.
    if groups.value_counts().max() >= folds:
        fold = _stratified(groups.to_numpy(), folds, deal)
    else:
        fold = np.zeros(len(people), dtype=int)
        for number, part in enumerate(np.array_split(deal.permutation(len(people)), folds)):
            fold[part] = number
    return table["person"].map(dict(zip(people["person"], fold, strict=True))).rename("fold")


def _stratified(groups: np.ndarray, folds: int, deal: np.random.RandomState) -> np.ndarray:
    """The fold of each, as scikit-learn's StratifiedKFold(shuffle=True) deals them: to import that takes a
    third as long as torch, at every trial's start. A test holds one against the other."""
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    group = np.argsort(np.argsort(first))[group]  # numbered as they come
    ordered = np.sort(group)
    counts = np.array([np.bincount(ordered[number::folds], minlength=len(first)) for number in range(folds)])
    fold = np.empty(len(groups), dtype=int)
    for number in range(len(first)):
        dealt = np.arange(folds).repeat(counts[:, number])
        deal.shuffle(dealt)
        fold[group == number] = dealt
    return fold


def split(table: pd.DataFrame, fold: int, folds: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(train table, validation table): validation holds the people of `fold`, train all the others.

    Rows keep their index, so that what was cached for the whole table can be found for its parts.
    """
    if not 0 <= fold < folds:
        raise UsageError(f"fold={fold}: must be from 0 to {folds - 1} (folds={folds})")
    held_out = fold_of(table, folds, seed) == fold
    return table[~held_out], table[held_out]


def fraction_of(table: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """The photos of `share` (0 to 1) of the people of each gender and age band, at least one, by seed.

    A smaller share of the same seed holds none but people of the larger one.
    """
    people = table.drop_duplicates("person").sort_values("person").sample(frac=1, random_state=seed)
    groups = people.groupby(["gender", "age_band"])["person"]
    wanted = np.ceil(groups.transform("size") * share - 1e-9).clip(lower=1)
    return table[table["person"].isin(people["person"][groups.cumcount() < wanted])]


def absent_classes(table: pd.DataFrame) -> list[str]:
    """Names of the classes that no photo of the table belongs to; they count 0 in the macro-F1."""
    present = set(table["label"])
    return [CLASS_NAMES[label] for label in range(N_CLASSES) if label not in present]
