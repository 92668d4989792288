"""What follows a trial (its submission, votes, test-time augmentation, `score`) goes by the metric of its recipe."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.ensemble import ensemble
from analysis.predict.trained import load
from analysis.predict.validation import own_predictions, predict_validation, worth
from analysis.prediction import predict_and_submit
from analysis.score import score_line, score_submission
from analysis.submission import metric_of, write_submission
from analysis.submit import scores_kept
from dataset.face_masks.labels import FACE_MASK
from tests.analysis import example_search
from tests.analysis.fake_run import untrained
from tests.conftest import TINY
from trial.config import parse
from trial.metrics import METRICS, column_of, score_probabilities, title_of
from trial.run import run
from trial.run_folder.predictions import probabilities_of, scores_of
from trial.run_folder.record import RunFolder, RunWriter

PHOTOS = [f"{number}.jpg" for number in range(40)]


@pytest.fixture
def submission(tmp_path):
    """(A function that writes a submission by a recipe's metric, the labels' file, labels, probabilities)."""
    random = np.random.default_rng(0)
    labels, chances = random.integers(0, 18, 40), random.dirichlet(np.full(18, 0.2), 40)
    answers = tmp_path / "answers.csv"
    pd.DataFrame({"ImageID": PHOTOS[::-1], "ans": labels[::-1]}).to_csv(answers, index=False)

    def write(metric):
        about = {"recipe": {"metric": metric}} if metric else {}
        return write_submission(tmp_path / "out", PHOTOS, chances, about, FACE_MASK)

    return write, answers, labels, chances


@pytest.mark.parametrize("metric", [None, *METRICS])
def test_score_is_led_by_the_recipes_metric(submission, metric):
    write, answers, labels, chances = submission
    found, wanted = score_submission(write(metric), answers), score_probabilities(labels, chances)
    by = metric or "macro_f1"
    assert (found["metric"], found["score"]) == (by, pytest.approx(METRICS[by](wanted), rel=1e-9))
    assert found["balanced_accuracy"] == METRICS["balanced_accuracy"](wanted)
    line = score_line(found)
    assert line.startswith(f"{title_of(by)} {found['score']:.4f}  ")
    assert f"macro-F1 {wanted.macro_f1:.4f}" in line and f"accuracy {wanted.accuracy:.4f}" in line


def test_the_log_loss_of_answers_that_were_changed_by_hand_is_unknown(submission):
    write, answers, _, _ = submission
    path = write("log_loss")
    table = pd.read_csv(path)
    table.loc[0, "ans"] = (table["ans"][0] + 1) % 18
    table.to_csv(path, index=False)
    for _ in range(2):
        found = score_submission(path, answers)
        assert found["score"] is None
        assert score_line(found).startswith("macro-F1 ")
        path.with_name("predictions.csv").unlink(missing_ok=True)


def test_a_votes_metric_is_the_one_that_its_members_share():
    def about(*metrics):
        return {"members": [{"recipe": {"metric": metric} if metric else {}} for metric in metrics]}

    assert metric_of(about("accuracy", "accuracy")) == "accuracy"
    assert metric_of(about("accuracy", "log_loss")) == "macro_f1"
    assert metric_of(about("macro_f1", None)) == "macro_f1"  # None: of an earlier version
    assert metric_of({}) == "macro_f1"


def test_a_vote_is_scored_by_the_metric_of_its_members(people, tmp_path, capsys):
    validation = example_search.validation(200)
    runs = [untrained(tmp_path / name, seed, validation, values={"metric": "log_loss"}).folder
            for seed, name in enumerate("ab")]  # fmt: skip
    ensemble(runs, people, tmp_path / "out", "soft")
    wanted = METRICS["log_loss"](scores_of(validation))
    about = json.loads((tmp_path / "out" / "submission.json").read_text())
    assert about["validation"]["negative_log_loss"] == pytest.approx(wanted)
    assert [member["validation"]["negative_log_loss"] for member in about["members"]] == [wanted] * 2
    assert f"validation of the vote: negative log loss {wanted:.4f}, macro-F1 " in capsys.readouterr().out
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"Validation negative log loss</span><b>{wanted:.3f}</b>" in page


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["macro_f1", "log_loss"])
def test_a_submission_keeps_the_score_and_what_augmentation_does_to_it(people, tmp_path, capsys, metric):
    config = parse({**TINY, "data": str(people), "epochs": 1, "metric": metric})
    run(config, writer := RunWriter(tmp_path / "run", config), lambda report: None)
    writer.end("done")
    folder, trained = RunFolder(tmp_path / "run"), load(tmp_path / "run")
    flipped = predict_validation(folder.folder, trained, people, "flip")
    names = list(dict.fromkeys(["macro_f1", column_of(metric)]))
    assert list(scores_kept(folder)) == [*names, "low", "high", "photos", "groups", "best_epoch"]
    _, about = predict_and_submit(folder.folder, people, tmp_path / "out", "flip")
    status = folder.status()
    assert about["validation"][column_of(metric)] == status["score"]
    by_tta = about["validation"][f"{column_of(metric)}_by_tta"]
    assert by_tta == {"none": status["score"], "flip": METRICS[metric](scores_of(flipped))}
    assert by_tta == worth(folder.folder, people, "flip")
    hot = worth(folder.folder, people, "flip", temperature=5.0)
    plain = METRICS[metric](scores_of(own_predictions(folder.folder, trained, people, "none", 5.0)))
    assert hot["none"] == plain and (plain == by_tta["none"]) == (metric == "macro_f1")
    words = (
        f"validation people: {title_of(metric)} {status['score']:.4f} without TTA, {by_tta['flip']:.4f} with"
    )
    said = capsys.readouterr().out
    assert words in said and "promise: " in said
    _, about = predict_and_submit(folder.folder, people, tmp_path / "hot", temperature=5.0)
    assert ("promise" in about) == (metric == "macro_f1")
    assert ("no promise: the log loss at temperature 5 was not validated" in capsys.readouterr().out) == (
        metric == "log_loss"
    )
    assert probabilities_of(flipped).shape[1] == 18
