"""What the demo prints at its end."""

import pytest

from analysis.trials.ranking import rank
from analysis.trials.table import Experiment, trial_table
from common.errors import UsageError
from dataset.face_masks.drawing.synthetic import draw
from experiments import demo
from experiments.progress import State
from experiments.run import ExperimentResult
from tests.analysis import other_tasks
from tests.analysis.fake_experiment import finished, make_experiment, record
from tests.conftest import TINY

SPACE = {"learning_rate": {"_type": "loguniform", "_value": [0.0001, 0.1]}}


def summary(tmp_path, answers) -> None:
    folder = make_experiment(tmp_path / "abc", SPACE)
    given = {"learning_rate": 0.00031622776601683794}
    finished(record(folder, "t", given), {**TINY, **given}, 0.5)
    ranking = rank(trial_table(Experiment("abc", "demo", folder)))
    result = ExperimentResult(
        id="abc", folder=folder, state=State(1), view_command="nnictl view abc", data="input"
    )
    demo._summary(result, ranking, tmp_path, answers)


@pytest.mark.slow
def test_drawn_people_have_known_answers_and_the_score_is_said(tmp_path, capsys):
    answers = draw(tmp_path / "data", 30, height=64, width=48) / "answers.csv"
    (tmp_path / "submission.csv").write_text(answers.read_text())
    summary(tmp_path, answers)
    said = capsys.readouterr().out
    assert "learning_rate=0.0003162\n" in said
    assert "the submission's score on 105 photos of new people" in said
    assert "macro-F1 1.0000  accuracy 1.0000  recall of 60+ 1.0000" in said


def test_of_real_photos_nobody_knows_the_answers(tmp_path, capsys):
    summary(tmp_path, None)
    said = capsys.readouterr().out
    assert "new people" not in said
    assert "ANSWERS.csv" in said


def test_photos_without_any_to_predict_are_refused_before_the_search(tmp_path, monkeypatch):
    data = other_tasks.two_classes(tmp_path / "photos")
    csv = data / "photos.csv"
    csv.write_text("".join(line for line in csv.open() if ",eval" not in line))
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(demo, "check", lambda *given, **named: None)  # such a set can be searched
    with pytest.raises(UsageError, match="has no photos to predict; list them in"):
        demo.demo(data, tmp_path / "out", ["group=patient"])
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out"], "not moved aside"


@pytest.mark.parametrize("error", [KeyboardInterrupt, UsageError])
def test_ctrl_c_or_an_error_after_the_search_says_how_to_go_on(tmp_path, capsys, monkeypatch, error):
    folder = make_experiment(tmp_path / "abc", SPACE)
    given = {"learning_rate": 0.00031622776601683794}
    finished(record(folder, "t", given), {**TINY, **given}, 0.5)
    result = ExperimentResult("abc", folder, State(1), "nnictl view abc", "input")

    def interrupted(*given, **named):
        raise error([])

    monkeypatch.setattr(demo, "check", lambda *given, **named: None)
    monkeypatch.setattr(demo, "read_eval", lambda *given: None)
    monkeypatch.setattr(demo, "run_plan", lambda plan: result)
    monkeypatch.setattr(demo, "export_best_and_retrain", interrupted)
    with pytest.raises(error):
        demo.demo(tmp_path / "photos", tmp_path / "out")
    said = capsys.readouterr().out
    assert (
        "export-best-and-retrain abc --data " in said
        and f" --out {tmp_path / 'out'} --tta flip_crops" in said
    )


@pytest.mark.parametrize(
    ("is_home", "is_fetched", "settings", "name"),
    [
        (True, True, [], "demo_faces"),
        (True, True, ["seed=1"], "demo_faces"),
        (True, True, ["weights=package"], "demo_photos"),
        (True, True, ["model=resnet18", "weights=none"], "demo_photos"),
        (True, False, [], "demo_photos"),
        (False, True, [], "demo_photos"),
    ],
)
def test_weights_that_know_faces_are_used_for_faces(
    tmp_path, people, monkeypatch, capsys, is_home, is_fetched, settings, name
):
    weights = tmp_path / "hse_faceres.safetensors"
    if is_fetched:
        weights.touch()
    monkeypatch.setattr(demo, "fetched_path", lambda network: weights)
    (tmp_path / "train" / "cat").mkdir(parents=True)
    assert demo._experiment_for(people if is_home else tmp_path, settings) == name
    assert ("SET=weights=package" in capsys.readouterr().out) == (name == "demo_faces")
