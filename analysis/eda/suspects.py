"""What in a data set could be read and yet may be wrong: labels and files that somebody should look at."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from common.errors import UsageError
from common.machine import cores
from common.progress import track
from dataset.corrections import look_up, of_this_set, read_corrections
from dataset.labels import GENDERS
from dataset.pixels import read_to_size

FOLDER = re.compile(r"(?P<person>[^_]+)_(?P<gender>[^_]+)_[^_]+_(?P<age>\d+)")
SMALL = (24, 18)  # height, width at which photos are compared
ALIKE = 0.97  # mean correlation of two people's photos, from which on they are taken for the same
ASPECT, AREA = 1.1, 4.0  # a file's ratio of sides and its area, against the median: up to this factor
BLOCK = 1000  # people compared with all others at a time


@dataclass(frozen=True)
class Suspect:
    """`where`: people or a photo; `why`: what is odd; `paths`: photos to show, if any."""

    where: str
    why: str
    paths: tuple[str, ...] = ()


def suspects(table: pd.DataFrame, headers: pd.DataFrame) -> dict[str, list[Suspect]]:
    """What is found in the photo table, under a title of its kind; `headers` as of eda_facts.read_headers."""
    if table.empty:
        return {}
    people = table.drop_duplicates("person")
    found = {
        "Folder and train.csv disagree": told_otherwise(people),
        "One number, two people": shared_numbers(people),
        "Known to be labelled wrongly": known_errors(table),
        "The same photos under two ids": look_alikes(table[table["path"].isin(headers["path"])]),
        "Unusual size": outliers(headers),
    }
    return {title: some for title, some in found.items() if some}


def told_otherwise(people: pd.DataFrame) -> list[Suspect]:
    """People whose folder, ID_GENDER_RACE_AGE, has another gender or age than their line in train.csv."""
    found = []
    for row in people.itertuples():
        folder = row.photo.partition("/")[0]
        name = FOLDER.fullmatch(folder)
        recorded = (GENDERS[row.gender], str(row.age))
        if name and (name["gender"], name["age"]) != recorded:
            found.append(
                Suspect(row.person, f"folder {folder}; train.csv: {recorded[0]}, {recorded[1]} years")
            )
    return found


def shared_numbers(people: pd.DataFrame) -> list[Suspect]:
    """Ids that differ in what follows a dash alone (001498, 001498-1), with another gender or age."""
    found = []
    for _, some in people.groupby(people["person"].str.split("-").str[0]):
        if len(some[["gender", "age"]].drop_duplicates()) > 1:
            told = [f"{row.person} {GENDERS[row.gender]}, {row.age} years" for row in some.itertuples()]
            found.append(Suspect(", ".join(some["person"]), "; ".join(told)))
    return found


def known_errors(table: pd.DataFrame) -> list[Suspect]:
    """What the shipped list of the competition's label errors says of this set; nothing where the set isn't
    the competition's: where less than half of that list fits."""
    entries = look_up(table, read_corrections("competition"))
    if not of_this_set(entries):
        return []
    return [
        Suspect(
            one.entry.id,
            f"{one.entry.recorded}, is {one.entry.corrected}",
            tuple(table.loc[one.rows, "path"][-1:]),
        )
        for one in entries
        if one.changes and not one.wrong
    ]


def outliers(headers: pd.DataFrame) -> list[Suspect]:
    """Photos whose ratio of sides or area is far from the median's."""
    aspect, area = headers["height"] / headers["width"], headers["height"] * headers["width"]
    odd = _far(aspect, ASPECT) | _far(area, AREA)
    usual = f"the median is {headers['height'].median():.0f} high, {headers['width'].median():.0f} wide"
    return [
        Suspect(row.photo, f"{row.height} high, {row.width} wide; {usual}", (row.path,))
        for row in headers[odd].itertuples()
    ]


def look_alikes(table: pd.DataFrame) -> list[Suspect]:
    """Pairs of people whose photos of the same name are alike: mean correlation of ALIKE or more at SMALL
    size, which survives another size, format or brightness."""
    people, vectors = _vectors(table)
    shown = table.sort_values("mask").drop_duplicates("person", keep="last").set_index("person")
    found = []
    for one, other, likeness in _pairs(vectors):
        first, second = shown.loc[people[one]], shown.loc[people[other]]
        told = " and ".join(f"{GENDERS[who['gender']]}, {who['age']} years" for who in (first, second))
        why = f"their photos correlate by {likeness:.3f}; recorded as {told}"
        found.append(Suspect(f"{people[one]}, {people[other]}", why, (first["path"], second["path"])))
    return found


def _vectors(table: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    """People and (people, photo names * pixels): their photos in grey, so that a product of two rows is the
    mean correlation of the photos of the same name; one that is missing correlates with nothing."""
    with ThreadPoolExecutor(cores()) as threads:
        grey = list(threads.map(_grey, track(table["path"].tolist(), "comparing photos")))
    people, row = np.unique(table["person"], return_inverse=True)
    names, column = np.unique([Path(photo).stem for photo in table["photo"]], return_inverse=True)
    vectors = np.zeros((len(people), len(names), SMALL[0] * SMALL[1]), np.float32)
    if grey:
        vectors[row, column] = np.stack(grey) / np.sqrt(len(names))
    return people.tolist(), vectors.reshape(len(people), -1)


def _grey(path: str) -> np.ndarray:
    """The photo's grey values with mean 0 and length 1; zeros where it has no structure or can't be read."""
    try:
        grey = read_to_size(path, SMALL)[0].mean(2, dtype=np.float32).ravel()
    except UsageError:
        return np.zeros(SMALL[0] * SMALL[1], np.float32)
    grey -= grey.mean()
    length = np.linalg.norm(grey)
    return grey / length if length > 1 else np.zeros_like(grey)


def _pairs(vectors: np.ndarray) -> Iterator[tuple[int, int, float]]:
    """(row, later row, product) of the rows whose product is ALIKE or more."""
    for start in range(0, len(vectors), BLOCK):
        products = vectors[start : start + BLOCK] @ vectors.T
        for one, other in np.argwhere(products >= ALIKE):
            if start + one < other:
                yield int(start + one), int(other), float(products[one, other])


def _far(values: pd.Series, factor: float) -> pd.Series:
    """Whether each is more than `factor` times the median, or less than the median by as much."""
    ratio = values / values.median()
    return (ratio > factor) | (ratio < 1 / factor)
