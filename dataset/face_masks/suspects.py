"""What looks wrong in a set in the competition's layout: labels against folders, ids and known errors."""

import re

import pandas as pd

from dataset.face_masks.corrections import look_up, matches_data_set, read_corrections
from dataset.face_masks.labels import GENDERS
from dataset.suspect import Suspect

FOLDER = re.compile(r"(?P<person>[^_]+)_(?P<gender>[^_]+)_[^_]+_(?P<age>\d+)")
SOUND = "folders agree with train.csv"  # if nothing is found
REMEDY = "A CSV of corrections (corrections=FILE in a recipe) corrects labels."


def suspects(table: pd.DataFrame) -> dict[str, list[Suspect]]:
    """{title of a kind: its suspects} in the DataFrame of photos."""
    people = table.drop_duplicates("group")
    return {
        "Folder and train.csv disagree": contradicting_folders(people),
        "One number, two people": shared_numbers(people),
        "Known to be labelled wrongly": known_errors(table),
    }


def contradicting_folders(people: pd.DataFrame) -> list[Suspect]:
    """People whose folder, ID_GENDER_RACE_AGE, states another gender or age than their row of train.csv."""
    found = []
    for row in people.itertuples():
        folder = row.photo.partition("/")[0]
        name = FOLDER.fullmatch(folder)
        recorded = (GENDERS[row.gender], str(row.age))
        if name and (name["gender"], name["age"]) != recorded:
            found.append(
                Suspect(row.group, f"folder {folder}; train.csv: {recorded[0]}, {recorded[1]} years")
            )
    return found


def shared_numbers(people: pd.DataFrame) -> list[Suspect]:
    """Ids that differ only after a dash (001498, 001498-1), with different genders or ages."""
    found = []
    for _, some in people.groupby(people["group"].str.split("-").str[0]):
        if len(some[["gender", "age"]].drop_duplicates()) > 1:
            labels = [f"{row.group} {GENDERS[row.gender]}, {row.age} years" for row in some.itertuples()]
            found.append(Suspect(", ".join(some["group"]), "; ".join(labels)))
    return found


def known_errors(table: pd.DataFrame) -> list[Suspect]:
    """The entries of the shipped list of the competition's label errors; none for another data set (see
    `matches_data_set`)."""
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
