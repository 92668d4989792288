import html
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analysis.predict.predicted_classes import predicted_classes
from analysis.report import experiment, plots, tables
from analysis.report.experiment import Best, write_experiment_report, write_report
from analysis.report.lineage import commands_of_experiment
from analysis.trials.ranking import Ranking, rank
from analysis.trials.table import argument_of, find, trial_table
from analysis.trust.bootstrap import Interval
from analysis.trust.leaders import Leaders
from common.machine import EXPERIMENTS
from dataset.face_masks.labels import FACE_MASK
from tests.analysis import example_search
from tests.analysis.fake_experiment import finished, make_experiment, record
from tests.conftest import TINY


def searched(trials: int) -> tuple[Ranking, dict[str, pd.DataFrame]]:
    """The ranking and the curves to draw of a made-up search."""
    table, curves = example_search.search(trials)
    return rank(table), {trial: curves[trial] for trial in plots.curves_to_draw(table, curves, ())}


def page_of(folder: Path, trials: int, with_submission: bool = True) -> str:
    ranking, curves = searched(trials)
    validation = None if ranking.first is None else example_search.validation()
    best = Best(validation, FACE_MASK, commands=commands_of_experiment("demo", None, None))
    submission = example_search.submission() if with_submission else None
    page = write_report(folder / "report.html", "demo", ranking, ranking.first, curves, best, submission)
    assert [file.name for file in folder.iterdir()] == ["report.html"]
    return page.read_text()


def without_scripts(page: str) -> str:
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_page_is_self_contained(tmp_path):
    page = page_of(tmp_path, 12)
    assert page.count("plotly.js v") == 1
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", without_scripts(page))
    assert "default-src 'none'" in page
    assert "'unsafe-eval'" in page, "or plotly draws no parallel coordinates"


def test_page_tells_the_whole_story(tmp_path):
    text = without_scripts(page_of(tmp_path, 12))
    for words in ("12 trials", "the loss is nan: lower learning_rate", "stopped early", "not worn female 60+",
                  "9f2c51b7e0a4", "k3Xq8ZtB", "cosine over 8 epochs", "The same in all trials"):  # fmt: skip
        assert words in text


@pytest.mark.parametrize("trials", [0, 1, 2])
def test_page_of_an_experiment_that_has_hardly_begun(tmp_path, trials):
    text = without_scripts(page_of(tmp_path, trials, with_submission=False))
    assert "export-best-and-retrain demo" in text
    assert ("none is best yet" in text) == (trials == 0)


def test_the_commands_of_a_page_name_an_experiment_that_lies_elsewhere_by_its_folder(tmp_path):
    folder = make_experiment(tmp_path / "my search", {"seed": {"_type": "choice", "_value": [0, 1]}})
    finished(record(folder, "t", {"seed": 1}), {**TINY, "seed": 1}, 0.5)
    found = find(str(folder))
    page = write_experiment_report(
        found, tmp_path / "r.html", ranking := rank(trial_table(found)), ranking.first
    )
    text = html.unescape(page.read_text())
    for command in ("export-best-and-retrain", "report"):
        assert f"python -m analysis {command} '{folder}' --" in text
    assert argument_of(EXPERIMENTS / "abc") == "abc"


def test_page_where_nothing_finished_still_lists_the_trials(tmp_path):
    table, curves = example_search.search(5)
    table["state"] = "stopped_early"
    text = without_scripts(
        write_report(tmp_path / "r.html", "demo", rank(table), None, curves, Best(), None).read_text()
    )
    assert "T0003" in text
    assert "none is best yet" in text


def test_of_trials_of_one_epoch_there_are_no_curves(tmp_path):
    ranking, curves = searched(12)
    of_one = {trial: curve.head(1) for trial, curve in curves.items()}
    for drawn, words in ((of_one, "more than one epoch."), ({}, "an epoch.")):
        page = write_report(tmp_path / "r.html", "demo", ranking, ranking.first, drawn, Best(), None)
        text = page.read_text()
        assert f"No trial has reported {words}" in text
        assert 'id="learning-curves"' not in text
        page.unlink()


def test_page_says_that_the_chosen_trial_is_not_the_top_one(tmp_path):
    ranking, curves = searched(12)
    chosen = ranking.ranked.iloc[1]
    page = write_report(tmp_path / "r.html", "demo", ranking, chosen, curves, Best(), None).read_text()
    assert f"The chosen trial #{chosen['sequence']} isn&#39;t the top one" in page


def test_text_from_trials_cannot_become_markup(tmp_path):
    table, curves = example_search.search(3)
    table.loc[1, ["state", "reason"]] = ["failed", "<script>alert(1)</script>"]
    page = write_report(
        tmp_path / "r.html", "</script><b>x", rank(table), None, curves, Best(), None
    ).read_text()
    assert "<script>alert" not in page
    assert "<b>x" not in page


@pytest.mark.slow
def test_page_of_2000_trials_stays_usable(tmp_path):
    assert len(page_of(tmp_path, 2000)) < 9e6


def test_compare_recipes_by_hand():
    rows = {
        "best": pd.Series(
            {"sequence": 1, "macro_f1": 0.5, "model": "a", "lr": 1e-4, "gamma": 2.0, "seed": 0}
        ),
        "default": pd.Series(
            {"sequence": 0, "macro_f1": 0.4, "model": "b", "lr": 1e-4, "gamma": None, "seed": 0}
        ),
        "median": None,
    }
    got = tables.compare_recipes(rows, ["model", "lr", "gamma", "seed", "nobody has it"], "macro_f1")
    assert [column["title"] for column in got["columns"]] == ["Chosen (#1)", "Default (#0)"]
    assert got["differing"] == [
        {"name": "model", "texts": ["a", "b"]},
        {"name": "gamma", "texts": ["2", "–"]},
    ]
    assert [line["name"] for line in got["same"]] == ["lr", "seed"]


def test_searched_columns_are_told_or_found():
    table = pd.DataFrame({"trial": ["a", "b"], "model": ["x", "y"], "seed": [0, 0]})
    assert tables.searched_columns(table) == ["model"]
    table.attrs["searched"] = ["seed"]
    assert tables.searched_columns(table) == ["seed"]


def test_an_experiments_page_shows_what_its_submission_answers(tmp_path):
    ranking, curves = searched(3)
    answers = predicted_classes(np.eye(18)[[4] * 50 + [5] * 3], np.full(18, 1 / 18), FACE_MASK)
    about = {**example_search.submission(), "answers": answers, "warnings": ["one class is everything"]}
    page = write_report(
        tmp_path / "r.html", "demo", ranking, ranking.first, curves, Best(), about
    ).read_text()
    assert page.count("One class is everything.") == 1
    assert "<td>wear female 30-59</td>" in page
    assert page.count('<td class="bar"><i ') == 2


def test_a_vote_shows_the_recipe_of_each_member():
    members = [{"recipe": {"model": "a"}}, {"recipe": {"model": "b"}}]
    facts = tables.submission_facts({"recipe": {"model": "a"}, "vote": "soft", "members": members})
    assert facts["facts"] == [("vote", "soft")]
    assert [text.split('"')[3] for text in facts["recipes"]] == ["a", "b"]


def test_a_submission_that_promises_less_than_its_recipe_says_so(monkeypatch):
    promise = Interval(0.6, 0.5, 0.7, 0.05, 100)
    leaders = Leaders("macro_f1", (), {}, (Path("a"),), SimpleNamespace(promise=promise, equal=()))
    ranking = SimpleNamespace(
        leaders=leaders, metric="macro_f1", ranked=pd.DataFrame(columns=["folder", "sequence"])
    )
    less = {
        "macro_f1": 0.55,
        "low": 0.45,
        "high": 0.65,
        "lowered_by": 0.05,
        "lowered_for": "--combine-photos",
    }
    assert experiment._promise(ranking, None)["score"] == "0.600"
    shown = experiment._promise(ranking, less)
    assert (shown["score"], shown["words"]) == ("0.550", "95 %: 0.450 to 0.650")
    monkeypatch.setattr(experiment, "trust_words", lambda ranking: ["note: one"])
    assert experiment._trust_words(ranking, less, "people") == [
        "Note: one",
        "The submission promises 0.550, since --combine-photos loses 0.050 on the validation photos.",
    ]
