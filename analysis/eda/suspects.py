"""Suspicious labels and files: readable, but possibly wrong, so that a person should look at them."""

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
from dataset.face_masks.corrections import look_up, matches_data_set, read_corrections
from dataset.face_masks.labels import GENDERS
from dataset.pixels import read_to_size

FOLDER = re.compile(r"(?P<person>[^_]+)_(?P<gender>[^_]+)_[^_]+_(?P<age>\d+)")
SMALL = (24, 18)  # height, width at which photos are compared
ALIKE = 0.97  # mean correlation of two people's photos from which on they count as the same
ASPECT, AREA = 1.1, 4.0  # largest usual factor between a photo's aspect ratio (area) and the median
BLOCK = 1000  # people compared with all others at once


@dataclass(frozen=True)
class Suspect:
    """`where`: people or a photo; `why`: what is suspicious; `paths`: photos to show, if any."""

    where: str
    why: str
    paths: tuple[str, ...] = ()


def suspects(table: pd.DataFrame, headers: pd.DataFrame) -> dict[str, list[Suspect]]:
    """{title of a kind: its suspects} in the DataFrame of photos `table`; `headers` as from
    `facts.read_headers`."""
    if table.empty:
        return {}
    people = table.drop_duplicates("person")
    found = {
        "Folder and train.csv disagree": contradicting_folders(people),
        "One number, two people": shared_numbers(people),
        "Known to be labelled wrongly": known_errors(table),
        "The same photos under two ids": look_alikes(table[table["path"].isin(headers["path"])]),
        "Unusual size": outliers(headers),
    }
    return {title: some for title, some in found.items() if some}


def contradicting_folders(people: pd.DataFrame) -> list[Suspect]:
    """People whose folder, ID_GENDER_RACE_AGE, states another gender or age than their row of train.csv."""
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
    """Ids that differ only after a dash (001498, 001498-1), with different genders or ages."""
    found = []
    for _, some in people.groupby(people["person"].str.split("-").str[0]):
        if len(some[["gender", "age"]].drop_duplicates()) > 1:
            labels = [f"{row.person} {GENDERS[row.gender]}, {row.age} years" for row in some.itertuples()]
            found.append(Suspect(", ".join(some["person"]), "; ".join(labels)))
    return found


def known_errors(table: pd.DataFrame) -> list[Suspect]:
    """The entries of the shipped list of the competition's label errors; none if less than half of the list
    matches, since then this is another data set."""
    entries = look_up(table, read_corrections("competition"))
    if not matches_data_set(entries):
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
    """Photos whose aspect ratio or area is far from the median."""
    aspect, area = headers["height"] / headers["width"], headers["height"] * headers["width"]
    odd = _far(aspect, ASPECT) | _far(area, AREA)
    usual = f"the median is {headers['height'].median():.0f} high, {headers['width'].median():.0f} wide"
    return [
        Suspect(row.photo, f"{row.height} high, {row.width} wide; {usual}", (row.path,))
        for row in headers[odd].itertuples()
    ]


def look_alikes(table: pd.DataFrame) -> list[Suspect]:
    """Pairs of people whose photos of the same name have a mean correlation of ALIKE or more at SMALL size,
    which is insensitive to size, format and brightness."""
    people, vectors = _vectors(table)
    shown = table.sort_values("mask").drop_duplicates("person", keep="last").set_index("person")
    found = []
    for one, other, correlation in _pairs(vectors):
        first, second = shown.loc[people[one]], shown.loc[people[other]]
        labels = " and ".join(f"{GENDERS[who['gender']]}, {who['age']} years" for who in (first, second))
        why = f"their photos correlate by {correlation:.3f}; labelled {labels}"
        found.append(Suspect(f"{people[one]}, {people[other]}", why, (first["path"], second["path"])))
    return found


def _vectors(table: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    """(People, vectors (people, photo names * pixels)): their grey photos, scaled so that the product of two
    rows is the mean correlation of the photos of the same name; a missing photo counts as 0."""
    with ThreadPoolExecutor(cores()) as threads:
        grey = list(threads.map(_grey, track(table["path"].tolist(), "comparing photos")))
    people, row = np.unique(table["person"], return_inverse=True)
    names, column = np.unique([Path(photo).stem for photo in table["photo"]], return_inverse=True)
    vectors = np.zeros((len(people), len(names), SMALL[0] * SMALL[1]), np.float32)
    if grey:
        vectors[row, column] = np.stack(grey) / np.sqrt(len(names))
    return people.tolist(), vectors.reshape(len(people), -1)


def _grey(path: str) -> np.ndarray:
    """The photo's grey values with mean 0 and length 1; zeros if it has no structure or can't be read."""
    try:
        grey = read_to_size(path, SMALL)[0].mean(2, dtype=np.float32).ravel()
    except UsageError:
        return np.zeros(SMALL[0] * SMALL[1], np.float32)
    grey -= grey.mean()
    length = np.linalg.norm(grey)
    return grey / length if length > 1 else np.zeros_like(grey)


def _pairs(vectors: np.ndarray) -> Iterator[tuple[int, int, float]]:
    """(row, later row, product) of each pair of rows whose product is ALIKE or more."""
    for start in range(0, len(vectors), BLOCK):
        products = vectors[start : start + BLOCK] @ vectors.T
        for one, other in np.argwhere(products >= ALIKE):
            if start + one < other:
                yield int(start + one), int(other), float(products[one, other])


def _far(values: pd.Series, factor: float) -> pd.Series:
    """Whether each value is above the median times `factor`, or below the median divided by it."""
    ratio = values / values.median()
    return (ratio > factor) | (ratio < 1 / factor)
