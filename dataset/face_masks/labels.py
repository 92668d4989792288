"""The 18 classes: mask status x gender x age band, as a task."""

import itertools
import re

from dataset.task import Bands, Task

MASKS = ("wear", "incorrect", "not worn")
GENDERS = ("male", "female")
AGE_BANDS = ("<30", "30-59", "60+")
AGE_EDGES = (30, 60)
MAX_AGE = 120

# File name without extension -> index into MASKS. Every person has exactly these seven photos.
PHOTO_MASKS = {
    "mask1": 0,
    "mask2": 0,
    "mask3": 0,
    "mask4": 0,
    "mask5": 0,
    "incorrect_mask": 1,
    "normal": 2,
}

_CLASSES = tuple(map(" ".join, itertools.product(MASKS, GENDERS, AGE_BANDS)))
FACE_MASK = Task(
    name="face_mask",
    classes=_CLASSES,
    factors={"mask": MASKS, "gender": GENDERS, "age_band": AGE_BANDS},
    group="person",
    groups="people",
    answers=tuple(map(str, range(len(_CLASSES)))),  # as the competition wants them
    rare=tuple(label for label, name in enumerate(_CLASSES) if name.endswith(AGE_BANDS[-1])),
    rare_name=AGE_BANDS[-1],
    bands={"age_band": Bands("age", AGE_EDGES, "years")},
)
NO_CORRECTIONS = "only the face-mask task has them; correct the labels of this set in its own files"


def encode(mask: int, gender: int, age_band: int) -> int:
    """Label 0..17 of indices into MASKS, GENDERS and AGE_BANDS: integers or arrays (numpy, pandas)."""
    return (mask * len(GENDERS) + gender) * len(AGE_BANDS) + age_band


def age_band(age: int) -> int:
    """Index into AGE_BANDS of an age in years: under 30, 30 to 59, 60 and over."""
    return int(FACE_MASK.bands["age_band"].index(age))


def is_age(text: str) -> bool:
    """Whether a text is an integer from 1 to MAX_AGE. 0 is not an age: it often stands for "unknown"."""
    return re.fullmatch("[0-9]{1,3}", text) is not None and 1 <= int(text) <= MAX_AGE
