import json
from itertools import product

import numpy as np
import pandas as pd
import pytest

from dataset.face_masks.labels import FACE_MASK
from dataset.task import Bands, Task, rare_labels

TASKS = [
    FACE_MASK,
    Task("photos", ("no", "yes"), group="photo", groups="photos"),
    Task("photos", tuple(f"class {n}" for n in range(300)), rare=(3, 299), rare_name="few"),
    Task(
        "photos",
        ("small a", "small b", "large a", "large b"),
        {"size": ("small", "large"), "kind": ("a", "b")},
        answers=("1", "2", "3", "4"),
        bands={"size": Bands("centimetres", (30,), "cm")},
    ),
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.n_classes} classes")
def test_a_task_survives_json(task):
    again = Task.from_json(json.loads(json.dumps(task.to_json())))
    assert again == task
    assert isinstance(again.classes, tuple) and all(isinstance(one, tuple) for one in again.factors.values())


@pytest.mark.parametrize("key", ["classes", "factors", "bands", "rare", "answers"])
def test_what_is_no_task_is_an_error(key):
    values = FACE_MASK.to_json()
    with pytest.raises(TypeError):
        Task.from_json({**values, "unknown": 1})
    del values[key]
    with pytest.raises(KeyError):
        Task.from_json(values)


def test_labels_are_the_place_of_the_class_in_the_product():
    task = TASKS[-1]
    cells = list(product(range(2), range(2)))
    assert [int(task.label({"size": size, "kind": kind})) for size, kind in cells] == [0, 1, 2, 3]
    table = pd.DataFrame(cells, columns=["size", "kind"])
    assert list(task.label(table[["kind", "size"]])) == [
        0,
        1,
        2,
        3,
    ]  # by name, whatever the order of the columns
    assert task.sizes == (2, 2)


def test_answers_are_the_names_unless_given():
    assert TASKS[1].answers == ("no", "yes")
    assert TASKS[-1].answers == ("1", "2", "3", "4")


@pytest.mark.parametrize(
    ("group", "column"),
    [("person", "person"), ("photo", "group"), ("label", "group"), ("fold", "group"), ("group", "group")],
)
def test_the_groups_column_never_takes_the_name_of_another(group, column):
    assert Task("photos", ("a", "b"), group=group).column == column


def test_a_task_can_not_be_changed():
    with pytest.raises(AttributeError):
        FACE_MASK.classes = ()


def test_bands_begin_at_their_edges():
    bands = Bands("age", (30, 60), "years")
    assert [int(bands.index(age)) for age in (0, 29, 30, 59, 60, 99)] == [0, 0, 1, 1, 2, 2]
    assert list(bands.index(np.array([18, 45, 60]))) == [0, 1, 2]


@pytest.mark.parametrize(
    ("counts", "rare"),
    [([50, 50], ()), ([90, 10], (1,)), ([75, 25], ()), ([76, 24], (1,)), ([10] * 40, ()), ([10] * 39 + [4], (39,)), ([5, 0], ())],
)  # fmt: skip
def test_rare_is_less_than_half_of_an_even_share(counts, rare):
    assert rare_labels(counts) == rare
    task = Task("photos", tuple(map(str, range(len(counts)))), rare=rare)
    assert task.is_rare(np.arange(len(counts))).tolist() == [label in rare for label in range(len(counts))]


def test_a_class_without_photos_is_not_rare_and_has_no_share():
    counts = np.diag([60, 60, 60, 8]).ravel()  # each kind has its own form: 4 of 16 combinations
    assert rare_labels(counts) == (15,)
    assert rare_labels([0, 0]) == ()


@pytest.mark.parametrize("group", ["photo", "fold", "label", "p00", "p123"])
def test_the_column_of_groups_is_no_other_columns_name(group):
    assert Task("photos", ("no", "yes"), group=group).column == "group"
    assert Task("photos", ("no", "yes"), group="p1").column == "p1"
