"""Reports name the metric that the trials were trained by, and show its scores."""

import numpy as np
import pandas as pd
import pytest

from analysis.report import parallel_coordinates, plots, tables
from analysis.report.experiment import Best, write_report
from analysis.report.run import write_run_report
from analysis.trials.ranking import rank
from dataset.face_masks.labels import FACE_MASK
from tests.analysis import example_search
from tests.conftest import TINY
from trial.config import parse
from trial.metrics import METRICS, column_of, title_of
from trial.run import run
from trial.run_folder.record import RunFolder, RunWriter

OTHERS = [metric for metric in METRICS if metric != "macro_f1"]


def search(metric, trials=40):
    """A search by `metric`, whose order of trials is the opposite of macro_f1's."""
    table, curves = example_search.search(trials)
    column = column_of(metric)
    table.insert(5, column, -table["macro_f1"])
    table["metric"] = metric
    return rank(table), {
        trial: epochs.assign(**{column: -epochs["macro_f1"]}) for trial, epochs in curves.items()
    }


@pytest.mark.parametrize("metric", OTHERS)
def test_an_experiments_page_says_what_the_scores_are(tmp_path, metric):
    ranking, curves = search(metric)
    page = write_report(
        tmp_path / "r.html", "mine", ranking, ranking.first, curves,
        Best(example_search.validation(200), FACE_MASK), None,
    )  # fmt: skip
    text, title, best = page.read_text(), title_of(metric), ranking.first
    for words in (
        f"<b>{best[column_of(metric)]:.3f}</b><span>{title}, trial #{best['sequence']}, epoch",
        f"Scores are {title} on validation people", f"Validation {title} after each epoch",
        f"from its values to its {title};", f"<tr><th>{column_of(metric)}</th>",
        f"<button>{column_of(metric)}</button>",
    ):  # fmt: skip
        assert words in text
    assert "<button>macro_f1</button>" not in text


@pytest.mark.slow
def test_by_default_it_is_macro_f1_over_all_classes(tmp_path):
    table, curves = example_search.search(40)
    ranking = rank(table)
    best = Best(example_search.validation(200), FACE_MASK)
    text = write_report(tmp_path / "r.html", "mine", ranking, ranking.first, curves, best, None).read_text()
    assert (
        "Scores are macro-F1 over all 18 classes on validation people that the trial did not train on" in text
    )
    assert f"<b>{table['macro_f1'][table['state'] == 'done'].max():.3f}</b><span>macro-F1, trial #" in text
    assert "<button>macro_f1</button>" in text


@pytest.mark.slow
def test_trials_that_differ_in_metric_are_an_alarm(tmp_path):
    table, curves = example_search.search(40)
    table["metric"] = np.where(table["sequence"] == 0, "accuracy", "macro_f1")
    table.insert(5, "accuracy", table["macro_f1"].where(table["metric"] == "accuracy"))
    ranking = rank(table)
    text = write_report(tmp_path / "r.html", "mine", ranking, ranking.first, curves, Best(), None).read_text()
    assert "The finished trials differ in metric (" in text
    assert "its score is accuracy, not macro-F1" in text


def test_curves_and_lines_are_by_the_metric():
    ranking, curves = search("balanced_accuracy")
    column = "balanced_accuracy"
    drawn = plots.curves_to_draw(ranking.table, curves, (), limit=5, metric=column)
    known = ranking.table[ranking.table["trial"].isin(list(curves))]
    assert drawn[::-1] == known.sort_values(column, ascending=False)["trial"].tolist()[:5]
    figure = plots.learning_curves(
        ranking.table, {t: curves[t] for t in drawn}, {"best": drawn[-1]}, column, {}
    )
    assert list(figure.data[-1].y) == list(curves[drawn[-1]][column])
    assert figure.layout.yaxis.title.text == "validation balanced accuracy"
    (trace,) = parallel_coordinates.parallel_coordinates(ranking.ranked, ["model"], metric=column).data
    assert trace.dimensions[-1].label == column
    scores = np.sort(ranking.ranked[column].to_numpy())
    wanted = (scores - scores[0]) / (scores[-1] - scores[0])
    assert list(trace.dimensions[-1]["values"]) == pytest.approx(list(wanted), abs=1e-4)


def test_the_gain_over_the_default_is_by_the_metric():
    rows = {role: pd.Series({"trial": role, "sequence": n, "state": "done", "best_epoch": 1, "macro_f1": 0.9 - n,
                             "negative_log_loss": -1.0 - n}) for n, role in enumerate(("best", "default"))}  # fmt: skip
    best, default, _ = tables.headline({**rows, "median": None}, 2, "log_loss")
    assert (best["score"], default["score"]) == (-1.0, -2.0)
    assert best["words"].startswith("negative log loss, trial #0")
    assert default["words"] == "negative log loss, trial #1; 1.000 below the best"
    rows["default"]["negative_log_loss"] = -1.0004
    _, default, _ = tables.headline({**rows, "median": None}, 2, "log_loss")
    assert default["words"].endswith("; 0.0004 below the best")
    found = tables.headline({"best": rows["best"], "median": None}, 1, "log_loss")
    assert [fact["role"] for fact in found] == ["best", "median"]  # a grid has no default recipe


EPOCHS = pd.DataFrame(
    {
        "epoch": [1, 2, 3], "train_loss": [3.0, 2.0, 1.0], "validation_loss": [3.0, 2.5, 2.6],
        "train_accuracy": [0.1, 0.2, 0.3], "accuracy": [0.3, 0.1, 0.2], "macro_f1": [0.1, 0.3, 0.2],
        "balanced_accuracy": [0.1, 0.2, 0.3], "negative_log_loss": [-2.0, -3.0, -1.0],
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "best", "lines"),
    [
        ("macro_f1", 2, ["macro-F1 (validation)", "accuracy (validation)"]),
        ("accuracy", 1, ["accuracy (validation)", "macro-F1 (validation)"]),
        ("balanced_accuracy", 3,
         ["balanced accuracy (validation)", "macro-F1 (validation)", "accuracy (validation)"]),
        ("log_loss", 3, ["macro-F1 (validation)", "accuracy (validation)"]),
    ],
)  # fmt: skip
def test_the_best_epoch_of_a_run_is_marked_by_its_metric(metric, best, lines):
    scores, losses = plots.scores_by_epoch(EPOCHS, metric), plots.losses(EPOCHS, metric)
    assert [trace.name for trace in scores.data] == [*lines, "accuracy (training)"]
    for figure in (scores, losses):
        assert figure.layout.shapes[0].x0 == best
    shown = {trace.name: list(trace.y) for trace in losses.data}
    assert list(shown)[:2] == ["training", "validation"]
    assert shown.get("log loss (validation)") == ([2.0, 3.0, 1.0] if metric == "log_loss" else None)


@pytest.mark.parametrize("metric", ["macro_f1", "accuracy", "log_loss"])
def test_a_runs_page_begins_with_its_score(people, tmp_path, metric):
    config = parse({**TINY, "data": str(people), "metric": metric})
    run(config, writer := RunWriter(tmp_path / "run", config), lambda report: None)
    writer.end("done")
    text = write_run_report(tmp_path / "r.html", tmp_path / "run").read_text()
    first = text.partition('<div class="fact best">')[2].partition("</div>")[0]
    status = RunFolder(tmp_path / "run").status()
    assert f"Validation {title_of(metric)}</span><b>{status['score']:.3f}</b>" in first
    assert (f"Macro-F1</span><b>{status['macro_f1']:.3f}</b>" in text) == (metric != "macro_f1")
    assert text.count("<span>Accuracy</span>") == (metric != "accuracy")
