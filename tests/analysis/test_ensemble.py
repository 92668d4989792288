import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.ensemble import _names, ensemble, shared_validation, vote_scores
from analysis.predict import vote
from analysis.predict.trained import load, predict
from analysis.predict.validation import own_predictions, predict_validation
from analysis.submission import submission_errors
from common.errors import UsageError
from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_eval
from tests.analysis import example_search
from tests.analysis.fake_run import untrained
from tests.conftest import TINY
from trial import run as trial_run
from trial.config import parse
from trial.metrics import score
from trial.run_folder.predictions import probabilities_of, probability_columns, scores_of, with_probabilities
from trial.run_folder.record import RunWriter

PROBABILITIES = probability_columns(18)


def validate(runs, combine, answers):
    shared, why = shared_validation(runs, [run.name for run in runs], answers)
    voted = shared and with_probabilities(shared.table, combine(shared.members))
    return vote_scores(voted, why, "macro_f1")


def test_soft_and_hard_votes_by_hand():
    sure, unsure, other = [0.9, 0.1, 0.0], [0.4, 0.6, 0.0], [0.3, 0.7, 0.0]
    members = [np.array([row]) for row in (sure, unsure, other)]
    assert vote.soft(members)[0] == pytest.approx([1.6 / 3, 1.4 / 3, 0])
    hard = vote.hard(members)[0]
    assert hard.argmax() == 1, "two of three, though the mean says 0"
    assert hard.sum() == pytest.approx(1)


def test_of_equally_many_votes_the_mean_decides():
    members = [np.array([[0.6, 0.4, 0.0]]), np.array([[0.1, 0.9, 0.0]])]
    assert vote.hard(members).argmax() == 1
    assert vote.hard(members[::-1]).argmax() == 1


def test_no_mean_outweighs_a_vote():
    """Class 0 has one vote and nearly all of the mean that it can have, class 1 has two by a hair."""
    members = [np.array([row]) for row in ([1.0, 0.0, 0.0], [0.499, 0.501, 0.0], [0.499, 0.501, 0.0])]
    assert vote.hard(members).argmax() == 1


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three untrained networks; the first two validated on the same people, the last one on nobody."""
    folder = tmp_path_factory.mktemp("runs")
    for name, seed in (("a", 0), ("b", 1)):
        validation = example_search.validation(200)
        shuffled = np.random.default_rng(seed).permutation(probabilities_of(validation))
        untrained(folder / name, seed, validation.assign(**dict(zip(PROBABILITIES, shuffled.T, strict=True))))
    untrained(folder / "c", 2, mark="e" * 64)
    return [folder / name for name in "abc"]


def test_an_ensemble_is_the_vote_of_its_members_and_says_so(runs, people, tmp_path, capsys):
    photos = read_eval(people)
    path = ensemble(runs, people, tmp_path / "out", "hard", "flip")
    assert submission_errors(path, list(photos["photo"]), FACE_MASK) == []
    wanted = vote.hard([predict(run, photos, "flip") for run in runs])
    assert list(pd.read_csv(path)["ans"]) == list(wanted.argmax(1))
    about = json.loads((tmp_path / "out" / "submission.json").read_text())
    assert (about["vote"], about["tta"]) == ("hard", "flip")
    assert [member["run"] for member in about["members"]] == ["a", "b", "c"]
    alone = [pd.read_parquet(run / "validation.parquet") for run in runs[:2]]
    assert [member["validation"].get("macro_f1") for member in about["members"]] == [
        *(scores_of(table).macro_f1 for table in alone), None,
    ]  # fmt: skip
    assert [member["recipe"]["seed"] for member in about["members"]] == [0, 1, 2]
    assert "c has no validation.parquet" in about["validation"]["none"]
    said = capsys.readouterr().out
    assert "note: c: trained on other photos than a" in said
    page = (tmp_path / "out" / "report.html").read_text()
    assert "hard vote of 3" in page


def test_what_export_best_and_retrain_wrote_stands_for_its_runs(runs, people, tmp_path):
    for number, run in enumerate(runs[:2], start=1):
        shutil.copytree(run, tmp_path / "final" / "best" / str(number))
    ensemble([tmp_path / "final", runs[2]], people, tmp_path / "out")
    ensemble(runs, people, tmp_path / "same")
    about = json.loads((tmp_path / "out" / "submission.json").read_text())
    assert [member["run"] for member in about["members"]] == ["final/best/1", "final/best/2", "c"]
    assert (tmp_path / "out" / "submission.csv").read_text() == (
        tmp_path / "same" / "submission.csv"
    ).read_text()


def test_members_of_one_name_are_told_apart_by_their_paths():
    """A run and its retrained network, say."""
    assert _names([Path("out/runs/a"), Path("out/b")]) == ["a", "b"]
    assert _names([Path("out/runs/a"), Path("out/retrained/a")]) == ["out/runs/a", "out/retrained/a"]


def test_a_member_without_a_network_is_refused_not_left_out(runs, people, tmp_path):
    """export-best-and-retrain writes recipe.json before it trains."""
    shutil.copytree(runs[0], tmp_path / "final" / "best" / "1")
    (tmp_path / "final" / "best" / "2").mkdir()
    (tmp_path / "final" / "best" / "2" / "recipe.json").write_text("{}")
    with pytest.raises(UsageError, match="best/2: holds no trained network"):
        ensemble([tmp_path / "final", runs[1]], people, tmp_path / "out")
    (tmp_path / "empty" / "best").mkdir(parents=True)
    with pytest.raises(UsageError, match="empty: holds no trained network"):
        ensemble([runs[0], runs[1], tmp_path / "empty"], people, tmp_path / "out")


@pytest.mark.slow
def test_its_own_score_is_that_of_the_vote_on_shared_validation_people(runs, people, tmp_path, capsys):
    ensemble(runs[:2], people, tmp_path / "out")
    tables = [pd.read_parquet(run / "validation.parquet") for run in runs[:2]]
    mean = sum(probabilities_of(table) for table in tables) / 2
    wanted = score(tables[0]["label"].to_numpy(), mean.argmax(1), 18).macro_f1
    about = json.loads((tmp_path / "out" / "submission.json").read_text())
    assert about["validation"]["macro_f1"] == pytest.approx(wanted)
    assert about["validation"]["photos"] == 200
    assert f"macro-F1 {wanted:.4f}" in capsys.readouterr().out


def kept(run, temperature=1.0):
    """A run's answers as it kept them: without views no network is asked."""
    return own_predictions(run, None, None, "none", temperature)


def test_it_has_no_score_where_the_people_or_labels_differ(tmp_path):
    validation = example_search.validation(200)
    for name, table in {
        "a": validation, "order": validation.sample(frac=1, random_state=0), "people": validation.iloc[7:],
        "labels": validation.assign(label=(validation["label"] + (validation.index < 7)) % 18),
        "groups": validation.assign(group="g" + validation["group"].astype(str)),
    }.items():  # fmt: skip
        untrained(tmp_path / name, 0, table)
    found = {name: validate([tmp_path / "a", tmp_path / name], vote.soft, kept)
             for name in ("order", "people", "labels", "groups")}  # fmt: skip
    assert found["order"]["macro_f1"] == pytest.approx(scores_of(validation).macro_f1)
    assert found["people"]["none"].startswith("the validation of people has 0 photos that a lacks, and lacks")
    assert found["labels"]["none"].endswith("has other labels of 7 photos than a")
    assert found["groups"]["none"] == "the validation of groups has other groups of 200 photos than a"


def test_a_temperature_changes_the_validated_vote_as_it_does_the_answers(tmp_path):
    """One member sure of class 0, two less sure of class 1: cooled they count less, heated they count more."""
    labels = example_search.validation(20).assign(label=1)
    for name, logits in {"a": [5.0, 0.0], "b": [0.0, 1.5], "c": [0.0, 1.5]}.items():
        padded = np.tile([*logits, *[-20.0] * 16], (20, 1))
        shares = np.exp(padded) / np.exp(padded).sum(1, keepdims=True)
        untrained(tmp_path / name, 0, labels.assign(**dict(zip(PROBABILITIES, shares.T, strict=True))))
    runs = [tmp_path / name for name in "abc"]
    assert validate(runs, vote.soft, partial(kept, temperature=0.2))["accuracy"] == 1
    assert validate(runs, vote.soft, partial(kept, temperature=5.0))["accuracy"] == 0
    assert kept(runs[1], temperature=1e-4)[PROBABILITIES].notna().all(axis=None)


@pytest.mark.slow
def test_its_own_score_is_of_the_views_that_the_submission_is_of(people, tmp_path):
    config = parse({**TINY, "data": str(people), "epochs": 1})
    for name, seed in (("a", 0), ("b", 1)):
        trial_run.run(
            replace(config, seed=seed), RunWriter(tmp_path / name, replace(config, seed=seed)), print
        )
    # Other seeds hold other people out: a vote with itself under another name has people in common.
    shutil.copytree(tmp_path / "a", tmp_path / "same")
    ensemble([tmp_path / "a", tmp_path / "same"], people, tmp_path / "out", tta="flip")
    seen = predict_validation(tmp_path / "a", load(tmp_path / "a"), people, "flip")
    about = json.loads((tmp_path / "out" / "submission.json").read_text())
    assert about["validation"]["macro_f1"] == pytest.approx(scores_of(seen).macro_f1)
    ensemble([tmp_path / "a", tmp_path / "b"], people, tmp_path / "other", tta="flip")
    about = json.loads((tmp_path / "other" / "submission.json").read_text())
    assert "the validation of b has " in about["validation"]["none"]
    shutil.copytree(people / "eval", tmp_path / "set" / "eval")
    ensemble([tmp_path / "a", tmp_path / "same"], tmp_path / "set", tmp_path / "alone", tta="flip")
    about = json.loads((tmp_path / "alone" / "submission.json").read_text())
    assert "train.csv" in about["validation"]["none"]


def test_everything_wrong_is_refused_at_once(runs, people, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(UsageError) as error:
        ensemble([runs[0], runs[0], tmp_path / "none"], people, tmp_path / "out", "sofd", "flop")
    for words in ("the same run is given twice", "did you mean soft", "did you mean flip", "out already exists",
                  "none: holds no trained network"):  # fmt: skip
        assert words in str(error.value)
    with pytest.raises(UsageError, match="2 runs or more, not 1"):
        ensemble(runs[:1], people, tmp_path / "new")
    assert not (tmp_path / "new").exists()
