"""A trial of sets with 2, 6 and 40 classes, with and without factors and groups."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from common.errors import UsageError, errors_of
from dataset.read import read_train
from tests.conftest import TINY
from trial.config import parse
from trial.recipe import task_errors
from trial.run import run
from trial.run_folder.predictions import probability_columns
from trial.run_folder.record import RunFolder, RunWriter


@pytest.fixture
def write(people, tmp_path):
    """write(columns=): a photos.csv over the drawn photos; a column is made of the number of its person."""

    def make(**columns) -> Path:
        table = read_train(people).table
        person = pd.factorize(table["group"])[0]
        data = tmp_path / "set"
        data.mkdir()
        for photo, path in zip(table["photo"], table["path"], strict=True):
            (data / photo).parent.mkdir(exist_ok=True)
            os.symlink(path, data / photo)
        made = {name: [make(number) for number in person] for name, make in columns.items()}
        pd.DataFrame({"path": table["photo"], **made}).to_csv(data / "photos.csv", index=False)
        return data

    return make


def trained(data: Path, folder: Path, **values) -> RunFolder:
    config = parse({**TINY, "folds": 2, "data": str(data), **values})
    run(config, RunWriter(folder, config), lambda report: None)
    return RunFolder(folder)


TWO = {"label": lambda n: "sick" if n % 5 == 0 else "healthy", "patient": lambda n: f"p{n}"}
SIX = {
    "size": lambda n: ("small", "large")[n % 2],
    "colour": lambda n: ("red", "green", "blue")[n % 3],
    "group": str,
}
RECIPES = {
    "two classes": (TWO, {"group": "patient", "loss": "focal", "mixing": "mixup_rare", "copies": "baseline"}),
    "two classes, no groups": ({"label": TWO["label"]}, {"sampler": "class_balanced", "mixing": "cutmix"}),
    "factors": (SIX, {"head": {"_name": "factors", "dropout": 0.2}, "mixing": "mixup", "fold": "all"}),
    "a joint network": (SIX, {"head": "factors", "model": "test_resnet+test_vit"}),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_trial_of_any_task_says_in_its_run_folder_what_it_was(name, write, tmp_path):
    columns, values = RECIPES[name]
    data = write(**columns)
    folder = trained(data, tmp_path / "run", **values)
    task = folder.task()
    assert task == read_train(data, group=values.get("group", "")).task
    assert folder.status()["macro_f1"] is not None
    validation = folder.validation()
    assert list(validation) == ["photo", "group", "fold", "label", *probability_columns(task.n_classes)]
    assert np.allclose(validation[probability_columns(task.n_classes)].sum(axis=1), 1, atol=1e-4)
    in_file = pd.read_parquet(folder.folder / "validation.parquet")
    assert list(in_file)[1] == {"two classes": "patient"}.get(name, "group")
    assert len(folder.class_counts()) == task.n_classes
    assert {f"recall_{label:02d}" for label in range(task.n_classes)} <= set(folder.epochs())


def test_forty_classes_in_groups_of_several(write, tmp_path):
    """Each person has photos of several classes."""
    data = write(group=str)
    csv = data / "photos.csv"
    table = pd.read_csv(csv, dtype=str)
    table.assign(label=[f"class {n % 40}" for n in range(len(table))]).to_csv(csv, index=False)
    folder = trained(data, tmp_path / "run", train_fraction=0.9)
    assert folder.task().n_classes == 40
    assert folder.task().classes[2] == "class 2"
    assert folder.status()["macro_f1"] is not None


REFUSED = {
    "head=factors": "head=factors: this set has no factors; give columns of them in photos.csv, or head=classes",
    "head=three": "head=factors: this set has no factors",
    "copies=baseline": "copies=baseline: no class of this set is rare; leave it out",
    "mixing=mixup_rare": "mixing=mixup_rare: no class of this set is rare; leave it out",
    "mixing=mixup_oldest": "mixing=mixup_rare: no class of this set is rare; leave it out",
    "borders=drop": "borders=drop: only the face-mask task has ages; leave it out",
    "borders=relabel": "borders=relabel: only the face-mask task has ages; leave it out",
    "borders=soft": "borders=soft: only the face-mask task has ages; leave it out",
    "corrections=competition": "corrections=competition: only the face-mask task has them",
}  # fmt: skip


@pytest.mark.parametrize("choice", REFUSED)
def test_what_a_task_does_not_have_is_refused(choice, write, tmp_path):
    data = write(label=lambda n: "ab"[n % 2], group=str)
    field, _, name = choice.partition("=")
    config = parse({**TINY, "data": str(data), field: name})
    (error,) = task_errors(config, read_train(data).task)
    assert error.startswith(REFUSED[choice])
    with pytest.raises(UsageError):
        run(config, RunWriter(tmp_path / "run", config), lambda report: None)


def test_subclasses_without_a_number_are_refused(write):
    task = read_train(write(label=lambda n: "ab"[n % 2], group=str)).task
    config = parse({**TINY, "head": {"_name": "auto", "subclasses": 4}})
    expected = "head.subclasses=4: no factor of this set is a number cut into bands; leave it out"
    assert task_errors(config, task) == [expected]


def test_all_that_a_task_does_not_have_is_refused_at_once(write, tmp_path):
    data = write(label=lambda n: "ab"[n % 2], group=str)
    config = parse({**TINY, "data": str(data), "head": "factors", "copies": "baseline", "borders": "drop"})
    assert len(errors_of(run, config, RunWriter(tmp_path / "run", config), lambda report: None)) == 3


def test_the_home_task_has_it_all(people):
    values = {
        "head": "factors",
        "copies": "baseline",
        "borders": "drop",
        "mixing": "mixup_rare",
        "corrections": "competition",
    }
    assert task_errors(parse({**TINY, "data": str(people), **values}), read_train(people).task) == []
