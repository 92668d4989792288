"""Which photos an epoch of training sees, by name. Never applied to validation.

SAMPLERS draw photos, BORDERS leave out or relabel ages near the borders of age bands, COPIES add copies of
rare people. Builders of BORDERS and COPIES return `change(table) -> table` of DataFrames of photos; those of
SAMPLERS return `weigh(labels (N,)) -> (N,)`, the probabilities to be drawn, or None for each photo once an
epoch.
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
    """Photos drawn with replacement, rare classes more often: at `power` 1 all classes equally often.

    An epoch has as many photos as there are. The probability of a class is proportional to its fraction of
    the photos to the power 1 - `power`: at 0 the classes keep their frequencies.
    """

    def weigh(labels: np.ndarray) -> np.ndarray:
        weights = np.bincount(labels)[labels].astype(float) ** -power
        return weights / weights.sum()

    return weigh


def keep() -> Change:
    """All ages, with their own labels."""
    return lambda table: table


def drop(*, before_30: Years = 3, before_60: Years = 3) -> Change:
    """Leave out people a few years below a border: 27 to 29 and 57 to 59 by default."""

    def change(table: "pd.DataFrame") -> "pd.DataFrame":
        near = table["age"].between(30 - before_30, 29) | table["age"].between(60 - before_60, 59)
        return table[~near]

    return change


def relabel(*, from_age: Annotated[int, (31, 60)] = 58) -> Change:
    """Label people from `from_age` on as 60 and over."""

    def change(table: "pd.DataFrame") -> "pd.DataFrame":
        ages = table["age"].where(table["age"] < from_age, np.maximum(table["age"], 60))
        bands = ages.map(age_band)
        return table.assign(age_band=bands, label=encode(table["mask"], table["gender"], bands))

    return change


def none() -> Change:
    """No copies."""
    return lambda table: table


def baseline(*, sets: Annotated[int, (1, 2)] = 2) -> Change:
    """Add generated copies of the photos of people of 60 and over, in one or two `sets`.

    The copies differ each epoch (COPY_STEPS); the recipe's own augmentation follows. The baseline went from
    193 such people to 579 in this way.
    """

    def change(table: "pd.DataFrame") -> "pd.DataFrame":
        import pandas as pd

        oldest = table[is_oldest(table["label"])]
        copies = [oldest.assign(**{COPY: number}) for number in range(1, sets + 1)]
        return pd.concat([table.assign(**{COPY: 0}), *copies])

    return change


SAMPLERS: Registry = {"uniform": uniform, "class_balanced": class_balanced}
BORDERS: Registry = {"keep": keep, "drop": drop, "relabel": relabel}
COPIES: Registry = {"none": none, "baseline": baseline}
