"""The scores by class on small tables that one can check by hand, and for few and for very many classes."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.eda import plots
from analysis.report import classes
from analysis.report.page import _figure
from analysis.report.plots import learning_curves
from dataset.face_masks.labels import FACE_MASK
from dataset.task import Bands, Task
from tests.analysis import example_search
from trial.run_folder.predictions import probability_columns, scores_of


def small_validation() -> pd.DataFrame:
    """Five photos: class 0 twice (one taken for class 1), class 1 twice (both right), class 2 missed."""
    labels, answers = [0, 0, 1, 1, 2], [0, 1, 1, 1, 0]
    table = pd.DataFrame(
        np.eye(FACE_MASK.n_classes)[answers], columns=probability_columns(FACE_MASK.n_classes)
    )
    return table.assign(label=labels, group=["a", "a", "b", "c", "d"])


def test_class_table_by_hand():
    table = classes.class_table(small_validation(), FACE_MASK)
    assert table["photos"].tolist()[:4] == [2, 2, 1, 0]
    assert table["groups"].tolist()[:4] == [1, 2, 1, 0]
    assert table["recall"].tolist()[:3] == [0.5, 1.0, 0.0]
    assert table["precision"].tolist()[:2] == [0.5, pytest.approx(2 / 3)]
    assert np.isnan(table["recall"][3])
    assert np.isnan(table["precision"][2])
    assert table["f1"].tolist()[:4] == [0.5, pytest.approx(0.8), 0, 0]
    assert table.index[table["rare"]].tolist() == [2, 5, 8, 11, 14, 17]


def test_mean_f1_is_the_macro_f1():
    validation = example_search.validation(300)
    scores = scores_of(validation)
    assert classes.class_table(validation, FACE_MASK)["f1"].mean() == pytest.approx(scores.macro_f1)


def test_recalls_say_what_is_absent():
    figure = classes.recalls(classes.class_table(small_validation(), FACE_MASK), FACE_MASK)
    texts = {y: text for trace in figure.data for y, text in zip(trace.y, trace.text, strict=True)}
    assert texts[FACE_MASK.classes[0]] == "0.50 (2)"
    assert texts[FACE_MASK.classes[2]] == "0.00 (1)"
    assert texts[FACE_MASK.classes[17]] == "no photos"


def test_confusion_rows_sum_to_one_and_keep_their_counts():
    counts = np.zeros((FACE_MASK.n_classes, FACE_MASK.n_classes), dtype=int)
    counts[0, :2] = [3, 1]
    trace = classes.confusion(counts, FACE_MASK).data[0]
    assert trace.z[0][0] == 0.75
    assert trace.customdata[0][0] == 3
    assert trace.text[0][:3] == [".75", ".25", ""]
    assert np.isnan(np.asarray(trace.z)[1]).all()


def of_other_task(n_classes: int, **more) -> tuple[pd.DataFrame, Task]:
    """Validation photos of a made-up task, two of each class, every tenth class taken for the one before."""
    task = Task(
        "photos", tuple(f"species {number}" for number in range(n_classes)), {}, "plot", "plots", **more
    )
    labels = np.arange(n_classes).repeat(2)
    predicted = labels - (labels % 10 == 9)
    table = pd.DataFrame(np.eye(n_classes)[predicted], columns=probability_columns(n_classes))
    return table.assign(label=labels, group=[f"plot {number // 3}" for number in range(len(labels))]), task


@pytest.mark.parametrize("n_classes", [2, 18, 40, 300])
def test_figures_and_tables_follow_the_number_of_classes(n_classes):
    validation, task = of_other_task(n_classes)
    facts = classes.classes_of(validation, task)
    assert len(facts["classes"]) == n_classes
    assert 100 < facts["recalls"].layout.height < 1500
    assert sum(len(trace.y) for trace in facts["recalls"].data) == (40 if n_classes == 300 else n_classes)
    if n_classes == 300:
        assert facts["confusion"] is None, "no cell of it could be seen"
        assert facts["recalls"].data[0].y[0] == "species 9", "the lowest recall is on top"
        assert facts["recall_words"] == "The 40 of 300 classes with the lowest recall; the table has all."
    else:
        assert (facts["confusion"].data[0].texttemplate is not None) == (n_classes <= 30)
        assert 200 < facts["confusion"].layout.height < 1500
    assert bool(facts["pairs"]) == (n_classes > 30)
    assert facts["classes_words"].startswith(
        f"{2 * n_classes:,} photos of {-(-2 * n_classes // 3)} validation plots; "
    )


def test_pairs_confused_most_often_by_hand():
    task = Task("photos", ("a", "b", "c"))
    counts = np.array([[5, 1, 4], [0, 9, 0], [2, 2, 6]])
    assert classes.confused_pairs(counts, task, limit=2) == [
        {"true": "a", "predicted": "c", "photos": 4, "fraction": 0.4},
        {"true": "c", "predicted": "a", "photos": 2, "fraction": 0.2},
    ]
    assert classes.confused_pairs(np.diag([3, 0, 2]), task) == []


def test_rare_classes_have_a_colour_and_the_tasks_name_for_them():
    home = classes.recalls(classes.class_table(small_validation(), FACE_MASK), FACE_MASK)
    assert [trace.name for trace in home.data] == ["<30 and 30-59", "60+"]
    assert (
        "The 6 classes of 60+ hold 20% of the photos, and 33% of the macro-F1."
        in classes.classes_of(small_validation(), FACE_MASK)["classes_words"]
    )
    validation, task = of_other_task(10, rare=(4,))
    other = classes.recalls(classes.class_table(validation, task), task)
    assert [trace.name for trace in other.data] == ["other classes", "rare classes"]
    assert list(other.data[1].y) == ["species 4"]
    assert (
        "The rare class holds 10% of the photos, and 10% of the macro-F1."
        in classes.classes_of(validation, task)["classes_words"]
    )
    (only,) = classes.recalls(classes.class_table(*of_other_task(10)), of_other_task(10)[1]).data
    assert len(only.y) == 10


def test_lines_separate_the_values_of_the_first_of_several_factors():
    assert len(classes.confusion(np.eye(18, dtype=int), FACE_MASK).layout.shapes) == 4, "of three mask states"
    one = Task("photos", ("a", "b"), {"side": ("a", "b")})
    assert not classes.confusion(np.eye(2, dtype=int), one).layout.shapes


def test_long_names_are_shortened_on_axes_only():
    names = ("a" * 30 + " first " + "z" * 30, "a" * 30 + " second " + "z" * 30)
    figure = classes.confusion(np.eye(2, dtype=int), Task("photos", names))
    assert list(figure.data[0].y) == list(names)
    assert figure.layout.yaxis.ticktext[0] == "a" * 18 + "…" + "z" * 18


def test_names_that_look_like_html_are_shown_as_they_are():
    """Plotly would draw <b>dog</b> as a bold dog."""
    task = Task("photos", ("<b>dog</b>", "cats & co"))
    figure = classes.confusion(np.eye(2, dtype=int), task)
    page = str(_figure("confusion", figure))
    assert json.dumps(["&lt;b&gt;dog&lt;/b&gt;", "cats &amp; co"], separators=(",", ":")) in page
    assert '"true: %{y}<br>predicted: %{x}<br>' in page, "templates are our own"


def test_nor_do_the_words_over_a_point_take_a_name_for_html():
    """What a group or a trial is called comes from the set's columns and from folders."""
    task = Task("photos", ("a", "b"), group="<b>dog</b>", groups="<b>dogs</b>")
    probabilities = pd.DataFrame(np.eye(2), columns=probability_columns(2))
    answers = probabilities.assign(label=[0, 1], group=["x", "y"])
    counted = pd.DataFrame({"name": task.classes, "photos": 1, "groups": 1, "fraction": 0.5})
    trials = pd.DataFrame({"trial": ["<b>0</b>"], "sequence": 0, "state": "done", "macro_f1": 0.5})
    curves = {"<b>0</b>": pd.DataFrame({"epoch": [1], "macro_f1": [0.5]})}
    figures = [
        classes.recalls(classes.class_table(answers, task), task),
        plots.classes(counted, (), task.groups),
        plots.classes(pd.concat([counted] * 40, ignore_index=True), (), task.groups),
        plots.numbers(pd.DataFrame({"a": [1, 2]}), Bands("age", (1,)), task.groups),
        learning_curves(trials, curves, {}, "macro_f1", {}),
    ]
    for figure in figures:
        page = str(_figure("one", figure))
        assert "<b>" not in page and "&lt;b&gt;" in page and "%{meta}" in page
