"""The main job through NNI's manager: a search with a stopped and a failed trial, and the commands after it."""

import json
import subprocess

import pandas as pd
import pytest
import yaml

from analysis.__main__ import app
from analysis.submission import submission_errors
from analysis.trials.nni_database import recorded_trials
from analysis.trials.table import find, trial_table
from common.machine import PROJECT
from dataset.face_masks.labels import FACE_MASK
from dataset.read import read_eval
from tests import forked
from tests.conftest import TINY, call
from tests.nni_server import free_port
from trial.run_folder.record import RunFolder

pytestmark = [pytest.mark.server, pytest.mark.slow]
# With a learning rate of 1e30 the loss is not a number: that trial fails, and the search goes on.
SPACE = {
    "seed": {"_type": "choice", "_value": [0, 1]},
    "learning_rate": {"_type": "choice", "_value": [0.003, 1e30]},
    "loss": {
        "_type": "choice",
        "_value": [{"_name": "focal", "gamma": {"_type": "choice", "_value": [1.5]}}],
    },
}


def command(*words: str) -> subprocess.CompletedProcess:
    return forked.run("-m", *words, timeout=300)


@pytest.fixture(scope="module")
def experiment(people, tmp_path_factory):
    """Five trials, two at a time; the first to report is stopped at its second epoch."""
    folder = tmp_path_factory.mktemp("search")
    (folder / "space.json").write_text(json.dumps(SPACE))
    fixed = {**TINY, "optimizer": "sgd", "epochs": 30}
    for key in SPACE:
        fixed.pop(key, None)
    config = {
        "experimentName": "tiny",
        "experimentWorkingDirectory": str(folder / "runs"),
        "searchSpaceFile": "space.json",
        "trialCodeDirectory": str(PROJECT),
        "trialCommand": "python -m trial data=input " + " ".join(f"{k}={v}" for k, v in fixed.items()),
        "trialConcurrency": 2,
        "maxTrialNumber": 4,
        "tuner": {"name": "GridSearch"},
        "assessor": {
            "className": "stop_trial.StopTrial",
            "codeDirectory": str(PROJECT / "tests"),
            "classArgs": {"trial": 0, "epoch": 2},
        },
        "trainingService": {"platform": "local"},
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    done = command(
        "experiments", "run", str(folder / "tiny.yaml"), "--data", str(people), "--port", str(free_port())
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return find("tiny", folder / "runs")


def test_every_trial_ran_what_nni_recorded_for_it(experiment):
    recorded = recorded_trials(experiment.folder)
    assert len(recorded) == 4
    for one in recorded:
        run = RunFolder(experiment.folder / "trials" / one.trial)
        ran = run.config().to_json()
        assert {key: ran[key] for key in one.parameters} == one.parameters
        assert run.origin()["trial"] == one.trial
        assert run.origin()["experiment"] == experiment.id
    assert "mismatch" not in set(trial_table(experiment)["state"])


def test_the_stopped_trial_says_so_and_is_not_ranked(experiment):
    table = trial_table(experiment)
    stopped = table[table["state"] == "stopped_early"]
    assert len(stopped) == 1
    assert stopped["macro_f1"].notna().all()
    assert 2 <= stopped["epochs_done"].item() < 30
    assert stopped["reason"].item() == "stopped by the assessor"
    events = {one.trial: one.event for one in recorded_trials(experiment.folder)}
    assert events[stopped["trial"].item()] == "EARLY_STOPPED"


def test_the_failed_trials_say_why_and_the_search_went_on(experiment):
    table = trial_table(experiment)
    failed = table[table["state"] == "failed"]
    assert len(failed) == 2
    assert failed["reason"].str.contains("smaller learning_rate").all()
    assert (table["state"] == "done").sum() == 1


def test_nni_holds_macro_f1_per_epoch_in_the_form_its_page_charts(experiment):
    import sqlite3

    table = trial_table(experiment)
    done = table[table["state"] == "done"].iloc[0]
    with sqlite3.connect(experiment.folder / "db" / "nni.sqlite") as database:
        rows = database.execute(
            "select type, data from MetricData where trialJobId = ? order by rowid", (done["trial"],)
        ).fetchall()
    values = [
        json.loads(json.loads(data)) if isinstance(json.loads(data), str) else json.loads(data)
        for _, data in rows
    ]
    epochs = RunFolder(done["folder"]).epochs()
    assert [value["default"] for value in values[:-1]] == pytest.approx(list(epochs["macro_f1"]))
    assert values[-1] == pytest.approx(done["macro_f1"])


def test_the_commands_after_it_work_without_a_server(experiment, people, tmp_path):
    out = tmp_path / "out"
    done = command(
        "analysis",
        "export-best-and-retrain",
        str(experiment.folder),
        "epochs=1",
        "--data",
        str(people),
        "--out",
        str(out),
    )
    assert done.returncode == 0, done.stderr
    assert submission_errors(out / "submission.csv", list(read_eval(people)["photo"]), FACE_MASK) == []
    assert {path.name for path in out.iterdir()} == {
        "submission.csv",
        "submission.json",
        "predictions.csv",
        "trials.csv",
        "bundle.json",
        "report.html",
        "best",
    }
    # The rest in this process, which has imported what they need.
    scored = call(app, "score", out / "submission.csv", people / "answers.csv", "--json")
    assert 0 <= json.loads(scored.stdout)["macro_f1"] <= 1
    folder = experiment.folder
    assert call(app, "trials", folder, "--csv", tmp_path / "t.csv").exit_code == 0
    assert len(pd.read_csv(tmp_path / "t.csv")) == 4
    assert call(app, "export-best", folder, "--out", tmp_path / "r").exit_code == 0
    assert call(app, "report", folder, "--out", tmp_path / "r.html").exit_code == 0
    again = call(app, "export-best-and-retrain", folder, "--data", people, "--out", out)
    assert (again.exit_code, "already exists" in again.stderr) == (2, True)
    other = call(app, "export-best", folder, "--model", "resnet34", "--out", tmp_path / "x")
    assert (other.exit_code, "no finished trial of model=resnet34" in other.stderr) == (2, True)
