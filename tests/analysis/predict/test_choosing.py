"""--tta auto: the views are chosen by validation answers, and used if the nested gain is one."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from analysis.predict import choosing
from analysis.predict.choosing import choose, views_for
from analysis.predict.trained import load
from analysis.predict.validation import predict_validation
from analysis.prediction import predict_and_submit
from analysis.submit import about_run
from dataset.read import read_eval, read_train
from tests.analysis.fake_run import untrained
from tests.analysis.predict.test_finishing import validation
from tests.analysis.trust.drawn_answers import drawn
from tests.conftest import TINY
from trial.config import parse
from trial.data.views import VIEWS
from trial.metrics import METRICS
from trial.run import run as train
from trial.run_folder.predictions import probabilities_of, scores_of, with_probabilities
from trial.run_folder.record import RunWriter


def tables_of(**members: np.ndarray) -> dict[str, pd.DataFrame]:
    known = validation(0.0)
    return {views: with_probabilities(known, one) for views, one in members.items()}


def test_views_with_a_clear_gain_are_used_and_the_gain_is_nested():
    (one, *others), _, _ = drawn(120, noise=4.0, members=12)
    found = choose(tables_of(none=one, flip=(one + others[0]) / 2, crops=np.mean(others, 0)), "macro_f1")
    assert found.best == found.used == "crops"
    assert 0 < found.gain.low < found.gain.value
    scores = found.scores
    assert scores["crops"] - scores["none"] == pytest.approx(found.gain.value), "each fold chooses the same"
    assert found.facts()["scores"] == scores and "--tta crops is used" in found.words()


def test_the_best_of_equals_is_not_used():
    """Some of them is best on these answers, by luck: other groups say that choosing gains nothing."""
    members, _, _ = drawn(120, noise=2.0, members=8)
    found = choose(tables_of(**dict(zip(VIEWS, members[4:], strict=True))), "macro_f1")
    assert found.scores[found.best] == max(found.scores.values())
    assert found.gain.low <= 0 and found.used == "none"
    assert "--tta none is used" in found.words()


@pytest.fixture(scope="module")
def trial(people, tmp_path_factory):
    config = parse({**TINY, "data": str(people), "epochs": 1})
    train(config, writer := RunWriter(tmp_path_factory.mktemp("trial") / "run", config), lambda report: None)
    writer.end("done")
    return writer.folder


@pytest.mark.slow
@pytest.mark.parametrize("used", ["flip", "none"])
def test_a_run_predicts_the_chosen_views(people, trial, tmp_path, monkeypatch, capsys, used):
    monkeypatch.setattr(choosing.ChosenViews, "used", property(lambda chosen: used))
    probabilities, _ = predict_and_submit(trial, people, tmp_path / "out", "auto")
    assert probabilities == pytest.approx(load(trial).predict(read_eval(people), used))
    about = json.loads((tmp_path / "out" / "submission.json").read_text())
    flipped = predict_validation(trial, load(trial), people, "flip")
    assert about["tta"] == used
    assert list(about["tta_chosen"]["scores"]) == list(VIEWS)
    assert about["tta_chosen"]["scores"]["flip"] == pytest.approx(METRICS["macro_f1"](scores_of(flipped)))
    assert f"--tta {used} is used" in capsys.readouterr().out


@pytest.mark.slow
def test_a_vote_chooses_for_all_its_networks(people, trial, tmp_path, monkeypatch):
    other = shutil.copytree(trial, tmp_path / "other")
    seen, reads = {}, []
    monkeypatch.setattr(choosing, "read_train", lambda *given: reads.append(given) or read_train(*given))
    monkeypatch.setattr(
        choosing, "choose", lambda tables, metric: seen.update(tables) or choose(tables, metric)
    )
    views_for([trial, other], people, "macro_f1")
    assert len(reads) == 1, "and its notes are said once"
    one = predict_validation(trial, load(trial), people, "crops").sort_values("photo", ignore_index=True)
    assert probabilities_of(seen["crops"]) == pytest.approx(probabilities_of(one), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lacking", "why"),
    [("validation", "there are no validation answers"), ("photos", "lacks the photo")],
)
def test_what_can_not_be_measured_is_not_used(people, tmp_path, capsys, lacking, why):
    run = untrained(tmp_path / "run", 0, validation(0.0) if lacking == "photos" else None).folder
    _, about = predict_and_submit(run, people, tmp_path / "out", "auto")
    assert about["tta"] == "none" and why in about["tta_chosen"]["why"]
    assert (
        f"--tta auto: not measured, so --tta none is used: {about['tta_chosen']['why']}"
        in capsys.readouterr().out
    )


def test_a_retrained_networks_own_choice_is_not_that_of_later_predictions(people, tmp_path):
    run = untrained(tmp_path / "run").folder
    about = about_run(run) | {"rule": {}, "tta": "flip", "tta_chosen": {"best": "flip"}}
    (run / "submission.json").write_text(json.dumps(about))
    _, later = predict_and_submit(run, people, tmp_path / "out")
    assert later["tta"] == "none" and "tta_chosen" not in later and later["rule"] == {}
