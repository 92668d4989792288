"""What is done with training photos of ages near the borders of age bands, by name. Never applied to
validation.

Builders return `change(table) -> table` of DataFrames of photos.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import numpy as np

from dataset.face_masks.labels import AGE_EDGES, FACE_MASK, encode

if TYPE_CHECKING:
    import pandas as pd

Change = Callable[["pd.DataFrame"], "pd.DataFrame"]
Years = Annotated[int, (0, 30)]
MIDDLE, OLD = AGE_EDGES
ABOUT = f"training photos of ages just below {MIDDLE} and {OLD}"  # the field's line in --list

NO_AGES = "only the face-mask task has ages; leave it out"  # what other tasks are told


def keep() -> Change:
    """All ages, with their own labels."""
    return lambda table: table


def drop(*, before_30: Years = 3, before_60: Years = 3) -> Change:
    """Leave out people a few years below a border: 27 to 29 and 57 to 59 by default."""

    def change(table: "pd.DataFrame") -> "pd.DataFrame":
        age = table["age"]
        near = age.between(MIDDLE - before_30, MIDDLE - 1) | age.between(OLD - before_60, OLD - 1)
        return table[~near]

    return change


def relabel(*, from_age: Annotated[int, (31, 60)] = 58) -> Change:
    """Label people from `from_age` on as 60 and over."""

    def change(table: "pd.DataFrame") -> "pd.DataFrame":
        ages = table["age"].where(table["age"] < from_age, np.maximum(table["age"], OLD))
        bands = FACE_MASK.bands["age_band"].index(ages)
        return table.assign(age_band=bands, label=encode(table["mask"], table["gender"], bands))

    return change


BORDERS = {"keep": keep, "drop": drop, "relabel": relabel}
