"""The scores by class on small tables that one can check by hand, and for few and for very many classes."""

import numpy as np
import pandas as pd
import pytest

from analysis.report import classes
from dataset.face_masks.labels import FACE_MASK
from tests.analysis import example_search
from trial.record import probability_columns, scores_of


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
    assert texts[FACE_MASK.classes[0]] == "0.50  (2 photos)"
    assert texts[FACE_MASK.classes[2]] == "0.00  (1 photo)"
    assert texts[FACE_MASK.classes[17]] == "no validation photos"


def test_confusion_rows_sum_to_one_and_keep_their_counts():
    counts = np.zeros((FACE_MASK.n_classes, FACE_MASK.n_classes), dtype=int)
    counts[0, :2] = [3, 1]
    trace = classes.confusion(counts, FACE_MASK).data[0]
    assert trace.z[0][0] == 0.75
    assert trace.customdata[0][0] == 3
    assert trace.text[0][:3] == [".75", ".25", ""]
    assert np.isnan(np.asarray(trace.z)[1]).all()
