"""Facts of a data set: groups and photos by factor, sizes and kinds of files, sample photos."""

import warnings
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from common.progress import track
from dataset.decode import is_sideways
from dataset.factors import of_groups
from dataset.photo_file import TOO_LARGE, file_error, size_error
from dataset.task import Task

MAX_BARS = 200  # of a histogram
BINS = 40  # of one of numbers that are no integers
MAX_STACKED = 6  # values that a histogram tells apart
MAX_COLUMNS = 12  # of a table of groups by two factors
MAX_ROWS = 5  # photos that show an augmentation policy


def counts_by(task: Task, table: pd.DataFrame, column: str) -> pd.DataFrame:
    """One row per value of a factor, or per class for `column` "label": name, groups, photos, fraction (of
    all photos). Values without photos are included."""
    names = task.classes if column == "label" else task.factors[column]
    of_value = table.groupby(column)
    photos = of_value.size().reindex(range(len(names)), fill_value=0).to_numpy()
    groups = of_value["group"].nunique().reindex(range(len(names)), fill_value=0).to_numpy()
    return pd.DataFrame(
        {"name": names, "groups": groups, "photos": photos, "fraction": photos / max(1, photos.sum())}
    )


def co_occurrence(task: Task, table: pd.DataFrame) -> pd.DataFrame:
    """Number of photos that have both of two values: a row and a column for each value of each factor,
    labelled (factor, value)."""
    has = [
        np.eye(len(names), dtype=int)[table[factor].to_numpy(int)] for factor, names in task.factors.items()
    ]
    both = np.concatenate(has, axis=1)
    pairs = [(factor, name) for factor, names in task.factors.items() for name in names]
    values = pd.MultiIndex.from_tuples(pairs)
    return pd.DataFrame(both.T @ both, index=values, columns=values)


def pairs_of_factors(task: Task, factors: Sequence[str]) -> list[tuple[str, str]]:
    """Each pair of `factors` whose table has at most MAX_COLUMNS columns, the one with more values first if
    it must be."""
    fitting = []
    for one, other in combinations(factors, 2):
        wide = len(task.factors[other]) > MAX_COLUMNS
        one, other = (other, one) if wide else (one, other)
        if len(task.factors[other]) <= MAX_COLUMNS:
            fitting.append((one, other))
    return fitting


def groups_by_number(task: Task, table: pd.DataFrame, factor: str) -> pd.DataFrame:
    """Number of groups by the number that `factor`, one of task.bands, was made of: a row for each number
    from the lowest to the highest (for each of MAX_BARS ranges, if there are more), zeros included; if the
    numbers are no integers, a row for the centre of each of BINS ranges. A column for each value of another
    factor of `of_groups`, if there is one with few values, else for all groups."""
    column = task.bands[factor].column
    others = [name for name in of_groups(task, table) if name != factor]
    stacked = next((name for name in others if len(task.factors[name]) <= MAX_STACKED), None)
    names = task.factors[stacked] if stacked else (task.groups,)
    if table.empty:
        return pd.DataFrame(columns=list(names), dtype=int)
    each = table.drop_duplicates(["group", column])
    values = each[stacked] if stacked else pd.Series(0, each.index)
    if (each[column] % 1).any():
        edges = np.histogram_bin_edges(each[column], BINS)
        counts = [np.histogram(each[column][values == value], edges)[0] for value in range(len(names))]
        return pd.DataFrame(np.stack(counts, 1), (edges[1:] + edges[:-1]) / 2, list(names))
    numbers = each[column].astype(int)
    low, high = int(numbers.min()), int(numbers.max())
    step = -(-(high - low + 1) // MAX_BARS)
    counts = pd.crosstab((numbers - low) // step * step + low, values.to_numpy())
    rows = range(low, high + 1, step)
    return counts.reindex(index=rows, columns=range(len(names)), fill_value=0).set_axis(list(names), axis=1)


def group_sizes(task: Task, table: pd.DataFrame) -> str:
    """A sentence on the photos and classes of a group, '' if all groups have equally many photos."""
    groups = table.groupby("group")["label"].agg(["size", "nunique"])
    if groups.empty or groups["size"].min() == groups["size"].max():
        return ""
    size, several = groups["size"], int((groups["nunique"] > 1).sum())
    text = f"Each {task.group} has {size.min():,} to {size.max():,} photos, the median {size.median():g}"
    return text + (
        f"; {several:,} of {len(groups):,} {task.groups} have photos of several classes." if several else "."
    )


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
            # Upright, as networks and people see it.
            turned = is_sideways(image.info.get("exif", b""))
            width, height = reversed(image.size) if turned else image.size
            return (
                Path(path).suffix.lower(),
                image.format,
                image.mode,
                width,
                height,
                Path(path).stat().st_size,
            )
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


def samples(
    task: Task, table: pd.DataFrame, per_class: int, seed: int, labels: Collection[int] | None = None
) -> dict[int, pd.DataFrame]:
    """Label -> up to `per_class` sample photos, each of another group, if possible of one not shown yet.

    `labels`: of the classes to show; by default all.
    """
    random = np.random.default_rng(seed)
    shuffled = table.iloc[random.permutation(len(table))]
    shown: dict[str, int] = {}
    chosen = {}
    # Rare classes choose first, or the other classes would use up their few groups.
    wanted = range(task.n_classes) if labels is None else labels
    rare_first = sorted(wanted, key=lambda label: (label not in task.rare, label))
    for label in rare_first:
        photos = shuffled[shuffled["label"] == label].drop_duplicates("group")
        photos = photos.assign(shown=[shown.get(group, 0) for group in photos["group"]])
        photos = photos.sort_values("shown", kind="stable").head(per_class)
        shown |= {group: shown.get(group, 0) + 1 for group in photos["group"]}
        chosen[label] = photos.drop(columns="shown")
    return dict(sorted(chosen.items()))


def shown_by(task: Task) -> tuple[str, tuple[str, ...]]:
    """(The column in which photos that show a policy differ, the names of its values): the first factor, or
    else the label."""
    return next(iter(task.factors.items()), ("label", task.classes))


def most_and_fewest(photos: Sequence[int], limit: int) -> list[int]:
    """The labels of all classes; if there are more than `limit`, of the half of it with the most photos and
    the half with the fewest, in order. `photos`: of each class."""
    order = np.argsort(-np.asarray(photos), kind="stable")
    chosen = order if len(order) <= limit else [*order[: limit // 2], *order[-(limit - limit // 2) :]]
    return sorted(map(int, chosen))
