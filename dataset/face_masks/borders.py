"""What is done with training photos of ages near the borders of age bands, by name. Never applied to
validation.

Builders return a Border.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np

from dataset.face_masks.labels import AGE_EDGES, FACE_MASK, encode

if TYPE_CHECKING:
    import pandas as pd

Change = Callable[["pd.DataFrame"], "pd.DataFrame"]
Labels = Callable[[np.random.Generator, np.ndarray], np.ndarray]
Years = Annotated[int, (0, 30)]
MIDDLE, OLD = AGE_EDGES
ABOUT = f"training photos of ages near {MIDDLE} and {OLD}"  # the field's line in --list

NO_AGES = "only the face-mask task has ages; leave it out"  # what other tasks are told


class Border(NamedTuple):
    """`change(table) -> table`: of the DataFrame of training photos, before training. `drawn(table)`: of the
    labels in each epoch, gives `labels(random, rows (B,)) -> (B,)` of a batch, with a generator that depends
    on the epoch only; None: the labels stay."""

    change: Change = lambda table: table
    drawn: "Callable[[pd.DataFrame], Labels] | None" = None


def keep() -> Border:
    """All ages, with their own labels."""
    return Border()


def drop(*, before_30: Years = 3, before_60: Years = 3) -> Border:
    """Leave out people a few years below a border: 27 to 29 and 57 to 59 by default."""

    def change(table: "pd.DataFrame") -> "pd.DataFrame":
        age = table["age"]
        near = age.between(MIDDLE - before_30, MIDDLE - 1) | age.between(OLD - before_60, OLD - 1)
        return table[~near]

    return Border(change)


def relabel(*, from_age: Annotated[int, (31, 60)] = 58) -> Border:
    """Label people from `from_age` on as 60 and over."""

    def change(table: "pd.DataFrame") -> "pd.DataFrame":
        ages = table["age"].where(table["age"] < from_age, np.maximum(table["age"], OLD))
        bands = FACE_MASK.bands["age_band"].index(ages)
        return table.assign(age_band=bands, label=encode(table["mask"], table["gender"], bands))

    return Border(change)


def soft(*, sd: Annotated[float, (0, 30)] = 2.0) -> Border:
    """Label people by an age that is drawn in each epoch: their own, plus a normal error of `sd` years.

    All photos of a person have the same age in an epoch, in whole years. So people near a border are of
    either band, in a fraction of the epochs that falls with the distance: a 29-year-old is 30 or over in 40 %
    of them with an `sd` of 2. Samplers, copies, the loss's class counts and init=lda go by the people's own
    ages.
    """

    def drawn(table: "pd.DataFrame") -> Labels:
        people, person = np.unique(table["group"], return_inverse=True)
        age, mask, gender = (table[column].to_numpy() for column in ("age", "mask", "gender"))

        def labels(random: np.random.Generator, rows: np.ndarray) -> np.ndarray:
            error = random.normal(0, sd, len(people))[person[rows]]
            bands = FACE_MASK.bands["age_band"].index(np.rint(age[rows] + error))
            return np.asarray(encode(mask[rows], gender[rows], bands))

        return labels

    return Border(drawn=drawn)


BORDERS = {"keep": keep, "drop": drop, "relabel": relabel, "soft": soft}
