"""The search as NNI's dispatcher uses it, without NNI's manager: what it suggests and is told."""

import json
import math
import sys
import threading
import time

import pytest

from common.machine import shipped
from tuners.spaces.default_point import default_point

nni = pytest.importorskip("nni")
from optuna.trial import TrialState  # noqa: E402

from tests.tuners.searching import (  # noqa: E402
    CHOICES,
    FLAT,
    SPACE,
    approximately,
    chosen_by,
    played,
    search,
    states,
)
from tuners.samplers import SAMPLERS  # noqa: E402


@pytest.mark.parametrize("name", ["gaussian_process", "tpe", "random"])
def test_the_default_comes_first_and_once(name):
    made = search(sampler=name)
    points = made.generate_multiple_parameters([0, 1, 2])
    assert points[0] == approximately(default_point(SPACE))
    assert approximately(points[0]) not in points[1:]
    assert chosen_by(made)[0] == "default"
    assert "default" not in chosen_by(made)[1:]


def test_a_stated_default_is_used():
    assert search(default={"model": "c"}).generate_parameters(0)["model"] == "c"


@pytest.mark.parametrize("name", ["gaussian_process", "tpe", "random", "cma_es", "optuna_gp"])
def test_same_seed_same_search(name):
    one, two, three = (played(search(FLAT, sampler=name, seed=seed), 14) for seed in (1, 1, 2))
    assert one == two
    assert one != three


def test_most_recipes_are_chosen_by_the_model():
    made = search()
    played(made, 12)
    assert chosen_by(made) == ["default", *["start-up"] * 2, *["model"] * 9]


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name not in ("cma_es", "optuna_gp")])
def test_no_recipe_is_measured_twice_and_a_space_ends(name):
    made = search(CHOICES, sampler=name)
    points = made.generate_multiple_parameters(range(20))
    assert len(points) == len({json.dumps(point) for point in points}) == 6
    for i, point in enumerate(points):
        made.receive_trial_result(i, point, 0.5)
    with pytest.raises(nni.NoMoreTrialError):
        made.generate_parameters(20)


def test_it_learns_from_results():
    points = played(search(), 25)
    assert sum(abs(math.log(point["lr"] / 0.003)) < 0.3 for point in points[10:]) > 8


@pytest.mark.parametrize("path", shipped("search_spaces", "*.json"), ids=lambda path: path.stem)
def test_every_shipped_space(path):
    space = json.loads(path.read_text())
    made = search(space)
    points = made.generate_multiple_parameters(range(5))
    for i, point in enumerate(points):
        made.receive_trial_result(i, point, 0.1 * i)
    assert len(points) == 5 or all(one["_type"] == "choice" for one in space.values())
    assert json.loads(nni.dump(points)) == points


def test_a_result_after_the_trials_end_is_learnt_from():
    made = search()
    points = made.generate_multiple_parameters([0, 1])
    made.trial_end(0, True)
    assert states(made)[:2] == ["RUNNING", "RUNNING"]
    made.receive_trial_result(0, points[0], {"default": 0.5})
    assert states(made)[:2] == ["COMPLETE", "RUNNING"]
    assert made.study.trials[0].value == 0.5


def test_a_second_result_counts_once(caplog):
    made = search()
    point = made.generate_parameters(0)
    for score in (0.5, 0.4):
        made.receive_trial_result(0, point, score)
    made.trial_end(0, True)
    assert made.study.trials[0].value == 0.5
    assert "second result" in caplog.text


@pytest.mark.parametrize("value", [math.nan, math.inf, {"accuracy": 0.5}, "0.5", None, True])
def test_a_result_without_a_score_is_a_failure_and_ends_nothing(value):
    made = search()
    point = made.generate_parameters(0)
    made.receive_trial_result(0, point, value)
    made.trial_end(0, True)
    assert states(made)[0] == "FAIL"
    assert made.generate_parameters(1)


def test_what_it_did_not_suggest_ends_nothing():
    made = search()
    made.receive_trial_result(7, {}, 0.5)
    made.trial_end(7, True)
    made.trial_end(7, False)


def test_a_failed_trial_is_a_failure_and_its_recipe_is_not_tried_again():
    made = search(CHOICES)
    for i in range(6):
        made.generate_parameters(i)
        made.trial_end(i, False)
        made.trial_end(i, False)
    assert states(made) == ["FAIL"] * 6
    with pytest.raises(nni.NoMoreTrialError):
        made.generate_parameters(6)


def test_ends_and_results_come_from_two_threads():
    """As NNI's dispatcher has it: trial ends in one thread, results and requests in another."""
    made = search(sampler="random")
    points = made.generate_multiple_parameters(range(200))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        ends = threading.Thread(target=lambda: [made.trial_end(i, True) for i in range(200)])
        ends.start()
        for i in range(60):
            made.receive_trial_result(i, points[i], i / 60)
            made.generate_parameters(200 + i)
        ends.join()
    finally:
        sys.setswitchinterval(before)
    assert states(made).count("COMPLETE") == 60
    assert states(made).count("RUNNING") == 200


def test_a_trial_that_ends_without_a_result_does_not_run_for_ever(monkeypatch):
    made = search()
    made.generate_parameters(0)
    made.trial_end(0, True)
    made.generate_parameters(1)
    assert states(made)[0] == "RUNNING"
    now = time.monotonic()
    monkeypatch.setattr("tuners.search.time.monotonic", lambda: now + 60)
    made.generate_parameters(2)
    assert states(made)[0] == "FAIL"


def test_imported_results_are_learnt_once_and_only_if_they_fit(caplog):
    made = search()
    point = {"model": "b", "lr": 0.002, "loss": {"_name": "plain"}}
    data = [
        {"parameter": point, "value": {"default": 0.7}},
        {"parameter": point, "value": {"default": 0.7}},
        {"parameter": {**point, "lr": 1.0}, "value": 0.9},
        {"parameter": point | {"model": "a"}, "value": None},
    ]
    made.import_data(data)
    trials = [trial for trial in made.study.trials if trial.state == TrialState.COMPLETE]
    assert [trial.value for trial in trials] == [0.7]
    assert "1 is not from 0.0001 to 0.01" in caplog.text


def test_an_imported_default_is_not_measured_again():
    made = search()
    made.import_data([{"parameter": default_point(SPACE), "value": {"default": 0.4}}])
    assert made.generate_parameters(7) != approximately(default_point(SPACE))
