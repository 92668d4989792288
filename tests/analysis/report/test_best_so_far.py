"""The best score so far against hours: the table by hand, the figure's points."""

import numpy as np
import pandas as pd
import pytest

from analysis.report.best_so_far import best_so_far, best_so_far_figure
from analysis.trials.ranking import rank
from tests.analysis import example_search

ROWS = [  # trial, state, hours, macro_f1
    ("a", "done", 0.2, 0.3),
    ("b", "paused", 0.1, 0.9),
    ("c", "done", 0.4, 0.5),
    ("d", "stopped_early", 0.3, 0.4),
    ("e", "done", 0.5, 0.4),
    ("f", "mismatch", 0.6, 0.95),
    ("g", "failed", 0.7, np.nan),
    ("h", "waiting", np.nan, np.nan),
    ("i", "running", 0.8, 0.7),
]


@pytest.fixture
def rows():
    table = pd.DataFrame(ROWS, columns=["trial", "state", "hours", "macro_f1"])
    return best_so_far(rank(table.assign(sequence=range(len(table)), reason="")))


def test_only_finished_trials_are_the_best_so_far(rows):
    assert list(rows["trial"]) == ["b", "a", "d", "c", "e", "i"]
    assert list(rows["finished"]) == [False, True, False, True, True, False]
    assert rows["best"].fillna(-1).tolist() == [-1, 0.3, 0.3, 0.5, 0.5, 0.5]


def test_the_figure_has_a_line_and_filled_and_open_points(rows):
    line, finished, others, default, best = best_so_far_figure(
        rows, {"best": "c", "median": "c", "default": "b"}, "macro_f1"
    ).data
    assert line.line.shape == "hv"
    assert list(line.x) == pytest.approx([12, 18, 24, 30, 48]), "in minutes, until the last trial"
    assert list(finished.y) == [0.3, 0.4]
    assert list(others.y) == [0.4, 0.7]
    assert {*finished.marker.symbol, *best.marker.symbol} == {"circle"}
    assert {*others.marker.symbol, *default.marker.symbol} == {"circle-open"}
    assert (best.name, default.name) == ("best and median (#2)", "default (#1)")
    assert list(default.customdata[0]) == [1, "b", "paused"]


def test_a_table_without_hours_has_no_rows():
    table, _ = example_search.search(5)
    assert best_so_far(rank(table.drop(columns="hours"))).empty


def test_points_of_many_trials_are_smaller_and_in_hours():
    tables = (best_so_far(rank(example_search.search(number)[0])) for number in (500, 20))
    many, few = (best_so_far_figure(rows, {}, "macro_f1") for rows in tables)
    assert many.data[1].marker.size < few.data[1].marker.size
    assert many.layout.xaxis.title.text == "hours of search"
    assert few.layout.xaxis.title.text == "minutes of search"
