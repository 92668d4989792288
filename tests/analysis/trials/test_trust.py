"""The table of trials with intervals, the rule of ranking, and the promise in words."""

import json

import pandas as pd
import pytest

from analysis.pipeline import export_best
from analysis.recipes import recipe_of
from analysis.report.experiment import write_experiment_report
from analysis.trials.printing import print_trials, write_trials
from analysis.trials.ranking import rank
from analysis.trials.table import Experiment, recipe_columns, trial_table
from tests.analysis.fake_experiment import make_experiment, record
from tests.analysis.fake_run import untrained
from tests.analysis.trust.test_answers import predictions
from tests.conftest import TINY

SPACE = {"learning_rate": {"_type": "loguniform", "_value": [0.001, 0.1]}}
# b has the best epoch, c the best three in a row.
CURVES = {"a": (0.1, 0.2, 0.3), "b": (0.1, 0.6, 0.2), "c": (0.3, 0.45, 0.5, 0.4, 0.3), "d": (0.1, 0.1, 0.1)}


@pytest.fixture
def experiment(tmp_path):
    folder = make_experiment(tmp_path / "abc", SPACE)
    for number, (trial, curve) in enumerate(CURVES.items()):
        given = {"learning_rate": 0.01 + number / 1000}
        run = record(folder, trial, given)
        untrained(run, number, predictions(people=20, seed=number), values={**TINY, **given})
        lines = [f"0,{epoch},{score}" for epoch, score in enumerate(curve, 1)]
        (run / "epochs.csv").write_text("\n".join(["fold,epoch,macro_f1", *lines]) + "\n")
        status = json.loads((run / "status.json").read_text())
        status |= {"macro_f1": max(curve), "score": max(curve), "best_epoch": curve.index(max(curve)) + 1}
        (run / "status.json").write_text(json.dumps(status | {"epochs": len(curve)}))
    return Experiment("abc", "tiny", folder)


def test_trials_are_ranked_by_the_mean_of_three_epochs(experiment):
    ranking = rank(trial_table(experiment))
    assert list(ranking.ranked["trial"]) == ["c", "b", "a", "d"]
    assert ranking.ranked["steady_score"].tolist() == pytest.approx([0.45, 1 / 3, 0.8 / 3, 0.1])
    assert "steady_score" not in recipe_columns(ranking.table)


def test_the_recipe_stops_after_the_epoch_of_that_mean_and_has_the_interval(experiment):
    ranking = rank(trial_table(experiment))
    recipe = recipe_of(ranking.first, "abc")
    assert (recipe.stop_after, recipe.scores["best_epoch"]) == (3, 3)
    assert recipe.scores["low"] < recipe.scores["high"]
    (_, b, _, _) = (row for _, row in ranking.ranked.iterrows())
    assert (recipe_of(b, "abc").stop_after, recipe_of(b, "abc").scores["best_epoch"]) == (3, 2)


def test_the_table_has_intervals_and_says_what_the_best_one_promises(experiment, tmp_path, capsys):
    ranking = rank(trial_table(experiment))
    print_trials(ranking)
    out = capsys.readouterr().out
    head, first = out.splitlines()[1:3]
    found = ranking.leaders.intervals[next(iter(ranking.leaders.intervals))]
    assert first[head.index("95 %") :].startswith(f"{found.low:.3f} to {found.high:.3f}")
    assert "Promise of the best one on new people: macro-F1 " in out
    assert "On these 20 people it is not significantly different from #1" in out
    written = pd.read_csv(write_trials(ranking, tmp_path / "trials.csv"))
    assert list(written["trial"]) == ["c", "b", "a", "d"]
    assert (written["score_low"] < written["score_high"]).all()
    assert "95 %" not in written


def test_the_report_and_the_export_have_the_promise(experiment, tmp_path, capsys):
    ranking = rank(trial_table(experiment))
    page = write_experiment_report(experiment, tmp_path / "r.html", ranking, ranking.first).read_text()
    promise = ranking.leaders.selection.promise
    assert f"Promise of the best one on new people: macro-F1 {promise}" in page
    assert f"95 %: {ranking.leaders.intervals[ranking.leaders.runs[0]].low:.3f} to " in page
    assert "The best of many scores" not in page
    export_best(experiment, tmp_path / "best", top=1)
    assert "Promise of the best one" in capsys.readouterr().out
    kept = json.loads((tmp_path / "best" / "1.json").read_text())["scores"]
    assert kept["low"] < kept["high"]


def test_a_damaged_curve_is_named_and_not_ranked(experiment):
    path = experiment.folder / "trials" / "c" / "epochs.csv"
    path.write_text("fold,epoch,macro_f1\n0,one,0.3\n")
    ranking = rank(trial_table(experiment))
    assert list(ranking.ranked["trial"]) == ["b", "a", "d"]
    apart = ranking.unranked.iloc[0]
    assert apart["state"] == "damaged"
    assert apart["reason"].startswith(f"{path}: is damaged")


def test_trials_without_answers_are_ranked_without_intervals(experiment, capsys):
    for trial in CURVES:
        (experiment.folder / "trials" / trial / "validation.parquet").unlink()
    print_trials(rank(trial_table(experiment)))
    out = capsys.readouterr().out
    assert "note: no interval without a trial's validation answers: " in out
    assert "(and 3 more)" in out
    assert "Promise" not in out
