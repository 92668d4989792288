"""Check a data set: all its errors in one list, or a summary of its people and photos."""

from pathlib import Path

import pandas as pd

from common.errors import UsageError, errors_of
from dataset.face_masks.corrections import apply_corrections, read_corrections
from dataset.face_masks.labels import AGE_BANDS, GENDERS
from dataset.read import scan_eval, scan_train
from dataset.pixels import decode_errors
from dataset.tables import empty_table


def check(
    data: Path, corrections: str | Path | None = None, with_eval: bool = True, progress: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Check both halves of a data set and decode every photo.

    Returns the DataFrames of `read_train` and `read_eval`; without `with_eval` the second one is empty.
    UsageError with every error of both halves: folders, names, CSVs, corrections and photos.
    """
    data = Path(data)
    train, errors = scan_train(data)
    if corrections is not None and not errors:
        try:
            train = apply_corrections(train, corrections)
        except UsageError as error:
            errors += error.errors
    elif corrections is not None:  # they can't be applied while people are missing from the table
        errors += errors_of(read_corrections, corrections)
    eval_photos = empty_table(["photo", "path"])
    if with_eval and data.is_dir():
        eval_photos, eval_errors = scan_eval(data)
        errors += eval_errors
    errors += decode_errors([*train["path"], *eval_photos["path"]], progress)
    if errors:
        raise UsageError(errors)
    return train, eval_photos


def summary(train: pd.DataFrame, eval_photos: pd.DataFrame) -> list[str]:
    """Lines with the numbers of people and photos, and the notes of both DataFrames."""
    people = train.drop_duplicates("person")
    lines = [f"train: {len(people)} people, {len(train)} photos; eval: {len(eval_photos)} photos"]
    for gender, name in enumerate(GENDERS):
        bands = people.loc[people["gender"] == gender, "age_band"]
        counts = ", ".join(f"{band} {int((bands == index).sum())}" for index, band in enumerate(AGE_BANDS))
        lines.append(f"  {name}: {len(bands)} people ({counts})")
    return [*lines, *train.attrs["notes"], *eval_photos.attrs["notes"]]
