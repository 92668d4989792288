"""Who chose the recipes of a search by tuners.search.Search, and why some were stopped."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tuners.chosen import Chosen

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
