"""Split people into folds: a person's photos are never on both sides, and folds are stratified by group."""

import numpy as np
import pandas as pd

from common.errors import UsageError
from dataset.labels import AGE_BANDS, CLASS_NAMES, N_CLASSES


def fold_of(table: pd.DataFrame, folds: int, seed: int) -> pd.Series:
    """The fold (0..folds-1) of each row of a DataFrame of photos; all photos of a person are in one fold.

    People are sorted by id, then shuffled by `seed` and stratified by gender and age band, so the order of
    the rows does not matter. A group with fewer people than folds is missing from some folds (see
    `absent_classes`). UsageError if there are fewer people than folds.
    """
    people = table.drop_duplicates("person").sort_values("person", ignore_index=True)
    if folds < 2 or folds > len(people):
        raise UsageError(f"folds={folds}: must be from 2 to the number of people ({len(people)})")
    groups = people["gender"] * len(AGE_BANDS) + people["age_band"]
    rng = np.random.RandomState(seed)
    # If no group has a person for every fold there is nothing to stratify: plain K-fold then.
    if groups.value_counts().max() >= folds:
        fold = _stratified(groups.to_numpy(), folds, rng)
    else:
        fold = np.zeros(len(people), dtype=int)
        for number, part in enumerate(np.array_split(rng.permutation(len(people)), folds)):
            fold[part] = number
    return table["person"].map(dict(zip(people["person"], fold, strict=True))).rename("fold")


def _stratified(groups: np.ndarray, folds: int, rng: np.random.RandomState) -> np.ndarray:
    """The fold of each person, identical to scikit-learn's StratifiedKFold(shuffle=True).

    Own code because importing scikit-learn takes a third as long as importing torch, at the start of every
    trial. A test compares the two.
    """
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    group = np.argsort(np.argsort(first))[group]  # numbered in order of appearance
    ordered = np.sort(group)
    counts = np.array([np.bincount(ordered[number::folds], minlength=len(first)) for number in range(folds)])
    fold = np.empty(len(groups), dtype=int)
    for number in range(len(first)):
        folds_of_group = np.arange(folds).repeat(counts[:, number])
        rng.shuffle(folds_of_group)
        fold[group == number] = folds_of_group
    return fold


def split(table: pd.DataFrame, fold: int, folds: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(training photos, validation photos): validation has the people of `fold`, training all others.

    Rows keep their index, which is their row in an array cached for the whole DataFrame. UsageError if `fold`
    is not from 0 to `folds` - 1.
    """
    if not 0 <= fold < folds:
        raise UsageError(f"fold={fold}: must be from 0 to {folds - 1} (folds={folds})")
    held_out = fold_of(table, folds, seed) == fold
    return table[~held_out], table[held_out]


def fraction_of(table: pd.DataFrame, fraction: float, seed: int) -> pd.DataFrame:
    """The photos of a random `fraction` (0 to 1) of the people of each gender and age band, at least one.

    With the same seed, the people of a smaller fraction are a subset of those of a larger one.
    """
    people = table.drop_duplicates("person").sort_values("person").sample(frac=1, random_state=seed)
    groups = people.groupby(["gender", "age_band"])["person"]
    wanted = np.ceil(groups.transform("size") * fraction - 1e-9).clip(lower=1)
    return table[table["person"].isin(people["person"][groups.cumcount() < wanted])]


def absent_classes(table: pd.DataFrame) -> list[str]:
    """Names of the classes without a photo in the DataFrame; they count as 0 in the macro-F1."""
    present = set(table["label"])
    return [CLASS_NAMES[label] for label in range(N_CLASSES) if label not in present]
