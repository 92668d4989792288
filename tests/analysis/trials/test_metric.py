"""Trials are ranked, listed and exported by the metric that they were trained by."""

import json

import pandas as pd
import pytest

from analysis.recipes import read_recipe, recipe_of
from analysis.trials.printing import print_trials, write_trials
from analysis.trials.ranking import rank
from analysis.trials.runs import any_table
from analysis.trials.table import Experiment, recipe_columns, trial_table
from analysis.trials.unfinished import recipe_words, unfinished, weights_words
from common.errors import UsageError
from tests.analysis.example_search import validation
from tests.analysis.fake_experiment import finished, make_experiment, record
from tests.analysis.fake_run import untrained
from tests.conftest import TINY
from trial.run_folder.record import RunFolder

SPACE = {"learning_rate": {"_type": "loguniform", "_value": [0.001, 0.1]}}
LOG_LOSS = {"a": (0.5, -2.0), "b": (0.3, -0.5), "c": (0.4, -1.0)}  # (macro_f1, score)


def add(folder, trial, metric, macro_f1, score, **more):
    given = {"learning_rate": 0.01 + len(list((folder / "trials").glob("*"))) / 1000}
    finished(record(folder, trial, given), {**TINY, **given, "metric": metric}, macro_f1, score=score, **more)


@pytest.fixture
def experiment(tmp_path):
    folder = make_experiment(tmp_path / "abc", SPACE)
    for trial, (macro_f1, score) in LOG_LOSS.items():
        add(folder, trial, "log_loss", macro_f1, score)
    return Experiment("abc", "tiny", folder)


def test_the_best_trial_is_by_the_metric_not_by_macro_f1(experiment):
    ranking = rank(trial_table(experiment))
    assert list(ranking.ranked["trial"]) == ["b", "c", "a"]
    assert (ranking.first["trial"], ranking.median["trial"], ranking.default["trial"]) == ("b", "c", "a")
    assert "highest mean negative log loss of three neighbouring epochs" in ranking.rule
    assert (ranking.metric, ranking.note) == ("log_loss", "")


def test_the_table_has_macro_f1_and_the_metrics_column(experiment, tmp_path):
    add(experiment.folder, "f", "log_loss", 0.9, -0.1, state="failed", reason="the loss is nan")
    record(experiment.folder, "w", {"learning_rate": 0.05}, "WAITING")
    table = trial_table(experiment)
    assert list(table.columns[:6]) == [
        "sequence",
        "trial",
        "state",
        "reason",
        "macro_f1",
        "negative_log_loss",
    ]
    assert "negative_log_loss" not in recipe_columns(table)
    written = pd.read_csv(write_trials(rank(table), tmp_path / "trials.csv"))
    assert list(written["trial"]) == ["b", "c", "a", "f", "w"]
    assert list(written["negative_log_loss"][:4]) == [-0.5, -1.0, -2.0, -0.1]
    assert list(written["macro_f1"][:4]) == [0.3, 0.4, 0.5, 0.9]


def test_the_terminal_names_the_score(experiment, capsys):
    print_trials(rank(trial_table(experiment)))
    lines = capsys.readouterr().out.splitlines()
    start = lines[1].index("negative log loss")
    assert [line[start:].split()[0] for line in lines[2:5]] == ["-0.5", "-1", "-2"]
    assert "macro-F1" not in lines[1]


def test_by_default_the_table_has_no_other_score(tmp_path):
    folder = make_experiment(tmp_path / "abc", SPACE)
    add(folder, "a", "macro_f1", 0.5, None)
    table = trial_table(Experiment("abc", "tiny", folder))
    assert list(table.columns[:9]) == [
        "sequence", "trial", "state", "reason", "macro_f1", "best_epoch", "epochs_done", "seconds", "folder",
    ]  # fmt: skip
    assert rank(table).rule.startswith("the finished trial with the highest mean macro-F1 of three")


def test_trials_by_another_metric_are_set_apart_with_a_sentence(experiment, capsys):
    add(experiment.folder, "other", "accuracy", 0.99, 0.99)
    ranking = rank(trial_table(experiment))
    assert list(ranking.ranked["trial"]) == ["b", "c", "a"]
    apart = ranking.unranked.set_index("trial").loc["other"]
    assert (apart["state"], apart["reason"]) == ("done", "its score is accuracy, not negative log loss")
    words = (
        "the finished trials differ in metric (3 by negative log loss, 1 by accuracy), so no one score ranks"
    )
    with pytest.raises(UsageError, match="so no one score ranks them all; retrain one of them") as refused:
        ranking.best()
    assert words in str(refused.value)
    print_trials(ranking)
    assert f"note: {words}" in capsys.readouterr().out


def test_a_stopped_trial_by_another_metric_does_not_matter(experiment):
    add(experiment.folder, "other", "accuracy", 0.99, 0.99, state="stopped_early")
    ranking = rank(trial_table(experiment))
    assert ranking.note == ""
    assert ranking.best()["trial"].item() == "b"


def test_a_run_of_an_earlier_version_was_for_macro_f1(tmp_path):
    for name, macro_f1 in (("old", 0.6), ("new", 0.5)):
        finished(tmp_path / "runs" / name, TINY, macro_f1)
    for file, keys in (("status.json", ("metric", "score")), ("config.json", ("metric",))):
        path = tmp_path / "runs" / "old" / file
        kept = {key: value for key, value in json.loads(path.read_text()).items() if key not in keys}
        path.write_text(json.dumps(kept))
    ranking = rank(any_table(str(tmp_path / "runs")))
    assert list(ranking.ranked["trial"]) == ["old", "new"]
    assert (ranking.metric, ranking.note) == ("macro_f1", "")


def test_an_exported_recipe_has_its_score_by_the_metric(tmp_path):
    for metric in ("macro_f1", "log_loss"):
        run = untrained(tmp_path / metric, 0, validation(200), values={"metric": metric})
        status, recipe = run.status(), read_recipe(run.folder / "config.json")
        names = ["macro_f1", "accuracy", *(["negative_log_loss"] if metric == "log_loss" else [])]
        assert list(recipe.scores) == [*names, "low", "high", "photos", "groups", "best_epoch", "epochs"]
        assert recipe.scores["macro_f1"] == status["macro_f1"]
        assert recipe.scores[names[-1] if metric == "log_loss" else "macro_f1"] == status["score"]
        row = pd.Series({"folder": str(run.folder), "trial": "T", "macro_f1": status["macro_f1"]})
        title = {"macro_f1": "macro-F1", "log_loss": "negative log loss"}[metric]
        assert (
            recipe_of(row, "E").about == f"trial T of experiment E: validation {title} {status['score']:.4f}"
        )


def test_an_unfinished_run_is_described_by_its_metric(tmp_path):
    untrained(tmp_path / "run", 0, validation(200), values={"metric": "accuracy"}, state="failed")
    state, status = unfinished(tmp_path / "run"), RunFolder(tmp_path / "run").status()
    assert f"epoch 1, the best so far (accuracy {status['score']:.4f})" in weights_words(state)
    words = recipe_words(state, 2)
    assert f"is trained up to epoch 2, by the scores so far (best accuracy {status['score']:.4f})" in words
    assert "up to epoch" not in recipe_words(state, None), "the epochs were given"
