"""Why a search tried each of its recipes, and why it paused or stopped some: a small CSV in the experiment's
folder. `analysis` reads it with this module, too, so it imports nothing but the standard library."""

import csv
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from io import StringIO
from operator import attrgetter
from pathlib import Path

JOURNAL, CHOSEN_CSV = "study.journal", "chosen.csv"
BY = ("default", "first", "start-up", "model", "random", "grid", "imported")
CAN_NOT_WIN = "can't win"  # the first words of why a recipe was stopped for good
RUNNING, PAUSED = "running", "paused"  # states of recipes that may go on


@dataclass(frozen=True)
class Chosen:
    """One recipe of a search.

    `number`: of the study's trial; `trial`: NNI's id of its trial, '' while unknown. `chosen_by`: one of BY.
    `expected_improvement` over the best recipe by then, and the `predicted` score with its standard
    `deviation`: of those that the model of gaussian_process chose. `state`: running, paused, complete, pruned
    (stopped) or fail; `score`: the final one; `epochs`: reported ones; `went_on`: how often it went on after
    a pause; `why`: for what reason it was paused, stopped, or failed.
    """

    number: int
    parameter_id: int | None = None
    trial: str = ""
    chosen_by: str = ""
    expected_improvement: float | None = None
    predicted: float | None = None
    deviation: float | None = None
    state: str = RUNNING
    score: float | None = None
    epochs: int = 0
    went_on: int = 0
    why: str = ""


NAMES = tuple(field.name for field in fields(Chosen))


def write_chosen(folder: Path, chosen: Iterable[Chosen]) -> None:
    """Write the recipes to the experiment's `folder`, whole or not at all."""
    part = folder / f".{CHOSEN_CSV}.part"
    with part.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(NAMES)
        writer.writerows(map(attrgetter(*NAMES), chosen))  # None is written as nothing
    part.replace(folder / CHOSEN_CSV)


def read_chosen(folder: Path) -> list[Chosen]:
    """The recipes of the search in the experiment's `folder`, in the order they were chosen; [] of a search
    by another tuner. ValueError if the file is damaged, OSError if it can't be read."""
    path = folder / CHOSEN_CSV
    if not os.path.lexists(path):
        return []
    text = path.read_bytes().decode()
    if not text.endswith("\n"):
        raise ValueError("it is cut short")
    try:
        return [_chosen(row) for row in csv.DictReader(StringIO(text, newline=""))]
    except KeyError as error:
        raise ValueError(f"it has no column {error}") from None
    except csv.Error as error:
        raise ValueError(str(error)) from None


def _chosen(row: Mapping[str, str | None]) -> Chosen:
    if None in row.values():
        raise ValueError("a row is cut short")
    texts = {name: row[name] or "" for name in NAMES}

    def number(name: str) -> float | None:
        return float(texts[name]) if texts[name] else None

    return Chosen(
        number=int(texts["number"]),
        parameter_id=int(texts["parameter_id"]) if texts["parameter_id"] else None,
        trial=texts["trial"],
        chosen_by=texts["chosen_by"],
        expected_improvement=number("expected_improvement"),
        predicted=number("predicted"),
        deviation=number("deviation"),
        state=texts["state"],
        score=number("score"),
        epochs=int(texts["epochs"]),
        went_on=int(texts["went_on"]),
        why=texts["why"],
    )
