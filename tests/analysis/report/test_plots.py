"""The compute halves on small tables with figures that one can check by hand; the draw halves' shape."""

import numpy as np
import pandas as pd
import pytest

from analysis.report import parallel_coordinates, plots
from analysis.report.page import _figure
from analysis.trials.ranking import rank
from tests.analysis import example_search


def test_curves_to_draw_keeps_the_marked_and_puts_the_best_on_top():
    table = pd.DataFrame({"trial": list("abcde"), "macro_f1": [0.1, 0.5, 0.3, np.nan, 0.9]})
    assert plots.curves_to_draw(table, "abcd", (), limit=2) == ["c", "b"]
    assert plots.curves_to_draw(table, "abcd", ("a", "e"), limit=2) == ["a", "c", "b"]
    assert plots.curves_to_draw(table, (), ("a",), limit=2) == []


def test_learning_curves_of_many_trials_are_limited():
    table, curves = example_search.search(300, epochs=4)
    marked = {"best": "T0007", "default": "T0000"}
    drawn = plots.curves_to_draw(table, curves, marked.values())
    figure = plots.learning_curves(table, {trial: curves[trial] for trial in drawn}, marked, "macro_f1", {})
    assert plots.MAX_CURVES <= len(figure.data) <= plots.MAX_CURVES + 2
    assert sum(bool(trace.showlegend) for trace in figure.data) == 3
    assert [trace.name for trace in figure.data[-2:]] == ["default (#0)", "best (#7)"], "on top of the others"


def test_one_huge_loss_does_not_press_the_others_flat():
    epochs = pd.DataFrame({"epoch": [1, 2, 3], "train_loss": [3.0, 2.0, 1.0], "macro_f1": [0.1, 0.2, 0.3]})
    axis = plots.losses(epochs.assign(validation_loss=[3.0, 100.0, 2.0]), "macro_f1").layout.yaxis
    assert (axis.type, axis.nticks) == ("log", 3), "more ticks lie over each other"
    for plain in ([3.0, 9.0, 2.0], [np.nan] * 3, [0.0, 100.0, 2.0]):
        assert plots.losses(epochs.assign(validation_loss=plain), "macro_f1").layout.yaxis.type is None


def axis(values: list, scores: list | None = None) -> parallel_coordinates.Axis:
    return parallel_coordinates.axis_of("x", pd.Series(values), pd.Series(scores or [0.5] * len(values)))


def test_axis_of_names_best_on_top():
    got = axis(["adam", "sgd", "adam", "sgd"], [0.2, 0.8, 0.4, 0.9])
    assert got.ticks == ((0.25, "adam"), (0.75, "sgd"))
    assert got.positions.tolist() == pytest.approx([0.175, 0.675, 0.325, 0.825])


def test_axis_of_sizes_by_area():
    assert [text for _, text in axis(["128x96", "64x48", "96x72"]).ticks] == ["64x48", "96x72", "128x96"]


def test_axis_of_numbers_is_a_scale_logarithmic_over_decades():
    linear = axis([1.0, 2.0, 3.0])
    assert linear.positions.tolist() == [0, 0.5, 1]
    decades = axis([1e-4, 1e-3, 1e-2])
    assert decades.positions.tolist() == pytest.approx([0, 0.5, 1])
    assert [text for _, text in decades.ticks][::2] == ["0.0001", "0.001", "0.01"]


def test_axis_of_few_repeated_numbers_is_in_steps():
    assert [text for _, text in axis([64, 32, 32, 64]).ticks] == ["32", "64"]


def test_axis_with_missing_values_has_a_lane_below():
    got = axis([0.5, None, 2.0, np.nan])
    assert got.positions.tolist() == [0, -parallel_coordinates.GAP, 1, -parallel_coordinates.GAP]
    assert got.ticks[0] == (-parallel_coordinates.GAP, "–")


def test_a_column_that_no_trial_has_is_an_axis_of_missing_values():
    got = parallel_coordinates.axis_of("x", pd.Series([None, None], dtype="str"), pd.Series([0.4, 0.5]))
    assert got.positions.tolist() == [-parallel_coordinates.GAP] * 2
    assert got.ticks == ((-parallel_coordinates.GAP, "–"),)


def test_parallel_coordinates_have_an_axis_a_column_and_the_score():
    table, _ = example_search.search(60, epochs=2)
    ranked = rank(table).ranked
    columns = ["model", "learning_rate", "loss.gamma", "not there"]
    (trace,) = parallel_coordinates.parallel_coordinates(ranked, columns).data
    assert [axis.label for axis in trace.dimensions] == [
        "model",
        "learning_rate",
        "loss.\ngamma",
        "macro_f1",
    ]
    assert {len(axis["values"]) for axis in trace.dimensions} == {len(ranked)}
    model, _, gamma, score = trace.dimensions
    assert set(model.ticktext) == set(ranked["model"])
    assert gamma.ticktext[0] == "–", "of trials without a gamma"
    assert list(score["values"]) == sorted(score["values"]), "the best one last"
    assert list(trace.line.color) == pytest.approx(score["values"], abs=1e-4), "coloured by macro-F1"


def test_ticks_of_parallel_coordinates_are_not_escaped():
    """Plotly draws them as plain text, all others as HTML."""
    table, _ = example_search.search(60, epochs=2)
    ranked = rank(table).ranked.assign(model="a & b")
    page = str(_figure("all", parallel_coordinates.parallel_coordinates(ranked, ["model", "loss.gamma"])))
    assert '"ticktext":["a & b"]' in page and '"label":"loss.<br>gamma"' in page


@pytest.mark.parametrize("chosen", [0, 7])
def test_parallel_coordinates_of_many_trials_are_thinned_and_keep_the_best(chosen):
    table, _ = example_search.search(1000, epochs=2)
    ranked = rank(table).ranked
    best = ranked.iloc[chosen]
    (trace,) = parallel_coordinates.parallel_coordinates(ranked, ["model", "loss"], best["trial"]).data
    top = max(trace.line.color)
    assert top > 1, "outside the scores' colours"
    drawn, lines = trace.dimensions[-1]["values"], np.asarray(trace.line.color) == top
    assert (~lines).sum() + 1 == parallel_coordinates.MAX_LINES
    scores = ranked["macro_f1"]
    height = (best["macro_f1"] - scores.min()) / (scores.max() - scores.min())
    assert drawn[lines].mean() == pytest.approx(height, abs=1e-3)
