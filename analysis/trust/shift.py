"""Adversarial validation: can a classifier tell the photos to predict from those to train on, and by what?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from common.progress import track
from dataset.pixels import read_photo

DIMENSIONS = 20  # of the features: few, so that single people are not remembered
FOLDS, RESAMPLES, REFERENCES = 5, 1000, 4
SIDE = 256  # pixels; larger photos are shrunk to it before contrast and sharpness are measured
NOTABLE = 0.56  # AUC of one measure from which it is said to differ; below 0.44 likewise
ADVICE = {
    "brightness": "the light differs: augment brightness and contrast, and look at the photos",
    "contrast": "the contrast differs: augment contrast",
    "sharpness": "the sharpness differs (focus, compression, scaling): augment with blur and compression",
    "width": "the sizes differ: check that both halves were scaled and cropped in the same way",
    "height": "the sizes differ: check that both halves were scaled and cropped in the same way",
    "face height": "faces differ in size: train with crop=face, or augment scale",
}


class Auc(NamedTuple):
    """The area under the ROC curve and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Shift:
    """`auc` of telling the halves apart; `reference`: the highest of what is reached for random halves of the
    groups of train, whose photos come from one place. `measures`: a row for each measure of photos, with the
    medians train and eval, and its own auc, low and high (the probability that a photo to predict has
    more)."""

    auc: Auc
    reference: float
    measures: pd.DataFrame

    @property
    def differs(self) -> bool:
        """Whether the halves are told apart better than random halves are."""
        return self.auc.low > max(self.reference, 0.5)

    @property
    def notable(self) -> list[str]:
        """The measures that surely differ, and not by little."""
        far = (self.measures["auc"] - 0.5).abs() >= NOTABLE - 0.5
        sure = (self.measures["low"] > 0.5) | (self.measures["high"] < 0.5)
        return self.measures.index[far & sure].tolist()

    def lines(self) -> list[str]:
        """For people: the answer, what differs, and what to do."""
        found = [
            f"train and eval are told apart with an AUC of {self.auc} (0.5: not at all); two random halves "
            f"of train with up to {self.reference:.3f}"
        ]
        if not self.differs:
            found.append("so no shift is seen: the validation score should hold for the photos to predict")
        elif self.auc.value < 0.7:
            found.append("so they differ a little: the score on the photos to predict may be lower")
        else:
            found.append(
                "so they clearly differ: do not trust the validation score for the photos to predict"
            )
        for one in self.measures.itertuples():
            found.append(
                f"  {one.Index:12} median {one.train:9.4g} in train, {one.eval:9.4g} in eval; "
                f"AUC {one.auc:.3f} ({one.low:.3f} to {one.high:.3f})"
            )
        found += dict.fromkeys(f"{name}: {ADVICE[name]}" for name in self.notable)
        if self.differs and not self.notable:
            found.append(
                "none of these measures explains it: compare the two halves by eye (python -m analysis eda)"
            )
        return found


def measures_of(paths: Sequence[str]) -> pd.DataFrame:
    """A row for each photo: brightness (mean, 0 to 255), contrast (standard deviation), sharpness (logarithm
    of the variance of the Laplacian), width and height in pixels."""
    rows = []
    for path in track(list(paths), "measuring photos"):
        photo = read_photo(path)
        height, width = photo.shape[:2]
        grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
        if (scale := SIDE / max(height, width)) < 1:
            grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        sharpness = float(np.log1p(cv2.Laplacian(grey, cv2.CV_64F).var()))
        rows.append((float(grey.mean()), float(grey.std()), sharpness, width, height))
    return pd.DataFrame(rows, columns=["brightness", "contrast", "sharpness", "width", "height"])


def shift_of(
    features: tuple[np.ndarray, np.ndarray],
    groups: np.ndarray,
    measures: tuple[pd.DataFrame, pd.DataFrame],
    eval_groups: np.ndarray | None = None,
) -> Shift:
    """How train and eval differ, from the features (photos, features) and measures of both; `groups` of the
    photos of train, and `eval_groups`, '' where unknown. If not all groups of eval are known, a classifier
    may remember people of eval: the reference, for which the groups of one half are hidden too, shows how
    much that gives."""
    from sklearn.decomposition import PCA

    train, photos = features
    both = PCA(min(DIMENSIONS, train.shape[1], len(train), len(photos)), random_state=0).fit_transform(
        np.concatenate([train, photos])
    )
    both = np.hstack([both, pd.concat(measures).fillna(0).to_numpy()])
    mine, its = both[: len(train)], both[len(train) :]
    names, row = np.unique(groups, return_inverse=True)
    its_row, is_known = np.arange(len(its)), False
    if eval_groups is not None:
        alone = np.char.add("photo ", its_row.astype(str))
        its_names, owners = np.unique(np.where(eval_groups == "", alone, eval_groups), return_inverse=True)
        if 1 < len(its_names) < len(its):
            its_row, is_known = owners, bool((eval_groups != "").all())
    auc = _told_apart(mine, row, its, its_row)
    rng = np.random.default_rng(0)
    wanted = len(train) * min(0.5, len(photos) / (len(train) + len(photos)))
    references = []
    for _ in range(REFERENCES):
        order = rng.permutation(len(names))
        number = np.searchsorted(np.bincount(row)[order].cumsum(), wanted) + 1  # groups that hold these
        half = np.isin(row, order[: np.clip(number, 2, len(names) - 2)])
        owners = row[half] if is_known else np.arange(half.sum())
        references.append(_told_apart(mine[~half], row[~half], mine[half], owners).value)
    rows = {}
    for name in measures[0]:
        one, other = measures[0][name].to_numpy(float), measures[1][name].to_numpy(float)
        known, its_known = ~np.isnan(one), ~np.isnan(other)
        if not known.any() or not its_known.any():
            continue
        one, other = one[known], other[its_known]
        rows[name] = (np.median(one), np.median(other), *_auc(one, row[known], other, its_row[its_known]))
    return Shift(
        auc,
        max(references),
        pd.DataFrame.from_dict(rows, orient="index", columns=["train", "eval", "auc", "low", "high"]),
    )


def _told_apart(train: np.ndarray, row: np.ndarray, photos: np.ndarray, its_row: np.ndarray) -> Auc:
    """The AUC of a logistic regression that tells `photos` from those of train, cross-validated over groups:
    `row`, `its_row` have each photo's, or its number where they are unknown. Each side has two or more, and
    is dealt by itself, so that each fold has some of both."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import PredefinedSplit, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data, half = np.concatenate([train, photos]), np.repeat([0, 1], [len(train), len(photos)])
    (names, group), (its_names, its_group) = (np.unique(one, return_inverse=True) for one in (row, its_row))
    number, rng = min(FOLDS, len(names), len(its_names)), np.random.default_rng(0)
    dealt = [rng.permutation(len(names))[group], rng.permutation(len(its_names))[its_group]]
    fold = np.concatenate(dealt) % number
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced"))
    scores = cross_val_predict(model, data, half, cv=PredefinedSplit(fold), method="decision_function")
    return _auc(scores[: len(train)], row, scores[len(train) :], its_row)


def _auc(train: np.ndarray, row: np.ndarray, photos: np.ndarray, its_row: np.ndarray) -> Auc:
    """The AUC of values of train, whose photos are in groups `row`, against those of photos to predict, in
    groups `its_row`, with its interval by bootstrap over both groups."""
    values = np.concatenate([train, photos])
    distinct, place = np.unique(values, return_inverse=True)
    mine, its = place[: len(train)], place[len(train) :]

    def area(weights: np.ndarray, its_weights: np.ndarray) -> float:
        below = np.bincount(mine, weights, minlength=len(distinct))
        own = np.bincount(its, its_weights, minlength=len(distinct))
        wins = own * (np.cumsum(below) - below / 2)
        return float(wins.sum() / below.sum() / own.sum())

    rng = np.random.default_rng(0)
    owners = [np.unique(one, return_inverse=True)[1] for one in (row, its_row)]

    def weights_of(rows: np.ndarray) -> np.ndarray:
        number = rows.max() + 1
        return np.bincount(rng.integers(number, size=number), minlength=number)[rows]

    found = [area(*map(weights_of, owners)) for _ in range(RESAMPLES)]
    low, high = np.quantile(found, [0.025, 0.975])
    return Auc(area(np.ones(len(mine)), np.ones(len(its))), float(low), float(high))
