"""Everything that is wrong with a data set, in one list; and what it holds."""

from pathlib import Path

import pandas as pd

from dataset.corrections import apply_corrections
from dataset.errors import CallersMistake
from dataset.images import say_unlisted
from dataset.labels import AGE_BANDS, GENDERS
from dataset.photos import scan_eval, scan_train
from dataset.pixels import unreadable


def check(
    data: Path, corrections: str | Path | None = None, with_eval: bool = True, progress: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(photo table, eval table) of a set without fault; every photo is decoded.

    Raises CallersMistake with every fault of both halves: folders, names, CSVs, corrections and photos.
    """
    data = Path(data)
    train, faults = scan_train(data)
    judged = pd.DataFrame(columns=["photo", "path"])
    if with_eval and data.is_dir():
        judged, eval_faults = scan_eval(data)
        say_unlisted(judged)
        faults += eval_faults
    if corrections is not None:
        try:
            train, train.attrs["corrections"] = apply_corrections(train, corrections)
        except CallersMistake as mistake:
            faults += mistake.faults
    there = [path for path in [*train["path"], *judged["path"]] if Path(path).is_file()]
    faults += unreadable(there, progress)
    if faults:
        raise CallersMistake(faults)
    return train, judged


def summary(train: pd.DataFrame, judged: pd.DataFrame) -> list[str]:
    """A few lines on people and photos."""
    people = train.drop_duplicates("person")
    lines = [f"train: {len(people)} people, {len(train)} photos; eval: {len(judged)} photos"]
    for gender, name in enumerate(GENDERS):
        bands = people.loc[people["gender"] == gender, "age_band"]
        counts = ", ".join(f"{band} {int((bands == index).sum())}" for index, band in enumerate(AGE_BANDS))
        lines.append(f"  {name}: {len(bands)} people ({counts})")
    if "corrections" in train.attrs:
        lines.append(f"label corrections: {train.attrs['corrections']} applied")
    return lines
