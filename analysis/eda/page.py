"""The page about a data set; one with errors gets its page too, which lists them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis.eda import facts, pictures, plots
from analysis.eda.suspects import OF_TASKS, suspects
from analysis.report.page import write_page
from common.errors import UsageError
from common.text import few
from dataset import factors
from dataset.pixels import decode_errors
from dataset.read import scan_eval, scan_train
from dataset.task import Task

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from trial.augment.policies import Policy

MAX_ERRORS = 200
MAX_SAMPLED = 40  # classes with sample photos
MAX_CROSSED = 6  # tables of groups by two factors
MAX_ABSENT = 20  # names of classes without a photo
SEED = 0  # of the sample photos and of augmentation
SIZES = ["width", "height"]
FILES = ["extension", "format", "mode"]


def write_eda(data: Path, out: Path, augment: Sequence[str] = (), group: str = "") -> Path:
    """Write OUT/eda.html about the data set in the folder `data` (any format) and return its path.

    `augment`: augmentation policies to show, each a name or a JSON list of steps. `group`: as for
    `dataset.read.read_train`. Errors of the data set are listed on the page; UsageError only if nothing of it
    can be read, a policy has errors, or `out` is a file.
    """
    data, out = Path(data), Path(out)
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; give a folder for eda.html")
    policies = _policies(augment)
    task, train, errors = scan_train(data, group)
    photos, eval_errors = scan_eval(data, group)
    errors = list(dict.fromkeys([*errors, *eval_errors]))
    if train.empty and photos.empty:
        raise UsageError(errors)
    halves = [
        table[["photo", "path"]].assign(half=half) for table, half in ((train, "train"), (photos, "eval"))
    ]
    headers, header_errors = facts.read_headers(pd.concat(halves, ignore_index=True))
    errors += header_errors + decode_errors(headers["path"], progress=True)
    readable = train[train["path"].isin(headers["path"])]
    odd = suspects(task, train, headers[headers["half"] == "train"])
    of_groups = factors.of_groups(task, train)
    by_class = facts.counts_by(task, train, "label")
    sampled = facts.most_and_fewest(by_class["photos"], MAX_SAMPLED)
    absent = by_class.loc[by_class["photos"] == 0, "name"].tolist()
    return write_page(
        out / "eda.html",
        "eda.html.j2",
        name=data.absolute().name,
        task=task,
        own=task.group == "photo",
        groups=train["group"].nunique(),
        groups_title=_title(task.groups),
        group_sizes="" if task.group == "photo" else facts.group_sizes(task, train),
        photos=len(train),
        eval_photos=len(photos),
        by=[
            (_title(factor), facts.counts_by(task, train, factor))
            # What is known of groups comes first, then what differs among the photos of a group.
            for factor in sorted(task.factors, key=lambda factor: factor not in of_groups)
        ],
        by_class=by_class,
        absent=few(absent, MAX_ABSENT),
        crossed=[
            (_title(one), _title(other).lower(), factors.groups_by_two(task, train, one, other))
            for one, other in facts.pairs_of_factors(task, of_groups)[:MAX_CROSSED]
        ],
        classes=plots.classes(by_class, task.rare, task.groups),
        co_occurrence=_co_occurrence(task, train),
        numbers=[]
        if train.empty
        else [
            (
                bands,
                _title(bands.column),
                plots.numbers(facts.groups_by_number(task, train, factor), bands, task.groups),
            )
            for factor, bands in task.bands.items()
        ],
        sizes=facts.kinds(headers, SIZES),
        files=facts.kinds(headers, FILES),
        bytes=headers.groupby("half")["bytes"].agg(["sum", "median"]).to_dict("index"),
        samples=pictures.by_class(task, readable, sampled, SEED),
        sample_width=pictures.row_width(headers),
        augmentation=pictures.of_policies(policies, task, readable, SEED),
        shown_by=_shown_by(task),
        suspects=pictures.of_suspects(odd.kinds),
        more_suspects=odd.limit,
        n_suspects=sum(map(len, odd.kinds.values())),
        of_task=OF_TASKS.get(task.name),
        errors=errors[:MAX_ERRORS],
        more_errors=len(errors) - MAX_ERRORS,
        n_errors=len(errors),
        notes=list(dict.fromkeys(train.attrs["notes"] + photos.attrs["notes"])),
    )


def _title(name: str) -> str:
    """A factor's or column's name as a heading: leaf_shape -> Leaf shape."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def _shown_by(task: Task) -> str:
    """Which photos show a policy."""
    column, values = facts.shown_by(task)
    each = f"One photo of each {f'value of {_title(column).lower()}' if task.factors else 'class'}"
    return each if len(values) <= facts.MAX_ROWS else f"{each}, of the first {facts.MAX_ROWS}"


def _co_occurrence(task: Task, table: pd.DataFrame) -> "go.Figure | None":
    """The figure for two or more factors that together have few values."""
    if len(task.factors) < 2 or sum(task.sizes) > plots.MAX_VALUES:
        return None
    return plots.co_occurrence(facts.co_occurrence(task, table))


def _policies(words: Sequence[str]) -> "list[Policy]":
    if not words:
        return []
    from analysis.eda.augment import read_policies  # imports torch, which the page alone does not need

    return read_policies(words)
