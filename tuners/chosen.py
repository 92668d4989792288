"""Why a search tried each of its recipes, and why it paused or stopped some: a small CSV in the experiment's
folder.

It is read by analysis/trials/chosen.py, which can't be in this file: no other package imports this one.
tests/tuners/test_chosen.py holds the two together.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, fields
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
