"""The 18 classes: mask status x gender x age band. The one place that knows how a label is made."""

import re
from typing import Any

MASKS = ("wear", "incorrect", "not worn")
GENDERS = ("male", "female")
AGE_BANDS = ("<30", "30-59", "60+")
MAX_AGE = 120
N_CLASSES = len(MASKS) * len(GENDERS) * len(AGE_BANDS)

# File name without its extension -> index into MASKS; every person has exactly these seven photos.
PHOTO_MASKS = {
    "mask1": 0,
    "mask2": 0,
    "mask3": 0,
    "mask4": 0,
    "mask5": 0,
    "incorrect_mask": 1,
    "normal": 2,
}


def encode(mask: int, gender: int, age_band: int) -> int:
    """Label 0..17 of indices into MASKS, GENDERS and AGE_BANDS. Whole columns (numpy, pandas) work too."""
    return (mask * len(GENDERS) + gender) * len(AGE_BANDS) + age_band


def decode(label: int) -> tuple[int, int, int]:
    """(mask, gender, age band) of a label; the reverse of `encode`, for whole columns too."""
    per_mask = len(GENDERS) * len(AGE_BANDS)
    return label // per_mask, label // len(AGE_BANDS) % len(GENDERS), label % len(AGE_BANDS)


def age_band(age: int) -> int:
    """Index into AGE_BANDS: under 30, 30 to 59, 60 and over. `age` in whole years."""
    return int(age >= 30) + int(age >= 60)


def is_age(text: str) -> bool:
    """Whether a text is an age: whole years from 1 (0 stands for "unknown" too often) to MAX_AGE."""
    return re.fullmatch("[0-9]{1,3}", text) is not None and 1 <= int(text) <= MAX_AGE


def is_oldest(label: Any) -> Any:
    """Whether a label is one of people of 60 and over, the rarest; for whole columns (numpy, pandas,
    torch) too."""
    return decode(label)[2] == len(AGE_BANDS) - 1


def _name(label: int) -> str:
    mask, gender, band = decode(label)
    return f"{MASKS[mask]} {GENDERS[gender]} {AGE_BANDS[band]}"


CLASS_NAMES: tuple[str, ...] = tuple(_name(label) for label in range(N_CLASSES))
