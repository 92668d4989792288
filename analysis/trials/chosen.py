"""Who chose the recipes of a search by tuners.search.Search, and why some were paused or stopped.

The search writes it to chosen.csv in the experiment's folder (tuners/chosen.py).
"""

import csv
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from common.errors import UsageError, first_line
from common.text import counted

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
RUNNING = "running"  # a state
PAUSED = "paused"  # a state: the trial's checkpoint may be gone on from
FAIL = "fail"  # a state: the search has given it up


class Chosen(NamedTuple):
    """A recipe of a search. `trial`: NNI's id, '' while unknown; `chosen_by`: a word of OTHERS, or model;
    `expected_improvement` over the best by then, of those that the model chose; `why`: for what reason it was
    paused or stopped, or failed; `state`: of the search, such as PAUSED; `epochs`: reported, or folds."""

    trial: str
    chosen_by: str
    expected_improvement: float | None = None
    why: str = ""
    state: str = ""
    epochs: int = 0


def read_chosen(folder: Path) -> list[Chosen]:
    """The recipes of the search in the experiment's `folder`, in the order they were chosen; [] of a search
    by another tuner. UsageError if the file is damaged."""
    path = folder / CHOSEN_CSV
    if not os.path.lexists(path):
        return []
    try:
        text = path.read_bytes().decode()
        if not text.endswith("\n"):
            raise ValueError("it is cut short")
        return [_chosen(row) for row in csv.DictReader(StringIO(text, newline=""))]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UsageError(f"{path}: is damaged ({first_line(error)})") from None


def read_or_damage(folder: Path) -> tuple[list[Chosen], str]:
    """(As `read_chosen`, ''); ([], what is wrong) if the file is damaged."""
    try:
        return read_chosen(folder), ""
    except UsageError as error:
        return [], str(error)


def _chosen(row: Mapping[str, str | None]) -> Chosen:
    trial, by, improvement, why, state, epochs = (
        row[name] for name in ("trial", "chosen_by", "expected_improvement", "why", "state", "epochs")
    )
    if trial is None or by is None or improvement is None or why is None or state is None or epochs is None:
        raise ValueError("a row is cut short")
    return Chosen(trial, by, float(improvement) if improvement else None, why, state, int(epochs))


def choice_of(chosen: Chosen | None) -> dict[str, Any]:
    """A trial's CHOICE."""
    if chosen is None:
        return dict.fromkeys(CHOICE)
    return {"chosen_by": chosen.chosen_by, "expected_improvement": chosen.expected_improvement}


def outcome_of_choice(status: Mapping[str, Any], chosen: Chosen | None) -> dict[str, str]:
    """What the search knows of the state of a trial that it paused or stopped, and of the reason."""
    if chosen is None or status["state"] != "stopped_early":
        return {}
    if chosen.state == PAUSED:
        return {"state": PAUSED, "reason": chosen.why or "paused by the search"}
    if chosen.why.startswith(CAN_NOT_WIN):
        return {"reason": f"stopped by the assessor: {chosen.why}"}
    return {}


def choice_words(choices: Sequence[Chosen], paused: int = 0, gone_on: int = 0) -> str:
    """'The model chose 40 of 60 recipes; the others: 1 the default, 2 known good ...'; '' of no recipe.
    `paused`: how many were paused at least once; `gone_on`: how many of these went on. A recipe that NNI has
    asked for ahead, and not begun, does not count."""
    choices = [chosen for chosen in choices if chosen.trial or chosen.state != RUNNING]
    if not choices:
        return ""
    by = Counter(chosen.chosen_by for chosen in choices)
    words = f"The model chose {by['model']} of {counted(len(choices), 'recipe')}"
    if others := ", ".join(f"{by[word]} {text}" for word, text in OTHERS.items() if by[word]):
        words += f"; the others: {others}"
    if paused:
        words += f"; paused: {paused}, of which {gone_on} went on"
    stopped = sum(chosen.why.startswith(CAN_NOT_WIN) for chosen in choices)
    if stopped:
        words += f"; stopped because they could not win any more: {stopped}"
    return f"{words}."
