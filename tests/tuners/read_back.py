"""chosen.csv with all of its columns."""

import csv
from pathlib import Path

from tuners.chosen import CHOSEN_CSV, Chosen


def read_back(folder: Path) -> list[Chosen]:
    with (folder / CHOSEN_CSV).open(newline="") as file:
        return [_row(row) for row in csv.DictReader(file)]


def _row(row: dict[str, str]) -> Chosen:
    def number(name: str) -> float | None:
        return float(row[name]) if row[name] else None

    return Chosen(
        number=int(row["number"]),
        parameter_id=int(row["parameter_id"]) if row["parameter_id"] else None,
        trial=row["trial"],
        chosen_by=row["chosen_by"],
        expected_improvement=number("expected_improvement"),
        predicted=number("predicted"),
        deviation=number("deviation"),
        state=row["state"],
        score=number("score"),
        epochs=int(row["epochs"]),
        went_on=int(row["went_on"]),
        why=row["why"],
    )
