"""What is done with predictions before they become answers, from the run folder to submission.json."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.ensemble import ensemble
from analysis.leaderboard import entry_of
from analysis.pipeline import reproduce, retrain_and_submit
from analysis.predict.finishing import Finish
from analysis.predict.trained import predict
from analysis.predict.validation import shared_vote
from analysis.prediction import predict_and_submit
from analysis.recipes import read_recipe
from common.errors import UsageError
from dataset.read import read_eval, read_train
from dataset.task import Task
from tests.analysis import other_tasks
from tests.analysis.fake_run import untrained
from tests.analysis.trust.drawn_answers import drawn
from tests.conftest import TINY
from trial.config import parse
from trial.run import run as train
from trial.run_folder.predictions import probability_columns, with_probabilities
from trial.run_folder.record import RunFolder, RunWriter


def validation(bias: float, people: int = 120) -> pd.DataFrame:
    (probabilities,), labels, groups = drawn(people, bias=bias, noise=0.5)
    photos = [f"{group}/{number % 7}.jpg" for number, group in enumerate(groups)]
    known = pd.DataFrame({"photo": photos, "group": groups, "fold": 0, "label": labels})
    return known.join(pd.DataFrame(probabilities, columns=probability_columns(18)))


@pytest.fixture(scope="module")
def biased(tmp_path_factory):
    """A run whose validation answers avoid the oldest."""
    return untrained(tmp_path_factory.mktemp("biased") / "run", 0, validation(4.0)).folder


def about(out):
    return json.loads((out / "submission.json").read_text())


def test_the_decision_moves_answers_to_rare_classes_and_is_recorded(biased, people, tmp_path, capsys):
    plain = predict(biased, read_eval(people))
    decided, _ = predict_and_submit(biased, people, tmp_path / "out", finish=Finish("macro_f1"))
    kept = about(tmp_path / "out")["decision"]
    weighted = plain ** (1 / kept["temperature"]) * list(kept["multipliers"].values())
    assert decided == pytest.approx(weighted / weighted.sum(1, keepdims=True), abs=1e-4)
    assert kept["applied"] and kept["multipliers"]["wear male 60+"] > 2
    assert kept["gain_low"] <= kept["gain"] <= kept["gain_high"]
    assert list(pd.read_csv(tmp_path / "out" / "submission.csv")["ans"]) == list(decided.argmax(1))
    said = capsys.readouterr().out
    assert "the decision layer for macro-F1 (2 multipliers) gains +" in said and "; it is applied" in said
    alone, _ = predict_and_submit(biased, people, tmp_path / "none", finish=Finish("none"))
    assert alone == pytest.approx(plain)
    assert about(tmp_path / "none")["decision"] == {"applied": False, "why": "--decide none"}


@pytest.mark.slow
def test_by_default_it_is_applied_only_if_the_gains_interval_is_above_zero(biased, people, tmp_path):
    for name, folder in (
        ("biased", biased), ("plain", untrained(tmp_path / "plain", 0, validation(0.0)).folder),
    ):  # fmt: skip
        predict_and_submit(folder, people, tmp_path / "out" / name)
        kept = about(tmp_path / "out" / name)["decision"]
        assert kept["applied"] == (kept["gain_low"] > 0) == ("multipliers" in kept)
    assert not kept["applied"]


def test_another_metric_has_no_decision(people, tmp_path, capsys):
    table = validation(4.0, 20)
    folder = untrained(tmp_path / "run", 0, table, values={"metric": "accuracy"}).folder
    predict_and_submit(folder, people, tmp_path / "out")
    assert "decision layer" not in capsys.readouterr().out
    assert about(tmp_path / "out")["decision"] == {"applied": False, "why": "the metric is accuracy"}
    assert about(tmp_path / "out")["not_covered"]["counted"] == "people"


def test_that_there_is_no_decision_is_said(people, tmp_path, capsys):
    """As of a recipe whose trial is gone."""
    run = untrained(tmp_path / "run").folder
    predict_and_submit(run, people, tmp_path / "auto")
    assert "no decision layer: there are no validation answers of these" in capsys.readouterr().out
    predict_and_submit(run, people, tmp_path / "none", finish=Finish("none"))
    assert "decision layer" not in capsys.readouterr().out


@pytest.mark.slow
def test_by_another_metric_nothing_is_promised_of_a_decision(people, tmp_path, capsys):
    """The score that is known is of the probabilities before it."""
    for seed, name in enumerate("ab"):
        untrained(tmp_path / name, seed, validation(4.0, 30), values={"metric": "log_loss", "epochs": 1})
        (tmp_path / name / "epochs.csv").write_text("epoch,macro_f1,negative_log_loss,fold\n1,0.2,-2.0,0\n")
    finish, why = (
        Finish("macro_f1"),
        "no promise: the negative log loss after --decide macro_f1 was not validated",
    )
    predict_and_submit(tmp_path / "a", people, tmp_path / "plain", finish=Finish("none"))
    assert about(tmp_path / "plain")["promise"] and "no promise" not in capsys.readouterr().out
    ensemble([tmp_path / "a", tmp_path / "b"], people, tmp_path / "vote", "soft", finish=finish)
    predict_and_submit(tmp_path / "a", people, tmp_path / "decided", finish=finish)
    retrain_and_submit(
        read_recipe(tmp_path / "a" / "config.json"), people, tmp_path / "net", {}, finish=finish
    )
    said = capsys.readouterr().out
    assert said.count(why) == 3 and "\npromise" not in said
    for name in ("vote", "decided", "net"):
        kept = about(tmp_path / name)
        assert (kept["validation"], "promise" in kept) == ({}, False) and why.endswith(kept["no_promise"])
        assert entry_of(tmp_path / name).promise is None
        assert "Nothing is promised: the negative log loss" in (tmp_path / name / "report.html").read_text()
    predict_and_submit(tmp_path / "net", people, tmp_path / "later", finish=Finish("none"))
    assert about(tmp_path / "later")["promise"] == about(tmp_path / "plain")["promise"]


@pytest.mark.slow
def test_nothing_is_promised_of_a_decision_that_may_lose(people, tmp_path, capsys):
    untrained(tmp_path / "run", 0, validation(0.0, 60), values={"epochs": 1})
    (tmp_path / "run" / "epochs.csv").write_text("epoch,macro_f1,fold\n1,0.2,0\n")
    predict_and_submit(tmp_path / "run", people, tmp_path / "auto")
    kept = about(tmp_path / "auto")
    assert not kept["decision"]["applied"] and kept["promise"]
    predict_and_submit(tmp_path / "run", people, tmp_path / "forced", finish=Finish("macro_f1"))
    kept = about(tmp_path / "forced")
    assert kept["decision"]["gain_low"] <= 0 and "promise" not in kept
    nested = kept["decision"]["macro_f1"]
    assert kept["no_promise"] == f"--decide macro_f1 may lose: its nested macro-F1 is {nested:.4f}"
    assert "no promise: --decide macro_f1 may lose" in capsys.readouterr().out


@pytest.mark.slow
def test_a_retrained_network_decides_by_its_trials_answers(people, tmp_path):
    config = parse({**TINY, "data": str(people), "epochs": 1})
    train(config, writer := RunWriter(tmp_path / "trial", config), print)
    writer.end("done")
    columns = {"group": "person"}
    validation(4.0).rename(columns=columns).to_parquet(tmp_path / "trial" / "validation.parquet", index=False)
    recipe = read_recipe(tmp_path / "trial" / "config.json")
    recipe = read_recipe(recipe.write(tmp_path / "exported.json"))
    finish = Finish("macro_f1")
    _, first = retrain_and_submit(recipe, people, tmp_path / "again", {}, finish=finish)
    _, later = predict_and_submit(tmp_path / "again", people, tmp_path / "later", finish=finish)
    assert first["decision"]["applied"] and first["decision"] == later["decision"]
    assert reproduce(tmp_path / "again", people, tmp_path / "third"), "its bundle has the decision"
    with pytest.raises(UsageError, match="there are no validation answers"):
        retrain_and_submit(recipe, people, tmp_path / "other", {"seed": 5}, finish=finish)


def test_the_photos_of_a_patient_are_combined_where_they_are_known(tmp_path, capsys):
    patients = other_tasks.two_classes(tmp_path / "set")
    config = parse({**TINY, "data": str(patients), "group": "patient", "image_size": "32x24", "folds": 3,
                    "epochs": 1})  # fmt: skip
    train(config, writer := RunWriter(tmp_path / "run", config), print)
    writer.end("done")
    probabilities, kept = predict_and_submit(
        tmp_path / "run", patients, tmp_path / "out", finish=Finish("none", combine_photos=True)
    )
    photos = read_eval(patients, "patient")
    plain = pd.DataFrame(predict(tmp_path / "run", photos)).groupby(photos["group"].to_numpy()).mean()
    assert probabilities == pytest.approx(plain.loc[photos["group"]].to_numpy(), abs=1e-5)
    assert kept["combined_photos"]["of"] == "patient" and kept["combined_photos"]["shared"] == ["class"]
    assert "with the photos of one patient combined" in capsys.readouterr().out
    # A set of new photos alone says nothing of what photos share, one of another task something else.
    csv = pd.read_csv(patients / "photos.csv", dtype=str, keep_default_na=False)
    new = csv[csv["split"] == "eval"]
    others = csv.assign(label=[f"class {number % 5}" for number in range(len(csv))])
    for name, lines in (("new", new.drop(columns="label")), ("others", others)):
        lines.to_csv(patients / "photos.csv", index=False)
        found, kept = predict_and_submit(
            tmp_path / "run", patients, tmp_path / name, finish=Finish("none", combine_photos=True)
        )
        assert found == pytest.approx(probabilities) and kept["combined_photos"]["shared"] == ["class"]


@pytest.fixture
def worse_together(tmp_path):
    """(A set of patients, two runs): a photo of each well patient is taken for ill, with more certainty than
    the others for well."""
    patients = other_tasks.two_classes(tmp_path / "set")
    task, photos = read_train(patients, None, "patient")
    ill = task.classes.index("ill")
    is_ill = (photos["label"] == ill).to_numpy()
    first = ~photos["group"].duplicated().to_numpy()
    probability = np.where(is_ill, 0.9, np.where(first, 0.99, 0.4))
    both = np.stack([1 - probability, probability], 1)
    known = photos[["photo", "group", "label"]].assign(fold=0)
    table = with_probabilities(known, both if ill else both[:, ::-1])
    values = {"group": "patient", "data": str(patients), "epochs": 1}
    for seed, name in enumerate("ab"):
        untrained(tmp_path / name, seed, table, task=task, values=values)
        (tmp_path / name / "epochs.csv").write_text("epoch,macro_f1,fold\n1,0.6,0\n")
    return patients, [tmp_path / "a", tmp_path / "b"]


def test_a_promise_is_lowered_by_what_combining_photos_loses(worse_together, tmp_path, capsys):
    patients, runs = worse_together
    finish = Finish("none", combine_photos=True)
    predict_and_submit(runs[0], patients, tmp_path / "plain", finish=Finish("none"))
    predict_and_submit(runs[0], patients, tmp_path / "combined", finish=finish)
    plain, less = about(tmp_path / "plain")["promise"], about(tmp_path / "combined")["promise"]
    measured = about(tmp_path / "combined")["combined_photos"]
    lost = measured["validation_alone"] - measured["validation"]
    assert lost > 0.05 and less["lowered_for"] == "--combine-photos"
    for name in ("macro_f1", "low"):
        assert less[name] == pytest.approx(max(0, plain[name] - lost), abs=2e-4)
    assert about(tmp_path / "combined")["of_the_network"] == {"promise": plain}
    assert entry_of(tmp_path / "combined").promise == less["macro_f1"]
    said = f"and by {lost:.3f} that --combine-photos loses on validation patients"
    assert said in capsys.readouterr().out
    assert said in (tmp_path / "combined" / "report.html").read_text()
    ensemble(runs, patients, tmp_path / "vote", "soft", finish=finish)
    assert about(tmp_path / "vote")["validation"]["macro_f1"] == pytest.approx(measured["validation"])


@pytest.mark.slow
def test_a_retrained_networks_promise_is_lowered_for_its_own_predictions_alone(worse_together, tmp_path):
    patients, (run, _) = worse_together
    finish = Finish("none", combine_photos=True)
    _, less = retrain_and_submit(
        read_recipe(run / "config.json"), patients, tmp_path / "net", {}, finish=finish
    )
    assert less["promise"]["lowered_by"] > 0
    predict_and_submit(tmp_path / "net", patients, tmp_path / "later", finish=Finish("none"))
    assert about(tmp_path / "later")["promise"] == less["of_the_network"]["promise"]


def test_the_photos_of_a_folder_have_the_groups_of_the_runs_regular_expression(worse_together, tmp_path):
    """Not of a column's name, which would be in many paths; nor of one that gives all photos the same."""
    patients, (run, _) = worse_together
    known, task = RunFolder(run).validation(), Task("photos", ("ill", "well"), {}, "group", "groups")
    by_path = untrained(tmp_path / "by_path", 0, known, task=task, values={"group": r"(\d\d)_\d"}).folder
    finish = Finish("none", combine_photos=True)
    found, _ = predict_and_submit(by_path, None, tmp_path / "out", images=patients / "photos", finish=finish)
    assert np.ptp(found.reshape(16, 4, 2), axis=1) == pytest.approx(0, abs=1e-6), "one for each patient"
    for name, group, of in (
        ("column", "patient", "patient"),
        ("same", "png", "group"),
        ("none", "", "photo"),
    ):
        task = Task("photos", ("ill", "well"), {}, of, f"{of}s")
        other = untrained(tmp_path / name, 0, known, task=task, values={"group": group}).folder
        with pytest.raises(UsageError, match="do not say which of them are of the same"):
            predict_and_submit(other, None, tmp_path / "none", images=patients / "photos", finish=finish)


def test_a_vote_of_other_photos_is_none():
    one, other = validation(0.0, 10), validation(1.0, 10)
    both = shared_vote([one, other.sample(frac=1, random_state=0)])
    columns = probability_columns(18)
    wanted = (one[columns] + other[columns]) / 2
    np.testing.assert_allclose(both[columns], wanted)
    assert shared_vote([one, other.iloc[7:]]) is None
    assert shared_vote([one, None]) is None
