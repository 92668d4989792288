"""Split groups into folds: a group's photos are never on both sides, and folds have all classes alike."""

import numpy as np
import pandas as pd

from common.errors import UsageError
from dataset.task import Task


def fold_of(table: pd.DataFrame, folds: int, seed: int) -> pd.Series:
    """The fold (0..folds-1) of each row of a DataFrame of photos; all photos of a group are in one fold.

    Groups are sorted, then shuffled by `seed`, so the order of the rows does not matter. If most groups have
    the same classes as enough others (one label each, or the same set of labels), folds are stratified by the
    set; else groups are dealt one by one, each to the fold that most evens out the classes. A class in fewer
    groups than folds is missing from some folds (see `absent_classes`). UsageError if there are fewer groups
    than folds.
    """
    groups, strata, counts = _strata(table)
    if folds < 2 or folds > len(groups):
        raise UsageError(f"folds={folds}: must be from 2 to the number of groups ({len(groups)})")
    rng = np.random.RandomState(seed)
    sizes = np.bincount(strata)
    if sizes[sizes >= folds].sum() >= len(groups) / 2:
        fold = _stratified(strata, folds, rng)
    else:
        fold = _balanced(counts, folds, rng)
    return table["group"].map(dict(zip(groups, fold, strict=True))).rename("fold")


def _strata(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(Groups, sorted; the number of the set of labels of each; its photos of each label: (groups, labels))."""
    groups, row = np.unique(table["group"].to_numpy(), return_inverse=True)
    labels, column = np.unique(table["label"].to_numpy(), return_inverse=True)
    counts = np.zeros((len(groups), len(labels)), dtype=int)
    np.add.at(counts, (row, column), 1)
    return groups, np.unique(counts > 0, axis=0, return_inverse=True)[1].ravel(), counts


def _stratified(strata: np.ndarray, folds: int, rng: np.random.RandomState) -> np.ndarray:
    """The fold of each group, identical to scikit-learn's StratifiedKFold(shuffle=True).

    Own code because importing scikit-learn takes a third as long as importing torch, at the start of every
    trial. A test compares the two.
    """
    _, first, stratum = np.unique(strata, return_index=True, return_inverse=True)
    stratum = np.argsort(np.argsort(first))[stratum]  # numbered in order of appearance
    ordered = np.sort(stratum)
    counts = np.array([np.bincount(ordered[number::folds], minlength=len(first)) for number in range(folds)])
    fold = np.empty(len(strata), dtype=int)
    for number in range(len(first)):
        folds_of_stratum = np.arange(folds).repeat(counts[:, number])
        rng.shuffle(folds_of_stratum)
        fold[stratum == number] = folds_of_stratum
    return fold


def _balanced(counts: np.ndarray, folds: int, rng: np.random.RandomState) -> np.ndarray:
    """The fold of each group, from `counts` (groups, labels) of its photos: the largest and most uneven
    groups first, each to the fold by which the classes' fractions in the folds differ least; among equals, to
    the fold with the fewest photos. After scikit-learn's StratifiedGroupKFold, which refuses rare classes."""
    order = rng.permutation(len(counts))
    order = order[np.argsort(-counts[order].std(axis=1), kind="stable")]
    fractions = counts / counts.sum(axis=0)
    held = np.zeros((folds, counts.shape[1]))
    photos = np.zeros(folds)
    fold = np.empty(len(counts), dtype=int)
    for group in order:
        after = np.repeat(held[None], folds, axis=0)
        after[np.arange(folds), np.arange(folds)] += fractions[group]
        uneven = after.std(axis=1).sum(axis=1)
        best = np.lexsort((photos, uneven.round(12)))[0]
        fold[group] = best
        held[best] += fractions[group]
        photos[best] += counts[group].sum()
    return fold


def split(table: pd.DataFrame, fold: int, folds: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(training photos, validation photos): validation has the groups of `fold`, training all others.

    Rows keep their index, which is their row in an array cached for the whole DataFrame. UsageError if `fold`
    is not from 0 to `folds` - 1.
    """
    if not 0 <= fold < folds:
        raise UsageError(f"fold={fold}: must be from 0 to {folds - 1} (folds={folds})")
    held_out = fold_of(table, folds, seed) == fold
    return table[~held_out], table[held_out]


def fraction_of(table: pd.DataFrame, fraction: float, seed: int) -> pd.DataFrame:
    """The photos of a random `fraction` (0 to 1) of the groups with each set of labels, at least one.

    If sets of labels overlap, so that many are of a single group, it is a fraction of all groups, but at least
    one with each label. With the same seed, the groups of a smaller fraction are a subset of those of a larger
    one.
    """
    groups, strata, counts = _strata(table)
    shuffled = pd.DataFrame({"group": groups, "stratum": strata}).sample(frac=1, random_state=seed)
    has = counts > 0
    if np.unique(has, axis=0).sum() > has.shape[1]:  # some label is in several sets
        seen, first, more = np.zeros(has.shape[1], dtype=bool), [], []
        for group in shuffled.index:  # those by which all labels are seen, then the others
            (more if seen[has[group]].all() else first).append(group)
            seen |= has[group]
        wanted = max(len(first), int(np.ceil(len(groups) * fraction - 1e-9)))
        return table[table["group"].isin(groups[[*first, *more][:wanted]])]
    of_stratum = shuffled.groupby("stratum")["group"]
    wanted = np.ceil(of_stratum.transform("size") * fraction - 1e-9).clip(lower=1)
    return table[table["group"].isin(shuffled["group"][of_stratum.cumcount() < wanted])]


def absent_classes(table: pd.DataFrame, task: Task) -> list[str]:
    """Names of the classes without a photo in the DataFrame; they count as 0 in the macro-F1."""
    present = set(table["label"])
    return [name for label, name in enumerate(task.classes) if label not in present]


def balance(table: pd.DataFrame, folds: int, seed: int, task: Task) -> pd.DataFrame:
    """A row for each class, a column for each fold: the fraction of the class's photos in it, at best
    1 / folds."""
    counts = pd.crosstab(table["label"], fold_of(table, folds, seed))
    counts = counts.reindex(index=range(task.n_classes), columns=range(folds), fill_value=0)
    return counts.div(counts.sum(axis=1).clip(lower=1), axis=0).set_axis(list(task.classes), axis=0)
