"""Known label errors of a data set, kept in a small file and applied to the photo table by option."""

from pathlib import Path

import pandas as pd

from dataset.errors import CallersMistake, unknown
from dataset.labels import GENDERS, PHOTO_MASKS, encode

SHIPPED = {"competition": Path(__file__).with_name("corrections.csv")}
COLUMNS = ["id", "field", "recorded", "corrected"]
VALUES = {"gender": {name: index for index, name in enumerate(GENDERS)}, "mask": PHOTO_MASKS}


def read_corrections(corrections: str | Path) -> pd.DataFrame:
    """Table id, field, recorded, corrected (all str) from a shipped name ("competition") or a CSV file.

    field is gender (male, female) or mask (names of photos, such as normal -> incorrect_mask: the photo of
    that name shows what the other name says). Raises CallersMistake with every fault of the file.
    """
    path = SHIPPED.get(str(corrections), Path(corrections))
    if not path.is_file():
        shipped = unknown("name", corrections, SHIPPED)
        raise CallersMistake(f"corrections: no file {corrections}, and {shipped}")
    table = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    if list(table.columns) != COLUMNS:
        raise CallersMistake(
            f"{path}: its columns must be {','.join(COLUMNS)}, not {','.join(table.columns)}"
        )
    faults = []
    for line, row in enumerate(table.itertuples(), start=2):
        if row.field not in VALUES:
            faults.append(f"{path} line {line}: unknown field {row.field!r}; known: {', '.join(VALUES)}")
            continue
        for value in (row.recorded, row.corrected):
            if value not in VALUES[row.field]:
                known = ", ".join(VALUES[row.field])
                faults.append(f"{path} line {line}: unknown {row.field} {value!r}; known: {known}")
    if faults:
        raise CallersMistake(faults)
    return table


def apply_corrections(table: pd.DataFrame, corrections: str | Path) -> tuple[pd.DataFrame, int]:
    """The photo table with the known errors set right, and how many entries of the file changed something.

    An entry whose person is not in the table, or is recorded as the file says it should be, changes nothing.
    """
    table, changed = table.copy(), 0
    stems = table["photo"].map(lambda photo: Path(photo).stem)
    for entry in read_corrections(corrections).itertuples():
        value = VALUES[entry.field]
        rows = table["person"] == entry.id
        rows &= stems == entry.recorded if entry.field == "mask" else table["gender"] == value[entry.recorded]
        rows &= table[entry.field] != value[entry.corrected]
        table.loc[rows, entry.field] = value[entry.corrected]
        changed += bool(rows.any())
    table["label"] = encode(table["mask"], table["gender"], table["age_band"])
    return table, changed
