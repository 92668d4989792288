"""A drawn set of the home task, written in each of the formats."""

import os
from pathlib import Path

import pandas as pd

from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_eval, read_train

GROUP = r"/(\d{6})_"  # of the folder of a person
FORMS = {  # form: the option group that it needs
    "factor columns": "person", "label names": "", "label names and factors": "person", "folders by name": GROUP,
    "folders by number": GROUP, "folders in photos.csv": GROUP,
}  # fmt: skip


def rearranged(people: Path, out: Path, form: str) -> Path:
    """`out`: the set of `people` in another form, its photos linked."""
    table, eval_photos = read_train(people).table, read_eval(people)
    names = table["label"].map(dict(enumerate(FACE_MASK.classes)))
    if form.startswith("folders by"):
        folders = names if form == "folders by name" else table["label"].astype(str)
        places = [f"train/{folder}/{photo}" for folder, photo in zip(folders, table["photo"], strict=True)]
        _link(out, places, table["path"])
        _link(out, [f"eval/{photo}" for photo in eval_photos["photo"]], eval_photos["path"])
        return out
    places = [f"photos/{photo}" for photo in table["photo"]]
    values = {
        factor: [known[index] for index in table[factor]] for factor, known in FACE_MASK.factors.items()
    }
    columns = {
        "factor columns": values | {"person": table["group"]},
        "label names": {"label": names, "group": table["group"]},
        "label names and factors": values | {"label": names, "person": table["group"]},
        "folders in photos.csv": {"label": table["label"]},
    }[form]
    rows = pd.DataFrame({"path": places, **columns, "split": "train"})
    more = pd.DataFrame({"path": [f"new/{photo}" for photo in eval_photos["photo"]], "split": "eval"})
    everything = pd.concat(
        [more, rows.sample(frac=1, random_state=1)]
    )  # the order of the lines changes nothing
    out.mkdir()
    everything.to_csv(out / "photos.csv", index=False)
    _link(out, places, table["path"])
    _link(out, more["path"], eval_photos["path"])
    return out


def _link(out: Path, places, paths) -> None:
    for place, path in zip(places, paths, strict=True):
        (out / place).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(path, out / place)
