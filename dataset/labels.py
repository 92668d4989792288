"""The 18 classes: mask status x gender x age band, and how a label is computed from them."""

import re
from typing import Any

MASKS = ("wear", "incorrect", "not worn")
GENDERS = ("male", "female")
AGE_BANDS = ("<30", "30-59", "60+")
MAX_AGE = 120
N_CLASSES = len(MASKS) * len(GENDERS) * len(AGE_BANDS)

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


def encode(mask: int, gender: int, age_band: int) -> int:
    """Label 0..17 of indices into MASKS, GENDERS and AGE_BANDS: integers or arrays (numpy, pandas)."""
    return (mask * len(GENDERS) + gender) * len(AGE_BANDS) + age_band


def decode(label: int) -> tuple[int, int, int]:
    """(mask, gender, age band) of a label, or of an array of labels; the inverse of `encode`."""
    per_mask = len(GENDERS) * len(AGE_BANDS)
    return label // per_mask, label // len(AGE_BANDS) % len(GENDERS), label % len(AGE_BANDS)


def age_band(age: int) -> int:
    """Index into AGE_BANDS of an age in years: under 30, 30 to 59, 60 and over."""
    return int(age >= 30) + int(age >= 60)


def is_age(text: str) -> bool:
    """Whether a text is an integer from 1 to MAX_AGE. 0 is not an age: it often stands for "unknown"."""
    return re.fullmatch("[0-9]{1,3}", text) is not None and 1 <= int(text) <= MAX_AGE


def is_oldest(label: Any) -> Any:
    """Whether a label is of the age band 60 and over, the rarest; also for arrays (numpy, pandas, torch)."""
    return decode(label)[2] == len(AGE_BANDS) - 1


def _name(label: int) -> str:
    mask, gender, band = decode(label)
    return f"{MASKS[mask]} {GENDERS[gender]} {AGE_BANDS[band]}"


CLASS_NAMES: tuple[str, ...] = tuple(_name(label) for label in range(N_CLASSES))
