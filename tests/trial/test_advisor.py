import contextlib
import json
import sqlite3

import pytest

from tests.conftest import TINY
from trial import advisor
from trial.commands import train
from trial.config import parse
from trial.metrics import column_of
from trial.run_folder.record import RunFolder, RunWriter


@pytest.fixture
def nni_asked(monkeypatch):
    # Imported first: under NNI's own variables it sets up a trial's log at import.
    monkeypatch.setattr("nni.get_next_parameter", lambda: {"epochs": 3})
    monkeypatch.setenv("NNI_PLATFORM", "local")
    monkeypatch.setenv("NNI_TRIAL_JOB_ID", "abcde")


def test_a_manager_without_the_preload_is_warned_about(nni_asked, monkeypatch, caplog):
    monkeypatch.delenv(advisor.PRELOADED, raising=False)
    assert advisor.in_experiment()
    assert advisor.ask() == {"epochs": 3}
    assert "WARNING: NNI's manager was started without" in caplog.text


def test_a_manager_with_it_is_not(nni_asked, monkeypatch, caplog):
    monkeypatch.setenv(advisor.PRELOADED, "1")
    assert advisor.ask() == {"epochs": 3}
    assert caplog.text == ""


@pytest.mark.parametrize("metric", ["macro_f1", "log_loss"])
def test_nni_gets_the_score_by_the_trials_metric(people, tmp_path, monkeypatch, metric):
    told, final = [], []
    monkeypatch.setattr("nni.report_intermediate_result", told.append)
    monkeypatch.setattr("nni.report_final_result", final.append)
    config = parse({**TINY, "data": str(people), "metric": metric})
    train._run(config, RunWriter(tmp_path / "run", config), in_experiment=True)
    run = RunFolder(tmp_path / "run")
    epochs = run.epochs()
    assert [value["default"] for value in told] == pytest.approx(list(epochs[column_of(metric)]))
    assert [value["accuracy"] for value in told] == pytest.approx(list(epochs["accuracy"]))
    assert final == [run.status()["score"]] == pytest.approx([epochs[column_of(metric)].max()])


def test_by_hand_there_is_no_experiment(monkeypatch):
    monkeypatch.delenv("NNI_TRIAL_JOB_ID", raising=False)
    assert not advisor.in_experiment()


def test_trials_share_the_cores_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("NNI_OUTPUT_DIR", str(tmp_path / "trials" / "abc"))
    assert advisor.concurrency() == 1  # no database: one by one
    (tmp_path / "db").mkdir()
    with contextlib.closing(sqlite3.connect(tmp_path / "db" / "nni.sqlite")) as database, database:
        database.execute("create table ExperimentProfile (params text, revision int)")
        for revision, trials in enumerate((2, 3)):
            database.execute(
                "insert into ExperimentProfile values (?, ?)",
                (json.dumps({"trialConcurrency": trials}), revision),
            )
    assert advisor.concurrency() == 2  # as at the start, whatever was set on NNI's page later


@pytest.mark.parametrize(
    ("config", "number"),
    [
        ({"trainingService": {}}, 3),  # without trialGpuNumber all see the same GPU
        ({"trainingService": {"maxTrialNumberPerGpu": 2}}, 3),
        ({"trainingService": {"trialGpuNumber": 1}}, 1),
        ({"trainingService": {"trialGpuNumber": 1, "maxTrialNumberPerGpu": 2}}, 2),
        ({"trialGpuNumber": 1, "trainingService": {"maxTrialNumberPerGpu": 2}}, 2),
        ({}, 3),
    ],
)
def test_it_is_known_how_many_trials_share_a_gpu(monkeypatch, config, number):
    monkeypatch.setenv("NNI_OUTPUT_DIR", "trials/abc")
    monkeypatch.setattr(
        "common.nni_database.profile", lambda folder, first: {"trialConcurrency": 3, **config}
    )
    assert advisor.on_one_gpu() == number
    monkeypatch.setenv(advisor.CONCURRENCY, "4")  # on another machine
    assert advisor.on_one_gpu() == 4
