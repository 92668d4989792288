"""Reports of single runs, submissions and ensembles, and tables of runs without an experiment."""

import json
import re
import shutil

import pytest

from analysis.ensemble import ensemble
from analysis.pipeline import retrain_and_submit
from analysis.prediction import predict_and_submit
from analysis.recipes import read_recipe
from analysis.report.run import write_run_report
from analysis.submission import read_about
from analysis.submit import about_run
from analysis.trials.printing import print_trials
from analysis.trials.ranking import rank
from analysis.trials.runs import any_table, runs_in
from common.errors import UsageError
from tests.analysis import example_search
from tests.analysis.fake_experiment import finished, make_experiment, record
from tests.analysis.fake_run import untrained
from tests.conftest import TINY
from trial.config import parse
from trial.run import run
from trial.run_folder.record import RunFolder, RunWriter

EMPTY = ("No trial has", "Nothing was searched", "There is none until", "There are no validation predictions")


def text_of(page) -> str:
    return re.sub(r"<script.*?</script>|<style.*?</style>", "", page.read_text(), flags=re.DOTALL)


def sections(text: str) -> list[str]:
    assert not any(words in text for words in EMPTY)
    shown = re.findall(r'<section id="(\w+)">', text)
    assert re.findall(r'<a href="#(\w+)">', text) == shown
    return shown


@pytest.fixture(scope="module")
def trial(people, tmp_path_factory):
    """A real trial of two epochs."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    config = parse({**TINY, "data": str(people), "learning_rate": 0.0031622776601683794})
    writer = RunWriter(folder, config)
    run(config, writer, lambda report: None)
    writer.end("done")
    return folder


def test_a_trials_page_shows_curve_validation_and_recipe(trial, tmp_path):
    text = text_of(write_run_report(tmp_path / "r.html", trial))
    assert sections(text) == ["result", "curves", "classes", "checks", "recipe", "origin"]
    macro_f1 = RunFolder(trial).status()["macro_f1"]
    people = RunFolder(trial).validation()["group"].nunique()
    for words in (
        "A trial of fold 0 of 5; finished after 2 of 2 epochs", f"<b>{macro_f1:.3f}</b>", f"{people} people, ",
        "People held out of this run&#39;s training: fold 0 of 5.", "Recall of 60+", "<dd>0.003162</dd>",
        "data fingerprint", f"python -m analysis predict {trial}", "This run promises macro-F1 ",
        "for the choice of its epoch.",
    ):  # fmt: skip
        assert words in text
    assert text.count('class="figure"') == 5, "scores, losses, recalls, confusion, calibration"


def test_one_epoch_is_no_curve(trial, tmp_path):
    folder = shutil.copytree(trial, tmp_path / "run")
    head = (folder / "epochs.csv").read_text().splitlines()[:2]
    (folder / "epochs.csv").write_text("\n".join(head) + "\n")
    assert "curves" not in sections(text_of(write_run_report(tmp_path / "r.html", folder)))


def test_a_predicted_submissions_page_adds_what_was_answered(trial, people, tmp_path):
    predict_and_submit(trial, people, tmp_path / "out")
    text = text_of(tmp_path / "out" / "report.html")
    assert sections(text) == ["result", "curves", "classes", "checks", "recipe", "submission"]
    assert "Submission report" in text
    assert "105" in text and "in training" in text


def test_a_submission_is_made_again_where_its_bundle_is(tmp_path):
    """That of a member of a submission lies beside the whole submission."""
    run = untrained(tmp_path / "best" / "1").folder
    (run / "submission.csv").touch()
    about, page = about_run(run) | {"rule": {"stopped_after_epoch": 1}}, run / "report.html"
    assert "analysis reproduce" not in text_of(write_run_report(page, run, about))
    assert "analysis reproduce" in text_of(write_run_report(page, run, about, bundled=True))
    (run / "bundle.json").touch()
    assert "analysis reproduce" in text_of(write_run_report(page, run, about))


def test_a_fault_in_the_page_leaves_the_submission(trial, people, tmp_path, monkeypatch, caplog):
    def fail(*given, **named):
        raise NotImplementedError("eq not implemented")

    monkeypatch.setattr("analysis.submit.write_run_report", fail)
    predict_and_submit(trial, people, tmp_path / "out")
    assert (tmp_path / "out" / "submission.csv").exists() and not (tmp_path / "out" / "report.html").exists()
    assert "report.html could not be made, by a fault of this program; the submission is whole" in caplog.text
    assert "NotImplementedError: eq not implemented" in caplog.text, "with its traceback"


@pytest.mark.slow
def test_a_retrained_runs_page_says_whose_validation_it_shows(trial, people, tmp_path, capsys):
    recipe = read_recipe(trial / "config.json")
    _, about = retrain_and_submit(recipe, people, tmp_path / "again", {})
    text = text_of(tmp_path / "again" / "report.html")
    assert sections(text) == ["result", "curves", "classes", "checks", "recipe", "submission"]
    for words in ("Trained on all people, with none held out", "python -m analysis reproduce ", "of the trial, not of this network",
                  "The trial whose recipe this is", "trained on these people too", "as in the trial, by fraction of epochs"):  # fmt: skip
        assert words in text
    assert text.count('class="figure"') == 7
    # Predicted from again, it still knows the trial behind it, and its own answers are new ones.
    _, later = predict_and_submit(tmp_path / "again", people, tmp_path / "later")
    assert later["validation"] == about["validation"]
    assert (later["rule"], later["trial_folder"]) == (about["rule"], str(trial))
    assert sections(text_of(tmp_path / "later" / "report.html")) == sections(text)
    _, flipped = predict_and_submit(tmp_path / "again", people, tmp_path / "flipped", "flip")
    assert set(flipped["validation"]["macro_f1_by_tta"]) == {"none", "flip"}, "measured on the trial"
    assert (
        sections(text_of(write_run_report(tmp_path / "r.html", tmp_path / "again", about)))[-1]
        == "submission"
    )


@pytest.mark.slow
def test_without_the_trials_folder_its_scores_are_still_there(trial, people, tmp_path):
    folder = shutil.copytree(trial, tmp_path / "gone")
    retrain_and_submit(read_recipe(folder / "config.json"), people, tmp_path / "again", {})
    shutil.rmtree(folder)
    again = tmp_path / "again"
    text = text_of(write_run_report(tmp_path / "r.html", again, read_about(again)))
    assert sections(text) == ["result", "curves", "recipe", "submission"]
    assert f"<b>{RunFolder(trial).status()['macro_f1']:.3f}</b>" in text
    assert "of the trial whose recipe this is" in text


def test_a_run_that_ended_at_once_has_a_page_without_empty_parts(tmp_path):
    RunWriter(tmp_path / "run", parse(TINY)).end("failed", "the loss is <nan>")
    text = text_of(write_run_report(tmp_path / "r.html", tmp_path / "run"))
    assert sections(text) == ["result", "recipe", "origin"]
    assert "The run is not finished: failed (the loss is &lt;nan&gt;) before the end of epoch 1 of 2." in text


@pytest.mark.slow
def test_an_ensembles_page_has_its_members_and_the_votes_validation(people, tmp_path):
    validation = example_search.validation(200)
    for name, seed in (("a", 0), ("b", 1)):
        untrained(tmp_path / name, seed, validation)
    ensemble([tmp_path / "a", tmp_path / "b"], people, tmp_path / "out")
    text = text_of(tmp_path / "out" / "report.html")
    assert sections(text) == ["result", "members", "classes", "recipe", "submission"]
    macro_f1 = json.loads((tmp_path / "out" / "submission.json").read_text())["validation"]["macro_f1"]
    for words in (f"<b>{macro_f1:.3f}</b>", "No member was trained on these people", "<th>seed</th>",
                  "values that all of them share", "soft vote of 2", "<td>a</td>"):  # fmt: skip
        assert words in text
    untrained(tmp_path / "c", 2)
    ensemble([tmp_path / "a", tmp_path / "c"], people, tmp_path / "other")
    text = text_of(tmp_path / "other" / "report.html")
    assert sections(text) == ["result", "members", "recipe", "submission"]
    assert "The vote itself was not validated: c has no validation.parquet" in text


def test_members_are_shown_by_the_metric_of_the_vote_and_stacking_without_weights(people, tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        untrained(tmp_path / name, seed, example_search.validation(200), values={"metric": "log_loss"})
    ensemble([tmp_path / "a", tmp_path / "b"], people, tmp_path / "out", "stacking")
    about = json.loads((tmp_path / "out" / "submission.json").read_text())
    assert not any("weight" in member for member in about["members"])
    text = text_of(tmp_path / "out" / "report.html")
    score = about["members"][0]["validation"]["negative_log_loss"]
    assert '<th class="number">negative log loss</th>' in text and f">{score:.3f}</td>" in text
    assert '<td class="number">0.50</td>' not in text


def made(folder, macro_f1, started, **values):
    writer = finished(folder, {**TINY, **values}, macro_f1)
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(status | {"started": started}))
    return writer


def test_a_folder_of_runs_is_ranked_by_the_same_rule(tmp_path, capsys):
    made(tmp_path / "x", 0.3, "2026-01-01T00:00:02", learning_rate=0.0012345678901234567)
    made(tmp_path / "y", 0.5, "2026-01-01T00:00:03")
    made(tmp_path / "z", 0.5, "2026-01-01T00:00:01")
    RunWriter(tmp_path / "w", parse(TINY)).end("failed", "the loss is nan")
    untrained(tmp_path / "retrained")
    (tmp_path / "other").mkdir()
    (tmp_path / "notes.txt").touch()
    table = any_table(str(tmp_path))
    print_trials(rank(table))
    said = capsys.readouterr().out
    order = re.findall(r"^\d+ +(\w+) +(done|failed)", said, re.M)
    assert order == [("z", "done"), ("y", "done"), ("x", "done"), ("w", "failed"), ("retrained", "done")]
    assert "trained on all people: no score" in said
    assert "0.001235" in said and "0.0012345" not in said
    assert "compare only roughly" not in said
    assert table.set_index("trial").loc["x", "learning_rate"] == 0.0012345678901234567
    made(tmp_path / "v", 0.9, "2026-01-02", seed=1)
    print_trials(rank(any_table(str(tmp_path))))
    assert "compare only roughly" in capsys.readouterr().out


def test_one_run_is_a_table_of_its_own_and_nothing_is_said_to_be_nothing(tmp_path):
    untrained(tmp_path / "run", 0, example_search.validation(100))
    assert list(any_table(str(tmp_path / "run"))["trial"]) == ["run"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty holds neither an experiment nor a run"):
        any_table(str(tmp_path / "empty"))
    with pytest.raises(UsageError, match=r"no experiment|unknown experiment"):
        any_table("nowhere")


def test_an_experiments_trials_folder_is_the_experiment(tmp_path):
    folder = make_experiment(tmp_path / "abc", {"seed": {"_type": "choice", "_value": [0, 1]}})
    finished(record(folder, "t", {"seed": 1}), {**TINY, "seed": 0}, 0.5)
    for wanted in (folder, folder / "trials"):
        assert list(any_table(str(wanted))["state"]) == ["mismatch"]


def test_what_export_and_retrain_wrote_stands_for_its_runs(tmp_path):
    for name in ("10", "9", "1"):
        untrained(tmp_path / "best" / name)
    assert [path.name for path in runs_in(tmp_path)] == ["1", "9", "10"]


def test_a_run_that_ended_before_its_config_is_refused_in_words_and_hides_no_column(tmp_path):
    for seed in (1, 2):
        untrained(tmp_path / f"run{seed}", seed)
    RunWriter(tmp_path / "killed").end("failed", "killed")
    with pytest.raises(UsageError, match=r"no config\.json.*failed \(killed\)"):
        write_run_report(tmp_path / "r.html", tmp_path / "killed")
    table = any_table(str(tmp_path))
    assert len(table) == 3
    assert table.attrs["searched"] == ["seed"]
