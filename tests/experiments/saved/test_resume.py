"""What `experiments resume` reads, changes and refuses, without NNI."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest

from analysis.trials.chosen import read_chosen
from analysis.trials.nni_database import recorded_trials
from common.errors import UsageError
from common.machine import PROJECT
from common.nni_database import profile
from dataset.fingerprint import fingerprint
from experiments.progress import look
from experiments.saved import experiment as saved
from experiments.saved import resume
from experiments.saved.experiment import change, read_saved, with_paths_of_today
from experiments.saved.resume import resume_experiment
from tests.experiments.saved.saved_experiment import SPACE, SavedExperiment
from trial.config import parse
from trial.run_folder import resume as run_resume
from trial.run_folder.origin import label_files
from tuners.chosen import Chosen, write_chosen

PAUSES = {"className": "tuners.search.PauseAndGoOn", "codeDirectory": str(PROJECT)}


def refused(*given, **named):
    with pytest.raises(UsageError) as caught:
        resume_experiment(*given, **named)
    return "\n".join(caught.value.errors)


def more(experiment, trials=None, hours=None):
    read = read_saved(experiment.folder)
    return resume._with_more(read, len(read.unfinished()), trials, hours)


def test_trials_that_are_run_again(tmp_path):
    one = SavedExperiment(tmp_path)
    one.trial("before", "RUNNING", "USER_CANCELED", state="stopped_early")  # another trial began later
    one.trial("done", "RUNNING", "SUCCEEDED", state="done")
    one.trial("failed", "RUNNING", "FAILED", state="failed")
    one.trial("early", "RUNNING", "EARLY_STOPPED", state="stopped_early")
    one.trial("preempted", "RUNNING", "FAILED", state="interrupted")
    one.trial("went_on", "RUNNING", "FAILED", state="interrupted")
    one.trial("child", "RUNNING", "SUCCEEDED", state="done", parent="went_on")
    one.trial("replaced", "RUNNING", "FAILED", state="interrupted", rate=0.007, epochs=0)
    one.trial("in_its_place", "RUNNING", "SUCCEEDED", state="done", rate=0.007)
    one.trial("killed", "RUNNING", state="stopped_early")
    one.trial("finished", "RUNNING", state="done")  # in the second of the kill
    one.trial("person", "RUNNING", "USER_CANCELED", "USER_TO_CANCEL", state="stopped_early")
    one.trial("same", "RUNNING", parameter_id=7)
    with_experiment = [("stopped", None), ("double", 7)]
    for name, id in with_experiment:
        one.trial(name, state="stopped_early", parameter_id=id)
    one.trial("never")
    with sqlite3.connect(one.folder / "db" / "nni.sqlite") as db:
        for name, _ in with_experiment:
            db.execute(
                "insert into TrialJobEvent values (0, ?, 'USER_CANCELED', null, '', null, '')", (name,)
            )
    read = read_saved(one.folder)
    assert {trial.trial for trial in read.unfinished()} == {"preempted", "killed", "same", "stopped", "never"}
    assert [trial.trial for trial in read.done_unnoticed()] == ["finished"]

    change(read, read.params, read.unfinished(), [{"learning_rate": 0.005}])
    events = {trial.trial: trial.event for trial in recorded_trials(one.folder)}
    assert events["stopped"] == events["preempted"] == "WAITING"
    assert events["finished"] == "SUCCEEDED"
    assert (events["before"], events["double"], events["person"]) == ("USER_CANCELED",) * 3
    ((data,),) = one.rows("select data from MetricData where trialJobId = 'finished' and type = 'FINAL'")
    assert json.loads(json.loads(data)) == {"default": 0.5}
    ((tried,),) = one.rows("select data from TrialJobEvent where event = 'IMPORT_DATA'")
    assert json.loads(tried) == [{"parameter": {"learning_rate": 0.005}, "value": 0}]
    assert one.rows("select count(*), max(revision) from ExperimentProfile") == [(2, 2)]


def test_the_number_of_trials_and_the_hours(tmp_path):
    one = SavedExperiment(tmp_path)
    for number in range(3):
        one.trial(f"done{number}", "SUCCEEDED", state="done")
    assert more(one)["maxTrialNumber"] == 4, "the one that is missing"
    assert more(one, trials=5)["maxTrialNumber"] == 8
    assert more(one, hours=1)["maxExperimentDuration"] == "3660s"
    assert more(one, hours=1)["maxTrialNumber"] == 4
    assert more(one, hours=1)["tuner"]["classArgs"]["hours"] == 1.01667, (
        "the tuner counts those of all starts"
    )
    one.trial("killed", "RUNNING", state="failed")
    assert more(one)["maxTrialNumber"] == 4
    assert more(one, trials=2)["maxTrialNumber"] == 6, "besides the one that is run again"


def test_a_finished_one_gets_something_to_do_or_is_refused(tmp_path):
    one = SavedExperiment(tmp_path, maxTrialNumber=1, maxExperimentDuration=100, seconds=100)
    one.trial("done", "SUCCEEDED", state="done")
    with pytest.raises(
        UsageError, match="all its 1 trials have begun and ended; more of them: python -m exper"
    ):
        more(one)
    assert more(one, trials=2)["maxTrialNumber"] == 3
    assert "maxExperimentDuration" not in more(one, trials=2), "it would end before they begin"
    timed = SavedExperiment(tmp_path / "timed", maxTrialNumber=None, maxExperimentDuration=100, seconds=100)
    with pytest.raises(
        UsageError, match="has run for 1:40, its maxExperimentDuration; --hours 1 gives it one"
    ):
        more(timed)
    tuner = one.params["tuner"] | {"classArgs": {"hours": 1}}
    with pytest.raises(UsageError, match="has run for 1:00:01, its hours; --hours 1 gives it one more hour"):
        more(SavedExperiment(tmp_path / "tuner", tuner=tuner, maxTrialNumber=None, seconds=3601))
    left = SavedExperiment(tmp_path / "left", tuner=tuner, maxTrialNumber=None, seconds=3601)
    left.trial("at_work", "RUNNING")
    assert more(left)["tuner"] == tuner, "NNI ends what was at work, and the tuner begins nothing more"
    assert "maxTrialNumber" not in more(one, hours=2), "as many as there is time for"
    assert more(one, hours=2)["maxExperimentDuration"] == "7300s"


FIRST_RECIPE = """
import json, sys
from tuners.search import Search

search = Search(seed=1)
search.update_search_space(json.loads(sys.argv[1]))
print(search.generate_parameters(0)["learning_rate"])
"""


@pytest.mark.slow
def test_what_was_done_in_the_second_of_the_kill_is_told_though_nothing_is_left_to_do(tmp_path):
    one = SavedExperiment(tmp_path, maxTrialNumber=1)
    (one.folder / "log").mkdir()
    environ = os.environ | {"NNI_LOG_DIRECTORY": str(one.folder / "log")}
    command = [sys.executable, "-c", FIRST_RECIPE, json.dumps(SPACE)]
    rate = float(subprocess.check_output(command, cwd=PROJECT, env=environ, stderr=subprocess.DEVNULL))
    one.trial("last", "RUNNING", state="done", rate=rate)
    assert [row.state for row in read_chosen(one.folder)] == ["running"]
    assert "all its 1 trials have begun and ended" in refused(str(one.folder))
    ((told,),) = one.rows("select event from TrialJobEvent order by rowid desc limit 1")
    assert told == "SUCCEEDED"
    assert [(row.trial, row.state) for row in read_chosen(one.folder)] == [("last", "complete")]


@pytest.mark.parametrize("left", ["submission.csv", ".unfinished.json"])
def test_a_result_that_is_there_is_not_retrained_again(tmp_path, left):
    """It is refused before the search, not after it; also a half made one, as the best recipe may change."""
    one = SavedExperiment(tmp_path)
    (one.folder / "final").mkdir()
    (one.folder / "final" / left).write_text('{"files": ["submission.csv"], "folders": [], "what": {}}')
    assert "final: already exists, by an earlier retraining" in refused(str(one.folder), with_retrain=True)


def test_a_search_that_pauses_counts_trainings(tmp_path):
    tuner = {
        "className": "tuners.search.Search",
        "codeDirectory": str(PROJECT),
        "classArgs": {"trainings": 2, "hours": 1},
    }
    one = SavedExperiment(tmp_path, tuner=tuner, maxTrialNumber=8, assessor=PAUSES)
    one.trial("paused", "EARLY_STOPPED", state="stopped_early", epochs=2)
    one.trial("goes_on", "SUCCEEDED", state="done", epochs=4)
    one.trial("half", "EARLY_STOPPED", state="stopped_early", epochs=2)
    status = one.folder / "trials" / "goes_on" / "status.json"
    status.write_text(json.dumps(json.loads(status.read_text()) | {"parent": "paused"}))
    recipe = {"model": "test_resnet.r160_in1k", "weights": "none", "epochs": 4}
    for run in (one.folder / "trials").iterdir():
        (run / "config.json").write_text(json.dumps(parse(recipe).to_json()))
    assert resume.trainings_spent(read_saved(one.folder)) == 1.5
    assert look(one.folder, 8).work == 1.5
    params = more(one)
    assert (params["maxTrialNumber"], params["tuner"]["classArgs"]["trainings"]) == (8, 2)
    params = more(one, trials=3, hours=2)
    assert params["maxTrialNumber"] == 3 + 4 * 3
    assert params["tuner"]["classArgs"] == {"trainings": 4.5, "hours": pytest.approx(2 + 60 / 3600, abs=1e-4)}
    read = read_saved(one.folder)
    assert (
        resume._tells(replace(read, params=params), 0, None) == "3 trials have begun, 3 more trainings follow"
    )
    thirds = {"epochs": 3}
    for run in (one.folder / "trials").iterdir():
        (run / "config.json").write_text(json.dumps(parse(recipe | thirds).to_json()))
    spent = resume.trainings_spent(read_saved(one.folder))
    assert more(one, trials=1)["tuner"]["classArgs"]["trainings"] >= spent + 1, (
        "a hundredth less is none more"
    )


def test_trials_that_report_folds_cost_their_folds(tmp_path):
    """As for the search, whether patience has ended them, or no epoch is done by all folds yet."""
    tuner = {"className": "tuners.search.Search", "classArgs": {"trainings": 2}}
    one = SavedExperiment(tmp_path, tuner=tuner, maxTrialNumber=8, assessor=PAUSES)
    one.trial("first", "SUCCEEDED", state="done", epochs=2)
    one.trial("second", "EARLY_STOPPED", state="stopped_early", epochs=0)
    recipe = {"model": "test_resnet.r160_in1k", "weights": "none", "epochs": 4, "fold": "all"}
    recipe |= {"fold_order": "one_by_one", "patience": 1}
    for run in (one.folder / "trials").iterdir():
        (run / "config.json").write_text(json.dumps(parse(recipe).to_json()))
    rows = [Chosen(0, 0, "first", "default", state="complete", score=0.5, epochs=5)]
    write_chosen(one.folder, [*rows, Chosen(1, 1, "second", "start-up", state="paused", epochs=1)])
    assert resume.trainings_spent(read_saved(one.folder)) == pytest.approx(1.2)


def test_failures_cost_what_the_search_counts_for_them(tmp_path):
    """The recipe that was interrupted three times before its first epoch has failed for the search."""
    tuner = {
        "className": "tuners.search.Search",
        "codeDirectory": str(PROJECT),
        "classArgs": {"trainings": 2},
    }
    one = SavedExperiment(tmp_path, tuner=tuner, maxTrialNumber=8, assessor=PAUSES)
    one.trial("no_config", "RUNNING", "FAILED")
    for name in ("first", "second", "third"):
        one.trial(name, "RUNNING", "FAILED", state="interrupted", epochs=0)
    one.trial("killed", "RUNNING", state="failed", rate=0.006)
    why = "interrupted 3 times before its first epoch"
    rows = [
        Chosen(0, 0, "no_config", "default", state="fail"),
        Chosen(1, 3, "third", "model", why=why, state="fail"),
    ]
    write_chosen(one.folder, [*rows, Chosen(2, 4, "killed", "model")])
    read = read_saved(one.folder)
    assert resume.trainings_spent(read) == 0.5
    assert [trial.trial for trial in read.unfinished()] == ["killed"]
    assert more(one, trials=3)["tuner"]["classArgs"] == {"trainings": 0.5 + 1 + 3}
    assert look(one.folder, 8).work == 0.75, "what is run again has taken something, too"


def test_so_does_one_that_ran_for_hours(tmp_path):
    """`run --hours` takes the YAML's number of trainings away."""
    tuner = {"className": "tuners.search.Search", "codeDirectory": str(PROJECT), "classArgs": {"hours": 1}}
    one = SavedExperiment(tmp_path, tuner=tuner, maxTrialNumber=None, assessor=PAUSES)
    one.trial("done", "SUCCEEDED", state="done", epochs=4)
    recipe = {"model": "test_resnet.r160_in1k", "weights": "none", "epochs": 4}
    config = one.folder / "trials" / "done" / "config.json"
    config.write_text(json.dumps(parse(recipe).to_json()))
    params = more(one, trials=5, hours=2)
    assert (params["maxTrialNumber"], params["tuner"]["classArgs"]["trainings"]) == (1 + 4 * 5, 6)


def test_more_trials_than_the_hours_had_room_for(tmp_path):
    tuner = {"className": "tuners.search.Search", "codeDirectory": str(PROJECT), "classArgs": {"hours": 1}}
    one = SavedExperiment(
        tmp_path, tuner=tuner, maxTrialNumber=None, maxExperimentDuration="3600s", assessor=PAUSES
    )
    params = more(one, trials=5)
    assert params["tuner"]["classArgs"] == {"trainings": 5}
    assert "maxExperimentDuration" not in params


def test_trainings_of_a_search_that_does_not_pause(tmp_path):
    """NNI begins no more trials than maxTrialNumber; each may be a whole training."""
    stops = {"className": "tuners.search.CannotWin", "codeDirectory": str(PROJECT)}
    tuner = {
        "className": "tuners.search.Search",
        "codeDirectory": str(PROJECT),
        "classArgs": {"trainings": 2},
    }
    one = SavedExperiment(tmp_path, tuner=tuner, maxTrialNumber=1, assessor=stops)
    one.trial("half", "EARLY_STOPPED", state="stopped_early", epochs=2)
    recipe = {"model": "test_resnet.r160_in1k", "weights": "none", "epochs": 4}
    config = one.folder / "trials" / "half" / "config.json"
    config.write_text(json.dumps(parse(recipe).to_json()))
    with pytest.raises(UsageError, match="all its 1 trials have begun and ended"):
        more(one)
    params = more(one, trials=3)
    assert (params["maxTrialNumber"], params["tuner"]["classArgs"]) == (4, {})
    read = replace(read_saved(one.folder), params=params)
    assert resume._tells(read, 0, None) == "1 trial has begun, 3 more follow"


@pytest.mark.parametrize(
    ("tuner", "said"),
    [
        ({"name": "GridSearch"}, "GridSearch goes on with the combinations that have not begun"),
        (
            {"name": "Evolution"},
            "Evolution forgets what it measured: it begins again with a random population",
        ),
        ({"className": "own.Tuner"}, "own.Tuner is told of the finished trials (import_data)"),
    ],
)
def test_what_another_tuner_knows_is_said(tmp_path, tuner, said):
    assert resume._knows(read_saved(SavedExperiment(tmp_path, tuner=tuner).folder)) == said


def test_another_tuner_does_not_draw_the_same_again(tmp_path):
    one = SavedExperiment(tmp_path, tuner={"name": "Random", "classArgs": {"seed": 7}})
    one.trial("done", "SUCCEEDED", state="done").trial("other", "SUCCEEDED", state="done")
    assert more(one)["tuner"]["classArgs"]["seed"] == 9


def test_grid_search_knows_recipes_with_whole_floats(tmp_path):
    """NNI compares recipes as JSON, and its manager, in JavaScript, writes 2.0 as 2."""
    nni = pytest.importorskip("nni")
    tried = {"batch_size": 16, "loss": {"_name": "focal", "gamma": 2.0, "x": [1e20, 0.5]}}
    one = SavedExperiment(tmp_path)
    change(read_saved(one.folder), one.params, (), [tried])
    ((written,),) = one.rows("select data from TrialJobEvent where event = 'IMPORT_DATA'")
    handed_on = written.replace(".0", "")
    (known,) = nni.load(handed_on)
    assert nni.dump(known["parameter"], sort_keys=True) == nni.dump(tried, sort_keys=True)


def test_a_search_keeps_its_space_whatever_the_page_says(tmp_path):
    one = SavedExperiment(tmp_path)
    read = read_saved(one.folder)
    change(read, one.params | {"searchSpace": {"other": 1}}, [])
    assert profile(one.folder)["searchSpace"] == {"other": 1}
    assert resume._with_space(read_saved(one.folder))["searchSpace"] == SPACE


def test_a_moved_project(tmp_path, monkeypatch):
    monkeypatch.setattr(saved, "PROJECT", tmp_path / "new")
    runs = tmp_path / "new" / "out" / "experiments"
    command = "python -m trial data='/old/project/my photos' corrections=/old/projects/x"
    one = SavedExperiment(
        runs, trialCodeDirectory="/old/project", experimentWorkingDirectory="/old/project/out/experiments",
        trialCommand=command, tuner={"className": "tuners.search.Search", "codeDirectory": "/old/project"},
    )  # fmt: skip
    moved, note = with_paths_of_today(read_saved(one.folder))
    new = str(tmp_path / "new")
    assert note.startswith("the project was moved: ")
    assert (moved.params["trialCodeDirectory"], moved.params["tuner"]["codeDirectory"]) == (new, new)
    assert (
        moved.params["trialCommand"] == f"python -m trial data='{new}/my photos' corrections=/old/projects/x"
    )
    assert moved.params["experimentWorkingDirectory"] == str(runs)
    assert moved.plan.data == f"{new}/my photos"

    elsewhere = shutil.move(one.folder, tmp_path / one.folder.name)
    with pytest.raises(
        UsageError, match="abcd1234: its code folder /old/project is gone; move it back, or start"
    ):
        with_paths_of_today(read_saved(elsewhere))


def test_one_that_still_runs(tmp_path, monkeypatch):
    one = SavedExperiment(tmp_path)
    monkeypatch.setattr(resume.server, "running", lambda: {"abcd1234": one.folder})
    assert refused(str(one.folder)).startswith(
        "abcd1234: still runs; stop it first: Ctrl-C where it was started, or "
    )


def test_two_at_a_time(tmp_path):
    one = SavedExperiment(tmp_path)
    code = "import sys; from pathlib import Path; from common.files import only_writer\n"
    code += "with only_writer(Path(sys.argv[1])): print('has it', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(one.folder)]
    with subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"has it\n"
        assert f"another process ({other.pid}) is writing into this folder" in refused(str(one.folder))
        other.stdin.close()


def test_folders_that_hold_none(tmp_path):
    assert "holds no experiment: there is no db/nni.sqlite" in refused(str(tmp_path))
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "nni.sqlite").write_text("nonsense")
    assert "can't be read as NNI's database" in refused(str(tmp_path))
    (tmp_path / "db" / "nni.sqlite").write_bytes(b"")
    assert "is damaged, or its experiment never began" in refused(str(tmp_path))
    one = SavedExperiment(tmp_path / "more")
    renamed = shutil.move(one.folder, tmp_path / "more" / "mine")
    assert "holds the experiment abcd1234; rename the folder to abcd1234" in refused(str(renamed))


def test_an_unknown_id_has_the_nearest(tmp_path, monkeypatch):
    SavedExperiment(tmp_path)
    find = resume.find
    monkeypatch.setattr(resume, "find", lambda wanted: find(wanted, tmp_path))
    assert refused("abcd1243").startswith("unknown experiment 'abcd1243'; did you mean abcd1234?")


def test_photos_that_are_gone_and_a_space_that_was_changed(tmp_path):
    one = SavedExperiment(tmp_path)
    (tmp_path / "photos").rmdir()
    other = {"learning_rate": {"_type": "loguniform", "_value": [0.001, 0.02]}}
    (one.folder / "experiment.yaml").write_text(json.dumps({"searchSpace": other}))
    said = refused(str(one.folder))
    assert f"{tmp_path / 'photos'}" in said
    assert (
        "experiment.yaml: says another search space than the one that is searched; a search keeps its" in said
    )


@pytest.mark.parametrize("changed", ["photos", "labels"])
def test_photos_or_labels_that_changed_are_said(tmp_path, changed, monkeypatch):
    """The search learns from all scores, and the table ranks them together."""
    one = SavedExperiment(tmp_path)
    one.trial("a", "RUNNING", "SUCCEEDED", state="done").trial("b", "RUNNING", "FAILED", state="failed")
    photos, labels = tmp_path / "photos", tmp_path / "corrections.csv"
    (photos / "train").mkdir()
    labels.write_text("path,label\n")
    run = one.folder / "trials" / "a"
    recipe = parse({"model": "test_resnet.r160_in1k", "weights": "none", "corrections": str(labels)}, False)
    for name in "ab":
        (run.parent / name / "config.json").write_text(json.dumps(recipe.to_json()))
    then = {"data_fingerprint": fingerprint(photos), "label_files": label_files(recipe.recipe())}
    (run / "origin.json").write_text(json.dumps(then))
    with monkeypatch.context() as patched:
        looked = []
        patched.setattr(run_resume, "fingerprint", lambda data: looked.append(data) or fingerprint(data))
        assert resume._other_data(read_saved(one.folder)) == ""
        assert len(looked) == 1, "not for b, which has no origin: on a network disk it takes a minute"
    what = photos if changed == "photos" else labels
    (photos / "train" / "1.jpg" if what == photos else labels).write_text("another")
    said = resume._other_data(read_saved(one.folder))
    assert "trial a was trained" in said and f"{what} holds now" in said and "[abcd1234]" in said


def test_what_this_version_does_not_take_any_more(tmp_path):
    tuner = {"className": "tuners.default_first.DefaultFirstTPE", "codeDirectory": str(PROJECT)}
    one = SavedExperiment(tmp_path, tuner=tuner, trialCommand="python train.py")
    said = refused(str(one.folder))
    assert "tuners.default_first.DefaultFirstTPE is gone; write tuners.search.Search" in said
    assert "its trials are not 'python -m trial key=value ...'" in said
