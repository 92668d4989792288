"""Facts of a data set: people and photos by group, sizes and kinds of files, sample photos."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from common.progress import track
from dataset.face_masks.labels import AGE_BANDS, CLASS_NAMES, GENDERS, MASKS, N_CLASSES, is_oldest
from dataset.photo_file import TOO_LARGE, file_error, size_error

NAMES: dict[str, Sequence[str]] = {
    "gender": GENDERS, "age_band": AGE_BANDS, "mask": MASKS, "label": CLASS_NAMES,
}  # fmt: skip


def counts_by(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """One row per value of gender, age_band, mask or label: name, people, photos, fraction (of all photos).
    Values without photos are included."""
    names = NAMES[column]
    groups = table.groupby(column)
    photos = groups.size().reindex(range(len(names)), fill_value=0).to_numpy()
    people = groups["person"].nunique().reindex(range(len(names)), fill_value=0).to_numpy()
    return pd.DataFrame(
        {"name": names, "people": people, "photos": photos, "fraction": photos / max(1, photos.sum())}
    )


def co_occurrence(table: pd.DataFrame) -> pd.DataFrame:
    """Number of photos that have both of two values: a row and a column for each mask state, gender and age
    band."""
    columns = ("mask", "gender", "age_band")
    has = [np.eye(len(NAMES[column]), dtype=int)[table[column].to_numpy(int)] for column in columns]
    both = np.concatenate(has, axis=1)
    names = [name for column in columns for name in NAMES[column]]
    return pd.DataFrame(both.T @ both, index=names, columns=names)


def people_by_gender_and_band(table: pd.DataFrame) -> np.ndarray:
    """Number of people, (2 genders + total, 3 age bands + total)."""
    people = table.drop_duplicates("person")
    counts = np.zeros((len(GENDERS), len(AGE_BANDS)), dtype=int)
    np.add.at(counts, (people["gender"], people["age_band"]), 1)
    counts = np.vstack([counts, counts.sum(0)])
    return np.hstack([counts, counts.sum(1, keepdims=True)])


def people_by_age(table: pd.DataFrame) -> pd.DataFrame:
    """Number of people by year of age (rows, from the youngest to the oldest, zeros included) and gender."""
    people = table.drop_duplicates("person")
    if people.empty:
        return pd.DataFrame(columns=list(GENDERS), dtype=int)
    counts = pd.crosstab(people["age"], people["gender"])
    ages = range(int(people["age"].min()), int(people["age"].max()) + 1)
    return counts.reindex(index=ages, columns=range(len(GENDERS)), fill_value=0).set_axis(GENDERS, axis=1)


def read_headers(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """(`table` with the columns extension, format, mode, width, height, bytes, read from each photo's header;
    errors). A photo (column path) whose header can't be read is left out and named in the errors."""
    with ThreadPoolExecutor() as threads, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large photos, which are errors here
        found = list(threads.map(_header, track(table["path"].tolist(), "reading photo headers")))
    columns = ["extension", "format", "mode", "width", "height", "bytes"]
    headers = [row if isinstance(row, tuple) else (None,) * len(columns) for row in found]
    errors = [row for row in found if isinstance(row, str)]
    read = pd.DataFrame(headers, columns=columns, index=table.index).dropna()
    return table.join(read, how="inner").astype({"width": int, "height": int, "bytes": int}), errors


def _header(path: str) -> tuple[str, str | None, str, int, int, int] | str:
    from PIL import Image

    if why := file_error(path):
        return f"{path}: {why}"
    try:
        with Image.open(path) as image:  # lazy: no pixel is decoded
            if why := size_error(image.height, image.width):
                return f"{path}: {why}"
            size = Path(path).stat().st_size
            return Path(path).suffix.lower(), image.format, image.mode, *image.size, size
    except Image.DecompressionBombError:
        return f"{path}: {TOO_LARGE}"
    except (OSError, ValueError, SyntaxError) as error:
        reason = "not an image that can be read" if isinstance(error, Image.UnidentifiedImageError) else error
        return f"{path}: {reason}"


def kinds(headers: pd.DataFrame, columns: list[str], limit: int = 12) -> tuple[pd.DataFrame, int]:
    """(Number of photos in train/ and eval/ for each combination of `columns`, most common first, at most
    `limit` rows; number of rows left off). `headers`: as of `read_headers`, with a column `half`."""
    wide = headers.groupby([*columns, "half"]).size().unstack("half", fill_value=0)
    wide = wide.reindex(columns=["train", "eval"], fill_value=0).reset_index()
    order = (-wide["train"] - wide["eval"]).sort_values(kind="stable").index
    return wide.loc[order].head(limit), max(0, len(wide) - limit)


def samples(table: pd.DataFrame, per_class: int, seed: int) -> dict[int, pd.DataFrame]:
    """Label -> up to `per_class` sample photos, each of another person, if possible of one not shown yet."""
    random = np.random.default_rng(seed)
    shuffled = table.iloc[random.permutation(len(table))]
    shown: dict[str, int] = {}
    chosen = {}
    # Rare classes choose first, or the other classes would use up their few people.
    rare_first = sorted(range(N_CLASSES), key=lambda label: (not is_oldest(label), label))
    for label in rare_first:
        photos = shuffled[shuffled["label"] == label].drop_duplicates("person")
        photos = photos.assign(shown=[shown.get(person, 0) for person in photos["person"]])
        photos = photos.sort_values("shown", kind="stable").head(per_class)
        shown |= {person: shown.get(person, 0) + 1 for person in photos["person"]}
        chosen[label] = photos.drop(columns="shown")
    return dict(sorted(chosen.items()))
