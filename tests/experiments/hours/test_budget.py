"""What fits into given hours: planned from a pilot, without training anything."""

import math
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from common.errors import UsageError
from common.machine import EXPERIMENTS, PROJECT
from experiments.checks.algorithms import takes_hours
from experiments.hours import pilot, within
from experiments.hours.budget import ENOUGH, Data, fitted, words
from experiments.hours.pilot import Pilot, at_a_time
from experiments.plan import Plan, read_plan
from experiments.progress import State
from experiments.run import ExperimentResult
from tests.experiments.conftest import give
from trial.commands.arguments import parse_arguments
from trial.config import parse

DATA = Data(train=800, eval=100, seconds=10.0)
PAUSES = {"className": "tuners.search.PauseAndGoOn", "codeDirectory": str(PROJECT)}


def planned(mine, hours, epoch=2.0, with_retrain=False, trials=None, may_shorten=True, **keys):
    mine.change("epochs=2", "epochs=20") if "epochs=2 " in mine.yaml.read_text() else None
    plan, errors = read_plan(give(mine, **keys))
    assert errors == []
    plan = replace(plan, first={"learning_rate": 0.003})
    pilot = Pilot(parse(parse_arguments(plan.fixed, plan.first), False), epoch, 2 * epoch)
    return fitted(plan, pilot, DATA, hours, 30.0, with_retrain, trials, may_shorten)


def words_of(plan, name):
    return [word for word in plan.fixed if word.startswith(f"{name}=")]


def test_as_many_trainings_as_fit(mine):
    plan, budget = planned(mine, hours=1)
    assert budget.epochs == 20
    assert budget.training == pytest.approx(20 * 2, rel=0.1)
    assert budget.trials == pytest.approx(2 * 3560 / budget.training, abs=2), "two at a time"
    assert "maxTrialNumber" not in plan.config, "cheaper ones than the mean leave room for more"
    assert plan.config["maxExperimentDuration"] == f"{math.ceil(budget.search)}s"
    assert budget.search == pytest.approx(3600 - 30, abs=15)
    lines = words(budget, None, 2)
    assert lines[0] == "--hours 1: the pilot of the default recipe took 0:04, 2.0 s an epoch with 2 at a time"
    assert lines[1].startswith(f"planned: about {budget.trials} trials of 20 epochs, 0:4")


def test_the_tuner_is_told_the_hours_if_it_takes_them(mine):
    plan, budget = planned(mine, hours=1)
    arguments = plan.config["tuner"]["classArgs"]
    assert ("hours" in arguments) == takes_hours(plan.config["tuner"], mine.folder)
    assert 0.95 < arguments.get("hours", 0.97) < budget.search / 3600
    other = {"className": "tuners.search.CannotWin", "codeDirectory": str(PROJECT)}
    assert not takes_hours(other, mine.folder)


@pytest.mark.parametrize(("hours", "epochs"), [(0.07, range(12, 20)), (0.02, [7]), (1, [20])])
def test_where_few_fit_they_are_shortened_but_not_below_a_third(mine, hours, epochs):
    plan, budget = planned(mine, hours)
    assert budget.epochs in epochs
    assert words_of(plan, "epochs") == [f"epochs={budget.epochs}"]
    if budget.epochs > 7:
        assert budget.trials >= ENOUGH
    assert ("(with the YAML's 20 fewer than 12 would fit)" in words(budget, None, 2)[1]) == (
        budget.epochs < 20
    )


def test_epochs_that_were_asked_for_are_kept(mine):
    plan, budget = planned(mine, 0.07, may_shorten=False)
    assert words_of(plan, "epochs") == ["epochs=20"]
    assert budget.epochs == 20 and budget.trials < ENOUGH


def test_a_search_of_epochs_is_not_shortened(mine):
    mine.space.write_text('{"epochs": {"_type": "choice", "_value": [20, 30]}}')
    mine.change(" epochs=2", "")
    plan, _ = read_plan(mine.yaml)
    plan = replace(plan, first={"epochs": 20})
    pilot = Pilot(parse(parse_arguments(plan.fixed, plan.first), False), 2.0, 4.0)
    plan, budget = fitted(plan, pilot, DATA, 0.05, 30.0, False, None)
    assert (budget.epochs, words_of(plan, "epochs")) == (20, [])


def test_a_length_that_the_recipe_refuses_is_not_planned(mine):
    """Warming up for eight epochs takes longer ones."""
    mine.change("threads=1", "threads=1 schedule=cosine schedule.warmup=8")
    assert planned(mine, 0.02)[1].epochs == 9


def test_where_nothing_fits_the_least_hours_are_named(mine):
    with pytest.raises(UsageError) as caught:
        planned(mine, 0.02, epoch=10.0)
    assert str(caught.value).startswith("--hours 0.02: not even one training fits: of 7 epochs it takes 1:1")
    assert (
        "(10.0 s an epoch of the default recipe); check and pilot took 0:30, NNI's start and end take 0:14"
        in (str(caught.value))
    )
    least = float(str(caught.value).split("give --hours ")[1].split()[0])
    assert planned(mine, least, epoch=10.0)[1].trials >= 1


def test_the_time_of_retraining_is_kept_and_longer_where_more_photos_are_predicted(mine):
    _, plain = planned(mine, 1)
    _, kept = planned(mine, 1, with_retrain=True)
    assert plain.retraining == 0
    assert 40 + DATA.seconds < kept.retraining < 120
    assert kept.trials < plain.trials
    assert "are kept for retraining" in words(kept, None, 2)[1]


def test_a_number_of_trials_too(mine):
    plan, budget = planned(mine, 1, trials=5)
    assert plan.config["maxTrialNumber"] == 5
    assert "planned: 5 trials at most of 20 epochs" in words(budget, 5, 2)[1]


def test_a_search_that_pauses_counts_whole_trainings(mine):
    plan, _ = read_plan(give(mine, assessor=PAUSES))
    some = plan.with_trials(5)
    assert (some.config["maxTrialNumber"], some.config["tuner"]["classArgs"]["trainings"]) == (20, 5)
    any_number = some.with_trials(None)
    assert "maxTrialNumber" not in any_number.config
    assert "trainings" not in any_number.config["tuner"]["classArgs"]
    assert plan.config["maxTrialNumber"] == 2, "the plan itself stays as it is"


def test_the_search_ends_when_retraining_the_best_so_far_has_to_begin(mine, monkeypatch):
    _, budget = planned(mine, 1, with_retrain=True)
    needs = {"small": 20.0, "large": 200.0, "broken": 0.0}
    monkeypatch.setattr(within, "seconds_to_retrain", lambda run, data: needs[run.name])
    end = time.monotonic() + 1000
    ends = within._end_of_search(end, budget, DATA)
    assert ends(State(None)) == end - budget.retraining
    assert ends(State(None, best_run=Path("small"))) == end - 20
    assert ends(State(None, best_run=Path("large"))) == end - 200
    assert ends(State(None, best_run=Path("broken"))) == end - budget.retraining


@pytest.mark.parametrize(("left", "taken"), [(300, "large"), (100, "small"), (5, "large"), (None, "large")])
def test_the_best_recipe_that_can_be_retrained_in_the_rest_is(monkeypatch, tmp_path, left, taken):
    names = ["large", "small"]
    table = pd.DataFrame({"trial": names, "folder": names, "state": "done", "sequence": [0, 1]})
    monkeypatch.setattr(
        within, "trial_table", lambda experiment: table.assign(macro_f1=[0.6, 0.5], reason="")
    )
    monkeypatch.setattr(within, "photos_to_predict", lambda data: 10)
    monkeypatch.setattr(
        within, "seconds_to_retrain", lambda run, data: {"small": 20.0, "large": 200.0}[run.name]
    )
    monkeypatch.setattr(within.RunFolder, "config", lambda run: SimpleNamespace(threads=3))
    chosen, threads = [], []

    def export(*given, values, ranking):
        chosen.append(ranking.ranked.iloc[0]["trial"])
        assert ranking.leading[0].name == chosen[0], "promise and equals are of the one that is taken"
        threads.append(values.get("threads"))

    monkeypatch.setattr(within, "export_best_and_retrain", export)
    within.retrain_best(SimpleNamespace(id="x"), tmp_path, tmp_path / "final", left, DATA)
    assert (chosen, threads) == ([taken], [None if left is None else 3])


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError("the photos are gone")])
def test_what_ends_the_retraining_leaves_a_way_to_go_on(tmp_path, monkeypatch, caplog, error):
    plan = Plan(tmp_path / "mine.yaml", {}, {}, "python -m trial", ("data=my photos",))
    result = ExperimentResult(
        "abcd1234", EXPERIMENTS / "abcd1234", State(1, best_run=Path("best")), "", "my photos"
    )

    def ended(*given):
        raise error

    monkeypatch.setattr(within, "check", lambda *given: plan)
    monkeypatch.setattr(within, "run_plan", lambda *given: result)
    monkeypatch.setattr(within, "retrain_best", ended)
    with caplog.at_level("INFO"), pytest.raises((KeyboardInterrupt, RuntimeError)):
        within.run_within(tmp_path / "mine.yaml", None, with_retrain=True)
    command = "export-best-and-retrain abcd1234 --data 'my photos' --out out/experiments/abcd1234/final"
    assert command in caplog.text


@pytest.mark.parametrize("start", ["WHERE=here {}", "cd / && WHERE=here {}"])
def test_the_command_of_a_pilot_is_a_shells_and_what_it_started_may_end_in_order(tmp_path, start):
    script, folder = tmp_path / "train.sh", tmp_path / "0"
    script.write_text(
        f"trap 'sleep 0.3; echo ended > {tmp_path}/end; exit' TERM\n"
        f"echo $WHERE $* > {tmp_path}/begin\nwhile :; do sleep 0.1; done\n"
    )
    plan = SimpleNamespace(start=start.format(f"sh {script}"), fixed=("epochs=2",), code=tmp_path)
    process = pilot._begin(plan, {"learning_rate": 0.1}, folder, 1)
    begin, end = tmp_path / "begin", time.monotonic() + 20
    while time.monotonic() < end and not (begin.is_file() and begin.read_text()):
        time.sleep(0.05)
    pilot._end(process)
    assert begin.read_text().startswith("here epochs=2 learning_rate=0.1 "), (folder / "stderr").read_text()
    assert (tmp_path / "end").read_text() == "ended\n"


@pytest.mark.parametrize(
    ("config", "copies"),
    [
        ({}, 4),
        ({"trialGpuNumber": 1}, 1),
        ({"trialGpuNumber": 0}, 4),
        ({"trainingService": {"platform": "local", "trialGpuNumber": 1}}, 1),
        ({"trialGpuNumber": 1, "trainingService": {"maxTrialNumberPerGpu": 3}}, 3),
        ({"trialGpuNumber": 1, "trainingService": {"maxTrialNumberPerGpu": 9}}, 4),
    ],
)
def test_a_pilot_has_as_many_beside_it_as_a_trial_of_the_search(config, copies):
    assert at_a_time({"trialConcurrency": 4, **config}) == copies
