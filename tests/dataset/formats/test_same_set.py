"""The same photos in any format are the same set: labels, order, folds, and a trial's scores to the digit."""

import pandas as pd
import pytest

from dataset.check import check
from dataset.face_masks.labels import FACE_MASK
from dataset.read import COMPETITION, format_of, read_eval, read_train
from dataset.split import fold_of
from tests.conftest import TINY
from tests.dataset.formats.rearranged import FORMS, rearranged
from trial.config import parse
from trial.run import run
from trial.run_folder.record import RunFolder, RunWriter


def trained(data, folder, group="") -> RunFolder:
    config = parse({**TINY, "augment": "baseline", "data": str(data), "group": group, "fold": 1})
    run(config, RunWriter(folder, config), lambda report: None)
    return RunFolder(folder)


@pytest.fixture(scope="module")
def home(people, tmp_path_factory) -> RunFolder:
    return trained(people, tmp_path_factory.mktemp("home") / "run")


def assert_same(form, people, data):
    """The set in another form has the labels, groups, order, folds and photos to predict of `people`."""
    assert format_of(data) != format_of(people) == COMPETITION
    expected = read_train(people).table
    task, table = read_train(data, group=FORMS[form])
    assert (table["label"] == expected["label"]).all()
    assert (table["group"] == expected["group"]).all()
    assert all(map(str.endswith, table["photo"], expected["photo"]))
    assert (fold_of(table, 5, 3) == fold_of(expected, 5, 3)).all()
    assert [photo.rpartition("/")[2] for photo in read_eval(data)["photo"]] == list(
        read_eval(people)["photo"]
    )
    if "number" not in form and form != "folders in photos.csv":
        assert task.classes == FACE_MASK.classes
    if "factor" in form:
        assert task.factors == FACE_MASK.factors
        assert (task.group, task.groups, task.column) == ("person", "people", "person")
        columns = list(FACE_MASK.factors)
        pd.testing.assert_frame_equal(table[columns], expected[columns])


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_set_is_the_same_in_each_format(form, people, home, tmp_path):
    data = rearranged(people, tmp_path / "set", form)
    assert_same(form, people, data)
    assert len(check(data, group=FORMS[form]).train) == len(read_train(people).table)
    scores, of_home = trained(data, tmp_path / "run", FORMS[form]).epochs(), home.epochs()
    scores, of_home = (one.drop(columns="seconds").to_csv() for one in (scores, of_home))
    assert scores == of_home


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("form", ["factor columns", "folders by name"])
def test_the_stand_in_is_the_same_too(form, standin, tmp_path):
    assert_same(form, standin, rearranged(standin, tmp_path / "set", form))
