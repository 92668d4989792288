"""The page about a data set; one with errors gets its page too, which lists them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis.eda import facts, pictures, plots
from analysis.eda.suspects import suspects
from analysis.report.page import write_page
from common.errors import UsageError
from dataset.face_masks.labels import AGE_BANDS, GENDERS
from dataset.read import scan_eval, scan_train
from dataset.pixels import decode_errors

if TYPE_CHECKING:
    from trial.augment.policies import Policy

MAX_ERRORS = 200
SIZES = ["width", "height"]
FILES = ["extension", "format", "mode"]
TITLES = {"gender": "Gender", "age_band": "Age band", "mask": "Mask"}


def write_eda(data: Path, out: Path, augment: Sequence[str] = (), seed: int = 0) -> Path:
    """Write OUT/eda.html about the data set in the folder `data` (competition layout) and return its path.

    `augment`: augmentation policies to show, each a name or a JSON list of steps. `seed`: the random seed of
    the sample photos and of augmentation. Errors of the data set are listed on the page; UsageError only if
    nothing of it can be read, a policy has errors, or `out` is a file.
    """
    data, out = Path(data), Path(out)
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; give a folder for eda.html")
    policies = _policies(augment)
    train, errors = scan_train(data)
    photos, eval_errors = scan_eval(data)
    errors = list(dict.fromkeys([*errors, *eval_errors]))
    if train.empty and photos.empty:
        raise UsageError(errors)
    both = pd.concat([train.assign(half="train"), photos.assign(half="eval")], ignore_index=True)
    headers, header_errors = facts.read_headers(both)
    errors += header_errors + decode_errors(headers["path"], progress=True)
    readable = train[train["path"].isin(headers["path"])]
    odd = suspects(train, headers[headers["half"] == "train"])
    by = {column: facts.counts_by(train, column) for column in facts.NAMES}
    return write_page(
        out / "eda.html",
        "eda.html.j2",
        name=data.absolute().name,
        people=train["person"].nunique(),
        photos=len(train),
        eval_photos=len(photos),
        by=[(title, by[column]) for column, title in TITLES.items()],
        by_class=by["label"],
        absent=by["label"].loc[by["label"]["photos"] == 0, "name"].tolist(),
        cross=facts.people_by_gender_and_band(train).tolist(),
        genders=[*GENDERS, "all"],
        bands=[*AGE_BANDS, "all"],
        ages=None if train.empty else plots.ages(facts.people_by_age(train)),
        classes=plots.classes(by["label"]),
        co_occurrence=plots.co_occurrence(facts.co_occurrence(train)),
        sizes=facts.kinds(headers, SIZES),
        files=facts.kinds(headers, FILES),
        bytes=headers.groupby("half")["bytes"].agg(["sum", "median"]).to_dict("index"),
        samples=pictures.by_class(readable, seed),
        augmentation=pictures.of_policies(policies, readable, seed),
        suspects=pictures.of_suspects(odd),
        n_suspects=sum(map(len, odd.values())),
        errors=errors[:MAX_ERRORS],
        more_errors=len(errors) - MAX_ERRORS,
        n_errors=len(errors),
        notes=train.attrs["notes"] + photos.attrs["notes"],
    )


def _policies(words: Sequence[str]) -> "list[Policy]":
    if not words:
        return []
    from analysis.eda.augment import read_policies  # imports torch, which the page alone does not need

    return read_policies(words)
