"""Tuners and assessors that can't work here are refused with the reason."""

import json

import pytest
import yaml

from common.machine import PROJECT
from experiments.check import check
from experiments.checks.algorithms import ASSESSORS, TUNERS
from experiments.checks.rehearsal import rehearse
from tests.experiments.conftest import errors, give

pytest.importorskip("nni")


@pytest.mark.parametrize("name", [name for name, why in TUNERS.items() if why])
def test_a_tuner_that_does_not_work_here(mine, fast, name):
    assert errors(give(mine, tuner={"name": name.lower()})) == [f"tuner: {name} {TUNERS[name]}"]


def test_an_assessor_that_does_not_work_here(mine, fast):
    found = errors(give(mine, assessor={"name": "Curvefitting", "classArgs": {"epoch_num": 9}}))
    assert found == [f"assessor: Curvefitting {ASSESSORS['Curvefitting']}"]


def test_what_is_refused_names_what_to_write_instead():
    named = [why for why in TUNERS.values() if why]
    assert all(
        word in " ".join(named) for word in ("tuners.search.Search", "take GridSearch", "take Evolution")
    )
    assert all("; take " in why for why in named)


def test_the_classes_of_earlier_experiments_name_todays(mine, fast):
    arguments = {"seed": 0, "default": {}, "tpe_args": {"n_startup_jobs": 5}}
    earlier = {
        "tuner": ("tuners.default_first.DefaultFirstTPE", arguments),
        "assessor": ("tuners.median_of_finished.MedianOfFinished", {"start_epoch": 3}),
    }
    given = {
        key: {"className": name, "codeDirectory": str(PROJECT), "classArgs": arguments}
        for key, (name, arguments) in earlier.items()
    }
    assert errors(give(mine, **given)) == [
        "tuner.className: tuners.default_first.DefaultFirstTPE is gone; write tuners.search.Search, with seed "
        "and default in its classArgs as before, but without tpe_args",
        "assessor.className: tuners.median_of_finished.MedianOfFinished is gone; write tuners.search.CannotWin "
        "without classArgs, with the tuner tuners.search.Search",
    ]


def test_a_tuner_of_ones_own_may_have_such_a_name(mine, fast):
    (mine.folder / "tuners").mkdir()
    (mine.folder / "tuners" / "default_first.py").write_text(
        OWN.replace("class Mine", "class DefaultFirstTPE")
    )
    tuner = {"className": "tuners.default_first.DefaultFirstTPE", "codeDirectory": ".", "classArgs": {}}
    assert all("is gone" not in error for error in errors(give(mine, tuner=tuner, maxTrialNumber=2)))


SECOND_NAMES = {name for name in TUNERS if name.removesuffix("Tuner") in TUNERS.keys() - {name}}
LONG = ("GP", "Metis", "DNGO", "NetworkMorphism")  # seconds each, for imports or models


def test_the_second_name_of_a_tuner_is_refused_as_the_first_one_is():
    assert all(TUNERS[name] == TUNERS[name.removesuffix("Tuner")] for name in SECOND_NAMES)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in LONG))
        for name in TUNERS
        if name not in SECOND_NAMES
    ],
)
def test_the_table_of_tuners_is_true(name, fast):
    """Refused tuners raise, or suggest what a trial refuses; the others do neither."""
    space = {"learning_rate": {"_type": "uniform", "_value": [0.1, 1]},
             "momentum": {"_type": "uniform", "_value": [0, 1]}}  # fmt: skip
    tried = rehearse({"tuner": {"name": name}, "searchSpace": space})
    strange = [point for point in tried.points if point.keys() != space.keys()]
    assert bool(tried.errors or strange) == bool(TUNERS[name]), tried


OWN = """
import os
from nni.tuner import Tuner


class Mine(Tuner):
    def __init__(self, when):
        self.when = when
        if when == "made":
            raise ValueError("broken")

    def update_search_space(self, space):
        if self.when == "space":
            raise ValueError("broken")

    def generate_parameters(self, number, **more):
        if self.when == "third" and number == 2:
            raise ValueError("broken")
        if self.when == "exit":
            os._exit(3)
        if self.when == "nothing":
            raise __import__("nni").NoMoreTrialError
        return {"learning_rate": -1.0 if self.when == "wrong" else 0.01}

    def receive_trial_result(self, *arguments, **more):
        if self.when == "result":
            raise ValueError("broken")
"""
WHEN = {
    "made": "tuner: ValueError: broken (when constructed)",
    "space": "tuner: ValueError: broken (when given the search space)",
    "third": "tuner: ValueError: broken (at suggestion 3)",
    "result": "tuner: ValueError: broken (at result 1)",
    "exit": "tuner: ended the process that tried it (exit 3)",
    "nothing": "tuner: suggests nothing in this search space",
    "wrong": "tuner: suggests what a trial refuses: learning_rate: -1.0 is not 0 or more",
}


@pytest.mark.parametrize("when", WHEN)
def test_a_tuner_of_ones_own_that_raises(mine, fast, when):
    (mine.folder / "own.py").write_text(OWN)
    tuner = {"className": "own.Mine", "codeDirectory": ".", "classArgs": {"when": when}}
    assert [error.strip() for error in errors(give(mine, tuner=tuner, maxTrialNumber=4))] == [WHEN[when]]


def test_a_default_of_what_is_not_searched(mine, fast):
    tuner = yaml.safe_load(mine.yaml.read_text())["tuner"]
    tuner["classArgs"]["default"] = {"weight_decay": 0.1}
    assert errors(give(mine, tuner=tuner)) == [
        "tuner: default: weight_decay not in the search space (learning_rate)"
    ]


def test_a_fixed_field_takes_its_default_along(mine, fast):
    tuner = yaml.safe_load(mine.yaml.read_text())["tuner"]
    tuner["classArgs"]["default"] = {"learning_rate": 0.002, "weight_decay": 0.1}
    space = json.loads(mine.space.read_text()) | {"weight_decay": {"_type": "choice", "_value": [0.0, 0.1]}}
    mine.space.write_text(json.dumps(space))
    plan = check(give(mine, tuner=tuner), settings=["learning_rate=0.01"])
    assert plan.config["tuner"]["classArgs"]["default"] == {"weight_decay": 0.1}
    assert plan.taken == ("learning_rate",)
