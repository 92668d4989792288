"""Which photos an epoch of training sees, by name: drawn evenly or by class, ages near the borders left out,
copies of rare people added. Never applied to validation.

BORDERS and COPIES give `change(table) -> table` of photo tables; SAMPLERS give `weigh(labels (N,)) -> (N,)`
chances to be drawn, or None for each photo once an epoch.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import numpy as np

from dataset.labels import age_band, encode, is_oldest
from trial.choice import Fraction, Registry

if TYPE_CHECKING:
    import pandas as pd

Change = Callable[["pd.DataFrame"], "pd.DataFrame"]
Weigh = Callable[[np.ndarray], np.ndarray | None]
Years = Annotated[int, (0, 30)]
COPY = "copy"  # the column that numbers the generated copies of a photo; 0: the photo itself

# What the baseline did to its two generated sets of people of 60 and over.
COPY_STEPS: tuple[list[dict], ...] = (
    [{"_name": "flip", "p": 0.3}, {"_name": "noise", "std": 0.05, "p": 1.0}],
    [
        {"_name": "color_jitter", "brightness": 0.1, "contrast": 0.1, "saturation": 0.1, "hue": 0.1},
        {"_name": "perspective", "distortion": 0.3, "p": 0.2},
    ],
)


def uniform() -> Weigh:
    """Every photo once an epoch."""
    return lambda labels: None


def class_balanced(*, power: Fraction = 1.0) -> Weigh:
    """As many photos as there are, drawn with replacement; a class's chance is its fraction of the photos to the
    power 1 - `power`: at 1 all classes come equally often, at 0 as they are."""

    def weigh(labels: np.ndarray) -> np.ndarray:
        weights = np.bincount(labels)[labels].astype(float) ** -power
        return weights / weights.sum()

    return weigh


def keep() -> Change:
    """All ages, with the labels that they have."""
    return lambda table: table


def drop(*, before_30: Years = 3, before_60: Years = 3) -> Change:
    """Leaves out people who are so many years below a border: 27 to 29 and 57 to 59."""

    def change(table: "pd.DataFrame") -> "pd.DataFrame":
        near = table["age"].between(30 - before_30, 29) | table["age"].between(60 - before_60, 59)
        return table[~near]

    return change


def relabel(*, from_age: Annotated[int, (31, 60)] = 58) -> Change:
    """Counts people from this age on as 60 and over."""

    def change(table: "pd.DataFrame") -> "pd.DataFrame":
        ages = table["age"].where(table["age"] < from_age, np.maximum(table["age"], 60))
        bands = ages.map(age_band)
        return table.assign(age_band=bands, label=encode(table["mask"], table["gender"], bands))

    return change


def none() -> Change:
    """No copies."""
    return lambda table: table


def baseline(*, sets: Annotated[int, (1, 2)] = 2) -> Change:
    """Photos of people of 60 and over again, in `sets` generated sets, made anew each epoch (COPY_STEPS): the
    baseline's way from 193 such people to 579. A recipe's own augmentation follows."""

    def change(table: "pd.DataFrame") -> "pd.DataFrame":
        import pandas as pd

        oldest = table[is_oldest(table["label"])]
        copies = [oldest.assign(**{COPY: number}) for number in range(1, sets + 1)]
        return pd.concat([table.assign(**{COPY: 0}), *copies])

    return change


SAMPLERS: Registry = {"uniform": uniform, "class_balanced": class_balanced}
BORDERS: Registry = {"keep": keep, "drop": drop, "relabel": relabel}
COPIES: Registry = {"none": none, "baseline": baseline}
