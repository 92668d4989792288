"""Who chose the recipes of a search by tuners.search.Search, and why some were stopped.

The search writes it to chosen.csv in the experiment's folder (tuners/chosen.py).
"""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from common.errors import UsageError

CHOSEN_CSV = "chosen.csv"

# Columns of the trials table of such a search.
CHOICE = ("chosen_by", "expected_improvement")
OTHERS = {
    "default": "the default",
    "first": "known good",
    "start-up": "spread over the space at the start",
    "random": "at random",
    "grid": "in the grid's order",
    "imported": "imported",
}
CAN_NOT_WIN = "can't win"


class Chosen(NamedTuple):
    """A recipe of a search. `trial`: NNI's id, '' while unknown; `chosen_by`: a word of OTHERS, or model;
    `expected_improvement` over the best by then, of those that the model chose; `why`: for what reason it was
    stopped, or failed."""

    trial: str
    chosen_by: str
    expected_improvement: float | None = None
    why: str = ""


def read_chosen(folder: Path) -> list[Chosen]:
    """The recipes of the search in the experiment's `folder`, in the order they were chosen; [] of a search
    by another tuner. UsageError if the file is damaged."""
    path = folder / CHOSEN_CSV
    if not path.is_file():
        return []
    try:
        with path.open(newline="") as file:
            return [
                Chosen(
                    row["trial"], row["chosen_by"],
                    float(row["expected_improvement"]) if row["expected_improvement"] else None, row["why"],
                )
                for row in csv.DictReader(file)
            ]  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: is damaged ({error!r})") from None


def choice_of(row: dict[str, Any], chosen: Chosen | None) -> dict[str, Any]:
    """A trial's CHOICE, and its reason if the search stopped it."""
    if chosen is None:
        return dict.fromkeys(CHOICE)
    columns: dict[str, Any] = {
        "chosen_by": chosen.chosen_by,
        "expected_improvement": chosen.expected_improvement,
    }
    if row["state"] == "stopped_early" and chosen.why.startswith(CAN_NOT_WIN):
        columns["reason"] = f"stopped by the assessor: {chosen.why}"
    return columns


def choice_words(choices: Sequence[Chosen]) -> str:
    """'The model chose 40 of 60 recipes; the others: 1 the default, 2 known good ...'; '' of no recipe."""
    if not choices:
        return ""
    by = Counter(chosen.chosen_by for chosen in choices)
    words = f"The model chose {by['model']} of {len(choices)} recipe{'' if len(choices) == 1 else 's'}"
    if others := ", ".join(f"{by[word]} {text}" for word, text in OTHERS.items() if by[word]):
        words += f"; the others: {others}"
    stopped = sum(chosen.why.startswith(CAN_NOT_WIN) for chosen in choices)
    if stopped:
        words += f"; stopped because they could not win any more: {stopped}"
    return f"{words}."
