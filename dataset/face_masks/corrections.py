"""Correct known label errors of a data set, which are listed in a small CSV file."""

import difflib
from collections.abc import Sequence
from operator import ne
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from common.errors import UsageError, unknown
from common.text import from_cell, lines_text
from dataset.face_masks.labels import (
    AGE_BANDS,
    AGE_EDGES,
    GENDERS,
    MASKS,
    MAX_AGE,
    PHOTO_MASKS,
    age_band,
    encode,
    is_age,
)
from dataset.tables import read_table

# "competition": the corrections that public solutions agree on. Three teams correct the same ages: 001009,
# 001064, 001637, 001666 and 001852 (recorded in 30-59, exact age not published) to 29 or under 30, and 004348
# (recorded as 59) to 60 and over.
SHIPPED = {"competition": Path(__file__).with_name("corrections.csv")}
COLUMNS = ["id", "field", "recorded", "corrected"]
VALUES = {"gender": {name: index for index, name in enumerate(GENDERS)}, "mask": PHOTO_MASKS}
FIELDS = (*VALUES, "age")
MIN_MATCHES = 4  # people in common before a shipped list is taken to belong to a data set
MAX_HINTS = 20  # unknown ids for which the closest known one is searched


class Found(NamedTuple):
    """An entry of a corrections file, looked up in a DataFrame of photos.

    `field` of the photos `rows` (a boolean Series) should be `value`. `known`: the entry's person is in the
    DataFrame. `changes`: the value differs now. `wrong`: why the entry doesn't match the DataFrame, or "".
    """

    entry: Any
    field: str
    value: int
    rows: pd.Series
    known: bool
    changes: bool
    wrong: str


def read_corrections(corrections: str | Path) -> pd.DataFrame:
    """Read a CSV file of label errors, or a shipped one by its name ("competition").

    Returns a DataFrame of text, indexed by line number: id, field, recorded, corrected. `field` is gender
    (male, female), age (years; the recorded one may be a band, such as 30-59) or mask (names of photos:
    normal -> incorrect_mask if the person's photo `normal` shows an incorrectly worn mask). UsageError with
    every error of the file.
    """
    path = SHIPPED.get(str(corrections), Path(corrections))
    if not path.exists() and not path.is_symlink():
        shipped = unknown("name", corrections, SHIPPED)
        raise UsageError(f"corrections: no file {corrections}, and {shipped}")
    table, errors = read_table(path, COLUMNS, strip=True)
    table = table.map(from_cell)  # the audit writes it for spreadsheets, too
    seen: dict[tuple[str, ...], int] = {}
    for row in table.itertuples():
        where = f"{path} line {row.Index}"
        errors += [f"{where}: {why}" for why in _value_errors(row)]
        key = (row.id, row.field, row.recorded if row.field == "mask" else "")
        if seen.setdefault(key, row.Index) != row.Index:
            errors.append(f"{where}: corrects the same value as line {seen[key]}; keep one of them")
    if table.empty and not errors:
        errors.append(f"{path}: contains no corrections, only a header")
    if errors:
        raise UsageError(errors)
    return table


def _value_errors(row: Any) -> list[str]:
    if row.field not in FIELDS:
        return [f"unknown field {row.field!r}; known: {', '.join(FIELDS)}"]
    if row.field != "age":
        known = ", ".join(VALUES[row.field])
        wrong = [value for value in (row.recorded, row.corrected) if value not in VALUES[row.field]]
        return [f"unknown {row.field} {value!r}; known: {known}" for value in wrong]
    errors = []
    if not is_age(row.recorded) and row.recorded not in AGE_BANDS:
        bands = ", ".join(AGE_BANDS)
        errors.append(
            f"recorded age {row.recorded!r} is not an integer from 1 to {MAX_AGE} or one of {bands}"
        )
    if not is_age(row.corrected):
        errors.append(f"corrected age {row.corrected!r} is not an integer from 1 to {MAX_AGE}")
    return errors


def apply_corrections(table: pd.DataFrame, corrections: str | Path) -> pd.DataFrame:
    """A copy of a DataFrame of photos with the known label errors corrected.

    `attrs["corrections"]` is the number of entries that changed a label; a note is added to `attrs["notes"]`.
    UsageError lists every entry of a file that doesn't match the DataFrame: no person has its id, or another
    value is recorded. A shipped list belongs to one data set; for any other nothing is applied.
    """
    found = look_up(table, read_corrections(corrections))
    ids = sorted(set(table["group"]))
    wrong, note = [one for one in found if one.wrong], f"label corrections from {corrections}: "
    if str(corrections) not in SHIPPED and wrong:
        unknown_ids = [one for one in wrong if not one.known][:MAX_HINTS]
        hints = {one.entry.Index: _closest(one.entry.id, ids) for one in unknown_ids}
        raise UsageError(
            f"{corrections} line {one.entry.Index}: {one.wrong}{hints.get(one.entry.Index, '')}"
            for one in wrong
        )
    table, notes = table.copy(), table.attrs.get("notes", [])
    changing = [one for one in found if one.changes and not one.wrong]
    if str(corrections) in SHIPPED and not matches_data_set(found):
        matching = len(found) - len(wrong)
        count = {0: "none", 1: "only 1"}.get(matching, f"only {matching}")
        match = "matches" if matching < 2 else "match"
        note += f"{count} of its {len(found)} entries {match} this data set, so it is for another; 0 applied"
        changing = []
    else:
        correct = [one.entry.Index for one in found if not one.changes and not one.wrong]
        note += f"{len(changing)} applied"
        note += f", {len(correct)} already correct ({lines_text(correct)})" if correct else ""
        note += f", {len(wrong)} not in this data set" if wrong else ""
    for one in changing:
        table.loc[one.rows, one.field] = one.value
    table["age_band"] = table["age"].map(age_band).astype(int)
    table["label"] = encode(table["mask"], table["gender"], table["age_band"])
    table.attrs |= {"corrections": len(changing), "notes": [*notes, note]}
    return table


def matches_data_set(found: Sequence[Found]) -> bool:
    """Whether a shipped list belongs to the data set that its entries were looked up in.

    At least MIN_MATCHES of its people must be in the data set and 90 % of them recorded as the list says:
    another data set has some of the ids by chance, and a part of the right one lacks some of them.
    """
    known = [one for one in found if one.known and one.field != "mask"]
    return len(known) >= MIN_MATCHES and sum(not one.wrong for one in known) >= 0.9 * len(known)


def entries_of(table: pd.DataFrame, suspects: pd.DataFrame) -> pd.DataFrame:
    """The entries (COLUMNS, as text) by which `apply_corrections` gives photos of `table` what is suggested.

    `suspects`: factor, group, photo (for a mask), recorded and suggested (names of values). A band of ages
    stands for the age in it that is nearest to the recorded one.
    """
    ages = table.drop_duplicates("group").set_index("group")["age"]
    rows = []
    for one in suspects.itertuples():
        if one.factor == "mask":
            value, stem = MASKS.index(one.suggested), Path(one.photo).stem
            corrected = next(name for name, mask in PHOTO_MASKS.items() if mask == value)
            rows.append((one.group, "mask", stem, corrected))
        elif one.factor == "age_band":
            age, band = int(ages[one.group]), AGE_BANDS.index(one.suggested)
            first, last = (1, *AGE_EDGES)[band], (*AGE_EDGES, MAX_AGE + 1)[band] - 1
            rows.append((one.group, "age", str(age), str(min(max(age, first), last))))
        else:
            rows.append((one.group, one.factor, one.recorded, one.suggested))
    return pd.DataFrame(rows, columns=COLUMNS, dtype=str)


def look_up(table: pd.DataFrame, entries: pd.DataFrame) -> list[Found]:
    """Look up each of `entries` (from `read_corrections`) in a DataFrame of photos."""
    stems = table["photo"].map(lambda photo: Path(photo).stem)
    found = []
    for entry in entries.itertuples():
        of_person = rows = table["group"] == entry.id
        value = VALUES[entry.field][entry.corrected] if entry.field in VALUES else int(entry.corrected)
        if entry.field == "mask":
            rows = of_person & (stems == entry.recorded)
        changes = bool((table.loc[rows, entry.field] != value).any())
        wrong, known = "", bool(of_person.any())
        if not known:
            wrong = f"no person {entry.id!r} in this data set"
        elif not rows.any():
            wrong = f"person {entry.id} has no photo {entry.recorded}"
        elif entry.field != "mask" and changes:
            wrong = _mismatch(entry, table.loc[rows, entry.field].iloc[0])
        found.append(Found(entry, entry.field, value, rows, known, changes, wrong))
    return found


def _closest(name: str, ids: list[str]) -> str:
    """A hint with the closest id: the same but for leading zeros, which spreadsheets drop, or in spelling."""
    same = [other for other in ids if other.lstrip("0") == name.lstrip("0")]
    if same:
        return f"; did you mean {same[0]!r}, with leading zeros?"
    near = difflib.get_close_matches(name, ids, 20, 0.8)
    nearest = min(near, key=lambda other: sum(map(ne, name, other)), default="")
    return f"; did you mean {nearest!r}?" if near else ""


def _mismatch(entry: Any, recorded: int) -> str:
    """Why the entry doesn't match the value `recorded` of its person; "" if it does."""
    if entry.field == "gender":
        return "" if VALUES["gender"][entry.recorded] == recorded else _differs(entry, GENDERS[recorded])
    band = AGE_BANDS[age_band(recorded)]
    fits = entry.recorded == band if entry.recorded in AGE_BANDS else int(entry.recorded) == recorded
    return "" if fits else _differs(entry, str(recorded))


def _differs(entry: Any, recorded: str) -> str:
    return f"the {entry.field} of {entry.id} is recorded as {recorded}, not as {entry.recorded}"
