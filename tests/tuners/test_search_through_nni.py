"""The search through NNI's real manager: what each trial is told as, and what survives a kill."""

import contextlib
import json
import signal
import time

import optuna
import psutil
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tests.nni_server import PROJECT, TinyExperiment
from tests.tuners.read_back import read_back
from tuners.chosen import CHOSEN_CSV, JOURNAL
from tuners.study import NAME

pytestmark = [pytest.mark.server, pytest.mark.slow]
TUNER = f'{{{{className: tuners.search.Search, codeDirectory: "{PROJECT}", classArgs: {{{{seed: 3, first: {{first}}}}}}}}}}'
ASSESSOR = 'assessor: {{className: {name}, codeDirectory: "{project}", classArgs: {arguments}}}'
# What a trial does depends on how many began before it.
TRIAL = """
import os, sys, time
import nni
values = nni.get_next_parameter()
began = os.path.join(os.path.dirname(os.environ["NNI_OUTPUT_DIR"]), "began.txt")
with open(began, "a") as file:
    file.write(os.environ["NNI_TRIAL_JOB_ID"] + "\\n")
number = len(open(began).readlines()) - 1
does = {does}.get(number, "finish")
for epoch in range(3):
    nni.report_intermediate_result({{"default": values["x"] * (epoch + 1), "loss": 1.0}})
    time.sleep({seconds})
    if does == "fail" and epoch == 1:
        sys.exit(1)
    if does == "hang" and epoch == 1:
        time.sleep(600)
if does == "no score":
    sys.exit(0)
nni.report_final_result(float("nan") if does == "nan" else values["x"] * 3)
"""

# A trial that goes on from its parent, as `python -m trial` does: the parent's epochs are reported first.
GOING_ON = """
import json, math, os, pathlib, time
import nni
point = nni.get_next_parameter()
parent = point.pop("parent", None)
run = pathlib.Path(os.environ["NNI_OUTPUT_DIR"])
(run / "config.json").write_text(json.dumps({"epochs": 8, "x": point["x"]}))
curve = json.loads((run.parent / parent / "curve.json").read_text()) if parent else []
for score in curve:
    nni.report_intermediate_result({"default": score})
for epoch in range(len(curve), 8):
    curve.append((0.7 - (point["x"] - 0.3) ** 2 + 0.25 * math.sin(40 * point["x"])) * (epoch + 1) / 8)
    (run / "curve.part").write_text(json.dumps(curve))
    os.replace(run / "curve.part", run / "curve.json")
    nni.report_intermediate_result({"default": curve[-1]})
    time.sleep(0.3)
nni.report_final_result(curve[-1])
"""


def experiment(folder, trials, does, first="[]", assessor="", seconds=0.5, at_once=1):
    tiny = TinyExperiment.write(folder, trials, TUNER.format(first=first), assessor)
    yaml = folder / "tiny.yaml"
    yaml.write_text(yaml.read_text().replace("trialConcurrency: 2", f"trialConcurrency: {at_once}"))
    (folder / "trial.py").write_text(TRIAL.format(does=does, seconds=seconds))
    return tiny


def study_of(tiny):
    storage = JournalStorage(JournalFileBackend(str(tiny.root / JOURNAL)))
    return optuna.load_study(study_name=NAME, storage=storage)


def told(tiny):
    """{trial's id in NNI: state in the study}, and that none was told twice. The search may be writing: its
    two files agree between its changes."""
    for _ in range(50):
        rows = [row for row in read_back(tiny.root) if row.state != "running"]
        trials = {row.trial: row.state for row in rows}
        states = [trial.state.name.lower() for trial in study_of(tiny).trials if trial.state.is_finished()]
        if len(trials) == len(rows) and sorted(states) == sorted(trials.values()):
            return trials
        time.sleep(0.1)
    raise AssertionError(f"chosen.csv has {rows}, the study {states}")


def error_of(tiny):
    log = (tiny.root / "log" / "dispatcher.log").read_text()
    return [line for line in log.splitlines() if " ERROR " in line]


def test_each_trial_is_told_once_as_what_it_was(tmp_path):
    does = {1: "fail", 2: "hang", 3: "nan", 4: "no score"}
    stop = ASSESSOR.format(
        name="tests.stop_trial.StopTrial", project=PROJECT, arguments="{trial: 2, epoch: 2}"
    )
    tiny = experiment(tmp_path, 6, does, "[{x: 0.75}]", stop)
    try:
        tiny.create()
        tiny.wait_for_trials(6, 120)
        TinyExperiment.wait_for(lambda: len(told(tiny)) >= 5, 20)
    finally:
        tiny.stop()
    started = [trial for (trial,) in tiny.rows("SELECT trialJobId FROM TrialJobEvent WHERE event='WAITING'")]
    states = told(tiny)
    assert [states.get(trial) for trial in started[:4]] == ["complete", "fail", "pruned", "fail"]
    assert states[started[5]] == "complete"
    study = study_of(tiny)
    assert [trial.params["x"] for trial in study.trials[:2]] == [0.5, 0.75]
    assert study.trials[0].value == 1.5
    assert study.trials[0].intermediate_values == {0: 0.5, 1: 1.0, 2: 1.5}
    assert len(study.trials[1].intermediate_values) == 2
    assert study.trials[2].intermediate_values.keys() == {0, 1}
    assert 1 < study.trials[0].user_attrs["seconds"] < 30
    chosen = read_back(tiny.root)
    assert [row.chosen_by for row in chosen] == ["default", "first", "start-up", "model", "model", "model"]
    assert not error_of(tiny)


def test_a_trial_that_cannot_win_is_stopped(tmp_path):
    """The known good recipes come first; the last is far worse than they are."""
    first = "[{x: 0.9}, {x: 0.95}, {x: 0.98}, {x: 0.01}]"
    stop = ASSESSOR.format(
        name="tuners.search.CannotWin", project=PROJECT, arguments="{min_finished: 4, start_epoch: 2, z: 2}"
    )
    tiny = experiment(tmp_path, 5, {4: "hang"}, first, stop)
    try:
        tiny.create()
        tiny.wait_for_trials(5, 120)
        TinyExperiment.wait_for(lambda: len(told(tiny)) == 5, 20)
    finally:
        tiny.stop()
    last = read_back(tiny.root)[4]
    assert last.state == "pruned"
    assert last.why.startswith("can't win after epoch 2: predicted")
    assert list(tiny.ends().values()).count("EARLY_STOPPED") == 1
    assert not error_of(tiny)


def test_what_is_paused_goes_on_and_nnis_page_shows_the_whole_curve(tmp_path):
    tuner = f'{{className: tuners.search.Search, codeDirectory: "{PROJECT}", classArgs: {{seed: 3}}}}'
    pause = ASSESSOR.format(name="tuners.search.PauseAndGoOn", project=PROJECT, arguments="{min_finished: 3}")
    tiny = TinyExperiment.write(tmp_path, 60, tuner, pause)
    (tmp_path / "trial.py").write_text(GOING_ON)
    # Few recipes: when none is new any more, those that are paused are all that is left.
    space = {"x": {"_type": "choice", "_value": [round(0.02 + 0.07 * number, 2) for number in range(14)]}}
    (tmp_path / "space.json").write_text(json.dumps(space))

    def is_over():
        log = (tiny.root / "log" / "dispatcher.log").read_text()
        # A paused one may be handed out after nothing new was left, and has not begun yet.
        ended = all(row.state == "complete" for row in read_back(tiny.root))
        return "no more trials: every recipe of the search space was tried" in log and ended

    try:
        tiny.create()
        TinyExperiment.wait_for(lambda: (tiny.root / CHOSEN_CSV).is_file(), 60)
        TinyExperiment.wait_for(is_over, 240)
    finally:
        tiny.stop()
    began = {
        trial: json.loads(data)["parameters"]
        for trial, data in tiny.rows("SELECT trialJobId, data FROM TrialJobEvent WHERE event='WAITING'")
    }
    curves = {}
    for trial, data in tiny.rows(
        "SELECT trialJobId, data FROM MetricData WHERE type='PERIODICAL' ORDER BY sequence"
    ):
        curves.setdefault(trial, []).append(json.loads(json.loads(data))["default"])
    rows = read_back(tiny.root)
    assert len({point["x"] for point in began.values()}) == len(rows), "no recipe is lost"
    went_on = {trial: point for trial, point in began.items() if "parent" in point}
    assert went_on, "a paused one went on"
    for trial, point in went_on.items():
        assert point["x"] == began[point["parent"]]["x"]
        assert curves[trial][: len(curves[point["parent"]])] == curves[point["parent"]]
    assert len(rows) == 14
    for row in rows:
        assert row.state == "complete"
        assert len(curves[row.trial]) == row.epochs == 8
    parents = {point["parent"] for point in went_on.values()}
    assert {trial for trial, end in tiny.ends().items() if end == "EARLY_STOPPED"} == parents
    assert {trial.state.name for trial in study_of(tiny).trials} == {"COMPLETE"}
    assert not error_of(tiny)


@pytest.mark.parametrize("killed", ["all", "dispatcher"])
def test_a_killed_experiment_goes_on_with_all_it_knew(tmp_path, killed):
    """Manager, dispatcher and trials are killed, or the dispatcher alone, while two trials run; one trial had
    finished."""
    tiny = experiment(tmp_path, 8, {1: "hang", 2: "hang"}, at_once=2)
    every: list[psutil.Process] = []
    try:
        tiny.create()
        tiny.wait_for_trials(1, 60)
        TinyExperiment.wait_for(lambda: len(told(tiny)) == 1 and len(study_of(tiny).trials) >= 3, 30)
        time.sleep(3)
        manager = tiny.manager()
        every = processes = [manager, *manager.children(recursive=True)]
        if killed == "dispatcher":
            processes = [process for process in every[1:] if "--exp_params" in process.cmdline()]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(processes, timeout=10)
        if killed == "dispatcher":  # the manager reports an error, and has to be stopped
            tiny.stop()
        tiny.wait_for(lambda: not psutil.pid_exists(manager.pid))
        points = [trial.params["x"] for trial in study_of(tiny).trials]
        tiny.nnictl("resume", tiny.id, "--port", str(tiny.port), "-e", str(tmp_path / "runs"))
        TinyExperiment.wait_for(lambda: len(told(tiny)) >= 5, 120)
        trials = study_of(tiny).trials  # before the stop, which ends those under way
        assert len(told(tiny)) >= 5
    finally:
        tiny.stop()
        for process in every:  # trials that hang outlive a manager that has reported an error
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    assert [trial.params["x"] for trial in trials[: len(points)]] == points
    finished = [trial for trial in trials if trial.state.is_finished()]
    assert {trial.state.name for trial in finished} == {"COMPLETE"}
    values = [trial.params["x"] for trial in trials if "x" in trial.params]
    assert len(values) == len(set(values)), "no recipe is measured twice"
    assert all(trial.value == pytest.approx(3 * trial.params["x"]) for trial in finished)
    assert all(len(trial.intermediate_values) == 3 for trial in finished)
    log = (tiny.root / "log" / "dispatcher.log").read_text()
    assert log.count("is run again by NNI") == 2
    for line in tiny.rows("SELECT data FROM TrialJobEvent WHERE event='WAITING'"):
        assert json.loads(line[0])["parameters"]["x"] in [
            trial.params.get("x") for trial in study_of(tiny).trials
        ]


def test_a_damaged_study_ends_the_resume_with_one_message(tmp_path):
    from experiments.trouble import tuner_died

    tiny = experiment(tmp_path, 3, {1: "hang"})
    try:
        tiny.create()
        tiny.wait_for_trials(1, 60)
        tiny.stop()
        journal = tiny.root / JOURNAL
        journal.write_text("nonsense\n" + journal.read_text())
        tiny.nnictl("resume", tiny.id, "--port", str(tiny.port), "-e", str(tmp_path / "runs"))
        TinyExperiment.wait_for(lambda: tuner_died(tiny.root), 30)
    finally:
        tiny.stop()
    assert tuner_died(tiny.root) == (
        f"{journal}: is damaged (ValueError('line 1 is not JSON')); move it away, and the search starts from the beginning"
    )
