"""Split groups into folds: a group's photos are never on both sides, and folds have all classes alike."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from common.errors import UsageError
from dataset.task import Task

FEW = 5  # groups with the same set of labels
# Of the groups, with as many of the photos, have as many photos of each label as others with these labels:
# then they are strata.
ALIKE = 0.9


class _Groups(NamedTuple):
    """`names` (groups,): sorted. `row` (photos,): the group of each photo. `labels[start[i]:start[i + 1]]`:
    those that group i has, from 0 to below `n_labels`, and `photos`, at the same places: how many photos of
    each. `stratum`: the number of each group's set of labels, `kind`: of its set of labels and numbers of
    photos."""

    names: np.ndarray
    row: np.ndarray
    n_labels: int
    labels: np.ndarray
    photos: np.ndarray
    start: np.ndarray
    stratum: np.ndarray
    kind: np.ndarray

    def of(self, group: int) -> slice:
        """Where the labels and photos of a group are."""
        return slice(self.start[group], self.start[group + 1])


def fold_of(table: pd.DataFrame, folds: int, seed: int) -> pd.Series:
    """The fold (0..folds-1) of each row of a DataFrame of photos; all photos of a group are in one fold.

    Groups are sorted, then shuffled by `seed`, so the order of the rows does not matter. Folds are stratified
    by the set of labels of a group, if groups with the same set have as many photos of each label, and enough
    have the same set; else groups are dealt one by one, each to the fold that most evens out the classes. A
    class in fewer groups than folds is missing from some folds (see `absent_classes`). UsageError if there
    are fewer groups than folds.
    """
    groups = _groups(table)
    count = len(groups.names)
    if errors := folds_errors(folds, count):
        raise UsageError(errors)
    rng = np.random.RandomState(seed)
    sizes = np.bincount(groups.stratum)
    enough = sizes[sizes >= folds].sum() >= count / 2 if _overlap(groups) else sizes.max() >= folds
    if enough and _alike(groups) >= ALIKE:
        fold = _stratified(groups.stratum, folds, rng)
    else:
        fold = _balanced(groups, folds, rng)
    return pd.Series(fold[groups.row], table.index, name="fold")


def folds_errors(folds: int, groups: int) -> list[str]:
    """Why this number of groups can't be split into `folds`; [] if it can."""
    return (
        [] if 2 <= folds <= groups else [f"folds={folds}: must be from 2 to the number of groups ({groups})"]
    )


def _groups(table: pd.DataFrame) -> _Groups:
    row, names = pd.factorize(table["group"], sort=True)
    known, column = np.unique(table["label"].to_numpy(), return_inverse=True)
    pairs, photos = np.unique(row * len(known) + column, return_counts=True)
    group, labels = np.divmod(pairs, len(known))
    start = np.searchsorted(group, np.arange(len(names) + 1))
    strata, kinds = dict[bytes, int](), dict[bytes, int]()
    stratum, kind = np.empty(len(names), int), np.empty(len(names), int)
    for number, (a, b) in enumerate(pairwise(start)):
        own = labels[a:b].tobytes()
        stratum[number] = strata.setdefault(own, len(strata))
        kind[number] = kinds.setdefault(own + photos[a:b].tobytes(), len(kinds))
    return _Groups(names.to_numpy(), row, len(known), labels, photos, start, stratum, kind)


def _overlap(groups: _Groups) -> bool:
    """Whether a label is in several of the sets of labels."""
    _, one_of_each = np.unique(groups.stratum, return_index=True)
    return np.diff(groups.start)[one_of_each].sum() > groups.n_labels


def _alike(groups: _Groups) -> float:
    """The fraction of the groups that have as many photos of each label as most groups with the same labels;
    or the fraction of all photos that are in such groups, if it is smaller: a few groups can hold most."""
    sizes = np.add.reduceat(groups.photos, groups.start[:-1])
    _, first, times = np.unique(groups.kind, return_index=True, return_counts=True)
    by_size = np.lexsort((sizes[first], times, groups.stratum[first]))
    last = np.r_[np.diff(groups.stratum[first][by_size]) > 0, True]  # the most frequent kind of each stratum
    usual = by_size[last]
    in_groups, in_photos = times[usual].sum(), (times * sizes[first])[usual].sum()
    return float(min(in_groups / len(sizes), in_photos / sizes.sum()))


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
    members = np.split(np.argsort(stratum, kind="stable"), np.cumsum(counts.sum(0))[:-1])
    for number, own in enumerate(members):
        folds_of_stratum = np.arange(folds).repeat(counts[:, number])
        rng.shuffle(folds_of_stratum)
        fold[own] = folds_of_stratum
    return fold


def _balanced(groups: _Groups, folds: int, rng: np.random.RandomState) -> np.ndarray:
    """The fold of each group: the largest and most uneven groups first, each to the fold by which the
    classes' fractions in the folds differ least; among equals, to the fold with the fewest photos. After
    scikit-learn's StratifiedGroupKFold, which refuses rare classes."""
    sizes = np.add.reduceat(groups.photos, groups.start[:-1])
    squares = np.add.reduceat(groups.photos**2, groups.start[:-1])
    variance = squares / groups.n_labels - (sizes / groups.n_labels) ** 2  # of a group's photos of each label
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-variance[order], kind="stable")]
    of_label = np.bincount(groups.labels, groups.photos, minlength=groups.n_labels)
    held = np.zeros((folds, groups.n_labels))
    photos = np.zeros(folds)
    fold = np.empty(len(sizes), dtype=int)
    each = np.arange(folds)
    for group in order:
        labels = groups.labels[groups.of(group)]  # all others stay as uneven as they are
        fractions = groups.photos[groups.of(group)] / of_label[labels]
        after = np.repeat(held[None, :, labels], folds, axis=0)
        after[each, each] += fractions
        uneven = after.std(axis=1).sum(axis=1)
        best = np.lexsort((photos, uneven.round(12)))[0]
        fold[group] = best
        held[best, labels] += fractions
        photos[best] += sizes[group]
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

    If the sets overlap, and most groups have one that fewer than FEW groups have, it is a fraction of all
    groups instead, with at least one for each label. With the same seed, the groups of a smaller fraction are
    a subset of those of a larger one.
    """
    if fraction == 1:
        return table
    groups = _groups(table)
    shuffled = pd.DataFrame({"group": groups.names, "stratum": groups.stratum})
    shuffled = shuffled.sample(frac=1, random_state=seed)
    sizes = np.bincount(groups.stratum)
    if _overlap(groups) and sizes[sizes >= FEW].sum() < len(groups.names) / 2:
        seen, first, more = np.zeros(groups.n_labels, dtype=bool), list[int](), list[int]()
        for group in shuffled.index:  # those by which all labels are seen, then the others
            own = groups.labels[groups.of(group)]
            (more if seen[own].all() else first).append(group)
            seen[own] = True
        wanted = max(len(first), int(np.ceil(len(groups.names) * fraction - 1e-9)))
        return table[table["group"].isin(groups.names[[*first, *more][:wanted]])]
    of_stratum = shuffled.groupby("stratum")["group"]
    wanted = np.ceil(of_stratum.transform("size") * fraction - 1e-9).clip(lower=1)
    return table[table["group"].isin(shuffled["group"][of_stratum.cumcount() < wanted])]


def absent_classes(table: pd.DataFrame, task: Task) -> list[str]:
    """Names of the classes without a photo in the DataFrame; they count as 0 in the macro-F1."""
    present = set(table["label"].unique())
    return [name for label, name in enumerate(task.classes) if label not in present]


def balance(table: pd.DataFrame, folds: int, seed: int, task: Task) -> pd.DataFrame:
    """A row for each class, a column for each fold: the fraction of the class's photos in it, at best
    1 / folds."""
    counts = pd.crosstab(table["label"], fold_of(table, folds, seed))
    counts = counts.reindex(index=range(task.n_classes), columns=range(folds), fill_value=0)
    return counts.div(counts.sum(axis=1).clip(lower=1), axis=0).set_axis(list(task.classes), axis=0)
