"""Known label errors of a data set, kept in a small file and applied to the photo table by option."""

import difflib
from collections.abc import Sequence
from operator import ne
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from common.errors import UsageError, unknown
from dataset.labels import AGE_BANDS, GENDERS, MAX_AGE, PHOTO_MASKS, age_band, encode, is_age
from dataset.tables import lines_text, read_table

# The competition's: what public solutions of it agree on. Its ages are those that three teams' code corrects
# alike: 001009, 001064, 001637, 001666 and 001852 (in 30-59; none says their recorded age) to 29 or under 30,
# and 004348 (recorded as 59) to 60 and over.
SHIPPED = {"competition": Path(__file__).with_name("corrections.csv")}
COLUMNS = ["id", "field", "recorded", "corrected"]
VALUES = {"gender": {name: index for index, name in enumerate(GENDERS)}, "mask": PHOTO_MASKS}
FIELDS = (*VALUES, "age")
TELLING = 4  # entries that tell a shipped list's set from another one
MOST_HINTS = 20  # wrong ids for which the nearest right one is looked for


class Found(NamedTuple):
    """An entry of a corrections file in a photo table: `field` of the photos `rows` should be `value`;
    `there`: the entry's person is in the table; `changes`: it is something else now; `wrong`: why the entry
    doesn't fit the table, or ""."""

    entry: Any
    field: str
    value: int
    rows: pd.Series
    there: bool
    changes: bool
    wrong: str


def read_corrections(corrections: str | Path) -> pd.DataFrame:
    """Table id, field, recorded, corrected (all text; its index: lines of the file) from a shipped name
    ("competition") or a CSV file.

    field is gender (male, female), age (whole years; as recorded a band, such as 30-59, will do too) or mask
    (names of photos, such as normal -> incorrect_mask: the photo of that name shows what the other name
    says). Raises UsageError with every error of the file.
    """
    path = SHIPPED.get(str(corrections), Path(corrections))
    if not path.exists() and not path.is_symlink():
        shipped = unknown("name", corrections, SHIPPED)
        raise UsageError(f"corrections: no file {corrections}, and {shipped}")
    table, errors = read_table(path, COLUMNS, strip=True)
    seen: dict[tuple[str, ...], int] = {}
    for row in table.itertuples():
        where = f"{path} line {row.Index}"
        errors += [f"{where}: {why}" for why in _value_errors(row)]
        key = (row.id, row.field, row.recorded if row.field == "mask" else "")
        if seen.setdefault(key, row.Index) != row.Index:
            errors.append(f"{where}: corrects the same as line {seen[key]}; keep one of them")
    if table.empty and not errors:
        errors.append(f"{path}: holds no correction, only its header")
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
        years = f"a whole number of years from 1 to {MAX_AGE}, nor one of {', '.join(AGE_BANDS)}"
        errors.append(f"recorded age {row.recorded!r} is not {years}")
    if not is_age(row.corrected):
        errors.append(f"corrected age {row.corrected!r} is not a whole number of years from 1 to {MAX_AGE}")
    return errors


def apply_corrections(table: pd.DataFrame, corrections: str | Path) -> pd.DataFrame:
    """The photo table with the known errors set right; `attrs["corrections"]`: how many entries changed
    something, `attrs["notes"]`: a sentence on it.

    UsageError names every entry of a file that doesn't fit this table: nobody has its id, or something
    else is recorded. A shipped list belongs to one set: nothing of it is applied to another one.
    """
    found = look_up(table, read_corrections(corrections))
    ids = sorted(set(table["person"]))
    wrong, note = [one for one in found if one.wrong], f"label corrections from {corrections}: "
    if str(corrections) not in SHIPPED and wrong:
        hinted = [one for one in wrong if not one.there][:MOST_HINTS]
        meant = {one.entry.Index: _meant(one.entry.id, ids) for one in hinted}
        raise UsageError(
            f"{corrections} line {one.entry.Index}: {one.wrong}{meant.get(one.entry.Index, '')}"
            for one in wrong
        )
    table, notes = table.copy(), table.attrs.get("notes", [])
    changing = [one for one in found if one.changes and not one.wrong]
    if not of_this_set(found):
        fit = len(found) - len(wrong)
        count = {0: "none", 1: "only 1"}.get(fit, f"only {fit}")
        fits = "fits" if fit < 2 else "fit"
        note += f"{count} of its {len(found)} entries {fits} this set, so it is for another one; 0 applied"
        changing = []
    else:
        right = [one.entry.Index for one in found if not one.changes and not one.wrong]
        note += f"{len(changing)} applied"
        note += f", {len(right)} right already ({lines_text(right)})" if right else ""
        note += f", {len(wrong)} not of this set" if wrong else ""
    for one in changing:
        table.loc[one.rows, one.field] = one.value
    table["age_band"] = table["age"].map(age_band).astype(int)
    table["label"] = encode(table["mask"], table["gender"], table["age_band"])
    table.attrs |= {"corrections": len(changing), "notes": [*notes, note]}
    return table


def of_this_set(found: Sequence[Found]) -> bool:
    """Whether the people who are in the table are recorded as the entries say, and are enough to tell:
    another set has some of the ids by chance, and a part of this one lacks some of them."""
    telling = [one for one in found if one.there and one.field != "mask"]
    return len(telling) >= TELLING and sum(not one.wrong for one in telling) >= 0.9 * len(telling)


def look_up(table: pd.DataFrame, entries: pd.DataFrame) -> list[Found]:
    """Each of `entries` (of read_corrections) in a photo table."""
    stems = table["photo"].map(lambda photo: Path(photo).stem)
    found = []
    for entry in entries.itertuples():
        of_person = rows = table["person"] == entry.id
        value = VALUES[entry.field][entry.corrected] if entry.field in VALUES else int(entry.corrected)
        if entry.field == "mask":
            rows = of_person & (stems == entry.recorded)
        changes = bool((table.loc[rows, entry.field] != value).any())
        wrong, there = "", bool(of_person.any())
        if not there:
            wrong = f"no person {entry.id!r} in this set"
        elif not rows.any():
            wrong = f"person {entry.id} has no photo {entry.recorded}"
        elif entry.field != "mask" and changes:
            wrong = _otherwise(entry, table.loc[rows, entry.field].iloc[0])
        found.append(Found(entry, entry.field, value, rows, there, changes, wrong))
    return found


def _meant(name: str, ids: list[str]) -> str:
    """The nearest id: the same but for zeros in front, which spreadsheets drop, or in spelling."""
    same = [other for other in ids if other.lstrip("0") == name.lstrip("0")]
    if same:
        return f"; is {same[0]!r} meant, with its zeros?"
    near = difflib.get_close_matches(name, ids, 20, 0.8)
    nearest = min(near, key=lambda other: sum(map(ne, name, other)), default="")
    return f"; is {nearest!r} meant?" if near else ""


def _otherwise(entry: Any, recorded: int) -> str:
    """Why the entry doesn't fit a person of whom `recorded` is recorded, "" if it does."""
    if entry.field == "gender":
        return "" if VALUES["gender"][entry.recorded] == recorded else _not(entry, GENDERS[recorded])
    band = AGE_BANDS[age_band(recorded)]
    fits = entry.recorded == band if entry.recorded in AGE_BANDS else int(entry.recorded) == recorded
    return "" if fits else _not(entry, str(recorded))


def _not(entry: Any, recorded: str) -> str:
    return f"the {entry.field} of {entry.id} is recorded as {recorded}, not as {entry.recorded}"
