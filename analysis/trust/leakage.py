"""The same person, or nearly the same photo, on both sides of a split: between folds, or train and eval.

People (groups) are compared by the features of a network, which are scaled so that what varies among the
photos of one person counts little (within-class covariance normalisation; Hatch and others 2006), and
averaged over the photos of each person of train. Photos to predict, whose groups are unknown, are compared
one by one.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from dataset import near_duplicates
from dataset.split import fold_of
from dataset.task import Task

FALSE = 0.01  # of people match a different one
TAIL = 0.01, 0.001  # of the pairs of different people: from there on the tail is extrapolated
MIN_TAIL = 20  # pairs above the second
DIMENSIONS, SHRINKAGE = 300, 0.1
BLOCK = 1000  # rows compared with all others at once
SAMPLE = 1500  # rows whose pairs show the tail
MAX_PAIRS = 1000
PERSON, PHOTO = "alike", "nearly the same photo"
COLUMNS = ("kind", "one", "other", "similarity", "where", "path", "other_path")
EVAL = "eval"
HIDDEN = "\n"  # no group has such a name


class People(NamedTuple):
    """Unit vectors of the groups of train, in the order of `names`, (groups, dimensions), and of the photos
    to predict."""

    names: np.ndarray
    train: np.ndarray
    photos: np.ndarray


class Leaks(NamedTuple):
    """`pairs`: COLUMNS; `one` is a group, or a photo to predict, `other` a group of train; `where`: their
    folds, or EVAL. `limits`: {'train' or EVAL: the similarity from which people are alike}; `notes`: what
    the search left out; how many groups and photos to predict were compared."""

    pairs: pd.DataFrame
    limits: dict[str, float]
    notes: list[str]
    groups: int
    photos: int

    def lines(self, task: Task) -> list[str]:
        """For people."""
        lines = [f"compared: {self.groups:,} {task.groups} of train and {self.photos:,} photos to predict"]
        photos = self.pairs[self.pairs["kind"] == PHOTO]
        inside, across = photos[photos["where"] != EVAL], photos[photos["where"] == EVAL]
        lines.append(
            f"nearly the same photos: {len(inside):,} pairs of {task.groups} in train ({_split(inside)} of "
            f"them in two folds), {len(across):,} between train and eval"
        )
        people = self.pairs[self.pairs["kind"] == PERSON]
        inside = people[people["where"] != EVAL]
        lines.append(
            f"perhaps the same {task.group}: {len(inside):,} pairs in train ({_split(inside)} of them in two "
            f"folds; about {FALSE * self.groups / 2:.0f} would be alike by chance)"
        )
        if self.photos:
            across = people["one"][people["where"] == EVAL]
            lines.append(
                f"photos to predict that may show {task.groups} of train: {across.nunique():,} "
                f"(about {FALSE * self.photos:.0f} by chance)"
            )
        return [*lines, *(f"note: {note}" for note in self.notes)]


def _split(pairs: pd.DataFrame) -> int:
    return int(pairs["where"].str.startswith("folds").sum())


def people_of(train: np.ndarray, groups: np.ndarray, photos: np.ndarray) -> People:
    """The vectors by which people are compared, from features (photos, features) of both halves; `groups`
    (photos,) of train."""
    from sklearn.decomposition import PCA

    pca = PCA(min(DIMENSIONS, *train.shape, len(set(groups)) - 1), random_state=0).fit(train)
    names, row = np.unique(groups, return_inverse=True)
    scale = _within(pca.transform(train), row)
    mine = _means(_unit(pca.transform(train) @ scale), row)
    its = pca.transform(photos) @ scale if len(photos) else np.empty((0, mine.shape[1]))
    return People(names, _unit(mine).astype(np.float32), _unit(its).astype(np.float32))


def _within(vectors: np.ndarray, row: np.ndarray) -> np.ndarray:
    """A matrix by which vectors are multiplied so that those of one group vary alike in all directions; the
    covariance is shrunk towards a sphere. If no group has several photos, all vectors together do."""
    moved = vectors - _means(vectors, row)[row]
    several = np.bincount(row)[row] > 1
    moved = moved[several] if several.any() else vectors - vectors.mean(0)
    covariance = moved.T @ moved / len(moved)
    size = len(covariance)
    covariance += (SHRINKAGE * np.trace(covariance) / size + 1e-12) * np.eye(size)
    return np.linalg.cholesky(np.linalg.inv(covariance))


def _means(vectors: np.ndarray, row: np.ndarray) -> np.ndarray:
    total = np.zeros((row.max() + 1, vectors.shape[1]))
    np.add.at(total, row, vectors)
    return total / np.bincount(row)[:, None]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)


def threshold(similarities: np.ndarray, rate: float) -> float:
    """The similarity that a fraction `rate` of pairs of different people reaches.

    `similarities` of pairs that nearly all are different people: the few that are not would spoil the highest
    quantile, so it is extrapolated from lower ones (TAIL) as if the tail were that of a normal distribution.
    """
    from scipy.stats import norm

    lower = np.array(TAIL) * max(1.0, MIN_TAIL / len(similarities) / TAIL[1])
    lower = lower.clip(max=0.5)
    if rate >= lower[1] or lower[0] == lower[1]:
        return float(np.quantile(similarities, 1 - rate))
    first, second = np.quantile(similarities, 1 - lower)
    z = norm.isf([*lower, rate])
    return float(first + (second - first) * (z[2] - z[0]) / (z[1] - z[0]))


def same_people(people: People) -> tuple[pd.DataFrame, dict[str, float]]:
    """(Pairs of groups, or of a photo to predict and a group, that are alike: one, other, similarity; where:
    'train' or EVAL), most alike first; {where: the threshold}). At most FALSE of the groups of train (of the
    photos to predict) match a different group."""
    found, limits = [], {}
    for where, rows in (("train", people.train), (EVAL, people.photos)):
        if not len(rows):
            continue
        limits[where] = limit = threshold(_sample(rows, people.train, where), _rate(where, len(people.names)))
        for one, other, value in _pairs(rows, people.train, limit, where == "train"):
            found.append((where, one, other, value))
    pairs = pd.DataFrame(found, columns=["where", "one", "other", "similarity"])
    return pairs.sort_values("similarity", ascending=False, kind="stable", ignore_index=True), limits


def _rate(where: str, groups: int) -> float:
    """Of pairs, so that FALSE of the rows have one: a pair of two groups of train counts for both."""
    return FALSE / max(groups - 1, 1) if where == "train" else FALSE / groups


def _sample(rows: np.ndarray, others: np.ndarray, where: str) -> np.ndarray:
    chosen = np.random.default_rng(0).permutation(len(rows))[:SAMPLE]
    products = rows[chosen] @ others.T
    if where == "train":
        products[np.arange(len(chosen)), chosen] = np.nan
    return products[~np.isnan(products)]


def _pairs(
    rows: np.ndarray, others: np.ndarray, limit: float, same: bool
) -> Iterator[tuple[int, int, float]]:
    for start in range(0, len(rows), BLOCK):
        products = rows[start : start + BLOCK] @ others.T
        for one, other in np.argwhere(products >= limit):
            if not same or start + one < other:
                yield int(start + one), int(other), float(products[one, other])


def leaks(train: pd.DataFrame, photos: pd.DataFrame, people: People, folds: int, seed: int) -> Leaks:
    """What is on both sides of a split into `folds`, or of `train` and `photos` to predict (DataFrames of
    photos)."""
    fold = dict(zip(train["group"], fold_of(train, folds, seed), strict=True))
    last = train.sort_values("label", kind="stable").drop_duplicates("group", keep="last")
    path_of = dict(zip(last["group"], last["path"], strict=True))

    def where(one: str, other: str) -> str:
        return f"folds {fold[one]} and {fold[other]}" if fold[one] != fold[other] else f"fold {fold[one]}"

    alike, limits = same_people(people)
    rows = []
    for one in alike.itertuples():
        other = people.names[one.other]
        if one.where == EVAL:
            name, path = photos[["photo", "path"]].iloc[one.one]
            rows.append((PERSON, name, other, one.similarity, EVAL, path, path_of[other]))
        else:
            name = people.names[one.one]
            rows.append(
                (PERSON, name, other, one.similarity, where(name, other), path_of[name], path_of[other])
            )
    found = near_duplicates.find(train, progress=True)
    notes = [found.limit]
    rows += [
        (PHOTO, one.one, one.other, one.correlation, where(one.one, one.other), *one.paths)
        for one in found.pairs
    ]
    if len(photos):
        # Photos to predict are one group: they are not compared with each other.
        both = pd.concat([train[["photo", "path", "group", "label"]], photos.assign(group=HIDDEN, label=-1)])
        found = near_duplicates.find(both.reset_index(drop=True), progress=True)
        notes.append(found.limit)
        name_of = dict(zip(photos["path"], photos["photo"], strict=True))
        for pair in found.pairs:
            if HIDDEN in pair[:2]:
                turn = 1 if pair.one == HIDDEN else -1
                (path, other_path), group = pair.paths[::turn], pair[:2][::turn][1]
                rows.append((PHOTO, name_of[path], group, pair.correlation, EVAL, path, other_path))
    pairs = pd.DataFrame(rows, columns=list(COLUMNS))
    return Leaks(pairs, limits, list(dict.fromkeys(filter(None, notes))), len(people.names), len(photos))
