"""Attributes of synthetic people; gender and age influence how they look."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from common.errors import UsageError
from dataset.face_masks.drawing.canvas import Colour, mix, shade
from dataset.face_masks.labels import AGE_BANDS, GENDERS

# Of the competition's people, 61 % are female; 47 % are under 30, 45 % from 30 to 59, 7 % are 60.
GENDER_FRACTIONS = (0.39, 0.61)
BAND_FRACTIONS = (0.475, 0.455, 0.07)

INK = ((18, 16, 20), (34, 24, 24))
BROWN = ((74, 50, 36), (92, 64, 46), (58, 42, 36))
VIVID = ((186, 112, 48), (214, 156, 84), (158, 54, 42), (140, 74, 140), (74, 96, 164))
GREY = ((206, 204, 204), (228, 226, 222), (176, 174, 176))
COOL = ((52, 84, 140), (64, 112, 104), (70, 78, 92), (44, 56, 84), (98, 122, 70))
WARM = ((206, 84, 96), (232, 150, 168), (226, 172, 96), (178, 92, 150), (236, 206, 196))
SUBDUED = ((120, 104, 92), (140, 130, 104), (96, 84, 100), (150, 138, 130), (88, 96, 88))


@dataclass(frozen=True)
class Person:
    """What all photos of a person have in common. Lengths are in half face widths, strengths from 0 to 1."""

    gender: int
    age: int
    skin: Colour
    hair: Colour
    style: str  # of hair: bald, short, bob, long, bun
    fringe: float  # how far hair covers the forehead; below 0 it recedes
    jaw: float
    brow: float
    eye: float
    lips: float
    wrinkles: float
    roughness: float
    bags: float
    beard: float
    glasses: bool
    earrings: bool
    garment: str  # tee, hoodie, collar, suit, knit
    clothes: Colour
    shoulders: float
    wall: Colour


def sample_groups(people: int, at_least: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """(gender, age) of each of `people` people: distributed as in the competition, in random order, and at
    least `at_least` of every gender and age band.

    UsageError if `people` is too small for that.
    """
    groups = [(gender, band) for gender in range(len(GENDERS)) for band in range(len(AGE_BANDS))]
    if people < at_least * len(groups):
        raise UsageError(
            f"{people} people are too few: {at_least} of each of {len(groups)} groups of gender and age need "
            f"{at_least * len(groups)}"
        )
    counts = Counter(dict.fromkeys(groups, at_least))
    fractions = np.array([GENDER_FRACTIONS[gender] * BAND_FRACTIONS[band] for gender, band in groups])
    for _ in range(people - at_least * len(groups)):
        # The group that is furthest below its fraction comes next: the counts are the same for every seed.
        lacking = fractions * people - [counts[group] for group in groups]
        counts[groups[int(lacking.argmax())]] += 1
    drawn = [(gender, _age(band, rng)) for (gender, band) in groups for _ in range(counts[gender, band])]
    return [drawn[index] for index in rng.permutation(len(drawn))]


def _age(band: int, rng: np.random.Generator) -> int:
    if band == 0:
        return int(rng.triangular(18, 22, 30))
    return int(rng.triangular(30, 46, 60)) if band == 1 else 60


def sample_person(gender: int, age: int, rng: np.random.Generator) -> Person:
    """A random person of that gender and age. Each attribute is a noisy cue; together they mostly tell both.

    As in the competition, 60 is the oldest recorded age and stands for all older people: they look 60 to 72.
    """
    female = gender == GENDERS.index("female")
    looks = age + rng.normal(0, 2) + (rng.uniform(3, 12) if age >= 60 else 0)
    young, old = _ramp(looks, 34, 26), _ramp(looks, 53, 63)

    def chance(probability: float) -> bool:
        return bool(rng.random() < probability)

    def one_of(choices):
        return choices[rng.integers(len(choices))]

    skin = mix(
        (248, 212, 184),
        (200, 148, 108),
        rng.beta(2, 3) * (0.35 if female else 0.6) + 0.4 * (1 - young) * rng.random(),
    )
    skin = mix(mix(skin, (254, 204, 192), 0.3 * young), (206, 178, 140), 0.4 * old)
    hair = one_of(VIVID if chance(0.6) else INK) if chance(0.1 + 0.85 * young) else one_of(BROWN)
    if not chance(0.08):
        hair = mix(hair, one_of(GREY), _ramp(looks + rng.normal(0, 4), 47, 62))
    long = chance(0.94 if female else 0.04)
    bald = not female and looks > 45 and chance(0.33)
    style = one_of(("long", "long", "long", "bob", "bob", "bun")) if long else "bald" if bald else "short"
    dress = WARM if female != chance(0.12) else COOL
    garments = (
        ("tee", "hoodie", "tee", "knit"),
        ("collar", "suit", "suit", "tee"),
        ("knit", "knit", "collar"),
    )
    garment = one_of(garments[0 if chance(young) else 2 if chance(old) else 1])
    clothes = mix(one_of(dress), one_of(SUBDUED), 0.75 * old + 0.2 * rng.random())
    clothes = shade(clothes, 1.0 + 0.25 * young - (0.5 if garment == "suit" else 0.15 * (1 - young - old)))
    return Person(
        gender=gender,
        age=age,
        skin=skin,
        hair=hair,
        style=style,
        fringe=float(rng.normal(0.35, 0.2) - (0.0 if female else 0.35 * (1 - young)) - 0.1 * old),
        jaw=float(rng.normal(0.64 if female else 0.84, 0.05) + 0.05 * old),
        brow=float(np.clip(rng.normal(0.2 if female else 0.8, 0.17), 0.05, 1)),
        eye=float(np.clip(rng.normal(0.55 + 0.15 * female + 0.15 * young - 0.15 * old, 0.1), 0.2, 1)),
        lips=float(np.clip(rng.normal(0.8 if female else 0.15, 0.2), 0, 1)),
        wrinkles=float(np.clip(_ramp(looks + rng.normal(0, 5), 32, 66), 0, 1)),
        roughness=float(np.clip(_ramp(looks + rng.normal(0, 7), 24, 64), 0, 1)),
        bags=float(np.clip(_ramp(looks + rng.normal(0, 8), 30, 64), 0, 1)),
        beard=0.0 if female or chance(0.45) else float(rng.uniform(0.2, 1)),
        glasses=chance(0.16 + 0.4 * old),
        earrings=chance(0.4 if female else 0.05),
        garment=garment,
        clothes=clothes,
        shoulders=float(rng.normal(1.45 if female else 1.85, 0.09)),
        wall=mix(mix((214, 222, 232), (232, 214, 184), rng.random()), one_of((*COOL, *WARM)), rng.beta(1, 4)),
    )


def _ramp(value: float, begin: float, end: float) -> float:
    """0 at `begin`, 1 at `end`, linear in between, constant outside."""
    return float(np.clip((value - begin) / (end - begin), 0, 1))
